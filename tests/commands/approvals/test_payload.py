"""The interrupt as three user interfaces read it: each reader here does what that interface's own code does with it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langgraph.types import Command

from interlock import Approval, Confirmation, Mode
from interlock.tools import InvalidResume
from interlock.tools.answers import parse_answer
from tests.commands.approvals.support import ADA, BEN, RULE, Home, Shop, asked, pending, refund, said, thread


@pytest.fixture
def interrupt(shop: Shop, home: Home) -> dict[str, Any]:
    """What LangGraph Server sends to a browser for one pending refund: JSON."""
    graph = home.compile(shop.workflow([refund()], approval=RULE))
    (one,) = graph.invoke(said(), thread(), context=ADA)["__interrupt__"]
    sent: dict[str, Any] = json.loads(json.dumps({"id": one.id, "value": one.value}))
    return sent


class AgentChatUI:
    """Takes an interrupt as a request when every request and every config has the shape; decides per request."""

    @staticmethod
    def recognises(interrupt: dict[str, Any]) -> bool:
        requests = interrupt["value"].get("action_requests")
        configs = interrupt["value"].get("review_configs")
        if not (isinstance(requests, list) and requests and isinstance(configs, list) and configs):
            return False
        return all(isinstance(one.get("name"), str) and isinstance(one.get("args"), dict) for one in requests) and all(
            isinstance(one.get("action_name"), str) and isinstance(one.get("allowed_decisions"), list)
            for one in configs
        )

    @staticmethod
    def decide(interrupt: dict[str, Any], kind: str, **more: Any) -> dict[str, Any]:
        (request,) = interrupt["value"]["action_requests"]
        config = next(one for one in interrupt["value"]["review_configs"] if one["action_name"] == request["name"])
        assert kind in config["allowed_decisions"]
        shown = {"name": request["name"], "args": request["args"]}
        edited = {"edited_action": {"name": request["name"], "args": more["args"]}} if kind == "edit" else {}
        message = {"message": more["message"]} if "message" in more else {}
        return {"decisions": [{"type": kind, "action": shown, **edited, **message}]}


class AgentInbox:
    """Makes its own request of the first one: `args` or else `arguments`, and what is allowed by the decisions."""

    @staticmethod
    def normalised(interrupt: dict[str, Any]) -> dict[str, Any] | None:
        requests = interrupt["value"].get("action_requests")
        if not isinstance(requests, list) or not requests:
            return None
        configs = interrupt["value"].get("review_configs") or [{}]
        decisions = configs[0].get("allowed_decisions") or []
        return {
            "action_request": {
                "action": requests[0].get("name", ""),
                "args": requests[0].get("args", requests[0].get("arguments", {})),
            },
            "config": {
                "allow_accept": "approve" in decisions,
                "allow_edit": "edit" in decisions,
                "allow_respond": "reject" in decisions,
                "allow_ignore": False,
            },
            "description": requests[0].get("description"),
        }


class DeepAgentsUI:
    """Reads camelCase configs, and allows approve, reject and edit where it finds none for the tool."""

    @staticmethod
    def allowed(interrupt: dict[str, Any]) -> list[str]:
        request = interrupt["value"]["action_requests"][0]
        configs = interrupt["value"]["review_configs"]
        config = next((one for one in configs if one.get("actionName") == request["name"]), None)
        return ["approve", "reject", "edit"] if config is None else list(config["allowedDecisions"])


class TestTheyRecogniseIt:
    def test_agent_chat_ui(self, interrupt: dict[str, Any]) -> None:
        assert AgentChatUI.recognises(interrupt)

    def test_agent_inbox(self, interrupt: dict[str, Any]) -> None:
        assert AgentInbox.normalised(interrupt) == {
            "action_request": {"action": "order.refund", "args": {"orderId": "1", "amount": "5"}},
            "config": {"allow_accept": True, "allow_edit": True, "allow_respond": True, "allow_ignore": False},
            "description": interrupt["value"]["action_requests"][0]["description"],
        }

    def test_deep_agents_ui_takes_what_is_allowed_from_us_and_not_from_its_default(
        self, shop: Shop, home: Home, interrupt: dict[str, Any]
    ) -> None:
        assert DeepAgentsUI.allowed(interrupt) == ["approve", "edit", "reject", "respond"]
        graph = home.compile(shop.workflow([refund()], approval=Approval(edit=False)))
        (one,) = graph.invoke(said(), thread("t-2"), context=ADA)["__interrupt__"]
        assert DeepAgentsUI.allowed({"value": one.value}) == ["approve", "reject", "respond"]


ANSWERS: dict[str, tuple[Any, list[str]]] = {
    "agent chat ui: approve": (
        {
            "decisions": [
                {"type": "approve", "action": {"name": "order.refund", "args": {"orderId": "1", "amount": "5"}}}
            ]
        },
        ["refund 1 5"],
    ),
    "agent chat ui: edit": (
        {
            "decisions": [
                {
                    "type": "edit",
                    "action": {"name": "order.refund", "args": {"orderId": "1", "amount": "5"}},
                    "edited_action": {"name": "order.refund", "args": {"orderId": "1", "amount": "4"}},
                }
            ]
        },
        ["refund 1 4"],
    ),
    "agent chat ui: reject": ({"decisions": [{"type": "reject", "message": "no"}]}, []),
    "agent inbox: accept": ([{"type": "accept", "args": None}], ["refund 1 5"]),
    "agent inbox: edit": (
        [{"type": "edit", "args": {"action": "order.refund", "args": {"orderId": "1", "amount": "4"}}}],
        ["refund 1 4"],
    ),
    "agent inbox: response": ([{"type": "response", "args": "ask first"}], []),
    "agent inbox: ignore": ([{"type": "ignore", "args": None}], []),
    "deep agents ui: approve": ({"decisions": [{"type": "approve"}]}, ["refund 1 5"]),
    "deep agents ui: edit": (
        {
            "decisions": [
                {"type": "edit", "edited_action": {"name": "order.refund", "args": {"orderId": "1", "amount": "4"}}}
            ]
        },
        ["refund 1 4"],
    ),
    "deep agents ui: reject": ({"decisions": [{"type": "reject"}]}, []),
    "a bare decision": ({"type": "approve"}, ["refund 1 5"]),
    "a bare edit": ({"type": "edit", "args": {"orderId": "1", "amount": "4"}}, ["refund 1 4"]),
    "a word": ("approve", ["refund 1 5"]),
    "a truth": (True, ["refund 1 5"]),
    "an untruth": (False, []),
}


@pytest.mark.parametrize("sent", ANSWERS)
def test_the_answers_of_user_interfaces_are_understood(shop: Shop, home: Home, sent: str) -> None:
    answer, ran = ANSWERS[sent]
    graph = home.compile(shop.workflow([refund()], approval=RULE))
    graph.invoke(said(), thread(), context=ADA)
    output = graph.invoke(Command(resume=json.loads(json.dumps(answer))), thread(), context=BEN)
    assert asked(output) == []
    assert shop.ran == ran


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "",
        "maybe",
        0,
        [],
        {},
        {"type": None},
        {"type": "APPROVE"},
        {"decisions": []},
        {"decisions": [{"type": "approve"}, {"type": "approve"}]},
        {"type": "edit"},
        {"type": "edit", "args": "amount=4"},
        {"type": "edit", "args": {1: 2}},
        {"type": "respond"},
        {"type": "respond", "message": ""},
        {"type": "reject", "message": {"text": "no"}},
        {"approve": True},
        "x" * 10_000,
    ],
)
def test_an_invalid_answer_decides_nothing_and_the_error_shows_a_valid_one(answer: Any) -> None:
    with pytest.raises(InvalidResume, match="Nothing was decided") as refused:
        parse_answer(answer, tool="order.refund", wire_name="order_refund")
    assert len(refused.value.message) < 700


def test_a_tool_may_have_an_argument_called_args() -> None:
    answer = {"type": "edit", "args": {"args": {"a": 1}}}
    assert parse_answer(answer, tool="t", wire_name="t").arguments == {"args": {"a": 1}}


def test_the_decision_of_a_chat_ui_goes_round(shop: Shop, home: Home) -> None:
    graph = home.compile(shop.workflow([refund()], approval=RULE))
    (one,) = graph.invoke(said(), thread(), context=ADA)["__interrupt__"]
    decision = AgentChatUI.decide({"value": one.value}, "edit", args={"orderId": "1", "amount": "2"})
    graph.invoke(Command(resume={one.id: decision}), thread(), context=BEN)
    assert shop.ran == ["refund 1 2"]


class TestWhatIsShown:
    def test_it_says_all_that_an_approver_needs(self, interrupt: dict[str, Any]) -> None:
        shown = interrupt["value"]
        assert shown["tool"] == "order.refund"
        assert shown["arguments"] == {"orderId": "1", "amount": "5"}
        assert shown["preview"] == {"balance": {"from": "100", "to": "95"}}
        assert shown["requestedBy"] == "ada"
        assert shown["expiresAt"] == "2027-01-16T08:00:00.000000Z"
        assert shown["next"] == {"approve": "open", "reject": "open", "expiry": "reject"}

    def test_the_description_says_it_too_because_interfaces_draw_nothing_else(self, interrupt: dict[str, Any]) -> None:
        description = interrupt["value"]["action_requests"][0]["description"]
        for part in (
            "Refund an order.",
            '"from": "100"',
            "Asked by ada",
            "'supervisor'",
            "Open until 2027-01-16",
            "reject",
        ):
            assert part in description

    def test_an_edited_call_shows_what_was_proposed(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund()], approval=Approval(count=2)))
        graph.invoke(said(), thread(), context=ADA)
        approval_id = pending(graph, thread())
        graph.instances.decide(approval_id, {"type": "edit", "args": {"orderId": "1", "amount": "4"}}, by=BEN)
        (shown,) = asked(graph.invoke(None, thread(), context=ADA))
        assert shown["arguments"]["amount"] == "4"
        assert shown["preview"] == {"balance": {"from": "100", "to": "96"}}
        assert '"amount": "5"' in shown["action_requests"][0]["description"]

    def test_a_confirmation_and_a_dry_run_say_so(self, shop: Shop, home: Home) -> None:
        flow = shop.workflow([refund()], approval=Confirmation(), mode=Mode.DRY_RUN)
        (shown,) = asked(home.compile(flow).invoke(said(), thread(), context=ADA))
        assert (shown["type"], shown["mode"]) == ("confirmation", "dry_run")
        assert "dry run" in shown["action_requests"][0]["description"]
        assert "the person served" in shown["action_requests"][0]["description"]

    def test_a_request_is_streamed_when_it_is_made(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund()], approval=RULE))
        events = [
            event
            for event in graph.stream(said(), thread(), context=ADA, stream_mode="custom")
            if event["type"] == "interlock.approval"
        ]
        assert [event["approvalId"] for event in events] == [pending(graph, thread())]

    def test_a_sensitive_argument_is_shown_to_the_approver_and_not_recorded(self, home: Home) -> None:
        from interlock import Workflow, command
        from interlock.testing import ScriptedChatModel, call

        ran: list[str] = []

        @command("card.charge", effect="transactional", sensitive=["card_number"])
        def charge(card_number: str, amount: int) -> bool:
            """Charge a card."""
            ran.append(card_number)
            return True

        model = ScriptedChatModel([call("card.charge", cardNumber="4111", amount=5)], forever="done")
        flow = Workflow("till", model=model)
        flow.add_state("open")
        flow.add_state("paid", final=True)
        flow.add_edge("open", charge, "paid", approval=True)
        graph = home.compile(flow)
        (shown,) = asked(graph.invoke(said(), thread(), context=ADA))
        assert shown["arguments"]["cardNumber"] == "4111"
        graph.invoke(Command(resume="reject"), thread(), context=BEN)
        trail = json.dumps([record.payload for record in graph.instances.audit(thread())])
        assert "4111" not in trail
        assert "4111" not in json.dumps(list(graph.instances.examples()))
        assert ran == []

    @pytest.mark.parametrize("taken", [True, False], ids=["an edit", "an edit that is declined"])
    def test_an_edit_is_on_record_without_the_sensitive_values_of_either(self, home: Home, taken: bool) -> None:
        from interlock import Workflow, command
        from interlock.testing import ScriptedChatModel, call

        ran: list[str] = []

        @command("card.charge", effect="transactional", sensitive=["card_number"])
        def charge(card_number: str, amount: int) -> bool:
            """Charge a card."""
            ran.append(card_number)
            return True

        model = ScriptedChatModel([call("card.charge", cardNumber="4111-old", amount=5)], forever="done")
        flow = Workflow("till", model=model)
        flow.add_state("open")
        flow.add_state("paid", final=True)
        flow.add_edge("open", charge, "paid", approval=True)
        graph = home.compile(flow)
        graph.invoke(said(), thread(), context=ADA)
        edit = {
            "type": "edit",
            "args": {"cardNumber": "5500-new", "amount": 4 if taken else "much"},
            "message": "5500-new is the right one, not 4111-old",
        }
        if taken:
            graph.instances.decide(pending(graph, thread()), edit, by=BEN)
            graph.invoke(None, thread(), context=ADA)
        else:
            with pytest.raises(InvalidResume):
                graph.instances.decide(pending(graph, thread()), edit, by=BEN)

        assert ran == (["5500-new"] if taken else [])
        kind = "decision" if taken else "decision_refused"
        (record,) = [record for record in graph.instances.audit(thread()) if record.kind == kind]
        assert record.payload is not None
        assert record.payload["arguments"] == {"cardNumber": "***", "amount": 4 if taken else "much"}
        trail = json.dumps([record.payload for record in graph.instances.audit(thread())])
        assert "4111-old" not in trail
        assert "5500-new" not in trail
