"""What a model says, and what a tool leaves in the data, in the form in which it is kept."""

from __future__ import annotations

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from langchain_core.messages import AIMessage
from pydantic import BaseModel, Field, SecretStr

from interlock import Policy, Principal, command
from interlock.rules.keepable import keepable, name_of, said_by
from interlock.rules.stored_data import NotKeptError, stored
from interlock.rules.view import GuardView
from interlock.tools.errors import RuleError
from interlock.tools.storable import LARGEST_INTEGER


def call(args: Any, name: str = "a", call_id: str = "c1") -> Any:
    return {"type": "tool_call", "name": name, "args": args, "id": call_id}


class TestMessages:
    def test_one_that_can_be_kept_is_left_as_it_is_however_deep(self) -> None:
        content: Any = [{"type": "text", "text": "é", "parts": [1, [2.5, None, True], {"a": ["x"]}]}]
        message = AIMessage(content, tool_calls=[call({"x": [1, {"y": []}]})], additional_kwargs={"list": ["a", ["b"]]})
        assert keepable(message, longest=1_000) is message

    def test_what_no_database_keeps_is_written_otherwise_wherever_it_stands(self) -> None:
        content: Any = [{"type": "text", "text": "a\ud800", "many": [1, ["\udfff", LARGEST_INTEGER + 1]], "k\ud800": 1}]
        done: Any = keepable(AIMessage(content, response_metadata={"n": -(2**70)}), longest=1_000)
        assert done.content[0]["text"] == "a\\ud800"
        assert done.content[0]["many"] == [1, ["\\udfff", str(LARGEST_INTEGER + 1)]]
        assert "k\\ud800" in done.content[0]
        assert done.response_metadata == {"n": str(-(2**70))}

    def test_a_call_that_cannot_be_kept_is_an_invalid_one_with_its_text(self) -> None:
        message = AIMessage(
            "",
            tool_calls=[call({"x": 1}), call({"x": float("nan")}, call_id="c2")],
            additional_kwargs={"tool_calls": [1], "o": 2},
        )
        done = keepable(message, longest=1_000)
        assert [one["id"] for one in done.tool_calls] == ["c1"]
        (broken,) = done.invalid_tool_calls
        assert (broken["id"], broken["name"], broken["type"]) == ("c2", "a", "invalid_tool_call")
        assert broken["error"]
        assert "x" in str(broken["args"])
        assert done.additional_kwargs == {"o": 2}

    def test_a_block_that_repeats_a_call_which_cannot_be_kept_is_recorded_as_far_as_it_can_be(self) -> None:
        text: Any = {"type": "text", "text": "x"}
        block: Any = {"type": "tool_use", "name": "a", "id": "c1", "input": {"y": float("nan")}}
        done: Any = keepable(AIMessage([text, block]), longest=100)
        assert done.content == [text, {**block, "input": {"y": "nan"}}]

    def test_arguments_of_another_ones_tool_may_be_of_any_length(self) -> None:
        message = AIMessage("", tool_calls=[call({"x": "y" * 500}), call({"x": "y" * 500}, "other", "c2")])
        assert [one["id"] for one in keepable(message, longest=100).tool_calls] == []
        assert [
            one["id"] for one in keepable(message, longest=100, foreign=lambda name: name == "other").tool_calls
        ] == ["c2"]

    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            ("order_pay", "order_pay"), ("x" * 64, "x" * 64), ("x" * 65, "x" * 63 + "…"), ("a\ud800", "a\\ud800…"), (None, ""), (7, "7"),
        ],
    )  # fmt: skip
    def test_a_name_that_was_changed_ends_as_no_tools_name_does(self, given: Any, kept: str) -> None:
        assert name_of(given) == kept

    @pytest.mark.parametrize(
        ("text", "said"),
        [('{"x": 1}', {"x": 1}), ("[1]", {}), ('{"x"', {}), (None, {}), ("[" * 100_000, {}), ('{"x": NaN}', {})],
    )
    def test_the_text_of_an_invalid_call_is_read_as_far_as_it_is_arguments(self, text: Any, said: Any) -> None:
        assert said_by({"type": "invalid_tool_call", "name": "a", "args": text, "id": "c", "error": None}) == said

    def test_an_invalid_calls_name_text_and_error_are_kept_too(self) -> None:
        broken: Any = {"type": "invalid_tool_call", "name": "n\ud800", "args": "a\ud800", "id": "c", "error": "e\ud800"}
        fine: Any = {"type": "invalid_tool_call", "name": "n", "args": "{", "id": "d", "error": None}
        done = keepable(AIMessage("", invalid_tool_calls=[broken, fine]), longest=1_000)
        assert [(one["name"], one["args"], one["error"]) for one in done.invalid_tool_calls] == [
            ("n\\ud800…", "a\\ud800", "e\\ud800"), ("n", "{", None),
        ]  # fmt: skip


class Inner(BaseModel):
    hidden: list[str] = Field(default_factory=list, exclude=True)


class Data(BaseModel):
    count: int = 0
    inner: Inner = Inner()
    many: list[Inner] = Field(default_factory=list)


class Secret(BaseModel):
    password: SecretStr = SecretStr("x")


class Appointment(BaseModel):
    at: dt.datetime | dt.time
    others: list[dt.datetime] = Field(default_factory=list)


NEW_YORK = ZoneInfo("America/New_York")


class TestTimes:
    @pytest.mark.parametrize(
        ("data", "field"),
        [
            ({"at": dt.datetime(2026, 3, 7, 9, tzinfo=NEW_YORK)}, "at"),
            ({"at": dt.time(9, tzinfo=NEW_YORK)}, "at"),
            ({"at": dt.datetime(2026, 11, 1, 1, 30, fold=1)}, "at"),
            ({"at": dt.time(9), "others": [dt.datetime(2026, 3, 7, 9, tzinfo=NEW_YORK)]}, "others"),
        ],
    )
    def test_one_that_would_lose_its_zone_is_refused_with_what_to_do(self, data: Any, field: str) -> None:
        with pytest.raises(NotKeptError, match=rf"something else \(in {field}\).*astimezone\(timezone\.utc\)"):
            stored(Appointment, Appointment.model_construct(**{"others": [], **data}))

    @pytest.mark.parametrize(
        "at",
        [
            dt.datetime(2026, 3, 7, 9),
            dt.datetime(2026, 3, 7, 9, tzinfo=dt.UTC),
            dt.datetime(2026, 3, 7, 9, tzinfo=ZoneInfo("UTC")),
            dt.datetime(2026, 3, 7, 9, tzinfo=dt.timezone(dt.timedelta(hours=-5))),
            dt.time(9, 30),
        ],
    )
    def test_one_with_an_offset_or_without_a_zone_is_kept(self, at: Any) -> None:
        assert Appointment.model_validate(stored(Appointment, Appointment(at=at))).at == at


class TestData:
    def test_it_is_stored_as_json_that_reads_back_as_what_it_was(self) -> None:
        assert stored(Data, Data(count=2, many=[Inner()])) == {"count": 2, "inner": {}, "many": [{}]}
        assert stored(Data, {"count": 3})["count"] == 3

    def test_what_its_model_leaves_out_may_hold_nothing_but_its_default(self) -> None:
        with pytest.raises(NotKeptError, match=r"would lose Inner\.hidden, which its model excludes"):
            stored(Data, Data(inner=Inner(hidden=["a"])))
        with pytest.raises(NotKeptError, match=r"Inner\.hidden"):
            stored(Data, Data(many=[Inner(), Inner(hidden=["a"])]))

    @pytest.mark.parametrize(
        ("model", "data", "said"),
        [
            (Data, {"count": "many"}, "is refused by its model: count: "),
            (Data, {"many": [{"hidden": 5}]}, r"is refused by its model: many\.0\.hidden: "),
            (Data, [1], "is a list now, and no Data"),
            (
                Secret,
                Secret(password=SecretStr("s")),
                r"would read back as something else \(in password\); give its fields types",
            ),
            (Data, {"count": 2**70}, "cannot be kept: "),
        ],
    )
    def test_what_would_not_read_back_is_refused_with_the_reason(self, model: Any, data: Any, said: str) -> None:
        with pytest.raises(NotKeptError, match=said):
            stored(model, data)

    def test_it_may_be_as_long_as_it_is_told(self) -> None:
        class Text(BaseModel):
            text: str

        assert stored(Text, {"text": "x" * 80}, longest=200)
        with pytest.raises(NotKeptError, match="cannot be kept"):
            stored(Text, {"text": "x" * 300}, longest=200)


@command("order.pay", effect="transactional")
def pay() -> str:
    """Pay."""
    return "paid"


@pytest.mark.parametrize("answer", ["", "  ", 5, True, ["no"]])
def test_a_policy_that_hides_a_tool_without_a_reason_broke(answer: Any) -> None:
    class Odd(Policy):
        def hides(self, tool: Any, view: GuardView) -> Any:
            return answer

    with pytest.raises(RuleError, match="the policy 'Odd'"):
        Odd().hidden(pay, GuardView("wf", "open", None, Principal("ann"), 0))


def test_a_policy_that_breaks_where_it_hides_is_named() -> None:
    class Broken(Policy):
        def hides(self, tool: Any, view: GuardView) -> Any:
            raise KeyError(tool.name)

    with pytest.raises(RuleError, match="the policy 'Broken'"):
        Broken().hidden(pay, GuardView("wf", "open", None, Principal("ann"), 0))
