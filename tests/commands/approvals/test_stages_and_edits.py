"""Each stage of a chain takes a person of its own, and what may be edited is told by type as well as by value."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from pydantic import JsonValue

from interlock import Approval, Confirmation, Principal, ToolContext, Workflow, command
from interlock.testing import ScriptedChatModel, call
from interlock.tools import PrincipalError
from interlock.tools.canonical import JSON, is_same_json
from tests.commands.approvals.support import (
    ADA,
    BEN,
    CAT,
    DAN,
    Home,
    Shop,
    pending,
    refund,
    refusals,
    said,
    status,
    thread,
)
from tests.commands.approvals.test_rules import decided_by

BOTH = Principal("bo", roles=frozenset({"supervisor", "manager"}))
OTHER = Principal("olga", roles=frozenset({"supervisor", "manager"}))
SUPERVISORS_THEN_MANAGER = Approval(role="supervisor", then=Approval(role="manager"))


class TestStages:
    @pytest.mark.parametrize(
        "rule",
        [
            SUPERVISORS_THEN_MANAGER,
            Approval(role="supervisor", count=2, then=Approval(role="manager")),
            Approval(role="supervisor", then=Approval(role="manager", count=2)),
            Approval(role="supervisor", then=Approval(then=Approval(role="manager"))),
            Approval(then=Approval()),
        ],
    )
    def test_nobody_agrees_at_two_stages(self, shop: Shop, home: Home, rule: Approval) -> None:
        graph = home.compile(shop.workflow([refund()], approval=rule))
        graph.invoke(said(), thread(), context=ADA)
        approval_id = pending(graph, thread())
        people = [BOTH, OTHER, *(Principal(f"p{n}", roles=frozenset({"supervisor", "manager"})) for n in range(4))]
        agreed: list[str] = []
        for person in people:
            if status(graph, approval_id) != "requested":
                break
            graph.instances.decide(approval_id, "approve", by=person)
            agreed.append(person.id)
            if status(graph, approval_id) != "requested":
                break
            for again in people[: len(agreed)]:
                with pytest.raises(PrincipalError, match="the same person"):
                    graph.instances.decide(approval_id, "approve", by=again)
        assert status(graph, approval_id) == "approved"
        assert len(agreed) == sum(stage.count for stage in rule.stages)

    def test_a_person_spelled_otherwise_is_the_same_person(self, shop: Shop, home: Home) -> None:
        zoe = Principal("Zo\u00e9", roles=frozenset({"supervisor", "manager"}))
        twin = Principal(" Zoe\u0301 ", roles=frozenset({"manager"}))
        with pytest.raises(PrincipalError, match="the same person agreed at an earlier stage"):
            decided_by(shop, home, SUPERVISORS_THEN_MANAGER, zoe, twin)

    def test_who_edited_at_the_first_stage_does_not_agree_at_the_second(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund()], approval=SUPERVISORS_THEN_MANAGER))
        graph.invoke(said(), thread(), context=ADA)
        approval_id = pending(graph, thread())
        graph.instances.decide(approval_id, {"type": "edit", "args": {"orderId": "1", "amount": "3"}}, by=BOTH)
        with pytest.raises(PrincipalError, match="the same person agreed at an earlier stage"):
            graph.instances.decide(approval_id, "approve", by=BOTH)
        graph.instances.decide(approval_id, "approve", by=DAN)
        assert status(graph, approval_id) == "edited"
        assert refusals(graph, thread()) == ["not_entitled"]

    def test_an_approver_who_agreed_may_still_reject(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund()], approval=SUPERVISORS_THEN_MANAGER))
        graph.invoke(said(), thread(), context=ADA)
        approval_id = pending(graph, thread())
        graph.instances.decide(approval_id, "approve", by=BOTH)
        graph.instances.decide(approval_id, "reject", by=BOTH)
        assert status(graph, approval_id) == "rejected"

    def test_nobody_in_particular_agrees_at_no_stage_of_a_chain(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund()], approval=Approval(then=Approval())))
        graph.invoke(said(), thread())
        with pytest.raises(PrincipalError, match="who decides is not known"):
            graph.instances.decide(pending(graph, thread()), "approve", by=Principal.ANONYMOUS)

    def test_a_rule_of_an_edge_and_one_of_a_policy_are_stages_as_well(self, shop: Shop, home: Home) -> None:
        rule = Approval(role="supervisor").followed_by(Approval(role="manager"))
        with pytest.raises(PrincipalError, match="the same person agreed at an earlier stage"):
            decided_by(shop, home, rule, BOTH, BOTH)

    @pytest.mark.parametrize("order", [*permutations(["confirm", "approve"])])
    def test_the_person_served_confirms_and_approves_no_other_stage(
        self, shop: Shop, home: Home, order: tuple[str, str]
    ) -> None:
        served = Principal("ada", roles=frozenset({"supervisor"}))
        clerk = Principal("clara", roles=frozenset({"clerk"}))
        rule = (
            Confirmation(then=Approval(role="supervisor"))
            if order[0] == "confirm"
            else Approval(role="supervisor", then=Confirmation())
        )
        graph = home.compile(shop.workflow(["hello", refund()], approval=rule, run_by="clerk"))
        graph.invoke(said(), thread(), context=served)
        graph.invoke(said(), thread(), context=clerk)
        approval_id = pending(graph, thread())
        if order[0] == "approve":
            with pytest.raises(PrincipalError, match="only they can confirm it at a later stage"):
                graph.instances.decide(approval_id, "approve", by=served)
            graph.instances.decide(approval_id, "approve", by=BEN)
            graph.instances.decide(approval_id, "approve", by=served)
        else:
            graph.instances.decide(approval_id, "approve", by=served)
            with pytest.raises(PrincipalError, match="earlier stage"):
                graph.instances.decide(approval_id, "approve", by=served)
            graph.instances.decide(approval_id, "approve", by=CAT)
        assert status(graph, approval_id) == "approved"


VALUES: list[JSON] = [
    None,
    True,
    False,
    0,
    1,
    1.5,
    "",
    "1",
    "True",
    [],
    [1],
    [True],
    {},
    {"a": 1},
    {"a": True},
    {"a": None},
]


class TestEdits:
    @pytest.mark.parametrize("one", VALUES)
    def test_only_a_value_of_the_same_type_is_the_same(self, one: JSON) -> None:
        same = [other for other in VALUES if is_same_json(one, other)]
        assert [repr(other) for other in same] == [repr(one)]

    @pytest.mark.parametrize(("one", "other"), [(1, 1.0), (0.0, -0.0), ([{"a": 1}], [{"a": True}]), ([1, 2], [2, 1])])
    def test_numbers_are_told_by_type_and_sign_however_deep(self, one: JSON, other: JSON) -> None:
        assert not is_same_json(one, other)
        assert is_same_json({"in": [one]}, {"in": [one]})

    @pytest.mark.parametrize(
        ("proposed", "edited"),
        [
            (1, True),
            (True, 1),
            (0, False),
            ("1", 1),
            (1, "1"),
            ([1], [True]),
            ([[1]], [["1"]]),
            ({"deep": [0]}, {"deep": [False]}),
            ({"a": None}, {}),
        ],
    )
    def test_an_argument_that_may_not_be_edited_keeps_its_type(self, home: Home, proposed: Any, edited: Any) -> None:
        ran: list[Any] = []

        @command("flag.set", effect="transactional")
        def set_flag(value: JsonValue, note: str, ctx: ToolContext) -> str:
            """Set a flag."""
            ran.append(value)
            return "set"

        flow = Workflow("flags", model=ScriptedChatModel([call("flag.set", value=proposed, note="a")], forever="Done."))
        flow.add_state("open")
        flow.add_state("closed", final=True)
        flow.add_edge("open", set_flag, "closed", approval=Approval(role="supervisor", edit={"note"}))  # type: ignore[arg-type]
        graph = home.compile(flow)
        graph.invoke(said(), thread(), context=ADA)
        approval_id = pending(graph, thread())
        with pytest.raises(PrincipalError, match="value may not be edited"):
            graph.instances.decide(approval_id, {"type": "edit", "args": {"value": edited, "note": "b"}}, by=BEN)
        graph.instances.decide(approval_id, {"type": "edit", "args": {"value": proposed, "note": "b"}}, by=BEN)
        graph.instances.resume(thread())
        assert [repr(one) for one in ran] == [repr(proposed)]
