"""Which share of the large families of cases is run at each change; `make test-full` runs all of them.

Everything is run on SQLite and in memory. What is repeated on a server, at each of many fault points, or over many alike inputs, is run in
the share that stands here: the same cases every time, so that one that fails in the checks fails here too. Tests that are named one by one
are run, and how many are left out is printed.
"""

from __future__ import annotations

import os
import re
import sys
import zlib
from collections.abc import Sequence

import pytest

SHARES: tuple[tuple[str, int], ...] = (
    # The third database: its own statements have tests of their own, which are not repetitions.
    (r"\[[^\]]*mysql", 4),
    # Relays, workflows and the demo, killed at one point after another.
    (r"tests/events/test_faults\.py::.*\[", 4),
    (r"tests/cli/test_demo\.py::test_killed_anywhere.*\[", 3),
    (r"tests/faults/test_(kills|door_kills|agent_kills|stopped|server_restarts)\.py::.*\[", 3),
    # The service, killed in the middle of a decision.
    (r"tests/serving/test_killed\.py::test_killed.*\[", 3),
    (r"tests/serving/test_hostile_texts\.py::.*\[", 2),
    # The console in Chromium: every page in each colour scheme and width, and the pictures; `make browser` looks at all.
    (r"tests/browser/test_stories\.py::.*\[(1280-dark|390-light)\]", sys.maxsize),
    (r"tests/browser/test_pictures\.py::", sys.maxsize),
    # The retail desk: tasks and attacks, hundreds of each.
    (r"tests/workflows/retail/.*\[", 3),
    # Many alike inputs.
    (r"tests/checkpointing/serializing/test_histories\.py::.*\[", 2),
    (r"tests/commands/approvals/test_life\.py::.*\[", 2),
    (r"tests/tools/contracts/test_published_tools\.py::.*\[", 3),
    (r"tests/events/test_(engagement|poison|races|load)\.py::.*\[", 2),
    (r"tests/mcp/server/.*\[", 3),
    (r"tests/tools/test_storable\.py::.*\[too many", 3),
    (r"tests/tracing/test_nothing_depends_on_it\.py::.*\[", 2),
    (r"tests/graphs/agents/.*\[", 2),
    (r"tests/nodes/models/.*\[", 2),
    (r"\[[^\]]*postgresql", 2),
)
"""A pattern of test ids, and of those that it finds, every so manyth is run; the first pattern counts."""
_left: list[pytest.Item] = []


def is_run(nodeid: str) -> bool:
    """Whether a case is in the share."""
    every = next((every for pattern, every in SHARES if re.search(pattern, nodeid)), 1)
    return zlib.crc32(nodeid.encode()) % every == 0


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what `make test-full` runs; not where tests are named one by one."""
    named = any("::" in str(one) for one in config.args) or config.getoption("lf", False)
    if os.environ.get("INTERLOCK_FULL") or named:
        return
    _left.extend(item for item in items if not is_run(item.nodeid))
    if _left:
        config.hook.pytest_deselected(items=_left)
        items[:] = [item for item in items if is_run(item.nodeid)]


def pytest_report_collectionfinish(config: pytest.Config, items: Sequence[pytest.Item]) -> str | None:
    """Say how many cases are left out."""
    del config, items
    if not _left:
        return None
    return f"{len(_left)} cases of large families are left to `make test-full` (tests/support/shares.py)"
