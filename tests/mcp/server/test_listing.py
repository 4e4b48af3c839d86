"""What is listed: the same tools for everybody in every state, under names that clients take, with schemas that say what a call needs."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel

from interlock import Event, Principal, Workflow, command, contract_from_schema, event, read
from interlock.mcp.server import schemas
from interlock.mcp.server.workflow_server import WorkflowServer
from interlock.tools.errors import InputError
from interlock.workflows.case import case_workflow
from interlock.workflows.retail import retail_workflow
from tests.mcp.server.support import ERAS, body, in_memory

ADA = Principal("ada")


class Filters(BaseModel):
    colour: str | None = None


class DeskData(BaseModel):
    customer: str | None = None
    is_checked: bool = False


@read("shop.search")
def search(filters: Filters) -> list[str]:
    """Search the shop."""
    return [filters.colour or "everything"]


@read("customer.find")
def find(email: str) -> str:
    """Find the customer."""
    return email


@command("order.cancel", effect="transactional")
def cancel(order_id: str, reason: str | None = None) -> str:
    """Cancel an order."""
    return order_id


class HandedOver(Event, name="desk.handed_over", version=1):
    """A person is asked to go on."""

    summary: str


@event("desk.hand_over")
def hand_over(summary: str) -> HandedOver:
    """Hand over to a person."""
    return HandedOver(summary=summary)


def desk() -> Workflow:
    flow = Workflow("desk", data=DeskData)
    flow.add_state("new", tools=[search]).add_state("open", tools=[search]).add_state("over", final=True)
    flow.add_edge("new", find, "open")
    flow.add_edge("open", cancel, "open", approval=True)
    flow.add_edge("open", hand_over, "over")
    return flow


async def listed(server: WorkflowServer, era: str = "auto") -> dict[str, Any]:
    async with in_memory(server, era) as client:
        found = await client.list_tools()
    return {one.name: one.model_dump(by_alias=True, mode="json", exclude_none=True) for one in found.tools}


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("flow", [desk, retail_workflow, case_workflow])
async def test_all_tools_are_listed_under_names_that_clients_take(flow: Any, era: str) -> None:
    workflow = flow()
    names = await listed(WorkflowServer(workflow.compile(), principal=ADA), era)

    contracts = workflow.definition().contracts
    assert {tool["title"] for tool in names.values() if "title" in tool} == set(contracts)
    assert all(name.isascii() and "." not in name and len(name) <= 64 for name in names)
    assert {"workflow_start", "workflow_status", "workflow_proposal", "workflow_withdraw"} <= set(names)
    assert not [name for name in names if "approve" in name or "decide" in name or "resolve" in name]


@pytest.mark.parametrize("flow", [desk, retail_workflow, case_workflow])
async def test_every_schema_is_one_and_stays_within_itself(flow: Any) -> None:
    for tool in (await listed(WorkflowServer(flow().compile(), principal=ADA))).values():
        for schema in (tool["inputSchema"], tool["outputSchema"]):
            jsonschema.Draft202012Validator.check_schema(schema)
            assert schema["type"] == "object"
            references = set(re.findall(r'"\$ref": "([^"]*)"', json.dumps(schema)))
            assert {one for one in references if one.removeprefix("#/$defs/") not in schema.get("$defs", {})} == set()


async def test_what_moves_an_instance_needs_the_revision_and_what_only_looks_does_not_have_it() -> None:
    tools = await listed(WorkflowServer(desk().compile(), principal=ADA))

    def of(name: str) -> tuple[set[str], set[str]]:
        schema = tools[name]["inputSchema"]
        return set(schema["properties"]), set(schema.get("required", ()))

    assert of("shop_search") == ({"workflowId", "filters"}, {"workflowId", "filters"})
    assert of("customer_find") == (
        {"workflowId", "expectedRevision", "idempotencyKey", "email"},
        {"workflowId", "email"},
    )
    assert of("order_cancel")[1] == {"workflowId", "expectedRevision", "orderId"}
    assert of("desk_hand_over")[1] == {"workflowId", "expectedRevision", "summary"}
    assert tools["shop_search"]["annotations"]["readOnlyHint"] is True
    assert tools["order_cancel"]["annotations"]["readOnlyHint"] is False


async def test_a_pinned_instance_need_not_be_named_and_none_is_started() -> None:
    tools = await listed(WorkflowServer(desk().compile(), principal=ADA, workflow_id="wf_1"))

    assert "workflow_start" not in tools
    assert set(tools["order_cancel"]["inputSchema"]["properties"]) == {
        "expectedRevision", "idempotencyKey", "orderId", "reason",
    }  # fmt: skip
    assert tools["workflow_status"]["inputSchema"]["properties"] == {}


@pytest.mark.parametrize(
    "own",
    [
        {"type": "object", "properties": {"workflowId": {"type": "string"}}, "required": ["workflowId"]},
        {"type": "object", "properties": {"a": {"type": "string"}}, "minProperties": 1},
        {"$ref": "#/$defs/call", "$defs": {"call": {"type": "object", "properties": {"a": {"type": "string"}}}}},
        {"type": "object", "anyOf": [{"required": ["a"]}, {"required": ["b"]}], "properties": {"a": {}, "b": {}}},
    ],
    ids=["the same name", "a rule over the whole", "a reference at the top", "one of two"],
)
def test_a_schema_that_cannot_be_added_to_stands_whole_under_arguments(own: dict[str, Any]) -> None:
    contract = contract_from_schema("other.tool", own, lambda **given: given, description="Somebody else's.")
    call = schemas.call_schema(contract, is_pinned=False, moves=True)

    assert call.is_nested
    jsonschema.Draft202012Validator.check_schema(call.schema)
    holds = jsonschema.Draft202012Validator(call.schema)
    inner = {"workflowId": "theirs"} if "workflowId" in own.get("properties", {}) else {"a": "x"}
    given = {"workflowId": "wf_1", "expectedRevision": 3, "arguments": inner}
    holds.validate(given)
    assert call.own_arguments(given) == ({"workflowId": "wf_1", "expectedRevision": 3}, inner)
    if "workflowId" not in inner and "anyOf" in own:
        assert not holds.is_valid({**given, "arguments": {}})


async def test_a_client_sets_only_the_data_that_the_application_opens_to_it() -> None:
    shut = await listed(WorkflowServer(desk().compile(), principal=ADA))
    opened = await listed(WorkflowServer(desk().compile(), principal=ADA, start_fields=["customer"]))

    assert set(shut["workflow_start"]["inputSchema"]["properties"]) == {"idempotencyKey"}
    data = opened["workflow_start"]["inputSchema"]["properties"]["data"]
    assert (set(data["properties"]), data["additionalProperties"]) == ({"customer"}, False)
    for closed in ({"secret": 1}, {"customer": "ann", "state": "closed"}):
        async with in_memory(WorkflowServer(desk().compile(), principal=ADA, start_fields=["customer"])) as client:
            answer = body(await client.call_tool("workflow_start", {"data": closed}))
        assert "not for clients to say" in answer["error"]["message"]
    with pytest.raises(InputError, match="no data called nothing_such"):
        WorkflowServer(desk().compile(), principal=ADA, start_fields=["nothing_such"])


async def test_several_workflows_stand_side_by_side() -> None:
    server = WorkflowServer({"desk": desk().compile(), "cases": case_workflow().compile()}, principal=ADA)
    names = set(await listed(server))

    assert {"desk__order_cancel", "desk__workflow_start", "cases__case_assign", "cases__workflow_start"} <= names
    assert all(name.startswith(("desk__", "cases__")) for name in names)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"a name": 1, "b": 2},
        {"x" * 60: 1, "b": 2},
    ],
)
def test_names_that_tools_cannot_begin_with_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        WorkflowServer({name: desk().compile() for name in given}, principal=ADA)


def test_two_workflows_of_one_name_are_refused() -> None:
    with pytest.raises(InputError, match="one name"):
        WorkflowServer({"a": desk().compile(), "b": desk().compile()}, principal=ADA)


def test_a_tool_that_is_called_as_one_of_the_server_is_refused() -> None:
    @command("workflow.start", effect="transactional")
    def begin() -> str:
        """Begin."""
        return "begun"

    flow = Workflow("clash")
    flow.add_state("new").add_state("over", final=True)
    flow.add_edge("new", begin, "over")
    with pytest.raises(InputError, match="Two tools would be called 'workflow_start'"):
        WorkflowServer(flow.compile(), principal=ADA)
    assert "clash__workflow_start" not in WorkflowServer({"x": desk().compile()}, principal=ADA).tools


# Resources and prompts that are the same for everybody


@pytest.mark.parametrize("era", ERAS)
async def test_the_workflow_itself_can_be_read(era: str) -> None:
    async with in_memory(WorkflowServer(desk().compile(), principal=ADA), era) as client:
        uris = [one.uri for one in (await client.list_resources()).resources]
        read_ones = {uri: (await client.read_resource(uri)).contents[0] for uri in uris}
        templates = [one.uri_template for one in (await client.list_resource_templates()).resource_templates]
        prompts = [one.name for one in (await client.list_prompts()).prompts]

    assert [uri.rsplit("/", 1)[1] for uri in uris] == ["diagram", "definition", "picture"]
    assert "order.cancel" in read_ones["interlock://workflows/desk/diagram"].text
    assert read_ones["interlock://workflows/desk/picture"].text.startswith("<svg")
    definition = json.loads(read_ones["interlock://workflows/desk/definition"].text)
    assert {"from": "new", "tool": "customer.find", "kind": "read", "to": "open", "approval": None} in definition[
        "edges"
    ]
    assert templates == [
        f"interlock://workflows/desk/instances/{{workflowId}}/{kind}" for kind in ("snapshot", "audit", "picture")
    ]
    assert prompts == ["workflow_state"]


async def test_lists_say_how_long_they_hold_and_that_they_are_everybodys() -> None:
    async with in_memory(WorkflowServer(desk().compile(), principal=ADA)) as client:
        for found in (await client.list_tools(), await client.list_resources(), await client.list_prompts()):
            assert (found.ttl_ms, found.cache_scope) == (300_000, "public")
