"""LangGraph's published conformance suite, which exercises the asynchronous methods, and the synchronous ones through an adapter."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import Capability

from interlock.checkpointing import SQLCheckpointer


class SyncBehindAsync(BaseCheckpointSaver[str]):
    """Answers every asynchronous call with the synchronous method."""

    def __init__(self, saver: SQLCheckpointer) -> None:
        super().__init__(serde=saver.serde)
        self._saver = saver

    def get_next_version(self, current: Any, channel: None) -> str:
        return self._saver.get_next_version(current, channel)

    async def aget_tuple(self, config: Any) -> Any:
        return self._saver.get_tuple(config)

    async def alist(self, config: Any, **options: Any) -> AsyncIterator[Any]:
        for item in self._saver.list(config, **options):
            yield item

    async def aput(self, *args: Any) -> Any:
        return self._saver.put(*args)

    async def aput_writes(self, *args: Any, **options: Any) -> None:
        self._saver.put_writes(*args, **options)

    async def adelete_thread(self, thread_id: str) -> None:
        self._saver.delete_thread(thread_id)

    async def adelete_for_runs(self, run_ids: Any) -> None:
        self._saver.delete_for_runs(run_ids)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        self._saver.copy_thread(source_thread_id, target_thread_id)

    async def aprune(self, thread_ids: Any, *, strategy: str = "keep_latest") -> None:
        self._saver.prune(thread_ids, strategy=strategy)


@pytest.mark.parametrize("way", ["async", "sync"])
async def test_all_eight_capabilities_are_detected_and_pass(database_url: str, way: str) -> None:
    @checkpointer_test(name=f"SQLCheckpointer {way}")
    async def saver() -> AsyncIterator[BaseCheckpointSaver[Any]]:
        async with SQLCheckpointer(database_url) as checkpointer:
            await checkpointer.asetup()
            yield checkpointer if way == "async" else SyncBehindAsync(checkpointer)

    report = await validate(saver)

    assert {name for name, result in report.results.items() if result.detected} == {one.value for one in Capability}
    assert {name: result.failures for name, result in report.results.items() if not result.passed} == {}
