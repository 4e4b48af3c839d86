"""The gate's verdicts over plain data: each denial whole, and what an approval of an admission is bound to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from interlock import (
    Allow,
    Approval,
    Deny,
    FromApplication,
    Mode,
    Policy,
    Principal,
    Refused,
    RequireApproval,
    Workflow,
    command,
    read,
)
from interlock.rules.definition import Definition, Limits
from interlock.rules.denials import Denial, left_over, moved_while_reading, one_by_one, too_many
from interlock.rules.gate import Admission, binding, judge
from interlock.rules.policies import ProposalView
from interlock.rules.proposals import Proposal
from interlock.rules.view import GuardView
from interlock.tools.errors import RuleError

ANN = Principal("ann", roles=frozenset({"clerk"}))


class Order(BaseModel):
    lines: list[str] = []
    blocked: bool = False


def is_known(order_id: str) -> bool:
    """The order is known."""
    return order_id != "none"


@command("order.pay", version=4, effect="transactional", check=is_known)
def pay(order_id: str, lines: list[str] | None = None) -> str:
    """Pay an order."""
    return "paid"


@command("order.close", effect="transactional")
def close() -> str:
    """Close an order."""
    return "closed"


@read("order.look")
def look() -> str:
    """Look at an order."""
    return "an order"


def definition(approval: Any = None, check: Any = None, **options: Any) -> Definition:
    flow = Workflow("orders", data=Order, **options)
    flow.add_state("open", tools=[look])
    flow.add_state("paid")
    flow.add_state("closed", final=True)
    flow.add_edge("open", pay, "paid", approval=approval, check=check, guard=lambda view: not view.data.blocked)
    flow.add_edge("paid", close, "closed")
    return flow.definition()


def proposal(tool: str = "order.pay", arguments: Any = None, **more: Any) -> Proposal:
    given: dict[str, Any] = {
        "key": "key_1", "message_key": "msg_1", "call_id": "call_1", "requester": ANN, "offered": True, "state": "open", "revision": 0,
    }  # fmt: skip
    return Proposal(tool=tool, arguments={"orderId": "o-1"} if arguments is None else arguments, **given | more)


def holds(contract: Any, arguments: Any, check: Callable[..., Any]) -> str | None:
    answer = check(**{check.__code__.co_varnames[0]: arguments.order_id})
    return None if answer is True else answer or (check.__doc__ or "it does not hold")


def judged(flow: Definition, given: Proposal, *, state: str = "open", data: Order | None = None, **more: Any) -> Any:
    view = GuardView("wf_1", state, data or Order(), ANN, 7)
    options: dict[str, Any] = {"facts": holds, "carried_out": dict, "now": 5}
    return judge(flow, given, view, **options | more)


def caller(view: GuardView) -> str:
    return f"{view.principal.id} in {view.state}"


@command("order.note", effect="transactional")
def note(by: Annotated[str, FromApplication(caller)]) -> str:
    """Note who called."""
    return by


AT_ALL = "Tools that may be called now: order_look, order_pay."


def test_what_is_allowed_is_admitted_with_what_it_runs_on() -> None:
    verdict = judged(definition(), proposal(arguments={"orderId": "o-1", "lines": ["a"]}))

    assert isinstance(verdict, Admission)
    assert (verdict.edge.label, verdict.approval, verdict.reasons, verdict.rulings) == (
        "open --order.pay--> paid",
        None,
        (),
        (),
    )
    assert verdict.canonical == {"orderId": "o-1", "lines": ["a"]}
    assert verdict.arguments.order_id == "o-1"
    assert verdict.fingerprint == verdict.bound.fingerprint
    verdict.arguments.lines.append("b")
    assert verdict.arguments.lines == ["a"], "who looks at them changes nobody else's"


@pytest.mark.parametrize(
    ("flow", "given", "options", "denial"),
    [
        ({}, proposal("order.x\ud800"), {},
         ("unknown_tool", f"There is no tool 'order.x\\\\ud800'. Nothing was done. {AT_ALL}", {}, False)),
        ({}, proposal("x" * 300), {},
         ("unknown_tool", f"There is no tool '{'x' * 100}'. Nothing was done. {AT_ALL}", {}, False)),
        ({}, proposal("order.close", {}), {},
         ("tool_not_allowed", f"order_close may not be called in the state 'open'. Nothing was done. {AT_ALL}", {}, False)),
        ({}, proposal("order.pay"), {"state": "closed"},
         ("tool_not_allowed", "order_pay may not be called in the state 'closed'. Nothing was done. Tools that may be called now: none.",
          {}, False)),
        ({}, proposal(offered=False), {},
         ("tool_not_allowed", f"order_pay was not offered when it was called. Nothing was done. {AT_ALL}", {}, False)),
        ({}, proposal(), {"node": "another"},
         ("conflict", f"The workflow moved while order_pay was waiting, and it would now lead elsewhere. Nothing was done. {AT_ALL}", {}, True)),
        ({}, proposal(), {"data": Order(blocked=True)},
         ("guard_failed", "order_pay may not be called now: its condition in the state 'open' does not hold. Nothing was done. "
          "Tools that may be called now: order_look.", {}, False)),
        ({"mode": Mode.READ_ONLY}, proposal(), {},
         ("tool_not_allowed", "This workflow runs in read-only mode: order_pay changes something and is not offered. Nothing was done. "
          "Tools that may be called now: order_look.", {}, False)),
        ({}, proposal(problem="it is cut off"), {},
         ("invalid_arguments", "The call of order_pay could not be read: it is cut off. Nothing was done; send the arguments as one JSON object.",
          {"problems": [{"field": "", "problem": "it is cut off"}]}, False)),
        ({}, proposal(arguments={"orderId": "none"}), {},
         ("check_failed", "order_pay cannot be done: The order is known. Nothing was changed.", {"reason": "The order is known."}, False)),
    ],
)  # fmt: skip
def test_each_denial_says_what_happened_and_what_may_be_done(
    flow: Any, given: Proposal, options: Any, denial: Any
) -> None:
    verdict = judged(definition(**flow), given, **options)

    assert isinstance(verdict, Denial)
    assert (verdict.code.value, verdict.message, verdict.details, verdict.retryable) == denial
    assert (verdict.policy, verdict.error) == (None, None)


def test_arguments_that_do_not_fit_are_told_with_the_field() -> None:
    verdict = judged(definition(), proposal(arguments={"lines": 1}))
    assert verdict.code.value == "invalid_arguments"
    assert {problem["field"] for problem in verdict.details["problems"]} == {"orderId", "lines"}


def test_arguments_that_are_more_than_the_workflow_takes_are_not_read() -> None:
    long = {"orderId": "x" * 500}
    verdict = judged(definition(limits=Limits(argument_characters=100)), proposal(arguments=long))
    assert verdict.code.value == "invalid_arguments"
    assert verdict.message.startswith("The arguments do not fit the tool's contract, so it was not called: ")
    (problem,) = verdict.details["problems"]
    assert problem["field"] == ""
    assert problem["problem"] in verdict.message
    assert isinstance(judged(definition(limits=Limits(argument_characters=1000)), proposal(arguments=long)), Admission)


def test_a_check_of_the_tool_and_one_of_the_edge_both_count() -> None:
    def is_open(order_id: str) -> bool | str:
        return order_id == "o-1" or "it is closed"

    assert isinstance(judged(definition(check=is_open), proposal()), Admission)
    assert judged(definition(check=is_open), proposal(arguments={"orderId": "o-2"})).details == {
        "reason": "it is closed"
    }
    assert (
        judged(definition(check=is_open), proposal(arguments={"orderId": "none"})).details["reason"]
        == "The order is known."
    )


@pytest.mark.parametrize("retryable", [True, False, None])
def test_a_check_that_refuses_gives_its_own_reason(retryable: bool | None) -> None:
    def refuses(order_id: str) -> bool:
        raise Refused("the shop is shut", code="shut", details={"until": "9"}, retryable=retryable)

    verdict = judged(definition(check=refuses), proposal())

    assert verdict.code.value == "check_failed"
    assert verdict.message == "order_pay cannot be done: the shop is shut. Nothing was changed."
    assert verdict.details == {"reason": "the shop is shut", "until": "9", "code": "shut"}
    assert verdict.retryable is (retryable is True)


def test_a_check_that_breaks_is_a_denial_that_names_it() -> None:
    def breaks(contract: Any, arguments: Any, check: Any) -> str | None:
        raise RuleError("the check of order.pay raised KeyError", rule="the check of order.pay")

    verdict = judged(definition(), proposal(), facts=breaks)

    assert verdict.code.value == "rule_error"
    assert verdict.message == (
        "order_pay could not be judged, because the check of order.pay raised KeyError. Nothing was done. The application must be fixed before it can be "
        "called; continue without it."
    )
    assert verdict.details == {"rule": "the check of order.pay", "edge": "open --order.pay--> paid"}
    assert isinstance(verdict.error, RuleError)


class Says(Policy):
    """Says what a test tells it, and remembers what it was shown."""

    def __init__(self, name: str, ruling: Any, version: int = 1, hidden: str | None = None) -> None:
        self.name, self.ruling, self.version, self.hidden_because = name, ruling, version, hidden
        self.seen: list[ProposalView] = []

    def hides(self, tool: Any, view: GuardView) -> str | None:
        return self.hidden_because if tool.name == "order.pay" else None

    def judge(self, proposal: ProposalView) -> Any:
        self.seen.append(proposal)
        if isinstance(proposal.arguments, dict):
            proposal.arguments.setdefault("lines", []).append("by the policy")
        return self.ruling


def test_the_node_of_one_edge_carries_out_no_other_and_a_read_has_no_node() -> None:
    flow = definition()
    (edge,) = [edge for edge in flow.edges if edge.tool is pay]
    assert isinstance(judged(flow, proposal(), node=edge.node), Admission)
    assert judged(flow, proposal(), node="paid/order.close").code == "conflict"
    assert isinstance(judged(flow, proposal("order.look", {}), node=edge.node), Admission)


class TestPolicies:
    def test_each_is_shown_the_call_for_itself_and_all_are_on_record(self) -> None:
        first, second = Says("first", Allow(), version=3), Says("second", Allow())
        counts: Mapping[str, int] = {"order.look": 2}

        verdict = judged(
            definition(policies=[first, second]),
            proposal(arguments={"orderId": "o-1", "lines": ["a"]}),
            carried_out=lambda: counts,
        )

        assert isinstance(verdict, Admission)
        assert verdict.canonical == {"orderId": "o-1", "lines": ["a"]}, (
            "what a policy does to what it is shown changes nothing"
        )
        assert second.seen[0].arguments == {"orderId": "o-1", "lines": ["a", "by the policy"]}
        assert (second.seen[0].tool.name, second.seen[0].now, second.seen[0].view.revision) == ("order.pay", 5, 7)
        assert dict(second.seen[0].carried_out) == {"order.look": 2}
        assert (second.seen[0].carried_out["order.look"], len(second.seen[0].carried_out)) == (2, 1)
        assert verdict.rulings == (
            {"policy": "first", "version": 3, "ruling": "allow", "reason": None},
            {"policy": "second", "version": 1, "ruling": "allow", "reason": None},
        )

    def test_how_often_tools_ran_is_counted_when_a_policy_looks_and_once(self) -> None:
        asked: list[int] = []
        first, second = Says("first", Allow()), Says("second", Allow())
        judged(
            definition(policies=[first, second]), proposal(), carried_out=lambda: asked.append(1) or {"order.pay": 1}
        )
        assert asked == []
        assert first.seen[0].carried_out["order.pay"] == second.seen[0].carried_out["order.pay"] == 1
        assert asked == [1]

    @pytest.mark.parametrize("retryable", [True, False])
    def test_the_first_no_is_the_denial(self, retryable: bool) -> None:
        third = Says("third", Allow())
        policies = [Says("first", Allow()), Says("second", Deny("it is late", retryable=retryable), version=2), third]

        verdict = judged(definition(policies=policies), proposal())

        assert (verdict.code.value, verdict.policy, verdict.retryable) == ("policy_denied", "second", retryable)
        assert verdict.message == "The policy 'second' does not allow order_pay now: it is late. Nothing was done."
        assert verdict.details == {
            "policy": "second",
            "reason": "it is late",
            "rulings": [
                {"policy": "first", "version": 1, "ruling": "allow", "reason": None},
                {"policy": "second", "version": 2, "ruling": "deny", "reason": "it is late"},
            ],
        }
        assert third.seen == []

    def test_what_an_edge_and_policies_ask_for_is_asked_one_after_the_other(self) -> None:
        policies = [
            Says("first", RequireApproval(Approval(role="boss", when=lambda order_id: False), "it is much")),
            Says("second", Allow()),
            Says("third", RequireApproval(Approval(role="owner"), "it is more")),
        ]

        verdict = judged(definition(approval=Approval(role="clerk"), policies=policies), proposal())

        assert [stage.role for stage in verdict.approval.stages] == ["clerk", "boss", "owner"]
        assert all(stage.when is None for stage in verdict.approval.stages)
        assert verdict.reasons == ("first: it is much", "third: it is more")
        assert [ruling["ruling"] for ruling in verdict.rulings] == ["require_approval", "allow", "require_approval"]
        assert verdict.rulings[2]["reason"] == "it is more"
        alone = judged(definition(policies=policies[:1]), proposal()).approval
        assert [stage.role for stage in alone.stages] == ["boss"]

    def test_one_that_hides_a_tool_is_named_where_it_is_called_anyway(self) -> None:
        policies = [Says("first", Allow()), Says("second", Allow(), hidden="not on Sundays")]

        verdict = judged(definition(policies=policies), proposal())

        assert (verdict.code.value, verdict.policy) == ("policy_denied", "second")
        assert verdict.message == (
            "The policy 'second' does not allow order_pay now: not on Sundays. Nothing was done. Tools that may be called now: order_look."
        )
        assert verdict.details == {"policy": "second", "reason": "not on Sundays"}
        elsewhere = judged(definition(policies=policies), proposal(), state="paid")
        assert elsewhere.code.value == "tool_not_allowed", "a policy is not asked about what has no edge here"


class TestConditionsOfApprovals:
    def flow(self, answer: bool, seen: list[Any] | None = None) -> Definition:
        def when(order_id: str) -> bool:
            if seen is not None:
                seen.append(order_id)
            return answer

        return definition(approval=Approval(role="boss", when=when))

    @pytest.mark.parametrize("answer", [True, False])
    def test_it_is_asked_for_where_its_condition_holds_for_the_arguments(self, answer: bool) -> None:
        seen: list[Any] = []
        verdict = judged(self.flow(answer, seen), proposal(arguments={"orderId": "o-9"}))
        assert seen == ["o-9"]
        assert (verdict.approval is not None) is answer

    def test_who_can_look_further_asks_it_with_the_call_and_the_view(self) -> None:
        asked: list[Any] = []

        def condition(tool: Any, arguments: Any, when: Any, view: GuardView) -> bool:
            asked.append((tool.name, arguments.order_id, view.state, view.revision))
            arguments.lines.append("changed")
            view.data.blocked = True
            return True

        data = Order()
        given = proposal(arguments={"orderId": "o-1", "lines": []})
        verdict = judged(self.flow(False), given, data=data, condition=condition)

        assert verdict.approval.role == "boss"
        assert asked == [("order.pay", "o-1", "open", 7)]
        assert (verdict.canonical["lines"], data.blocked) == ([], False), "it is shown copies"

    def test_one_without_a_condition_is_always_asked_for(self) -> None:
        rule = Approval(role="boss")
        assert judged(definition(approval=rule), proposal()).approval == rule


def admitted(flow: Definition | None = None, **more: Any) -> Admission:
    verdict = judged(flow or definition(), proposal(**more))
    assert isinstance(verdict, Admission)
    return verdict


SHOWN: dict[str, Any] = {"preview": {"paid": 5}, "reasons": ["much"], "rule": {"role": "boss"}, "target": "paid"}


def digest_of(flow: Definition | None = None, admission: Admission | None = None, **more: Any) -> str:
    flow = flow or definition()
    options: dict[str, Any] = {"requester": ANN, "state": "open", "shown": SHOWN, "revision": None}
    return binding(flow, admission or admitted(flow), **options | more)


class TestWhatAnApprovalIsBoundTo:
    def test_it_is_the_same_for_the_same_and_with_every_release(self) -> None:
        """Written out: who approved under one release is not asked again by the next one."""
        assert digest_of() == digest_of() == GOLDEN

    def test_roles_of_the_requester_and_other_things_that_are_shown_are_no_part_of_it(self) -> None:
        assert digest_of(requester=Principal("ann")) == digest_of()
        assert digest_of(shown={**SHOWN, "noted": 1}) == digest_of()

    @pytest.mark.parametrize(
        "other",
        [
            lambda: digest_of(requester=Principal("eve")),
            lambda: digest_of(requester=Principal("ann", tenant="acme")),
            lambda: digest_of(state="paid"),
            lambda: digest_of(revision=7),
            lambda: digest_of(shown={**SHOWN, "preview": {"paid": 6}}),
            lambda: digest_of(shown={**SHOWN, "reasons": []}),
            lambda: digest_of(shown={**SHOWN, "rule": {"role": "owner"}}),
            lambda: digest_of(definition(mode=Mode.DRY_RUN)),
            lambda: digest_of(definition(policies=[Says("one", Allow())])),
            lambda: digest_of(admission=admitted(arguments={"orderId": "o-2"})),
            lambda: digest_of(
                admission=dataclasses.replace(admitted(), edge=dataclasses.replace(admitted().edge, target="closed"))
            ),
            lambda: digest_of(
                admission=dataclasses.replace(admitted(), edge=dataclasses.replace(admitted().edge, tool=close))
            ),
        ],
    )
    def test_anything_else_in_it_makes_another_one(self, other: Callable[[], str]) -> None:
        assert other() != digest_of()

    def test_each_version_of_a_policy_makes_another_one(self) -> None:
        versions = {digest_of(definition(policies=[Says("one", Allow(), version=version)])) for version in (1, 2)}
        assert len(versions) == 2


GOLDEN = "sha256:e2bd393ff8a8fbf64752810f8d1db6fb2b13d8f88fa15b2c6db0f7277a89f34f"


def test_calls_beyond_the_limit_and_those_left_over_are_told_apart() -> None:
    late = too_many(2, 5)
    assert (late.code.value, late.details, late.retryable) == ("too_many_calls", {"limit": 2, "calls": 5}, True)
    assert "hold 2 calls, and this one, of a message of 5" in late.message
    old = left_over(proposal(state="open"), state="paid")
    assert (old.code.value, old.details, old.retryable) == ("superseded", {"proposedIn": "open"}, False)
    assert old.message.startswith("order.pay was proposed in 'open', and the workflow is in 'paid' now.")


def test_the_application_supplies_an_argument_from_the_view() -> None:
    flow = Workflow("notes", data=Order).add_state("open").add_edge("open", note, "open").definition()
    verdict = judged(flow, proposal("order.note", {}))
    assert isinstance(verdict, Admission)
    assert verdict.canonical == {"by": "ann in open"}


@pytest.mark.parametrize("denied", [moved_while_reading, one_by_one])
def test_a_call_that_met_another_one_may_be_made_again(denied: Callable[[str], Denial]) -> None:
    denial = denied("order_pay")
    assert (denial.code.value, denial.retryable) == ("conflict", True)
    assert "call it again" in denial.message
