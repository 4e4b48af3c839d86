"""A service that runs for long: many threads of five turns each, 200 of them live at a time, with a subgraph, on SQLite.

python -m tests.benchmarks.service [threads]     # 1,000 by default; 100,000 is the whole

Printed is the memory of the process after each tenth. It has to be flat after the first: what is remembered of threads that are over is
bounded. A smaller run is given a bound that is as much smaller, but never less than the live threads need.
"""

from __future__ import annotations

import gc
import pathlib
import random
import sys
import tempfile
from typing import Any

from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph

from interlock import SQLCheckpointer
from interlock.checkpointing.saver.memory import CACHE_BYTES

WHOLE, TURNS, LIVE = 100_000, 5, 200
LEAST = 8 * 1024 * 1024
GROWTH = 1.1
"""So much more than after the first tenth the process may have at its end."""


def resident() -> int:
    """The bytes of this process that are in memory."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096


def graph(saver: SQLCheckpointer) -> Any:
    """A chat whose answer a subgraph makes."""
    inner = StateGraph(MessagesState)
    inner.add_node("answer", lambda state: {"messages": [AIMessage(f"answer {len(state['messages'])} " * 20)]})
    inner.add_edge(START, "answer")
    outer = StateGraph(MessagesState)
    outer.add_node("inner", inner.compile())
    outer.add_edge(START, "inner")
    return outer.compile(checkpointer=saver)


def run(threads: int) -> list[tuple[int, int]]:
    """Resident and remembered bytes after each tenth."""
    chosen = random.Random(1)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        bound = max(LEAST, CACHE_BYTES * threads // WHOLE)
        url = f"sqlite:///{pathlib.Path(folder) / 'service.db'}"
        with SQLCheckpointer(url, synchronous="OFF", memory_bytes=bound) as saver:
            made = graph(saver)
            live = dict.fromkeys(range(min(LIVE, threads)), 0)
            following, turns = len(live), 0
            while live:
                number = chosen.choice([*live])
                text = f"question {number} {live[number]} " * 10
                made.invoke({"messages": [("user", text)]}, {"configurable": {"thread_id": f"t{number}"}})
                live[number] += 1
                turns += 1
                if live[number] == TURNS:
                    del live[number]
                    if following < threads:
                        live[following] = 0
                        following += 1
                if turns % (threads * TURNS // 10) == 0:
                    gc.collect()
                    found.append((resident(), saver._storage.memory.size))
    return found


def main(threads: int = 1_000) -> int:
    """Print the tenths."""
    found = run(threads)
    for tenth, (bytes_, remembered) in enumerate(found, 1):
        print(
            f"{tenth * threads // 10:7} threads: {bytes_ / 1e6:6.1f} MB resident, {remembered / 1e6:6.2f} MB remembered"
        )
    ratio = found[-1][0] / found[0][0]
    print(f"at the end {ratio:.3f} of what there was after the first tenth (at most {GROWTH})")
    return 0 if ratio <= GROWTH else 1


if __name__ == "__main__":
    sys.exit(main(*(int(argument) for argument in sys.argv[1:2])))
