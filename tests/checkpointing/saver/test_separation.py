"""Whatever holds a message: its text is in the conversation's tables only, once, and the value comes back as it was."""

from __future__ import annotations

import operator
import pathlib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple, TypedDict

import pytest
import sqlalchemy as sa
from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    ChatMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.func import entrypoint, task
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, Interrupt, Overwrite, Send, interrupt
from pydantic import BaseModel

from interlock.checkpointing import SQLCheckpointer

MARKER = "marker-5c7d1e-nowhere-else"


class XorCipher:
    """Hides text well enough for a test, without a library."""

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        return "xor", bytes(byte ^ 0x5A for byte in plaintext)

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        assert ciphername == "xor"
        return bytes(byte ^ 0x5A for byte in ciphertext)


class ReprSerializer:
    """A serializer of which nothing is known: not LangGraph's msgpack."""

    def __init__(self) -> None:
        self._inner = JsonPlusSerializer(pickle_fallback=True)

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        kind, data = self._inner.dumps_typed(obj)
        return f"own-{kind}", data[::-1]

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        return self._inner.loads_typed((data[0].removeprefix("own-"), data[1][::-1]))


SERIALIZERS: dict[str, Callable[[], SerializerProtocol]] = {
    "plain": JsonPlusSerializer,
    "encrypted": lambda: EncryptedSerializer(XorCipher(), JsonPlusSerializer()),
    "other": ReprSerializer,
}


@pytest.fixture(params=SERIALIZERS)
def saver(request: pytest.FixtureRequest, set_up_database_url: str) -> Iterator[SQLCheckpointer]:
    with SQLCheckpointer(set_up_database_url, serde=SERIALIZERS[request.param]()) as checkpointer:
        yield checkpointer


@dataclass
class Letter:
    body: AnyMessage
    stamps: list[str] = field(default_factory=list)


class Pair(NamedTuple):
    first: Any
    second: Any


class Model(BaseModel):
    message: AnyMessage
    count: int = 1


class Odd(HumanMessage):
    """A message class that LangChain does not know."""

    mood: str = "calm"


def human(**more: Any) -> HumanMessage:
    return HumanMessage(f"{MARKER} hello", **more)


PLACES: dict[str, Any] = {
    "a list": lambda: [human(), AIMessage(MARKER, id="a1"), SystemMessage(MARKER)],
    "one message": human,
    "without text of its own class": lambda: ChatMessage(MARKER, role="narrator"),
    "an unknown class": lambda: [Odd(MARKER, mood="odd")],
    "content in parts": lambda: [HumanMessage([{"type": "text", "text": MARKER}, "more"], id="parts")],
    "a tool's answer": lambda: [ToolMessage(MARKER, tool_call_id="c", artifact={"seen": [MARKER]})],
    "arguments of a call": lambda: [
        AIMessage("", id="c1", tool_calls=[{"name": "t", "args": {"q": MARKER}, "id": "1", "type": "tool_call"}])
    ],
    "a dictionary": lambda: {"messages": [human()], "count": 3, "nested": {"deeper": [human(id="x")]}},
    "a pair of role and text": lambda: {"messages": [("user", MARKER), ["assistant", MARKER]]},
    "OpenAI's format": lambda: [{"role": "user", "content": MARKER}, {"role": "tool", "content": MARKER, "name": "n"}],
    "a message's own dump": lambda: {"kept": human().model_dump()},
    "bare text among messages": lambda: {"messages": MARKER},
    "a Send": lambda: [Send("node", {"messages": [human()], "order": 5}), Send("node", human(id="sent"))],
    "an interrupt": lambda: (Interrupt({"ask": human(), "n": 1}, id="i"),),
    "a command": lambda: Command(update={"messages": [human()]}, goto="there"),
    "an overwrite": lambda: Overwrite([human()]),
    "a dataclass": lambda: {"letters": [Letter(human(), ["x"])]},
    "a named tuple": lambda: Pair(human(), {"k": human(id="second")}),
    "a model": lambda: Model(message=human()),
    "a tuple key": lambda: {("a", 1): human()},
    "extra fields": lambda: [HumanMessage(MARKER, colour="red")],
    "values that only the serializer knows": lambda: [AIMessage(MARKER, response_metadata={"at": uuid.UUID(int=3)})],
}


def loaded_as_by_the_serializer(saver: SQLCheckpointer, value: Any) -> Any:
    return saver.serde.loads_typed(saver.serde.dumps_typed(value))


@pytest.mark.parametrize("place", PLACES)
def test_a_message_in_any_place_of_a_value_stays_out_of_the_workflow_tables(saver: SQLCheckpointer, place: str) -> None:
    saver.serde = _allowing(saver.serde)
    value = PLACES[place]()
    config = _put(saver, {"state": value, "beside": {"plain": "data"}})
    saver.put_writes(config, [("messages", PLACES[place]()), ("other", {"x": PLACES[place]()})], "task-1", "path")

    loaded = saver.get_tuple(config)

    assert loaded is not None
    expected = loaded_as_by_the_serializer(saver, value)
    assert loaded.checkpoint["channel_values"] == {"state": expected, "beside": {"plain": "data"}}
    assert loaded.pending_writes == [("task-1", "messages", expected), ("task-1", "other", {"x": expected})]
    assert _tables_with(saver, MARKER) <= {"conversation_messages"}
    assert _fresh(saver).get_tuple(config) == loaded


def test_a_command_to_remove_a_message_is_no_message(saver: SQLCheckpointer) -> None:
    config = _put(saver, {"state": [RemoveMessage(id="m")]})

    loaded = saver.get_tuple(config)

    assert loaded is not None
    assert loaded.checkpoint["channel_values"]["state"] == [RemoveMessage(id="m")]
    assert list(saver.conversations.messages("t")) == []


class Outer(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]
    notes: Annotated[list[Any], operator.add]


def _asking_graph(saver: SQLCheckpointer) -> Any:
    def ask(state: Outer) -> dict[str, Any]:
        answer = interrupt({"about": state["messages"][-1], "text": "which?"})
        return {"messages": [AIMessage(f"{MARKER} heard {answer}")], "notes": [1]}

    inner = StateGraph(MessagesState)
    inner.add_node("talk", lambda _: {"messages": [AIMessage(f"{MARKER} from below")]})
    inner.add_edge(START, "talk")
    graph = StateGraph(Outer)
    graph.add_node("fan", lambda _: {"notes": [0]})
    graph.add_node("below", inner.compile(checkpointer=True))
    graph.add_node("ask", ask)
    graph.add_edge(START, "fan")
    graph.add_conditional_edges("fan", lambda state: [Send("below", {"messages": state["messages"]})], ["below"])
    graph.add_edge("below", "ask")
    return graph.compile(checkpointer=saver)


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_whole_graphs_leave_no_text_in_the_workflow_tables(saver: SQLCheckpointer, durability: Any) -> None:
    graph = _asking_graph(saver)
    config: Any = {"configurable": {"thread_id": "t"}}

    graph.invoke({"messages": [("user", f"{MARKER} first")], "notes": []}, config, durability=durability)
    graph.invoke(Command(resume="this"), config, durability=durability)

    state = graph.get_state(config)
    assert [message.text.removeprefix(MARKER).strip() for message in state.values["messages"]] == [
        "first",
        "from below",
        "heard this",
    ]
    assert _tables_with(saver, MARKER) <= {"conversation_messages"}


def test_the_functional_api_leaves_no_text_in_the_workflow_tables(saver: SQLCheckpointer) -> None:
    @task
    def answer(question: HumanMessage) -> AIMessage:
        return AIMessage(f"{MARKER} answer to {question.id}")

    @entrypoint(checkpointer=saver)
    def talk(question: HumanMessage, *, previous: Any = None) -> Any:
        reply = answer(question).result()
        return entrypoint.final(value=reply, save={"log": [*(previous or {"log": []})["log"], question, reply]})

    config: Any = {"configurable": {"thread_id": "t"}}
    for number in range(3):
        talk.invoke(HumanMessage(f"{MARKER} {number}", id=str(number)), config)

    assert _tables_with(saver, MARKER) <= {"conversation_messages"}


def test_each_message_of_a_conversation_is_stored_once(set_up_database_url: str) -> None:
    with SQLCheckpointer(set_up_database_url) as saver:
        graph = StateGraph(MessagesState)
        graph.add_node("answer", lambda state: {"messages": [AIMessage(f"answer {len(state['messages'])}")]})
        graph.add_edge(START, "answer")
        compiled = graph.compile(checkpointer=saver)
        for number in range(5):
            compiled.invoke({"messages": [("user", f"question {number}")]}, {"configurable": {"thread_id": "t"}})

        stored = list(saver.conversations.messages("t", every_version=True))

    assert [one.message.text for one in stored] == [
        text for number in range(5) for text in (f"question {number}", f"answer {2 * number + 1}")
    ]


def test_no_byte_of_the_workflow_database_file_is_of_a_message(tmp_path: pathlib.Path) -> None:
    files = tmp_path / "workflow.db", tmp_path / "conversation.db"
    with SQLCheckpointer(f"sqlite:///{files[0]}", conversation=f"sqlite:///{files[1]}") as saver:
        graph = _asking_graph(saver)
        config: Any = {"configurable": {"thread_id": "t"}}
        graph.invoke({"messages": [("user", f"{MARKER} first")], "notes": []}, config)
        graph.invoke(Command(resume="this"), config)
        assert len(graph.get_state(config).values["messages"]) == 3

    found = {path.name for path in tmp_path.iterdir() if MARKER.encode() in path.read_bytes()}

    assert {name.partition("-")[0] for name in found} == {"conversation.db"}


def _put(saver: SQLCheckpointer, values: dict[str, Any]) -> Any:
    checkpoint = empty_checkpoint()
    versions = {channel: saver.get_next_version(None, None) for channel in values}
    checkpoint["channel_values"] = values
    checkpoint["channel_versions"] = dict(versions)
    config: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
    return saver.put(config, checkpoint, {"source": "input", "step": -1, "parents": {}}, dict(versions))


def _tables_with(saver: SQLCheckpointer, text: str) -> set[str]:
    """The tables in which the text stands in any column, as bytes: as it is, or as the serializers of these tests hide it."""
    found = set()
    plain = text.encode()
    hidden = (plain, XorCipher().encrypt(plain)[1], plain[::-1], XorCipher().encrypt(plain[::-1])[1])
    with saver.database.read() as connection:
        for name in sa.inspect(connection).get_table_names():
            for row in connection.execute(sa.text(f"SELECT * FROM {name}")):
                for cell in row:
                    raw = bytes(cell) if isinstance(cell, (bytes, memoryview)) else str(cell).encode()
                    if any(one in raw for one in hidden):
                        found.add(name)
    return found


def _fresh(saver: SQLCheckpointer) -> SQLCheckpointer:
    """Another checkpointer on the same database, which remembers nothing."""
    return SQLCheckpointer(saver.database, serde=saver.serde)


def _allowing(serde: Any) -> Any:
    allowed = JsonPlusSerializer(allowed_msgpack_modules=[Letter, Pair, Model, Odd])
    if isinstance(serde, EncryptedSerializer):
        return EncryptedSerializer(XorCipher(), allowed)
    return allowed if isinstance(serde, JsonPlusSerializer) else serde
