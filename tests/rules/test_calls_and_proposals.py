"""Messages that client packages gave no proper shape, and the proposals that are read out of a message."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from interlock import Principal, command
from interlock.rules.calls import (
    INVALID_JSON,
    block_matches,
    cut_off,
    finished,
    problem_of,
    readable,
    repaired,
    used_of_the_providers,
    well_formed,
)
from interlock.rules.proposals import Proposal, advance, pending_of, proposals_of, with_arguments
from interlock.tools.wire import WireNames

ANN = Principal("ann")


def spoilt(**parts: Any) -> AIMessage:
    """A message that was copied past its checks."""
    return AIMessage("", id="m").model_copy(update=parts)


WHOLE = {"name": "a", "args": {"x": 1}, "id": "c1", "type": "tool_call"}


class TestShape:
    @pytest.mark.parametrize(
        ("parts", "calls", "invalid", "content"),
        [
            ({"content": None}, [], [], ""),
            ({"content": 5}, [], [], "5"),
            ({"content": [{"type": "text", "text": "x"}], "tool_calls": None}, [], [], [{"type": "text", "text": "x"}]),
            ({"tool_calls": (WHOLE,)}, [WHOLE], [], ""),
            ({"tool_calls": WHOLE}, [WHOLE], [], ""),
            ({"tool_calls": [{"args": {"x": 1}, "id": "c1"}]}, [{**WHOLE, "name": "unknown"}], [], ""),
            ({"tool_calls": [{"name": "a"}]}, [{"name": "a", "args": {}, "id": None, "type": "tool_call"}], [], ""),
            ({"tool_calls": ["a", WHOLE]}, [WHOLE],
             [{"name": "unknown", "args": "'a'", "id": None, "type": "invalid_tool_call", "error": None}], ""),
            ({"invalid_tool_calls": [{"name": "a", "args": None, "id": "c1", "error": "bad"}]}, [],
             [{"name": "a", "args": "", "id": "c1", "type": "invalid_tool_call", "error": "bad"}], ""),
            ({"invalid_tool_calls": None, "tool_calls": [WHOLE]}, [WHOLE], [], ""),
        ],
    )  # fmt: skip
    def test_whatever_a_message_holds_it_has_the_shape_of_its_class(
        self, parts: Any, calls: Any, invalid: Any, content: Any
    ) -> None:
        message = well_formed(spoilt(**parts))
        assert (message.tool_calls, message.invalid_tool_calls, message.content) == (calls, invalid, content)

    def test_one_that_has_it_is_left_as_it_is(self) -> None:
        message = AIMessage(
            "x",
            tool_calls=[WHOLE],
            invalid_tool_calls=[{**WHOLE, "args": "{", "error": None, "type": "invalid_tool_call"}],
        )  # type: ignore[list-item, typeddict-item]
        assert well_formed(message) is message

    def test_arguments_that_were_streamed_are_taken_for_what_they_are(self) -> None:
        message = AIMessage(
            "", tool_calls=[WHOLE, {**WHOLE, "id": "c2"}], additional_kwargs={"tool_calls": [1], "other": 2}
        )  # type: ignore[list-item]
        done = finished(message, {"c1": '{"x": ', "c2": "  "})
        assert [call["id"] for call in done.tool_calls] == ["c2"]
        (broken,) = done.invalid_tool_calls
        assert (broken["id"], broken["args"], broken["name"], broken["type"]) == (
            "c1",
            '{"x": ',
            "a",
            "invalid_tool_call",
        )
        assert done.additional_kwargs == {"other": 2}, "the raw form of the calls would disagree"
        assert finished(message, {"c1": '{"x": 1}'}) is message
        assert finished(message, {"c1": "[1]"}).invalid_tool_calls[0]["args"] == "[1]", "a list is no object"

    @pytest.mark.parametrize(
        ("metadata", "reason"),
        [
            ({"incomplete_details": {"reason": "max_output_tokens"}}, "max_output_tokens"),
            ({"incompleteDetails": {"reason": "content-filter"}}, "content-filter"),
            ({"finishReason": "MAX_TOKENS"}, "MAX_TOKENS"),
            ({"native_finish_reason": "interrupt"}, "interrupt"),
            ({"completion_reason": "time_out"}, "time_out"),
            ({"finish_reason": "language"}, "language"),
            ({"finish_reason": "OTHER"}, "OTHER"),
            ({"finish_reason": "model_armor"}, "model_armor"),
            ({"finish_reason": "error" + "x" * 100}, "error" + "x" * 59),
            ({"finish_reason": "another"}, None),
            ({"finish_reason": 5, "status": "done"}, None),
            ({"incomplete_details": "reason"}, None),
        ],
    )
    def test_every_name_of_an_end_that_came_too_early_is_known(self, metadata: Any, reason: str | None) -> None:
        assert cut_off(AIMessage("", response_metadata=metadata)) == reason


def test_a_message_without_an_id_and_without_calls_is_left_as_it_is() -> None:
    message = AIMessage("hello")
    assert repaired(message, "msg_1", [HumanMessage("x"), AIMessage("y")]) is message
    kept = repaired(AIMessage("", tool_calls=[WHOLE]), "msg_1", [HumanMessage("x")])  # type: ignore[list-item]
    assert (kept.id, kept.response_metadata) == (None, {"interlock": "msg_1"})


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ({"error": "bad comma", "args": "{"}, "the arguments could not be read as JSON: bad comma"),
        ({"error": None, "args": "{"}, "the arguments could not be read as JSON: {"),
        ({"error": "x" * 900, "args": ""}, ("the arguments could not be read as JSON: " + "x" * 900)[:500]),
    ],
)
def test_what_is_wrong_with_a_call_is_told(call: Any, said: str) -> None:
    assert problem_of(call) == said


def test_a_call_that_was_cut_off_is_to_be_made_again_with_less() -> None:
    (call,) = finished(
        AIMessage("", tool_calls=[WHOLE], response_metadata={"finish_reason": "length"})
    ).invalid_tool_calls  # type: ignore[list-item]
    assert problem_of(call).endswith(
        "(length) before this call was whole; make it again, whole, and with less in one message"
    )


def test_tools_that_a_provider_ran_itself_are_found_with_what_they_were_given() -> None:
    content: Any = [
        {"type": "text", "text": "x"},
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "tea"}},
        {"type": "web_search_call", "id": "w1", "action": {"type": "search"}},
        {"type": "tool_use", "id": "c1", "name": "ours", "input": {}},
        "text",
    ]
    message = AIMessage(
        content, additional_kwargs={"tool_outputs": [{"type": "file_search_call", "queries": ["a"]}, "x"]}
    )
    assert used_of_the_providers(message) == [
        {"tool": "web_search", "id": "s1", "input": {"query": "tea"}},
        {"tool": "web_search", "id": "w1", "input": {"type": "search"}},
        {"tool": "file_search", "id": None, "input": ["a"]},
    ]
    grounded = AIMessage("x", response_metadata={"grounding_metadata": {"a": 1}})
    assert used_of_the_providers(grounded) == [{"tool": "google_search", "id": None, "input": None}]
    assert used_of_the_providers(AIMessage("x")) == []


def test_invalid_calls_stand_among_the_others_with_their_text() -> None:
    message = spoilt(tool_calls=[WHOLE], invalid_tool_calls=[{"name": None, "args": None, "id": "c2", "error": None}])
    assert [(call["name"], call["args"], call["id"]) for call in readable(message).tool_calls] == [
        ("a", {"x": 1}, "c1"), ("", {INVALID_JSON: ""}, "c2"),
    ]  # fmt: skip
    assert readable(message).invalid_tool_calls == []
    assert readable(AIMessage("x")).content == "x"


# Proposals


@command("order.pay", effect="transactional")
def pay(amount: int) -> str:
    """Pay."""
    return "paid"


def read_out(message: AIMessage, offered: Any = ("order.pay",)) -> list[Proposal]:
    return proposals_of(
        message, message_key="msg_1", names=WireNames([pay]), offered=offered, requester=ANN, state="open", revision=3
    )


def test_each_call_is_a_proposal_and_those_that_could_not_be_read_come_last() -> None:
    message = spoilt(
        tool_calls=[{**WHOLE, "name": "order_pay"}, {**WHOLE, "name": "else", "id": "c2"}],
        invalid_tool_calls=[
            {"name": "order_pay", "args": '{"x": 1, "y"', "id": "c3", "error": "cut"},
            {"name": None, "args": '{"x": 2}', "id": "c4", "error": None},
        ],
    )
    found = read_out(message)
    assert [(one.tool, one.arguments, one.call_id, one.offered) for one in found] == [
        ("order.pay", {"x": 1}, "c1", True), ("else", {"x": 1}, "c2", False), ("order.pay", {}, "c3", True), ("", {"x": 2}, "c4", False),
    ]  # fmt: skip
    assert [one.problem for one in found[:2]] == [None, None]
    assert found[2].problem == "the arguments could not be read as JSON: cut"
    assert all((one.message_key, one.state, one.revision, one.requester) == ("msg_1", "open", 3, ANN) for one in found)
    assert len({one.key for one in found}) == 4
    assert [one.key for one in read_out(message)] == [one.key for one in found], (
        "the keys are the message's, not the call's"
    )


def test_a_proposal_waits_as_plain_data_and_is_then_a_claim() -> None:
    (made,) = read_out(AIMessage("", tool_calls=[{**WHOLE, "name": "order_pay"}]))  # type: ignore[list-item]
    data = made.to_json()
    assert set(data) == {
        "key", "message_key", "tool", "arguments", "call_id", "requester", "offered", "state", "revision", "problem", "trace", "mark",
    }  # fmt: skip
    assert made.mark is None
    assert made.is_claim is False
    assert "mark" not in made.signed()
    again = Proposal.from_json({**data, "mark": "m"})
    assert (again.is_claim, again.mark, again.requester, again.signed()) == (True, "m", ANN, made.signed())
    assert pending_of({"pending": [data]}) == [Proposal.from_json(data)]
    assert pending_of(None) == pending_of({}) == []
    assert with_arguments(made, {"x": 2}).arguments == {"x": 2}


class TestProgress:
    def test_a_turn_begins_anew_and_keeps_what_waits(self) -> None:
        before: Any = {"pending": [{"key": "a"}], "calls": 4, "denials": 2, "head": "h"}
        after = advance(before, [("turn", {"id": "ann"})])
        assert after == {"pending": [{"key": "a"}], "calls": 0, "denials": 0, "head": "h", "requester": {"id": "ann"}}
        assert before["calls"] == 4
        assert advance(None, [("turn", {"id": "ann"})]) == {"requester": {"id": "ann"}, "calls": 0, "denials": 0}
        assert advance(before, [("reset", None)]) == {**before, "calls": 0, "denials": 0}

    def test_proposals_wait_in_order_until_they_are_done(self) -> None:
        said = {"proposals": [{"key": "a"}, {"key": "b"}], "denied": 1, "workflow_id": "wf_1"}
        one = advance(None, [("propose", said), ("propose", {"proposals": [{"key": "c"}], "workflow_id": "wf_1"})])
        assert [item["key"] for item in one["pending"]] == ["a", "b", "c"]
        assert (one["calls"], one["denials"], one["workflow_id"]) == (2, 1, "wf_1")
        two = advance(one, [("settle", "b"), ("settle", "c"), ("done", {"key": "b", "ok": False})])
        assert ([item["key"] for item in two["pending"]], two["settled"], two["denials"]) == (["a", "c"], ["c"], 2)
        three = advance(
            two, [("done", {"key": "a", "ok": True, "head": "h"}), ("done", {"key": "x", "ok": True, "head": None})]
        )
        assert ([item["key"] for item in three["pending"]], three["denials"], three["head"]) == (["c"], 0, "h")

    def test_what_is_no_operation_is_refused(self) -> None:
        with pytest.raises(ValueError, match="not an operation on the progress of a workflow: 'jump'"):
            advance({}, [("jump", 1)])


def test_blocks_without_an_id_match_the_calls_of_their_name_and_others_in_their_order() -> None:
    blocks: Any = [{"type": "tool_use", "name": "b"}, {"type": "text", "text": "x"}, {"type": "tool_use", "name": "a"}]
    assert [*block_matches(blocks, [{"name": "a", "id": None}, {"name": "b", "id": None}])] == [(0, 1), (2, 0)]
    assert [*block_matches(blocks, [{"name": "c", "id": None}, {"name": "d", "id": ""}])] == [(0, 0), (2, 1)]
