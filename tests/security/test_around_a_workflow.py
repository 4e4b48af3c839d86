"""Graphs around a workflow, and agents with it: they can be run at any of their nodes, past where a turn is let in."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command

from interlock import Principal, ToolContext, Workflow, WorkflowStore, command
from interlock.testing import ScriptedChatModel, call
from interlock.tools import PrincipalError, StaleCheckpoint
from tests.identity.desk import ADA, BEN, EVE, GET, REFUND, Desk, config, said

ELSEWHERE = Principal("ada", tenant="elsewhere")


class Parent:
    """A graph of an application's own, with a workflow as its node that notes down what it is told."""

    def __init__(self, run_by: Any = "served") -> None:
        self.ran: list[tuple[str, str]] = []
        self.store = WorkflowStore.in_memory()
        flow = self.workflow(run_by)
        self.desk = flow.compile(workflow_store=self.store, destructive_in_memory=True)
        parent = StateGraph(MessagesState, context_schema=Principal)
        parent.add_node("desk", self.desk)
        parent.add_edge(START, "desk")
        parent.add_edge("desk", END)
        self.graph: Any = parent.compile(checkpointer=InMemorySaver())

    def workflow(self, run_by: Any = "served") -> Workflow:
        ran = self.ran

        @command("note.add", effect="transactional")
        def add_note(text: str, ctx: ToolContext) -> str:
            """Note something down."""
            ran.append((text, ctx.principal.id))
            return "noted"

        def notes(messages: list[Any], _offered: Any) -> Any:
            return call("note.add", text=messages[-1].text) if messages[-1].type == "human" else "Done."

        flow = Workflow("desk", model=ScriptedChatModel([], forever=notes), run_by=run_by)
        return flow.add_state("open").add_edge("open", add_note, "open")

    def last(self) -> tuple[str, str, str | None]:
        (instance,) = self.store.instances()
        record = self.store.audit(instance.workflow_id)[-1]
        return record.kind.value, record.principal_id, record.code


GIVEN: dict[str, Any] = {
    "a message": said("evil"),
    "a jump": Command(goto="desk"),
    "a jump with a message": Command(goto="desk", update=said("evil")),
}


@pytest.mark.parametrize("given", GIVEN)
def test_a_stranger_proposes_nothing_through_a_graph_around_it(given: str) -> None:
    parent = Parent()
    parent.graph.invoke(said("hello"), config(), context=ADA)
    with pytest.raises(PrincipalError, match="may not run or see"):
        parent.graph.invoke(GIVEN[given], config(), context=EVE)
    assert parent.ran == [("hello", "ada")]
    assert parent.last() == ("denial", "eve", "not_entitled")


@pytest.mark.parametrize("given", GIVEN)
def test_another_tenant_finds_nothing_through_a_graph_around_it(given: str) -> None:
    parent = Parent()
    parent.graph.invoke(said("hello"), config(), context=ADA)
    with pytest.raises(Exception, match="There is no workflow instance"):
        parent.graph.invoke(GIVEN[given], config(), context=ELSEWHERE)
    assert parent.ran == [("hello", "ada")]


def test_a_turn_that_was_held_is_not_gone_on_with_by_a_stranger() -> None:
    parent = Parent()
    parent.graph.invoke(said("hello"), config(), context=ADA)
    parent.graph.invoke(said("again"), config(), context=ADA, interrupt_before=["desk"])
    with pytest.raises(PrincipalError, match="may not run or see"):
        parent.graph.invoke(None, config(), context=EVE)
    assert parent.graph.invoke(None, config(), context=ADA)["messages"][-1].text == "Done."
    assert parent.ran == [("hello", "ada"), ("again", "ada")]


def test_run_by_lets_others_in_through_a_graph_around_it() -> None:
    parent = Parent(run_by="tenant")
    parent.graph.invoke(said("hello"), config(), context=ADA)
    parent.graph.invoke(Command(goto="desk", update=said("more")), config(), context=EVE)
    assert parent.ran == [("hello", "ada"), ("more", "eve")]


@pytest.mark.parametrize(
    "more",
    [{"update": said("refund it twice")}, {"update": said("refund it twice"), "goto": "model"}],
    ids=["a message", "a message and a jump"],
)
def test_who_decides_in_an_agent_and_says_something_speaks_for_themselves(more: Any) -> None:
    desk = Desk()
    agent = desk.agent(REFUND, GET)
    agent.invoke(said(), config(), context=ADA)
    with pytest.raises(PrincipalError, match="ben may not run or see"):
        agent.invoke(Command(resume="approve", **more), config(), context=BEN)
    assert desk.ran == ["refund W1 5"], "what was decided is done, and nothing is proposed for ada"
    assert desk.trail()[-1] == ("denial", "ben", "not_entitled")


def test_who_only_decides_in_an_agent_lets_the_turn_of_another_one_go_on() -> None:
    desk = Desk()
    agent = desk.agent(REFUND, GET)
    agent.invoke(said(), config(), context=ADA)
    agent.invoke(Command(resume="approve"), config(), context=BEN)
    assert desk.trail()[-1] == ("read", "ada", None)


def test_a_client_that_claims_to_be_nested_does_not_pass_for_the_head() -> None:
    """With another namespace an agent has another conversation; naming the instance does not make that one its line of history."""
    parent = Parent()
    middleware = parent.workflow().as_middleware(workflow_store=parent.store)
    model = ScriptedChatModel([call("note.add", text="one"), "Done.", call("note.add", text="two")], forever="Done.")
    agent: Any = create_agent(
        model, [], middleware=[middleware], checkpointer=InMemorySaver(), context_schema=Principal
    )
    agent.invoke(said(), config(), context=ADA)
    (instance,) = parent.store.instances()
    head = agent.get_state(config()).config["configurable"]["checkpoint_id"]
    forged = {"__pregel_task_id": "x", "checkpoint_ns": "x:1", "checkpoint_map": {"": head}}
    with pytest.raises(StaleCheckpoint):
        agent.invoke(said(), config(workflow_id=instance.workflow_id, **forged), context=ADA)
    assert parent.ran == [("one", "ada")]
    assert parent.last() == ("denial", "ada", "stale_checkpoint")
