"""Models as applications bind them: their options reach the provider, and nothing that they were given is lost in silence."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import ConfigurableField, RunnableBinding, RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

from interlock import Principal, Workflow, WorkflowStore, command, read
from interlock.nodes.model_binding import StraightBinding, straight
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import WorkflowDefinitionError

ANN = Principal("ann")
SEARCH = {"type": "web_search"}
ran: list[Any] = []


class Line(BaseModel):
    sku: str
    note: str | None = None
    pieces: int = 1


@read("stock.get")
def stock(sku: str, place: str = "shop", depth: int | None = None) -> str:
    """Look at the stock."""
    ran.append((sku, place, depth))
    return sku


@command("order.place", effect="transactional")
def place_order(lines: list[Line]) -> str:
    """Order."""
    ran.append([line.model_dump() for line in lines])
    return "ordered"


@command("shop.close", effect="transactional")
def close() -> str:
    """Close."""
    return "closed"


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    ran.clear()


def ask(model: Any, *, tools: Any = (stock,), **state: Any) -> Any:
    workflow = Workflow("shop", model=model)
    workflow.add_state("open", tools=tools, **state)
    workflow.add_state("end", final=True)
    workflow.add_edge("open", close, "end", guard=lambda view: bool(tools))
    graph = workflow.compile()
    out = graph.invoke({"messages": [("user", "x")]}, {"configurable": {"thread_id": "1"}}, context=ANN)
    return graph, out


OPTIONS = {"parallel_tool_calls": False, "temperature": 0, "stop": ["X"]}
WAYS: dict[str, Any] = {
    "bind": lambda model: model.bind(**OPTIONS),
    "bound twice": lambda model: model.bind(temperature=1, stop=["X"]).bind(parallel_tool_calls=False, temperature=0),
    "with tags": lambda model: model.bind(**OPTIONS).with_config(tags=["t"]),
    "with retries": lambda model: model.bind(**OPTIONS).with_retry(),
    "retries inside": lambda model: model.with_retry().bind(**OPTIONS),
    "with fallbacks": lambda model: model.bind(**OPTIONS).with_fallbacks([ScriptedChatModel(["never"])]),
    "with alternatives": lambda model: model.bind(**OPTIONS).configurable_alternatives(
        ConfigurableField("llm"), other=ScriptedChatModel(["never"])
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_was_bound_to_a_model_comes_with_each_request(way: str) -> None:
    model = ScriptedChatModel(["hello"])

    ask(WAYS[way](model))

    (request,) = model.requests
    assert request.options == OPTIONS
    assert request.offered == ["stock_get", "shop_close"]


def test_a_fallback_is_offered_the_tools_and_keeps_its_own_options() -> None:
    class Broken(ScriptedChatModel):
        def _generate(self, *_: Any, **__: Any) -> Any:
            raise ValueError("down")

    other = ScriptedChatModel(["hello"])

    ask(Broken().with_fallbacks([other.bind(temperature=0.5)]))

    assert other.requests[0].options == {"temperature": 0.5}
    assert other.requests[0].offered == ["stock_get", "shop_close"]


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (ScriptedChatModel().bind_tools([close.as_tool()]), "bound to tools already"),
        (ScriptedChatModel().bind_tools([close.as_tool()]).with_retry(), "bound to tools already"),
        (ScriptedChatModel().with_fallbacks([ScriptedChatModel().bind(tools=[SEARCH])]), "bound to tools already"),
        (RunnableLambda(lambda x: x) | ScriptedChatModel(), "takes no tools"),
        (RunnableLambda(lambda x: x).bind(stop=["X"]), "takes no tools"),
        (ScriptedChatModel, "give an object"),
    ],
    ids=str,
)
def test_a_model_whose_bindings_could_not_be_kept_is_refused(model: Any, told: str) -> None:
    with pytest.raises(WorkflowDefinitionError, match=told):
        Workflow("shop", model=model)
    with pytest.raises(WorkflowDefinitionError, match=told):
        Workflow("shop").add_state("open", model=model)


def test_a_state_has_settings_of_its_own_which_go_before_what_was_bound() -> None:
    model = ScriptedChatModel(["hello"])

    ask(model.bind(temperature=1, stop=["X"]), model_settings={"temperature": 0, "tool_choice": "stock.get"})

    assert model.requests[0].options == {"temperature": 0, "stop": ["X"], "tool_choice": "stock_get"}


@pytest.mark.parametrize(
    "choice", ["any", "auto", {"type": "any"}, {"type": "function", "function": {"name": "stock_get"}}]
)
def test_a_choice_of_what_is_offered_is_kept(choice: Any) -> None:
    model = ScriptedChatModel(["hello"])
    ask(model.bind(tool_choice=choice))
    assert model.requests[0].options == {"tool_choice": choice}


@pytest.mark.parametrize("choice", ["order_place", {"type": "tool", "name": "order_place"}])
def test_a_choice_of_what_is_not_offered_here_is_left_out(choice: Any) -> None:
    model = ScriptedChatModel(["hello"])
    ask(model.bind(tool_choice=choice))
    assert model.requests[0].options == {}


def test_where_nothing_is_offered_no_option_about_tools_is_sent() -> None:
    model = ScriptedChatModel(["hello"])

    ask(model.bind(parallel_tool_calls=False, temperature=0, tools=[]), tools=(), model_settings={"tool_choice": "any"})

    assert (model.requests[0].options, model.requests[0].tools) == ({"temperature": 0}, ())


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({"model_settings": {"tools": [SEARCH]}}, "provider_tools="),
        ({"provider_tools": [{"type": "function", "function": {"name": "x"}}]}, "make a contract"),
        ({"provider_tools": [close]}, "make a contract"),
        ({"provider_tools": [SEARCH], "decide": lambda view: None}, "has no model"),
        ({"model_settings": {"temperature": 0}, "node": lambda state: None}, "has no model"),
    ],
)
def test_settings_that_mean_nothing_are_refused(state: Any, told: str) -> None:
    with pytest.raises(WorkflowDefinitionError, match=told):
        Workflow("shop", model=ScriptedChatModel()).add_state("open", **state)


# Strict schemas


def test_tools_are_offered_with_strict_schemas_on_request_and_nulls_mean_left_out() -> None:
    order = call("order.place", lines=[{"sku": "A", "note": None, "pieces": None}])
    model = ScriptedChatModel([call("stock.get", sku="A", place=None, depth=None), order, "done"])

    ask(model, tools=(stock, place_order), model_settings={"strict": True})

    offered = {tool["function"]["name"]: tool["function"] for tool in model.requests[0].tools}
    assert all(function["strict"] is True for function in offered.values())
    parameters = offered["stock_get"]["parameters"]
    assert (parameters["required"], parameters["additionalProperties"]) == (["sku", "place", "depth"], False)
    assert parameters["properties"]["place"]["type"] == ["string", "null"]
    assert "default" not in str(parameters)
    line = offered["order_place"]["parameters"]["properties"]["lines"]["items"]
    line = line if "properties" in line else offered["order_place"]["parameters"]["$defs"]["Line"]
    assert line["required"] == ["sku", "note", "pieces"]
    assert ran == [("A", "shop", None), [{"sku": "A", "note": None, "pieces": 1}]]


def test_a_null_that_was_not_asked_for_stays_wrong_without_strict_schemas() -> None:
    model = ScriptedChatModel([call("stock.get", sku="A", place=None), "done"])
    _, out = ask(model)
    assert out["last_result"]["error"]["code"] == "invalid_arguments"


@read("free.form")
def free_form(payload: dict[str, Any]) -> str:
    """Take any object."""
    return "x"


def test_a_tool_without_a_strict_schema_is_refused_where_one_is_asked_for() -> None:
    with pytest.raises(WorkflowDefinitionError, match=r"free\.form has no strict schema: its argument payload"):
        ask(ScriptedChatModel(["hello"]), tools=(free_form,), model_settings={"strict": True})


def test_an_agent_is_offered_strict_schemas_on_request_and_nulls_mean_left_out() -> None:
    from langchain.agents import create_agent

    model = ScriptedChatModel([call("stock.get", sku="A", place=None, depth=None), "done"])
    workflow = Workflow("shop")
    workflow.add_state("open", tools=[stock])
    workflow.add_state("end", final=True)
    workflow.add_edge("open", close, "end")
    middleware: Any = workflow.as_middleware(strict=True)
    agent: Any = create_agent(
        model, [], middleware=[middleware], checkpointer=InMemorySaver(), context_schema=Principal
    )

    agent.invoke({"messages": [("user", "x")]}, {"configurable": {"thread_id": "1"}}, context=ANN)

    (offered, *_) = model.requests[0].tools
    assert offered["function"]["parameters"]["required"] == ["sku", "place", "depth"]
    assert model.requests[0].options["strict"] is True
    assert ran == [("A", "shop", None)]


# A provider's own tools


class Searches(BaseChatModel):
    """A model whose provider searches by itself."""

    @property
    def _llm_type(self) -> str:
        return "searches"

    def bind_tools(self, tools: Any, **options: Any) -> Any:
        return self.bind(tools=tools, **options)

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **options: Any) -> Any:
        from langchain_core.outputs import ChatGeneration, ChatResult

        ran.append([tool.get("type") if isinstance(tool, dict) else tool.name for tool in options["tools"]])
        used = [
            {"type": "web_search_call", "id": "ws_1", "action": {"query": "weather"}},
            {"type": "server_tool_use", "id": "srv_1", "name": "code_execution", "input": {"code": "1"}},
            {"type": "text", "text": "sunny"},
        ]
        return ChatResult(generations=[ChatGeneration(message=AIMessage(used))])


def test_a_providers_own_tool_is_offered_where_it_is_named_and_recorded_as_ungated() -> None:
    graph, out = ask(Searches(), provider_tools=[SEARCH])

    assert ran == [["function", "function", "web_search"]]
    records = graph.engine.store.audit(out["workflow_id"])
    assert [(record.kind.value, record.tool) for record in records[1:]] == [
        ("ungated", "web_search"),
        ("ungated", "code_execution"),
    ]
    assert graph.engine.store.verify(out["workflow_id"]) == []


def test_an_agents_use_of_a_providers_own_tool_is_recorded_as_ungated() -> None:
    from langchain.agents import create_agent

    store = WorkflowStore.in_memory()
    workflow = Workflow("shop")
    workflow.add_state("open", tools=[stock])
    workflow.add_state("end", final=True)
    workflow.add_edge("open", close, "end")
    middleware: Any = workflow.as_middleware(workflow_store=store, others=["web_search"])
    agent: Any = create_agent(
        Searches(), [SEARCH], middleware=[middleware], checkpointer=InMemorySaver(), context_schema=Principal
    )

    agent.invoke({"messages": [("user", "x")]}, {"configurable": {"thread_id": "1"}}, context=ANN)

    (instance,) = store.instances()
    kinds = [record.kind.value for record in store.audit(instance.workflow_id)]
    assert kinds == ["started", "ungated", "ungated"]


def test_naming_a_providers_own_tool_changes_the_workflows_fingerprint() -> None:
    def fingerprint(**state: Any) -> str:
        workflow = Workflow("shop", model=ScriptedChatModel())
        return workflow.add_state("open", tools=[place_order], **state).definition().fingerprint

    assert fingerprint() == fingerprint(model_settings={"temperature": 0})
    assert fingerprint() != fingerprint(provider_tools=[SEARCH])


class _Counting(RunnableBinding[Any, Any]):  # type: ignore[no-redef]
    """A binding with a way of its own to be invoked."""

    def invoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:  # noqa: A002
        return super().invoke(input, config, **kwargs)


def test_a_models_own_binding_is_called_without_langchains_merge_of_configs_and_one_that_does_more_is_left_as_it_is() -> (
    None
):
    model = ScriptedChatModel(["done"])
    for plain in (model.bind(tools=[]), RunnableBinding(bound=model, kwargs={"tools": []})):
        assert type(straight(plain)) is StraightBinding
    for more in (
        model.bind(tools=[]).with_config(tags=["mine"]),
        model.bind(tools=[]).with_listeners(on_start=print),
        _Counting(bound=model, kwargs={"tools": []}),
    ):
        assert straight(more) is more


def test_a_binding_that_is_called_straight_gives_the_model_the_callers_tags_metadata_and_callbacks() -> None:
    heard: list[Any] = []

    class Hears(BaseCallbackHandler):
        def on_chat_model_start(self, *_: Any, tags: Any = None, metadata: Any = None, **__: Any) -> None:
            heard.append((tags, metadata["case"]))

    bound = straight(ScriptedChatModel(["done"]).bind(tools=[]))
    bound.invoke([("user", "x")], {"tags": ["t"], "metadata": {"case": 7}, "callbacks": [Hears()]})
    assert heard == [(["t"], 7)]
