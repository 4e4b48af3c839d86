"""`interlock events`, `relay` and `subscribe`: what got stuck is seen, and what to do about it is one command."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from interlock.checkpointing.store import outbox
from interlock.tools.errors import PublishRefused
from tests.cli.support import lines, run, run_apart
from tests.events.support import Answered, Asked, Desk, Recording, envelope, relayed, waiting_flow


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'events.db'}"


@pytest.fixture
def desk(url: str) -> Iterator[Desk]:
    made = Desk(waiting_flow(), url, None)
    yield made
    made.close()


def relay_all(desk: Desk, refuse: bool = False) -> None:
    bus = Recording(lambda _: PublishRefused("too large") if refuse else None)
    asyncio.run(relayed(desk.store, bus, attempts=1).drain())


def test_list_shows_both_ways_and_filters(desk: Desk, url: str) -> None:
    workflow_id = desk.ask()
    desk.deliveries.deliver(envelope(Answered(), workflow_id, event_id="in-1"))
    desk.deliveries.deliver(envelope(Answered(), "wf_unknown", event_id="in-2"))

    found = lines(run("events", "list", "--db", url, "--json").stdout)
    assert [(one["box"], one["status"]) for one in found] == [("out", "pending"), ("in", "unmatched"), ("in", "taken")]
    (one,) = lines(run("events", "list", "--db", url, "--status", "unmatched", "--json").stdout)
    assert one["eventId"] == "in-2"
    assert "wf_unknown" in one["note"]
    (out,) = lines(run("events", "list", "--db", url, "--box", "out", "--instance", workflow_id, "--json").stdout)
    assert out["eventName"] == Asked.name_on_wire
    table = run("events", "list", "--db", url)
    assert table.exit_code == 0
    assert "unmatched" in table.stdout


def test_list_of_a_status_that_is_none_says_which_there_are(desk: Desk, url: str) -> None:
    desk.store.setup()
    result = run("events", "list", "--db", url, "--status", "lost")

    assert result.exit_code == 2
    assert "unmatched" in result.output


@pytest.mark.parametrize("by", ["trace", "event", "instance"])
def test_show_follows_a_trace_from_the_tool_call_to_the_workflow_it_woke(desk: Desk, url: str, by: str) -> None:
    workflow_id = desk.ask()
    relay_all(desk)
    instance = desk.store.get(workflow_id)
    with desk.store.read() as connection:
        (sent,) = outbox.listing(connection)
    desk.deliveries.deliver(envelope(Answered(), workflow_id, event_id="in-1"))
    reference = {"trace": instance.trace_id, "event": sent.event_id, "instance": workflow_id}[by]

    hops = lines(run("events", "show", reference, "--db", url, "--json").stdout)

    assert {hop["kind"] for hop in hops} >= {"started", "tool", "emitted", "waits", "published", "counted", "moved"}
    assert [hop["at"] for hop in hops] == sorted(hop["at"] for hop in hops)
    assert run("events", "show", reference, "--db", url).exit_code == 0


def test_show_of_something_unknown_is_exit_code_1(desk: Desk, url: str) -> None:
    desk.store.setup()
    assert run("events", "show", "trace_nothing", "--db", url).exit_code == 1


def test_retry_puts_dead_events_back(desk: Desk, url: str) -> None:
    desk.ask("t-1")
    desk.ask("t-2")
    relay_all(desk, refuse=True)
    dead = lines(run("events", "list", "--db", url, "--status", "dead", "--json").stdout)
    assert {one["error"] for one in dead} == {"too large"}

    assert json.loads(run("events", "retry", dead[0]["eventId"], "--db", url, "--json").stdout)["requeued"] == 1
    assert json.loads(run("events", "retry", "--dead", "--db", url, "--json").stdout)["requeued"] == 1
    relay_all(desk)

    assert {one["status"] for one in lines(run("events", "list", "--db", url, "--json").stdout)} == {"published"}
    assert run("events", "retry", "--dead", "--db", url).exit_code == 1
    assert run("events", "retry", "--db", url).exit_code == 2


def test_retry_delivers_an_event_of_the_inbox_again(url: str) -> None:
    early = Desk(waiting_flow("other"), url, None)
    workflow_id = early.ask()
    # As if it had come while an older version of the workflow ran, which expected no such event.
    Desk(waiting_flow("other", for_event=Asked), early.store.database, None).deliveries.deliver(
        envelope(Answered(), workflow_id, event_id="in-1")
    )

    result = run(
        "events", "retry", "in-1", "--db", url, "--app", "tests.cli.test_events:other_flow", "--json"
    )  # fmt: skip

    assert json.loads(result.stdout)["delivered"] == [{"eventId": "in-1", "status": "taken", "note": None}]
    assert early.state(workflow_id) == "answered"
    early.close()


def other_flow() -> Any:
    return waiting_flow("other")


def test_trim_deletes_what_is_old_and_done(desk: Desk, url: str) -> None:
    desk.ask()
    relay_all(desk)
    desk.ask("t-2")

    kept = json.loads(run("events", "trim", "--older-than", "1h", "--db", url, "--json").stdout)
    assert kept == {"published": 0, "taken": 0, "waits": 0}
    desk.store.wait_until(lambda: False, 0.01)
    trimmed = json.loads(run("events", "trim", "--older-than", "0.001s", "--db", url, "--json").stdout)

    assert trimmed["published"] == 1
    assert [one["status"] for one in lines(run("events", "list", "--db", url, "--json").stdout)] == ["pending"]


def test_export_and_check_tell_a_breaking_change(tmp_path: Path) -> None:
    # In a process of its own: what is exported is every event that a process knows, and these tests define many.
    app = ("--app", "interlock.workflows.engagement:engagement_workflow")
    assert run_apart("events", "export", "schemas", *app, cwd=tmp_path)[0] == 0
    assert run_apart("events", "check", "schemas", *app, cwd=tmp_path)[0] == 0

    exported = tmp_path / "schemas" / "engagement.message.requested.v1.json"
    schema = json.loads(exported.read_text())
    schema["properties"]["priority"] = {"type": "integer"}
    exported.write_text(json.dumps(schema))
    code, told, _ = run_apart("events", "check", "schemas", *app, "--json", cwd=tmp_path)

    assert code == 1
    assert json.loads(told)["breaking"] == {"engagement.message.requested.v1": ["priority: was removed"]}
    assert "new version" in run_apart("events", "check", "schemas", *app, cwd=tmp_path)[1]


def test_relay_once_to_a_broker_that_is_away_says_try_again(desk: Desk, url: str) -> None:
    desk.ask()

    result = run("relay", "--once", "--db", url, "--bus", "nats://127.0.0.1:9", "--json")

    assert result.exit_code == 3
    assert json.loads(result.stdout)["error"]["retryable"] is True


def test_relay_once_publishes_what_is_due(desk: Desk, url: str) -> None:
    desk.ask()

    result = run("relay", "--once", "--db", url, "--bus", "in-process:", "--json")

    assert json.loads(result.stdout) == {"published": 1, "retrying": 0, "dead": 0, "unavailable": None}
