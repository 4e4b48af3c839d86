"""`interlock resolve`, and trails exported, checked and erased from the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from interlock import SQLCheckpointer, Workflow, command
from tests.cli.support import lines, run

HERE = {"configurable": {"thread_id": "t-1", "workflow_id": "wf_7"}}


class Sent(BaseModel):
    """What a parcel service answers."""

    parcel_number: str


@command("parcel.send")
def send() -> Sent:
    """Send the parcel."""
    raise ConnectionError("gone")


def flow() -> Workflow:
    made = Workflow("depot")
    made.add_state("packed", decide=lambda _: ("parcel.send", {}))
    made.add_state("sent", final=True)
    made.add_edge("packed", send, "sent")
    return made


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database with an attempt of unknown outcome, and the app that it belongs to."""
    path = str(tmp_path / "depot.db")
    monkeypatch.setenv("INTERLOCK_DB", path)
    monkeypatch.setitem(sys.modules, "a_depot", sys.modules[__name__])
    monkeypatch.setenv("INTERLOCK_APP", "a_depot:flow")
    with SQLCheckpointer(f"sqlite:///{path}") as checkpointer:
        flow().compile(checkpointer).invoke({"messages": [("user", "send it")]}, HERE)
    return path


def state(database: str) -> str:
    (row,) = lines(run("instances", "--json").stdout)
    found: str = row["state"]
    return found


def test_what_is_to_be_resolved_is_listed(database: str) -> None:
    assert "parcel.send" in run("resolve").stdout
    (row,) = lines(run("resolve", "--json").stdout)
    assert (row["workflowId"], row["tool"], row["attempt"], row["status"]) == ("wf_7", "parcel.send", 1, "unknown")


def test_it_happened(database: str) -> None:
    done = run("resolve", "wf_7", "--happened", '{"parcelNumber": "p-1"}', "--as", "ada", "--note", "saw it", "--json")

    (told,) = lines(done.stdout)
    assert told["result"]["output"] == {"parcelNumber": "p-1"}
    assert state(database) == "sent"
    assert "Nothing is to be resolved." in run("resolve").stdout
    again = run("resolve", "wf_7", "--retry", "--key", told["result"]["auditRef"])
    assert again.exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["wf_7"], 2, "was not said"),
        (["wf_7", "--retry", "--failed"], 2, "was not said"),
        (["wf_7", "--happened", "{"], 2, "not JSON"),
        (["wf_7", "--happened", "{}"], 2, "not what it returns"),
        (["wf_7", "--retry", "--attempt", "2"], 1, "tried again since"),
        (["wf_8", "--retry"], 2, "no workflow instance"),
    ],
)
def test_what_resolves_nothing_says_why(arguments: list[str], code: int, told: str, database: str) -> None:
    done = run("resolve", *arguments)

    assert done.exit_code == code
    assert told in " ".join(done.output.split())
    assert state(database) == "packed"


def test_it_did_not_happen(database: str) -> None:
    assert run("resolve", "wf_7", "--failed", "--note", "no van").exit_code == 0
    assert state(database) == "packed"
    assert "no van" in run("audit", "wf_7", "--json").stdout


def test_an_export_is_checked_without_the_database_and_tampering_is_found(database: str, tmp_path: Path) -> None:
    file = tmp_path / "trail.jsonl"
    assert run("audit", "wf_7", "--export", str(file)).exit_code == 0
    assert run("audit", "wf_7", "--export", str(file)).exit_code == 2

    (verdict,) = lines(run("audit", "--check", str(file), "--json").stdout)
    assert (verdict["records"], verdict["verified"]) == (3, True)

    records = [json.loads(line) for line in file.read_text().splitlines()]
    records[1]["payload"]["attempt"] = 7
    file.write_text("\n".join(json.dumps(record) for record in records))
    assert run("audit", "--check", str(file)).exit_code == 1
    file.write_text("not one")
    assert run("audit", "--check", str(file)).exit_code == 2


def test_erased_payloads_leave_a_trail_that_verifies_and_says_who_erased_them(database: str) -> None:
    assert run("audit", "wf_7", "--erase", "they asked").exit_code == 2

    done = run("audit", "wf_7", "--erase", "they asked", "--as", "ada", "--json")

    assert lines(done.stdout) == [{"workflowId": "wf_7", "erased": 3}]
    records = lines(run("audit", "wf_7", "--json").stdout)
    assert [record["payload"] is None for record in records] == [True, True, True, False]
    assert records[-1]["payload"]["reason"] == "they asked"
    assert run("audit", "wf_7", "--verify").exit_code == 0
