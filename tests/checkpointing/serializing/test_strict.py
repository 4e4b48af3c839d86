"""Strict mode: what the schemas declare and what is allowed besides, refused otherwise when it is written, by channel and class."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Annotated, Any, NotRequired, Optional

import pytest
from langchain_core.messages import AIMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Send
from typing_extensions import TypedDict

from interlock import Workflow, command
from interlock.checkpointing import SQLCheckpointer
from interlock.checkpointing.serializing import TypedSerializer, declared_types
from interlock.tools.errors import InputError, StoreError

from .values import Colour, Item, Job, Outer, Page, Point, Spoken, Turn, UserId


class Declared(TypedDict, total=False):
    job: Job
    items: list[Item]
    page: Annotated[Page[Turn], "note"]
    place: NotRequired[dict[str, Optional[Point]]]  # noqa: UP045 -- as applications have it
    outer: Outer
    colour: Colour
    who: UserId
    said: Spoken
    value: Any


def test_every_class_that_a_schema_declares_is_found() -> None:
    assert declared_types(Declared) >= {Job, Item, Page[Turn], Turn, Point, Outer, Outer.Inner, Colour, UserId, Spoken}


def run(saver: Any, update: dict[str, Any]) -> Any:
    builder = StateGraph(Declared)
    builder.add_node("n", lambda _: update)
    builder.add_edge(START, "n")
    graph = builder.compile(checkpointer=saver)
    config = {"configurable": {"thread_id": "t"}}
    graph.invoke({}, config)
    return graph.get_state(config).values


def test_strict_mode_refuses_a_class_that_nobody_named_when_it_is_written() -> None:
    with SQLCheckpointer("sqlite://", strict=True) as saver:
        with pytest.raises(
            InputError, match=r"The channel 'value' holds an object of .*values\.Turn.*strict"
        ) as caught:
            run(saver, {"value": {"deep": [Turn(role="a", content="b")]}})

        assert caught.value.code == "type_not_allowed"
        assert caught.value.details == {"channel": "value", "class": f"an object of {Turn.__module__}.Turn"}


def test_strict_mode_refuses_a_class_that_nobody_named_when_it_is_read() -> None:
    written = TypedSerializer().dumps_typed(Job(1))

    with pytest.raises(StoreError, match="not allowed"):
        TypedSerializer(strict=True).loads_typed(written)
    assert TypedSerializer(strict=True, allowed_types=[Job]).loads_typed(written) == Job(1)


@pytest.mark.parametrize("allowed", [Job, (Job.__module__, "Job")])
def test_allowed_types_adds_to_what_strict_mode_takes(allowed: Any) -> None:
    with SQLCheckpointer("sqlite://", strict=True, allowed_types=[allowed]) as saver:
        assert run(saver, {"value": Job(Send("n", (1,)))})["value"] == Job(Send("n", (1,)))


def test_a_saver_takes_what_schemas_declare() -> None:
    update = {
        "job": Job((1,)), "items": [Item(name="x")], "page": Page[Turn](inner=Turn(role="a", content="b")),
        "place": {"here": Point(1)}, "outer": Outer(), "colour": Colour.RED, "who": UserId("u"), "said": Spoken("hi", id="s"),
    }  # fmt: skip
    with SQLCheckpointer("sqlite://", strict=True, allowed_types=[*declared_types(Declared)]) as saver:
        values = run(saver, update)

    assert {name: values[name] for name in update} == update


class Within(TypedDict, total=False):
    messages: Annotated[list[Any], add_messages]
    job: Job
    value: Any


def around(update: dict[str, Any]) -> StateGraph[Any]:
    """A graph whose subgraph writes the update."""
    inner = StateGraph(Within)
    inner.add_node("n", lambda _: update)
    inner.add_node("m", lambda _: {"messages": [AIMessage("done", id="done")]})
    inner.add_edge(START, "n")
    inner.add_edge("n", "m")
    outer = StateGraph(MessagesState)
    outer.add_node("within", inner.compile())
    outer.add_edge(START, "within")
    return outer


def test_what_a_graph_and_its_subgraphs_declare_is_found() -> None:
    assert {Job} <= declared_types(around({}))
    assert {Job} <= declared_types(around({}).compile())


HERE: Any = {"configurable": {"thread_id": "t"}}


def test_a_checkpointer_is_strict_with_what_a_graph_declares() -> None:
    with SQLCheckpointer("sqlite://") as saver:
        allowed, refused = around({"job": Job(1)}), around({"value": Item(name="x")})

        allowed.compile(checkpointer=saver.declaring(allowed)).invoke({"messages": []}, HERE)
        with pytest.raises(InputError) as caught:
            refused.compile(checkpointer=saver.declaring(refused)).invoke({"messages": []}, HERE)

        assert (caught.value.code, caught.value.details["channel"]) == ("type_not_allowed", "value")


def test_a_checkpointer_that_is_not_to_be_strict_stays_so() -> None:
    with (
        SQLCheckpointer("sqlite://", strict=False) as saver,
        SQLCheckpointer("sqlite://", serde=JsonPlusSerializer()) as own,
    ):
        assert saver.declaring(Declared) is saver
        assert own.declaring(Declared) is own


@command("desk.close")
def close() -> str:
    """Close the desk."""
    return "closed"


def desk(update: dict[str, Any]) -> Workflow:
    within = around(update).nodes["within"].runnable
    flow = Workflow("desk")
    flow.add_state("open", node=within)
    flow.add_state("closed", final=True)
    flow.add_edge("open", close, "closed")
    return flow


def test_a_compiled_workflow_is_strict_and_takes_what_its_nodes_declare() -> None:
    with SQLCheckpointer("sqlite://") as saver:
        output = desk({"job": Job(1)}).compile(saver).invoke({"messages": [("user", "hi")]}, HERE)

        assert output["messages"][-1].content == "done"
        assert saver.serde.strict is False  # another graph on the same checkpointer declares something else


@pytest.mark.parametrize(
    ("options", "is_taken"), [({}, False), ({"strict": False}, True), ({"allowed_types": [Item]}, True)]
)
def test_a_compiled_workflow_refuses_what_nobody_declares(options: dict[str, Any], is_taken: bool) -> None:
    with SQLCheckpointer("sqlite://", **options) as saver:
        graph = desk({"value": Item(name="x")}).compile(saver)

        if is_taken:
            graph.invoke({"messages": [("user", "hi")]}, HERE)
        else:
            with pytest.raises(InputError) as caught:
                graph.invoke({"messages": [("user", "hi")]}, HERE)
            assert (caught.value.code, caught.value.details["channel"]) == ("type_not_allowed", "value")


PROGRAM = """
from pydantic import BaseModel
from tests.checkpointing.serializing.test_strict import Declared, run
from tests.checkpointing.serializing.values import *
from interlock.checkpointing import SQLCheckpointer
with SQLCheckpointer("sqlite://") as saver:
    values = run(saver, {"job": Job((1,)), "outer": Outer(), "colour": Colour.RED, "page": Page[Turn](inner=Turn(role="a", content="b"))})
    print(values["job"] == Job((1,)), values["outer"] == Outer(), values["colour"] is Colour.RED, type(values["page"]) is Page[Turn])
    class Stranger(BaseModel): pass
    try:
        run(saver, {"value": Stranger()})
    except Exception as error:
        print(error.code, error.details["channel"])
"""


def test_langgraphs_variable_makes_the_default_strict_and_hands_over_the_schemas() -> None:
    environment = {**os.environ, "LANGGRAPH_STRICT_MSGPACK": "true"}

    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, env=environment)

    assert done.stdout.split() == ["True", "True", "True", "True", "type_not_allowed", "value"], done.stderr


def test_a_serializer_of_ones_own_and_types_for_the_default_one_do_not_go_together() -> None:
    with pytest.raises(InputError, match="strict"):
        SQLCheckpointer("sqlite://", serde=TypedSerializer(), strict=True)
