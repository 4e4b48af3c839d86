"""Who says what became of an attempt that broke off: it comes with a result and with data, so not the person served."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from langchain.agents import create_agent
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command
from pydantic import BaseModel

from interlock import Principal, Workflow, WorkflowStore, command
from interlock.testing import ScriptedChatModel, call
from interlock.tools import InterlockError
from tests.security.entry_points import ADA, COLLEAGUE, FOREIGN, HELLO, NOBODY, THREAD


class Account(BaseModel):
    credit: int = 0


class Died(BaseException):
    """A process that dies in the middle of a payment."""


class Broken:
    """An instance that serves ada, whose payment broke off in the middle."""

    def __init__(self, form: str, run_by: Any = "served", by: Principal = ADA) -> None:
        @command("pay.out", effect="at_most_once")
        def pay(amount: int) -> str:
            """Pay somebody."""
            raise Died

        self.store = WorkflowStore.in_memory()
        model = ScriptedChatModel([call("pay.out", amount=5)], forever="Done.")
        flow = Workflow("desk", model=None if form == "agent" else model, run_by=run_by, data=Account)
        flow.add_state("open").add_state("closed", final=True).add_edge("open", pay, "closed")
        if form == "agent":
            middleware = flow.as_middleware(workflow_store=self.store)
            self.instances = middleware.instances
            self.graph: Any = create_agent(
                model, [], middleware=[middleware], checkpointer=InMemorySaver(), context_schema=Principal
            )
        else:
            saver = InMemorySaver() if form == "graph" else None
            desk = flow.compile(saver, workflow_store=self.store, destructive_in_memory=True)
            self.graph, self.instances = desk, desk.instances
        if form == "parent":
            parent = StateGraph(MessagesState, context_schema=Principal)
            parent.add_node("desk", self.graph)
            parent.add_edge(START, "desk")
            parent.add_edge("desk", END)
            self.graph = parent.compile(checkpointer=InMemorySaver())
        with pytest.raises(Died):
            self.graph.invoke(HELLO, THREAD, context=by)
        self.shown = self.graph.invoke(None, THREAD, context=by)["__interrupt__"][0].value

    @property
    def workflow_id(self) -> str:
        (instance,) = self.store.instances()
        return instance.workflow_id

    def answer(self, by: Principal) -> Any:
        resume = {"type": "happened", "output": "paid", "data": {"credit": 99}, "attempt": self.shown["attempt"]}
        return self.graph.invoke(Command(resume=resume), THREAD, context=by)

    def stands(self) -> tuple[str, int]:
        instance = self.store.get(self.workflow_id)
        return instance.state, instance.data["credit"]

    def last(self) -> tuple[str, str, str | None]:
        record = self.store.audit(self.workflow_id)[-1]
        return record.kind.value, record.principal_id, record.code


WAYS: dict[str, Callable[[Broken, Principal], Any]] = {
    "from outside": lambda broken, by: broken.instances.resolve(
        broken.workflow_id, "happened", output="paid", data={"credit": 99}, by=by
    ),
    "an answer": lambda broken, by: broken.answer(by),
    "an answer, asynchronously": lambda broken, by: asyncio.run(
        broken.graph.ainvoke(Command(resume={"type": "retry", "attempt": broken.shown["attempt"]}), THREAD, context=by)
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("form", ["graph", "agent", "parent"])
@pytest.mark.parametrize("by", [ADA, NOBODY], ids=["the person served", "nobody in particular"])
def test_it_is_not_the_person_served(by: Principal, form: str, way: str) -> None:
    broken = Broken(form)
    refused = pytest.raises(InterlockError, match="may not")
    # A graph around it asks again, with what was wrong.
    with contextlib.nullcontext() if way != "from outside" and form != "graph" else refused:
        WAYS[way](broken, by)
    assert broken.stands() == ("open", 0)
    assert broken.last() == ("denial", by.id, "not_entitled")


def test_another_tenant_finds_nothing_to_resolve() -> None:
    broken = Broken("graph")
    with pytest.raises(InterlockError, match="There is no workflow instance"):
        WAYS["from outside"](broken, FOREIGN)
    assert broken.stands() == ("open", 0)
    assert broken.last()[1] == "ada"


@pytest.mark.parametrize("form", ["graph", "agent"])
def test_somebody_else_of_the_tenant_does_from_outside(form: str) -> None:
    broken = Broken(form)
    WAYS["from outside"](broken, COLLEAGUE)
    assert broken.stands() == ("closed", 99)


@pytest.mark.parametrize("form", ["graph", "agent", "parent"])
def test_an_answer_takes_somebody_who_may_run_it(form: str) -> None:
    broken = Broken(form)
    with pytest.raises(InterlockError, match="may not run or see") if form == "graph" else contextlib.nullcontext():
        broken.answer(COLLEAGUE)
    assert broken.stands() == ("open", 0)
    assert broken.last() == ("denial", "cole", "not_entitled")
    allowed = Broken(form, run_by="clerk")
    allowed.answer(COLLEAGUE)
    assert allowed.stands() == ("closed", 99)


def test_a_role_that_runs_it_resolves_what_it_began_itself() -> None:
    broken = Broken("graph", run_by="clerk", by=COLLEAGUE)
    broken.answer(COLLEAGUE)
    assert broken.stands() == ("closed", 99)


def test_what_serves_nobody_in_particular_its_tenant_resolves() -> None:
    broken = Broken("graph", by=NOBODY)
    broken.answer(NOBODY)
    assert broken.stands() == ("closed", 99)
