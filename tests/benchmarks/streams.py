"""Many event streams of one service open at once: how long until each is told, and what that costs: `python -m tests.benchmarks streams`."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from functools import partial
from pathlib import Path

from tests.serving.desk import KIM
from tests.serving.killable import desk, running

INSTANCES = 50
ROUNDS = 5


def main(*numbers: int) -> None:
    for number in numbers or (10, 500):
        with tempfile.TemporaryDirectory() as folder:
            url = f"sqlite:///{Path(folder, 'desk.db')}"
            graph = desk(url)
            cases = [graph.instances.start(principal=KIM).workflow_id for _ in range(INSTANCES)]
            with running(url) as (child, client):
                port, pid = client.base_url.port or 0, child.process.pid or 0
                before = _cpu(pid)
                told = asyncio.run(_told(port, cases, number, partial(_ask, graph, cases)))
                spent, memory = _cpu(pid) - before, _memory(pid)
                child.kill()
            graph.checkpointer.close()  # type: ignore[union-attr]
        print(
            f"{number:5} streams of {INSTANCES} instances: all told of a change after {', '.join(f'{one:.2f}' for one in told)} s; "
            f"{spent / ROUNDS:.2f} s of the service's CPU for each change of every instance, {memory:.0f} MiB"
        )


def _ask(graph: object, cases: list[str]) -> None:
    instances = graph.instances  # type: ignore[attr-defined]
    for workflow_id in cases:
        instances.propose(workflow_id, "order.refund", {"orderId": "W-7"}, principal=KIM, key=str(time.monotonic_ns()))


async def _told(port: int, cases: list[str], number: int, change: object) -> list[float]:
    streams = [await _opened(port, cases[one % len(cases)]) for one in range(number)]
    took = []
    for _ in range(ROUNDS):
        waiting = asyncio.gather(*(_next(reader) for reader, _ in streams))
        await asyncio.to_thread(change)  # type: ignore[arg-type]
        began = time.perf_counter()
        await waiting
        took.append(time.perf_counter() - began)
    for _, writer in streams:
        writer.close()
    return took


async def _opened(port: int, workflow_id: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"GET /v1/instances/{workflow_id}/events HTTP/1.1\r\nHost: x\r\nx-test-user: kim\r\n\r\n"
    writer.write(head.encode())
    await _next(reader)  # that it began
    return reader, writer


async def _next(reader: asyncio.StreamReader) -> None:
    """The next record."""
    while not (await reader.readline()).startswith(b"event: record"):
        pass


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> float:
    line = next(
        line for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines() if line.startswith("VmRSS")
    )
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
