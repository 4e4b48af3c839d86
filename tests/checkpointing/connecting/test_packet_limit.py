"""Values near MySQL's and MariaDB's limit of what is sent at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.base import empty_checkpoint

from interlock import Limits, SQLCheckpointer, ToolContext, Workflow, command
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import StoreError

VALUES: dict[str, Callable[[int], Any]] = {
    "text": lambda size: "z" * size,
    "bytes": os.urandom,
    "a message": lambda size: HumanMessage("q" * size),
    "many messages": lambda size: [HumanMessage("q" * (size // 2), id=str(number)) for number in range(2)],
}
TARGETS: dict[str, Callable[[str], Any]] = {"a URL": lambda url: url, "an engine": sa.create_engine}


def put(saver: SQLCheckpointer, value: Any) -> None:
    checkpoint = empty_checkpoint()
    checkpoint["channel_values"], checkpoint["channel_versions"] = {"a": value}, {"a": "1"}
    saver.put(
        {"configurable": {"thread_id": "t", "checkpoint_ns": ""}},
        checkpoint,
        {"source": "update", "step": 0},
        {"a": "1"},
    )


@pytest.fixture(scope="module")
def limit(mysql_worker_database: str) -> int:
    """What the server takes at once."""
    engine = sa.create_engine(mysql_worker_database)
    with engine.connect() as connection:
        found = int(connection.exec_driver_sql("SELECT @@max_allowed_packet").scalar_one())
    engine.dispose()
    if found > 64 * 2**20:
        pytest.skip(f"the server takes {found} bytes at once, which is more than a test should send")
    return found


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", list(VALUES)[:3])
@pytest.mark.parametrize("share", [0.55, 1.1])
def test_a_value_that_can_never_be_sent_is_a_final_error_that_says_how_large_it_is(
    target: str, kind: str, share: float, limit: int, mysql_worker_database: str
) -> None:
    with SQLCheckpointer(TARGETS[target](mysql_worker_database)) as saver:
        saver.setup()
        size = int(limit * share)
        with pytest.raises(StoreError, match="max_allowed_packet") as refused:
            put(saver, VALUES[kind](size))
        assert refused.value.code == "value_too_large"
        assert not refused.value.retryable
        assert refused.value.details["limit"] == limit
        assert size <= refused.value.details["bytes"] < size * 1.01 + 1000
        assert refused.value.details["sent"] >= limit
        assert saver.get_tuple({"configurable": {"thread_id": "t"}}) is None, "nothing was written"
        put(saver, "small")
        saver.delete_thread("t")


@pytest.mark.parametrize("kind", VALUES)
def test_what_just_fits_is_stored(kind: str, limit: int, mysql_worker_database: str) -> None:
    with SQLCheckpointer(mysql_worker_database) as saver:
        saver.setup()
        value = VALUES[kind](int(limit * 0.45))
        put(saver, value)
        found = saver.get_tuple({"configurable": {"thread_id": "t"}})
        assert found is not None
        assert found.checkpoint["channel_values"]["a"] == value
        saver.delete_thread("t")


def test_a_tools_arguments_are_no_exception(limit: int, mysql_worker_database: str) -> None:
    @command("note.add", effect="transactional")
    def add(text: str, ctx: ToolContext) -> int:
        """Note something."""
        return len(text)

    # A workflow that takes more than its database does: what the packet is spent on is what counts here.
    model = ScriptedChatModel([call("note.add", text="'" * int(limit * 0.9)), "noted"])
    flow = Workflow("notes", model=model, limits=Limits(argument_characters=2 * limit))
    flow.add_state("open")
    flow.add_edge("open", add, "open")
    with SQLCheckpointer(mysql_worker_database) as saver:
        saver.setup()
        with pytest.raises(StoreError, match="max_allowed_packet") as refused:
            flow.compile(saver).invoke({"messages": [("user", "go on")]}, {"configurable": {"thread_id": "n"}})
        assert not refused.value.retryable


def test_a_server_that_hangs_up_over_something_small_can_be_asked_again(mysql_worker_database: str) -> None:
    engine = sa.create_engine(mysql_worker_database)
    with SQLCheckpointer(engine) as saver:
        saver.setup()

        @sa.event.listens_for(engine, "before_cursor_execute")
        def hang_up(connection: sa.Connection, _cursor: Any, statement: str, *_: Any) -> None:
            if "workflow_checkpoints" in statement and statement.startswith("INSERT"):
                number = connection.connection.dbapi_connection.thread_id()  # type: ignore[union-attr]
                with engine.connect() as another:
                    another.exec_driver_sql(f"KILL {number}")

        with pytest.raises(StoreError) as refused:
            put(saver, "x" * 300_000)
        assert refused.value.retryable
    engine.dispose()
