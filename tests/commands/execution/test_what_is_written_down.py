"""What the log and the record have of a call: no refusal is an error there, and no short secret is in clear."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from pydantic import BaseModel

from interlock import Refused, ToolContext, ToolContract, Workflow, command, read
from interlock.testing import ScriptedChatModel, call
from tests.graphs.support import ADA, Home, answers, codes, said, thread

EFFECTS = ["transactional", "idempotent", "at_most_once"]


class Locker(BaseModel):
    number: int
    pin: str


def flow(tool: ToolContract, **options: Any) -> Workflow:
    made = Workflow("desk", model=ScriptedChatModel([call(tool.name)], forever="Done."), **options)
    made.add_state("open").add_state("closed", final=True)
    return made.add_edge("open", tool, "closed")


def failing(kind: str, error: Exception) -> ToolContract:
    def do() -> str:
        """Do."""
        raise error

    return read("thing.do")(do) if kind == "read" else command("thing.do", effect=kind)(do)


@pytest.mark.parametrize("kind", [*EFFECTS, "read"])
def test_a_refusal_is_an_answer_and_no_error_of_the_log(
    memory: Home, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    graph = memory.compile(flow(failing(kind, Refused("not today"))), destructive_in_memory=True)
    with caplog.at_level(logging.WARNING, logger="interlock"):
        output = graph.invoke(said(), thread(), context=ADA)
    assert codes(output) == ["refused"]
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("kind", ["transactional", "read"])
def test_a_tool_that_fails_is_an_error_of_the_log(memory: Home, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    graph = memory.compile(flow(failing(kind, LookupError("gone"))), destructive_in_memory=True)
    with caplog.at_level(logging.WARNING, logger="interlock"):
        output = graph.invoke(said(), thread(), context=ADA)
    assert codes(output) == ["tool_failed"]
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [LookupError]


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise LookupError("it has no words")

    __repr__ = __str__


@pytest.mark.parametrize("kind", ["transactional", "read"])
def test_an_error_that_cannot_be_put_into_words_is_a_failure_of_the_tool_like_any_other(
    memory: Home, kind: str
) -> None:
    graph = memory.compile(flow(failing(kind, Unspeakable())), destructive_in_memory=True)
    assert codes(graph.invoke(said(), thread(), context=ADA)) == ["tool_failed"]


@pytest.mark.parametrize("effect", EFFECTS)
def test_a_short_secret_is_in_no_record_though_its_value_is_not_looked_for(memory: Home, effect: Any) -> None:
    @command("locker.rent", effect=effect, sensitive=["pin"])
    def rent() -> Locker:
        """Rent a locker."""
        return Locker(number=7, pin="4711")

    graph = memory.compile(flow(rent, data=Locker), destructive_in_memory=True)
    output = graph.invoke({**said(), "data": {"number": 1, "pin": "0815"}}, thread(), context=ADA)
    (moved,) = [record for record in graph.instances.audit(thread()) if record.kind.value == "transition"]
    assert output["state"] == "closed"
    assert moved.payload["output"]["number"] == 7
    assert "4711" not in json.dumps(moved.payload)
    assert "0815" not in json.dumps(moved.payload)


PIN = "0815-4711"


@pytest.mark.parametrize("how", ["no arguments", "a check", "a refusal", "a failed check with the words of the data"])
def test_a_secret_of_the_data_is_in_no_record_and_no_answer(memory: Home, how: str) -> None:
    """The model may say it under the name of any other argument, and a tool or a check in any sentence."""

    def check(note: str, ctx: ToolContext[Locker]) -> bool | str:
        if how == "a refusal":
            return True
        return f"{ctx.data.pin} is in use" if how.endswith("of the data") else "it is in use"

    @command("locker.rent", effect="transactional", sensitive=["pin"], check=check)
    def rent(note: str, ctx: ToolContext[Locker]) -> Locker:
        """Rent a locker."""
        raise Refused(f"{ctx.data.pin} is taken", details={"tried": [ctx.data.pin]})

    said_of_it = {"nothing": PIN} if how == "no arguments" else {"note": f"the pin is {PIN}"}
    made = Workflow("desk", model=ScriptedChatModel([call("locker.rent", **said_of_it)], forever="Done."), data=Locker)
    made.add_state("open").add_state("closed", final=True).add_edge("open", rent, "closed")
    graph = memory.compile(made, destructive_in_memory=True)
    output = graph.invoke({**said(), "data": {"number": 1, "pin": PIN}}, thread(), context=ADA)
    assert PIN not in json.dumps(answers(output)), "nor in what the model is answered"
    (record,) = [one for one in graph.instances.audit(thread()) if one.kind.value in {"denial", "refusal"}]
    assert record.payload["error"]["message"]
    assert PIN not in json.dumps(record.payload)


@pytest.mark.parametrize("effect", EFFECTS)
def test_what_one_tool_calls_sensitive_is_in_no_record_of_another_one(memory: Home, effect: Any) -> None:
    @command("locker.rent", effect="transactional", sensitive=["pin"])
    def rent(pin: str) -> str:
        """Rent a locker."""
        return pin

    @command("locker.number", effect=effect)
    def number(ctx: ToolContext[Locker]) -> int:
        """Give the locker another number."""
        ctx.data.number += 1
        return ctx.data.number

    graph = memory.compile(flow(number, data=Locker).add_edge("open", rent, "open"), destructive_in_memory=True)
    output = graph.invoke({**said(), "data": {"number": 1, "pin": "0815"}}, thread(), context=ADA)
    assert (output["state"], output["data"]["pin"]) == ("closed", "0815")
    (moved,) = [record for record in graph.instances.audit(thread()) if record.kind.value == "transition"]
    assert moved.payload["data"]["number"] == 2
    assert "0815" not in json.dumps([record.payload for record in graph.instances.audit(thread())])
