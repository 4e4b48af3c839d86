"""A walk over every way into an instance through the MCP servers: another tenant, and strangers of the same tenant."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError

from interlock import Principal
from interlock.mcp import ApprovalServer, WorkflowServer
from interlock.mcp.server.hosting import Hosted
from tests.mcp.server.support import token, verifier
from tests.mcp.server.task_client import TaskClient
from tests.security.entry_points import ADA, APPROVER, COLLEAGUE, FOREIGN, SECRETS, Place
from tests.security.mcp_entry_points import ABOUT_NO_INSTANCE, APPROVERS, PROPOSERS, Way

WAYS = [*(("proposers", way) for way in PROPOSERS), *(("approvers", way) for way in APPROVERS)]


def ids(value: Any) -> str:
    return f"{value.name} {value.about}".strip() if isinstance(value, Way) else str(value)


@pytest.fixture
def place() -> Place:
    return Place()


def server_for(kind: str, place: Place, by: Principal) -> Hosted:
    if kind == "proposers":
        return WorkflowServer(place.graph, principal=by)
    own = token(by.id, roles=sorted(by.roles), tenant=by.tenant, exp=int(time.time()) + 600)
    return ApprovalServer(place.graph, tokens=verifier(), token=own)


@asynccontextmanager
async def reached(kind: str, place: Place, by: Principal) -> AsyncIterator[Client]:
    extensions = [TaskClient()]
    async with Client(server_for(kind, place, by).server, extensions=extensions) as client:
        yield client


async def met(kind: str, way: Way, place: Place, by: Principal) -> tuple[bool, str]:
    """Whether somebody is refused, and all that they are told."""
    async with reached(kind, place, by) as client:
        try:
            given = await way.ask(client, place)
        except MCPError as error:
            return True, json.dumps([error.code, error.message, error.data])
    if way.is_a_list:
        listed = given if isinstance(given, list) else given.structured_content["approvals"]
        return not listed, json.dumps(listed)
    return bool(getattr(given, "is_error", False)), json.dumps(given) if isinstance(
        given, dict
    ) else given.model_dump_json()


@pytest.mark.parametrize(("kind", "ways"), [("proposers", PROPOSERS), ("approvers", APPROVERS)])
async def test_every_tool_and_every_method_is_listed(kind: str, ways: tuple[Way, ...], place: Place) -> None:
    server = server_for(kind, place, APPROVER).server
    async with reached(kind, place, APPROVER) as client:
        tools = {one.name for one in (await client.list_tools()).tools}
    methods = set(server._request_handlers)
    walked = {way.name for way in ways}

    assert tools | methods <= walked | set(ABOUT_NO_INSTANCE), (
        "say in tests/security/mcp_entry_points.py what guards it"
    )
    assert {name for name in walked if "/" in name} <= methods


@pytest.mark.parametrize(("kind", "way"), WAYS, ids=ids)
async def test_another_tenant_is_answered_as_where_nothing_is(kind: str, way: Way, place: Place) -> None:
    before, approval_id = place.stands(), place.approval_id
    trail = place.graph.instances.audit({"configurable": {"thread_id": "t-1"}})

    refused, said = await met(kind, way, place, FOREIGN)

    nothing = Place(begun=False)
    guessing = type("Guessing", (Place,), {"approval_id": approval_id, "__init__": lambda self: None})()
    guessing.__dict__.update(nothing.__dict__)
    assert refused
    assert not [secret for secret in SECRETS if secret in said]
    assert (refused, said) == await met(kind, way, guessing, FOREIGN)
    assert place.stands() == before
    assert place.graph.instances.audit({"configurable": {"thread_id": "t-1"}}) == trail


@pytest.mark.parametrize(("kind", "way"), WAYS, ids=ids)
async def test_a_stranger_of_the_tenant_is_refused_and_recorded(kind: str, way: Way, place: Place) -> None:
    before, marks = place.stands(), place.refusals_of(COLLEAGUE)

    refused, said = await met(kind, way, place, COLLEAGUE)

    assert refused
    assert not [secret for secret in SECRETS if secret in said]
    assert place.stands() == before
    if not way.is_a_list:
        assert place.refusals_of(COLLEAGUE) > marks


@pytest.mark.parametrize("way", PROPOSERS, ids=ids)
async def test_the_person_served_is_let_in(way: Way, place: Place) -> None:
    refused, said = await met("proposers", way, place, ADA)

    assert "may not run or see" not in said
    assert "no workflow instance" not in said
    if way.is_a_list:
        assert not refused


async def test_no_way_of_the_proposers_server_decides(place: Place) -> None:
    """The person served, and somebody who may decide: whatever they send to the proposers' server, it still waits."""
    for by in (ADA, APPROVER):
        for way in PROPOSERS:
            if way.name not in {"workflow_withdraw", "tasks/cancel", "order_refund"}:
                await met("proposers", way, place, by)
    assert place.graph.instances.approval(place.approval_id)["status"] == "requested"
