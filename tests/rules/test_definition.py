"""What a definition says of itself: what may follow a state, what is offered there, and by what it is known again."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from interlock import Approval, Event, Mode, Policy, Principal, Workflow, command, read
from interlock.rules.conditions import field, has_role
from interlock.rules.definition import Definition, offered_edges
from interlock.rules.view import GuardView
from interlock.testing import ScriptedChatModel
from interlock.tools import DefinitionChanged, UnknownState
from interlock.tools.errors import RuleError

ANN = Principal("ann")


class Answered(Event, name="probe.answered"):
    number: int = 0


class Data(BaseModel):
    count: int = 0
    done: bool = False
    name: str = ""


@command("probe.ask", effect="transactional", sensitive=["secret"])
def ask(secret: str = "") -> str:
    """Ask."""
    return "asked"


@command("probe.stop", effect="at_most_once", sensitive=["reason"])
def stop(reason: str = "") -> str:
    """Stop."""
    return "stopped"


@read("probe.look")
def look() -> str:
    """Look."""
    return "seen"


def made(**options: Any) -> Workflow:
    flow = Workflow("probe", **{"version": 2, "data": Data, **options})
    flow.add_state("open", tools=[look])
    flow.add_wait("asked", for_event=Answered, within="2h", then="open", on_timeout="stopped")
    flow.add_state("stopped", final=True)
    flow.add_edge("open", ask, "asked", approval=Approval(role="boss"), sets={"count": 1})
    flow.add_edge("asked", stop, "stopped", guard=field("done").equals(True))
    return flow


def test_it_is_known_by_what_decides_and_by_the_same_with_every_release() -> None:
    """Written out: instances hold it, and one that went on under the next release would be recorded as migrated."""
    assert made().definition().fingerprint == GOLDEN
    assert plain().fingerprint == GOLDEN_PLAIN


def plain(final: bool = True) -> Definition:
    flow = Workflow("plain")
    flow.add_state("open")
    flow.add_state("stopped", final=final)
    flow.add_edge("open", ask, "stopped")
    return flow.definition()


GOLDEN = "sha256:f87d3b9ebbfdccf1109b293691b15195dd5c10ef7a688582c6a96abf676a4262"
GOLDEN_PLAIN = "sha256:3b337c7409ae22c1deb56e0cee58ab83c0b4b568b3a8c255650f90798620e7d5"


def test_another_name_version_or_wait_makes_another_definition() -> None:
    def waiting(within: str) -> str:
        flow = made()
        flow.add_wait("more", for_event=Answered, within=within, then="open", on_timeout="stopped")
        flow.add_edge("asked", ask, "more")
        return flow.definition().fingerprint

    prints = [made().definition().fingerprint, made(version=3).definition().fingerprint, plain().fingerprint]
    prints += [waiting("1h"), waiting("2h")]
    assert len({*prints}) == len(prints)


def test_what_may_follow_a_state_is_what_its_edges_events_and_deadline_lead_to() -> None:
    flow = made().definition()
    assert set(flow.successors("asked")) == {"stopped", "open"}
    assert set(flow.successors("open")) == {"asked", "open"}
    assert flow.successors("stopped") == ()
    assert flow.reachable("open") == {"open", "asked", "stopped"}
    assert flow.reachable("stopped") == frozenset()
    assert plain().reachable("open") == {"stopped"}, "there is no way back"


def test_it_knows_its_tools_their_sensitive_fields_and_the_data_that_conditions_follow() -> None:
    flow = made().definition()
    assert sorted(flow.contracts) == ["probe.ask", "probe.look", "probe.stop"]
    assert flow.sensitive == {"secret", "reason"}
    assert flow.followed == {"count", "done"}
    assert flow.wire_names.to_wire("probe.ask") == "probe_ask"
    assert [*flow.waits] == ["asked"]
    assert (flow.state("stopped").is_final, flow.state("open").is_final) == (True, False)


def test_it_knows_whether_a_rule_of_what_is_offered_may_look_something_up() -> None:
    class Hiding(Policy):
        def hides(self, tool: Any, view: GuardView) -> str | None:
            return None

    def guarded(guard: Any) -> Definition:
        flow = Workflow("plain").add_state("open").add_state("done", final=True)
        return flow.add_edge("open", ask, "done", guard=guard).definition()

    looking = {
        "no rule": plain(),
        "a condition": guarded(has_role("boss")),
        "another policy": made(policies=[Policy()]).definition(),
        "a guard": guarded(lambda view: True),
        "a prompt": made(model=ScriptedChatModel([]), prompt=lambda view: "hello").definition(),
        "a policy that hides": made(policies=[Hiding()]).definition(),
    }
    assert [name for name, one in looking.items() if one.looks_up] == ["a guard", "a prompt", "a policy that hides"]


def test_an_edge_has_names_for_messages_and_nodes() -> None:
    (edge,) = [edge for edge in made().definition().edges if edge.tool.name == "probe.ask"]
    assert (edge.label, edge.guard_label) == (
        "open --probe.ask--> asked",
        "the guard of the edge open --probe.ask--> asked",
    )
    assert edge.approval_node == f"{edge.node}/approval"


def test_a_state_that_is_not_there_is_named_with_those_that_are_and_the_way_out() -> None:
    with pytest.raises(UnknownState) as raised:
        made().definition().state("lost")
    assert raised.value.message == (
        "The workflow probe version 2 has no state 'lost'; it has open, asked, stopped. The instance is kept as it is. Run it with the version "
        "that it was made by, or give the new version a state mapping: Workflow(..., version=3, state_mapping={'lost': 'new state'})."
    )
    assert raised.value.details == {"state": "lost", "states": ["open", "asked", "stopped"]}


def test_stored_data_are_read_into_the_model_or_refused_with_the_field() -> None:
    flow = made().definition()
    assert flow.parse_data({"count": 3}) == Data(count=3)
    assert flow.parse_data(None) == Data()
    assert plain().parse_data({"count": 3}) is None
    with pytest.raises(
        DefinitionChanged, match=r"of probe does not fit Data: count: .*; name: .*\. Nothing was done"
    ) as raised:
        flow.parse_data({"count": "many", "name": 5})
    assert raised.value.code == "data_changed"


class TestWhatIsOffered:
    def view(self, state: str = "open", **data: Any) -> GuardView:
        return GuardView("wf", state, Data(**data), ANN, 0)

    def offered(self, flow: Definition, view: GuardView, **more: Any) -> list[str]:
        return [edge.label for edge in offered_edges(flow.edges, view, **more)]

    def test_edges_out_of_the_state_whose_guards_hold(self) -> None:
        flow = made().definition()
        assert self.offered(flow, self.view()) == ["open --probe.look--> open", "open --probe.ask--> asked"]
        assert self.offered(flow, self.view("asked")) == []
        assert self.offered(flow, self.view("asked", done=True)) == ["asked --probe.stop--> stopped"]
        assert self.offered(flow, self.view("stopped")) == []

    def test_reads_alone_where_nothing_may_change(self) -> None:
        assert self.offered(made().definition(), self.view(), mode=Mode.READ_ONLY) == ["open --probe.look--> open"]

    def test_one_edge_of_a_tool_the_first_that_holds(self) -> None:
        flow = Workflow("two", data=Data)
        flow.add_state("open")
        for name in ("first", "second"):
            flow.add_state(name, final=True)
        flow.add_edge("open", ask, "second", guard=lambda view: True, order=2)
        flow.add_edge("open", ask, "first", guard=lambda view: view.data.done, order=1)
        ordered = flow.definition().by_source["open"]
        assert [edge.target for edge in ordered] == ["first", "second"]
        for done, target in ((True, "first"), (False, "second")):
            (edge,) = offered_edges(ordered, self.view(done=done))
            assert edge.target == target

    def test_not_a_tool_that_a_policy_hides(self) -> None:
        class Hides(Policy):
            def hides(self, tool: Any, view: GuardView) -> str | None:
                return "not now" if tool.name == "probe.ask" else None

        assert self.offered(made().definition(), self.view(), policies=[Hides()]) == ["open --probe.look--> open"]

    def test_not_a_tool_whose_rule_broke_by_any_edge_and_the_breach_is_told(self) -> None:
        def breaks(view: GuardView) -> bool:
            raise KeyError("x")

        flow = Workflow("broken", data=Data)
        flow.add_state("open", tools=[look])
        flow.add_state("first", final=True)
        flow.add_state("second", final=True)
        flow.add_edge("open", ask, "first", guard=breaks, order=1)
        flow.add_edge("open", ask, "second", guard=lambda view: True, order=2)
        broken: dict[str, RuleError] = {}

        edges = offered_edges(flow.definition().by_source["open"], self.view(), broken=broken)

        assert [edge.tool.name for edge in edges] == ["probe.look"]
        assert [*broken] == ["probe.ask"]
        assert "the guard of the edge open --probe.ask--> first" in broken["probe.ask"].message
        assert [edge.tool.name for edge in offered_edges(flow.definition().by_source["open"], self.view())] == [
            "probe.look"
        ]
