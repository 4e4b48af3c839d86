"""What the records and answers of a call have: the node of each attempt, what its own proposer may do next, and where an output is wrong."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from interlock import Mode, Principal, Workflow, command
from interlock.rules.view import GuardView
from interlock.testing import ScriptedChatModel, call
from tests.graphs.support import ADA, Home, answers, codes, said, thread


def started(tool: Any, **options: Any) -> Workflow:
    flow = Workflow("desk", model=ScriptedChatModel([call(tool.name)], forever="Done."), **options)
    flow.add_state("open").add_state("closed", final=True)
    return flow.add_edge("open", tool, "closed")


@pytest.mark.parametrize("effect", ["idempotent", "at_most_once"])
def test_an_attempt_names_the_node_that_its_transition_names(memory: Home, effect: Any) -> None:
    @command("thing.do", effect=effect)
    def do() -> str:
        """Do it."""
        return "done"

    graph = memory.compile(started(do), destructive_in_memory=True)
    graph.invoke(said(), thread(), context=ADA)
    nodes = [one.payload["node"] for one in graph.instances.audit(thread()) if one.kind in {"attempt", "transition"}]
    assert nodes == ["open/thing.do", "open/thing.do"]


@pytest.mark.parametrize("who", ["ada", "bo"])
def test_a_dry_run_answers_with_what_its_own_proposer_may_do_next(memory: Home, who: str) -> None:
    @command("thing.do", effect="transactional")
    def do() -> str:
        """Do it."""
        return "done"

    def is_ada(view: GuardView) -> bool:
        return view.principal.id == "ada"

    @command("thing.undo", effect="transactional")
    def undo() -> str:
        """Undo it."""
        return "undone"

    flow = started(do, mode=Mode.DRY_RUN).add_edge("open", undo, "open", guard=is_ada)
    output = memory.compile(flow).invoke(said(), thread(), context=Principal(who))
    (answer,) = answers(output)
    assert answer["nextAllowedTools"] == (["thing_do", "thing_undo"] if who == "ada" else ["thing_do"])


class Parcel(BaseModel):
    number: int


@pytest.mark.parametrize("effect", ["transactional", "idempotent"])
def test_the_answer_says_which_field_of_an_output_is_wrong(memory: Home, effect: Any) -> None:
    @command("parcel.send", effect=effect)
    def send() -> Parcel:
        """Send it."""
        return {"number": "many"}  # type: ignore[return-value]

    output = memory.compile(started(send), destructive_in_memory=True).invoke(said(), thread(), context=ADA)
    assert codes(output) == ["invalid_output"]
    (problem,) = answers(output)[0]["error"]["details"]["problems"]
    told = f"{problem['field']}: {problem['problem']}" if problem["field"] else problem["problem"]
    assert told.startswith("number: ")
    assert "left behind" not in told
