"""Hostile replays of the benchmark's 119 writes: each attack alone on each write, against the compiled desk.

Every attack fails in the same way: nothing is carried out, no tool's body is reached, somebody is told with a structured error,
the audit trail has it, and every row of the shop is as it was. `make attacks` makes all of them, beside LangChain's own stack;
here each is made on a share of the writes that the seed chooses, or on all with `INTERLOCK_ATTACKS=all`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from langgraph.types import Command

from interlock.checkpointing.store import AuditKind
from interlock.tools.errors import ClaimError
from interlock.workflows.retail import workflow as retail
from tests.workflows.retail import attack_range, attacked, attacks, tau2
from tests.workflows.retail import desk as desks
from tests.workflows.retail.attack_range import Range, assert_it_came_to_nothing
from tests.workflows.retail.attacked import Write
from tests.workflows.retail.desk import CUSTOMER

pytestmark = tau2.needs_tau2

SHARE = None if os.environ.get("INTERLOCK_ATTACKS") == "all" else 5


@pytest.fixture(scope="module")
def shooting_range() -> Iterator[Range]:
    made = Range()
    yield made
    made.close()


@pytest.mark.parametrize(("name", "write"), attack_range.plan(SHARE), ids=str)
def test_an_attack_comes_to_nothing(name: str, write: Write, shooting_range: Range) -> None:
    assert_it_came_to_nothing(shooting_range.suffers(name, write))


def test_every_attack_can_be_made_on_the_writes_that_it_is_about() -> None:
    assert len(attacked.writes()) == 119
    counts = {name: sum(on(write) for write in attacked.writes()) for name, (_, on) in attacks.ATTACKS.items()}
    assert set(counts.values()) == {119, 112, 96, 22}
    assert counts["wrong order status"] == 112
    assert counts["the same change a second time"] == 96


WRITES = attacked.writes()


@pytest.mark.parametrize("write", WRITES if SHARE is None else WRITES[::17], ids=str)
def test_a_change_that_was_forgotten_where_the_changes_are_listed_is_denied(
    write: Write, shooting_range: Range, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not on a list of what needs a yes runs elsewhere without one; here what is on no edge does not run."""
    desk = shooting_range.prepared(write)
    before = desk.shop()
    monkeypatch.setattr(retail, "CHANGING", [tool for tool in retail.CHANGING if tool.name != write.tool])
    with pytest.raises(ClaimError, match="does not have"):
        desks.make_desk(store=desk.store)  # the desk's claims name the change, so it does not even compile
    monkeypatch.setattr(retail, "CLAIMS", ())
    with desks.counted() as reached:
        forgetful = desks.make_desk(store=desk.store)
        forgetful.config = {"configurable": {"thread_id": f"forgotten-{write}"}}
        assert not forgetful.says(desks.identification(write.owner), desks.proposal(write.name, write.arguments)), (
            "nobody is asked to confirm it"
        )
        forgetful.graph.instances.execute(forgetful.config, write.tool, write.arguments, principal=CUSTOMER)

    assert (reached, forgetful.shop()) == ({}, before)
    denied = [record.code for record in forgetful.audit if record.kind is AuditKind.DENIAL]
    assert denied == ["unknown_tool", "unknown_tool"]


REPEATABLE = [write for write in attacked.writes() if write.may_be_repeated]


@pytest.mark.parametrize("write", REPEATABLE if SHARE is None else REPEATABLE[:SHARE], ids=str)
def test_what_may_be_done_twice_is_done_twice_with_two_confirmations(write: Write, shooting_range: Range) -> None:
    desk = shooting_range.prepared(write)
    with desks.counted() as reached:
        for number in (1, 2):
            arguments = {**write.arguments, "address1": f"{number} New Street"}
            proposal = desks.proposal(write.name, arguments)
            answers = [desks.identification(write.owner), proposal] if number == 1 else [proposal]
            ((interrupt_id, shown),) = desk.says(*answers).items()
            assert shown["arguments"]["address1"] == f"{number} New Street"
            desk.resumes(Command(resume={interrupt_id: {"type": "approve"}}))
            assert desk.last_result["ok"]

    assert reached == {write.tool: 2}
    key = "order_id" if "order_id" in write.arguments else "user_id"
    assert desk.changed() >= {(key, write.arguments[key])}
    kinds = [record.kind for record in desk.audit]
    assert kinds.count(AuditKind.DECISION) == 2
