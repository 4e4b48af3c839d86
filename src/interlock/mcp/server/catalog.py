"""The offer of a server: its workflows, and one list of tools for everybody, independent of states."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, Protocol, TypeVar

from mcp_types import Tool, ToolAnnotations

from ...commands.running.engine import Engine
from ...operations import Instances
from ...rules.definition import Definition
from ...tools.canonical import JsonObject
from ...tools.contracts import ToolContract
from ...tools.errors import InputError
from ...tools.wire import WIRE_NAME
from . import schemas

_T = TypeVar("_T")


class Served(Protocol):
    """The served part of a compiled workflow."""

    @property
    def engine(self) -> Engine:
        """The workflow's definition and its store."""

    @property
    def instances(self) -> Instances:
        """Its instances, from outside."""


class Does(StrEnum):
    """The function of a server's tool; the value is the tool's name, prefixed by the workflow's if there are several."""

    CALL = "call"
    """It is a tool of the workflow."""
    START = "workflow_start"
    STATUS = "workflow_status"
    PROPOSAL = "workflow_proposal"
    WITHDRAW = "workflow_withdraw"


@dataclass(frozen=True)
class ServedTool:
    """One tool in the list."""

    name: str
    does: Does
    workflow: "ServedWorkflow"
    listed: Tool
    contract: ToolContract | None = None
    call: schemas.CallSchema | None = None
    requires: JsonObject | None = None
    """The capabilities that a client has to declare to call it."""


@dataclass(frozen=True)
class ServedWorkflow:
    """One workflow of a server."""

    graph: Served
    prefix: str = ""
    """The prefix of its names; empty if the server has one workflow."""
    pinned: str | None = None
    """The only served instance; None for all."""
    start_fields: frozenset[str] = frozenset()
    """The fields of its data that a client may set when it starts an instance."""

    def __post_init__(self) -> None:
        model = self.definition.data_model
        if unknown := sorted(self.start_fields - set(() if model is None else model.model_fields)):
            raise InputError(
                f"The workflow {self.definition.name!r} has no data called {', '.join(unknown)}. Nothing was served; give names of fields of its data."
            )

    @property
    def definition(self) -> Definition:
        """States and edges as data."""
        return self.graph.engine.definition

    @property
    def instances(self) -> Instances:
        """Its instances."""
        return self.graph.instances

    @property
    def name(self) -> str:
        """Its name."""
        return self.definition.name

    @cached_property
    def names(self) -> Mapping[str, str]:
        """The clients' name of each tool, by canonical name."""
        return {name: self.prefix + wire for name, wire in self.definition.wire_names.items()}

    def as_known(self, found: "re.Match[str]") -> str:
        """The clients' name for any name of a tool in a message; other words are unchanged."""
        name = found[0]
        if name in self.names:
            return self.names[name]
        canonical = self.definition.wire_names.to_canonical(name)
        return name if canonical is None else self.names[canonical]

    async def look(self, function: Callable[[], _T]) -> _T:
        """Run a database read outside the event loop."""
        return await self.graph.engine.store.database.arun(function)

    def tools(self) -> Iterator[ServedTool]:
        """Its tools, those that act on instances first."""
        yield from self._services()
        moving = {edge.tool.name for edge in self.definition.edges if edge.moves}
        for name, contract in sorted(self.definition.contracts.items()):
            if name in self.definition.undo_only:
                continue
            call = schemas.call_schema(contract, is_pinned=self.pinned is not None, moves=name in moving)
            listed = Tool(
                name=self.names[name],
                title=name,
                description=contract.description,
                input_schema=call.schema,
                output_schema=schemas.result_schema(contract),
                annotations=ToolAnnotations.model_validate(contract.annotations.to_json()),
            )
            yield ServedTool(listed.name, Does.CALL, self, listed, contract, call)

    def _services(self) -> Iterator[ServedTool]:
        named = self.name
        if self.pinned is None:
            yield self._service(
                Does.START,
                f"Start an instance of the workflow {named!r}. The result has its workflowId, its revision and the tools that may be called next.",
                schemas.start_schema(self.definition.data_model, self.start_fields),
                schemas.snapshot_schema(),
                ToolAnnotations(
                    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False
                ),
            )
        looks = ToolAnnotations(read_only_hint=True, open_world_hint=False)
        yield self._service(
            Does.STATUS,
            f"Look where an instance of the workflow {named!r} stands: its state, its data, its revision, the tools that may be called next, and what "
            "waits for a decision.",
            schemas.NOTHING
            if self.pinned is not None
            else schemas.by_id(schemas.WORKFLOW_ID, "The workflow instance to look at."),
            schemas.snapshot_schema(),
            looks,
        )
        which = schemas.by_id(schemas.PROPOSAL_ID, "The proposal, as `pending.proposalId` of a result gave it.")
        yield self._service(
            Does.PROPOSAL,
            "Ask what became of a proposal that a person has to decide on. Once it is granted, this carries it out and gives its result; it does so once.",
            which,
            schemas.result_schema(),
            ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True),
        )
        yield self._service(
            Does.WITHDRAW,
            "Withdraw a proposal that waits for a decision: nobody is asked any more, and it is not carried out.",
            which,
            schemas.result_schema(),
            ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False),
        )

    def _service(
        self, does: Does, description: str, takes: JsonObject, gives: JsonObject, annotations: ToolAnnotations
    ) -> ServedTool:
        name = self.prefix + does.value
        listed = Tool(
            name=name, description=description, input_schema=takes, output_schema=gives, annotations=annotations
        )
        return ServedTool(name, does, self, listed)


class Catalog:
    """The workflows of a server, and their tools by name.

    Args:
        workflows: The workflows.
        requires: The capabilities that a client has to declare to call a tool, by the tool's listed name.

    Raises:
        InputError: Two workflows or tools have the same name, or `requires` names a tool that does not exist.
    """

    def __init__(
        self, workflows: Iterable[ServedWorkflow], requires: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        self.workflows = tuple(workflows)
        self.tools: dict[str, ServedTool] = {}
        wanted = dict(requires or {})
        for workflow in self.workflows:
            for tool in workflow.tools():
                needed = wanted.pop(tool.name, None)
                self._add(tool if needed is None else replace(tool, requires=dict(needed)))
        if wanted:
            raise InputError(
                f"There is no tool called {', '.join(sorted(wanted))} that could require anything of a client. Nothing was served; give names "
                "as the server lists them."
            )
        self.listed = [tool.listed for tool in self.tools.values()]

    def _add(self, tool: ServedTool) -> None:
        if not WIRE_NAME.fullmatch(tool.name):
            raise InputError(
                f"The tool {tool.name!r} has a name that clients refuse. Nothing was served; give the workflow a shorter name on the server: "
                "workflows={'name': graph}."
            )
        if tool.name in self.tools:
            raise InputError(
                f"Two tools would be called {tool.name!r}. Nothing was served; rename one, or give it another name for models with wire_name=."
            )
        self.tools[tool.name] = tool

    def workflow(self, key: str) -> ServedWorkflow | None:
        """The workflow that a URI or a prompt names."""
        return next((one for one in self.workflows if one.name == key), None)


def workflows_of(
    given: Served | Mapping[str, Served], *, pinned: str | None, start_fields: Iterable[str]
) -> tuple[ServedWorkflow, ...]:
    """Read the workflows for a server: one, or several by the prefix of their tools.

    Raises:
        InputError: There are none, there are several with one pinned instance, or a prefix is invalid.
    """
    fields = frozenset(start_fields)
    if not isinstance(given, Mapping):
        return (ServedWorkflow(given, pinned=pinned, start_fields=fields),)
    if not given or pinned is not None or fields:
        raise InputError(
            f"{len(given)} workflows were given. Nothing was served; give at least one, and pin an instance or let clients set data where there is one alone."
        )
    for name in given:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,23}", name):
            raise InputError(
                f"Tools cannot be called after {name!r}. Nothing was served; give a name of at most 24 letters, digits and underscores."
            )
    names = [one.engine.definition.name for one in given.values()]
    if len(set(names)) < len(names):
        raise InputError("Two of the workflows have one name. Nothing was served; give each another one.")
    return tuple(ServedWorkflow(graph, prefix=f"{name}__") for name, graph in given.items())


__all__ = ["Catalog", "Does", "Served", "ServedTool", "ServedWorkflow", "workflows_of"]
