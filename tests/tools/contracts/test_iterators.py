"""An iterator that a tool returns is read up to the limit of an output: one without an end is a fault of the tool, and no end of the process."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Generator, Iterable, Iterator
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

from interlock import Limits, Principal, Workflow, command, read
from interlock.testing import ScriptedChatModel, call
from interlock.tools.contracts.iterators import EndlessError, may_hold_iterators, read_out
from interlock.tools.contracts.outputs import checked_output, checked_preview
from interlock.tools.errors import InvalidOutput


class Loose(BaseModel):
    items: Any


class Typed(BaseModel):
    items: Iterable[int]


@dataclasses.dataclass
class Record:
    items: Any


def endless() -> Iterator[str]:
    while True:
        yield "again " * 1000


ENDLESS: dict[str, tuple[Any, Any]] = {
    "a generator": (Any, endless),
    "a counter": (Generator[int, None, None], itertools.count),
    "an iterable": (Iterable[int], itertools.count),
    "in a dict": (dict[str, Any], lambda: {"items": endless()}),
    "in a list": (list[Any], lambda: [1, endless()]),
    "in a tuple in a dict": (Any, lambda: {"items": (endless(),)}),
    "in a generator": (Any, lambda: (endless() for _ in range(2))),
    "in a model": (Loose, lambda: Loose(items=endless())),
    "in a typed model": (Typed, lambda: Typed(items=itertools.count())),
    "in a dataclass": (Any, lambda: Record(items=endless())),
    "in a model in a list": (list[Loose], lambda: [Loose(items=1), Loose(items=[endless()])]),
    "generators without end": (Any, lambda: (iter([]) for _ in itertools.count())),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_an_output_without_an_end_does_not_keep_its_contract(kind: str) -> None:
    annotation, made = ENDLESS[kind]
    with pytest.raises(InvalidOutput, match="iterator"):
        checked_output("report.list", TypeAdapter(annotation), made(), 100_000)


@pytest.mark.parametrize(
    ("annotation", "value", "plain"),
    [
        (Any, (number for number in range(3)), [0, 1, 2]),
        (Generator[int, None, None], iter([1, 2]), [1, 2]),
        (Iterable[int], map(int, "12"), [1, 2]),
        (dict[str, Any], {"a": (text for text in "xy"), "b": [1]}, {"a": ["x", "y"], "b": [1]}),
        (Any, [{"a": 1}, (2, "three")], [{"a": 1}, [2, "three"]]),
    ],
)
def test_an_iterator_with_an_end_is_a_list(annotation: Any, value: Any, plain: Any) -> None:
    assert checked_output("report.list", TypeAdapter(annotation), value, 100_000) == plain


def test_a_preview_without_an_end_is_refused() -> None:
    with pytest.raises(InvalidOutput, match="iterator"):
        checked_preview("report.list", {"rows": endless()})


def test_plain_data_is_handed_on_as_it_is() -> None:
    data = {"a": [1, (2, "x")], "b": Loose(items=[1])}
    assert read_out(data) is data


def test_what_contains_itself_is_left_to_the_serializer() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert read_out(loop) is loop


def test_a_type_without_room_for_an_iterator_is_not_searched() -> None:
    class Order(BaseModel):
        order_id: str
        lines: list[int]

    assert not may_hold_iterators(TypeAdapter(list[Order]))
    assert may_hold_iterators(TypeAdapter(list[Loose]))


def test_items_and_their_text_count_towards_the_limit() -> None:
    assert read_out(iter(["ab", "c"]), 5) == ["ab", "c"]
    with pytest.raises(EndlessError):
        read_out(iter(["ab", "cd"]), 5)


@pytest.mark.parametrize("effect", ["transactional", "idempotent"])
def test_the_run_goes_on_after_a_tool_that_returns_without_an_end(effect: Any) -> None:
    @read("report.rows")
    def rows() -> Iterable[str]:
        """List rows."""
        return endless()

    @command("report.close", effect=effect)
    def close() -> dict[str, Any]:
        """Close."""
        return {"rows": endless()}

    model = ScriptedChatModel([call("report.rows"), call("report.close"), "Neither worked."])
    desk = Workflow("desk", model=model, limits=Limits(output_characters=10_000))
    desk.add_state("open", tools=[rows])
    desk.add_edge("open", close, "open")
    graph = desk.compile(in_memory=True)
    thread: Any = {"configurable": {"thread_id": "t"}}
    done = graph.invoke({"messages": [("user", "Go")]}, thread, context=Principal("ada"))
    codes = [record.code for record in graph.instances.audit(thread) if record.code]
    assert done["messages"][-1].text == "Neither worked." or done["__interrupt__"]
    assert "invalid_output" in codes
