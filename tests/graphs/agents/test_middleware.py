"""A workflow as a middleware of `create_agent`: the agent's loop stays LangChain's, and the workflow decides."""

import json
from decimal import Decimal
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware, ToolRetryMiddleware
from langchain_core.messages import ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from pydantic import BaseModel

from interlock import Approval, Principal, Workflow, WorkflowStore, command, read
from interlock.testing import ScriptedChatModel, call
from interlock.tools.ids import derive

ANN, BOB = Principal("ann"), Principal("bob", roles=frozenset({"supervisor"}))


class Done(BaseModel):
    order_id: str


class Orders(BaseModel):
    refunds: int = 0


ran: list[str] = []


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    ran.clear()


@read("order.get")
def get_order(order_id: str) -> Done:
    """Look up one order."""
    ran.append("get")
    return Done(order_id=order_id)


@command("order.refund", effect="transactional")
def refund(order_id: str, amount: Decimal) -> Done:
    """Refund an order."""
    ran.append(f"refund {amount}")
    return Done(order_id=order_id)


@command("order.close", effect="transactional")
def close(order_id: str) -> Done:
    """Close an order."""
    ran.append("close")
    return Done(order_id=order_id)


def desk() -> Workflow:
    workflow = Workflow("desk", data=Orders)
    workflow.add_state("open", tools=[get_order])
    workflow.add_state("refunded", tools=[get_order])
    workflow.add_state("closed", final=True)
    workflow.add_edge("open", refund, "refunded", approval=Approval(role="supervisor"))
    workflow.add_edge("refunded", close, "closed")
    return workflow


class Agent:
    """An agent with the middleware, and a way to run it each way."""

    def __init__(self, steps: list[Any], how: str, *, more: Any = (), **options: Any) -> None:
        self.model = ScriptedChatModel(steps)
        self.store = WorkflowStore.in_memory()
        self.how = how
        self.graph = create_agent(
            self.model,
            [close.as_tool(), refund.as_tool()],
            middleware=[*more, desk().as_middleware(workflow_store=self.store, **options)],
            checkpointer=InMemorySaver(),
            context_schema=Principal,
        )
        self.config: Any = {"configurable": {"thread_id": "t-1"}}
        self.workflow_id = derive("wf", "desk", "t-1", [])

    async def run(self, given: Any, by: Principal = ANN) -> Any:
        if self.how == "ainvoke":
            return await self.graph.ainvoke(given, self.config, context=by)
        return self.graph.invoke(given, self.config, context=by)

    async def say(self, text: str = "please") -> Any:
        return await self.run({"messages": [("user", text)]})

    def told(self, result: Any) -> list[dict[str, Any]]:
        return [json.loads(one.content) for one in result["messages"] if isinstance(one, ToolMessage)]


HOW = pytest.mark.parametrize("how", ["invoke", "ainvoke"])


@HOW
async def test_the_model_is_offered_what_the_edges_allow_and_nothing_else(how: str) -> None:
    agent = Agent([call("order.get", order_id="1"), call("order.refund", order_id="1", amount="5"), "done"], how)

    await agent.say()
    await agent.run(Command(resume={"decisions": [{"type": "approve"}]}), BOB)

    assert agent.model.offered == [
        ["order_get", "order_refund"],
        ["order_get", "order_refund"],
        ["order_get", "order_close"],
    ]


@HOW
async def test_a_call_that_is_not_allowed_is_denied_recorded_and_does_not_run(how: str) -> None:
    agent = Agent([call("order.close", order_id="1"), "sorry"], how)

    result = await agent.say()

    (denial,) = agent.told(result)
    assert denial["error"]["code"] == "tool_not_allowed"
    assert ran == []
    assert [record.kind.value for record in agent.store.audit(agent.workflow_id)] == ["started", "denial"]


@HOW
async def test_an_approval_is_asked_for_decided_by_its_role_and_used_once(how: str) -> None:
    agent = Agent([call("order.refund", order_id="1", amount="5"), "done"], how)

    asked = await agent.say()
    assert asked["__interrupt__"][0].value["tool"] == "order.refund"
    again = await agent.run(Command(resume={"type": "approve"}), ANN)
    assert "nobody approves their own request" in again["__interrupt__"][0].value["problem"]
    assert ran == []
    done = await agent.run(Command(resume={"type": "approve"}), BOB)

    assert ran == ["refund 5"]
    assert agent.told(done)[0]["currentState"] == "refunded"
    assert agent.store.get(agent.workflow_id).state == "refunded"
    assert agent.store.verify(agent.workflow_id) == []


@HOW
async def test_a_rejected_call_does_not_run_and_the_model_is_told_why(how: str) -> None:
    agent = Agent([call("order.refund", order_id="1", amount="5"), "ok"], how)

    await agent.say()
    done = await agent.run(Command(resume={"type": "reject", "message": "too much"}), BOB)

    assert ran == []
    assert "too much" in agent.told(done)[0]["error"]["message"]


@HOW
async def test_the_first_of_several_moving_calls_in_one_message_is_executed(how: str) -> None:
    two = [call("order.refund", order_id="1", amount="5"), call("order.refund", order_id="2", amount="6")]
    agent = Agent([two, "done"], how)

    await agent.say()
    done = await agent.run(Command(resume={"type": "approve"}), BOB)

    assert ran == ["refund 5"]
    first, second = agent.told(done)
    assert first["ok"]
    assert (second["error"]["code"], second["error"]["retryable"]) == ("conflict", True)


@HOW
async def test_a_tool_that_the_workflow_does_not_know_is_neither_offered_nor_run_unless_it_is_let_through(
    how: str,
) -> None:
    @tool
    def wipe() -> str:
        """Wipe everything."""
        ran.append("wipe")
        return "gone"

    for others, expected in ((False, []), (True, ["wipe"])):
        model = ScriptedChatModel([call("wipe"), "done"])
        graph = create_agent(
            model, [wipe], middleware=[desk().as_middleware(others=others)], checkpointer=InMemorySaver()
        )
        config: Any = {"configurable": {"thread_id": "t-1"}}
        given: Any = {"messages": [("user", "x")]}
        await graph.ainvoke(given, config) if how == "ainvoke" else graph.invoke(given, config)
        assert ran == expected
        assert ("wipe" in model.offered[0]) is others


@HOW
@pytest.mark.parametrize("outside", [True, False])
async def test_it_lives_with_langchains_own_approval_in_either_order(how: str, outside: bool) -> None:
    human: Any = HumanInTheLoopMiddleware(interrupt_on={"order_refund": True})
    workflow = desk()
    store = WorkflowStore.in_memory()
    mine: Any = workflow.as_middleware(workflow_store=store)
    model = ScriptedChatModel([call("order.refund", order_id="1", amount="5"), "done"])
    graph: Any = create_agent(
        model,
        [],
        middleware=[human, mine] if outside else [mine, human],
        checkpointer=InMemorySaver(),
        context_schema=Principal,
    )
    config: Any = {"configurable": {"thread_id": "t-1"}}

    async def run(given: Any, by: Principal) -> Any:
        if how == "ainvoke":
            return await graph.ainvoke(given, config, context=by)
        return graph.invoke(given, config, context=by)

    await run({"messages": [("user", "please")]}, ANN)
    asked = await run(Command(resume={"decisions": [{"type": "approve"}]}), BOB)
    assert asked["__interrupt__"][0].value["type"] == "approval"
    assert ran == []
    await run(Command(resume={"decisions": [{"type": "approve"}]}), BOB)
    assert ran == ["refund 5"]


@HOW
async def test_a_retrying_middleware_around_it_runs_nothing_twice(how: str) -> None:
    agent = Agent(
        [call("order.refund", order_id="1", amount="5"), "done"], how, more=[ToolRetryMiddleware(max_retries=3)]
    )

    await agent.say()
    await agent.run(Command(resume={"type": "approve"}), BOB)

    assert ran == ["refund 5"]


@HOW
async def test_an_instance_begins_with_the_data_it_is_given(how: str) -> None:
    agent = Agent(["hello"], how, initial_data=lambda state: {"refunds": len(state["messages"])})

    await agent.say()

    assert agent.store.get(agent.workflow_id).data == {"refunds": 1}
