"""`interrupt()` in a tool's body: for what may run twice it works as in LangGraph, for all else it is refused."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt

from interlock import Principal, ToolContract, Workflow, WorkflowStore, command, read
from interlock.testing import ScriptedChatModel, call
from tests.graphs.support import Done, Home, Runner, answers, codes, interrupts, said, thread


class Mail:
    """A tool that sends a mail, asks in its body, and sends another."""

    def __init__(self, effect: str | None, **options: Any) -> None:
        self.sent: list[str] = []

        def send() -> str:
            """Send a mail, then ask whether the copy may go, too."""
            self.sent.append("mail")
            answer = interrupt({"question": "the copy, too?"})
            self.sent.append(f"copy: {answer}")
            return "sent"

        made = read("mail.send", **options) if effect is None else command("mail.send", effect=effect, **options)
        self.tool: ToolContract = made(send)

    def flow(self) -> Workflow:
        @command("mail.end", effect="transactional")
        def end() -> Done:
            """End it."""
            return Done()

        is_read = self.tool.effect is None
        workflow = Workflow("mail", model=ScriptedChatModel([call("mail.send")], forever="done"))
        workflow.add_state("open", tools=[self.tool] if is_read else []).add_state("closed", final=True)
        workflow.add_edge("open", end, "closed")
        return workflow if is_read else workflow.add_edge("open", self.tool, "closed")


@pytest.mark.parametrize("timed", [False, True], ids=["untimed", "timed"])
@pytest.mark.parametrize("effect", [None, "idempotent"])
def test_a_repeatable_body_may_interrupt_and_continues_with_the_answer(
    home: Home, run: Runner, effect: str | None, timed: bool
) -> None:
    mail = Mail(effect, **({"timeout": 30} if timed else {}))
    graph = home.compile(mail.flow())

    first = run(graph, said(), thread())
    assert [one.value for one in interrupts(first)] == [{"question": "the copy, too?"}]
    second = run(graph, Command(resume="yes"), thread())

    assert answers(second)[0]["ok"]
    assert mail.sent == ["mail", "mail", "copy: yes"]  # LangGraph runs it again from its beginning


def test_an_at_most_once_effect_is_not_repeated_and_a_person_resolves_it(home: Home, run: Runner) -> None:
    mail = Mail("at_most_once")
    graph = home.compile(mail.flow(), destructive_in_memory=True)

    asked = [one.value for one in interrupts(run(graph, said(), thread()))]

    assert [one["type"] for one in asked] == ["outcome_unknown"]
    assert "interrupt()" in asked[0]["problem"]
    assert "approval=" in asked[0]["problem"]
    happened = {"type": "happened", "output": "sent", "attempt": 1}
    assert run(graph, Command(resume=happened), thread())["state"] == "closed"
    assert mail.sent == ["mail"]


def test_an_interrupt_in_a_transaction_is_refused_and_rolled_back(home: Home, run: Runner) -> None:
    mail = Mail("transactional")
    graph = home.compile(mail.flow())

    output = run(graph, said(), thread())

    assert [*interrupts(output)] == []
    assert codes(output) == ["tool_failed"]
    assert "approval=" in answers(output)[0]["error"]["message"]
    assert output["state"] == "open"
    assert mail.sent == ["mail"]


@pytest.mark.parametrize("effect", [None, "idempotent", "at_most_once", "transactional"])
def test_the_same_holds_in_an_agent_with_the_middleware(effect: str | None) -> None:
    mail = Mail(effect)
    agent = create_agent(
        ScriptedChatModel([call("mail.send")], forever="done"),
        [],
        middleware=[mail.flow().as_middleware(workflow_store=WorkflowStore.in_memory())],
        checkpointer=InMemorySaver(),
        context_schema=Principal,
    )

    first = agent.invoke(said(), thread(), context=Principal("ada"))
    asked = [one.value.get("type") or one.value for one in first.get("__interrupt__", [])]

    match effect:
        case "transactional":
            assert (asked, codes(first)) == ([], ["tool_failed"])
        case "at_most_once":
            assert (asked, mail.sent) == (["outcome_unknown"], ["mail"])
        case _:
            assert asked == [{"question": "the copy, too?"}]
            assert codes(agent.invoke(Command(resume="yes"), thread(), context=Principal("ada"))) == ["ok"]
