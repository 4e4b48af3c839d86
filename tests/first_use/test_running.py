"""First mistakes in running a workflow: in what it is given, in rules and tools, in deciding, and around it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from langchain.agents import create_agent
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command
from pydantic import BaseModel

from interlock import (
    Approval,
    InterlockError,
    Principal,
    SQLCheckpointer,
    ToolContext,
    Workflow,
    WorkflowStore,
    command,
    read,
)
from interlock.testing import ScriptedChatModel, call
from tests.first_use.support import HERE, HI, Data, Mistake, answer, do, flow, invoke, table

ada, grace = Principal("ada"), Principal("grace")


class Needed(BaseModel):
    n: int


class Loose(BaseModel):
    model_config = {"arbitrary_types_allowed": True}
    o: object = None


def started() -> Any:
    graph = flow(steps=["hello"]).compile(in_memory=True)
    graph.invoke(HI, HERE)
    return graph


def waiting() -> Any:
    graph = flow(edge={"approval": True}).compile(in_memory=True)
    graph.invoke(HI, HERE, context=ada)
    return graph


def over() -> Any:
    graph = flow().compile(in_memory=True)
    graph.invoke(HI, HERE)
    return graph


@table(
    ("no thread", lambda: invoke(flow(), config=None), "without a thread", '{"configurable": {"thread_id"'),
    ("a thread in the wrong place", lambda: invoke(flow(), config={"thread_id": "t"}), "without a thread", '{"configurable"'),
    ("a text as input", lambda: invoke(flow(), "hi"), "given str as its input", '{"messages": [...]}'),
    ("an unknown key as input", lambda: invoke(flow(), {"input": "hi"}), "given input", '{"messages": [...]}'),
    ("data that is needed and not given", lambda: invoke(flow(data=Needed)), "n: Field required", "\"data\": {'n': ...}"),
    ("data for a workflow without", lambda: invoke(flow(), {**HI, "data": {"n": 1}}), "has no data", "Workflow(..., data="),
    ("a text as the principal", lambda: invoke(flow(), context="ada"), "is a str", "context=Principal(id="),
    ("a principal with an unknown field", lambda: invoke(flow(), context={"id": "ada", "role": "x"}), "unknown fields role", "its fields are"),
    ("a finished workflow", lambda: over().invoke(HI, HERE), "is over: it ended in 'closed'", "another thread_id"),
    ("a state set by hand", lambda: started().update_state(HERE, {"state": "closed"}), "is the truth", "use a command"),
    ("a thread that never began", lambda: flow().compile(in_memory=True).instances.snapshot(HERE), "no workflow instance", "the first run"),
    ("an answer and nothing waits", lambda: started().invoke(Command(resume="approve"), HERE, context=ada), "waits for no answer", "get_state"),
    ("an answer of a wrong shape", lambda: waiting().invoke(Command(resume={"approved": True}), HERE, context=grace), "not an answer", "'approve', 'reject'"),
    ("an answer by the requester", lambda: waiting().invoke(Command(resume="approve"), HERE, context=ada), "ada may not approve", "their own request"),
    ("an answer by nobody", lambda: waiting().invoke(Command(resume="approve"), HERE), "who decides is not known", "context=Principal("),
    ("a wrong approval id", lambda: waiting().instances.decide("apr_1", "approve", by=grace), "no approval 'apr_1'", "instances.approvals()"),
    ("a command without a key", lambda: waiting().instances.propose(HERE, do, {"x": "1"}, principal=ada), "neither a key nor a revision", "Pass key="),
)  # fmt: skip
def test_it_is_said_when_it_is_run(mistake: Mistake) -> None:
    mistake.check()


def guarded(guard: Any) -> Any:
    return lambda: answer(flow(data=Data, edge={"guard": guard}))


def checked(**options: Any) -> Any:
    return lambda: answer(flow(data=Data, edge=options))


def asks(when: Any) -> Any:
    return checked(approval=Approval(when=when))


def no_return(x: str) -> bool:
    """A rule that forgot to return."""


@table(
    ("a guard that raises", guarded(lambda view: view.data.missing > 1), "the guard of the edge open --a.do--> closed raised AttributeError", "must be fixed"),
    ("a guard that answers with a reason", guarded(lambda view: "no because"), "a value of the type str", "return True or False"),
    ("a guard that answers like a check", guarded(lambda view: view.data.n > 1 or "too small"), "a value of the type str", "return True or False"),
    ("a check that raises", checked(check=lambda x: 1 / 0), "raised ZeroDivisionError", "must be fixed"),
    ("a check that answers None", checked(check=no_return), "NoneType", "return True"),
    ("a check that says no", checked(check=lambda x: "there is no order 1"), "cannot be done: there is no order 1", "Nothing was changed"),
    ("a condition that raises", asks(lambda x: int("q") > 1), "raised ValueError", "must be fixed"),
    ("a condition that answers with a text", asks(lambda x: "x is large"), "a value of the type str", "return True or False"),
    ("a condition that forgot to return", asks(no_return), "NoneType", "return True or False"),
)  # fmt: skip
def test_a_rule_that_cannot_be_followed_is_a_denial_that_says_which(mistake: Mistake) -> None:
    mistake.check()


def tool(body: Any, *, kind: str = "transactional", data: Any = None, **options: Any) -> Any:
    def run() -> str:
        made = read("b.do")(body) if kind == "read" else command("b.do", effect=kind, **options)(body)
        where: dict[str, Any] = {"tools": [made], "steps": [call("b.do")]} if kind == "read" else {}
        return answer(flow(do if kind == "read" else made, data=data, **where))

    return run


def writes_in_a_read(ctx: ToolContext) -> int:
    """B."""
    ctx.session.execute(sa.text("create table x(a int)"))
    return 1


def returns_a_text() -> int:
    """B."""
    return "x"  # type: ignore[return-value]


def leaves_a_file(ctx: ToolContext[Loose]) -> str:
    """B."""
    ctx.data.o = object()
    return "x"


def leaves_a_text(ctx: ToolContext[Data]) -> str:
    """B."""
    ctx.data.n = "not an int"  # type: ignore[assignment]
    return "x"


def emits_a_dict(ctx: ToolContext) -> str:
    """B."""
    ctx.emit({"x": 1})  # type: ignore[arg-type]
    return "x"


def emits_in_a_read(ctx: ToolContext) -> str:
    """B."""
    ctx.emit(None)  # type: ignore[arg-type]
    return "x"


def breaks() -> str:
    """B."""
    return {}["x"]


def breaks_before(ctx: ToolContext) -> str:
    """B."""
    with ctx.before_effect():
        return {}["x"]


@table(
    ("a read that writes", tool(writes_in_a_read, kind="read"), "is a read, and it tried to write", "effect='transactional'"),
    ("a read that emits", tool(emits_in_a_read, kind="read"), "a read emits nothing", "declare the tool as a command"),
    ("an output of a wrong type", tool(returns_a_text), "did not leave behind what it promises", "valid integer"),
    ("data that cannot be kept", tool(leaves_a_file, data=Loose), "did not leave behind", "the workflow's data as the tool left it"),
    ("data of a wrong type", tool(leaves_a_text, data=Data), "did not leave behind", "n: Input should be a valid integer"),
    ("an event that is none", tool(emits_a_dict), "ctx.emit was given a dict", "a subclass of interlock.Event"),
    ("a bug in a transaction", tool(breaks), "failed unexpectedly (KeyError)", "Nothing of it was kept"),
    ("a bug before an effect that may happen once", tool(breaks_before, kind="at_most_once"), "(KeyError)", "Nothing of it was kept"),
    ("a bug before an effect that may be repeated", tool(breaks_before, kind="idempotent"), "(KeyError)", "Nothing of it was kept"),
)  # fmt: skip
def test_a_tool_that_breaks_its_contract_is_answered_with_how(mistake: Mistake) -> None:
    mistake.check()


def test_a_bug_in_an_effect_that_may_happen_once_asks_a_person_and_the_log_says_how_it_need_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    (asked,) = invoke(flow(command("b.do")(breaks)))["__interrupt__"]

    assert asked.value["type"] == "outcome_unknown"
    assert "with ctx.before_effect():" in caplog.text


def test_what_raises_after_the_marked_part_is_still_of_unknown_outcome() -> None:
    def body(ctx: ToolContext) -> str:
        """B."""
        with ctx.before_effect():
            address = "Elm Street"
        raise ConnectionError(address)

    (asked,) = invoke(flow(command("b.do")(body)))["__interrupt__"]
    assert asked.value["type"] == "outcome_unknown"


def test_a_marked_failure_that_the_body_swallowed_says_nothing_about_a_later_one() -> None:
    def body(ctx: ToolContext) -> str:
        """B."""
        try:
            with ctx.before_effect():
                {}["x"]
        except KeyError:
            pass
        raise ConnectionError

    (asked,) = invoke(flow(command("b.do")(body)))["__interrupt__"]
    assert asked.value["type"] == "outcome_unknown"


def inside(saver: Any, **options: Any) -> Any:
    parent = StateGraph(MessagesState)
    parent.add_node("w", flow().compile(**options))
    parent.add_edge(START, "w")
    return parent.compile(saver)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[SQLCheckpointer]:
    with SQLCheckpointer(f"sqlite:///{tmp_path / 'kept.db'}") as opened:
        yield opened


def test_a_workflow_in_memory_inside_a_graph_that_is_kept_is_refused_unless_memory_is_meant(
    kept: SQLCheckpointer,
) -> None:
    with pytest.raises(
        InterlockError, match=r"in this process's memory.*workflow_store=WorkflowStore\(url\)"
    ) as refused:
        inside(kept).invoke(HI, HERE)
    assert refused.value.code == "store_in_memory"

    for graph in (
        inside(kept, in_memory=True),
        inside(kept, workflow_store=WorkflowStore(kept.database)),
        inside(InMemorySaver()),
        inside(SQLCheckpointer("sqlite://")),
    ):
        assert graph.invoke(HI, {"configurable": {"thread_id": f"t-{id(graph)}"}})["messages"][-1].type == "tool"


async def test_an_agent_that_could_not_be_resumed_is_refused_where_it_asks_a_person() -> None:
    def agent(**edge: Any) -> Any:
        middleware = flow(edge=edge).as_middleware()
        return create_agent(ScriptedChatModel([call("a.do", x="1")], forever="ok"), [], middleware=[middleware])

    with pytest.raises(
        InterlockError,
        match=r"a.do asks a person, and the agent has no checkpointer.*create_agent\(\.\.\., checkpointer=",
    ) as refused:
        agent(approval=True).invoke(HI, HERE)
    assert refused.value.code == "no_checkpointer"
    with pytest.raises(InterlockError, match="no checkpointer"):
        await agent(approval=True).ainvoke(HI, HERE)

    assert agent().invoke(HI, HERE)["messages"][-1].text == "ok"


def test_memory_that_is_meant_is_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    flow().compile()
    assert "compile(in_memory=True)" in caplog.text

    caplog.clear()
    flow().compile(in_memory=True)
    assert caplog.records == []


def test_nobody_who_proposes_is_said_when_it_is_compiled(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "interlock")
    made = Workflow("w")
    made.add_state("open")
    made.add_edge("open", do, "open")
    made.compile(in_memory=True)

    assert "Give it a model" in caplog.text
