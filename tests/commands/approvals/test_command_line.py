"""`interlock approvals`, `interlock tick` and `interlock stats`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from interlock import SQLCheckpointer
from tests.cli.support import lines, run, run_apart
from tests.commands.approvals import shop_app
from tests.commands.approvals.support import ADA, said, thread

APP = ("--app", "tests.commands.approvals.shop_app:workflow")


@pytest.fixture
def db(tmp_path: Path) -> str:
    """A database in which one refund waits."""
    shop_app.SHOP.ran.clear()
    path = str(tmp_path / "shop.db")
    saver = SQLCheckpointer(f"sqlite:///{path}")
    shop_app.workflow().compile(saver).invoke(said(), thread(), context=ADA)
    saver.close()
    return path


def waiting(db: str) -> dict[str, Any]:
    (only,) = lines(run("approvals", "list", "--db", db, "--json").output)
    return only


def test_what_waits_is_listed_without_the_application(db: str) -> None:
    one = waiting(db)
    assert (one["tool"], one["requestedBy"], one["status"]) == ("order.refund", "ada", "requested")
    assert one["arguments"] == {"orderId": "1", "amount": "5"}
    shown = run("approvals", "list", "--db", db).output
    assert "order.refund" in shown
    assert one["approvalId"] in shown  # whole, to be copied


def test_show_prints_what_an_approval_would_change(db: str) -> None:
    shown = run("approvals", "show", waiting(db)["approvalId"], *APP, "--db", db)
    assert shown.exit_code == 0
    assert "100 → 95" in shown.output
    assert "Asked by ada" in shown.output


def test_approved_by_somebody_with_the_role_and_run_on(db: str) -> None:
    approval_id = waiting(db)["approvalId"]
    done = run("approvals", "approve", approval_id, *APP, "--db", db, "--as", "ben", "--role", "supervisor", "--resume")
    assert done.exit_code == 0, done.output
    assert shop_app.SHOP.ran == ["refund 1 5"]
    assert waiting(db)["approvalId"] != approval_id  # the model, run anew, has proposed its refund again
    (used,) = lines(run("approvals", "list", "--status", "used", "--db", db, "--json").output)
    assert used["approvalId"] == approval_id


@pytest.mark.parametrize(
    "who",
    [
        ("--as", "ben"),
        ("--as", "ada", "--role", "supervisor"),
        ("--as", "eve", "--role", "supervisor", "--tenant", "x"),
    ],
)
def test_the_answer_is_no_for_whoever_may_not(db: str, who: tuple[str, ...]) -> None:
    done = run("approvals", "approve", waiting(db)["approvalId"], *APP, "--db", db, *who)
    assert done.exit_code in {1, 2}
    assert waiting(db)["status"] == "requested"


def test_who_decides_may_be_said_in_the_environment(db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERLOCK_AS", "ben")
    monkeypatch.setenv("INTERLOCK_ROLES", "supervisor")
    done = run("approvals", "reject", waiting(db)["approvalId"], *APP, "--db", db, "-m", "no receipt", "--json")
    assert (done.exit_code, lines(done.output)[0]["status"]) == (0, "rejected")


def test_an_edit_names_what_changes_and_keeps_the_rest(db: str) -> None:
    who = ("--as", "ben", "--role", "supervisor")
    approval_id = waiting(db)["approvalId"]
    wrong = run("approvals", "edit", approval_id, "amount=4", *APP, "--db", db, *who)
    assert wrong.exit_code == 2
    done = run("approvals", "edit", approval_id, '{"amount": "4"}', *APP, "--db", db, *who, "--resume")
    assert done.exit_code == 0, done.output
    assert shop_app.SHOP.ran == ["refund 1 4"]


def test_a_response_goes_to_the_model(db: str) -> None:
    who = ("--as", "ben", "--role", "supervisor")
    done = run("approvals", "respond", waiting(db)["approvalId"], "ask for the receipt", *APP, "--db", db, *who)
    assert done.exit_code == 0


def test_decided_twice_the_second_answer_is_no(db: str) -> None:
    command = (
        "approvals",
        "approve",
        waiting(db)["approvalId"],
        *APP,
        "--db",
        db,
        "--as",
        "ben",
        "--role",
        "supervisor",
    )
    assert run(*command).exit_code == 0
    again = run(*command, "--json")
    assert again.exit_code == 1
    assert json.loads(again.output)["error"]["code"] == "conflict"


def test_an_unknown_approval_is_an_error_that_says_what_to_do(db: str) -> None:
    done = run("approvals", "show", "apr_nothing", *APP, "--db", db)
    assert done.exit_code == 2


def test_the_tick_settles_what_is_overdue_and_says_so(db: str) -> None:
    nothing = run("tick", *APP, "--db", db)
    assert (nothing.exit_code, "Nothing is overdue" in nothing.output) == (0, True)
    saver = SQLCheckpointer(f"sqlite:///{db}")
    with saver.database.write() as connection:
        connection.exec_driver_sql("UPDATE workflow_approvals SET expires_at = 1")
    saver.close()
    (done,) = lines(run("tick", *APP, "--db", db, "--json").output)
    assert [(one["outcome"], one["to"]) for one in done["lapsed"]] == [("taken", "desk.park")]
    assert len(done["resumed"]) == 1
    assert shop_app.SHOP.ran == ["park 1"]


def test_the_tick_lets_the_graph_around_go_on_where_it_is_told_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop_app.SHOP.ran.clear()
    db = str(tmp_path / "inner.db")
    saver = SQLCheckpointer(f"sqlite:///{db}")
    around = StateGraph(MessagesState)
    around.add_node("shop", shop_app.workflow().compile(saver))
    around.add_edge(START, "shop")
    root = around.compile(checkpointer=InMemorySaver())
    monkeypatch.setattr(shop_app, "around", root, raising=False)
    root.invoke(said(), thread(), context=ADA)
    with saver.database.write() as connection:
        connection.exec_driver_sql("UPDATE workflow_approvals SET expires_at = 1")
    (alone,) = lines(run("tick", *APP, "--db", db, "--json").output)
    assert (len(alone["lapsed"]), alone["resumed"]) == (1, [])
    (told,) = lines(
        run("tick", *APP, "--db", db, "--root", "tests.commands.approvals.shop_app:around", "--json").output
    )
    assert (told["lapsed"], len(told["resumed"])) == ([], 1)
    assert root.get_state(thread()).next == ()
    saver.close()


@pytest.mark.parametrize(
    ("root", "what"),
    [
        ("nowhere", "module:graph"),
        ("tests.commands.approvals.shop_app:none", "has no 'none'"),
        ("tests.commands.approvals.shop_app:SHOP", "is a Shop"),
    ],
)
def test_a_graph_around_that_is_none_is_refused(db: str, root: str, what: str) -> None:
    refused = run("tick", *APP, "--db", db, "--root", root)
    assert refused.exit_code == 2
    assert what in " ".join(refused.output.split())


@pytest.mark.parametrize("wrong", ["soon", "-1s", "0s", "10", "999999999999w", ""])
@pytest.mark.parametrize("command", [("tick", "--every"), ("stats", "--within"), ("events", "trim", "--older-than")])
def test_a_duration_that_is_none_is_bad_input(db: str, command: tuple[str, ...], wrong: str) -> None:
    app = () if command[0] == "events" else APP
    refused = run(*command, wrong, *app, "--db", db, "--json")
    assert refused.exit_code == 2
    error = lines(refused.output)[0]["error"]
    assert error["code"] == "usage"
    assert error["message"].startswith(f"{command[-1]}: ")
    assert "timedelta" not in error["message"]


@pytest.mark.parametrize("command", [("stats", "--export"), ("events", "export")])
def test_a_place_that_cannot_be_written_is_bad_input(db: str, command: tuple[str, ...]) -> None:
    database = () if command[0] == "events" else ("--db", db)
    # In a process of its own: what is exported is every event that a process knows, and other tests define many.
    code, out, _ = run_apart(*command, "/dev/null/here", *APP, *database, "--json", cwd=Path(__file__).parents[3])
    assert (code, lines(out)[0]["error"]["code"]) == (2, "not_written")


@pytest.mark.parametrize(
    "command",
    [("instances", "--limit"), ("events", "list", "--limit"), ("events", "trim", "--older-than", "1d", "--batch")],
)
def test_a_number_that_no_database_could_take_is_bad_input(db: str, command: tuple[str, ...]) -> None:
    refused = run(*command, "9" * 20, "--db", db)
    assert (refused.exit_code, "9" * 20 in refused.output) == (2, False)


def test_statistics_and_examples(db: str, tmp_path: Path) -> None:
    who = ("--as", "ben", "--role", "supervisor")
    run("approvals", "reject", waiting(db)["approvalId"], *APP, "--db", db, *who, "-m", "no receipt")
    target = tmp_path / "examples.jsonl"
    (shown,) = lines(run("stats", *APP, "--db", db, "--json", "--export", str(target)).output)
    (row,) = shown["outcomes"]
    assert (row["approver"], row["rejected"], row["reasons"]) == ("ben", 1, {"no receipt": 1})
    assert shown["exported"] == 1
    (example,) = lines(target.read_text(encoding="utf-8"))
    assert (example["outcome"], example["reason"]) == ("rejected", "no receipt")
    table = run("stats", *APP, "--db", db, "--by", "tool")
    assert table.exit_code == 0
    assert run("stats", *APP, "--db", db, "--by", "weather").exit_code == 2
