"""Approvals: the rule of who may decide on a proposal, what follows when nobody does, and the decision itself."""

import datetime as dt
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from ..canonical import JsonObject, is_same_json
from ..contracts.options import explains_fields, explains_options
from ..contracts.yes_or_no import is_deferred
from ..errors import ContractError, InputError
from ..functions import Rule
from ..principal import Principal
from .chat import Chat
from .deadlines import Within, check_within, due, duration, seconds_of, within_from_json, within_to_json
from .deciders import By, Named, RoleHolders, by_from_json, by_to_json, check_role, named, people_in_words
from .expiry import Escalate, Expiry, TakeEdge, expiry_from_json, expiry_to_json
from .standing_in import represented_by


class DecisionKind(StrEnum):
    """What a person can decide about a proposal: approve, edit, reject, or respond."""

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
        """Whether the call may run on this decision."""
        return self in {DecisionKind.APPROVE, DecisionKind.EDIT}


DecisionName = Literal["approve", "edit", "reject", "respond"]
"""A `DecisionKind` by its name."""


@dataclass(frozen=True)
class Decision:
    """One person's decision on one approval."""

    kind: DecisionKind
    """The kind of the decision; a text, such as `"approve"`, is taken as well."""
    arguments: JsonObject | None = None
    """For an edit: the arguments to run with, as on the wire."""
    message: str | None = None
    """The reason, for the record and for the model."""
    values: JsonObject | None = None
    """For an approval: the values of the parameters that only the approver fills in (`FromDecision`), by name on the wire."""
    seen: JsonObject | None = None
    """The arguments that the person was shown, if the caller knows them. The decision is declined if other arguments would run."""

    if TYPE_CHECKING:

        def __init__(
            self,
            kind: DecisionKind | DecisionName,
            arguments: Mapping[str, Any] | None = None,
            message: str | None = None,
            values: Mapping[str, Any] | None = None,
            seen: Mapping[str, Any] | None = None,
        ) -> None: ...

    else:

        def __post_init__(self) -> None:
            try:
                object.__setattr__(self, "kind", DecisionKind(self.kind))
            except ValueError:
                raise InputError(
                    f"Decision({self.kind!r}) is none of the decisions: give {', '.join(map(repr, map(str, DecisionKind)))}."
                ) from None


@explains_fields(
    roles="Who decides is role=, the name of one role; by= names people of the case.",
    timeout="A deadline is within=, such as within='24h'.",
    deadline="A deadline is within=, such as within='24h'.",
)
@dataclass(frozen=True, kw_only=True)
class Approval:
    """The rule of an edge or a policy that asks a person before a tool runs.

    Attributes:
        role: The role that may decide. Without a role, anybody except the requester may.
        by: The people who may decide: one ID, several IDs, or `RoleHolders(role)`; or a function of the view that returns one of these when
            the request is made. Together with `role=`, these people must have that role as well.
        count: How many different people must agree to the same arguments.
        within: How long the request stays open: a duration such as `"24h"`, `"30m"`, `"2d"` or a timedelta; or the moment when it expires;
            or a function of the view that returns either when the request is made. By default it never expires. In a later stage, a
            duration counts from the moment when that stage is asked.
        edit: Whether the approver may edit the arguments; or the names, as on the wire, of the arguments that may be edited.
        when: A condition over the arguments, which it takes by their parameter names: a person is asked only if it returns True. By default
            a person is always asked.
        confirmation: Ask the person served, who decides on their own request, instead of another person.
        strict: Void the approval whenever the instance's revision has changed, and not only when something that was shown has changed.
        on_expiry: What happens at the deadline: `"reject"`, `Escalate(role)` (or, in short, `"escalate:ROLE"`), or
            `TakeEdge(tool)`.
        then: The rule of the next stage, which is asked once the people of this stage have agreed. They see the same call and cannot edit
            it.
        chat: Ask in the conversation, and read the next message of the person served as the answer; for confirmations only.
        remind: The interval at which the people who are asked are reminded: a duration such as `"4h"`.
        reassign: The role that may assign an open request to other people. Anyone who may decide on the request may do so as well.
        from_case: The names of the parts that a function of the view supplied; set when the request is made.
        named: Accept only an answer that names its request: by the approval's or the interrupt's ID, or with the call that was shown.
            Otherwise a plain yes that arrives twice also answers the next request.
    """

    role: str | None = None
    count: int = 1
    within: Within = None
    edit: bool | Collection[str] = True
    when: Rule | None = None
    confirmation: bool = False
    strict: bool = False
    on_expiry: Expiry | str = "reject"
    then: "Approval | None" = None
    named: bool = False
    by: By = None
    chat: Chat | None = None
    remind: str | dt.timedelta | None = None
    reassign: str | None = None
    from_case: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.role is not None:
            check_role(self.role, "Approval")
        if self.reassign is not None:
            check_role(self.reassign, "Approval.reassign")
        if self.remind is not None:
            duration(self.remind)
        if callable(self.by) and is_deferred(self.by):
            raise ContractError(
                f"Approval(by={self.by!r:.200}): give a plain function of the view, neither async nor a generator."
            )
        if self.by is not None and not callable(self.by):
            object.__setattr__(self, "by", named(self.by))
        if isinstance(self.count, bool) or not isinstance(self.count, int) or self.count < 1:
            raise ContractError(f"Approval(count={self.count!r}): give a whole number from 1.")
        if not isinstance(self.edit, bool):
            object.__setattr__(self, "edit", _names(self.edit))
        others = (self.role, self.by, self.reassign)
        if self.confirmation and (self.count != 1 or any(one is not None for one in others)):
            raise ContractError(
                "A confirmation is decided by the person served alone: give it neither a role, nor people, nor a count."
            )
        if self.chat is not None and not (self.confirmation and isinstance(self.chat, Chat)):
            raise ContractError(
                "Only a confirmation is asked in the chat: give Confirmation(chat=True), or a Chat(...)."
            )
        if isinstance(self.by, frozenset) and len(self.by) < self.count:
            raise ContractError(
                f"Approval(by=..., count={self.count}): {len(self.by)} people cannot agree {self.count} times."
            )
        if self.then is not None and not isinstance(self.then, Approval):
            raise ContractError(f"Approval(then={self.then!r}): give an Approval or a Confirmation.")
        if self.then is not None and self.then.when is not None:
            raise ContractError("Approval(then=...) is asked whenever the first one was: leave its `when` out.")
        object.__setattr__(self, "on_expiry", self._expiry())
        check_within(self.within)  # what cannot be read is refused here and not at the first request

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
        """The duration for which a request stays open, in seconds; None unless `within` is a known duration."""
        return seconds_of(self.within)

    def due(self, now: int) -> int | None:
        """Return when a request that is made now expires, in microseconds since 1970 UTC; None for never."""
        return due(self.within, now)

    def reminder(self, now: int) -> int | None:
        """Return when the people who are asked now are reminded, in microseconds since 1970 UTC; None for never."""
        return None if self.remind is None else now + int(duration(self.remind) * 1_000_000)

    @property
    def who(self) -> str:
        """Who may decide, in a few words."""
        if self.confirmation:
            return "the person served"
        by: By = self.by
        if by is None:
            return "anybody else" if self.role is None else f"the role {self.role!r}"
        words = people_in_words(by)
        return words if self.role is None else f"{words} with the role {self.role!r}"

    @property
    def stages(self) -> tuple["Approval", ...]:
        """This rule and the rules of the stages after it, in order."""
        return (self,) if self.then is None else (self, *self.then.stages)

    def escalated(self, to: Escalate) -> "Approval":
        """Return the rule that applies after an escalation."""
        return replace(self, role=to.role, by=to.by, within=to.within or self.within, on_expiry=to.then)

    def followed_by(self, other: "Approval") -> "Approval":
        """Return this rule with another one as its last stage, unless it is one of the stages already: for an edge and a policy that both
        require an approval.
        """
        wanted = replace(other, when=None, then=None).to_json()
        if any(replace(stage, then=None).to_json() == wanted for stage in self.stages):
            return self if other.then is None else self.followed_by(other.then)
        rest = replace(other, when=None) if self.then is None else self.then.followed_by(other)
        return replace(self, then=rest)

    def to_json(self) -> JsonObject:
        """Return the rule as it is stored with a request. The condition `when` is left out, because it was met."""
        return {
            "role": self.role,
            "count": self.count,
            **within_to_json(self.within),
            "edit": self.edit if isinstance(self.edit, bool) else [*sorted(self.edit)],
            "confirmation": self.confirmation,
            "strict": self.strict,
            "onExpiry": expiry_to_json(self.on_expiry),
            "then": None if self.then is None else self.then.to_json(),
            **({"named": True} if self.named else {}),
            **({} if self.by is None else {"by": by_to_json(self.by)}),
            **({} if self.chat is None else {"chat": self.chat.to_json()}),
            **({} if self.remind is None else {"remind": duration(self.remind)}),
            **({} if self.reassign is None else {"reassign": self.reassign}),
            **({"fromCase": [*sorted(self.from_case)]} if self.from_case else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Approval":
        """Parse what `to_json` returned."""
        edit = data["edit"]
        return cls(
            role=data["role"],
            count=data["count"],
            within=within_from_json(data),  # type: ignore[arg-type]
            edit=edit if isinstance(edit, bool) else frozenset(edit),
            confirmation=data["confirmation"],
            strict=data["strict"],
            on_expiry=expiry_from_json(data["onExpiry"]),
            then=None if data.get("then") is None else cls.from_json(data["then"]),
            named=data.get("named", False),
            by=by_from_json(data.get("by")),
            chat=Chat.from_json(data.get("chat")),
            remind=None if data.get("remind") is None else dt.timedelta(seconds=data["remind"]),
            reassign=data.get("reassign"),
            from_case=frozenset(data.get("fromCase", ())),
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
        acts_for: Collection[str] = (),
        represented: Collection[str] = (),
    ) -> str | None:
        """Return why a principal may not take a decision, or None if they may.

        Args:
            requester: The principal whose run proposed the call.
            by: The principal who decides.
            kind: The kind of the decision.
            served: The ID of the person served; None if the instance serves nobody in particular, and then the requester confirms.
            earlier: The IDs of the people who have already agreed, in this stage, to the arguments that would run.
            stages: The same IDs for each earlier stage.
            acts_for: The IDs of the people whose delegate `by` is at present.
            represented: The IDs of the people on whose behalf a delegate has agreed.
        """
        if by.tenant != requester.tenant:
            return "it belongs to another tenant"
        served = requester.id if served is None else served
        if self.confirmation:
            if by.id != served:
                return "only the person served can confirm it"
        else:
            taken = {*represented, *earlier, *(one for stage in stages for one in stage)}
            person = self.decides_for(requester=requester, by=by, served=served, acts_for=acts_for, taken=taken)
            if (reason := self._why_not_another(requester, by, kind, earlier, person)) is not None:
                return reason
            if kind.agrees and by.id in represented:
                return "somebody agreed on their behalf already; another person is needed"
        if kind.agrees and (reason := self._why_not_again(by, served, stages)) is not None:
            return reason
        if kind is DecisionKind.EDIT and self.edit is False:
            return "its arguments may not be edited"
        if kind is DecisionKind.EDIT and stages:
            return "others agreed to it as it is; reject it, and have it proposed again"
        return None

    def decides_for(
        self,
        *,
        requester: Principal,
        by: Principal,
        served: str | None,
        acts_for: Collection[str],
        taken: Collection[str],
    ) -> str | None:
        """Return the ID of the person on whose behalf `by` decides, where the rule does not name `by` directly; None if there is nobody.

        Args:
            requester: The principal whose run proposed the call.
            by: The principal who decides.
            served: The ID of the person whom the instance serves.
            acts_for: The IDs of the people whose delegate `by` is at present.
            taken: The IDs of the people who have agreed, or on whose behalf somebody has.
        """
        confirms = {served} if served is not None and any(stage.confirmation for stage in self.stages) else set()
        return represented_by(self.by, by, acts_for=acts_for, taken=taken, barred={requester.id, *confirms})

    def _why_not_again(self, by: Principal, served: str, stages: Sequence[Sequence[str]]) -> str | None:
        """Why somebody may not agree at this stage of a chain: each takes its own person."""
        if not self.confirmation and not by.is_known and (stages or self.then is not None):
            return "each stage takes another person, and who decides is not known"
        if by.is_known and any(by.id in agreed for agreed in stages):
            return "the same person agreed at an earlier stage; each stage takes another one"
        if not self.confirmation and by.id == served and any(stage.confirmation for stage in self.stages):
            return "only they can confirm it at a later stage, and each stage takes another person"
        return None

    def _why_not_another(
        self, requester: Principal, by: Principal, kind: DecisionKind, earlier: Sequence[str], person: str | None
    ) -> str | None:
        if requester.is_known and by.id == requester.id:
            return "nobody approves their own request"
        if self.by is not None and person is None and not (by.is_known and _is_among(by, self.by)):
            return f"it is for {self.who} to decide"
        if self.role is not None and not by.has_role(self.role):
            return f"it takes the role {self.role!r}" + ("" if by.is_known else ", and who decides is not known")
        if requester.is_known and not by.is_known:
            return "who decides is not known, and it could be the requester; say who it is, as in context=Principal(...) or by="
        if self.count > 1 and not by.is_known:
            return "several people must agree, and who decides is not known"
        # Somebody who agreed may still change their mind, or agree to something else.
        if kind is DecisionKind.APPROVE and by.is_known and by.id in earlier:
            return "the same person already agreed; another one is needed"
        return None

    def may_edit(self, shown: Mapping[str, Any], edited: Mapping[str, Any]) -> str | None:
        """Return why an edit of the arguments is not allowed, or None if it is."""
        if self.edit is True:
            return None
        allowed: frozenset[str] = frozenset() if isinstance(self.edit, bool) else frozenset(self.edit)
        changed = {
            name
            for name in {*shown, *edited}
            if name not in shown or name not in edited or not is_same_json(shown[name], edited[name])
        }
        if not changed <= allowed:
            return f"{', '.join(sorted(changed - allowed))} may not be edited"
        return None


@explains_options(role="The person served decides a confirmation; a role decides an Approval(role=...).")
def Confirmation(  # noqa: N802 -- it reads as a kind of Approval where workflows are written
    *,
    within: Within = None,
    edit: bool | Collection[str] = False,
    when: Rule | None = None,
    on_expiry: Literal["reject"] | TakeEdge = "reject",
    then: Approval | None = None,
    named: bool = False,
    chat: Chat | bool = False,
    remind: str | dt.timedelta | None = None,
) -> Approval:
    """Create the rule for a confirmation: the person served decides on their own request; with `chat=`, by their next message in the
    conversation.

    The arguments are those of `Approval`.
    """
    asked = Chat() if chat is True else (chat or None)
    return Approval(
        confirmation=True,
        within=within,
        edit=edit,
        when=when,
        on_expiry=on_expiry,
        then=then,
        named=named,
        chat=asked,
        remind=remind,
    )


def _is_among(by: Principal, people: By) -> bool:
    if callable(people):  # a rule that nobody asked yet; the gate asks before it is used
        return False
    who: Named = named(people)
    return by.has_role(who.role) if isinstance(who, RoleHolders) else by.id in who


def _names(given: object) -> frozenset[str]:
    if isinstance(given, str) or not isinstance(given, (set, frozenset, list, tuple)):
        raise ContractError(
            f"Approval(edit={given!r}): give True, False, or the names of the arguments that may change."
        )
    return frozenset(given)


__all__ = ["Approval", "Confirmation", "Decision", "DecisionKind", "Escalate", "Expiry", "TakeEdge"]
