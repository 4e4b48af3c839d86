"""What everything that acts on the instances of one compiled workflow shares: its definition and its store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.messages import ToolMessage
from pydantic import JsonValue
from sqlalchemy.engine import Connection

from ...checkpointing.store import Instance, Unit, WorkflowStore
from ...rules.definition import Definition, Edge, offered_edges
from ...rules.origins.envelope import enveloped
from ...rules.origins.holding import Fields
from ...rules.proposals import PROPOSAL, Proposal, with_arguments
from ...rules.view import GuardView
from ...tools.canonical import JsonObject, canonical_json, is_same_json
from ...tools.errors import RuleError, RunError
from ...tools.model_answers import Answers, is_plain, plain_content, read_once
from ...tools.origins.contracts import output_fields
from ...tools.principal import Principal
from ...tools.sinks import logger_of
from .broken_rules import tell_once
from .facts import StoredFacts, asked_apart
from .operations import Steps

logger = logger_of("interlock")


def unknown_instance(workflow_id: str, by: Principal) -> RunError:
    """The answer where there is no such instance, and where it is another tenant's: to them it is not there."""
    return RunError(
        f"There is no workflow instance {workflow_id} for the tenant {by.tenant!r}. Nothing was done; check the thread, the database and the "
        "principal of the run.",
        code="unknown_instance",
    )


@dataclass(frozen=True)
class Engine:
    """What the nodes of one compiled workflow share."""

    definition: Definition
    store: WorkflowStore
    is_kept_as_meant: bool = True
    """Whether somebody said where the workflow is kept; memory, where nobody did, may be a mistake."""

    def view(self, instance: Instance, principal: Principal, at: Unit | Connection | None = None) -> GuardView:
        """What guards look at, with a fresh copy of the data.

        Args:
            instance: The row.
            principal: Who acts.
            at: The transaction in which rules look things up; one of their own where none is given.
        """
        return GuardView(
            instance.workflow_id,
            instance.state,
            self.definition.parse_data(instance.data),
            principal,
            instance.revision,
            StoredFacts(self.store, self.definition, instance.workflow_id, at),
        )

    def offered(self, view: GuardView) -> tuple[str, ...]:
        """Next allowed tools, by canonical name."""
        if self.definition.state(view.state).is_final:
            return ()
        return tuple(edge.tool.name for edge in self.edges(view))

    def edges(self, view: GuardView, broken: dict[str, RuleError] | None = None) -> tuple[Edge, ...]:
        """The edges that may be called now, one per tool. A rule that breaks withholds its tool, and the log is told.

        Args:
            view: The state of the instance.
            broken: Told of the tools that a broken rule withholds.
        """
        definition = self.definition
        broken = {} if broken is None else broken
        edges = offered_edges(
            definition.by_source.get(view.state, ()),
            view,
            policies=definition.policies,
            mode=definition.mode,
            broken=broken,
        )
        for error in broken.values():
            tell_once(error, view)
        return edges

    def offered_for(self, at: Unit | Instance, principal: Principal) -> tuple[str, ...]:
        """Next allowed tools of an instance, by canonical name; of a unit's instance in its transaction."""
        if isinstance(at, Unit):
            return self.offered(self.view(at.instance, principal, at))
        return self.offered(self.view(at, principal))

    def may_ask(self, edge: Edge) -> bool:
        """Whether a proposal of this edge may need a person: by its own rule, or because a policy could ask for one."""
        return edge.approval is not None or any(
            policy.may_require_approval(edge.tool) for policy in self.definition.policies
        )

    def owned(self, instance: Instance | None, principal: Principal, workflow_id: str) -> Instance:
        """The instance, provided that it is there and is the principal's tenant's.

        Raises:
            RunError: It is not there, or it belongs to another tenant.
        """
        if instance is None or not instance.ownership.has(principal):
            raise unknown_instance(workflow_id, principal)
        return instance

    def completed(self, proposal: Proposal) -> Proposal:
        """The proposal with its arguments in full, the defaults that differ each time among them, where they fit its tool."""
        contract = self.definition.contracts.get(proposal.tool)
        if contract is None or proposal.problem is not None:
            return proposal
        return with_arguments(proposal, contract.complete(proposal.arguments))

    def sealed(self, instance: Instance, proposal: Proposal) -> Proposal:
        """A proposal as it may wait in a channel: signed with what only this instance's row holds."""
        mark = instance.seal.mark(PROPOSAL, instance.workflow_id, proposal.signed())
        return replace(proposal, mark=mark)

    def channels(
        self,
        instance: Instance,
        principal: Principal,
        *,
        already: Mapping[str, Any] | None = None,
        edges: Sequence[Edge] | None = None,
    ) -> dict[str, Any]:
        """What the graph's output shows of the workflow row.

        Args:
            instance: The row.
            principal: Whose turn it is.
            already: What the channels hold: what they show already is left out, for each write is stored twice.
            edges: The edges that may be called now, where the caller has just asked for this instance and principal.
        """
        offered = self.offered_for(instance, principal) if edges is None else [edge.tool.name for edge in edges]
        row: dict[str, Any] = {
            "workflow_id": instance.workflow_id,
            "state": instance.state,
            "revision": instance.revision,
            "data": instance.data,
            "next_allowed_tools": list(offered),
        }
        if already is None or not already.get("workflow_id"):  # nothing of an instance was ever written
            return row
        return {name: value for name, value in row.items() if not is_same_json(already.get(name), value)}

    def shown(
        self, instance: Instance, principal: Principal, *, already: Mapping[str, Any] | None = None
    ) -> Steps[dict[str, Any]]:
        """As `channels`, for a node: rules that look something up are asked away from the event loop."""
        return (yield from asked_apart(self.definition, lambda: self.channels(instance, principal, already=already)))

    def for_model(self, result: JsonObject) -> str:
        """A result as the model reads it: with the names that the model calls tools by."""
        names = self.definition.wire_names
        allowed = result.get("nextAllowedTools")
        shown = dict(result)
        if isinstance(allowed, list):
            shown["nextAllowedTools"] = [names.to_wire(str(name)) for name in allowed]
        return canonical_json(shown)

    def answer(self, proposal: Proposal, result: JsonObject) -> ToolMessage:
        """The answer to a proposal in the conversation."""
        return ToolMessage(
            content=self._content(proposal, result),
            tool_call_id=proposal.call_id,
            name=self.definition.wire_names.get(proposal.tool, proposal.tool),
            status="success" if result.get("ok") else "error",
        )

    def _content(self, proposal: Proposal, result: JsonObject) -> Any:
        contract = self.definition.contracts.get(proposal.tool)
        if contract is None:
            return self.for_model(result)
        if self.definition.marks_untrusted and result.get("output") is not None:
            result = {**result, "output": enveloped(result["output"], Fields(output_fields(contract)))}
        if (contract.answers or self.definition.answers) is Answers.PLAIN and is_plain(result):
            return plain_content(result)
        # LangChain writes a dict as JSON text; inside the result it is not written as text again.
        output = result.get("output")
        once = read_once(output) if contract.output_type is JsonValue else output
        return self.for_model(result if once is output else {**result, "output": once})
