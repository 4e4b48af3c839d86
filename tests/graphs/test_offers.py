"""Guards, checks and policies: what is offered, and what is denied all the same."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from interlock import Approval, Deny, GuardView, Mode, Policy, Principal, RequireApproval, Workflow
from interlock.testing import ScriptedChatModel, call
from tests.graphs.support import ADA, BEN, Desk, DeskData, Home, Runner, answers, codes, said, shown, thread, trail

NOTE = call("note.add", text="a")
REFUND = call("order.refund", orderId="1", amount="5")


def guarded(desk: Desk, model: Any, guard: Any, **options: Any) -> Workflow:
    flow = Workflow("guarded", model=model, data=DeskData, **options)
    flow.add_state("open", tools=[desk.add_note]).add_state("closed", final=True)
    return flow.add_edge("open", desk.refund, "closed", guard=guard)


def test_a_guard_over_the_data_decides_what_is_offered(home: Home, run: Runner, desk: Desk) -> None:
    model = ScriptedChatModel([NOTE, NOTE, REFUND])
    output = run(home.compile(guarded(desk, model, lambda s: s.data.notes >= 2)), said(), thread())
    assert model.offered == [["note_add"], ["note_add"], ["note_add", "order_refund"]]
    assert output["state"] == "closed"


def test_a_guard_that_does_not_hold_denies_what_is_proposed_anyway(home: Home, run: Runner, desk: Desk) -> None:
    graph = home.compile(guarded(desk, ScriptedChatModel([REFUND, "I see"]), lambda s: s.data.notes >= 2))
    output = run(graph, said(), thread())
    assert (desk.ran, codes(output)) == ([], ["guard_failed"])


def test_a_guard_over_the_principal_offers_to_each_what_they_may(home: Home, run: Runner, desk: Desk) -> None:
    model = ScriptedChatModel(["hello", "hello"])
    graph = home.compile(guarded(desk, model, lambda s: s.principal.has_role("supervisor"), run_by="tenant"))
    assert run(graph, said(), thread(), context=ADA)["next_allowed_tools"] == ["note.add"]
    assert run(graph, said(), thread(), context=BEN)["next_allowed_tools"] == ["note.add", "order.refund"]


def test_a_guard_sees_a_copy_of_the_data(home: Home, run: Runner, desk: Desk) -> None:
    def meddles(view: GuardView) -> bool:
        view.data.notes += 50
        return view.data.notes < 100

    output = run(home.compile(guarded(desk, ScriptedChatModel([NOTE, "done"]), meddles)), said(), thread())
    assert output["data"]["notes"] == 1
    assert output["next_allowed_tools"] == ["note.add", "order.refund"]


def test_a_check_looks_at_the_arguments_and_decides_at_the_gate(home: Home, run: Runner, desk: Desk) -> None:
    def affordable(amount: Decimal) -> str | None:
        return None if amount < 10 else f"{amount} is too much"

    flow = Workflow("checked", model=ScriptedChatModel([call("order.refund", orderId="1", amount="50"), REFUND]))
    flow.add_state("open").add_state("closed", final=True).add_edge("open", desk.refund, "closed", check=affordable)
    output = run(home.compile(flow), said(), thread())
    assert (codes(output), desk.ran) == (["check_failed", "ok"], ["refund 1 5"])
    assert "50 is too much" in answers(output)[0]["error"]["message"]


class OnlySupervisors(Policy):
    name, version = "only-supervisors", 1

    def hides(self, tool: Any, view: Any) -> str | None:
        return None if tool.name != "order.refund" or view.principal.has_role("supervisor") else "supervisors only"


class AtMost(Policy):
    name, version = "at-most", 1

    def __init__(self, ceiling: int) -> None:
        self.ceiling = ceiling

    def judge(self, proposal: Any) -> Any:
        amount = Decimal(proposal.arguments.get("amount", 0))
        if amount > 100:
            return Deny("never more than 100")
        return (
            RequireApproval(Approval(), f"more than {self.ceiling}")
            if amount > self.ceiling
            else super().judge(proposal)
        )


def test_a_policy_hides_a_tool_and_denies_it_all_the_same(home: Home, run: Runner, desk: Desk) -> None:
    model = ScriptedChatModel([REFUND, "I see", "hello"])
    graph = home.compile(guarded(desk, model, None, policies=[OnlySupervisors()], run_by="supervisor"))
    output = run(graph, said(), thread(), context=ADA)
    assert (model.offered[0], codes(output)) == (["note_add"], ["policy_denied"])
    assert answers(output)[0]["error"]["details"]["policy"] == "only-supervisors"
    assert run(graph, said(), thread(), context=BEN)["next_allowed_tools"] == ["note.add", "order.refund"]


@pytest.mark.parametrize(
    ("amount", "asked", "code"), [("5", [], "ok"), ("50", ["order.refund"], None), ("500", [], "policy_denied")]
)
def test_a_policy_over_the_arguments_allows_asks_or_denies(
    home: Home, run: Runner, desk: Desk, amount: str, asked: list[str], code: str | None
) -> None:
    model = ScriptedChatModel([call("order.refund", orderId="1", amount=amount), "I see"])
    graph = home.compile(guarded(desk, model, None, policies=[AtMost(10)]))
    output = run(graph, said(), thread(), context=ADA)
    assert shown(output) == asked
    assert codes(output) == ([] if code is None else [code])
    assert len(desk.ran) == (1 if code == "ok" else 0)


def test_in_read_only_mode_nothing_that_changes_is_offered_or_done(home: Home, run: Runner, desk: Desk) -> None:
    model = ScriptedChatModel([NOTE, call("order.get", orderId="1"), "done"])
    graph = home.compile(desk.workflow(model, mode=Mode.READ_ONLY))
    output = run(graph, said(), thread())
    assert model.offered[0] == ["order_get"]
    assert (codes(output), desk.ran) == (["tool_not_allowed", "ok"], ["get 1"])
    assert [record[0] for record in trail(graph, thread())] == ["started", "denial", "read"]


def test_an_unidentified_caller_has_no_role_whatever_they_claim(home: Home, run: Runner, desk: Desk) -> None:
    nobody = Principal("anonymous", roles=frozenset({"supervisor"}))
    graph = home.compile(guarded(desk, ScriptedChatModel(["hello"]), None, policies=[OnlySupervisors()]))
    assert run(graph, said(), thread(), context=nobody)["next_allowed_tools"] == ["note.add"]
