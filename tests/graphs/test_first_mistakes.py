"""What a newcomer gets wrong first, and what they are told: what happened, where it stands, what to do."""

import logging
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.tools import tool
from langgraph.types import Command
from pydantic import BaseModel, ConfigDict

from interlock import Principal, ToolContext, Workflow, command, read
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import ContractError, InputError, InterlockError, RunError, WorkflowDefinitionError


@read("order.get")
def get_order(order_id: str) -> str:
    """Look up one order."""
    return "paid"


@command("order.refund", effect="transactional")
def refund(order_id: str) -> str:
    """Refund an order."""
    return "refunded"


def desk(model: Any = None, **edge: Any) -> Workflow:
    workflow = Workflow("desk", model=model)
    workflow.add_state("open", tools=[get_order])
    workflow.add_state("closed", final=True)
    return workflow.add_edge("open", refund, "closed", **edge)


SAID: Any = {"messages": [("user", "please")]}
HERE: Any = {"configurable": {"thread_id": "t-1"}}


def told(error: type[InterlockError], mistake: Any, *says: str) -> None:
    with pytest.raises(error) as raised:
        mistake()
    for words in says:
        assert words in raised.value.message
    assert "\n" not in raised.value.message


# Building


def test_the_final_state_added_first() -> None:
    workflow = Workflow("desk").add_state("closed", final=True).add_state("open").add_edge("open", refund, "closed")
    told(
        WorkflowDefinitionError, workflow.definition, "would start in 'closed'", "Add the state that it starts in first"
    )


def test_edges_may_be_added_before_their_states() -> None:
    workflow = Workflow("desk").add_edge("open", refund, "closed").add_state("open").add_state("closed", final=True)
    assert workflow.definition().initial == "open"


def test_adding_an_edge_twice_is_refused() -> None:
    told(
        WorkflowDefinitionError,
        desk().add_edge("open", refund, "closed").definition,
        "leads from 'open' to 'closed' 2 times",
        "Keep one",
    )


def test_a_tool_of_an_edge_that_is_also_in_tools_is_refused() -> None:
    workflow = Workflow("desk").add_state("open", tools=[refund]).add_state("closed", final=True)
    workflow.add_edge("open", refund, "closed")
    told(
        WorkflowDefinitionError,
        workflow.definition,
        "remove it from the tools of 'open' if it should only lead to another state",
    )


@pytest.mark.parametrize("alone", [get_order, "order.get"])
def test_one_tool_in_place_of_a_list(alone: Any) -> None:
    told(
        WorkflowDefinitionError,
        lambda: Workflow("desk").add_state("open", tools=alone),
        "order.get alone",
        "tools=[...]",
    )


def plain(order_id: str) -> str:
    """A function that nobody decorated."""
    return order_id


@tool
def search(text: str) -> str:
    """Search."""
    return text


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (plain, ["the function 'plain'", '@read("some.name")']),
        (search, ["the LangChain tool 'search'", 'contract_from_tool(search, kind="read")']),
        ("order.get", ["is given 'order.get' as a tool", "add_edge(source, tool, target)"]),
    ],
)
def test_something_else_in_place_of_a_contract(given: Any, says: list[str]) -> None:
    told(WorkflowDefinitionError, lambda: Workflow("desk").add_state("open", tools=[given]), *says)


class Data(BaseModel):
    amount: int = 0


@pytest.mark.parametrize("given", [dict, Data(), {"amount": 1}])
def test_data_that_is_no_model_class(given: Any) -> None:
    told(WorkflowDefinitionError, lambda: Workflow("desk", data=given), "give the class of its data", '"data": {...}')


def test_data_that_cannot_be_kept() -> None:
    class Connection:
        pass

    class Session(BaseModel):
        model_config = ConfigDict(arbitrary_types_allowed=True)
        connection: Connection | None = None

    workflow = Workflow("desk", data=Session).add_state("open").add_state("closed", final=True)
    workflow.add_edge("open", refund, "closed")
    told(WorkflowDefinitionError, workflow.definition, "Session, cannot be kept as JSON", "belong to the application")


class Anything(BaseModel):
    what: Any = None


def anything(tool: Any) -> Workflow:
    workflow = Workflow("desk", data=Anything, model=ScriptedChatModel([call("order.put"), "done"]))
    return workflow.add_state("open").add_state("closed", final=True).add_edge("open", tool, "closed")


@command("order.put", effect="transactional")
def put(ctx: ToolContext[Anything]) -> str:
    """Put something into the data."""
    ctx.data.what = object()
    return "put"


def test_data_with_something_in_it_that_cannot_be_kept() -> None:
    graph = anything(put).compile()
    started: Any = {**SAID, "data": {"what": object()}}
    told(InputError, lambda: graph.invoke(started, HERE), "cannot be kept as JSON", "Nothing was started")
    assert graph.engine.store.instances() == []


def test_a_tool_that_puts_something_into_the_data_that_cannot_be_kept(caplog: pytest.LogCaptureFixture) -> None:
    graph = anything(put).compile()
    output = graph.invoke(SAID, HERE)
    assert (output["state"], output["last_result"]["error"]["code"]) == ("open", "invalid_output")
    assert "the workflow's data as the tool left it cannot be kept as JSON" in caplog.text


def test_a_tool_whose_result_cannot_be_written() -> None:
    class Cursor:
        pass

    def look(order_id: str) -> Cursor:
        """Look."""
        return Cursor()

    told(
        ContractError,
        lambda: read("order.look")(look),
        "no JSON Schema can describe",
        "return plain data or a pydantic model",
    )


# Models


def test_a_class_in_place_of_a_model() -> None:
    told(WorkflowDefinitionError, lambda: Workflow("desk", model=ScriptedChatModel), "ScriptedChatModel(...)")  # type: ignore[arg-type]


def test_a_function_in_place_of_a_model() -> None:
    told(WorkflowDefinitionError, lambda: Workflow("desk", model=print), "takes no tools", "decide=")  # type: ignore[arg-type]


def test_a_model_with_fallbacks_is_a_model() -> None:
    class Down(ScriptedChatModel):
        def _generate(self, *args: Any, **kwargs: Any) -> Any:
            raise ConnectionError("down")

    spare = ScriptedChatModel([call("order.refund", orderId="1")])
    model: Any = Down([]).with_fallbacks([spare])
    assert not isinstance(model, BaseChatModel)

    assert desk(model).compile().invoke(SAID, HERE)["state"] == "closed"
    assert spare.offered == [["order_get", "order_refund"]]


def test_a_model_whose_key_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("langchain_openai", reason="langchain-openai is not installed")
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY"):
        monkeypatch.delenv(name, raising=False)
    graph = desk("openai:gpt-5").compile()
    told(
        RunError,
        lambda: graph.invoke(SAID, HERE),
        "'openai:gpt-5' could not be made",
        "OPENAI_API_KEY",
        "Nothing was done",
    )


def test_a_model_of_nobodys() -> None:
    graph = desk("nobody").compile()
    told(RunError, lambda: graph.invoke(SAID, HERE), "'nobody' could not be made", "'openai:gpt-5'")


def test_no_model_at_all_is_said_when_it_is_compiled(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "interlock"):
        desk().compile()
    assert "nobody" not in caplog.text
    assert "No state of the workflow 'desk' has anybody who proposes" in caplog.text
    assert "Workflow(..., model=...)" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING, "interlock"):
        desk(ScriptedChatModel([])).compile()
    assert "proposes" not in caplog.text


# Compiling and running


@pytest.mark.parametrize("given", ["sqlite:///desk.db", True])
def test_something_else_in_place_of_a_checkpointer(given: Any) -> None:
    told(
        WorkflowDefinitionError,
        lambda: desk().compile(given),
        f"with {given!r} as its checkpointer",
        "SQLCheckpointer(",
    )


def test_an_instance_looked_at_before_its_first_run() -> None:
    graph = desk().compile()
    for look in (graph.instances.snapshot, graph.instances.picture, graph.instances.timeline):
        told(
            InputError,
            lambda look=look: look(HERE),
            "in this process's memory",
            "begins with the first run of its thread",
        )


def test_an_approval_answered_twice() -> None:
    graph = desk(ScriptedChatModel([call("order.refund", orderId="1")]), approval=True).compile()
    asked = graph.invoke(SAID, HERE, context=Principal("ann"))["__interrupt__"][0].value
    card = graph.instances.card(asked["approvalId"], by=Principal("bob"))
    card.approve()
    told(InterlockError, card.approve, "is already used", "Nothing was changed", "instances.approval(id)")
    again = Command(resume="approve")
    told(
        InterlockError,
        lambda: graph.invoke(again, HERE, context=Principal("bob")),
        "waits for no answer",
        "may have been answered already",
    )


def test_a_card_of_an_approval_that_is_not_there() -> None:
    told(
        InputError,
        lambda: desk().compile().instances.card("apr_x", by=Principal("bob")),
        "no approval 'apr_x'",
        "graph.instances.approvals()",
    )
