"""251 tools of 17 real servers come in whole: offered as they were published, and enforced as they were offered."""

from __future__ import annotations

import itertools
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.tools import StructuredTool

from interlock import ToolContract, Workflow, contract_from_schema
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import InvalidArguments
from interlock.tools.langchain import contract_from_tool
from interlock.tools.storable import why_not_storable
from tests.tools.contracts.published_tools import Published, arguments_of, changed, published, servers

ALL = published()
CALLS = 25 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 2
"""How many right calls of each tool are generated; each is changed in every place."""
CHANGES = 150


def imported(tool: Published, ran: list[Any] | None = None) -> ToolContract:
    def work(arguments: dict[str, Any]) -> Any:
        if ran is not None:
            ran.append(arguments)
        return arguments

    return contract_from_schema(tool.name, tool.input_schema, work, description=tool.description)


def as_langchain_has_it(tool: Published) -> StructuredTool:
    """As the adapters for MCP make a tool."""

    async def work(**arguments: Any) -> tuple[str, None]:
        return str(arguments), None

    return StructuredTool(
        name=tool.name,
        description=tool.description or "",
        args_schema=tool.input_schema,
        coroutine=work,
        response_format="content_and_artifact",
    )


def test_there_are_enough_of_them() -> None:
    assert len(ALL) >= 250
    assert len(servers()) >= 17


@pytest.mark.parametrize("tool", ALL, ids=str)
def test_every_published_tool_is_offered_as_it_was_published(tool: Published) -> None:
    for contract in (imported(tool), contract_from_tool(as_langchain_has_it(tool))):
        offered = contract.tool_definition()["function"]

        assert offered["parameters"] == tool.input_schema
        assert offered["name"] == tool.name
        assert offered["description"] == (tool.description or "").strip() or not tool.description
        assert contract.input_schema() == tool.input_schema


@pytest.mark.parametrize("server", servers())
def test_the_tools_of_a_server_stand_in_one_workflow_and_reach_the_model_unchanged(server: str) -> None:
    tools = published(server)
    model = ScriptedChatModel(["nothing"])
    flow = Workflow(server, model=model)
    flow.add_state("open")
    flow.add_state("done", final=True)
    for tool in tools:
        flow.add_edge("open", imported(tool), "done")

    flow.compile(destructive_in_memory=True).invoke(
        {"messages": [("user", "hello")]}, {"configurable": {"thread_id": "1"}}
    )

    sent = {one["function"]["name"]: one["function"]["parameters"] for one in model.requests[0].tools}
    assert sent == {tool.name: tool.input_schema for tool in tools}


@pytest.mark.parametrize("server", servers())
def test_right_calls_are_taken_as_they_are_and_wrong_ones_refused(server: str) -> None:
    """Judged by another library than the one that enforces the schema."""
    for tool in published(server):
        judge(tool)


def judge(tool: Published) -> None:
    contract = imported(tool)

    @settings(max_examples=CALLS, deadline=None, database=None, derandomize=True, suppress_health_check=[*HealthCheck])
    @given(arguments_of(tool))
    def judged(arguments: dict[str, Any]) -> None:
        for candidate in itertools.islice(itertools.chain([arguments], changed(arguments)), CHANGES):
            wanted = tool.fits(candidate) and why_not_storable(candidate) is None
            assert taken(contract, candidate) is wanted, (tool.name, candidate)

    judged()


def taken(contract: ToolContract, arguments: Any) -> bool:
    try:
        bound = contract.bind(arguments)
    except InvalidArguments:
        return False
    assert bound.canonical == arguments
    assert bound.parsed == arguments
    return True


def test_a_call_of_a_published_tool_runs_with_what_was_given() -> None:
    tool = next(one for one in ALL if str(one) == "git/git_log")
    ran: list[Any] = []
    flow = Workflow("git", model=ScriptedChatModel([call(tool.name, repo_path="/r", max_count=3)], forever="done"))
    flow.add_state("open").add_state("done", final=True).add_edge("open", imported(tool, ran), "done")

    flow.compile(destructive_in_memory=True).invoke(
        {"messages": [("user", "hello")]}, {"configurable": {"thread_id": "1"}}
    )

    assert ran == [{"repo_path": "/r", "max_count": 3}]


@given(st.data())
def test_no_argument_of_a_published_tool_is_lost_on_the_way(data: st.DataObject) -> None:
    tool = data.draw(st.sampled_from([one for one in ALL if one.server in {"github", "gitlab", "memory", "git"}]))
    arguments = data.draw(arguments_of(tool))
    if why_not_storable(arguments) is None:
        ran: list[Any] = []
        contract = imported(tool, ran)
        contract.call(contract.bind(arguments).parsed)
        assert ran == [arguments]
