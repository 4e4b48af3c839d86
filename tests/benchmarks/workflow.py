"""One proposal with its command through a workflow, beside the same tool in LangChain's `create_agent`, interleaved in one run.

    python -m tests.benchmarks workflow
    INTERLOCK_BENCH_ROUNDS=60                        more rounds

Both have the same model, the same tool, SQLite in a file with the same `synchronous`, and durability `sync`. A step is one turn of a
conversation: the model proposes, the tool runs, the model says something. With approval it is two runs: the one that asks, and the one
that is resumed. The agent has LangGraph's SQLite saver and, with approval, `HumanInTheLoopMiddleware`; it keeps no ledger, no audit
record and no state of the business. A ratio below 1 means that Interlock took less.
"""

import gc
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import StructuredTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command
from pydantic import BaseModel

from interlock import SQLCheckpointer, Workflow, command

ROUNDS = int(os.environ.get("INTERLOCK_BENCH_ROUNDS", "40"))
TURNS = 4
"""Turns of one conversation; each round begins a new one."""


class Note(BaseModel):
    text: str


@command("note.add", effect="transactional")
def add_note(text: str) -> Note:
    """Keep a note."""
    return Note(text=text)


@command("desk.close", effect="transactional")
def close() -> Note:
    """Close the desk."""
    return Note(text="closed")


def plain_note(text: str) -> str:
    """Keep a note."""
    return Note(text=text).model_dump_json()


class Model(BaseChatModel):
    """Proposes a note after a message of the user, and says something after a note."""

    @property
    def _llm_type(self) -> str:
        return "benchmark"

    def bind_tools(self, tools: Any, **options: Any) -> Any:
        return self.bind(tools=[str(getattr(tool, "name", tool)) for tool in tools])

    def _generate(self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **_: Any) -> ChatResult:
        answer = AIMessage("It is noted.")
        if not isinstance(messages[-1], ToolMessage):
            call = {"name": "note_add", "args": {"text": "call back"}, "id": f"c{len(messages)}", "type": "tool_call"}
            answer = AIMessage("", tool_calls=[call])
        return ChatResult(generations=[ChatGeneration(message=answer)])


def workflow(folder: Path, synchronous: str | None, *, approval: bool) -> Any:
    """Interlock's side."""
    flow = Workflow("desk", model=Model())
    flow.add_state("open").add_state("closed", final=True)
    flow.add_edge("open", add_note, "open", approval=approval).add_edge("open", close, "closed")
    if synchronous is None:
        return flow.compile()
    return flow.compile(SQLCheckpointer(f"sqlite:///{folder}/interlock.db", synchronous=synchronous))


def agent(folder: Path, synchronous: str | None, *, approval: bool) -> Any:
    """LangChain's side."""
    saver: Any = InMemorySaver()
    if synchronous is not None:
        connection = sqlite3.connect(f"{folder}/agent.db", check_same_thread=False)
        saver = SqliteSaver(connection)
        saver.setup()
        connection.execute(f"PRAGMA synchronous={synchronous}")
    asks: Any = [HumanInTheLoopMiddleware(interrupt_on={"note_add": True})] if approval else []
    tool = StructuredTool.from_function(plain_note, name="note_add", description="Keep a note.")
    return create_agent(Model(), [tool], middleware=asks, checkpointer=saver)


def turns(graph: Any, thread: str, answer: Any) -> float:
    """Seconds per step of one conversation."""
    config = {"configurable": {"thread_id": thread}}
    gc.collect()
    started = time.perf_counter()
    for _ in range(TURNS):
        output = graph.invoke({"messages": [("user", "Please note that I called.")]}, config, durability="sync")
        if answer is not None:
            assert "__interrupt__" in output
            output = graph.invoke(Command(resume=answer), config, durability="sync")
        assert output["messages"][-1].content == "It is noted."
    return (time.perf_counter() - started) / TURNS


def compare(synchronous: str | None, *, approval: bool) -> tuple[float, float, float]:
    """Medians of both sides in milliseconds, and the median of the rounds' ratios."""
    with tempfile.TemporaryDirectory() as folder:
        sides: list[tuple[Callable[..., Any], Any]] = [
            (workflow, {"type": "approve"} if approval else None),
            (agent, {"decisions": [{"type": "approve"}]} if approval else None),
        ]
        graphs = [(made(Path(folder), synchronous, approval=approval), answer) for made, answer in sides]
        for number in range(3):
            for graph, answer in graphs:
                turns(graph, f"warm-{number}", answer)
        ours, theirs = [], []
        for number in range(ROUNDS):
            for index in (0, 1) if number % 2 else (1, 0):
                graph, answer = graphs[index]
                (theirs if index else ours).append(turns(graph, f"t-{number}", answer))
        for graph, _ in graphs:
            if isinstance(graph.checkpointer, SQLCheckpointer):
                graph.checkpointer.close()
            elif isinstance(graph.checkpointer, SqliteSaver):
                graph.checkpointer.conn.close()
    ratio = statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))
    return statistics.median(ours) * 1000, statistics.median(theirs) * 1000, ratio


def main() -> None:
    """Print the ratios of wall time per step."""
    print(f"wall time per step, medians of {ROUNDS} rounds of {TURNS} steps")
    for synchronous in (None, "NORMAL", "FULL"):
        for approval in (False, True):
            ours, theirs, ratio = compare(synchronous, approval=approval)
            where = "in memory" if synchronous is None else f"SQLite, synchronous={synchronous}"
            what = f"{where}, {'with' if approval else 'without'} approval"
            print(f"{what:<45} workflow {ours:6.2f} ms   create_agent {theirs:6.2f} ms   ratio {ratio:.2f}", flush=True)


if __name__ == "__main__":
    main()
