"""An event that nobody can take in is kept where a person sees it, and neither comes again for ever nor keeps others waiting."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import BaseModel

from interlock import Event, SQLCheckpointer, Workflow, command
from interlock.checkpointing.store import inbox as inbox_rows
from interlock.checkpointing.store.inbox import InboxStatus
from interlock.events.bus import Message
from interlock.operations import Deliveries
from interlock.operations.event_service import handler_of
from interlock.tools.errors import StoreUnavailable, WorkflowDefinitionError
from tests.cli.support import run

NAME = "parcel.delivered.v1"


class ParcelDelivered(Event, name="parcel.delivered", version=1):
    """A parcel was delivered."""

    weight: int


class Data(BaseModel):
    weight: int = 0


class Broken(Exception):
    """What an application's code may raise: not even its text can be stored."""

    def __str__(self) -> str:
        return "half \ud800 and \0"


def weigh(data: Data, event: ParcelDelivered) -> None:
    if event.weight == 13:
        raise Broken
    if event.weight == 14:
        raise RecursionError
    data.weight = 10**400 if event.weight == 15 else event.weight


@command("parcel.send", effect="transactional")
def send() -> str:
    """Send the parcel."""
    return "sent"


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'parcels.db'}"
    return str(request.getfixturevalue({"postgresql": "postgres_database", "mysql": "mysql_database"}[request.param]))


def workflow(**wait: Any) -> Workflow:
    flow = Workflow("parcels", data=Data)
    flow.add_state("open")
    flow.add_state("closed", final=True)
    flow.add_state("overdue", final=True)
    flow.add_edge("open", send, "sent")
    rule = {"for_event": ParcelDelivered, "then": "closed", "apply": weigh, "within": "2h", "on_timeout": "overdue"}
    flow.add_wait("sent", **{**rule, **wait})
    return flow


class Post:
    """A workflow, and what comes to it."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.handle = handler_of(Deliveries(graph))

    def thread(self, number: int) -> str:
        config = {"configurable": {"thread_id": f"t-{number}", "workflow_id": f"wf_{number}"}}
        self.graph.invoke({"messages": []}, config)
        return f"wf_{number}"

    def send(self, workflow_id: str) -> None:
        assert self.graph.instances.execute(workflow_id, send, {})["ok"] is True

    def receive(self, body: bytes) -> None:
        """What a broker does with one message; what raises here comes again."""
        message = Message(NAME, "e", "wf", "tr", body, {})
        asyncio.run(self.handle(message))  # type: ignore[arg-type]

    def state(self, workflow_id: str) -> str:
        return str(self.graph.instances.get(workflow_id).state)

    def inbox(self, status: InboxStatus) -> list[Any]:
        with self.graph.engine.store.read() as connection:
            return inbox_rows.listing(connection, status=status)


@pytest.fixture
def post(url: str) -> Iterator[Post]:
    with SQLCheckpointer(url) as saver:
        yield Post(workflow().compile(saver))


def event(workflow_id: str, event_id: str, **changed: Any) -> dict[str, Any]:
    return {
        "eventName": NAME,
        "eventId": event_id,
        "occurredAt": "2024-01-01T00:00:00Z",
        "traceId": "tr",
        "workflowId": workflow_id,
        "metadata": {"source": "/post"},
        "weight": 5,
        **changed,
    }


def poison(workflow_id: str) -> dict[str, bytes]:
    """Bodies that cannot be taken in, by what is wrong with them."""

    def written(**changed: Any) -> bytes:
        return json.dumps(event(workflow_id, "poison", **changed)).encode()

    whole = written()
    return {
        "no JSON": b"\xff\xfe\x00",
        "empty": b"",
        "a list": b"[1]",
        "deep": whole[:-1] + b', "deep": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "a huge number": whole[:-1] + b', "number": ' + b"9" * 5_000 + b"}",
        "not a number": whole[:-1] + b', "number": NaN}',
        "half a surrogate pair": whole.replace(b'"tr"', b'"\\ud800"'),
        "NUL": written(eventId="poi\0son"),
        "before the year 1": written(occurredAt="0001-01-01T00:00:00+14:00"),
        "after the year 9999": written(occurredAt="9999-12-31T23:59:59-14:00"),
        "an id that is too long": written(eventId="x" * 10_000),
        "apply raises": written(weight=13),
        "apply recurses": written(weight=14),
        "apply leaves what cannot be kept": written(weight=15),
        "a newer shape": written(weight={"grams": 5}),
        "huge and unreadable": b"x" * 20_000_000,
        "huge": whole[:-1] + b', "pad": "' + b"x" * 20_000_000 + b'", "weight": {}}',
    }


@pytest.mark.parametrize("kind", list(poison("")))
def test_poison_is_kept_and_the_next_event_is_taken(kind: str, post: Post) -> None:
    workflow_id = post.thread(1)
    post.send(workflow_id)

    for _ in range(2):  # it may well come again
        post.receive(poison(workflow_id)[kind])
    kept = [one for status in (InboxStatus.FAILED, InboxStatus.UNMATCHED) for one in post.inbox(status)]
    assert len(kept) == 1
    assert post.state(workflow_id) == "sent"

    post.receive(json.dumps(event(workflow_id, "good")).encode())
    assert post.state(workflow_id) == "closed"


def test_of_a_long_message_that_is_no_event_the_beginning_is_kept(post: Post) -> None:
    post.receive(b"x" * 20_000_000)

    (kept,) = post.inbox(InboxStatus.FAILED)
    assert json.loads(kept.envelope)["bytes"] == 20_000_000
    assert len(kept.envelope) < 100_000


def test_a_database_that_is_away_says_nothing_about_an_event(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(Deliveries, "deliver", away)
    with pytest.raises(StoreUnavailable):
        post.receive(json.dumps(event("wf_1", "good")).encode())


@pytest.mark.parametrize("weight", [13, 14, 15])
def test_poison_that_came_early_does_not_keep_the_workflow_from_its_wait(weight: int, post: Post) -> None:
    workflow_id = post.thread(1)
    post.receive(json.dumps(event(workflow_id, "early", weight=weight)).encode())
    assert len(post.inbox(InboxStatus.KEPT)) == 1

    post.send(workflow_id)

    assert (post.state(workflow_id), len(post.inbox(InboxStatus.FAILED))) == ("sent", 1)
    assert post.graph.engine.store.verify(workflow_id) == []
    post.receive(json.dumps(event(workflow_id, "good")).encode())
    assert post.state(workflow_id) == "closed"


@pytest.mark.parametrize("early", [True, False])
def test_a_wait_takes_events_of_the_sources_that_it_trusts(early: bool, url: str) -> None:
    with SQLCheckpointer(url) as saver:
        post = Post(workflow(sources=["/post"]).compile(saver))
        workflow_id = post.thread(1)
        if not early:
            post.send(workflow_id)
        for number, source in enumerate(["/evil", "/post/", "", None]):
            metadata = {} if source is None else {"source": source}
            post.receive(json.dumps(event(workflow_id, f"e-{number}", metadata=metadata)).encode())
        if early:
            post.send(workflow_id)
        assert (post.state(workflow_id), len(post.inbox(InboxStatus.UNMATCHED))) == ("sent", 4)
        post.receive(json.dumps(event(workflow_id, "good")).encode())
        assert post.state(workflow_id) == "closed"


def test_a_wait_that_trusts_nobody_is_refused() -> None:
    with pytest.raises(WorkflowDefinitionError, match="trusts no source"):
        workflow(sources=[]).compile()


def test_the_inbox_is_trimmed_of_all_that_is_over_and_of_what_is_kept_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "parcels.db"
    with SQLCheckpointer(f"sqlite:///{path}") as saver:
        post = Post(workflow().compile(saver))
        taken, waits = post.thread(1), post.thread(2)
        post.send(taken)
        for body in (event(taken, "taken"), event("nobody", "unmatched"), event(waits, "kept"), event(taken, "late")):
            post.receive(json.dumps(body).encode())
        post.receive(b"no event")
        with post.graph.engine.store.write() as connection:
            connection.execute(sa.text("UPDATE workflow_inbox SET received_at = 0, settled_at = 0"))

    trim = ("events", "trim", "--older-than", "1s", "--db", str(path), "--json")
    assert json.loads(run(*trim).stdout)["taken"] == 4
    assert json.loads(run(*trim, "--kept").stdout)["taken"] == 1
