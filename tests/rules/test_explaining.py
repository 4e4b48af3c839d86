"""Why a tool may not be called now: the first reason of each tool, in the order of the definition."""

from __future__ import annotations

from typing import Any

import pytest

from interlock import Policy, Principal
from interlock.rules.conditions import has_role
from interlock.rules.explaining import Blocked, Now, Why, blocked
from interlock.rules.policies import Mode
from interlock.rules.view import GuardView
from interlock.tools.errors import RuleError
from tests.rules.support import definition_of, look, write

PAY, SHIP, SEE = write("order.pay"), write("order.ship"), look("order.see")


def is_rich(view: GuardView) -> bool:
    return bool(view.data)


class Hides(Policy):
    name = "hiding"

    def __init__(self, says: Any) -> None:
        self.says = says

    def hides(self, tool: Any, view: Any) -> Any:
        if isinstance(self.says, Exception):
            raise self.says
        return self.says if tool is PAY else None


class Stops(Policy):
    name = "stopping"

    def stops(self, proposal: Any) -> Any:
        assert (proposal.arguments, proposal.now, proposal.carried_out) == ({}, 7, {"order.pay": 3})
        return "it is enough" if proposal.tool is PAY else None


def why(
    state: str = "open", *, edges: Any = None, offered: tuple[str, ...] = (), broken: Any = None, **options: Any
) -> dict[str, tuple[Why, str]]:
    now = {name: options.pop(name) for name in ("under_way", "asked_about") if name in options}
    states = {"open": {"tools": [SEE]}, "paid": {}, "shipped": {"final": True}}
    definition = definition_of(
        states, edges or [("open", PAY, "paid"), ("paid", SHIP, "shipped"), ("open", SHIP, "shipped")], **options
    )
    there = {edge.tool.name: edge for edge in definition.by_source[state] if edge.tool.name in offered}
    view = GuardView("wf", state, None, Principal("ann"), 0)
    history: Any = None
    found = blocked(definition, there, broken or {}, Now(view, 7, history, {"order.pay": 3}, **now))
    assert all(isinstance(one, Blocked) for one in found)
    assert [one.tool for one in found] == [name for name in definition.contracts if name in {one.tool for one in found}]
    return {one.tool: (one.why, one.reason) for one in found}


EVERY = ("order.pay", "order.ship", "order.see")


def test_what_may_be_called_is_not_listed() -> None:
    assert why(offered=EVERY) == {}


def test_in_a_final_state_everything_is_over() -> None:
    assert set(why("shipped").values()) == {(Why.FINISHED, "the instance is over: it ended in 'shipped'")}


def test_a_tool_of_other_states_is_called_there_and_each_is_named_once() -> None:
    edges = [
        ("open", PAY, "paid"),
        ("open", SHIP, "paid", {"guard": is_rich, "order": 1}),
        ("open", SHIP, "shipped", {"order": 2}),
    ]
    found = why("paid", edges=[*edges, ("paid", PAY, "paid")], offered=("order.pay",))
    assert found["order.ship"] == (Why.STATE, "it is not called in 'paid', but in 'open'")
    assert found["order.see"] == (Why.STATE, "it is not called in 'paid', but in 'open'")


def test_in_read_only_mode_reads_alone_may_be_called() -> None:
    found = why(offered=EVERY, mode=Mode.READ_ONLY)
    assert found == dict.fromkeys(("order.pay", "order.ship"), (Why.MODE, "the workflow runs in read-only mode"))


def test_a_rule_that_broke_comes_before_what_it_withholds() -> None:
    found = why(
        offered=("order.ship", "order.see"), broken={"order.pay": RuleError("the guard raised KeyError", rule="g")}
    )
    assert found == {"order.pay": (Why.RULE_ERROR, "the guard raised KeyError; the application must be fixed")}


def test_a_policy_that_hides_is_named_with_its_reason() -> None:
    found = why(offered=("order.ship", "order.see"), policies=[Hides("it is late")])
    assert found == {"order.pay": (Why.POLICY, "the policy 'hiding' hides it: it is late")}


@pytest.mark.parametrize("says", [None, " ", 5, LookupError("gone")])
def test_a_policy_that_gives_no_reason_explains_nothing(says: Any) -> None:
    edges = [("open", PAY, "paid", {"guard": is_rich}), ("paid", SHIP, "shipped")]
    found = why(edges=edges, offered=("order.see",), policies=[Hides(says)])
    assert found["order.pay"] == (Why.GUARD, "its guard does not hold: is_rich, of the edge to 'paid'")


def test_guards_are_told_in_words_each_once() -> None:
    holds = has_role("boss")
    edges = [
        ("open", PAY, "paid", {"guard": holds, "order": 1}),
        ("open", PAY, "shipped", {"guard": lambda view: False, "order": 2}),
        ("paid", SHIP, "shipped"),
    ]
    reason = why(edges=edges, offered=("order.see",))["order.pay"]
    assert reason == (Why.GUARD, f"its guard does not hold: {holds}; or that of the edge to 'shipped'")


def test_while_an_effect_is_under_way_reads_alone_may_be_called() -> None:
    found = why(offered=EVERY, under_way="card.charge")
    told = (Why.UNDER_WAY, "the effect of card.charge is in progress, or it is unknown whether it happened")
    assert found == dict.fromkeys(("order.pay", "order.ship"), told)


def test_what_was_asked_about_waits_and_a_limit_stops_every_call() -> None:
    asked = why(offered=EVERY, asked_about={"order.ship": "apr_1"}, policies=[Stops()])
    assert asked == {
        "order.pay": (Why.LIMIT, "the policy 'stopping' denies every call of it: it is enough"),
        "order.ship": (Why.APPROVAL_OPEN, "it was proposed already, and apr_1 waits for a decision"),
    }
