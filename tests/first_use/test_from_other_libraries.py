"""What somebody tries first who comes from LangGraph or LangChain, or who mistypes: each is answered with its cause and what to write instead."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.prompts import ChatPromptTemplate
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START
from langgraph.types import Command, interrupt
from pydantic import BaseModel

from interlock import (
    Approval,
    Event,
    EventService,
    InterlockError,
    Principal,
    RequireRole,
    SQLCheckpointer,
    ToolContext,
    Workflow,
    WorkflowStore,
    command,
    deliver,
)
from interlock.serving import service
from interlock.testing import ScriptedChatModel, call
from tests.first_use.support import HERE, HI, Mistake, answer, do, flow, get, invoke, table

ada, grace = Principal("ada"), Principal("grace")


class Arrived(Event, name="order.arrived", version=1):
    order_id: str = "W1"


def two_states() -> Workflow:
    made = Workflow("w", model=ScriptedChatModel([]))
    made.add_state("open")
    return made.add_state("closed", final=True)


def edge(source: Any, tool: Any, target: Any) -> Callable[[], Any]:
    return lambda: two_states().add_edge(source, tool, target).compile()


def wait(**options: Any) -> Callable[[], Any]:
    return lambda: two_states().add_edge("open", do, "wait").add_wait("wait", **options).compile()


def called(name: str, *given: Any) -> Callable[[], Any]:
    return lambda: getattr(two_states(), name)(*given)


def compiled(*given: Any, **options: Any) -> Callable[[], Any]:
    return lambda: flow().compile(*given, **options)


def made(**options: Any) -> Callable[[], Any]:
    return lambda: flow(**options)


def opened() -> Any:
    """A context manager of LangGraph's savers before anybody entered it, as `SqliteSaver.from_conn_string(...)` gives it."""
    return contextlib.nullcontext(InMemorySaver())


def no_way_out() -> None:
    made = Workflow("w", model=ScriptedChatModel([]))
    made.add_state("open").add_state("end").add_edge("open", do, "end").compile()


def one_name_for_two() -> None:
    made = Workflow("w", model=ScriptedChatModel([])).add_state("open", tools=[renamed("a.b_c"), renamed("a_b.c")])
    made.add_state("closed", final=True).add_edge("open", do, "closed").compile()


def renamed(name: str) -> Any:
    def body(y: int) -> str:
        """B."""
        return str(y)

    return command(name)(body)


@table(
    ("add_node", called("add_node", "open", print), "has no add_node", "add_state(name, model=...)", "decide=", "node="),
    ("add_conditional_edges", called("add_conditional_edges", "open", print), "has no add_conditional_edges", "guard=..."),
    ("add_edges", called("add_edges", [("open", do, "closed")]), "has no add_edges", "add_edge(source, tool, target)"),
    ("set_entry_point", called("set_entry_point", "open"), "has no set_entry_point", "added first"),
    ("set_finish_point", called("set_finish_point", "closed"), "has no set_finish_point", "final=True"),
    ("bind_tools", called("bind_tools", [do]), "has no bind_tools", "tools=[...]"),
    ("a run of what is not compiled", called("invoke", HI, HERE), "has no invoke", "workflow.compile()"),
    ("an event for what is not compiled", lambda: deliver(Arrived(), flow(), workflow_id="w"), "has no engine", "workflow.compile()"),  # type: ignore[arg-type]
    ("a service of what is not compiled", lambda: service(flow()), "not a compiled workflow", "compile it first"),  # type: ignore[arg-type]
    ("a bus for what is not compiled", lambda: EventService(flow()), "has no engine", "workflow.compile()"),  # type: ignore[arg-type]
    ("LangGraph's END", edge("open", do, END), "the state '__end__'", "END is not a state here", "final=True"),
    ("LangGraph's START", edge(START, do, "open"), "the state '__start__'", "START is not a state here", "added first"),
    ("source, target, tool", edge("open", "closed", do), "given 'closed' as a tool", "add_edge(source, tool, target)"),
    ("several targets", edge("open", do, ["closed"]), "the target ['closed']", "one edge for each"),
    ("several sources", edge(("open", "closed"), do, "closed"), "the source ('open', 'closed')", "one edge for each"),
    ("several tools", edge("open", [do, get], "closed"), "as a tool", "add_edge(source, tool, target)"),
    ("a mistyped source", edge("opne", do, "closed"), "the state 'opne'", "Did you mean 'open'?", "add_state('opne')"),
    ("a mistyped target", edge("open", do, "close"), "the state 'close'", "Did you mean 'closed'?"),
    ("a mistyped end of a wait", wait(for_event=Arrived, then="clsed"), "leads to the state 'clsed'", "Did you mean 'closed'?"),
    ("a mistyped state mapping", lambda: flow(state_mapping={"old": "opn"}).compile(), "leads from 'old' to the state 'opn'", "Did you mean 'open'?"),
    ("a tuple as a state", lambda: Workflow("w").add_state(("a", "b")), "('a', 'b') cannot be the name", "a letter, then"),  # type: ignore[arg-type]
    ("a state with a space", lambda: Workflow("w").add_state("my state"), "'my state' cannot be the name", "hyphens"),
    ("no way out and not final", no_way_out, "has no way out", "final=True"),
    ("an event by its name", wait(for_event="order.arrived", then="closed"), "for_event='order.arrived'", "the class of the event"),
    ("a wait for nothing", wait(), "waits for nothing", "for_event="),
    ("a deadline that leads nowhere", wait(within="2h"), "without a state that follows", "on_timeout="),
    ("a guard that is no function", lambda: flow(edge={"guard": "n > 1"}).compile(), "'n > 1'; give a function", "True or False"),
    ("a guard without a parameter", lambda: flow(edge={"guard": lambda: True}).compile(), "cannot be called with one argument", "the view"),
    ("hours in words", lambda: Approval(within="2 hours"), "'2 hours' is not a duration", "'24h'"),
    ("two roles", lambda: Approval(role=["a", "b"]), "role=['a', 'b']", "the name of a role"),  # type: ignore[arg-type]
    ("an edit of no parameter", lambda: flow(edge={"approval": Approval(edit=["y"])}).compile(), "lets y be edited", "they are x"),
    ("a policy alone", made(policies=RequireRole("clerk", [do])), "RequireRole alone", "policies=[...]"),
    ("a function as a policy", lambda: flow(policies=[print]).compile(), "A policy of the workflow 'w' is", "objects of Policy classes"),
    ("a number as limits", made(limits=20), "limits=20", "Limits(calls=20)"),
    ("a prompt of two parameters", made(prompt=lambda state, config: "Be brief."), "cannot be called with the view alone", "a function of the view"),
    ("a prompt template", made(prompt=ChatPromptTemplate.from_messages([("system", "Be brief.")])), "of the type ChatPromptTemplate", "Give a text"),
    ("a claim in words", lambda: flow().claims("never refund"), "'never refund' is not a claim", "never(...)"),  # type: ignore[arg-type]
    ("a checkpointer's class", compiled(InMemorySaver), "is the class", "InMemorySaver(...)"),
    ("a checkpointer that nobody opened", compiled(opened()), "a context manager", "as checkpointer:"),
    ("a saver without a store", compiled(InMemorySaver()), "without a workflow store", "WorkflowStore(url)"),
    ("a store as the checkpointer", compiled(WorkflowStore.in_memory()), "a workflow store", "compile(workflow_store=...)"),
    ("a store by URL", compiled(workflow_store="sqlite:///x.db"), "as its workflow store", "WorkflowStore('sqlite:///desk.db')"),
    ("a checkpointer as the store", compiled(workflow_store=InMemorySaver()), "as its workflow store", "compile(checkpointer)"),
    ("an option of the workflow", compiled(mode="dry_run"), "compiled with mode", "Workflow(...)"),
    ("two tools of one name for the model", one_name_for_two, "would both be 'a_b_c'", "wire_name="),
)  # fmt: skip
def test_it_is_said_when_it_is_built(mistake: Mistake) -> None:
    mistake.check()


def tool(body: Any, **options: Any) -> Callable[[], Any]:
    return lambda: command("b.do", **options)(body)


def without_type(x: str, ctx) -> str:
    """B."""
    return x


def returns_nothing(x: str) -> None:
    """B."""


def any_arguments(*arguments: str) -> str:
    """B."""
    return ""


def any_keywords(**arguments: str) -> str:
    """B."""
    return ""


def anything(x: Any) -> str:
    """B."""
    return ""


def goes_there(x: str) -> Command[Any]:
    """B."""
    return Command(goto="closed")


def with_state(state: Any, x: str) -> str:
    """B."""
    return x


def good(x: str) -> str:
    """B."""
    return x


@table(
    ("a context without its type", tool(without_type), "'ctx' without an annotation", "ctx: ToolContext"),
    ("nothing returned", tool(returns_nothing), "returns nothing", "return what happened"),
    ("any arguments", tool(any_arguments), "*arguments", "name each parameter"),
    ("any keywords", tool(any_keywords), "**arguments", "name each parameter"),
    ("a parameter that is anything", tool(anything), "tells the model nothing", "pydantic.JsonValue"),
    ("a Command returned", tool(goes_there), "returns LangGraph's Command", "return plain data"),
    ("retries as a number", tool(good, effect="idempotent", retry=3), "retry=3", "RetryPolicy"),
    ("seconds in words", tool(good, timeout="5s"), "timeout='5s'", "a timedelta"),
    ("one sensitive name", tool(good, sensitive="x"), "sensitive='x'", "['x']"),
    ("a mistyped sensitive name", tool(good, sensitive=["y"]), "marks 'y' as sensitive", "known are x"),
    ("a tool that is invoked", lambda: do.invoke({"x": "1"}), "A ToolContract has no invoke", "Call it like its function", "as_tool()"),  # type: ignore[attr-defined]
    ("an event in capitals", lambda: type("E", (Event,), {}, name="OrderArrived", version=1), "'OrderArrived'", "lower-case words"),
)  # fmt: skip
def test_it_is_said_when_a_tool_is_defined(mistake: Mistake) -> None:
    mistake.check()


def test_langchains_injected_parameters_are_refused_each_with_what_is_there_instead() -> None:
    from langchain.tools import ToolRuntime
    from langchain_core.runnables import RunnableConfig
    from langgraph.prebuilt import InjectedState

    for annotation, instead in ((ToolRuntime, "ctx: ToolContext"), (RunnableConfig, "get_config()"), (InjectedState, "ctx.state")):  # fmt: skip
        with_state.__annotations__["state"] = annotation
        with pytest.raises(InterlockError, match="receives only the model's arguments") as refused:
            command("b.do")(with_state)
        assert instead in refused.value.message


def waiting() -> Any:
    graph = flow(edge={"approval": True}).compile(in_memory=True)
    asked = graph.invoke(HI, HERE, context=ada)["__interrupt__"][0].value
    return graph, asked["approvalId"]


def instances(act: Callable[[Any, str], Any]) -> Callable[[], Any]:
    def run() -> Any:
        graph, approval = waiting()
        return act(graph.instances, approval)

    return run


def resumed(answer: Any) -> Callable[[], Any]:
    return lambda: waiting()[0].invoke(Command(resume=answer), HERE, context=grace)


@table(
    ("a model that takes no tools", lambda: invoke(flow_with(FakeListChatModel(responses=["hi"]))), "does not implement bind_tools", "use a chat model"),
    ("a state that is gone to by hand", lambda: waiting()[0].invoke(Command(goto="closed"), HERE, context=ada), "moved by its tools", "Command(resume=...)"),
    ("a word that is no answer", resumed("approved"), "not an answer", "'approve', 'reject'"),
    ("a decision that is none", instances(lambda some, asked: some.decide(asked, "yes", by=grace)), "not an answer", "'approve', 'reject'"),
    ("somebody by their name", instances(lambda some, asked: some.decide(asked, "approve", by="grace")), "by= is 'grace'", "by=Principal(id=...)"),
    ("a decision by nobody", instances(lambda some, asked: some.decide(asked, "approve", by=None)), "by= is of the type NoneType", "by=Principal(id=...)"),
    ("a thread in place of an approval", instances(lambda some, _: some.decide(HERE, "approve", by=grace)), "approval_id is of the type dict", "`approvalId`"),
    ("a request in place of its ID", instances(lambda some, asked: some.card(some.approval(asked), by=grace)), "approval_id is of the type dict", "pass the ID"),
    ("a thread's ID in place of an instance's", instances(lambda some, _: some.snapshot("t")), "no workflow instance 't'", "{'configurable': {'thread_id': 't'}}"),
    ("nothing in place of an instance", instances(lambda some, _: some.snapshot(None)), "which is of the type NoneType", '"thread_id"'),
    ("a proposal by a name", instances(lambda some, _: some.propose(HERE, do, {"x": "1"}, principal="ada", key="k")), "principal= is 'ada'", "Principal(id=...)"),
    ("a start by a name", instances(lambda some, _: some.start(principal="ada")), "principal= is 'ada'", "Principal(id=...)"),
    ("arguments as text", instances(lambda some, _: some.propose(HERE, do, '{"x": "1"}', principal=ada, key="k")), "arguments is of the type str", "pass a dict"),
    ("an event for nobody", instances(lambda some, _: deliver(Arrived(), some._graph)), "without saying which instance", "workflow_id="),
    ("messages that are none", lambda: invoke(flow(), {"messages": [{"role": "usr", "content": "hi"}]}), "messages cannot be read", '("user", "hello")'),
    ("data on a second run", lambda: twice({**HI, "data": {"n": 1}}), "data can only be passed at the start", "change data through tools"),
    ("an empty thread", lambda: invoke(flow(), config={"configurable": {"thread_id": ""}}), "without a thread", '"thread_id"'),
    ("a run that never began is resumed", lambda: invoke(flow(), None), "no workflow instance", "check the thread"),
)  # fmt: skip
def test_it_is_said_when_it_is_used(mistake: Mistake) -> None:
    mistake.check()


def flow_with(model: Any) -> Workflow:
    made = Workflow("w", model=model)
    made.add_state("open")
    made.add_state("closed", final=True)
    return made.add_edge("open", do, "closed")


class Data(BaseModel):
    n: int = 0


def twice(given: Any) -> Any:
    graph = flow(steps=["hello", "again"], data=Data).compile(in_memory=True)
    graph.invoke({**HI, "data": {"n": 2}}, HERE)
    return graph.invoke(given, HERE)


async def test_the_asynchronous_forms_refuse_the_same() -> None:
    graph, approval = waiting()
    with pytest.raises(InterlockError, match="by= is 'grace'"):
        await graph.instances.adecide(approval, "approve", by="grace")
    with pytest.raises(InterlockError, match="which is of the type int"):
        await graph.instances.asnapshot(7)
    assert asyncio.iscoroutinefunction(graph.instances.adecide)


def forgot_await() -> str:
    """B."""

    async def look_up() -> str:
        return "x"

    found: Any = look_up()
    found.close()
    return found  # type: ignore[no-any-return]


def asks_inside() -> str:
    """B."""
    return str(interrupt("May I?"))


def sets_what_is_not_there(ctx: ToolContext[Data]) -> str:
    """B."""
    ctx.data.m = 1  # type: ignore[attr-defined]
    return "x"


def body(function: Any, **options: Any) -> Callable[[], Any]:
    return lambda: answer(flow(command("b.do", effect="transactional")(function), **options))


@table(
    ("a forgotten await", body(forgot_await), "did not leave behind what it promises", "valid string"),
    ("interrupt() in a tool", body(asks_inside), "called interrupt() in its body", "approval= on its edge"),
    ("a field that the data does not have", body(sets_what_is_not_there, data=Data), "(ValueError)", "Nothing of it was kept"),
)  # fmt: skip
def test_a_tool_that_does_what_it_cannot_is_answered(mistake: Mistake) -> None:
    mistake.check()


def test_the_log_says_how_a_tool_says_no(caplog: pytest.LogCaptureFixture) -> None:
    def look_up() -> str:
        """B."""
        raise ValueError("there is no such order")

    assert "failed unexpectedly (ValueError)" in body(look_up)()
    assert "raises interlock.Refused(reason)" in caplog.text


def test_names_that_nobody_has_stay_attribute_errors() -> None:
    assert not hasattr(flow(), "nothing")
    assert not hasattr(do, "nothing")
    with pytest.raises(AttributeError, match="'Workflow' object has no attribute 'nothing'"):
        flow().nothing  # type: ignore[attr-defined]  # noqa: B018
    assert not hasattr(flow(), "add_node"), "what asks with hasattr is told no as well"


def test_what_looks_like_a_mistake_and_works(tmp_path: Any) -> None:
    async def slow(x: str) -> str:
        """B."""
        return x

    asynchronous = command("b.do", effect="transactional")(slow)
    assert invoke(flow(asynchronous))["state"] == "closed", "an async tool in a synchronous run"
    assert asyncio.run(flow().compile(in_memory=True).ainvoke(HI, HERE))["state"] == "closed", "and the other way round"

    graph, approval = waiting()
    graph.instances.card(approval, by=grace).approve()
    assert graph.instances.get(HERE).state == "closed", "a decision from a card runs the thread"

    url = f"sqlite+aiosqlite:///{tmp_path / 'x.db'}"
    with SQLCheckpointer(url) as checkpointer:
        assert flow().compile(checkpointer).invoke(HI, HERE)["state"] == "closed", "an async driver, and no setup()"

    asked = flow(edge={"approval": True}, steps=[call("a.do", x="1"), "What?"]).compile(in_memory=True)
    asked.invoke(HI, HERE, context=ada)
    assert asked.invoke(HI, HERE, context=ada)["__interrupt__"], "a message while an approval waits leaves it waiting"

    snake = flow(command("c.do", effect="transactional")(in_snake_case), steps=[call("c.do", order_id="1")])
    assert invoke(snake)["state"] == "closed", "arguments in snake_case"


def in_snake_case(order_id: str) -> str:
    """B."""
    return order_id
