"""The middleware beside those that LangChain brings: before it or after it, each does its work and the workflow decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    ClearToolUsesEdit,
    ContextEditingMiddleware,
    ModelCallLimitMiddleware,
    ModelFallbackMiddleware,
    ModelRetryMiddleware,
    PIIMiddleware,
    SummarizationMiddleware,
    TodoListMiddleware,
    ToolCallLimitMiddleware,
    ToolRetryMiddleware,
    wrap_model_call,
)
from langchain.agents.structured_output import ToolStrategy
from langchain_core.messages import ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from pydantic import BaseModel

from interlock import Principal, WorkflowStore
from interlock.checkpointing.store import AuditKind
from interlock.testing import ScriptedChatModel, call
from tests.graphs.agents.test_middleware import ANN, BOB, desk, ran

APPROVE = Command(resume={"decisions": [{"type": "approve"}]})
REFUND = call("order.refund", order_id="1", amount="5")


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    ran.clear()


class Company:
    """An agent with the workflow's middleware among others."""

    def __init__(self, steps: list[Any], company: list[Any], *, first: bool, how: str, **more: Any) -> None:
        self.model = ScriptedChatModel(steps)
        self.store = WorkflowStore.in_memory()
        options = {name: more.pop(name) for name in ("others",) if name in more}
        mine: Any = desk().as_middleware(workflow_store=self.store, **options)
        middleware = [mine, *company] if first else [*company, mine]
        self.graph: Any = create_agent(
            self.model, [], middleware=middleware, checkpointer=InMemorySaver(), context_schema=Principal, **more
        )
        self.config: Any = {"configurable": {"thread_id": "t-1"}}
        self.how = how

    async def run(self, given: Any, by: Principal = ANN) -> Any:
        if self.how == "ainvoke":
            return await self.graph.ainvoke(given, self.config, context=by)
        return self.graph.invoke(given, self.config, context=by)

    async def say(self, text: str = "please") -> Any:
        return await self.run({"messages": [("user", text)]})

    @property
    def kinds(self) -> list[AuditKind]:
        (instance,) = self.store.instances()
        assert self.store.verify(instance.workflow_id) == []
        return [record.kind for record in self.store.audit(instance.workflow_id)]


HOW = pytest.mark.parametrize("how", ["invoke", "ainvoke"])
WHERE = pytest.mark.parametrize("first", [True, False], ids=["outside", "inside"])

OTHERS: dict[str, Callable[[], Any]] = {
    "ModelCallLimit": lambda: ModelCallLimitMiddleware(run_limit=9),
    "ModelRetry": lambda: ModelRetryMiddleware(max_retries=2),
    "ModelFallback": lambda: ModelFallbackMiddleware(ScriptedChatModel([])),
    "ToolCallLimit": lambda: ToolCallLimitMiddleware(run_limit=9),
    "ToolRetry": lambda: ToolRetryMiddleware(max_retries=2),
    "Summarization": lambda: SummarizationMiddleware(
        ScriptedChatModel(forever="A summary."), trigger=("messages", 3), keep=("messages", 1)
    ),
    "ContextEditing": lambda: ContextEditingMiddleware(edits=[ClearToolUsesEdit(trigger=1, keep=0)]),
    "PII": lambda: PIIMiddleware("email", strategy="redact"),
    "TodoList": TodoListMiddleware,
}


@HOW
@WHERE
@pytest.mark.parametrize("other", OTHERS)
async def test_beside_each_of_them_a_case_with_an_approval_is_carried_out_once(
    other: str, first: bool, how: str
) -> None:
    steps = [call("order.get", order_id="1"), call("order.close", order_id="1"), REFUND, "done"]
    agent = Company(steps, [OTHERS[other]()], first=first, how=how)

    asked = await agent.say()
    assert asked["__interrupt__"][0].value["tool"] == "order.refund"
    await agent.run(APPROVE, BOB)

    assert ran == ["get", "refund 5"]
    assert agent.model.offered[0] == ["order_get", "order_refund"]
    assert agent.kinds.count(AuditKind.DENIAL) == 1
    assert agent.kinds.count(AuditKind.TRANSITION) == 1


@HOW
@WHERE
async def test_a_limit_of_tool_calls_ends_the_run_before_the_call_reaches_the_workflow(first: bool, how: str) -> None:
    limit = ToolCallLimitMiddleware(run_limit=1, exit_behavior="continue")
    agent = Company([call("order.get", order_id="1"), REFUND, "done"], [limit], first=first, how=how)

    result = await agent.say()

    assert "__interrupt__" not in result
    assert ran == ["get"]
    assert agent.kinds.count(AuditKind.APPROVAL) == 0


@HOW
async def test_a_tool_that_an_earlier_middleware_removed_is_not_offered(how: str) -> None:
    @wrap_model_call
    def only_reads(request: Any, handler: Any) -> Any:
        return handler(request.override(tools=[tool for tool in request.tools if tool.name == "order_get"]))

    @wrap_model_call
    async def aonly_reads(request: Any, handler: Any) -> Any:
        return await handler(request.override(tools=[tool for tool in request.tools if tool.name == "order_get"]))

    other = aonly_reads if how == "ainvoke" else only_reads
    agent = Company(["hello"], [other], first=False, how=how)

    await agent.say()

    assert agent.model.offered == [["order_get"]]


def test_what_a_middleware_before_it_noted_on_a_tool_stays_on_it_and_the_tool_is_the_workflows() -> None:
    seen: list[Any] = []

    @wrap_model_call
    def later(request: Any, handler: Any) -> Any:
        noted = [
            tool.model_copy(update={"extras": {"defer_loading": True}, "description": "?"}) for tool in request.tools
        ]
        return handler(request.override(tools=noted))

    @wrap_model_call
    def watch(request: Any, handler: Any) -> Any:
        seen.extend(request.tools)
        return handler(request)

    mine: Any = desk().as_middleware()
    graph: Any = create_agent(ScriptedChatModel(["hello"]), [], middleware=[later, mine, watch])
    graph.invoke({"messages": [("user", "x")]}, {"configurable": {"thread_id": "t"}})

    assert [(tool.name, tool.extras, tool.description) for tool in seen] == [
        ("order_get", {"defer_loading": True}, "Look up one order."),
        ("order_refund", {"defer_loading": True}, "Refund an order."),
    ]


@HOW
@WHERE
async def test_tools_of_other_middleware_are_let_through_by_name_and_the_rest_is_not(first: bool, how: str) -> None:
    todos = call("write_todos", todos=[{"content": "refund", "status": "pending"}])
    steps = [todos, call("wipe"), "done"]
    agent = Company(steps, [TodoListMiddleware()], first=first, how=how, others=["write_todos"])

    result = await agent.say()

    assert [set(offered) for offered in agent.model.offered] == [{"order_get", "order_refund", "write_todos"}] * 3
    assert result["todos"] == [{"content": "refund", "status": "pending"}]
    assert [record for record in agent.kinds if record is AuditKind.DENIAL] == [AuditKind.DENIAL]


@HOW
async def test_a_name_given_alone_lets_through_that_tool_and_not_those_with_a_part_of_its_name(how: str) -> None:
    agent = Company([call("write", text="x"), "done"], [], first=True, how=how, others="write_todos")

    await agent.say()

    assert agent.kinds == [AuditKind.STARTED, AuditKind.DENIAL]


@HOW
async def test_an_agent_with_structured_output_answers_in_it(how: str) -> None:
    class Answer(BaseModel):
        """The answer."""

        refunded: bool

    steps = [REFUND, call("Answer", refunded=True)]
    agent = Company(steps, [], first=True, how=how, response_format=ToolStrategy(Answer))

    await agent.say()
    done = await agent.run(APPROVE, BOB)

    assert done["structured_response"] == Answer(refunded=True)
    assert ran == ["refund 5"]


@HOW
@WHERE
async def test_a_middleware_that_makes_answers_of_errors_does_not_take_a_question_for_one(
    first: bool, how: str
) -> None:
    pytest.importorskip("langchain.agents.middleware.tool_error", reason="came with a later LangChain")
    from langchain.agents.middleware import ToolErrorMiddleware

    errors: list[Exception] = []

    def told(error: Exception, request: Any) -> str:
        errors.append(error)
        return "It failed."

    agent = Company([REFUND, "done"], [ToolErrorMiddleware(told)], first=first, how=how)

    assert (await agent.say())["__interrupt__"]
    await agent.run(APPROVE, BOB)

    assert errors == []
    assert ran == ["refund 5"]


@HOW
async def test_a_model_that_is_called_again_after_an_error_is_offered_the_same(how: str) -> None:
    class Broken(Exception):
        pass

    calls: list[Any] = []

    def flaky(messages: Any, offered: Any) -> Any:
        calls.append(offered)
        if len(calls) == 1:
            raise Broken("overloaded")
        return "hello"

    model = ScriptedChatModel(forever=flaky)
    retry = ModelRetryMiddleware(max_retries=1, initial_delay=0.0, jitter=False, retry_on=(Broken,))
    mine: Any = desk().as_middleware()
    graph: Any = create_agent(model, [], middleware=[retry, mine])
    given, config = {"messages": [("user", "x")]}, {"configurable": {"thread_id": "t"}}
    result = await graph.ainvoke(given, config) if how == "ainvoke" else graph.invoke(given, config)

    assert result["messages"][-1].text == "hello"
    assert calls == [["order_get", "order_refund"]] * 2
    assert not [message for message in result["messages"] if isinstance(message, ToolMessage)]
