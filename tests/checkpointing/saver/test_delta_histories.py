"""What a delta channel is rebuilt from: the writes of its ancestors, in their order, back to the nearest value."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from interlock.checkpointing import Encryption, SQLCheckpointer
from tests.checkpointing.support import config, put

KEYS = [None, Encryption({"a": bytes(range(32))})]
LARGE = "x" * 20_000


@pytest.fixture(params=KEYS, ids=["in clear", "encrypted"])
def saver(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[SQLCheckpointer]:
    with SQLCheckpointer(f"sqlite:///{tmp_path / 'deltas.db'}", encryption=request.param) as opened:
        yield opened


def chain(saver: SQLCheckpointer, length: int, value_at: int, value: Any, thread: str = "t") -> Any:
    """A chain of checkpoints whose tasks each write their number; one of them has a value of the channel."""
    at: Any = config(thread)
    for number in range(length):
        values = {"log": value} if number == value_at else {"other": number}
        at = put(saver, at, values, source="input" if number == 0 else "loop")
        saver.put_writes(at, [("log", number), ("else", -number), ("log", f"{number} again")], f"task {number}")
    return at


def told(saver: SQLCheckpointer, at: Any, *channels: str) -> Any:
    found = saver.get_delta_channel_history(config=at, channels=[*channels])
    return {name: ([write[2] for write in one["writes"]], one.get("seed", "none")) for name, one in found.items()}


@pytest.mark.parametrize("value", ["small", LARGE, [HumanMessage("hello", id="1"), AIMessage(LARGE, id="2")]])
def test_the_writes_since_the_nearest_value_come_in_their_order_and_that_value(
    saver: SQLCheckpointer, value: Any
) -> None:
    at = chain(saver, 5, 1, value)
    writes = [one for number in (1, 2, 3) for one in (number, f"{number} again")]

    assert told(saver, at, "log") == {"log": (writes, value)}


def test_a_channel_without_a_value_has_all_writes_and_one_without_writes_none(saver: SQLCheckpointer) -> None:
    at = chain(saver, 4, 9, None)

    found = told(saver, at, "log", "else", "nothing")

    assert found["log"] == ([0, "0 again", 1, "1 again", 2, "2 again"], "none")
    assert found["else"] == ([0, -1, -2], "none")
    assert found["nothing"] == ([], "none")
    assert told(saver, at) == {}


def test_each_channel_ends_at_its_own_value(saver: SQLCheckpointer) -> None:
    at = chain(saver, 4, 1, "one")
    found = told(saver, at, "log", "other")
    assert found["log"] == ([1, "1 again", 2, "2 again"], "one")
    assert found["other"] == ([], 2)


def test_it_is_of_the_checkpoint_that_was_asked_for_and_of_its_own_thread(saver: SQLCheckpointer) -> None:
    chain(saver, 3, 0, "other", thread="other")
    at = chain(saver, 5, 0, "first")
    earlier = list(saver.list(config()))[2].config

    assert told(saver, earlier, "log") == {"log": ([0, "0 again", 1, "1 again"], "first")}
    assert told(saver, config(), "log") == told(saver, at, "log"), "without an id it is the newest"
    assert told(saver, config("nobody"), "log") == {"log": ([], "none")}


@pytest.mark.parametrize("length", [99, 100, 101, 102, 205])
def test_a_chain_longer_than_is_read_at_once_is_read_to_its_end(tmp_path: pathlib.Path, length: int) -> None:
    with SQLCheckpointer(f"sqlite:///{tmp_path / 'deltas.db'}") as saver:
        at = chain(saver, length, 0, "first")
        ((writes, seed),) = told(saver, at, "log").values()
        assert (writes[:2], writes[-1], len(writes), seed) == (
            [0, "0 again"],
            f"{length - 2} again",
            2 * (length - 1),
            "first",
        )


def test_the_error_of_a_task_is_kept_as_its_text(saver: SQLCheckpointer) -> None:
    at = put(saver, config(), {"a": 1}, source="input")
    saver.put_writes(at, [("__error__", ValueError("boom"))], "task")
    found = saver.get_tuple(at)
    assert found is not None
    assert found.pending_writes == [("task", "__error__", "ValueError('boom')")]
