"""What a checkpointer or a store can be opened with: a URL, an engine of either kind, or a database that is open."""

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from interlock import Database, SQLCheckpointer, WorkflowStore
from interlock.tools.errors import StoreError


def test_every_way_to_name_a_database_opens_the_same_one(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'one.db'}"
    asynchronous = create_async_engine(url.replace("sqlite", "sqlite+aiosqlite"))
    own = sa.create_engine(url)
    targets: list[Any] = [url, sa.make_url(url), own, asynchronous, Database.open(url)]
    for number, target in enumerate(targets):
        with SQLCheckpointer(target) as saver:
            saver.put_writes(
                {"configurable": {"thread_id": str(number), "checkpoint_ns": "", "checkpoint_id": "1"}}, [("a", 1)], "t"
            )
            with saver.database.read() as connection:
                assert connection.scalar(sa.text("SELECT count(*) FROM workflow_threads")) == number + 1
    own.dispose()


@pytest.mark.parametrize("target", ["shop.db", "", None, 3])
def test_what_names_no_database_is_refused_with_an_example(target: Any) -> None:
    with pytest.raises(StoreError, match="Give one such as sqlite"):
        WorkflowStore(target)
