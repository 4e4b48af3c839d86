"""The workflow that most servers here serve."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock import SQLCheckpointer, WorkflowGraph
from interlock.workflows.case import case_workflow, open_cases


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[WorkflowGraph]:
    """The case workflow, in a file."""
    made = case_workflow().compile(SQLCheckpointer(f"sqlite:///{tmp_path / 'cases.db'}"))
    open_cases(made.engine.store)
    yield made
    made.engine.store.close()
