"""Proposing without a thread: the same gate, ledger, approvals and record as in the graph, once, and safe to repeat."""

from __future__ import annotations

from typing import Any

import pytest

from interlock import (
    Approval,
    CommandResult,
    Confirmation,
    ErrorResult,
    LimitPerPeriod,
    Limits,
    Pending,
    Principal,
    ReadResult,
    Workflow,
    command,
    read,
)
from interlock.tools.errors import IdempotencyError, InputError, PrincipalError, RevisionConflict, RunError
from tests.commands.approvals.support import ADA, BEN, HOUR, MALLORY, RULE, STRANGER, Home, Shop
from tests.commands.proposals.support import CASE, Door, code, door

HOWS = pytest.mark.parametrize("how", ["sync", "async"])


@HOWS
def test_a_read_and_a_command_are_answered_with_their_results(home: Home, shop: Shop, how: str) -> None:
    desk = door(home, shop, how=how, approval=None)
    looked = desk.propose("order.get", orderId="1")
    assert isinstance(looked, ReadResult)
    assert (looked.current_state, looked.revision, looked.output) == ("open", 0, {"done": True})
    done = desk.refund()
    assert isinstance(done, CommandResult)
    assert (done.previous_state, done.current_state, done.revision) == ("open", "open", 1)
    assert done.audit_ref == desk.graph.instances.audit(CASE)[-1].audit_ref
    assert desk.kinds == ["started", "read", "transition"]
    assert desk.graph.engine.store.verify(CASE) == []


@HOWS
def test_a_call_that_needs_a_decision_waits_and_is_executed_once_when_granted(home: Home, shop: Shop, how: str) -> None:
    desk = door(home, shop, how=how)
    pending = desk.asked()
    assert pending.to_json() == {
        "ok": None,
        "workflowId": CASE,
        "currentState": "open",
        "revision": 0,
        "nextAllowedTools": ["order.get", "order.refund", "order.cancel", "desk.park", "desk.close"],
        "auditRef": desk.graph.instances.audit(CASE)[-1].audit_ref,
        "pending": {
            "proposalId": pending.pending.proposal_id,
            "kind": "approval",
            "decidedBy": "somebody with the role 'supervisor'",
            "deadline": "2027-01-16T08:00:00.000000Z",
            "preview": {"balance": {"from": "100", "to": "95"}},
            "reasons": [],
        },
    }
    assert desk.proposal(pending) == desk.refund() == pending
    assert desk.kinds == ["started", "approval"]

    desk.graph.instances.decide(pending.pending.proposal_id, "approve", by=BEN)
    assert shop.ran == []
    done = desk.proposal(pending)
    again = desk.proposal(pending)
    repeated = desk.refund()

    assert shop.ran == ["refund 1 5"]
    assert isinstance(done, CommandResult)
    assert again == repeated == done.model_copy(update={"replayed": True})
    assert [record.principal_id for record in desk.graph.instances.audit(CASE)] == ["ada", "ada", "ben", "ada"]


def test_an_edited_proposal_runs_as_it_was_edited_and_is_repeated_as_it_was_proposed(home: Home, shop: Shop) -> None:
    desk = door(home, shop)
    pending = desk.asked()
    edit = {"type": "edit", "args": {"orderId": "1", "amount": "4"}}
    desk.graph.instances.decide(pending.pending.proposal_id, edit, by=BEN)
    assert code(desk.refund()) == "ok"
    assert code(desk.refund()) == "ok"
    with pytest.raises(IdempotencyError):
        desk.refund(amount="4")
    assert shop.ran == ["refund 1 4"]


def test_a_confirmation_is_decided_by_the_person_served(home: Home, shop: Shop) -> None:
    desk = door(home, shop, approval=Confirmation())
    pending = desk.asked()
    assert (pending.pending.kind, pending.pending.decided_by) == ("confirmation", "the person served, ada")
    with pytest.raises(PrincipalError):
        desk.graph.instances.decide(pending.pending.proposal_id, "approve", by=BEN)
    desk.graph.instances.decide(pending.pending.proposal_id, "approve", by=ADA)
    assert code(desk.proposal(pending)) == "ok"


def test_a_command_without_key_and_revision_is_refused_with_what_to_give(home: Home, shop: Shop) -> None:
    desk = door(home, shop)
    with pytest.raises(InputError, match=r"Pass key= .* or revision=") as refused:
        desk.refund(key=None)
    assert refused.value.code == "key_required"
    assert desk.kinds == ["started"]


@pytest.mark.parametrize("given", [{"key": "k"}, {"key": None, "revision": 0}, {"key": "k", "revision": 0}])
def test_a_lost_answer_is_asked_for_again_without_doing_anything_twice(
    home: Home, shop: Shop, given: dict[str, Any]
) -> None:
    desk = door(home, shop, approval=None)
    first, second = desk.refund(**given), desk.refund(**given)
    assert isinstance(first, CommandResult)
    assert second == first.model_copy(update={"replayed": True})
    assert shop.ran == ["refund 1 5"]


def test_the_same_key_with_another_call_is_a_conflict(home: Home, shop: Shop) -> None:
    desk = door(home, shop)
    pending = desk.asked()
    for amount, tool in (("6", "order.refund"), ("5", "order.cancel")):
        with pytest.raises(IdempotencyError) as refused:
            desk.propose(tool, key="r-1", orderId="1", **({"amount": amount} if tool == "order.refund" else {}))
        assert refused.value.details["proposalId"] == pending.pending.proposal_id
    desk.propose("order.cancel", key="c-1", orderId="1")
    with pytest.raises(IdempotencyError):
        desk.propose("order.cancel", key="c-1", orderId="2")
    assert shop.ran == ["cancel 1"]


def test_a_stale_revision_is_a_conflict_that_says_where_the_instance_stands(home: Home, shop: Shop) -> None:
    desk = door(home, shop)
    desk.propose("desk.park", key="p", orderId="1")
    for key in ("c", None):
        with pytest.raises(RevisionConflict, match="is at revision 1 now, in 'parked'") as stale:
            desk.propose("desk.close", key=key, revision=0)
        assert stale.value.details == {
            "workflowId": CASE,
            "currentState": "parked",
            "revision": 1,
            "nextAllowedTools": ["desk.close"],
        }
    assert shop.ran == ["park 1"]


def test_a_stale_revision_asks_nobody(home: Home, shop: Shop) -> None:
    desk = door(home, shop)
    desk.propose("order.cancel", key="c", orderId="1")
    with pytest.raises(RevisionConflict):
        desk.refund(key=None, revision=0)
    with pytest.raises(RevisionConflict):
        desk.propose("order.get", orderId="1", revision=0)
    assert desk.graph.instances.approvals().approvals == ()


def test_a_request_is_not_voided_by_data_that_it_does_not_depend_on(home: Home, shop: Shop) -> None:
    desk = door(home, shop)
    pending = desk.asked(key=None, revision=0)
    desk.propose("order.cancel", key="c", orderId="2")  # stays in the state; the revision moves
    assert code(desk.refund(key=None, revision=0)) == "approval"
    desk.graph.instances.decide(pending.pending.proposal_id, "approve", by=BEN)
    assert code(desk.proposal(pending)) == "ok"
    assert shop.ran == ["cancel 2", "refund 1 5"]


@pytest.mark.parametrize("when", ["before it is decided", "after it was granted"])
@pytest.mark.parametrize("why", ["transition", "preview", "its own rule"])
def test_a_request_is_void_when_its_binding_changed(home: Home, shop: Shop, why: str, when: str) -> None:
    desk = door(home, shop, approval=Approval(role="supervisor", strict=why == "its own rule"))
    pending = desk.asked()
    instances, approval_id = desk.graph.instances, pending.pending.proposal_id
    if when == "after it was granted":
        instances.decide(approval_id, "approve", by=BEN)
    match why:
        case "transition":
            desk.propose("desk.park", key="p", orderId="1")
        case "preview":
            shop.balance -= 1
        case _:
            desk.propose("order.cancel", key="c", orderId="2")
    ran = list(shop.ran)
    if when == "before it is decided" and why == "preview":
        instances.decide(approval_id, "approve", by=BEN)  # the preview is looked at again when it runs
    assert {code(desk.proposal(pending)) for _ in range(3)} == {"approval_void"}
    assert code(desk.refund()) == "approval_void"
    assert shop.ran == ran
    assert desk.kinds.count("void") == 1
    assert instances.approval(approval_id)["status"] == "void"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [("reject", "approval_rejected"), ({"type": "respond", "message": "ask first"}, "approval_rejected")],
)
def test_a_rejection_is_the_answer_each_time_and_writes_nothing(
    home: Home, shop: Shop, answer: Any, expected: str
) -> None:
    desk = door(home, shop)
    pending = desk.asked(key=None, revision=0)
    desk.graph.instances.decide(pending.pending.proposal_id, answer, by=BEN)
    before = desk.kinds
    answers = [desk.proposal(pending), desk.proposal(pending), desk.refund(key=None, revision=0)]
    assert {code(one) for one in answers} == {expected}
    assert {one.audit_ref for one in answers} == {desk.graph.instances.audit(CASE)[-1].audit_ref}
    assert desk.kinds == before


def test_after_a_rejection_only_a_new_key_or_another_revision_asks_anew(home: Home, shop: Shop) -> None:
    desk = door(home, shop)
    first = desk.asked(key=None, revision=0)
    desk.graph.instances.decide(first.pending.proposal_id, "reject", by=BEN)
    assert code(desk.refund(key=None, revision=0)) == "approval_rejected"
    by_key = desk.asked(key="new")
    desk.propose("order.cancel", key="c", orderId="2")
    by_revision = desk.asked(key=None, revision=1)
    ids = {one.pending.proposal_id for one in (first, by_key, by_revision)}
    assert len(ids) == 3


def test_a_request_expires_whoever_looks_first(home: Home, shop: Shop) -> None:
    desk = door(home, shop)
    first, second = desk.asked(), desk.asked(key="r-2")
    home.clock.advance(25 * HOUR)
    assert code(desk.proposal(first)) == "approval_expired"
    assert code(desk.refund(key="r-2")) == "approval_expired"
    assert desk.kinds.count("void") == 2
    assert code(desk.proposal(second)) == "approval_expired"


def test_the_gate_denies_as_it_does_in_the_graph(home: Home, shop: Shop) -> None:
    desk = door(home, shop)
    answers = [
        desk.propose("order.refund", key="a", orderId="unpaid", amount="5"),
        desk.propose("order.refund", key="b", orderId="1"),
        desk.propose("no.such.tool", key="c"),
    ]
    assert [code(one) for one in answers] == ["check_failed", "invalid_arguments", "unknown_tool"]
    assert desk.kinds == ["started", "denial", "denial", "denial"]


@pytest.mark.parametrize("tool", ["order.cancel", "order_cancel"])
def test_a_tool_is_named_as_in_the_workflow_or_as_models_name_it(home: Home, shop: Shop, tool: str) -> None:
    assert code(door(home, shop).propose(tool, key="c", orderId="1")) == "ok"


def test_to_another_tenant_nothing_is_there_and_a_stranger_is_refused_and_recorded(home: Home, shop: Shop) -> None:
    desk = door(home, shop)
    pending = desk.asked()
    with pytest.raises(RunError, match="There is no workflow instance"):
        desk.refund(by=STRANGER)
    with pytest.raises(InputError, match="There is no approval"):
        desk.proposal(pending, by=STRANGER)
    for work in (lambda: desk.refund(by=MALLORY), lambda: desk.proposal(pending, by=MALLORY)):
        with pytest.raises(PrincipalError):
            work()
    assert [record.principal_id for record in desk.graph.instances.audit(CASE)][2:] == ["mallory", "mallory"]


def test_nobody_uses_the_key_of_somebody_else(home: Home, shop: Shop) -> None:
    desk = door(home, shop, run_by="tenant")
    desk.asked(key="r-1")
    desk.propose("order.cancel", key="c-1", orderId="1")
    assert code(desk.refund(by=MALLORY)) == "approval_required"
    assert code(desk.propose("order.cancel", by=MALLORY, key="c-1", orderId="1")) == "idempotency_mismatch"
    assert code(desk.refund(by=MALLORY, key=None, revision=1)) == "approval"  # their own
    assert shop.ran == ["cancel 1"]


def test_a_principal_with_many_denials_waits_and_others_do_not(home: Home, shop: Shop) -> None:
    desk = door(home, shop, run_by="tenant", limits=Limits(denials=3, pause=30))
    wrong = [desk.refund(key=f"{number}", amount="much") for number in range(6)]
    assert [code(one) for one in wrong] == ["invalid_arguments"] * 3 + ["limit_reached"] * 3
    assert isinstance(wrong[-1], ErrorResult)
    assert (wrong[-1].error.retryable, wrong[-1].error.details) == (True, {"seconds": 30})
    assert desk.kinds == ["started", *["denial"] * 3, "limit"]
    assert {one.audit_ref for one in wrong[3:]} == {desk.graph.instances.audit(CASE)[-1].audit_ref}
    assert code(desk.propose("order.get", orderId="1")) == "limit_reached"
    assert code(desk.propose("order.get", by=MALLORY, orderId="1")) == "ok"
    home.clock.advance(31)
    assert code(desk.propose("order.get", orderId="1")) == "ok"
    assert code(desk.refund(key="x", amount="much")) == "invalid_arguments"


def test_a_lost_answer_is_given_even_to_somebody_who_waits(home: Home, shop: Shop) -> None:
    desk = door(home, shop, limits=Limits(denials=2))
    desk.propose("order.cancel", key="c", orderId="1")
    for number in range(3):
        desk.refund(key=f"{number}", amount="much")
    assert code(desk.propose("order.cancel", key="c", orderId="1")) == "ok"


def test_a_principal_who_proposes_too_often_waits(home: Home, shop: Shop) -> None:
    desk = door(home, shop, limits=Limits(rate=3))
    assert [code(desk.propose("order.get", orderId="1")) for _ in range(5)] == ["ok"] * 3 + ["limit_reached"] * 2
    assert desk.kinds.count("limit") == 1
    home.clock.advance(61)
    assert [code(desk.propose("order.get", orderId="1")) for _ in range(4)] == ["ok"] * 3 + ["limit_reached"]
    assert desk.kinds.count("limit") == 2  # once until the next judged proposal


def test_a_limit_that_will_pass_holds_what_was_granted_and_does_not_void_it(home: Home, shop: Shop) -> None:
    policy = LimitPerPeriod(1, "1h", ["order.refund"])
    desk = door(home, shop, policies=[policy])
    pending = desk.asked(), desk.asked(key="r-2", amount="6")
    for one in pending:
        desk.graph.instances.decide(one.pending.proposal_id, "approve", by=BEN)
    assert code(desk.proposal(pending[0])) == "ok"
    assert {code(desk.proposal(pending[1])) for _ in range(3)} == {"policy_denied"}
    assert desk.kinds.count("denial") == 1
    assert [one.id for one in desk.tick().failed] == [pending[1].pending.proposal_id]
    home.clock.advance(2 * HOUR)
    assert desk.tick().carried_out == [pending[1].pending.proposal_id]
    assert shop.ran == ["refund 1 5", "refund 1 6"]


def test_a_read_that_is_asked_about_runs_once_when_it_is_granted(home: Home, shop: Shop) -> None:
    @read("file.get")
    def get_file(number: int) -> int:
        """Look into a file."""
        shop.ran.append(f"file {number}")
        return number

    flow = Workflow("files").add_state("open").add_state("closed", final=True)
    flow.add_edge("open", get_file, "open", approval=RULE).add_edge("open", shop.close, "closed")
    desk = Door(home.compile(flow))
    desk.start()
    pending = desk.propose("file.get", number=7)
    assert isinstance(pending, Pending)
    desk.graph.instances.decide(pending.pending.proposal_id, "approve", by=BEN)
    assert code(desk.proposal(pending)) == "ok"
    assert code(desk.proposal(pending)) == "approval_void"  # the answer of a read is kept nowhere
    assert desk.tick().carried_out == []
    assert shop.ran == ["file 7"]

    denied = desk.propose("file.get", number=8)
    assert isinstance(denied, Pending)
    desk.graph.instances.decide(denied.pending.proposal_id, "approve", by=BEN)
    desk.propose("desk.close", key="c")
    assert desk.tick().carried_out == [denied.pending.proposal_id]
    assert desk.graph.instances.approval(denied.pending.proposal_id)["status"] == "void"
    assert desk.tick().carried_out == []
    assert shop.ran == ["file 7", "close"]


def test_the_application_looks_without_a_name(home: Home, shop: Shop) -> None:
    desk = door(home, shop)
    pending = desk.asked()
    assert desk.proposal(pending, by=None) == pending
    assert isinstance(pending, Pending)
    assert desk.graph.instances.card(pending.pending.proposal_id, by=BEN).rows


def test_execute_still_asks_nobody_and_needs_no_key(home: Home, shop: Shop) -> None:
    desk = door(home, shop)
    result = desk.graph.instances.execute(CASE, "order.refund", {"orderId": "1", "amount": "5"}, principal=ADA)
    assert result["error"]["code"] == "approval_required"
    assert desk.graph.instances.execute(CASE, "order.cancel", {"orderId": "1"}, principal=ADA)["ok"]
    assert desk.graph.instances.approvals().approvals == ()


def test_two_of_a_role_must_agree(home: Home, shop: Shop) -> None:
    desk = door(home, shop, approval=Approval(role="supervisor", count=2))
    pending = desk.asked()
    assert pending.pending.decided_by == "somebody with the role 'supervisor'; 2 of them must agree"
    desk.graph.instances.decide(pending.pending.proposal_id, "approve", by=BEN)
    assert code(desk.proposal(pending)) == "approval"
    cat = Principal("cat", roles=frozenset({"supervisor"}))
    desk.graph.instances.decide(pending.pending.proposal_id, "approve", by=cat)
    assert code(desk.proposal(pending)) == "ok"


def test_arguments_that_python_takes_for_the_same_are_others(home: Home, shop: Shop) -> None:
    @command("flag.set", effect="transactional")
    def set_flag(value: bool | int) -> str:
        """Set a flag."""
        shop.ran.append(repr(value))
        return repr(value)

    flow = Workflow("flags").add_state("open")
    desk = Door(home.compile(flow.add_edge("open", set_flag, "open", approval=RULE)))
    desk.start()
    asked = desk.propose("flag.set", key="f", value=True)
    assert isinstance(asked, Pending)
    with pytest.raises(IdempotencyError):
        desk.propose("flag.set", key="f", value=1)
