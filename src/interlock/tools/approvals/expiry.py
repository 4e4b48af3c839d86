"""What happens when an approval expires: the request escalates to other deciders, or the instance takes another edge."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..canonical import JsonObject, to_json
from ..errors import ContractError, NotJson
from .deadlines import Within, check_within, within_from_json, within_to_json
from .deciders import By, by_from_json, by_to_json, check_role, named


@dataclass(frozen=True)
class Escalate:
    """At the deadline of an approval, ask somebody else.

    Attributes:
        role: The role that may decide from then on. Earlier agreements still count.
        within: How long the escalated request stays open; by default as long as before. It may be a moment or a function, as for an
            approval.
        then: What happens when that deadline passes as well.
        by: The people who may decide from then on, as for an approval. Together with `role`, they must have that role as well.
    """

    role: str | None = None
    within: Within = None
    then: "Expiry" = "reject"
    by: By = None

    def __post_init__(self) -> None:
        if self.role is not None or self.by is None:
            check_role(self.role, "Escalate")
        check_within(self.within)
        if self.by is not None and not callable(self.by):
            object.__setattr__(self, "by", named(self.by))


@dataclass(frozen=True)
class TakeEdge:
    """At the deadline of an approval, take another edge out of the state: its tool is called on behalf of the proposer.

    Attributes:
        tool: The canonical name of the tool, such as `"case.park"`.
        arguments: The arguments, as on the wire. By default those of the call that waited, as far as the tool has parameters of these
            names.
    """

    tool: str
    arguments: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "tool", getattr(self.tool, "name", self.tool))
        if not isinstance(self.tool, str) or not self.tool:
            raise ContractError(f"TakeEdge({self.tool!r}): give the canonical name of a tool, such as 'case.park'.")
        if self.arguments is not None:
            try:
                object.__setattr__(self, "arguments", to_json(self.arguments))
            except NotJson as error:
                raise ContractError(
                    f"TakeEdge({self.tool!r}) has arguments that cannot be kept: {error.message}"
                ) from None


Expiry = Literal["reject"] | Escalate | TakeEdge
"""What happens if nobody decides in time."""


def expiry_to_json(expiry: Expiry | str) -> str | JsonObject:
    """The expiry as plain data."""
    match expiry:
        case Escalate(role, within, then, by):
            people = {} if by is None else {"by": by_to_json(by)}
            return {"escalate": role, **within_to_json(within), "then": expiry_to_json(then), **people}
        case TakeEdge(tool, arguments):
            return {"take": tool, "arguments": None if arguments is None else dict(arguments)}
        case _:
            return "reject"


def expiry_from_json(data: Any) -> Expiry:
    """Read the result of `expiry_to_json`."""
    if data == "reject":
        return "reject"
    if "take" in data:
        return TakeEdge(data["take"], data["arguments"])
    by = by_from_json(data.get("by"))
    return Escalate(data["escalate"], within_from_json(data), expiry_from_json(data["then"]), by)


__all__ = ["Escalate", "Expiry", "TakeEdge", "expiry_from_json", "expiry_to_json"]
