"""A failure before the effect is a refusal only where no attempt under the key may have had an effect."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from interlock import RetryPolicy, ToolContext, Workflow, WorkflowGraph, command
from interlock.testing import ScriptedChatModel, call
from tests.graphs.support import ADA, Home, said, thread


class Cut(BaseException):
    """The process ends here."""


def graph_of(memory: Home, *attempts: str, effect: Any = "idempotent") -> WorkflowGraph:
    """A workflow whose tool fails in its attempts as they say: `before` its effect, `in` it, or `cut` off in it."""
    left = [*attempts]
    options: dict[str, Any] = {"retry": RetryPolicy(attempts=2, initial=0)} if effect == "idempotent" else {}

    @command("parcel.send", effect=effect, **options)
    def send(ctx: ToolContext[Any]) -> str:
        """Send the parcel."""
        what = left.pop(0)
        with ctx.before_effect():
            if what == "before":
                raise ConnectionError
        if what == "in":
            raise ConnectionError
        if what == "cut":
            raise Cut
        return "sent"

    flow = Workflow("depot", model=ScriptedChatModel([call("parcel.send")], forever="Done."))
    flow.add_state("open").add_state("sent", final=True).add_edge("open", send, "sent")
    return memory.compile(flow, destructive_in_memory=True)


def last(graph: WorkflowGraph) -> str:
    return [record.kind.value for record in graph.instances.audit(thread())][-1]


@pytest.mark.parametrize(
    ("attempts", "came_to"),
    [
        (["before", "before"], "refusal"),
        (["in", "before"], "unknown"),
        (["before", "in"], "unknown"),
        (["in", "in"], "unknown"),
        (["before", "well"], "transition"),
    ],
)
def test_one_attempt_with_an_effect_makes_the_outcome_unknown(memory: Home, attempts: list[str], came_to: str) -> None:
    graph = graph_of(memory, *attempts)
    graph.invoke(said(), thread(), context=ADA)
    assert last(graph) == came_to


@pytest.mark.parametrize(("attempt", "came_to"), [("before", "refusal"), ("in", "unknown")])
def test_what_is_not_safe_to_repeat_is_told_by_its_one_attempt(memory: Home, attempt: str, came_to: str) -> None:
    graph = graph_of(memory, attempt, effect="at_most_once")
    graph.invoke(said(), thread(), context=ADA)
    assert last(graph) == came_to


def test_what_a_process_broke_off_in_its_effect_stays_unknown_when_later_attempts_fail_before_it(memory: Home) -> None:
    graph = graph_of(memory, "cut", "before", "before")
    with suppress(Cut):
        graph.invoke(said(), thread(), context=ADA)
    assert last(graph) == "attempt"
    graph.invoke(None, thread(), context=ADA)
    assert last(graph) == "unknown"
