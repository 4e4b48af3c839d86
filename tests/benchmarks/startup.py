"""What it costs until the retail desk is there: importing it with SQL and compiling it, beside LangGraph, SQLAlchemy and as large a graph.

    python -m tests.benchmarks startup

The peer imports LangGraph, LangChain's tools and chat models, and SQLAlchemy with its ORM, which such a program imports anyway, and compiles a
graph of as many nodes as the desk has, with a checkpointer on SQLite. Processor time of fresh interpreters, interleaved, medians.
"""

import os
import statistics
import tempfile

from .imports import seconds

ROUNDS = int(os.environ.get("INTERLOCK_BENCH_ROUNDS", "7"))
LIMIT = 1.15
MODEL = """
from langchain_core.language_models import BaseChatModel
class Model(BaseChatModel):
    @property
    def _llm_type(self): return "startup"
    def bind_tools(self, tools, **options): return self
    def _generate(self, *given, **options): raise NotImplementedError
"""
OURS = (
    MODEL
    + """
from interlock import SQLCheckpointer
from interlock.workflows.retail import retail_workflow
graph = retail_workflow(Model()).compile(SQLCheckpointer("sqlite:///{folder}/ours.db"))
"""
)
THEIRS = (
    MODEL
    + """
import sqlite3
import sqlalchemy, sqlalchemy.orm
from langchain_core.tools import tool
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, Send, interrupt
graph = StateGraph(MessagesState)
for number in range({nodes}):
    graph.add_node(f"n{{number}}", lambda state: state)
    graph.add_edge(f"n{{number - 1}}" if number else START, f"n{{number}}")
graph = graph.compile(SqliteSaver(sqlite3.connect("{folder}/theirs.db", check_same_thread=False)))
"""
)


def main() -> None:
    """Print the ratio."""
    from interlock.workflows.retail import retail_workflow

    nodes = len(retail_workflow(None).compile().nodes) - 1
    with tempfile.TemporaryDirectory() as folder:
        theirs, ours = (code.format(nodes=nodes, folder=folder) for code in (THEIRS, OURS))
        pairs = []
        for number in range(ROUNDS):
            if number % 2:
                pairs.append((seconds(ours), seconds(theirs)))
            else:
                peer = seconds(theirs)
                pairs.append((seconds(ours), peer))
    ratio = statistics.median(mine / other for mine, other in pairs)
    mine, other = (statistics.median(pair[side] for pair in pairs) * 1000 for side in (0, 1))
    verdict = "within" if ratio <= LIMIT else "above"
    print(
        f"the retail desk, compiled with SQL: {mine:.0f} ms of processor time; a graph of {nodes} nodes: {other:.0f} ms"
    )
    print(f"ratio {ratio:.2f} ({verdict} {LIMIT}), median of {ROUNDS} pairs")


if __name__ == "__main__":
    main()
