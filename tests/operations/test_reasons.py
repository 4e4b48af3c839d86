"""A person's reason for an act: one rule and one text, wherever one is taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from interlock import Approval, Budget, Principal, Workflow, WorkflowStore, command
from interlock.checkpointing.reasons import LONGEST_REASON
from interlock.checkpointing.removing.erasing import erase_instances
from interlock.testing import ScriptedChatModel
from interlock.tools.errors import InputError, OutcomeUnknown

ANN = Principal("ann")
BOSS = Principal("mia", roles=frozenset({"boss"}))


@command("desk.close", effect="transactional")
def close() -> str:
    """Close the desk."""
    return "closed"


@command("mail.send", effect="at_most_once")
def send() -> str:
    """Send a mail; nobody knows whether it left."""
    raise ConnectionError("gone")


class Desk:
    """An instance with an open request, a budget, a thread and an attempt of unknown outcome."""

    def __init__(self) -> None:
        flow = Workflow("desk", model=ScriptedChatModel(forever="Hello."))
        flow.add_state("open")
        flow.add_edge("open", close, "open", approval=Approval(by="mia"))
        flow.add_edge("open", send, "open")
        flow.cancellable(role="boss")
        flow.budgets(Budget(tokens=10, reserve=10, raised_by="boss", name="case"))
        self.store = WorkflowStore.in_memory()
        self.graph = flow.compile(workflow_store=self.store, destructive_in_memory=True)
        self.instances = self.graph.instances
        self.graph.invoke({"messages": [("user", "hi")]}, {"configurable": {"thread_id": "t-1"}}, context=ANN)
        (instance,) = self.store.instances()
        self.id = instance.workflow_id
        asked: Any = self.instances.propose(self.id, "desk.close", {}, principal=ANN, key="k")
        self.approval = asked.pending.proposal_id

    def broke_off(self) -> None:
        with pytest.raises(OutcomeUnknown):
            self.instances.propose(self.id, "mail.send", {}, principal=ANN, key="m")

    @property
    def recorded(self) -> int:
        return len(self.store.audit(self.id))

    @property
    def said(self) -> Any:
        """The reason, or note, of the newest record that has one."""
        payloads = [one.payload or {} for one in self.store.audit(self.id)]
        found = [one.get("reason", one.get("note")) for one in payloads if "reason" in one or "note" in one]
        return found[-1]


@dataclass(frozen=True)
class Act:
    """Something that takes a reason."""

    do: Callable[[Desk, Any], Any]
    is_needed: bool = True
    before: Callable[[Desk], None] = lambda desk: None
    is_recorded: bool = True


ACTS: dict[str, Act] = {
    "cancel": Act(lambda desk, reason: desk.instances.cancel(desk.id, reason, by=BOSS)),
    "raise a budget": Act(
        lambda desk, reason: desk.instances.raise_budget(desk.id, "case", 5, by=BOSS, reason=reason, key="k")
    ),
    "reassign": Act(
        lambda desk, reason: desk.instances.reassign(desk.approval, "nil", by=BOSS, reason=reason), is_needed=False
    ),
    "resolve": Act(
        lambda desk, note: desk.instances.resolve(desk.id, "failed", by=BOSS, note=note),
        is_needed=False,
        before=Desk.broke_off,
    ),
    "erase the record": Act(lambda desk, reason: desk.store.erase_audit(desk.id, by=BOSS, reason=reason)),
    "erase the instance": Act(lambda desk, reason: erase_instances(desk.store, "t-1", by=BOSS, reason=reason)),
    "hold the database": Act(lambda desk, reason: desk.store.recovery.mark_restored(reason), is_recorded=False),
}
NONE = [None, "", "  \n"]
WRONG = [7, b"because", ["because"], {"why": "because"}, "x" * (LONGEST_REASON + 1), "bad \x00", "half \ud83d"]


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_an_invalid_reason_is_refused_everywhere_and_nothing_happens(act: Act) -> None:
    desk = Desk()
    act.before(desk)
    before, row = desk.recorded, desk.store.get(desk.id)
    for reason in [*WRONG, *(NONE if act.is_needed else [])]:
        with pytest.raises(InputError, match=r"text of 1 to 2000 characters|cannot be recorded") as refused:
            act.do(desk, reason)
        assert (refused.value.code, refused.value.message.count("othing was")) == ("no_reason", 1), reason
    assert (desk.recorded, desk.store.get(desk.id)) == (before, row)
    assert desk.store.recovery.standing().held_since is None


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_a_reason_is_recorded_without_the_spaces_around_it(act: Act) -> None:
    desk = Desk()
    act.before(desk)
    act.do(desk, f"  {'é' * (LONGEST_REASON - 2)}<\u202e ")
    if act.is_recorded:
        assert desk.said == f"{'é' * (LONGEST_REASON - 2)}<\u202e"


@pytest.mark.parametrize("name", [name for name, act in ACTS.items() if not act.is_needed])
@pytest.mark.parametrize("reason", NONE)
def test_an_empty_optional_reason_counts_as_none(name: str, reason: Any) -> None:
    desk = Desk()
    ACTS[name].before(desk)
    ACTS[name].do(desk, reason)
    assert desk.said is None
