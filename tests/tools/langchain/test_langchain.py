"""Contracts as LangChain tools, and LangChain tools as contracts."""

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool, StructuredTool, ToolException, tool
from pydantic import BaseModel, Field

from interlock import Refused, ToolContext, command, contract_from_schema, read
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import ContextError, ContractError, InvalidArguments
from interlock.tools.langchain import contract_from_tool


class Stock(BaseModel):
    item_id: str
    count: int


@read("item.stock")
def stock(item_id: str, at_least: int = 0) -> Stock:
    """How many are left."""
    return Stock(item_id=item_id, count=at_least + 1)


@read("item.later")
async def later(item_id: str) -> Stock:
    """How many are left, later."""
    return Stock(item_id=item_id, count=7)


@read("item.stock")
def refusing(item_id: str, at_least: int = 0) -> Stock:
    """How many are left."""
    if item_id == "none":
        raise Refused(f"There is no item {item_id}.")
    return Stock(item_id=item_id, count=at_least)


@read("item.stock")
async def arefusing(item_id: str, at_least: int = 0) -> Stock:
    """How many are left."""
    return refusing(item_id, at_least)


@command("item.reserve", effect="transactional")
def reserve(item_id: str, ctx: ToolContext) -> Stock:
    """Reserve one."""
    ctx.session.execute("never")
    return Stock(item_id=item_id, count=0)


def test_a_contract_becomes_a_langchain_tool_with_the_name_and_schema_that_the_model_knows() -> None:
    made = stock.as_tool()

    assert (made.name, made.description) == ("item_stock", "How many are left.")
    assert made.args_schema == stock.offered_schema()
    assert made.invoke({"itemId": "i1", "atLeast": 4}) == {"itemId": "i1", "count": 5}


async def test_a_contract_as_a_tool_runs_asynchronously_whether_its_function_does_or_not() -> None:
    assert await stock.as_tool().ainvoke({"itemId": "i1"}) == {"itemId": "i1", "count": 1}
    assert await later.as_tool().ainvoke({"itemId": "i1"}) == {"itemId": "i1", "count": 7}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"itemId": "i1", "atLeast": "4"}, "atLeast"),
        ({"itemId": 5}, "itemId"),
        ({}, "itemId"),
        ({"itemId": "none"}, "There is no item none."),
    ],
)
async def test_what_a_contract_as_a_tool_will_not_do_is_the_tools_error_which_a_model_can_mend(
    arguments: dict[str, Any], said: str
) -> None:
    tool_call = {"name": "item_stock", "args": arguments, "id": "c1", "type": "tool_call"}
    for made in (refusing.as_tool(), arefusing.as_tool()):
        answers = [await made.ainvoke(tool_call)]
        if made.func is not None:
            answers.append(made.invoke(tool_call))
        for answer in answers:
            assert (answer.status, said in answer.content) == ("error", True)


def test_an_agent_goes_on_after_a_call_that_a_contract_as_a_tool_refused() -> None:
    model = ScriptedChatModel([call("item_stock", itemId=5), call("item_stock", itemId="i1")], forever="done")

    output = create_agent(model, [refusing.as_tool()]).invoke({"messages": [("user", "how many?")]})

    answers = [message for message in output["messages"] if isinstance(message, ToolMessage)]
    assert [answer.status for answer in answers] == ["error", "success"]


def test_an_argument_may_have_a_name_that_langchain_uses_itself() -> None:
    made = contract_from_schema(
        "a.b", {"properties": {"config": {}, "run_manager": {}, "self": {}}}, lambda arguments: arguments
    )

    assert made.as_tool().invoke({"config": 1, "run_manager": 2, "self": 3}) == {
        "config": 1,
        "run_manager": 2,
        "self": 3,
    }


def test_a_contract_that_takes_a_context_cannot_be_called_without_a_workflow() -> None:
    with pytest.raises(ContextError):
        reserve.as_tool().invoke({"itemId": "i1"})


@tool
def send_mail(to_address: str, copies: int = 1, tags: list[str] | None = None) -> str:
    """Send a mail."""
    if to_address == "nobody":
        raise ToolException("nobody has no mailbox")
    return f"sent {copies} to {to_address}"


def test_a_langchain_tool_becomes_a_contract_that_keeps_its_name_and_the_names_of_its_arguments() -> None:
    contract = contract_from_tool(send_mail)

    assert (contract.name, contract.wire_name, contract.effect) == ("send_mail", "send_mail", "at_most_once")
    schema: Any = contract.input_schema()
    assert [*schema["properties"]] == ["to_address", "copies", "tags"]
    assert schema["required"] == ["to_address"]
    arguments = contract.parse({"to_address": "ann", "copies": 2})
    assert contract.dump_output(contract.call(arguments)) == "sent 2 to ann"


def test_what_a_langchain_tool_reports_as_its_error_is_the_tools_own_no() -> None:
    contract = contract_from_tool(send_mail, name="mail.send")

    with pytest.raises(Refused, match="nobody has no mailbox"):
        contract.call(contract.parse({"to_address": "nobody"}))


async def test_a_langchain_tool_that_is_only_async_becomes_an_async_contract() -> None:
    async def fetch(page: int) -> str:
        """Fetch a page."""
        return f"page {page}"

    contract = contract_from_tool(StructuredTool.from_function(coroutine=fetch), kind="read")

    assert contract.is_async
    assert await contract.call(contract.parse({"page": 3})) == "page 3"


def test_a_tool_with_a_json_schema_keeps_it() -> None:
    schema = {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Where"},
            "unit": {"type": "string", "enum": ["C", "F"]},
            "box": {"type": "object", "properties": {"n": {"type": "integer"}}},
        },
        "required": ["city"],
    }
    made = StructuredTool(
        name="getWeather", description="Look.", args_schema=schema, func=lambda **given: ",".join(sorted(given))
    )

    contract = contract_from_tool(made, kind="read", name="weather.get", description="Look at the weather.")

    properties: Any = contract.input_schema()["properties"]
    assert properties["city"] == {"type": "string", "description": "Where"}
    assert properties["unit"]["enum"] == ["C", "F"]
    assert contract.call(contract.parse({"city": "Bern", "box": {"n": 1}})) == "box,city"


def test_a_langchain_tool_is_never_taken_for_transactional() -> None:
    with pytest.raises(ContractError, match="transactional"):
        contract_from_tool(send_mail, effect="transactional")


def test_a_tool_with_a_model_of_its_own_keeps_descriptions_and_bounds() -> None:
    class Search(BaseModel):
        query: str = Field(description="What to look for", min_length=2)
        max_hits: int = Field(default=5, ge=1)

    def search(query: str, max_hits: int = 5) -> list[str]:
        return [query] * max_hits

    made: BaseTool = StructuredTool.from_function(func=search, name="search", description="Search.", args_schema=Search)
    contract = contract_from_tool(made, kind="read")

    properties: Any = contract.input_schema()["properties"]
    assert properties["query"]["description"] == "What to look for"
    with pytest.raises(InvalidArguments):
        contract.parse({"query": "x"})
