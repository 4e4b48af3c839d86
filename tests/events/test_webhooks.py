"""Webhooks: signed, sent once for each event that arrives, sent again until they arrive, and never in the relay's way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
import standardwebhooks

from interlock import Approval, Principal, SQLCheckpointer, Workflow, WorkflowGraph, WorkflowStore, command
from interlock.checkpointing.tables.workflow import outbox, webhooks
from interlock.events import InProcessBus, Relay
from interlock.events.webhooks import Sent, Webhook, Webhooks
from interlock.events.webhooks.sender import PAUSES
from interlock.serving import service
from interlock.tools import InputError

KIM = Principal("kim")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
URL = "https://hooks.example/interlock?token=t0k3n"


class Receiver:
    """What listens at the address."""

    def __init__(self) -> None:
        self.got: list[httpx.Request] = []
        self.answer: Callable[[], httpx.Response] = lambda: httpx.Response(204)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.got.append(request)
        return self.answer()

    def webhooks(self, graph: WorkflowGraph, *hooks: Webhook) -> Webhooks:
        client = httpx.AsyncClient(transport=httpx.MockTransport(self))
        return Webhooks(graph.engine.store, hooks or (Webhook(URL, SECRET),), client=client)


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


class Time:
    """The database's clock, set by the test."""

    def __init__(self) -> None:
        self.now = 1_900_000_000_000_000


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def graph(tmp_path: Path, time: Time) -> Iterator[WorkflowGraph]:
    @command("order.refund", effect="transactional")
    def refund(order_id: str) -> str:
        """Refund an order."""
        return order_id

    flow = Workflow("desk", notify=True).add_state("open")
    flow.add_edge("open", refund, "open", approval=Approval(role="supervisor", within="1h"))
    saver = SQLCheckpointer(f"sqlite:///{tmp_path / 'desk.db'}")
    store = WorkflowStore(saver.database, clock=lambda connection: time.now)
    yield flow.compile(saver, workflow_store=store)
    saver.close()


def ask(graph: WorkflowGraph, key: str = "k-1") -> str:
    begun = graph.instances.start(principal=KIM)
    answer = graph.instances.propose(begun.workflow_id, "order.refund", {"orderId": "W-7"}, principal=KIM, key=key)
    assert answer.ok is None
    return answer.pending.proposal_id


def no_route() -> httpx.Response:
    raise httpx.ConnectError("no route to t0k3n")


async def relayed(graph: WorkflowGraph, told: Webhooks) -> None:
    """Publish the outbox on a bus that the webhooks are subscribed to."""
    bus = InProcessBus()
    async with bus.subscribe(told.names, told.take, consumer=told.consumer):
        await Relay(graph.engine.store, bus).drain()


def rows(graph: WorkflowGraph) -> list[Any]:
    with graph.engine.store.read() as connection:
        return [*connection.execute(sa.select(webhooks))]


async def test_the_receiver_can_tell_who_sends_and_that_nothing_was_changed(
    graph: WorkflowGraph, receiver: Receiver
) -> None:
    approval_id = ask(graph)
    told = receiver.webhooks(graph, Webhook(URL, (OTHER, SECRET)))
    await relayed(graph, told)
    assert receiver.got == []  # the relay only had it noted
    assert await told.deliver_due() == Sent(delivered=1)
    (request,) = receiver.got
    for secret in (SECRET, OTHER):
        event = standardwebhooks.Webhook(secret).verify(request.content, dict(request.headers))
    assert event["eventName"] == "interlock.somebody.needed.v1"
    assert (event["reason"], event["approvalId"], event["role"]) == ("approval", approval_id, "supervisor")
    assert request.headers["webhook-id"] == event["eventId"]
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(SECRET).verify(request.content + b" ", dict(request.headers))


async def test_an_event_that_comes_again_is_sent_once(graph: WorkflowGraph, receiver: Receiver) -> None:
    ask(graph)
    told = receiver.webhooks(graph)
    await relayed(graph, told)
    with graph.engine.store.write() as connection:
        connection.execute(outbox.update().values(status="pending"))
    await relayed(graph, told)
    await told.deliver_due()
    with graph.engine.store.write() as connection:
        connection.execute(outbox.update().values(status="pending"))
    await relayed(graph, told)
    await told.deliver_due()
    assert len(receiver.got) == 1


async def test_two_senders_send_it_once(graph: WorkflowGraph, receiver: Receiver) -> None:
    ask(graph)
    one, other = receiver.webhooks(graph), receiver.webhooks(graph)
    await relayed(graph, one)
    await asyncio.gather(one.deliver_due(), other.deliver_due())
    assert len(receiver.got) == 1


async def test_what_does_not_arrive_is_sent_again_with_growing_pauses_and_given_up_in_the_end(
    graph: WorkflowGraph, receiver: Receiver, time: Time
) -> None:
    ask(graph)
    told = receiver.webhooks(graph)
    receiver.answer = lambda: httpx.Response(503)
    await relayed(graph, told)
    for pause in PAUSES:
        assert await told.deliver_due() == Sent(retrying=1)
        assert await told.deliver_due() == Sent()  # not yet
        (row,) = rows(graph)
        assert 0.8 * pause <= (row.next_attempt_at - time.now) / 1_000_000 <= 1.2 * pause
        time.now = row.next_attempt_at
    assert await told.deliver_due() == Sent(dead=1)
    (row,) = rows(graph)
    assert (row.status, row.error, row.attempts) == ("dead", "it answered 503", len(PAUSES) + 1)
    assert len({one.headers["webhook-id"] for one in receiver.got}) == 1


async def test_a_sender_that_died_is_followed_by_another_one(
    graph: WorkflowGraph, receiver: Receiver, time: Time
) -> None:
    ask(graph)
    told = receiver.webhooks(graph)
    await relayed(graph, told)
    told._taken(graph.engine.store)  # and no more is heard of it
    assert await told.deliver_due() == Sent()
    time.now += 60_000_000
    assert await told.deliver_due() == Sent(delivered=1)


@pytest.mark.parametrize(
    ("answer", "came_to"),
    [
        (lambda: httpx.Response(410), Sent(dead=1)),
        (lambda: httpx.Response(302, headers={"Location": "https://elsewhere.example"}), Sent(retrying=1)),
        (no_route, Sent(retrying=1)),
    ],
)
async def test_what_an_answer_comes_to(graph: WorkflowGraph, receiver: Receiver, answer: Any, came_to: Sent) -> None:
    ask(graph)
    told = receiver.webhooks(graph)
    receiver.answer = answer
    await relayed(graph, told)
    assert await told.deliver_due() == came_to
    assert len(receiver.got) == 1
    assert "t0k3n" not in str(rows(graph)[0].error)


async def test_a_receiver_that_never_answers_holds_up_nobody_else(graph: WorkflowGraph, receiver: Receiver) -> None:
    ask(graph)
    never = asyncio.Event()

    async def hang(request: httpx.Request) -> httpx.Response:
        if request.url.host == "slow.example":
            await never.wait()
        return await receiver(request)

    client = httpx.AsyncClient(transport=httpx.MockTransport(hang))
    slow = Webhook("https://slow.example", SECRET, name="slow", timeout=0.05)
    told = Webhooks(graph.engine.store, [slow, Webhook(URL, SECRET)], client=client)
    await relayed(graph, told)
    assert await told.deliver_due() == Sent(delivered=1, retrying=1)


async def test_a_body_of_its_own_for_a_service_that_wants_one(graph: WorkflowGraph, receiver: Receiver) -> None:
    ask(graph)
    told = receiver.webhooks(graph, Webhook(URL, SECRET, render=lambda event: {"text": event.fields["reason"]}))
    await relayed(graph, told)
    await told.deliver_due()
    assert json.loads(receiver.got[0].content) == {"text": "approval"}


async def test_what_was_erased_meanwhile_is_not_sent(graph: WorkflowGraph, receiver: Receiver) -> None:
    ask(graph)
    told = receiver.webhooks(graph)
    await relayed(graph, told)
    with graph.engine.store.write() as connection:
        connection.execute(outbox.delete())
    assert await told.deliver_due() == Sent()
    assert receiver.got == []


@pytest.mark.parametrize(
    ("url", "secret", "name"),
    [
        ("http://hooks.example", SECRET, "a"), ("ftp://hooks.example", SECRET, "a"), ("https://", SECRET, "a"), (URL, "", "a"),
        (URL, "whsec_", "a"), (URL, (), "a"), (URL, SECRET, "a b"), (URL, SECRET, ""),
    ],
)  # fmt: skip
def test_a_webhook_that_cannot_work_is_refused_at_once(url: str, secret: Any, name: str) -> None:
    with pytest.raises(InputError):
        Webhook(url, secret, name)


def test_neither_the_secret_nor_a_token_in_the_address_is_printed() -> None:
    shown = repr(Webhook(URL, SECRET))
    assert SECRET not in shown
    assert "t0k3n" not in shown


async def test_what_was_given_up_is_seen_in_the_console_and_tried_again(
    graph: WorkflowGraph, receiver: Receiver
) -> None:
    ask(graph)
    told = receiver.webhooks(graph)
    receiver.answer = lambda: httpx.Response(410)
    await relayed(graph, told)
    await told.deliver_due()
    operator = Principal("olga", roles=frozenset({"operator"}))
    app = httpx.ASGITransport(service(graph, principal=lambda request: operator))
    async with httpx.AsyncClient(transport=app, base_url="http://testserver") as client:
        page = await client.get("/console/attention")
        assert "the webhook webhook" in page.text
        assert "it answered 410" in (await client.get("/console/events?status=dead")).text
        again = await client.post(f"/v1/events/{rows(graph)[0].event_id}/retry")
        assert again.json() == {"requeued": 1}
    receiver.answer = lambda: httpx.Response(204)
    assert await told.deliver_due() == Sent(delivered=1)
