"""A value comes back as it went in, wherever it stands, or it is refused when it is written, by channel and class."""

from __future__ import annotations

import collections
import dataclasses
import threading
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import pandas as pd
import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import START, StateGraph
from pydantic import BaseModel, PrivateAttr
from typing_extensions import TypedDict

from interlock.checkpointing import SQLCheckpointer
from interlock.checkpointing.serializing import TypedSerializer
from interlock.tools.errors import InputError

from .values import VALUES, Item, Job, Turn, same


class State(TypedDict, total=False):
    value: Any
    beside: Any


class Plain:
    """An ordinary class, which is not data."""


class Guarded(BaseModel):
    _lock: Any = PrivateAttr(default_factory=threading.Lock)


class Finalized(BaseModel):
    def __del__(self) -> None:
        """Runs when an object is thrown away."""


@attrs.define
class Measured:
    x: Any


def linked() -> list[Any]:
    items: list[Any] = []
    items.append(items)
    return items


def linked_job() -> Job:
    job = Job(None)
    job.what = job
    return job


REFUSED: dict[str, Callable[[], Any]] = {
    "a data frame": lambda: pd.DataFrame({"a": [1]}),
    "a timestamp of pandas": lambda: pd.Timestamp("2026-01-01"),
    "a masked array": lambda: np.ma.array([1], mask=[0]),
    "a lock": threading.Lock,
    "a function": lambda: len,
    "a class": lambda: Item,
    "an ordinary object": Plain,
    "an exception": lambda: ValueError("x"),
    "a view of memory": lambda: memoryview(b"x"),
    "a defaultdict with a function": lambda: collections.defaultdict(lambda: 1),
    "a model with a lock": Guarded,
    "a model that does something at its end": Finalized,
    "a list that holds itself": linked,
    "a dataclass that holds itself": linked_job,
}


def graph_over(saver: Any, value: Any) -> Any:
    builder = StateGraph(State)
    builder.add_node("n", lambda _: {"value": value})
    builder.add_edge(START, "n")
    return builder.compile(checkpointer=saver)


def stored_and_loaded(saver: SQLCheckpointer, value: Any) -> Any:
    config = {"configurable": {"thread_id": "t"}}
    graph_over(saver, value).invoke({}, config)
    return graph_over(SQLCheckpointer(saver.database), None).get_state(config).values["value"]


@pytest.mark.parametrize("name", VALUES)
def test_a_value_comes_back_as_it_went_in(name: str) -> None:
    serializer = TypedSerializer()
    for wrap in (lambda value: value, lambda value: [value], lambda value: {"k": value}, Job, lambda value: (value,)):
        value = wrap(VALUES[name]())

        loaded = serializer.loads_typed(serializer.dumps_typed(value))

        assert same(loaded, value), (loaded, value)


@pytest.mark.parametrize("beside", ["nothing", "a message"])
def test_every_value_comes_back_from_a_database(set_up_database_url: str, beside: str) -> None:
    values = {name: make() for name, make in VALUES.items()}
    if beside == "a message":
        values["message"] = HumanMessage("x", id="m")
    with SQLCheckpointer(set_up_database_url) as saver:
        loaded = stored_and_loaded(saver, values)

    assert list(loaded) == list(values)
    assert [name for name in values if not same(loaded[name], values[name])] == []


@pytest.mark.parametrize("name", REFUSED)
def test_a_value_without_a_faithful_form_is_refused_by_channel_and_class(name: str) -> None:
    with SQLCheckpointer("sqlite://") as saver:
        for wrap in (lambda value: value, lambda value: {"k": [value]}, Job):
            with pytest.raises(InputError, match=r"The channel 'value' holds .*Nothing was written") as caught:
                graph_over(saver, wrap(REFUSED[name]())).invoke({}, {"configurable": {"thread_id": name}})

            assert caught.value.code == "value_not_storable"
            assert caught.value.details["channel"] == "value"


def test_a_pickled_value_comes_back_where_pickling_was_asked_for() -> None:
    frame = pd.DataFrame({"a": [1]})
    serializer = TypedSerializer(pickle_fallback=True)

    assert serializer.loads_typed(serializer.dumps_typed({"f": frame}))["f"].equals(frame)


def test_attrs_classes_are_data_classes() -> None:
    serializer = TypedSerializer()

    assert serializer.loads_typed(serializer.dumps_typed(Measured((1,)))) == Measured((1,))


def test_a_deeply_nested_refusal_is_found_in_time() -> None:
    value: Any = Job(Plain())
    for number in range(60):
        value = Job({number: value})

    with pytest.raises(InputError, match="Plain"):
        TypedSerializer().dumps_typed(value)


def test_what_langgraph_wrote_is_read() -> None:
    theirs = JsonPlusSerializer()
    for name in ("a date", "a duration", "a UUID", "a decimal", "addresses", "a document", "an artifact"):
        value = VALUES[name]()
        loaded = TypedSerializer(allowed_types=[Job]).loads_typed(theirs.dumps_typed(value))
        assert loaded == theirs.loads_typed(theirs.dumps_typed(value)), name


def test_a_model_of_langgraphs_form_needs_to_be_allowed_because_its_validators_run() -> None:
    written = JsonPlusSerializer().dumps_typed(Turn(role="a", content="b"))

    with pytest.raises(Exception, match="allowed_types"):
        TypedSerializer().loads_typed(written)
    assert TypedSerializer(allowed_types=[Turn]).loads_typed(written) == Turn(role="a", content="b")


def test_the_error_of_a_task_is_kept_as_text_as_langgraphs_savers_keep_it() -> None:
    def fail(_: State) -> State:
        raise ValueError("broken")

    builder = StateGraph(State)
    builder.add_node("n", fail)
    builder.add_edge(START, "n")
    config = {"configurable": {"thread_id": "t"}}
    with SQLCheckpointer("sqlite://") as saver:
        graph = builder.compile(checkpointer=saver)
        with pytest.raises(ValueError, match="broken"):
            graph.invoke({}, config)

        assert graph.get_state(config).tasks[0].error == "ValueError('broken')"


def test_fields_that_a_class_was_given_since_have_their_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    module = __name__
    before = dataclasses.make_dataclass("Grown", ["a"], namespace={"__module__": module})
    written = TypedSerializer().dumps_typed(before(1))
    after = dataclasses.make_dataclass(
        "Grown",
        ["a", ("b", int, 2), ("c", list, dataclasses.field(default_factory=list))],
        namespace={"__module__": module},
    )
    monkeypatch.setattr(f"{module}.Grown", after, raising=False)

    loaded = TypedSerializer().loads_typed(written)

    assert loaded == after(1, 2, [])


def test_a_class_that_was_moved_is_found_where_it_is_now() -> None:
    written = TypedSerializer().dumps_typed(Job(1))
    name = f"{Job.__module__}.{Job.__qualname__}"

    @dataclasses.dataclass
    class Moved:
        what: Any
        tags: list[Any]

    assert TypedSerializer(moved_types={name: Moved}).loads_typed(written) == Moved(1, [])
    assert TypedSerializer(moved_types={name: dict}).loads_typed(written) == {"what": 1, "tags": []}


def test_messages_keep_what_is_not_text() -> None:
    message = ToolMessage("x", tool_call_id="1", artifact={"size": (1, 2), 3: {4}}, id="t")
    answer = AIMessage("y", id="a", response_metadata={"at": (1,)})
    with SQLCheckpointer("sqlite://") as saver:
        loaded = stored_and_loaded(saver, [message, answer])

    assert same(loaded[0].artifact, {"size": (1, 2), 3: {4}})
    assert same(loaded[1].response_metadata, {"at": (1,)})
