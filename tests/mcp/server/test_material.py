"""What an application offers beside its workflows: resources and prompts of its own, and what it requires of clients."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError

from interlock import Principal
from interlock.mcp import ServedPrompt, ServedResource, WorkflowServer
from interlock.mcp.server.requests import lacks
from interlock.mcp.server.tasks import EXTENSION
from interlock.tools.errors import InputError, PrincipalError
from interlock.workflows.case import case_workflow, open_cases
from tests.mcp.server.support import ERAS, body, in_memory
from tests.mcp.server.task_client import TaskClient

ADA = Principal("ada")
MISSING = -32021
TASKS = {"queue_reassign": {"extensions": {EXTENSION: {}}}}


def of_the_shop(by: Principal, values: Mapping[str, str]) -> str:
    if values["product"] == "secret":
        raise PrincipalError(f"{by.id} may not see it.")
    return f"{values['product']}, for {by.id}"


async def logo(by: Principal, values: Mapping[str, str]) -> bytes:
    del by, values
    return b"\x89PNG"


RETURNS = ServedResource("shop://policies/returns", lambda by, values: "30 days.", "returns", is_public=True)
PRODUCT = ServedResource("shop://products/{product}", of_the_shop, "product", "A product.")
LOGO = ServedResource("shop://logo", logo, "logo", mime_type="image/png")
GREETING = ServedPrompt(
    "greet",
    lambda by, given: [
        f"Greet {given['name']} for {by.id}.",
        {"type": "image", "base64": "AA==", "mime_type": "image/png"},
    ],
    "Greet somebody.",
    arguments={"name": "Whom."},
    optional={"tone": "How."},
)


def server(**options: Any) -> WorkflowServer:
    graph = case_workflow().compile()
    open_cases(graph.engine.store)
    return WorkflowServer(graph, principal=ADA, **options)


@pytest.mark.parametrize("era", ERAS)
async def test_the_applications_resources_are_listed_and_read_beside_those_of_its_workflows(era: str) -> None:
    async with in_memory(server(resources=[RETURNS, PRODUCT, LOGO]), era) as client:
        listed = [str(one.uri) for one in (await client.list_resources()).resources]
        templates = [one.uri_template for one in (await client.list_resource_templates()).resource_templates]
        text = (await client.read_resource("shop://policies/returns")).contents[0]
        of_one = (await client.read_resource("shop://products/red%20lamp")).contents[0]
        image = (await client.read_resource("shop://logo")).contents[0]
        of_workflow = (await client.read_resource("interlock://workflows/case/diagram")).contents[0]

    assert {"shop://policies/returns", "shop://logo", "interlock://workflows/case/diagram"} <= {*listed}
    assert "shop://products/{product}" in templates
    assert "shop://products/{product}" not in listed
    assert (text.text, of_one.text) == ("30 days.", "red lamp, for ada")  # type: ignore[union-attr]
    assert base64.b64decode(image.blob) == b"\x89PNG"  # type: ignore[union-attr]
    assert "stateDiagram" in of_workflow.text or "graph" in of_workflow.text  # type: ignore[union-attr]


async def test_a_resource_that_is_not_for_the_caller_is_told_as_one_that_is_not_there() -> None:
    async with in_memory(server(resources=[RETURNS, PRODUCT])) as client:
        for uri in ("shop://products/secret", "shop://products/a/b", "shop://products/", "shop://nothing"):
            with pytest.raises(MCPError, match="Resource not found") as refused:
                await client.read_resource(uri)
            assert refused.value.error.data == {"uri": uri}


async def test_what_a_resource_function_breaks_with_stays_in_the_log() -> None:
    def broken(by: Principal, values: Mapping[str, str]) -> str:
        raise RuntimeError("the password is swordfish")

    async with in_memory(server(resources=[ServedResource("shop://broken", broken, "broken")])) as client:
        with pytest.raises(MCPError) as refused:
            await client.read_resource("shop://broken")

    assert "swordfish" not in str(refused.value.error)


@pytest.mark.parametrize("era", ERAS)
async def test_the_applications_prompts_stand_beside_the_states(era: str) -> None:
    async with in_memory(server(prompts=[GREETING]), era) as client:
        listed = {one.name: one for one in (await client.list_prompts()).prompts}
        written = await client.get_prompt("greet", {"name": "Bo"})
        refused = []
        for given in ({}, {"name": "Bo", "shout": "yes"}):
            with pytest.raises(MCPError) as error:
                await client.get_prompt("greet", given)
            refused.append(error.value.error.message)

    assert {"greet", "workflow_state"} == {*listed}
    assert [(one.name, one.required) for one in listed["greet"].arguments or ()] == [("name", True), ("tone", False)]
    assert [one.content.type for one in written.messages] == ["text", "image"]
    assert written.messages[0].content.text == "Greet Bo for ada."  # type: ignore[union-attr]
    assert "'name' is missing" in refused[0]
    assert "no argument 'shout'" in refused[1]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"resources": [RETURNS, RETURNS]}, "Two of the resources"),
        ({"resources": [ServedResource("interlock://workflows/case/mine", of_the_shop, "x")]}, "cannot be served"),
        ({"resources": [ServedResource("no scheme", of_the_shop, "x")]}, "cannot be served"),
        ({"resources": [ServedResource("shop://{a}/{a}", of_the_shop, "x")]}, "cannot be served"),
        ({"prompts": [ServedPrompt("workflow_state", lambda by, given: "x")]}, "Two of the prompts"),
        ({"requires": {"nothing": {"sampling": {}}}}, "no tool called nothing"),
    ],
)
def test_what_would_be_called_the_same_or_cannot_be_reached_is_refused_when_the_server_is_made(
    options: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        server(**options)


@pytest.mark.parametrize("era", ERAS)
async def test_a_tool_can_require_a_client_that_takes_tasks(era: str) -> None:
    """A client that could not follow what waits for a person is refused before anybody is asked."""
    served = server(requires=TASKS)
    async with in_memory(served, era) as plain, in_memory(served, "auto", extensions=[TaskClient()]) as taking:
        started = body(await plain.call_tool("workflow_start", {}))
        case = {"workflowId": started["workflowId"], "expectedRevision": 0, "caseId": "77", "queueId": "billing"}
        await plain.call_tool("case_assign", case)
        move = {"workflowId": started["workflowId"], "expectedRevision": 1, "queueId": "delivery"}
        with pytest.raises(MCPError) as refused:
            await plain.call_tool("queue_reassign", move)
        before = body(await plain.call_tool("workflow_status", {"workflowId": started["workflowId"]}))
        await taking.call_tool("queue_reassign", move)
        after = body(await plain.call_tool("workflow_status", {"workflowId": started["workflowId"]}))

    assert refused.value.error.code == MISSING
    assert refused.value.error.data == {"requiredCapabilities": TASKS["queue_reassign"]}
    assert [len(one["pendingApprovals"]) for one in (before, after)] == [0, 1]


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ({}, True),
        (None, True),
        ({"extensions": {}}, True),
        ({"extensions": [EXTENSION]}, True),
        ({"extensions": {EXTENSION: {}}}, False),
        ({"extensions": {EXTENSION: {"more": 1}}, "sampling": {}}, False),
    ],
)
def test_capabilities_are_compared_however_deep_they_stand(declared: Any, expected: bool) -> None:
    assert lacks({"extensions": {EXTENSION: {}}}, declared) is expected
