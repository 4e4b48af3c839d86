"""First mistakes around a run: functions that decide, scripts of tests, definitions that changed, agents, and what a tool does with its session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from langchain.agents import create_agent
from langchain_core.tools import tool as langchain_tool
from langgraph.checkpoint.memory import InMemorySaver

from interlock import (
    Approval,
    Principal,
    SQLCheckpointer,
    ToolContext,
    Workflow,
    WorkflowStore,
    command,
)
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import PrincipalError
from tests.first_use.support import HERE, HI, Data, Mistake, answer, do, flow, invoke, table


@langchain_tool
def plain_tool(x: str) -> str:
    """Z."""
    return x


def deciding(decide: Callable[[Any], Any]) -> Callable[[], str]:
    def run() -> str:
        made = Workflow("w").add_state("open", decide=decide).add_state("closed", final=True)
        error = invoke(made.add_edge("open", do, "closed"))["last_result"]["error"]
        return f"{error['code']}: {error['message']}"

    return run


def without_a_thread() -> Any:
    middleware = flow().as_middleware(workflow_store=WorkflowStore.in_memory())
    return create_agent(ScriptedChatModel([call("a.do", x="1")], forever="ok"), [], middleware=[middleware]).invoke(HI)


def runs_out() -> Any:
    made = Workflow("w", model=ScriptedChatModel([])).add_state("open").add_state("closed", final=True)
    return invoke(made.add_edge("open", do, "closed"))


def has_no_session(ctx: ToolContext) -> str:
    """B."""
    with ctx.before_effect():
        ctx.session.execute(sa.text("select 1"))
    return "x"


@table(
    ("a LangChain tool on an edge", lambda: Workflow("w").add_edge("open", plain_tool, "closed"), "the LangChain tool 'plain_tool'", "contract_from_tool(plain_tool"),  # type: ignore[arg-type]
    ("a function that decides on no tool", deciding(lambda view: ("a.dooo", {"x": "1"})), "There is no tool 'a.dooo'", "may be called now: a_do"),
    ("a function that decides with a dict", deciding(lambda view: {"tool": "a.do"}), "a value of the type dict", "it returns (tool, arguments)"),
    ("a function that decides without arguments", deciding(lambda view: ("a.do",)), "a value of the type tuple", "it returns (tool, arguments)"),
    ("a function that raises", deciding(lambda view: 1 / 0), "raised ZeroDivisionError", "must be fixed"),
    ("a script that is too short", runs_out, "The script is used up (0 steps)", "Add a step"),
    ("an agent without a thread", without_a_thread, "without saying which instance is meant", '"thread_id"'),
    ("a session outside the database", lambda: answer(flow(command("b.do")(has_no_session))), "there is no session", "effect='transactional'"),
)  # fmt: skip
def test_it_is_said(mistake: Mistake) -> None:
    mistake.check()


@pytest.fixture
def kept(tmp_path: Path) -> Any:
    with SQLCheckpointer(f"sqlite:///{tmp_path / 'kept.db'}") as opened:
        flow(steps=["hello"]).compile(opened).invoke(HI, HERE)
        yield opened


def other(name: str, state: str, tool: Any, steps: Any = ("hello",)) -> Workflow:
    made = Workflow(name, model=ScriptedChatModel([*steps], forever="ok"))
    return made.add_state(state).add_state("closed", final=True).add_edge(state, tool, "closed")


def test_a_state_that_was_renamed_is_named_with_the_mapping_that_it_takes(kept: SQLCheckpointer) -> None:
    Mistake(
        "a renamed state",
        lambda: other("w", "begin", do).compile(kept).invoke(HI, HERE),
        ("has no state 'open'", "kept as it is", "state_mapping={'open': 'new state'}"),
    ).check()


def test_an_edge_that_was_removed_is_named_with_how_to_say_that_it_is_meant(kept: SQLCheckpointer) -> None:
    changed = command("a.redo", effect="transactional")(do.function)
    Mistake(
        "a removed edge",
        lambda: other("w", "open", changed).compile(kept).invoke(HI, HERE),
        ("changed that state", "no longer has a.do", "state_mapping={'open': 'open'}"),
    ).check()


def test_another_workflow_on_the_same_thread_has_an_instance_of_its_own(kept: SQLCheckpointer) -> None:
    second = other("other", "begin", do).compile(kept)
    assert second.invoke(HI, HERE)["state"] == "begin"
    assert flow(steps=["hello"]).compile(kept).instances.get(HERE).state == "open"


def test_a_tool_that_commits_its_session_commits_nothing(tmp_path: Path) -> None:
    notes = sa.Table("notes", sa.MetaData(), sa.Column("text", sa.String(10)))

    def body(ctx: ToolContext) -> str:
        """B."""
        ctx.session.execute(sa.insert(notes).values(text="kept?"))
        ctx.session.commit()
        raise RuntimeError

    with SQLCheckpointer(f"sqlite:///{tmp_path / 'x.db'}") as checkpointer:
        checkpointer.setup()
        with checkpointer.database.write() as connection:
            notes.create(connection)
        graph = flow(command("b.do", effect="transactional")(body)).compile(checkpointer)
        assert graph.invoke(HI, HERE)["last_result"]["error"]["code"] == "tool_failed"
        with checkpointer.database.read() as connection:
            assert connection.execute(sa.select(notes)).all() == []


def test_an_agent_whose_context_schema_was_forgotten_runs_for_its_principal() -> None:
    store = WorkflowStore.in_memory()
    agent = create_agent(
        ScriptedChatModel([call("a.do", x="1")], forever="ok"),
        [],
        middleware=[flow().as_middleware(workflow_store=store)],
        checkpointer=InMemorySaver(),
    )
    agent.invoke(HI, HERE, context=Principal("ada"))  # type: ignore[call-overload]
    (instance,) = store.instances()
    assert (instance.state, instance.started_by.id) == ("closed", "ada")


def test_a_condition_may_ask_for_the_context_and_the_view() -> None:
    for when in (lambda ctx: ctx.data.n < 1, lambda view: view.data.n < 1, lambda x: x == "1"):
        asked = invoke(flow(data=Data, edge={"approval": Approval(when=when)}), context=Principal("ada"))
        assert asked["__interrupt__"][0].value["type"] == "approval"


async def test_what_outcomes_are_counted_by_is_taken_for_no_principal() -> None:
    instances = flow().compile().instances
    assert instances.outcomes(by=("tool", "approver")) == await instances.aoutcomes(by=("approver",)) == []
    with pytest.raises(PrincipalError, match="does not identify a principal"):
        instances.decide("apr_1", "approve", by=("ada",))  # type: ignore[arg-type]
