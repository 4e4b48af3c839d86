"""What grows and what must not: many bad calls in one message, and the later steps of one instance, as ratios.

python -m tests.benchmarks.growth calls            # 100, 1,000 and 10,000 bad calls in one message
python -m tests.benchmarks.growth steps [cap]      # steps 10, 500 and 2,000 of one instance, with a spending cap or without
"""

from __future__ import annotations

import logging
import pathlib
import statistics
import sys
import tempfile
import time
from decimal import Decimal
from typing import Any

from langchain_core.messages import AIMessage

from interlock import SpendingCap, SQLCheckpointer, Workflow, command
from interlock.testing import ScriptedChatModel

LIMIT = 1.3


@command("order.note", effect="transactional")
def note(order_id: str, amount: Decimal = Decimal(1)) -> str:
    """Note."""
    return order_id


def graph(script: list[Any], folder: str, *, capped: bool = False) -> Any:
    policies = [SpendingCap(10**12, "amount", [note])] if capped else []
    flow = Workflow("desk", model=ScriptedChatModel(script, forever="Done."), policies=policies)
    flow.add_state("open").add_edge("open", note, "open")
    return flow.compile(SQLCheckpointer(f"sqlite:///{pathlib.Path(folder) / 'growth.db'}"))


def bad_calls(number: int) -> float:
    """Seconds that a message of so many calls of a tool that is not there takes."""
    calls = [
        {"name": "order_wipe", "args": {"i": place}, "id": f"c{place}", "type": "tool_call"} for place in range(number)
    ]
    with tempfile.TemporaryDirectory() as folder:
        made = graph([AIMessage("", tool_calls=calls)], folder)
        began = time.process_time()
        made.invoke({"messages": [("user", "hello")]}, {"configurable": {"thread_id": "t"}})
        return time.process_time() - began


def steps(*, capped: bool) -> dict[int, float]:
    """Median seconds of the steps around the 10th, the 500th and the 2,000th of one instance."""
    taken: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        made, config = graph([], folder, capped=capped), {"configurable": {"thread_id": "t"}}
        made.invoke({"messages": [("user", "hello")]}, config)
        for _ in range(2_020):
            began = time.process_time()
            made.instances.execute(config, "order.note", {"orderId": "1", "amount": "1"})
            taken.append(time.process_time() - began)
    return {at: statistics.median(taken[at - 10 : at + 20]) for at in (10, 500, 2_000)}


def main(what: str, *more: str) -> int:
    """Print the figures, and say whether they are within the limit."""
    logging.disable(logging.CRITICAL)
    if what == "calls":
        costs = {number: bad_calls(number) / number for number in (100, 1_000, 10_000)}
        ratios = [costs[1_000] / costs[100], costs[10_000] / costs[1_000]]
    else:
        costs = steps(capped="cap" in more)
        ratios = [costs[500] / costs[10], costs[2_000] / costs[10]]
    for at, seconds in costs.items():
        print(f"{what} {at:6d}: {seconds * 1000:.3f} ms each")
    print("ratios:", ", ".join(f"{ratio:.2f}" for ratio in ratios), f"(limit {LIMIT})")
    return 0 if max(ratios) <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
