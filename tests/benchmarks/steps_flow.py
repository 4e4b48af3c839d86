"""A workflow of three transactional commands with a model that answers at once: what the benchmarks of engines run."""

from __future__ import annotations

from typing import Any

from interlock import Principal, ToolContext, Workflow, command
from interlock.testing import ScriptedChatModel, call

ADA = Principal("ada")
AT_ONCE = 4
"""How many runs continue at once in one process."""
GIVEN: dict[str, Any] = {"messages": [("user", "go")]}


@command("step.one", effect="transactional")
def one(ctx: ToolContext) -> int:
    """Do the first thing."""
    return 1


@command("step.two", effect="transactional")
def two(ctx: ToolContext) -> int:
    """Do the second thing."""
    return 2


@command("step.three", effect="transactional")
def three(ctx: ToolContext) -> int:
    """Do the third thing."""
    return 3


def steps_flow() -> Workflow:
    made = Workflow("steps", model=ScriptedChatModel(forever=lambda _, offered: call(offered[0])))
    made.add_state("a")
    made.add_state("b")
    made.add_state("c")
    made.add_state("d", final=True)
    made.add_edge("a", one, "b")
    made.add_edge("b", two, "c")
    made.add_edge("c", three, "d")
    return made
