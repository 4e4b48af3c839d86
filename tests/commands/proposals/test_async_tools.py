"""Async tools through the door: awaited, and by the synchronous methods, asked about or not."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa

from interlock import Pending, ToolContext, Workflow, command, read
from tests.commands.approvals.support import BEN, RULE, Home
from tests.commands.proposals.support import Door, code


@pytest.mark.parametrize("how", ["sync", "async"])
def test_async_tools_are_proposed_granted_and_carried_out(home: Home, how: str) -> None:
    ran: list[str] = []

    @read("note.get")
    async def get() -> str:
        """Look at the note."""
        await asyncio.sleep(0)
        return "note"

    @command("note.keep", effect="transactional")
    async def keep(text: str, ctx: ToolContext) -> str:
        """Keep a note."""
        await ctx.session.execute(sa.select(sa.literal(1)))
        ran.append(text)
        return text

    @command("note.send", effect="idempotent")
    async def send(text: str) -> str:
        """Send a note."""
        await asyncio.sleep(0)
        ran.append(text)
        return text

    flow = Workflow("notes").add_state("open", tools=[get, keep])
    flow.add_edge("open", send, "open", approval=RULE)
    desk = Door(home.compile(flow), how)
    desk.start()

    assert code(desk.propose("note.get")) == "ok"
    assert code(desk.propose("note.keep", key="k", text="kept")) == "ok"
    for number, look in enumerate((desk.proposal, lambda _asked: desk.tick())):
        asked = desk.propose("note.send", key=f"s-{number}", text=f"sent {number}")
        assert isinstance(asked, Pending)
        desk.graph.instances.decide(asked.pending.proposal_id, "approve", by=BEN)
        look(asked)
        assert code(desk.proposal(asked)) == "ok"
    assert ran == ["kept", "sent 0", "sent 1"]
