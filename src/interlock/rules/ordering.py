"""Order rules of an edge: its tool runs once per value, or only after another tool. The ledger's completed calls decide."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..tools.canonical import JsonObject
from ..tools.contracts import ToolContract
from ..tools.errors import WorkflowDefinitionError
from ..tools.kinds import ToolKind
from ..tools.wire import camel
from .view import GuardView


@dataclass(frozen=True, init=False)
class After:
    """Require that one of these tools was executed before on the instance: `after=After(cancel, change, same="order_id")`.

    Args:
        tools: Commands or events; one of them must have been executed before.
        same: The names of arguments whose values must be equal in both calls. Each of the tools has parameters of these names.
    """

    tools: tuple[ToolContract, ...]
    same: tuple[str, ...]

    def __init__(self, *tools: ToolContract, same: str | Iterable[str] = ()) -> None:
        object.__setattr__(self, "tools", tools)
        object.__setattr__(self, "same", names_of(same))

    @property
    def names(self) -> frozenset[str]:
        """The tools, by canonical name."""
        return frozenset(tool.name for tool in self.tools)

    def __str__(self) -> str:
        tools = " or ".join(tool.name for tool in self.tools)
        return f"after {tools}" + (f" with the same {', '.join(self.same)}" if self.same else "")

    def is_open(self, view: GuardView) -> bool:
        """Whether one of the tools was executed, with any arguments. If not, the edge is not offered."""
        return any(view.carried_out(tool) for tool in self.tools)

    def why_not(self, canonical: Mapping[str, Any], view: GuardView) -> str | None:
        """Return why a call may not be made yet, or None if it may."""
        same = {camel_or(name, canonical): canonical.get(camel_or(name, canonical)) for name in self.same}
        if any(view.carried_out(tool, **same) for tool in self.tools):
            return None
        tools = " or ".join(tool.wire_name for tool in self.tools)
        return f"{tools} comes first" + (f", with the same {', '.join(same)}" if same else "")


def after_of(given: object, label: str) -> After | None:
    """Normalize the `after` of an edge to an `After`.

    Raises:
        WorkflowDefinitionError: The value is neither a tool nor an `After`, or names no tool.
    """
    found = After(given) if isinstance(given, ToolContract) else given
    if found is None:
        return None
    if not isinstance(found, After) or not found.tools or not all(isinstance(one, ToolContract) for one in found.tools):
        raise WorkflowDefinitionError(
            f"{label} has after={given!r}; give a tool, or After(tool, another, same='order_id') with the contracts of tools."
        )
    return found


def names_of(given: str | Iterable[str]) -> tuple[str, ...]:
    """Return names of arguments, one or several, as a tuple."""
    return (given,) if isinstance(given, str) else tuple(given)


def camel_or(name: str, arguments: Mapping[str, Any]) -> str:
    """The name of an argument on the wire."""
    return name if name in arguments else camel(name)


def why_again(
    once_per: tuple[str, ...], tool: ToolContract, canonical: Mapping[str, Any], view: GuardView
) -> str | None:
    """The reason why a once-only call was already made for these values, or None."""
    same = {camel_or(name, canonical): canonical.get(camel_or(name, canonical)) for name in once_per}
    if not view.carried_out(tool, **same):
        return None
    told = ", ".join(f"{name} {value}" for name, value in same.items())
    return f"{tool.wire_name} was carried out for {told} already, and is carried out once for each"


def order_in_words(after: After | None, once_per: tuple[str, ...]) -> str | None:
    """The order rules of an edge as a short text; None if it has none."""
    parts = [*([f"once per {', '.join(once_per)}"] if once_per else []), *([str(after)] if after is not None else [])]
    return "; ".join(parts) or None


def order_to_json(after: After | None, once_per: tuple[str, ...]) -> JsonObject:
    """The order rules of an edge as plain data, for fingerprints."""
    return {
        "oncePer": [*once_per],
        "after": [] if after is None else [*sorted(after.names)],
        "same": [] if after is None else [*after.same],
    }


def check_order(
    label: str, tool: ToolContract, after: After | None, once_per: tuple[str, ...], known: Mapping[str, Any]
) -> None:
    """Check that the order rules of an edge can be enforced.

    Args:
        label: The edge, for messages.
        tool: Its tool.
        after: The tools that must run before.
        once_per: The arguments for whose values it runs once.
        known: The tools of the workflow, by canonical name.

    Raises:
        WorkflowDefinitionError: A tool is not part of the workflow, is a read (which the ledger does not contain), or has no such
            recorded argument.
    """
    if once_per:
        _check_in_ledger(label, tool, once_per)
    if after is None:
        return
    for one in after.tools:
        if known.get(one.name) is not one:
            raise WorkflowDefinitionError(
                f"{label} comes after {one.name}, which no edge of the workflow carries. Add an edge with it, or leave it out."
            )
        _check_in_ledger(label, one, after.same)
        _check_arguments(label, tool, after.same)


def _check_in_ledger(label: str, tool: ToolContract, names: tuple[str, ...]) -> None:
    if tool.kind is ToolKind.READ:
        raise WorkflowDefinitionError(
            f"{label} depends on how often {tool.name} was executed, which is a read and not in the "
            "ledger. Let a read store what it found in the data, and guard the edge with that."
        )
    _check_arguments(label, tool, names)


def arguments_on_record(tool: ToolContract) -> Mapping[str, Any]:
    """The schemas of all recorded arguments of a tool by wire name, including those that the model does not supply."""
    properties: Any = tool.input_schema().get("properties", {})
    return {**properties, **{field.name: field.schema for field in (*tool.decision_fields, *tool.supplied_fields)}}


def _check_arguments(label: str, tool: ToolContract, names: tuple[str, ...]) -> None:
    known = arguments_on_record(tool)
    for name in names:
        wire = camel_or(name, known)
        if wire not in known:
            raise WorkflowDefinitionError(
                f"{label} depends on the argument {name!r} of {tool.name}, which takes {', '.join(known) or 'nothing'}."
            )
        if wire in tool.sensitive:
            raise WorkflowDefinitionError(
                f"{label} depends on the argument {name!r} of {tool.name}, which is sensitive: the ledger does not have it."
            )


__all__ = [
    "After",
    "after_of",
    "arguments_on_record",
    "camel_or",
    "check_order",
    "names_of",
    "order_in_words",
    "order_to_json",
    "why_again",
]
