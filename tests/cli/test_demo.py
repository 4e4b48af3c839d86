"""`interlock demo`: the main job, watched; stopped in the middle and killed, it goes on where it was."""

import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from interlock import Decision, DecisionKind, WorkflowStore
from interlock.checkpointing.store import AuditKind
from interlock.cli.demo.cases import CASES
from interlock.cli.demo.desk import open_desk
from interlock.workflows.retail import create_tables, load_sample_shop, read_shop
from interlock.workflows.retail.shop import OrderStatus
from tests.cli.support import finish, lines, run, run_apart, started

ONCE = {AuditKind.STARTED, AuditKind.APPROVAL, AuditKind.DECISION, AuditKind.TRANSITION, AuditKind.EVENT_OUT}
"""What happens exactly once, however often the process is killed; a read or a denial may be made again."""


def shop_of(database: Path) -> Any:
    engine = create_engine(f"sqlite:///{database}")
    with Session(engine) as session:
        shop = read_shop(session)
    engine.dispose()
    return shop


def hops_of(database: Path) -> dict[str, list[tuple[str, str | None]]]:
    """What happened exactly once in each thread, in its order; and every trail must be whole."""
    with closing(WorkflowStore(f"sqlite:///{database}")) as store:
        found = {}
        for instance in store.instances():
            assert store.verify(instance.workflow_id) == []
            records = store.audit(instance.workflow_id)
            found[str(instance.thread_id)] = [(one.kind.value, one.tool) for one in records if one.kind in ONCE]
        return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a demo that nobody stopped."""
    path = tmp_path_factory.mktemp("undisturbed") / "demo.db"
    assert run("demo", "--yes", "--db", str(path)).exit_code == 0
    return path


def test_every_case_is_played_and_the_record_verifies(tmp_path: Path):
    result = run("demo", "--yes", "--db", str(tmp_path / "demo.db"))
    assert result.exit_code == 0
    said = " ".join(result.stdout.split())
    assert all(case.title in said for case in CASES)
    assert "approved by tove_marklund" in said
    assert "pending → cancelled" in said
    for code in ("tool_not_allowed", "check_failed", "invalid_arguments", "unknown_tool"):
        assert f"denied: {code}" in said
    assert "identified → handed_over" in said
    assert said.count("records verify") == len(CASES)


def test_it_fits_into_80_columns(tmp_path: Path):
    shown = run("demo", "--yes", "--db", str(tmp_path / "demo.db")).stdout
    story, _, commands = shown.partition("What to look at now")
    assert [line for line in story.splitlines() if len(line) > 80] == []
    assert f"audit --db {tmp_path / 'demo.db'} wf_" in commands  # for copying, and so on one line


def test_the_shop_is_changed_by_what_was_approved_and_by_nothing_else(undisturbed: Path):
    engine = create_engine("sqlite://")
    create_tables(engine)
    with Session(engine) as session:
        load_sample_shop(session)
        before = read_shop(session)
    engine.dispose()
    after = shop_of(undisturbed)
    assert {order_id for order_id in before.orders if after.orders[order_id] != before.orders[order_id]} == {
        "#W1001",
        "#W1007",
    }
    assert after.orders["#W1001"].status is OrderStatus.CANCELLED
    assert after.orders["#W1007"].exchange_items == ("I2001",)
    assert after.users == before.users


def test_as_json_every_line_is_one_object_with_a_type(tmp_path: Path):
    told = lines(run("demo", "--yes", "--json", "--db", str(tmp_path / "demo.db")).stdout)
    kinds = {line["type"] for line in told}
    assert kinds == {
        "run", "case", "customer", "offered", "proposal", "approval", "decision", "read", "denial", "transition", "desk",
        "audit", "end",
    }  # fmt: skip
    assert [line["verified"] for line in told if line["type"] == "audit"] == [True] * len(CASES)
    denied = [line["result"]["error"]["code"] for line in told if line["type"] == "denial"]
    assert denied == [
        "tool_not_allowed", "check_failed", "check_failed", "invalid_arguments", "tool_not_allowed", "unknown_tool",
        "check_failed",
    ]  # fmt: skip


def test_as_json_nobody_can_be_asked(tmp_path: Path):
    result = run("demo", "--json", "--db", str(tmp_path / "demo.db"))
    assert result.exit_code == 2
    assert lines(result.stdout)[0]["error"]["code"] == "needs_yes"
    assert list(tmp_path.iterdir()) == []


def test_a_no_changes_nothing_and_a_yes_changes_what_was_shown(tmp_path: Path):
    path = tmp_path / "demo.db"
    result = run("demo", "--db", str(path), stdin="r\nrather the green one\na\n")
    assert result.exit_code == 0
    shop = shop_of(path)
    assert shop.orders["#W1001"].status is OrderStatus.PENDING
    assert shop.orders["#W1007"].exchange_items == ("I1002",)
    said = " ".join(result.stdout.split())
    assert "answered by mei_castellano: rather the green one" in said
    assert "As you wish: nothing was changed." in said


def test_when_nobody_answers_it_stops_and_goes_on_later(tmp_path: Path, undisturbed: Path):
    path = tmp_path / "demo.db"
    stopped = run("demo", "--db", str(path), stdin="")
    assert stopped.exit_code == 130
    assert "All that happened is kept" in stopped.stdout
    assert shop_of(path).orders["#W1001"].status is OrderStatus.PENDING
    resumed = run("demo", "--db", str(path), "--yes")
    assert resumed.exit_code == 0
    assert "It is in identified" in resumed.stdout
    assert hops_of(path) == hops_of(undisturbed)


def test_what_was_decided_elsewhere_meanwhile_is_not_asked_again(tmp_path: Path, undisturbed: Path):
    path = tmp_path / "demo.db"
    run("demo", "--db", str(path), stdin="")
    case = CASES[0]
    with open_desk(f"sqlite:///{path}", fresh=False) as desk:
        instances = desk.graph.instances
        config = {"configurable": {"thread_id": desk.thread(case)}}
        (request,) = instances.snapshot(config).pending_approvals
        instances.decide(str(request["approvalId"]), Decision(DecisionKind.APPROVE), by=case.principal)
    told = lines(run("demo", "--yes", "--json", "--db", str(path)).stdout)
    asked = [line["request"]["tool"] for line in told if line["type"] == "approval"]
    assert asked == ["order.exchange_items"]
    assert hops_of(path) == hops_of(undisturbed)


def test_after_the_end_it_begins_anew_with_the_shop_set_back_and_the_old_record_kept(tmp_path: Path):
    path = tmp_path / "demo.db"
    run("demo", "--yes", "--db", str(path))
    once = shop_of(path)
    again = run("demo", "--yes", "--db", str(path))
    assert again.exit_code == 0
    assert "pending → cancelled" in again.stdout
    assert shop_of(path) == once
    assert len(hops_of(path)) == 2 * len(CASES)


def test_fresh_begins_anew_in_the_middle(tmp_path: Path):
    path = tmp_path / "demo.db"
    run("demo", "--db", str(path), stdin="")
    told = lines(run("demo", "--yes", "--json", "--fresh", "--db", str(path)).stdout)
    assert told[0] == {"type": "run", "schemaVersion": 1, "number": 2, "resumed": False}
    assert told[-1]["type"] == "end"


def test_somebody_elses_shop_is_left_alone(tmp_path: Path):
    path = tmp_path / "shop.db"
    engine = create_engine(f"sqlite:///{path}")
    create_tables(engine)
    with Session(engine) as session:
        load_sample_shop(session)
        session.commit()
    engine.dispose()
    before = shop_of(path)
    result = run("demo", "--yes", "--db", str(path))
    assert result.exit_code == 2
    assert "not_the_demo" in result.stderr
    assert shop_of(path) == before


# As a process of its own


def wait_for(process: "subprocess.Popen[str]", line_with: str) -> None:
    """Read its output up to a line."""
    assert process.stdout is not None
    for line in process.stdout:
        if line_with in line:
            return
    raise AssertionError(f"it ended and never said {line_with!r}: {process.stderr and process.stderr.read()}")


def resumes(path: Path, undisturbed: Path) -> list[dict[str, Any]]:
    """Run it again to the end, and compare with a run that nobody stopped."""
    code, out, err = run_apart("demo", "--yes", "--json", "--db", path.name, cwd=path.parent)
    assert (code, err) == (0, "")
    assert hops_of(path) == hops_of(undisturbed)
    assert shop_of(path) == shop_of(undisturbed)
    return lines(out)


@pytest.mark.parametrize(
    "at",
    [
        '"type": "run"',
        '"tool": "order.get"',
        '"type": "approval"',
        '"type": "decision"',
        '"previousState": "identified"',
    ],
)
def test_killed_anywhere_it_goes_on_where_it_was_and_nothing_happens_twice(tmp_path: Path, undisturbed: Path, at: str):
    path = tmp_path / "demo.db"
    with started("demo", "--yes", "--json", "--db", path.name, cwd=tmp_path) as process:
        wait_for(process, at)
        process.kill()
        code, _, _ = finish(process)
    assert code == -signal.SIGKILL
    told = resumes(path, undisturbed)
    assert told[0]["resumed"] is True


def test_ctrl_c_while_it_asks_stops_it_and_says_so(tmp_path: Path, undisturbed: Path):
    path = tmp_path / "demo.db"
    with started("demo", "--db", path.name, cwd=tmp_path, stdin=subprocess.PIPE) as process:
        wait_for(process, "cancelReason")
        process.send_signal(signal.SIGINT)
        code, out, err = finish(process)
    assert code == 130
    assert "All that happened is kept" in out
    assert err == ""
    resumes(path, undisturbed)


def test_ctrl_c_in_the_middle_of_a_step_loses_nothing(tmp_path: Path, undisturbed: Path):
    path = tmp_path / "demo.db"
    with started("demo", "--yes", "--json", "--db", path.name, cwd=tmp_path) as process:
        wait_for(process, '"type": "proposal"')
        process.send_signal(signal.SIGINT)
        code, _, err = finish(process)
    assert code == 130
    assert "Traceback" not in err
    resumes(path, undisturbed)


def test_scripted_it_ends_within_15_seconds(tmp_path: Path):
    began = time.monotonic()
    code, _, err = run_apart("demo", "--yes", cwd=tmp_path)
    assert (code, err) == (0, "")
    assert time.monotonic() - began < 15
    with closing(sqlite3.connect(tmp_path / "interlock-demo.db")) as connection:
        assert connection.execute("SELECT number, finished FROM demo_runs").fetchall() == [(1, 1)]
