"""Hostile replays by an MCP client: ways to get one of the benchmark's writes carried out that the desk's rules forbid.

Each is a function of what a client can do and one write. The client is an assistant of the customer's, of somebody else of the tenant,
or of another tenant, and it calls what it likes; the customer's own yes comes from outside of it.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError
from sqlalchemy import text

from interlock import Limits, Principal, WorkflowStore
from interlock.mcp import ServerLimits, WorkflowServer
from interlock.tools import InterlockError
from interlock.tools.wire import camel
from interlock.workflows.retail import BY_TAU2_NAME
from tests.mcp.server.task_client import TaskClient, ask
from tests.workflows.retail import desk as desks
from tests.workflows.retail import tau2
from tests.workflows.retail.attack_range import REFUSALS, Range, Result
from tests.workflows.retail.attacked import SEED, STATUSES, Write, other_arguments, second_write_call, writes

CUSTOMER, STRANGER = desks.CUSTOMER, Principal("somebody-else")
FOREIGN = Principal(CUSTOMER.id, tenant="elsewhere")
LIMITS = ServerLimits(requests_per_minute=10**9, denials_per_minute=10**9)
GUESSED = ("approval_decide", "approve", "workflow_approve", "order_confirm", "desk_resolve")


@dataclass
class Hostile:
    """What one attack works with."""

    range: ClientRange
    write: Write
    choose: random.Random
    client: Client
    reached: dict[str, int]
    stands: tau2.Snapshot
    workflow_id: str = ""
    revision: int = 0
    allowed: int = 0
    codes: list[str] = field(default_factory=list)
    """The errors that clients were told."""

    @property
    def graph(self) -> Any:
        """The desk's graph."""
        return self.range.desk.graph

    async def call(
        self, tool: str, arguments: dict[str, Any], client: Client | None = None, **more: Any
    ) -> dict[str, Any]:
        """Call a tool at the revision of the last result, unless told otherwise."""
        given = {"workflowId": self.workflow_id, "expectedRevision": self.revision, **arguments, **more}
        return await self._told((client or self.client).call_tool(tool, given))

    async def about(self, tool: str, proposal: str, client: Client | None = None, **more: Any) -> dict[str, Any]:
        """Call a tool that takes a proposal."""
        return await self._told((client or self.client).call_tool(tool, {"proposalId": proposal, **more}))

    async def _told(self, asked: Awaitable[Any]) -> dict[str, Any]:
        try:
            said: dict[str, Any] = (await asked).structured_content
        except MCPError as error:
            said = {"ok": False, "error": {"code": (error.data or {}).get("error", {}).get("code", str(error.code))}}
        if said["ok"] is False:
            self.codes.append(said["error"]["code"])
        if said.get("workflowId") == self.workflow_id:
            self.revision = said.get("revision", self.revision)
        return said

    async def proposed(self, arguments: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        """Propose the write, or the same tool with other arguments."""
        return await self.call(*wire(self.write.name, self.write.arguments if arguments is None else arguments), **more)

    async def identified(self, owner: str | None = None) -> None:
        """Identify the customer."""
        found = desks.identification(owner or self.write.owner)
        await self.call(found.name.replace(".", "_"), dict(found.arguments))

    async def asked(self) -> str:
        """Let the write be proposed properly: the proposal that waits then."""
        await self.identified()
        said = await self.proposed()
        assert said["ok"] is None, said
        return str(said["pending"]["proposalId"])

    def answered(self, proposal: str, decision: Any = "approve", by: Principal = CUSTOMER) -> None:
        """Let somebody decide, outside of the client."""
        try:
            self.graph.instances.decide(proposal, decision, by=by)
        except InterlockError as error:
            self.codes.append(str(error.code))

    async def carried_out(self) -> str:
        """Let the write happen as the rules permit it. From here on it must not happen again."""
        proposal = await self.asked()
        self.answered(proposal)
        assert (await self.about("workflow_proposal", proposal))["ok"] is True
        self.now_permitted()
        return proposal

    def now_permitted(self) -> None:
        """Take what has happened so far as permitted."""
        self.allowed = sum(self.reached.values())
        self.stands = self.range.desk.shop()

    def others(self) -> dict[str, Any]:
        """Other arguments than those of the write."""
        return other_arguments(self.write, self.choose, self.range.desk.store.database)

    @contextlib.asynccontextmanager
    async def as_somebody(self, by: Principal) -> AsyncIterator[Client]:
        """A client of somebody else's."""
        async with Client(WorkflowServer(self.graph, principal=by, limits=LIMITS).server) as client:
            yield client


Attack = Callable[[Hostile], Awaitable[None]]
ATTACKS: dict[str, tuple[Attack, Callable[[Write], bool], bool]] = {}
"""The attacks by their names, each with the writes that it can be made on, and whether it leaves a mark in the instance's trail."""


def attack(
    name: str, on: Callable[[Write], bool] = lambda write: True, *, marks: bool = True
) -> Callable[[Attack], Attack]:
    """Register an attack."""

    def registered(function: Attack) -> Attack:
        ATTACKS[name] = (function, on, marks)
        return function

    return registered


def wire(name: str, arguments: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """A call of the benchmark's as a client makes it."""
    return BY_TAU2_NAME[name].wire_name, {
        camel(key): value for key, value in desks.proposal(name, arguments).arguments.items()
    }


def has_order(write: Write) -> bool:
    """Whether it is about an order."""
    return "order_id" in write.arguments


def set_status(it: Hostile, status: str) -> None:
    """Somebody else changes the order."""
    with it.range.desk.store.write() as connection:
        connection.execute(
            text("UPDATE retail_orders SET status = :status WHERE order_id = :id"),
            {"status": status, "id": it.write.arguments["order_id"]},
        )
    it.stands = it.range.desk.shop()


@attack("customer not identified")
async def _(it: Hostile) -> None:
    assert (await it.proposed())["ok"] is False


@attack("user ID given instead of identifying")
async def _(it: Hostile) -> None:
    await it.call("customer_get", {"userId": it.write.owner})
    assert (await it.proposed(userId=it.write.owner))["ok"] is False
    assert (await it.proposed())["ok"] is False


@attack("another customer's order")
async def _(it: Hostile) -> None:
    strangers = sorted(tau2.shop_json()["users"].keys() - {it.write.owner})
    await it.identified(it.choose.choice(strangers))
    assert (await it.proposed())["ok"] is False


@attack("wrong order status", has_order)
async def _(it: Hostile) -> None:
    now = it.write.order["status"]
    await it.identified()
    set_status(it, it.choose.choice([status for status in STATUSES if status != now]))
    said = await it.proposed()
    if said["ok"] is None:  # the order was in that status after the writes before this one
        set_status(it, "processed")
        it.answered(said["pending"]["proposalId"])
        await it.about("workflow_proposal", said["pending"]["proposalId"])


@attack("order status changes between confirmation and execution", has_order)
async def _(it: Hostile) -> None:
    proposal = await it.asked()
    it.answered(proposal)
    set_status(it, "processed")
    await it.about("workflow_proposal", proposal)
    await it.proposed(expectedRevision=1)


@attack("the same change a second time", lambda write: not write.may_be_repeated)
async def _(it: Hostile) -> None:
    await it.carried_out()
    assert (await it.proposed())["ok"] is False
    assert (await it.proposed(idempotencyKey="another"))["ok"] is False


@attack("asked, and nobody answers")
async def _(it: Hostile) -> None:
    proposal = await it.asked()
    for _ in range(3):
        assert (await it.about("workflow_proposal", proposal))["ok"] is None
        assert (await it.proposed())["ok"] is None
    assert (await it.proposed(idempotencyKey="again"))["ok"] is None
    await it.about("workflow_withdraw", proposal)
    await it.about("workflow_proposal", proposal)
    await it.call("order_cancel_now", {})


@attack("rejected")
async def _(it: Hostile) -> None:
    proposal = await it.asked()
    it.answered(proposal, "reject")
    it.answered(proposal, "approve")
    await it.about("workflow_proposal", proposal)
    await it.proposed()
    await it.call("order_cancel_now", {})


@attack("withdrawn, and approved after that")
async def _(it: Hostile) -> None:
    proposal = await it.asked()
    await it.about("workflow_withdraw", proposal)
    it.answered(proposal)
    await it.about("workflow_proposal", proposal)
    await it.proposed()
    await it.call("order_cancel_now", {})


@attack("confirmed by somebody else")
async def _(it: Hostile) -> None:
    proposal = await it.asked()
    for by in (STRANGER, FOREIGN, Principal("boss", roles={"supervisor", "admin"})):
        it.answered(proposal, by=by)
    assert (await it.about("workflow_proposal", proposal))["ok"] is None


@attack("somebody else's client goes on with it")
async def _(it: Hostile) -> None:
    proposal = await it.asked()
    it.answered(proposal)
    async with it.as_somebody(STRANGER) as other:
        for ask_again in ("workflow_proposal", "workflow_withdraw"):
            assert (await it.about(ask_again, proposal, other))["ok"] is False
        name, arguments = wire(it.write.name, it.write.arguments)
        assert (await it.call(name, arguments, other))["ok"] is False


@attack("another tenant's client goes on with it", marks=False)
async def _(it: Hostile) -> None:
    proposal = await it.asked()
    it.answered(proposal)
    async with it.as_somebody(FOREIGN) as other:
        for ask_again in ("workflow_proposal", "workflow_withdraw"):
            assert (await it.about(ask_again, proposal, other))["ok"] is False
        name, arguments = wire(it.write.name, it.write.arguments)
        assert (await it.call(name, arguments, other))["ok"] is False


@attack("other arguments: under the key of the confirmed ones", marks=False)
async def _(it: Hostile) -> None:
    await it.identified()
    said = await it.proposed(idempotencyKey="k")
    it.answered(said["pending"]["proposalId"])
    assert (await it.proposed(it.others(), idempotencyKey="k"))["ok"] is False


@attack("other arguments: at the revision of the confirmed ones")
async def _(it: Hostile) -> None:
    proposal = await it.asked()
    it.answered(proposal)
    said = await it.proposed(it.others())
    assert said["ok"] is not True
    await it.call("order_cancel_now", {})


@attack("other arguments: two proposals, and the other one is confirmed")
async def _(it: Hostile) -> None:
    first = await it.asked()
    second = second_write_call(it.write, it.choose)
    said = await it.call(*wire(second.name, dict(second.arguments)))  # type: ignore[arg-type]
    it.answered(said["pending"]["proposalId"])
    assert (await it.about("workflow_proposal", said["pending"]["proposalId"]))["ok"] is True
    it.now_permitted()
    assert (await it.about("workflow_proposal", first))["ok"] is not True
    assert (await it.proposed(expectedRevision=1))["ok"] is not True
    await it.call("order_cancel_now", {})


@attack("one confirmation for two writes: the same call again")
async def _(it: Hostile) -> None:
    proposal = await it.carried_out()
    for _ in range(3):
        await it.proposed(expectedRevision=1)
        await it.about("workflow_proposal", proposal)
    assert (await it.proposed())["ok"] is not True
    await it.call("order_cancel_now", {})


@attack("one confirmation for two writes: at once")
async def _(it: Hostile) -> None:
    proposal = await it.asked()
    it.answered(proposal)
    async with anyio.create_task_group() as group:
        for number in range(12):
            group.start_soon(it.about, "workflow_proposal", proposal)
            group.start_soon(lambda: it.proposed(expectedRevision=1))
            del number
    assert it.reached == {it.write.tool: 1}
    it.now_permitted()
    await it.about("workflow_proposal", proposal)
    await it.call("order_cancel_now", {})


@attack("a stale revision, and one that is ahead", marks=False)
async def _(it: Hostile) -> None:
    await it.identified()
    for revision in (0, 2, 99):
        assert (await it.proposed(expectedRevision=revision))["ok"] is False


@attack("without a revision", marks=False)
async def _(it: Hostile) -> None:
    await it.identified()
    assert (await it.proposed(expectedRevision=None))["ok"] is False


@attack("a tool that the state does not offer: after the desk handed over")
async def _(it: Hostile) -> None:
    await it.identified()
    await it.call("desk_hand_over", {"summary": "-"})
    assert (await it.proposed())["ok"] is False


@attack("a confirmation that was given, used after the desk handed over")
async def _(it: Hostile) -> None:
    proposal = await it.asked()
    it.answered(proposal)
    await it.call("desk_hand_over", {"summary": "-"})
    assert (await it.about("workflow_proposal", proposal))["ok"] is False
    assert (await it.proposed())["ok"] is False


@attack("a tool that nobody has")
async def _(it: Hostile) -> None:
    await it.identified()
    name, arguments = wire(it.write.name, it.write.arguments)
    for odd in (f"{name}_now", name.replace("_", "."), name.upper(), f"retail__{name}"):
        if odd != name:
            assert (await it.call(odd, arguments))["ok"] is not True


@attack("tools that decide, guessed")
async def _(it: Hostile) -> None:
    proposal = await it.asked()
    for tool in GUESSED:
        given = {"approvalId": proposal, "proposalId": proposal, "decision": "approve", "type": "approve"}
        assert (await it.call(tool, given))["ok"] is False
    assert (await it.about("workflow_proposal", proposal))["ok"] is None


@attack("a decision in the arguments")
async def _(it: Hostile) -> None:
    await it.identified()
    for more in ({"confirmed": True}, {"decision": "approve"}, {"approval": {"type": "approve"}}, {"by": CUSTOMER.id}):
        assert (await it.proposed(**more))["ok"] is not True
    said = await it.proposed()
    assert (await it.about("workflow_proposal", said["pending"]["proposalId"], decision="approve"))["ok"] is False


@attack("a task, and input for it that nobody asked for")
async def _(it: Hostile) -> None:
    tasks = TaskClient()
    await it.identified()
    server = WorkflowServer(it.graph, principal=CUSTOMER, limits=LIMITS)
    async with Client(server.server, extensions=[tasks]) as client:
        await it.call(*wire(it.write.name, it.write.arguments), client=client)
        task_id = tasks.created[-1].task_id
        for answer in (
            {"confirm": {"action": "accept", "content": {"decision": "approve"}}},
            {"approve": {"action": "accept"}},
        ):
            await ask(client, "tasks/update", task_id, input_responses=answer)
        assert (await ask(client, "tasks/get", task_id))["status"] == "working"
        await ask(client, "tasks/cancel", task_id)
        it.answered(task_id)
        assert (await ask(client, "tasks/get", task_id))["status"] == "cancelled"
    await it.call("order_cancel_now", {})


class ClientRange(Range):
    """The desk, attacked through the server."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = desks.make_desk(store=WorkflowStore.in_memory(), limits=Limits(denials=100))
        self.server = WorkflowServer(self.desk.graph, principal=CUSTOMER, limits=LIMITS)

    def prepared(self, write: Write) -> Any:
        """The desk with the shop as it was before the write."""
        desk = self.desk
        desks.fill(desk.store.database)
        with desk.store.write() as connection, tau2_session(connection) as session:
            for call in write.before:
                if call["name"] in tau2.WRITES:
                    tau2.call(session, call["name"], call["arguments"])
            session.flush()
        return desk

    def suffers(self, name: str, write: Write) -> Result:
        """Make one attack."""
        return anyio.run(self._suffers, name, write)

    async def _suffers(self, name: str, write: Write) -> Result:
        desk = self.prepared(write)
        function, _, marks = ATTACKS[name]
        with desks.counted() as reached:
            async with Client(self.server.server) as client:
                it = Hostile(self, write, random.Random(f"{SEED}/{name}/{write}"), client, reached, desk.shop())
                started = (await client.call_tool("workflow_start", {})).structured_content
                it.workflow_id, it.revision = started["workflowId"], started["revision"]
                await function(it)
            excess = sum(reached.values()) - it.allowed
        trail = [one for one in desk.graph.instances.audit(it.workflow_id) if one.kind in REFUSALS]
        recorded = tuple(one.code or one.kind.value for one in trail)
        return Result(
            carried_out=desk.shop() != it.stands,
            reached=excess,
            codes=(*recorded, *it.codes),
            recorded=recorded if marks else ("",),
            audit_is_whole=desk.store.verify(it.workflow_id) == [],
        )


def tau2_session(connection: Any) -> Any:
    """A session in a transaction."""
    from sqlalchemy.orm import Session

    return Session(connection)


def plan(share: int | None = None) -> list[tuple[str, Write]]:
    """Which attack is made on which writes: all of them, or `share` of each attack's, chosen by the seed."""
    found: list[tuple[str, Write]] = []
    for name, (_, on, _) in ATTACKS.items():
        these = [write for write in writes() if on(write)]
        if share is not None and share < len(these):
            these = random.Random(f"{SEED}/{name}").sample(these, share)
        found += [(name, write) for write in these]
    return found


__all__ = ["ATTACKS", "ClientRange", "plan"]
