"""A workflow as an application writes it, with the types that a type checker is to know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_type

import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from interlock import (
    Approval,
    CommandResult,
    Effect,
    ErrorCode,
    ErrorResult,
    GuardView,
    InstanceSnapshot,
    Mode,
    Pending,
    Principal,
    ReadResult,
    ToolContext,
    ToolContract,
    Workflow,
    WorkflowGraph,
    command,
    parse_result,
    read,
)


class CaseData(BaseModel):
    """The data."""

    moves: int = 0


@read("case.get")
def get_case(case: str) -> str:
    """Look up one case."""
    return case


@command("case.move", effect="transactional")
def move(case: str, queue: str, ctx: ToolContext[CaseData]) -> int:
    """Move a case."""
    assert_type(ctx.data, CaseData)
    ctx.data.moves += 1
    return ctx.data.moves


@command("case.count", effect="transactional")
def count(ctx: ToolContext[CaseData]) -> int:
    """Count the cases."""
    assert_type(ctx.session, Session)
    return int(ctx.session.execute(sa.text("SELECT 1")).scalar_one())


@command("case.recount", effect="transactional")
async def recount(case: str, ctx: ToolContext[CaseData]) -> int:
    """Count the cases again, for one of them."""
    assert_type(ctx.async_session, AsyncSession)
    return int((await ctx.async_session.execute(sa.text("SELECT 1"))).scalar_one())


@command("case.close", effect=Effect.IDEMPOTENT)
async def close(case: str, ctx: ToolContext) -> str:
    """Close a case."""
    with ctx.before_effect():
        number = int(case)
    return f"case {number} is closed"


def may_move(view: GuardView[CaseData]) -> bool:
    """A guard with typed data."""
    assert_type(view.data, CaseData)
    assert_type(view.principal, Principal)
    return view.data.moves < 2


def is_member(view: GuardView) -> bool:
    """A guard without."""
    return view.principal.has_role("member")


def build() -> WorkflowGraph:
    """The whole workflow."""
    flow = Workflow("case", data=CaseData, mode=Mode.LIVE)
    assert_type(flow, Workflow[CaseData])
    flow.add_state("open", tools=[get_case]).add_state("closed", final=True)
    flow.add_edge("open", move, "open", guard=may_move)
    flow.add_edge("open", close, "closed", guard=is_member, approval=Approval(role="supervisor", within="24h"))
    flow.add_edge("open", count, "open", guard=lambda view: view.data.moves < 3)
    flow.add_edge("open", recount, "open", approval=Approval(when=lambda: True, edit=["case"]))
    return flow.compile(in_memory=True)


def roles() -> Sequence[Principal]:
    """Roles are any collection of texts."""
    return [
        Principal("a", roles={"member"}),
        Principal("b", roles=["member"]),
        Principal("c", roles=("member",)),
        Principal("d", roles=frozenset({"member"}), tenant="acme", attributes={"tier": "gold"}),
    ]


def run() -> str:
    """What a program does with it."""
    graph = build()
    (member, *_) = roles()
    started = graph.instances.start(principal=member, workflow_id="case-1")
    assert_type(started, InstanceSnapshot)

    answer = graph.instances.propose("case-1", move, {"case": "1", "queue": "a"}, principal=member, key="1")
    assert_type(answer, CommandResult | ReadResult | ErrorResult | Pending)
    if answer.ok is False:
        assert_type(answer.error.code, ErrorCode)
    if isinstance(answer, CommandResult):
        assert_type(answer.previous_state, str)
        assert_type(answer.output_as(move), int)
    result = parse_result(answer.to_json())
    assert_type(result, CommandResult | ReadResult | ErrorResult | None)

    snapshot = graph.instances.snapshot("case-1")
    assert_type(snapshot.next_allowed_tools, tuple[str, ...])
    assert_type(snapshot.data_as(CaseData), CaseData)

    config = {"configurable": {"thread_id": "t-1"}}
    assert_type(graph.invoke({"messages": [("user", "Hello")]}, config, context=member), dict[str, Any])
    assert_type(graph.instances.snapshot(config), InstanceSnapshot)
    return snapshot.state


def contracts() -> list[str]:
    """A contract keeps the signature of its function."""
    contract: ToolContract[[str], str] = get_case
    assert_type(contract.name, str)
    return [contract.name, move.name]
