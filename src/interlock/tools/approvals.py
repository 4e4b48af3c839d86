"""Approvals: the rule of who may decide on a proposal, and the decision itself in every shape that user interfaces send."""

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from .canonical import JsonObject
from .errors import ContractError, InvalidResume
from .principal import Principal


class DecisionKind(StrEnum):
    """What a person can decide about a proposal."""

    APPROVE = "approve"
    """Run it exactly as shown."""
    EDIT = "edit"
    """Run it with other arguments."""
    REJECT = "reject"
    """Do not run it."""
    RESPOND = "respond"
    """Do not run it; tell the model this instead."""


@dataclass(frozen=True)
class Decision:
    """One person's decision on one approval."""

    kind: DecisionKind
    arguments: JsonObject | None = None
    """The arguments to run with, for an edit."""
    message: str | None = None
    """Why, for whoever reads the record, and for the model."""


@dataclass(frozen=True, kw_only=True)
class Approval:
    """The rule of an edge that asks a person before its tool runs.

    Attributes:
        role: The role that may decide; without one, anybody but the requester.
        count: How many different people must agree.
        within: How long the request stays open, such as `"24h"`, `"30m"`, `"2d"` or a timedelta; without one, for ever.
        edit: Whether arguments may be edited, or the names (as on the wire) of those that may.
        when: Ask only when this holds for the arguments (named parameters of the tool); always without one.
        confirmation: Ask the person served, who decides on their own request, instead of another person.
        strict: Void the approval whenever the instance's revision moved, and not only when what was shown differs.
        on_expiry: What follows the deadline: `"reject"`, or a role to which the request is escalated as `"escalate:ROLE"`.
    """

    role: str | None = None
    count: int = 1
    within: str | dt.timedelta | None = None
    edit: bool | frozenset[str] = True
    when: Callable[..., bool] | None = None
    confirmation: bool = False
    strict: bool = False
    on_expiry: str = "reject"

    def __post_init__(self) -> None:
        if isinstance(self.count, bool) or not isinstance(self.count, int) or self.count < 1:
            raise ContractError(f"Approval(count={self.count!r}): give a whole number from 1.")
        if not isinstance(self.edit, bool):
            object.__setattr__(self, "edit", frozenset(self.edit))
        if self.confirmation and (self.role is not None or self.count != 1):
            raise ContractError(
                "A confirmation is decided by the person served alone: give it neither a role nor a count."
            )
        if self.on_expiry != "reject" and not re.fullmatch(r"escalate:\S+", self.on_expiry):
            raise ContractError(f"Approval(on_expiry={self.on_expiry!r}): give 'reject' or 'escalate:ROLE'.")
        self.seconds  # noqa: B018 -- a duration that cannot be read is refused here and not at the first request

    @property
    def seconds(self) -> float | None:
        """How long a request stays open."""
        return None if self.within is None else duration(self.within)

    def to_json(self) -> JsonObject:
        """The rule as it is stored with a request; the condition `when` is not part of it, for it was met."""
        return {
            "role": self.role,
            "count": self.count,
            "seconds": self.seconds,
            "edit": self.edit if isinstance(self.edit, bool) else [*sorted(self.edit)],
            "confirmation": self.confirmation,
            "strict": self.strict,
            "onExpiry": self.on_expiry,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Approval":
        """Read what `to_json` gave."""
        edit = data["edit"]
        seconds = data["seconds"]
        return cls(
            role=data["role"],
            count=data["count"],
            within=None if seconds is None else dt.timedelta(seconds=seconds),
            edit=edit if isinstance(edit, bool) else frozenset(edit),
            confirmation=data["confirmation"],
            strict=data["strict"],
            on_expiry=data["onExpiry"],
        )

    def why_not(
        self, *, requester: Principal, by: Principal, kind: DecisionKind, earlier: Sequence[str] = ()
    ) -> str | None:
        """Why a principal may not take a decision, or None when they may.

        Args:
            requester: Whose run proposed the call.
            by: Who decides.
            kind: What they decide.
            earlier: The ids of those who already agreed.
        """
        if by.tenant != requester.tenant:
            return "it belongs to another tenant"
        if self.confirmation:
            if by.id != requester.id:
                return "only the person served can confirm their own request"
        else:
            if requester.is_known and by.id == requester.id:
                return "nobody approves their own request"
            if self.role is not None and not by.has_role(self.role):
                return f"it takes the role {self.role!r}" + ("" if by.is_known else ", and who decides is not known")
            if self.count > 1 and not by.is_known:
                return "several people must agree, and who decides is not known"
            if by.is_known and by.id in earlier:
                return "the same person already agreed; another one is needed"
        if kind is DecisionKind.EDIT and self.edit is False:
            return "its arguments may not be edited"
        return None

    def may_edit(self, shown: Mapping[str, Any], edited: Mapping[str, Any]) -> str | None:
        """Why an edit of the arguments is not allowed, or None when it is."""
        if self.edit is True:
            return None
        allowed: frozenset[str] = frozenset() if self.edit is False else self.edit
        changed = {name for name in {*shown, *edited} if shown.get(name) != edited.get(name)}
        if not changed <= allowed:
            return f"{', '.join(sorted(changed - allowed))} may not be edited"
        return None


def Confirmation(  # noqa: N802 -- it reads as a kind of Approval where workflows are written
    *,
    within: str | dt.timedelta | None = None,
    edit: bool | frozenset[str] = False,
    when: Callable[..., bool] | None = None,
) -> Approval:
    """An approval that the person served gives on their own request."""
    return Approval(confirmation=True, within=within, edit=edit, when=when)


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def duration(value: str | dt.timedelta) -> float:
    """Read a duration such as `"30m"`, `"1h30m"` or a timedelta, in seconds.

    Raises:
        ContractError: It cannot be read or is not positive.
    """
    if isinstance(value, dt.timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, str) and re.fullmatch(r"(?:\d+(?:\.\d+)?[smhdw])+", value):
        seconds = sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+(?:\.\d+)?)([smhdw])", value))
    else:
        raise ContractError(
            f"{value!r} is not a duration; write for instance '90s', '30m', '24h', '1h30m', '7d', or give a timedelta."
        )
    if seconds <= 0:
        raise ContractError(f"The duration {value!r} is not positive.")
    return seconds


_KINDS = {
    "approve": DecisionKind.APPROVE,
    "accept": DecisionKind.APPROVE,
    "edit": DecisionKind.EDIT,
    "reject": DecisionKind.REJECT,
    "ignore": DecisionKind.REJECT,
    "respond": DecisionKind.RESPOND,
    "response": DecisionKind.RESPOND,
}

ANSWER_SHAPES = (
    "'approve', 'reject', True, False, {'type': 'approve'}, {'type': 'edit', 'args': {...}}, {'type': 'reject', 'message': '...'}, "
    "{'type': 'respond', 'message': '...'}, or {'decisions': [one of these]}"
)


def parse_answer(value: object, *, tool: str, wire_name: str) -> Decision:
    """Read the answer to an approval, in any of the shapes that today's user interfaces send.

    Args:
        value: What the graph was resumed with.
        tool: The tool that was shown; an answer cannot turn the call into one of another tool.
        wire_name: Its name as the model knows it.

    Raises:
        InvalidResume: It has none of the shapes. Nothing was decided.
    """
    if isinstance(value, Mapping) and "decisions" in value:
        value = value["decisions"]
    if isinstance(value, Sequence) and not isinstance(value, str):
        if len(value) != 1:
            raise InvalidResume(
                f"This approval of {tool} takes one decision, and {len(value)} came. Nothing was decided; "
                "answer each pending approval by its own interrupt id."
            )
        value = value[0]
    if isinstance(value, bool):
        return Decision(DecisionKind.APPROVE if value else DecisionKind.REJECT)
    if isinstance(value, str):
        value = {"type": value}
    if not isinstance(value, Mapping) or _KINDS.get(str(value.get("type"))) is None:
        raise InvalidResume(
            f"That is not an answer to the approval of {tool}: {_short(value)}. Nothing was decided; answer with {ANSWER_SHAPES}."
        )
    return _decision(_KINDS[str(value["type"])], value, tool, wire_name)


def _decision(kind: DecisionKind, value: Mapping[Any, Any], tool: str, wire_name: str) -> Decision:
    extra = value.get("args")
    message = value.get("message", extra if isinstance(extra, str) else None)
    if message is not None and not isinstance(message, str):
        raise InvalidResume(
            f"The message of the answer about {tool} is not text: {_short(message)}. Nothing was decided."
        )
    if kind is DecisionKind.EDIT:
        action = value.get("edited_action", value.get("editedAction", extra))
        if isinstance(action, Mapping) and isinstance(inner := action.get("args", action.get("arguments")), Mapping):
            name = action.get("name", action.get("action", tool))
            if name not in {tool, wire_name}:
                raise InvalidResume(
                    f"An edit changes the arguments of {tool}; it cannot turn the call into {_short(name)}. Nothing was decided; "
                    "reject this one and let the model propose the other."
                )
            action = inner
        if not isinstance(action, Mapping) or not all(isinstance(key, str) for key in action):
            raise InvalidResume(
                f"An edit of {tool} needs the whole arguments: {{'type': 'edit', 'args': {{...}}}}. Nothing was decided."
            )
        return Decision(kind, arguments=dict(action), message=message)
    if kind is DecisionKind.RESPOND and not message:
        raise InvalidResume(
            f"Responding to {tool} needs a message: {{'type': 'respond', 'message': '...'}}. Nothing was decided."
        )
    return Decision(kind, message=message)


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else shown[:77] + "..."


__all__ = ["Approval", "Confirmation", "Decision", "DecisionKind", "duration", "parse_answer"]
