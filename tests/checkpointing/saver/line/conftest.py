"""A line to stand in, and threads to stand in it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from interlock.checkpointing import SQLCheckpointer
from tests.checkpointing.saver.line.support import Scene


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


@pytest.fixture(params=["sqlite", "postgresql"])
def saver(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[SQLCheckpointer]:
    url = f"sqlite:///{tmp_path / 'line.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_worker_database")
    with SQLCheckpointer(url) as made:
        made.setup()
        for thread in made.conversations.list():
            made.delete_thread(thread.thread_id)
        for number in range(8):
            made.delete_thread(f"t{number}")
        yield made
