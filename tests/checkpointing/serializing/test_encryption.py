"""What is encrypted stands only in its place, can be read with every key that is given, and is encrypted again with the newest one."""

from __future__ import annotations

import base64
import pathlib
import pickle
import secrets
import zlib
from collections.abc import Callable
from typing import Annotated, Any

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import interrupt
from typer.testing import CliRunner
from typing_extensions import TypedDict

from interlock.checkpointing import Encryption, SQLCheckpointer, TypedSerializer
from interlock.checkpointing.tables.checkpoints import channel_values, checkpoints, threads, writes
from interlock.checkpointing.tables.conversations import conversations, messages
from interlock.cli import app
from interlock.tools.errors import InputError, StoreError

MARKER = "marker-of-the-encryption"
NOTES = MARKER + secrets.token_hex(600)
OLD, NEW = secrets.token_bytes(32), secrets.token_bytes(32)


class Aes:
    def __init__(self) -> None:
        self._key = AESGCM(b"k" * 16)

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        nonce = secrets.token_bytes(12)
        return "aesgcm", nonce + self._key.encrypt(nonce, plaintext, None)

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        return self._key.decrypt(ciphertext[:12], ciphertext[12:], None)


class Compressing:
    """A serializer of an application's own, which tells what it got."""

    def __init__(self) -> None:
        self.got: list[Any] = []

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        self.got.append(obj)
        return "pickle:z", zlib.compress(pickle.dumps(obj))

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        assert data[0] == "pickle:z"
        return pickle.loads(zlib.decompress(data[1]))  # noqa: S301 -- what it wrote itself


class Nonced(Compressing):
    """As it, with other bytes each time."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        return "pickle:z", super().dumps_typed((secrets.token_bytes(8), obj))[1]

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        return super().loads_typed(data)[1]


class Untyped:
    """As LangGraph's oldest serializers: without types."""

    def dumps(self, obj: Any) -> bytes:
        return b"!" + pickle.dumps(obj)

    def loads(self, data: bytes) -> Any:
        return pickle.loads(data[1:])  # noqa: S301 -- what it wrote itself


SEALED: dict[str, Callable[[], dict[str, Any]]] = {
    "keys": lambda: {"encryption": Encryption({"old": OLD})},
    "LangGraph's": lambda: {"serde": EncryptedSerializer(Aes(), TypedSerializer())},
    "an application's": lambda: {"serde": Compressing()},
    "other bytes each time": lambda: {"serde": Nonced()},
}


class State(TypedDict, total=False):
    messages: Annotated[list[Any], add_messages]
    limit: int
    notes: str
    box: Any


def graph_over(saver: Any) -> Any:
    def ask(state: State) -> State:
        return {"box": {"answer": interrupt({"ask": state["notes"], "message": AIMessage(MARKER)})}}

    builder = StateGraph(State)
    builder.add_node("answer", lambda state: {"messages": [AIMessage(f"{MARKER} {state['limit']}")]})
    builder.add_node("ask", ask)
    builder.add_edge(START, "answer")
    builder.add_edge("answer", "ask")
    return builder.compile(checkpointer=saver)


def fill(saver: Any, thread_id: str, limit: int) -> None:
    state = {
        "messages": [HumanMessage(MARKER)], "limit": limit, "notes": NOTES,
        "box": {"raw": {"role": "tool", "content": MARKER, "tool_call_id": "1"}, "pair": (1, 2)},
    }  # fmt: skip
    graph_over(saver).invoke(state, {"configurable": {"thread_id": thread_id}})


def values_of(saver: Any, thread_id: str) -> Any:
    state = graph_over(saver).get_state({"configurable": {"thread_id": thread_id}})
    return state.values, [one.value for one in state.interrupts]


@pytest.mark.parametrize("way", SEALED)
def test_nothing_of_a_value_is_readable_in_any_table(set_up_database_url: str, way: str) -> None:
    with SQLCheckpointer(set_up_database_url, **SEALED[way]()) as saver:
        fill(saver, "t", 10)

        with saver.database.read() as connection:
            for table in (checkpoints, channel_values, writes, messages):
                rows = connection.execute(sa.select(table)).all()
                assert rows
                assert MARKER not in str([bytes(row.body) for row in rows])


@pytest.mark.parametrize("table", [checkpoints, channel_values, writes, messages], ids=lambda table: table.name)
@pytest.mark.parametrize("way", SEALED)
def test_a_row_in_another_rows_place_is_refused(set_up_database_url: str, way: str, table: sa.Table) -> None:
    options = SEALED[way]()
    with SQLCheckpointer(set_up_database_url, **options) as saver:
        fill(saver, "poor", 10)
        fill(saver, "rich", 1_000_000)
        before = values_of(saver, "poor")
        with saver.database.write() as connection:
            owner = conversations if table is messages else threads
            ids = dict(connection.execute(sa.select(owner.c.thread_id, owner.c.id)).all())
            key = table.primary_key.columns.values()[0]
            taken = connection.execute(sa.select(table.c.kind, table.c.body).where(key == ids["rich"])).all()
            connection.execute(
                sa.update(table).where(key == ids["poor"]).values(kind=taken[-1].kind, body=taken[-1].body)
            )

        with pytest.raises(StoreError, match="not what was encrypted for its place"):
            values_of(SQLCheckpointer(saver.database, **options), "poor")
        assert before[0]["limit"] == 10


@pytest.mark.parametrize("way", SEALED)
def test_a_thread_is_copied_and_erased_and_pruned_all_the_same(set_up_database_url: str, way: str) -> None:
    options = SEALED[way]()
    with SQLCheckpointer(set_up_database_url, **options) as saver:
        fill(saver, "t", 10)
        before = values_of(saver, "t")
        saver.copy_thread("t", "copy")
        saver.prune(["copy"])
        again = SQLCheckpointer(saver.database, **options)

        assert values_of(again, "copy") == before == values_of(again, "t")
        assert again.erase_conversation("copy") > 0
        assert len(list(again.list({"configurable": {"thread_id": "copy"}}))) == 1
        assert MARKER in str(values_of(again, "t"))


def test_a_serializer_of_ones_own_gets_every_value(set_up_database_url: str) -> None:
    serde = Compressing()
    with SQLCheckpointer(set_up_database_url, serde=serde) as saver:
        fill(saver, "t", 10)
        expected = InMemorySaver(serde=Compressing())
        fill(expected, "t", 10)

        assert [getattr(m, "text", m) for m in values_of(saver, "t")[0]["messages"]] == [MARKER, f"{MARKER} 10"]
        assert (
            values_of(SQLCheckpointer(saver.database, serde=serde), "t")[0]["box"] == values_of(expected, "t")[0]["box"]
        )
    assert 10 in serde.got
    assert any(isinstance(value, AIMessage) and value.text == f"{MARKER} 10" for value in serde.got)


def test_a_serializer_without_types_works() -> None:
    with SQLCheckpointer("sqlite://", serde=Untyped()) as saver:  # type: ignore[arg-type]
        fill(saver, "t", 10)

        assert values_of(SQLCheckpointer(saver.database, serde=Untyped()), "t")[0]["limit"] == 10  # type: ignore[arg-type]


def test_messages_are_stored_once_though_the_bytes_differ_each_time() -> None:
    with SQLCheckpointer("sqlite://", serde=Nonced()) as saver:
        builder = StateGraph(State)
        builder.add_node("n", lambda _: {"messages": [AIMessage("a")]})
        builder.add_edge(START, "n")
        graph = builder.compile(checkpointer=saver)
        for _ in range(10):
            graph.invoke({"messages": [HumanMessage("q")]}, {"configurable": {"thread_id": "t"}})

        with saver.database.read() as connection:
            assert connection.scalar(sa.select(sa.func.count()).select_from(messages)) <= 60


@pytest.mark.parametrize("kind", [5, "x" * 61, "a|b"])
def test_a_serializer_that_cannot_be_used_is_refused_when_the_checkpointer_is_made(kind: Any) -> None:
    class Broken(Compressing):
        def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
            return kind, super().dumps_typed(obj)[1]

        def loads_typed(self, data: tuple[str, bytes]) -> Any:
            return super().loads_typed(("pickle:z", data[1]))

    with pytest.raises(InputError, match="cannot be used"):
        SQLCheckpointer("sqlite://", serde=Broken())


def test_a_serializer_that_takes_no_bytes_is_refused_when_the_checkpointer_is_made() -> None:
    class OnlyText(Compressing):
        def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
            if isinstance(obj, bytes):
                raise TypeError("no bytes")
            return super().dumps_typed(obj)

    with pytest.raises(InputError, match="no bytes"):
        SQLCheckpointer("sqlite://", serde=OnlyText())


def test_two_encryptions_are_refused() -> None:
    with pytest.raises(InputError, match="Two encryptions"):
        SQLCheckpointer("sqlite://", serde=EncryptedSerializer(Aes()), encryption=Encryption({"a": OLD}))


@pytest.mark.parametrize("keys", [{}, {"a": b"short"}, {"": OLD}, {"a b": OLD}, {"x" * 33: OLD}])
def test_a_key_that_cannot_be_used_is_refused(keys: dict[str, bytes]) -> None:
    with pytest.raises(InputError, match="key"):
        Encryption(keys)


def test_a_changed_row_and_a_missing_key_are_refused_by_name() -> None:
    encryption = Encryption({"old": OLD})
    kind, data = encryption.encrypt(b"x", b"place", "t")

    with pytest.raises(StoreError, match="place"):
        encryption.decrypt(kind, data[:-1] + bytes([data[-1] ^ 1]), b"place", "t")
    with pytest.raises(StoreError, match="'old', which this process does not have"):
        Encryption({"new": NEW}).decrypt(kind, data, b"place", "t")


@pytest.mark.parametrize("first", ["not encrypted", "with an older key"])
def test_keys_are_rotated_and_what_was_done_is_not_done_again(set_up_database_url: str, first: str) -> None:
    both = Encryption({"new": NEW, "old": OLD})
    with SQLCheckpointer(
        set_up_database_url, encryption=None if first == "not encrypted" else Encryption({"old": OLD})
    ) as saver:
        for thread_id in ("a", "b"):
            fill(saver, thread_id, 10)
        saver.erase_conversation("b")
        before = [values_of(saver, thread_id) for thread_id in ("a", "b")]
        rotating = SQLCheckpointer(saver.database, encryption=both)
        assert [values_of(rotating, thread_id) for thread_id in ("a", "b")] == before

        class Killed(BaseException):
            """The process ends in mid-work."""

        def stop(table: str, rows: int) -> None:
            raise Killed

        with pytest.raises(Killed):
            rotating.reencrypt(stop)
        report = rotating.reencrypt()
        assert report.skipped > 0
        assert report.rows > 0
        assert rotating.reencrypt().rows == 0

        only_new = SQLCheckpointer(saver.database, encryption=Encryption({"new": NEW}), encrypted_only=True)
        assert [values_of(only_new, thread_id) for thread_id in ("a", "b")] == before
        with saver.database.read() as connection:
            for table in (checkpoints, channel_values, writes, messages):
                assert all("aesgcm:new" in kind for kind in connection.scalars(sa.select(table.c.kind)))


def test_what_an_encrypting_serializer_wrote_without_its_place_is_bound_by_reencrypting() -> None:
    serde = EncryptedSerializer(Aes(), JsonPlusSerializer())
    with SQLCheckpointer("sqlite://", serde=serde) as saver:
        fill(saver, "t", 10)
        with saver.database.write() as connection:
            for row in connection.execute(sa.select(checkpoints)).all():
                unbound = serde.loads_typed((row.kind, row.body))[18:]  # as an earlier release wrote it
                kind, body = serde.dumps_typed(unbound)
                here = checkpoints.c.checkpoint_id == row.checkpoint_id
                connection.execute(sa.update(checkpoints).where(here).values(kind=kind, body=body))
        strict = SQLCheckpointer(saver.database, serde=serde, encrypted_only=True)
        with pytest.raises(StoreError, match="reencrypt"):
            values_of(strict, "t")

        assert SQLCheckpointer(saver.database, serde=serde).reencrypt().rows > 0
        assert values_of(SQLCheckpointer(saver.database, serde=serde, encrypted_only=True), "t")[0]["limit"] == 10


def test_the_command_encrypts_again_and_says_how_much(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'db.sqlite'}"
    with SQLCheckpointer(url, encryption=Encryption({"old": OLD})) as saver:
        fill(saver, "t", 10)
    keys = {"new": NEW, "old": OLD}
    monkeypatch.delenv("INTERLOCK_ENCRYPTION_KEYS", raising=False)
    assert CliRunner().invoke(app, ["db", "reencrypt", "--db", url]).exit_code != 0
    monkeypatch.setenv(
        "INTERLOCK_ENCRYPTION_KEYS", " ".join(f"{name}={base64.b64encode(key).decode()}" for name, key in keys.items())
    )

    done = CliRunner().invoke(app, ["db", "reencrypt", "--db", url, "--json"])
    again = CliRunner().invoke(app, ["db", "reencrypt", "--db", url, "--json"])

    assert done.exit_code == 0, done.output
    assert '"rows": 0' in again.output
    with SQLCheckpointer(url, encryption=Encryption({"new": NEW})) as saver:
        assert values_of(saver, "t")[0]["limit"] == 10
