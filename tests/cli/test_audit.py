"""`interlock instances` and `interlock audit`: what became of the workflows of a database."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from langgraph.types import Command

from interlock import Confirmation, Principal, SQLCheckpointer, Workflow, command
from interlock.testing import ScriptedChatModel, call
from tests.cli.support import lines, run


@command("case.close", effect="transactional")
def close_case(case_id: str) -> str:
    """Close a case."""
    return case_id


@pytest.fixture
def database(tmp_path: Path) -> str:
    """A database with one instance: a denial, a confirmed command and the end."""
    path = str(tmp_path / "cases.db")
    model = ScriptedChatModel([call("case.open\x1b[2J"), call("case.close", caseId="77"), "Closed."])
    flow = Workflow("case", model=model)
    flow.add_state("open")
    flow.add_state("closed", final=True)
    flow.add_edge("open", close_case, "closed", approval=Confirmation())
    with SQLCheckpointer(f"sqlite:///{path}") as checkpointer:
        graph = flow.compile(checkpointer)
        config = {"configurable": {"thread_id": "t-1", "workflow_id": "wf_77"}}
        ada = Principal("ada")
        paused = graph.invoke({"messages": [("user", "Close case 77")]}, config, context=ada)
        (interrupt,) = paused["__interrupt__"]
        graph.invoke(Command(resume={interrupt.id: {"type": "approve"}}), config, context=ada)
    return path


def test_instances_are_listed(database: str):
    shown = run("instances", "--db", database).stdout
    assert "wf_77" in shown
    assert "closed" in shown
    (row,) = lines(run("instances", "--db", f"sqlite:///{database}", "--json").stdout)
    assert (row["workflowId"], row["state"], row["finished"], row["startedBy"]) == ("wf_77", "closed", True, "ada")


def test_instances_of_another_workflow_are_left_out(database: str):
    assert "There are no instances here." in run("instances", "--db", database, "--workflow", "other").stdout


def test_the_database_can_be_named_by_the_environment(database: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("INTERLOCK_DB", database)
    assert "wf_77" in run("instances").stdout


def test_the_trail_is_printed_with_what_was_denied_who_decided_and_that_it_verifies(database: str):
    shown = " ".join(run("audit", "wf_77", "--db", database).stdout.split())
    assert "unknown_tool" in shown
    assert "asks ada to confirm" in shown
    assert "approve, by ada" in shown
    assert "open → closed" in shown
    assert "records verify" in shown


def test_a_name_that_a_model_made_up_cannot_command_the_terminal(database: str):
    shown = run("audit", "wf_77", "--db", database).stdout
    assert "\x1b[2J" not in shown
    assert "\\u001b" in shown


def test_the_trail_as_json_lines(database: str):
    records = lines(run("audit", "wf_77", "--db", database, "--json").stdout)
    assert [record["kind"] for record in records] == ["started", "denial", "approval", "decision", "transition"]
    assert [record["number"] for record in records] == [1, 2, 3, 4, 5]


def test_a_whole_trail_verifies(database: str):
    result = run("audit", "wf_77", "--db", database, "--verify", "--json")
    assert result.exit_code == 0
    assert lines(result.stdout) == [{"workflowId": "wf_77", "records": 5, "verified": True, "problems": []}]


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE workflow_audit SET principal_id = 'eve' WHERE kind = 'decision'",
        "UPDATE workflow_audit SET payload = replace(payload, '77', '78') WHERE kind = 'transition'",
        "DELETE FROM workflow_audit WHERE kind = 'denial'",
        "DELETE FROM workflow_audit WHERE kind = 'transition'",
    ],
)
def test_a_trail_that_was_tampered_with_ends_with_1(database: str, tampering: str):
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(tampering)
        connection.commit()
    result = run("audit", "wf_77", "--db", database, "--verify")
    assert result.exit_code == 1
    assert "does not verify" in result.stdout
    as_json = run("audit", "wf_77", "--db", database, "--verify", "--json")
    assert as_json.exit_code == 1
    assert lines(as_json.stdout)[0]["problems"]
    assert run("audit", "wf_77", "--db", database).exit_code == 1


def test_an_instance_that_is_not_there_is_an_error(database: str):
    result = run("audit", "wf_78", "--db", database)
    assert result.exit_code == 2
    assert "wf_78" in result.stderr
