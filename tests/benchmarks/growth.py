"""What grows and what must not: many bad calls in one message, and the later steps of one instance, as ratios.

python -m tests.benchmarks.growth calls [middleware]          # 100, 1,000 and 10,000 bad calls in one message
python -m tests.benchmarks.growth steps [middleware] [cap]    # steps 10, 500 and 2,000 of one instance
python -m tests.benchmarks.growth turns [cap]                 # the same, as turns of a graph with its model

Options of `steps` and `turns`: `cap` (a spending cap of the instance), `tenant` (of the tenant), `period` (a limit per day). A step of a
graph is one command (`instances.execute`); a middleware has no such door, and its step is a turn of the agent: a message, a call, an
answer. A turn begins a new conversation, for whatever is sent to a model is read and sent whole, and that is not what is measured here.
"""

from __future__ import annotations

import gc
import logging
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage
from langgraph.graph.message import REMOVE_ALL_MESSAGES

from interlock import (
    LimitPerPeriod,
    LimitPerRun,
    Policy,
    Principal,
    SpendingCap,
    SQLCheckpointer,
    Workflow,
    WorkflowStore,
    command,
)
from interlock.testing import ScriptedChatModel, call

LIMIT = 1.3
WARM_UP = 30
LAST = 2_000
AT = (10, 500, LAST)
AROUND = 40
CONFIG: Any = {"configurable": {"thread_id": "t"}}
ADA: Any = Principal("ada")


@command("order.note", effect="transactional")
def note(order_id: str, amount: Decimal = Decimal(1)) -> str:
    """Note."""
    return order_id


POLICIES: dict[str, Callable[[], Policy]] = {
    "cap": lambda: SpendingCap(10**12, "amount", [note]),
    "tenant": lambda: SpendingCap(10**12, "amount", [note], per="tenant"),
    "run": lambda: LimitPerRun(10**9, [note]),
    "period": lambda: LimitPerPeriod(10**9, "24h", [note]),
}


def desk(model: Any, options: tuple[str, ...]) -> Workflow:
    flow = Workflow("desk", model=model, policies=[POLICIES[name]() for name in options if name in POLICIES])
    flow.add_state("open").add_edge("open", note, "open")
    return flow


def made(script: list[Any], folder: str, options: tuple[str, ...]) -> Any:
    """The desk as a graph, or as a middleware of an agent."""
    saver = SQLCheckpointer(f"sqlite:///{pathlib.Path(folder) / 'growth.db'}")
    model = ScriptedChatModel(script, forever="Done.")
    if "middleware" not in options:
        return desk(model, options).compile(saver)
    middleware = desk(None, options).as_middleware(workflow_store=WorkflowStore(saver.database))
    return create_agent(model, [], middleware=[middleware], checkpointer=saver, context_schema=Principal)


def bad_calls(number: int, options: tuple[str, ...]) -> float:
    """Seconds of this process that a message of so many calls of a tool that is not there takes."""
    calls = [
        {"name": "order_wipe", "args": {"i": place}, "id": f"c{place}", "type": "tool_call"} for place in range(number)
    ]
    with tempfile.TemporaryDirectory() as folder:
        runnable = made(["Hello.", AIMessage("", tool_calls=calls)], folder, options)
        runnable.invoke({"messages": [("user", "hello")]}, CONFIG, context=ADA)  # tables, imports, the instance
        gc.collect()
        began = time.process_time()
        runnable.invoke({"messages": [("user", "wipe it all")]}, CONFIG, context=ADA)
        return time.process_time() - began


def steps(options: tuple[str, ...], *, by_turns: bool) -> tuple[dict[int, float], list[float]]:
    """Compare the 10th, the 500th and the 2,000th step of an instance.

    Three instances of one database are brought so far, and then take `AROUND` steps each in turn, so that whatever else the machine does
    hits all alike.

    Returns:
        The median seconds of this process by step, and the medians of the ratios to the first of them.
    """
    taken: dict[int, list[float]] = {at: [] for at in AT}
    with tempfile.TemporaryDirectory() as folder:
        number = sum(AT) + len(AT) * AROUND + WARM_UP
        said = (call("order.note", orderId="1", amount="1"), "Noted.")
        runnable = made([one for _ in range(number + len(AT)) for one in said] if by_turns else [], folder, options)

        def turn(config: Any) -> None:
            anew = [RemoveMessage(id=REMOVE_ALL_MESSAGES), HumanMessage("note it")]
            runnable.invoke({"messages": anew}, config, context=ADA)

        def step(config: Any) -> None:
            runnable.instances.execute(config, "order.note", {"orderId": "1", "amount": "1"}, principal=ADA)

        def brought_to(name: str, steps: int) -> Any:
            config = {"configurable": {"thread_id": name}}
            turn(config) if by_turns else runnable.invoke({"messages": [("user", "hello")]}, config, context=ADA)
            for _ in range(steps):
                one(config)
            return config

        one = turn if by_turns else step
        brought_to("warm-up", WARM_UP)
        configs = {at: brought_to(f"at-{at}", at) for at in AT}
        gc.collect()
        for _ in range(AROUND):
            for at, config in configs.items():
                began = time.process_time()
                one(config)
                taken[at].append(time.process_time() - began)
    ratios = [statistics.median(b / a for a, b in zip(taken[AT[0]], taken[at], strict=True)) for at in AT[1:]]
    return {at: statistics.median(seconds) for at, seconds in taken.items()}, ratios


def main(what: str, *options: str) -> int:
    """Print the figures, and say whether they are within the limit."""
    logging.disable(logging.CRITICAL)
    if what == "calls":
        bad_calls(100, options)
        costs = {number: bad_calls(number, options) / number for number in (100, 1_000, 10_000)}
        ratios = [costs[1_000] / costs[100], costs[10_000] / costs[1_000]]
    else:
        costs, ratios = steps(options, by_turns=what == "turns" or "middleware" in options)
    for at, seconds in costs.items():
        print(f"{' '.join([what, *options])} {at:6d}: {seconds * 1000:.3f} ms each")
    print("ratios:", ", ".join(f"{ratio:.2f}" for ratio in ratios), f"(limit {LIMIT})")
    return 0 if max(ratios) <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
