"""What a tool leaves behind is checked before it is kept: outputs, refusals, events, and the workflow's data."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_serializer

from interlock import Event, Limits, Refused, ToolContext, Workflow, WorkflowGraph, command, read
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import InvalidInput
from tests.graphs.support import ADA, Home, Runner, answers, codes, said, thread

EFFECTS = ["transactional", "idempotent", "at_most_once"]


class Deep(list[Any]):
    """Contains itself."""

    def __init__(self) -> None:
        super().__init__()
        self.append(self)


class Unwritable(BaseModel):
    value: int = 1

    @field_serializer("value")
    def broken(self, value: int) -> int:
        raise LookupError(value)


UNKEPT: dict[str, Callable[[], Any]] = {
    "NaN": lambda: float("nan"),
    "infinity": lambda: {"a": [float("-inf")]},
    "half a surrogate pair": lambda: "a\ud83d",
    "half a pair as a key": lambda: {"\ud83d": 1},
    "NUL": lambda: ["a\0b"],
    "more than 64 bits": lambda: {"n": 2**64},
    "many digits": lambda: 10**5_000,
    "bytes": lambda: b"\x89PNG\xff",
    "an object": object,
    "itself": Deep,
    "depth": lambda: _nested(200),
    "size": lambda: "x" * 1_100_000,
    "a serializer that raises": Unwritable,
    "a decimal that is no number": lambda: Decimal("NaN"),
}


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


class Box(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    value: Any


def flow(tool: Any, *, limits: Limits | None = None, data: Any = None, look: Any = None) -> Workflow:
    model = ScriptedChatModel([call(tool.name)], forever="Still here.")
    made = Workflow("desk", model=model, data=data, limits=limits)
    made.add_state("open", tools=[] if look is None else [look]).add_state("done", final=True).add_state("next")
    return made.add_edge("open", tool, "next").add_edge("next", tool, "done")


def resumes(graph: WorkflowGraph, run: Runner) -> None:
    """See that the instance can still be used, by everything that reads it."""
    output = run(graph, said("and now?"), thread(), context=ADA)
    assert output["messages"][-1].text == "Still here."
    snapshot = graph.instances.snapshot(thread())
    assert graph.instances.audit(thread())
    assert graph.engine.store.verify(snapshot.workflow_id) == []


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("value", UNKEPT)
def test_an_output_that_cannot_be_kept_is_invalid_and_never_done_twice(memory: Home, value: str, effect: Any) -> None:
    ran: list[int] = []

    @command("thing.do", effect=effect)
    def do() -> Box:
        """Do."""
        ran.append(1)
        return Box(value=UNKEPT[value]())

    graph = memory.compile(flow(do), destructive_in_memory=True)
    output = graph.invoke(said(), thread(), context=ADA)
    assert (codes(output), ran) == (["invalid_output"], [1])
    inside = effect == "transactional"
    # What happened outside has happened: the workflow follows it, and nobody is told to call it again.
    assert output["state"] == ("open" if inside else "next")
    assert output["last_result"]["error"]["details"].get("happened", False) is not inside
    kinds = [record.kind.value for record in graph.instances.audit(thread())]
    assert ("transition" in kinds) is not inside
    resumes(graph, Runner("invoke"))
    assert ran == [1]


@pytest.mark.parametrize("value", [name for name in UNKEPT if name != "size"])
def test_a_refusal_with_details_that_cannot_be_kept_is_invalid_output(home: Home, run: Runner, value: str) -> None:
    @command("thing.do", effect="transactional")
    def do() -> str:
        """Do."""
        raise Refused("no, not now", code="later", details={"why": UNKEPT[value]()})

    graph = home.compile(flow(do))
    output = run(graph, said(), thread(), context=ADA)
    assert (codes(output), output["state"]) == (["invalid_output"], "open")
    assert "no, not now" in answers(output)[0]["error"]["message"]
    resumes(graph, run)


def test_a_refusal_keeps_its_details_as_they_are(home: Home, run: Runner) -> None:
    @command("thing.do", effect="idempotent")
    def do() -> str:
        """Do."""
        raise Refused("no \ud83d", details={"until": dt.date(2026, 1, 2), "amount": Decimal("1.50"), "n": [1, None]})

    output = run(home.compile(flow(do), destructive_in_memory=True), said(), thread(), context=ADA)
    error = answers(output)[0]["error"]
    assert error["details"] == {"until": "2026-01-02", "amount": "1.50", "n": [1, None]}
    assert (error["code"], error["message"]) == ("refused", "no \\ud83d")


class Loose(Event, name="thing.happened", version=1):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    value: Any


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("value", UNKEPT)
def test_an_event_that_cannot_be_kept_is_invalid_output_and_does_not_go_out(
    memory: Home, value: str, effect: Any
) -> None:
    @command("thing.do", effect=effect)
    def do(ctx: ToolContext) -> str:
        """Do."""
        ctx.emit(Loose(value="sound"))
        ctx.emit(Loose(value=UNKEPT[value]()))
        return "done"

    graph = memory.compile(flow(do), destructive_in_memory=True)
    output = graph.invoke(said(), thread(), context=ADA)
    assert codes(output) == ["invalid_output"]
    sent = [record for record in graph.instances.audit(thread()) if record.kind.value == "event_out"]
    assert len(sent) == (0 if effect == "transactional" else 1)
    resumes(graph, Runner("invoke"))


class Loss(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    value: Any = None
    secret: SecretStr | None = None
    pairs: dict[tuple[int, int], str] | None = None
    kept_back: int = Field(default=0, exclude=True)
    raw: bytes | None = None
    zoned: dt.datetime | None = None


DATA: dict[str, dict[str, Any]] = {
    "a secret": {"secret": SecretStr("hunter2")},
    "pairs as keys": {"pairs": {(1, 2): "a"}},
    "an excluded field": {"kept_back": 5},
    "bytes": {"raw": b"\x89PNG\xff"},
    "a date where anything may stand": {"value": dt.date(2026, 1, 1)},
    "a set where anything may stand": {"value": {1, 2}},
    **{name: {"value": None, "made": make} for name, make in UNKEPT.items()},
}


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("what", DATA)
def test_data_that_would_not_read_back_equal_is_invalid_output(memory: Home, what: str, effect: Any) -> None:
    values = dict(DATA[what])
    make = values.pop("made", None)

    @command("thing.do", effect=effect)
    def do(ctx: ToolContext[Loss]) -> str:
        """Do."""
        for name, value in values.items():
            setattr(ctx.data, name, value if make is None else make())
        return "done"

    graph = memory.compile(flow(do, data=Loss), destructive_in_memory=True)
    output = graph.invoke(said(), thread(), context=ADA)
    assert codes(output) == ["invalid_output"]
    assert output["state"] == ("open" if effect == "transactional" else "next")
    assert graph.instances.get(thread()).data["value"] is None
    resumes(graph, Runner("invoke"))


@pytest.mark.parametrize("given", [None, {"value": 1}, "text", 5])
def test_data_that_was_put_in_another_ones_place_is_checked_as_well(memory: Home, given: Any) -> None:
    @command("thing.do", effect="transactional")
    def do(ctx: ToolContext[Loss]) -> str:
        """Do."""
        ctx.data = given
        return "done"

    graph = memory.compile(flow(do, data=Loss))
    expected = ["ok"] if isinstance(given, dict) else ["invalid_output"]
    assert codes(graph.invoke(said(), thread(), context=ADA)) == expected
    resumes(graph, Runner("invoke"))


def test_data_that_reads_back_equal_is_kept_as_it_is(home: Home, run: Runner) -> None:
    moment = dt.datetime(2026, 3, 7, 9, 0, tzinfo=dt.timezone(dt.timedelta(hours=-5)))

    @command("thing.do", effect="transactional")
    def do(ctx: ToolContext[Loss]) -> str:
        """Do."""
        ctx.data.zoned, ctx.data.value = moment, {"a": [1, 2.5, "x", None, True]}
        return "done"

    seen: list[Loss] = []

    @read("thing.look")
    def look(ctx: ToolContext[Loss]) -> str:
        """Look."""
        seen.append(ctx.data)
        return "seen"

    graph = home.compile(flow(do, data=Loss, look=look))
    assert codes(run(graph, said(), thread(), context=ADA)) == ["ok"]
    data = graph.engine.definition.parse_data(graph.instances.get(thread()).data)
    assert (data.zoned, data.value) == (moment, {"a": [1, 2.5, "x", None, True]})


def test_an_instance_does_not_start_with_data_that_cannot_be_kept(memory: Home) -> None:
    @command("thing.do", effect="transactional")
    def do() -> str:
        """Do."""
        return "done"

    graph = memory.compile(flow(do, data=Loss))
    for data in ({"value": float("nan")}, {"value": "\ud83d"}, {"secret": "hunter2"}, {"value": 2**70}):
        with pytest.raises(InvalidInput, match="Nothing was started"):
            graph.invoke({**said(), "data": data}, thread(), context=ADA)


def test_how_much_a_tool_may_take_and_return_can_be_set(home: Home, run: Runner) -> None:
    @read("text.double")
    def double(text: str) -> str:
        """Double."""
        return text * 2

    @command("thing.do", effect="transactional")
    def do() -> str:
        """Do."""
        return "done"

    steps = [call("text.double", text="x" * 40), call("text.double", text="x" * 80), call("text.double", text="x" * 10)]
    limits = Limits(argument_characters=60, output_characters=60)
    made = Workflow("desk", model=ScriptedChatModel([*steps, "Done."]), limits=limits)
    made.add_state("open", tools=[double]).add_state("done", final=True).add_edge("open", do, "done")
    output = run(home.compile(made), said(), thread(), context=ADA)
    assert codes(output) == ["invalid_output", "invalid_arguments", "ok"]
