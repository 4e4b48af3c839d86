"""A local trace sink, and the real LangSmith client that sends to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langsmith import Client, tracing_context

from interlock.testing import TraceSink


@pytest.fixture
def sink() -> Iterator[TraceSink]:
    with TraceSink() as sink:
        yield sink


@pytest.fixture
def client(sink: TraceSink) -> Iterator[Client]:
    client = sink.client()
    yield client
    client.close()


@pytest.fixture
def traced(client: Client) -> Iterator[Any]:
    """Tracing is on, as `LANGSMITH_TRACING=true` has it, and goes to the sink."""
    with tracing_context(enabled=True, client=client, project_name="shop-project"):
        yield client
