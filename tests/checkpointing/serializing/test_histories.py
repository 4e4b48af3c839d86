"""Whole histories, ids included, are the same as with the in-memory saver: over channels, turns, forks, processes and databases.

What differs on purpose is left out: the in-memory saver makes lists of tuples. Reducers give ids to the very messages that are being
stored as input and as pending writes. With threads it depends on who is first, with every saver, so that these ids are compared only
between asynchronous runs, where a put begins before the run goes on.
"""

from __future__ import annotations

import copy
import dataclasses
import operator
import random
import uuid
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, RemoveMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.graph import message as langgraph_messages
from langgraph.graph.message import add_messages
from langgraph.types import Command, Send, interrupt
from typing_extensions import TypedDict

from interlock.checkpointing import SQLCheckpointer

HERE: Any = {"configurable": {"thread_id": "t"}}
TEXTS = ["yes", "no", "", "ą", "x" * 300]


@dataclasses.dataclass
class Box:
    inner: Any


class Inner(TypedDict, total=False):
    messages: Annotated[list[Any], add_messages]
    queued: list[Any]
    script: list[Any]


class State(Inner, total=False):
    second: Annotated[list[Any], add_messages]
    log: Annotated[list[Any], operator.add]
    other: Any


class Writer:
    """Makes up what a run is told, from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._ids = [f"id{number}" for number in range(4)]

    def message(self) -> BaseMessage:
        text = self.random.choice(TEXTS)
        name = self.random.choice([None, None, *self._ids])
        made: list[BaseMessage] = [
            HumanMessage(text, id=name), AIMessage(text, id=name), HumanMessage([{"type": "text", "text": text}], id=name),
            ToolMessage(text, tool_call_id="c", id=name, artifact={"a": [text]}),
        ]  # fmt: skip
        return self.random.choice(made)

    def like_message(self) -> Any:
        text = self.random.choice(TEXTS)
        made: list[Any] = [
            ["user", text], text, {"role": "user", "content": text}, {"content": text, "role": "assistant"},
            {"role": "tool", "content": text, "tool_call_id": "c"}, {"role": "user", "content": [{"type": "text", "text": text}]},
        ]  # fmt: skip
        return self.random.choice(made)

    def anything(self, depth: int = 0) -> Any:
        makers: list[Callable[[], Any]] = [
            self.message,
            self.message,
            self.like_message,
            lambda: self.random.choice(TEXTS),
        ]
        if depth < 2:
            makers += [
                lambda: {"messages": [self.message(), self.message()], "held": self.anything(depth + 1)},
                lambda: [self.anything(depth + 1), self.anything(depth + 1)],
                lambda: Box(self.anything(depth + 1)),
            ]
        return self.random.choice(makers)()

    def update(self, *names: str) -> dict[str, Any]:
        chosen = [name for name in names if self.random.random() < 0.5]
        self.random.shuffle(chosen)
        made = {}
        for name in chosen:
            if name in ("messages", "second"):
                made[name] = [self.message() for _ in range(self.random.randrange(1, 3))]
            elif name == "other":
                made[name] = self.anything()
            else:
                made[name] = [self.anything(1) for _ in range(self.random.randrange(3))]
        return made

    def script(self) -> list[Any]:
        return [
            self.random.choice(
                [("write", self.update("messages", "queued")), ("flush",), ("queue",), ("unname",), ("edit", self.random.choice(TEXTS)),
                 ("remove",), ("ask", self.anything())]
            )
            for _ in range(3)
        ] + [[self.anything() for _ in range(self.random.randrange(2))]]  # fmt: skip

    def turns(self) -> list[Any]:
        names = ("messages", "second", "queued", "log", "other")
        made: list[Any] = []
        for _ in range(self.random.randrange(2, 5)):
            made.append(("invoke", {**self.update(*names), "script": self.script()}))
            made.append(self.random.choice(
                [("resume", self.anything()), ("update", self.update(*names)), ("fork", self.random.randrange(6))]
            ))  # fmt: skip
        return made


def do(state: State, number: int) -> dict[str, Any]:
    """What a node does, as the script of the turn says."""
    told = (state.get("script") or [None] * 4)[number]
    match told:
        case ("write", update):
            return copy.deepcopy(update)  # type: ignore[no-any-return]
        case ("flush",):
            return {"messages": [one for one in state.get("queued", []) if isinstance(one, BaseMessage)], "queued": []}
        case ("queue",):
            return {"queued": list(state.get("messages", []))[-2:]}
        case ("unname",):
            return {"queued": [one.model_copy(update={"id": None}) for one in state.get("messages", [])[-2:]]}
        case ("edit", text):
            return {"messages": [one.model_copy(update={"content": text}) for one in state.get("messages", [])[:1]]}
        case ("remove",):
            return {"messages": [RemoveMessage(one.id) for one in state.get("messages", [])[:1]]}
        case ("ask", value):
            return {"queued": [interrupt(copy.deepcopy(value))]}
    return {}


def graph_over(saver: Any) -> Any:
    inner = StateGraph(Inner)
    inner.add_node("inside", lambda state: do(state, 1))
    inner.add_edge(START, "inside")
    builder = StateGraph(State)
    builder.add_node("first", lambda state: do(state, 0))
    builder.add_node("sub", inner.compile())
    builder.add_node("last", lambda state: do(state, 2))
    builder.add_node("sent", lambda job: {"log": [job]})
    builder.add_edge(START, "first")
    builder.add_edge("first", "sub")
    builder.add_edge("sub", "last")
    builder.add_conditional_edges(
        "last", lambda state: [Send("sent", copy.deepcopy(one)) for one in (state.get("script") or [[]])[-1]], ["sent"]
    )
    return builder.compile(checkpointer=saver)


def plain(value: Any, *, ids: bool = True) -> Any:
    """A value as data that can be compared, with its order."""
    if isinstance(value, BaseMessage):
        fields = {name: item for name, item in value.__dict__.items() if ids or name != "id"}
        return [type(value).__name__, plain(fields, ids=ids)]
    if isinstance(value, (Box, Send)):
        return [type(value).__name__, plain(value.inner if isinstance(value, Box) else value.arg, ids=ids)]
    if isinstance(value, dict):
        return [[key, plain(item, ids=ids)] for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [plain(item, ids=ids) for item in value]
    return getattr(value, "value", value)


def history(saver: Any, *, on_the_way: bool) -> list[Any]:
    """Every checkpoint, with the ids of messages on their way into a channel or without."""
    found = []
    for one in saver.list({"configurable": {"thread_id": "t"}}):
        channels = sorted(one.checkpoint["channel_values"].items())
        values = [[name, plain(value, ids=on_the_way or name != "__start__")] for name, value in channels]
        pending = [[channel, plain(value, ids=on_the_way)] for _, channel, value in one.pending_writes]
        namespace = one.config["configurable"]["checkpoint_ns"].partition(":")[0]
        found.append([namespace, one.metadata["step"], one.metadata["source"], values, sorted(pending, key=repr)])
    return (
        sorted(found, key=lambda one: one[0] != "") if all(one[0] == "" for one in found) else sorted(found, key=repr)
    )


def played(first: Any, turns: list[Any], again: Callable[[Any], Any]) -> list[Any]:
    """What was seen after each turn, and the whole history at the end."""
    saver, seen = first, []
    for kind, told in copy.deepcopy(turns):
        graph = graph_over(saver)
        if kind == "invoke":
            graph.invoke(told, HERE, durability="sync")
        elif kind == "resume" and graph.get_state(HERE).next:
            graph.invoke(Command(resume=told), HERE, durability="sync")
        elif kind == "update":
            graph.update_state(HERE, told, as_node="last")
        elif kind == "fork":
            states = list(graph.get_state_history(HERE))
            graph.update_state(states[told % len(states)].config, {"log": ["fork"]}, as_node="last")
        saver = again(saver)
        seen.append(plain(graph_over(saver).get_state(HERE).values))
    return [*seen, history(saver, on_the_way=False)]


async def aplayed(first: Any, turns: list[Any], again: Callable[[Any], Any]) -> list[Any]:
    """As `played`, in an event loop."""
    saver, seen = first, []
    for kind, told in copy.deepcopy(turns):
        graph = graph_over(saver)
        if kind == "invoke":
            await graph.ainvoke(told, HERE, durability="sync")
        elif kind == "resume" and (await graph.aget_state(HERE)).next:
            await graph.ainvoke(Command(resume=told), HERE, durability="sync")
        elif kind == "update":
            await graph.aupdate_state(HERE, told, as_node="last")
        elif kind == "fork":
            states = [one async for one in graph.aget_state_history(HERE)]
            await graph.aupdate_state(states[told % len(states)].config, {"log": ["fork"]}, as_node="last")
        saver = again(saver)
        seen.append(plain((await graph_over(saver).aget_state(HERE)).values))
    return [*seen, history(saver, on_the_way=True)]


@pytest.fixture
def same_ids(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let the reducer draw the same ids each time."""

    class Drawn:
        def __init__(self, seed: int) -> None:
            self._random = random.Random(seed)

        def __getattr__(self, name: str) -> Any:
            return getattr(uuid, name)

        def uuid4(self) -> uuid.UUID:
            return uuid.UUID(int=self._random.getrandbits(128), version=4)

    return lambda seed: monkeypatch.setattr(langgraph_messages, "uuid", Drawn(seed))


def reopened(process: str, first: SQLCheckpointer, second: SQLCheckpointer) -> Callable[[Any], Any]:
    """Who goes on after each turn: the same, one that remembers nothing, or the other of two."""
    others: dict[str, Callable[[Any], Any]] = {
        "one": lambda _: first, "two": lambda saver: second if saver is first else first,
        "forgetting": lambda _: SQLCheckpointer(first.database),
    }  # fmt: skip
    return others[process]


PROCESSES = ["one", "forgetting", "two"]


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("seed", range(4))
def test_a_history_is_the_same_as_in_memory(
    set_up_database_url: str, same_ids: Callable[[int], None], seed: int, process: str
) -> None:
    seed = seed * 3 + PROCESSES.index(process)
    turns = Writer(seed).turns()
    same_ids(seed)
    expected = played(InMemorySaver(), turns, lambda saver: saver)

    with SQLCheckpointer(set_up_database_url) as first, SQLCheckpointer(set_up_database_url) as second:
        same_ids(seed)

        assert played(first, turns, reopened(process, first, second)) == expected


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("seed", range(4))
async def test_an_asynchronous_history_is_the_same_as_in_memory_with_every_id(
    set_up_database_url: str, same_ids: Callable[[int], None], seed: int, process: str
) -> None:
    seed = 100 + seed * 3 + PROCESSES.index(process)
    turns = Writer(seed).turns()
    same_ids(seed)
    expected = await aplayed(InMemorySaver(), turns, lambda saver: saver)

    with SQLCheckpointer(set_up_database_url) as first, SQLCheckpointer(set_up_database_url) as second:
        same_ids(seed)

        assert await aplayed(first, turns, reopened(process, first, second)) == expected
