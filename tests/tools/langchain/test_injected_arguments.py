"""What LangChain and LangGraph inject is filled when a converted tool runs, and is never a model's to give; a contract's own function refuses it."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import AsyncCallbackManagerForToolRun, BaseCallbackManager, CallbackManagerForToolRun
from langchain_core.callbacks.base import Callbacks
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, InjectedToolArg, InjectedToolCallId, StructuredTool, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import InjectedState, InjectedStore, ToolRuntime
from langgraph.runtime import Runtime
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from langgraph.types import Command
from pydantic import BaseModel, Field

from interlock import Principal, RetryPolicy, ToolContext, ToolContract, Workflow, WorkflowStore, command, event, read
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import ContextError, ContractError
from interlock.tools.langchain import contract_from_tool

pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # LangChain's own, of ToolRuntime

SEEN: list[dict[str, Any]] = []


@pytest.fixture(autouse=True)
def _anew() -> None:
    SEEN.clear()


class Login(InjectedToolArg):
    """A marker of an application's own."""


@tool
def looking(
    q: str,
    runtime: ToolRuntime,
    state: Annotated[dict[str, Any], InjectedState],
    messages: Annotated[list[Any], InjectedState("messages")],
    store: Annotated[BaseStore, InjectedStore()],
    call_id: Annotated[str, InjectedToolCallId],
    user: Annotated[str, InjectedToolArg],
    login: Annotated[str, Login()],
    config: RunnableConfig,
    absent: Annotated[str, InjectedToolArg] = "nobody",
) -> str:
    """Look at everything."""
    SEEN.append({**locals()})
    return q


class Arguments(BaseModel):
    q: str = Field(min_length=1)
    user: Annotated[str, InjectedToolArg()]
    call_id: Annotated[str, InjectedToolCallId]


@tool(args_schema=Arguments)
def modelled(q: str, user: str, call_id: str) -> str:
    """Look, by a model of its own."""
    SEEN.append({**locals()})
    return q


class Classy(BaseTool):
    name: str = "classy"
    description: str = "Look, in a class of its own."

    def _run(
        self,
        q: str,
        runtime: ToolRuntime,
        user: Annotated[str, InjectedToolArg],
        call_id: Annotated[str, InjectedToolCallId],
        run_manager: CallbackManagerForToolRun | None = None,
    ) -> str:
        SEEN.append({"user": user, "call_id": call_id, "runtime": runtime, "run_manager": run_manager})
        return q


async def _later(q: str, user: Annotated[str, InjectedToolArg], call_id: Annotated[str, InjectedToolCallId]) -> str:
    """Look, later."""
    await asyncio.sleep(0)
    SEEN.append({"user": user, "call_id": call_id})
    return q


def _published(
    q: str,
    user: Annotated[str, InjectedToolArg],
    call_id: Annotated[str, InjectedToolCallId],
    absent: Annotated[str, InjectedToolArg] = "nobody",
    **more: Any,
) -> str:
    SEEN.append({"user": user, "call_id": call_id, "absent": absent})
    return q


later = StructuredTool.from_function(coroutine=_later, name="later")
published = StructuredTool(
    name="published",
    description="Look, by a JSON Schema.",
    args_schema={
        "type": "object",
        "properties": {"q": {"type": "string"}, "user": {"type": "string"}},
        "required": ["q", "user"],
    },
    func=_published,
)
"""Its server publishes a `user` that only the application knows."""
ALL = [looking, modelled, Classy(), later, published]


def who(ctx: ToolContext) -> str:
    return ctx.principal.id


def converted(made: BaseTool, **options: Any) -> ToolContract:
    fills = {"user": who, **({"login": "web"} if made is looking else {})}
    return contract_from_tool(made, **{"kind": "read", "inject": fills, **options})


def flow(contract: ToolContract, *script: Any) -> Workflow:
    @command("w.end", effect="transactional")
    def end() -> str:
        """End."""
        return "ended"

    workflow = Workflow("w", model=ScriptedChatModel(script, forever="done"))
    is_read = contract.effect is None
    workflow.add_state("open", tools=[contract] if is_read else []).add_state("closed", final=True)
    workflow.add_edge("open", end, "closed")
    return workflow if is_read else workflow.add_edge("open", contract, "closed")


FORGED = {
    "user": "root",
    "call_id": "forged",
    "login": "root",
    "state": {},
    "runtime": {},
    "store": {},
    "absent": "root",
}
GO = {"messages": [("user", "go")]}
HERE = {"configurable": {"thread_id": "t-1"}}
ADA = Principal("ada")


@pytest.mark.parametrize("made", ALL, ids=lambda made: made.name)
def test_a_model_is_not_offered_what_the_application_fills(made: BaseTool) -> None:
    contract = converted(made)

    assert [*contract.offered_schema()["properties"]] == ["q"]  # type: ignore[call-overload]
    assert contract.offered_schema()["required"] == ["q"]


def run_in(place: str, contract: ToolContract, arguments: dict[str, Any]) -> None:
    store = InMemoryStore()
    proposed = call(contract.wire_name, **arguments)
    graph: Any
    match place:
        case "graph" | "graph, async":
            graph = flow(contract, proposed).compile(
                InMemorySaver(), workflow_store=WorkflowStore.in_memory(), store=store
            )
        case "subgraph":
            inner = flow(contract, proposed).compile(workflow_store=WorkflowStore.in_memory())
            outer: Any = StateGraph(MessagesState, context_schema=Principal)
            outer.add_node("inner", inner).add_edge(START, "inner").add_edge("inner", END)
            graph = outer.compile(InMemorySaver(), store=store)
        case _:
            graph = create_agent(
                ScriptedChatModel([proposed], forever="done"),
                [],
                middleware=[flow(contract).as_middleware(workflow_store=WorkflowStore.in_memory())],
                checkpointer=InMemorySaver(),
                context_schema=Principal,
                store=store,
            )
    if place.endswith("async"):
        asyncio.run(graph.ainvoke(GO, HERE, context=ADA))
    else:
        graph.invoke(GO, HERE, context=ADA)


PLACES = ["graph", "graph, async", "subgraph", "middleware", "middleware, async"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("made", ALL, ids=lambda made: made.name)
def test_what_a_model_gives_in_its_place_is_not_taken(made: BaseTool, place: str) -> None:
    if made is later and "async" not in place:
        return
    run_in(place, converted(made), {"q": "a", **FORGED})

    (seen,) = SEEN
    assert seen["user"] == "ada"
    assert seen["call_id"].startswith("key_")
    assert seen.get("absent", "nobody") == "nobody"


@pytest.mark.parametrize("place", PLACES)
def test_state_store_config_and_runtime_are_those_of_the_run(place: str) -> None:
    run_in(place, converted(looking), {"q": "a"})

    (seen,) = SEEN
    assert [message.type for message in seen["messages"]] == ["human", "ai"]
    assert seen["state"]["messages"] == seen["messages"]
    assert isinstance(seen["store"], InMemoryStore)
    assert seen["config"]["configurable"]["thread_id"] == "t-1"
    assert (seen["login"], seen["absent"]) == ("web", "nobody")
    runtime = seen["runtime"]
    assert (runtime.context, runtime.tool_call_id) == (ADA, seen["call_id"])
    assert runtime.store is seen["store"]
    assert runtime.state["messages"] == seen["messages"]


def test_the_id_of_a_call_is_the_same_at_each_of_its_attempts() -> None:
    ids: list[str] = []

    @tool
    def charge(amount: int, call_id: Annotated[str, InjectedToolCallId]) -> str:
        """Charge."""
        ids.append(call_id)
        if len(ids) < 3:
            raise ConnectionError("away")
        return "charged"

    contract = contract_from_tool(charge, effect="idempotent", retry=RetryPolicy(attempts=3, initial=0))
    output = flow(contract, call("charge", amount=1)).compile(destructive_in_memory=True).invoke(GO, HERE, context=ADA)

    assert output["state"] == "closed"
    assert len(ids) == 3
    assert len({*ids}) == 1


def test_what_is_filled_is_neither_shown_to_an_approver_nor_stored() -> None:
    contract = converted(modelled, kind="command")
    workflow = Workflow("w", model=ScriptedChatModel([call("modelled", q="a", **FORGED)], forever="done"))
    workflow.add_state("open").add_state("closed", final=True).add_edge("open", contract, "closed", approval=True)
    graph = workflow.compile(destructive_in_memory=True)

    asked = graph.invoke(GO, HERE, context=ADA)["__interrupt__"][0].value
    graph.invoke(Command(resume="approve"), HERE, context=Principal("bob"))

    assert asked["arguments"] == {"q": "a"}
    assert SEEN[0]["user"] == "ada"  # who proposed it, and not who approved it


def test_a_value_that_nobody_says_is_asked_for_when_the_tool_is_converted() -> None:
    with pytest.raises(ContractError, match=r"user.*inject="):
        contract_from_tool(modelled)
    with pytest.raises(ContractError, match=r"login.*inject="):
        contract_from_tool(looking, inject={"user": who})
    with pytest.raises(ContractError, match="nobody_knows"):
        contract_from_tool(modelled, inject={"user": who, "nobody_knows": who})


def test_what_is_not_there_is_said_when_the_tool_is_called_and_it_does_not_run() -> None:
    contract = converted(looking)
    with pytest.raises(ContextError, match="inject="):
        contract.call(contract.bind({"q": "a"}).parsed)

    graph = flow(contract, call("looking", q="a")).compile(destructive_in_memory=True)  # without a store
    output = graph.invoke(GO, HERE, context=ADA)

    assert output["last_result"] == {} or not output["last_result"]["ok"]
    assert SEEN == []


# Functions of contracts

NATIVE = [
    Annotated[str, InjectedToolArg],
    Annotated[str, InjectedToolArg()],
    Annotated[str, Login()],
    Annotated[str, InjectedToolCallId],
    Annotated[str | None, InjectedToolCallId()],
    Annotated[dict[str, Any], InjectedState],
    Annotated[str, InjectedState("user_id")],
    Annotated[BaseStore, InjectedStore()],
    Annotated[Any, InjectedStore()],
    BaseStore,
    InMemoryStore,
    ToolRuntime,
    ToolRuntime[Principal, dict[str, Any]],
    ToolRuntime | None,
    Runtime,
    Runtime[Principal],
    RunnableConfig,
    RunnableConfig | None,
    CallbackManagerForToolRun | None,
    AsyncCallbackManagerForToolRun,
    BaseCallbackManager,
    Callbacks,
]


@pytest.mark.parametrize("decorator", [read, command, event], ids=lambda one: one.__name__)
@pytest.mark.parametrize("annotation", NATIVE, ids=[str(number) for number in range(len(NATIVE))])
def test_a_function_that_wants_something_injected_is_told_what_to_take_instead(annotation: Any, decorator: Any) -> None:
    def work(order: str, given: Any = None) -> str:
        """Work."""
        return order

    work.__annotations__ = {"order": str, "given": annotation, "return": str}

    with pytest.raises(ContractError, match=r"'given'.*(ToolContext|get_config|get_store|leave it out)"):
        decorator("a.b")(work)


def test_a_model_of_the_arguments_is_read_for_it_as_well() -> None:
    class Given(BaseModel):
        order: str
        user_id: Annotated[str, InjectedToolArg]

    with pytest.raises(ContractError, match=r"'user_id'.*ctx.principal"):

        @read("a.b", input_model=Given)
        def work(given: Given) -> str:
            """Work."""
            return given.order


def test_what_only_has_the_name_of_one_of_these_is_an_argument_like_others() -> None:
    class Runtime(BaseModel):  # an application's own
        seconds: int

    @read("film.find")
    def find(runtime: Runtime, config: dict[str, str], state: str) -> str:
        """Find films."""
        return state

    assert [*find.offered_schema()["properties"]] == ["runtime", "config", "state"]  # type: ignore[call-overload]
