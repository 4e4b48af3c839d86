"""Approvals: the rule of who may decide on a proposal, what follows when nobody does, and the decision itself."""

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal

from .canonical import JsonObject, is_same_json, to_json
from .errors import ContractError, NotJson
from .principal import Principal

Within = str | dt.timedelta | None
"""How long something stays open: `"24h"`, `"1h30m"`, a timedelta, or None for ever."""


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

    @property
    def agrees(self) -> bool:
        """Whether the command may run on it."""
        return self in {DecisionKind.APPROVE, DecisionKind.EDIT}


@dataclass(frozen=True)
class Decision:
    """One person's decision on one approval."""

    kind: DecisionKind
    arguments: JsonObject | None = None
    """The arguments to run with, for an edit."""
    message: str | None = None
    """Why, for whoever reads the record, and for the model."""
    seen: JsonObject | None = None
    """The arguments that the person was shown, where whoever hands the decision on knows them. A decision on anything
    else than what would run is declined."""


@dataclass(frozen=True)
class Escalate:
    """When the time is over, ask another role.

    Attributes:
        role: The role that may decide from then on. Those who agreed before still count.
        within: How long it has; as long as those before, without one.
        then: What follows when that time is over, too.
    """

    role: str
    within: Within = None
    then: "Expiry" = "reject"

    def __post_init__(self) -> None:
        _check_role(self.role, "Escalate")
        if self.within is not None:
            duration(self.within)


@dataclass(frozen=True)
class TakeEdge:
    """When the time is over, take another edge out of the state: carry out its tool, on behalf of who proposed.

    Attributes:
        tool: The canonical name of the tool, such as `"case.park"`.
        arguments: What it is called with, as on the wire; without any, those of the call that waited, as far as the
            tool knows them.
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
"""What follows when nobody decided in time."""


@dataclass(frozen=True, kw_only=True)
class Approval:
    """The rule of an edge or a policy that asks a person before a tool runs.

    Attributes:
        role: The role that may decide; without one, anybody but the requester.
        count: How many different people must agree, all to the same arguments.
        within: How long the request stays open, such as `"24h"`, `"30m"`, `"2d"` or a timedelta; without one, for ever.
        edit: Whether arguments may be edited, or the names (as on the wire) of those that may.
        when: Ask only when this holds for the arguments (named parameters of the tool); always without one.
        confirmation: Ask the person served, who decides on their own request, instead of another person.
        strict: Void the approval whenever the instance's revision moved, and not only when what was shown differs.
        on_expiry: What follows the deadline: `"reject"`, `Escalate(role)` (or, in short, `"escalate:ROLE"`), or
            `TakeEdge(tool)`.
        then: The rule of who is asked next, once these have agreed. They see the same call, and cannot edit it.
        named: Take only answers that say what they are about: under the approval's or the interrupt's id, or with the
            call that was shown. A bare yes that comes a second time is otherwise an answer to whatever waits then.
    """

    role: str | None = None
    count: int = 1
    within: Within = None
    edit: bool | frozenset[str] = True
    when: Callable[..., bool] | None = None
    confirmation: bool = False
    strict: bool = False
    on_expiry: Expiry | str = "reject"
    then: "Approval | None" = None
    named: bool = False

    def __post_init__(self) -> None:
        if self.role is not None:
            _check_role(self.role, "Approval")
        if isinstance(self.count, bool) or not isinstance(self.count, int) or self.count < 1:
            raise ContractError(f"Approval(count={self.count!r}): give a whole number from 1.")
        if not isinstance(self.edit, bool):
            object.__setattr__(self, "edit", _names(self.edit))
        if self.confirmation and (self.role is not None or self.count != 1):
            raise ContractError(
                "A confirmation is decided by the person served alone: give it neither a role nor a count."
            )
        if self.then is not None and not isinstance(self.then, Approval):
            raise ContractError(f"Approval(then={self.then!r}): give an Approval or a Confirmation.")
        if self.then is not None and self.then.when is not None:
            raise ContractError("Approval(then=...) is asked whenever the first one was: leave its `when` out.")
        object.__setattr__(self, "on_expiry", self._expiry())
        self.seconds  # noqa: B018 -- a duration that cannot be read is refused here and not at the first request

    def _expiry(self) -> Expiry:
        expiry = self.on_expiry
        if expiry == "reject":
            return "reject"
        if isinstance(expiry, str) and (found := re.fullmatch(r"escalate:(\S+)", expiry)):
            expiry = Escalate(found[1])
        if not isinstance(expiry, Escalate | TakeEdge):
            raise ContractError(
                f"Approval(on_expiry={self.on_expiry!r}): give 'reject', Escalate('ROLE') or TakeEdge('the.tool')."
            )
        if self.within is None:
            raise ContractError("Approval(on_expiry=...) without a deadline would never happen: give within= as well.")
        if self.confirmation and isinstance(expiry, Escalate):
            raise ContractError("Nobody else can confirm for the person served: a confirmation does not escalate.")
        return expiry

    @property
    def seconds(self) -> float | None:
        """How long a request stays open."""
        return None if self.within is None else duration(self.within)

    @property
    def stages(self) -> tuple["Approval", ...]:
        """This rule and those after it."""
        return (self,) if self.then is None else (self, *self.then.stages)

    def escalated(self, to: Escalate) -> "Approval":
        """The rule once the deadline has passed to another role."""
        return replace(self, role=to.role, within=to.within or self.within, on_expiry=to.then)

    def followed_by(self, other: "Approval") -> "Approval":
        """This rule, and then another one, unless it is among them already: what an edge and a policy both ask for."""
        wanted = replace(other, when=None, then=None).to_json()
        if any(replace(stage, then=None).to_json() == wanted for stage in self.stages):
            return self if other.then is None else self.followed_by(other.then)
        rest = replace(other, when=None) if self.then is None else self.then.followed_by(other)
        return replace(self, then=rest)

    def to_json(self) -> JsonObject:
        """The rule as it is stored with a request; the condition `when` is not part of it, for it was met."""
        return {
            "role": self.role,
            "count": self.count,
            "seconds": self.seconds,
            "edit": self.edit if isinstance(self.edit, bool) else [*sorted(self.edit)],
            "confirmation": self.confirmation,
            "strict": self.strict,
            "onExpiry": _expiry_to_json(self.on_expiry),
            "then": None if self.then is None else self.then.to_json(),
            **({"named": True} if self.named else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Approval":
        """Read what `to_json` gave."""
        edit = data["edit"]
        return cls(
            role=data["role"],
            count=data["count"],
            within=_within(data["seconds"]),
            edit=edit if isinstance(edit, bool) else frozenset(edit),
            confirmation=data["confirmation"],
            strict=data["strict"],
            on_expiry=_expiry_from_json(data["onExpiry"]),
            then=None if data.get("then") is None else cls.from_json(data["then"]),
            named=data.get("named", False),
        )

    def why_not(
        self,
        *,
        requester: Principal,
        by: Principal,
        kind: DecisionKind,
        served: str | None = None,
        earlier: Sequence[str] = (),
        stages: Sequence[Sequence[str]] = (),
    ) -> str | None:
        """Why a principal may not take a decision, or None when they may.

        Args:
            requester: Whose run proposed the call.
            by: Who decides.
            kind: What they decide.
            served: The id of the person whom the instance serves; None where that is nobody in particular, and then whoever
                requested confirms.
            earlier: The ids of those who already agreed to what would run now, of those who are asked at this stage.
            stages: The same for each stage before this one.
        """
        if by.tenant != requester.tenant:
            return "it belongs to another tenant"
        served = requester.id if served is None else served
        if self.confirmation:
            if by.id != served:
                return "only the person served can confirm it"
        elif (reason := self._why_not_another(requester, by, kind, earlier)) is not None:
            return reason
        if kind.agrees and (reason := self._why_not_again(by, served, stages)) is not None:
            return reason
        if kind is DecisionKind.EDIT and self.edit is False:
            return "its arguments may not be edited"
        if kind is DecisionKind.EDIT and stages:
            return "others agreed to it as it is; reject it, and let it be proposed anew"
        return None

    def _why_not_again(self, by: Principal, served: str, stages: Sequence[Sequence[str]]) -> str | None:
        """Why somebody may not agree at this stage of a chain: each takes a person of its own."""
        if not self.confirmation and not by.is_known and (stages or self.then is not None):
            return "each stage takes another person, and who decides is not known"
        if by.is_known and any(by.id in agreed for agreed in stages):
            return "the same person agreed at an earlier stage; each stage takes another one"
        if not self.confirmation and by.id == served and any(stage.confirmation for stage in self.stages):
            return "only they can confirm it at a later stage, and each stage takes another person"
        return None

    def _why_not_another(
        self, requester: Principal, by: Principal, kind: DecisionKind, earlier: Sequence[str]
    ) -> str | None:
        if requester.is_known and by.id == requester.id:
            return "nobody approves their own request"
        if self.role is not None and not by.has_role(self.role):
            return f"it takes the role {self.role!r}" + ("" if by.is_known else ", and who decides is not known")
        if requester.is_known and not by.is_known:
            return "who decides is not known, and it could be the requester"
        if self.count > 1 and not by.is_known:
            return "several people must agree, and who decides is not known"
        # Somebody who agreed may still change their mind, or agree to something else.
        if kind is DecisionKind.APPROVE and by.is_known and by.id in earlier:
            return "the same person already agreed; another one is needed"
        return None

    def may_edit(self, shown: Mapping[str, Any], edited: Mapping[str, Any]) -> str | None:
        """Why an edit of the arguments is not allowed, or None when it is."""
        if self.edit is True:
            return None
        allowed: frozenset[str] = frozenset() if self.edit is False else self.edit
        changed = {
            name
            for name in {*shown, *edited}
            if name not in shown or name not in edited or not is_same_json(shown[name], edited[name])
        }
        if not changed <= allowed:
            return f"{', '.join(sorted(changed - allowed))} may not be edited"
        return None


def Confirmation(  # noqa: N802 -- it reads as a kind of Approval where workflows are written
    *,
    within: Within = None,
    edit: bool | frozenset[str] = False,
    when: Callable[..., bool] | None = None,
    on_expiry: Literal["reject"] | TakeEdge = "reject",
    then: Approval | None = None,
    named: bool = False,
) -> Approval:
    """An approval that the person served gives on their own request."""
    return Approval(confirmation=True, within=within, edit=edit, when=when, on_expiry=on_expiry, then=then, named=named)


_LONGEST = 100 * 365.25 * 86400
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def duration(value: str | dt.timedelta) -> float:
    """Read a duration such as `"30m"`, `"1h30m"` or a timedelta, in seconds.

    Raises:
        ContractError: It cannot be read, is not positive, or longer than a hundred years.
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
    if seconds > _LONGEST:
        raise ContractError(f"The duration {value!r} is longer than a hundred years.")
    return seconds


def _check_role(role: object, where: str) -> None:
    if not isinstance(role, str) or not role.strip():
        raise ContractError(f"{where}(role={role!r}): give the name of a role, such as 'supervisor'.")


def _names(given: object) -> frozenset[str]:
    if isinstance(given, str) or not isinstance(given, (set, frozenset, list, tuple)):
        raise ContractError(
            f"Approval(edit={given!r}): give True, False, or the names of the arguments that may change."
        )
    return frozenset(given)


def _within(seconds: float | None) -> dt.timedelta | None:
    return None if seconds is None else dt.timedelta(seconds=seconds)


def _expiry_to_json(expiry: Expiry | str) -> str | JsonObject:
    match expiry:
        case Escalate(role, within, then):
            seconds = None if within is None else duration(within)
            return {"escalate": role, "seconds": seconds, "then": _expiry_to_json(then)}
        case TakeEdge(tool, arguments):
            return {"take": tool, "arguments": None if arguments is None else dict(arguments)}
        case _:
            return "reject"


def _expiry_from_json(data: Any) -> Expiry:
    if data == "reject":
        return "reject"
    if "take" in data:
        return TakeEdge(data["take"], data["arguments"])
    return Escalate(data["escalate"], _within(data["seconds"]), _expiry_from_json(data["then"]))


__all__ = [
    "Approval",
    "Confirmation",
    "Decision",
    "DecisionKind",
    "Escalate",
    "Expiry",
    "TakeEdge",
    "duration",
]
