"""What is stored is what was put, whatever is done to it while the write waits for tables, for what is known, or for another writer."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langgraph.checkpoint.base import empty_checkpoint

from interlock.checkpointing import SQLCheckpointer
from interlock.checkpointing.saver.storage import Storage

HERE: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
META: Any = {"source": "loop", "step": 1, "parents": {}}


def nested() -> dict[str, Any]:
    return {
        "messages": [HumanMessage("one"), AIMessage("two", id="named"), HumanMessage([{"type": "text", "text": "three"}])],
        "held": {"one": HumanMessage("one"), "dicts": [{"role": "user", "content": "one"}, ["user", "four"]], "text": ["five"]},
    }  # fmt: skip


def changed(value: Any) -> None:
    """Do to a value what a reducer or a node may do to it."""
    for message in (*value["messages"], value["held"]["one"]):
        message.id = message.id or str(uuid.uuid4())
    value["messages"].append(HumanMessage("later"))
    value["held"]["dicts"][0]["content"] = "later"
    value["held"]["text"].append("later")


def plain(value: Any) -> Any:
    if isinstance(value, BaseMessage):
        return [type(value).__name__, value.content, value.id]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def put(saver: SQLCheckpointer, config: Any, channels: dict[str, Any]) -> Any:
    versions: Any = dict.fromkeys(channels, saver.get_next_version(None, None))
    checkpoint = {**empty_checkpoint(), "channel_values": channels, "channel_versions": versions}
    return saver.put(config, checkpoint, META, versions)  # type: ignore[arg-type]


async def aput(saver: SQLCheckpointer, config: Any, channels: dict[str, Any]) -> Any:
    versions: Any = dict.fromkeys(channels, saver.get_next_version(None, None))
    checkpoint = {**empty_checkpoint(), "channel_values": channels, "channel_versions": versions}
    return await saver.aput(config, checkpoint, META, versions)  # type: ignore[arg-type]


class Waits:
    """Lets something happen once, where a write waits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.happened = 0

    def at(self, where: str, happens: Callable[[], None], *, after: bool = False) -> None:
        method = getattr(Storage, where)

        def waiting(storage: Storage, *args: Any, **named: Any) -> Any:
            if after:
                result = method(storage, *args, **named)
            if not self.happened:
                self.happened += 1
                happens()
            return result if after else method(storage, *args, **named)

        self._monkeypatch.setattr(Storage, where, waiting)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Iterator[Waits]:
    yield (found := Waits(monkeypatch))
    assert found.happened


@pytest.fixture
def saver(set_up_database_url: str) -> Iterator[SQLCheckpointer]:
    with SQLCheckpointer(set_up_database_url) as opened:
        yield opened


CHANNELS = ["__start__", "messages", "other"]


def channels_of(value: dict[str, Any]) -> dict[str, Any]:
    return {"__start__": value, "messages": value["messages"], "other": value["held"]}


def expected_of(value: dict[str, Any]) -> dict[str, Any]:
    return {name: plain(item) for name, item in channels_of(copy.deepcopy(value)).items()}


def stored(saver: SQLCheckpointer, config: Any) -> dict[str, Any]:
    with SQLCheckpointer(saver.database) as fresh:
        found = fresh.get_tuple(config)
        assert found is not None
        return {name: plain(item) for name, item in found.checkpoint["channel_values"].items()}


def pending(saver: SQLCheckpointer, config: Any) -> dict[str, Any]:
    with SQLCheckpointer(saver.database) as fresh:
        found = fresh.get_tuple(config)
        assert found is not None
        return {channel: plain(value) for _, channel, value in found.pending_writes or []}


@pytest.mark.parametrize("where", ["ready", "open_conversation"])
def test_a_put_that_has_to_ask_first_stores_what_was_put(saver: SQLCheckpointer, waits: Waits, where: str) -> None:
    value = nested()
    expected = expected_of(value)
    waits.at(where, lambda: changed(value))

    config = put(saver, HERE, channels_of(value))

    assert stored(saver, config) == expected


@pytest.mark.parametrize("where", ["ready", "open_conversation"])
async def test_an_asynchronous_put_that_has_to_ask_first_stores_what_was_put(
    saver: SQLCheckpointer, waits: Waits, where: str
) -> None:
    value = nested()
    expected = expected_of(value)
    waits.at(where, lambda: changed(value))

    config = await aput(saver, HERE, channels_of(value))

    assert stored(saver, config) == expected


def test_writes_that_have_to_ask_first_store_what_was_put(saver: SQLCheckpointer, waits: Waits) -> None:
    config = put(saver, HERE, {"messages": [HumanMessage("before", id="before")]})
    value = nested()
    expected = expected_of(value)
    saver._storage.begin_anew()
    waits.at("open_conversation", lambda: changed(value))

    saver.put_writes(config, list(channels_of(value).items()), "task")

    assert pending(saver, config) == expected


@pytest.mark.parametrize("what", ["put", "writes"])
def test_what_is_prepared_again_because_another_was_first_is_what_was_put(
    saver: SQLCheckpointer, waits: Waits, what: str
) -> None:
    first = put(saver, HERE, {"messages": [HumanMessage("before", id="before")]})
    value = nested()
    expected = expected_of(value)

    def another() -> None:
        with SQLCheckpointer(saver.database) as other:
            other.put_writes(first, [("messages", [HumanMessage("one"), HumanMessage("another")])], "another task")
        changed(value)

    waits.at("_prepare", another, after=True)
    if what == "put":
        config = put(saver, first, channels_of(value))
        assert stored(saver, config) == expected
    else:
        saver.put_writes(first, list(channels_of(value).items()), "task")
        found = saver.get_tuple(first)
        assert found is not None
        writes = {channel: plain(item) for task, channel, item in found.pending_writes or [] if task == "task"}
        assert writes == expected


def test_writes_of_tasks_that_wait_for_each_other_store_what_was_put(saver: SQLCheckpointer) -> None:
    config = put(saver, HERE, {"messages": [HumanMessage("before", id="before")]})
    value = nested()
    expected = expected_of(value)
    conversation = saver._storage.memory.of("t")
    job = saver._writes_job(config, list(channels_of(value).items()), "task", "")
    with conversation.lock:
        job.take()  # as a write does that finds the lock taken
        changed(value)

    saver._storage.commit(job)

    assert pending(saver, config) == expected
