"""Finished instances that are old enough go, with all their rows; what stays is the end of each trail, by which an export is checked."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from interlock import Event, Principal, SQLCheckpointer, ToolContext, Workflow, WorkflowGraph, command
from interlock.checkpointing import Instance, Retirement, WorkflowStore, retire_instances
from interlock.checkpointing.store import trail
from interlock.checkpointing.store.heads import HeadSigner, HeadVerifier, SignedHead
from interlock.checkpointing.tables.workflow import audit, instances, outbox
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import InputError
from tests.cli.support import run as cli
from tests.faults.test_audit_rows import key_pair

ADA = Principal("ada")
DAY = 86_400_000_000


class Closed(Event, name="order.closed"):
    order: str


@command("order.close", effect="transactional")
def close_order(ctx: ToolContext) -> bool:
    """Close the order."""
    ctx.emit(Closed(order="77"))
    return True


def flow(name: str) -> Workflow:
    made = Workflow(name, model=ScriptedChatModel(forever=lambda messages, _: _next(messages)))
    made.add_state("open")
    made.add_state("closed", final=True)
    made.add_edge("open", close_order, "closed")
    return made


def _next(messages: Sequence[Any]) -> Any:
    return "I wait." if "wait" in str(messages[-1].content) else call("order.close")


@pytest.fixture
def saver(tmp_path: Path) -> Iterator[SQLCheckpointer]:
    with SQLCheckpointer(f"sqlite:///{tmp_path / 'retired.db'}") as opened:
        yield opened


def run(saver: SQLCheckpointer, name: str, thread_id: str, words: str = "close it") -> WorkflowGraph:
    graph = flow(name).compile(saver)
    graph.invoke({"messages": [("user", words)]}, {"configurable": {"thread_id": thread_id}}, context=ADA)
    return graph


def in_days(saver: SQLCheckpointer, days: float) -> WorkflowStore:
    """The store as somebody sees it so many days from now."""
    return WorkflowStore(saver.database, clock=lambda _: time.time_ns() // 1000 + int(days * DAY))


def publish_all(saver: SQLCheckpointer) -> None:
    with saver.database.write() as connection:
        connection.execute(sa.update(outbox).values(status="published"))


def there(saver: SQLCheckpointer) -> set[str]:
    return {str(one.thread_id) for one in WorkflowStore(saver.database).instances()}


def test_each_workflow_keeps_its_finished_instances_as_long_as_its_policy_says(set_up_database_url: str) -> None:
    with SQLCheckpointer(set_up_database_url) as saver:
        for name in ("case", "desk", "shop"):
            run(saver, name, f"{name}-1")
        run(saver, "case", "case-2", "please wait")
        publish_all(saver)
        policy = Retirement("400d", {"case": "90d", "shop": None})

        assert retire_instances(in_days(saver, 80), policy, checkpointer=saver).instances == 0
        rehearsed = retire_instances(in_days(saver, 100), policy, checkpointer=saver, dry_run=True)
        assert (rehearsed.instances, rehearsed.retired, rehearsed.dry_run) == (1, 1, True)
        assert there(saver) == {"case-1", "case-2", "desk-1", "shop-1"}

        assert retire_instances(in_days(saver, 100), policy, checkpointer=saver).retired == 1
        assert there(saver) == {"case-2", "desk-1", "shop-1"}
        assert retire_instances(in_days(saver, 9_999), policy, checkpointer=saver).retired == 1
        assert there(saver) == {"case-2", "shop-1"}
        assert {one.config["configurable"]["thread_id"] for one in saver.list(None)} == {"case-2", "shop-1"}
        assert {one.thread_id for one in saver.conversations.list()} == {"case-2", "shop-1"}


def test_a_retirement_that_keeps_everything_is_refused() -> None:
    with pytest.raises(InputError, match="forever"):
        Retirement(workflows={"case": None})
    with pytest.raises(InputError, match="workflows"):
        Retirement(workflows={"case": "a while"})


def test_the_export_of_a_retired_trail_is_checked_against_the_end_that_stays(
    saver: SQLCheckpointer, tmp_path: Path
) -> None:
    run(saver, "desk", "t")
    publish_all(saver)
    (instance,) = WorkflowStore(saver.database).instances()
    kept: dict[str, list[str]] = {}

    def export(one: Instance, lines: Sequence[str]) -> None:
        kept[one.workflow_id] = [*lines]

    private, public = key_pair(tmp_path)
    signer = HeadSigner(private.read_bytes())
    later = in_days(saver, 100)
    assert retire_instances(later, Retirement("90d"), checkpointer=saver, export=export, signer=signer).retired == 1

    end = later.retired(instance.workflow_id)
    assert end is not None
    assert (end.number, end.hash, end.exported) == (instance.audit_count, instance.audit_head, True)
    exported = trail.read_export(kept[instance.workflow_id])
    assert exported.check(head=end.hash) == []
    assert len(exported.records) == end.number
    assert exported.end is not None
    assert HeadVerifier(public.read_bytes()).problem(SignedHead.from_json(exported.end)) is None
    assert "retired" in str(later.verify(instance.workflow_id)[0])
    with pytest.raises(InputError, match=end.hash):
        later.get(instance.workflow_id)


def test_a_retirement_that_was_stopped_goes_on_where_it_stopped(saver: SQLCheckpointer) -> None:
    for number in range(3):
        run(saver, "desk", f"t-{number}")
    publish_all(saver)
    exported: list[str] = []

    def export(one: Instance, lines: Sequence[str]) -> None:
        exported.append(one.workflow_id)
        if len(exported) == 2:
            raise OSError("no space left")

    later, policy = in_days(saver, 100), Retirement("90d")
    with pytest.raises(OSError, match="space"):
        retire_instances(later, policy, checkpointer=saver, export=export)
    assert len(there(saver)) == 2
    told: list[tuple[int, int]] = []
    report = retire_instances(
        later, policy, checkpointer=saver, export=export, limit=1, progress=lambda done, of, _: told.append((done, of))
    )
    assert (report.retired, told) == (1, [(1, 2)])
    assert retire_instances(later, policy, checkpointer=saver, export=export).retired == 1
    assert len(exported) == 4  # the second one twice
    assert there(saver) == set()


def test_what_is_in_use_stays(saver: SQLCheckpointer) -> None:
    graph = run(saver, "desk", "t")
    later, policy = in_days(saver, 100), Retirement("90d")
    assert retire_instances(later, policy, checkpointer=saver).kept == {"its events are not published": 1}
    publish_all(saver)

    def changes(one: Instance, lines: Sequence[str]) -> None:
        del lines
        with saver.database.write() as connection:
            connection.execute(sa.update(instances).values(revision=one.revision + 1))

    assert retire_instances(later, policy, export=changes).kept == {"it changed meanwhile": 1}
    with saver.database.write() as connection:  # long ago by its own row, while its thread is from today
        connection.execute(sa.update(instances).values(updated_at=1, created_at=1))
    assert retire_instances(in_days(saver, 0), policy, checkpointer=saver).kept == {"its thread is in use": 1}
    assert graph.get_state({"configurable": {"thread_id": "t"}}).values["messages"]


def test_a_trail_that_somebody_changed_stays_for_a_person_to_look_at(saver: SQLCheckpointer) -> None:
    run(saver, "desk", "t")
    publish_all(saver)
    (instance,) = WorkflowStore(saver.database).instances()
    with saver.database.write() as connection:
        connection.execute(sa.update(audit).where(audit.c.number == 2).values(principal_id="mallory"))
    report = retire_instances(in_days(saver, 100), Retirement("90d"), checkpointer=saver)
    assert (report.retired, report.broken) == (0, (instance.workflow_id,))
    assert there(saver) == {"t"}


def test_a_thread_that_is_used_again_begins_anew(saver: SQLCheckpointer) -> None:
    graph = run(saver, "desk", "t")
    publish_all(saver)
    assert retire_instances(in_days(saver, 100), Retirement("90d"), checkpointer=saver).retired == 1
    run(saver, "desk", "t")
    (instance,) = graph.engine.store.instances()
    assert graph.engine.store.verify(instance.workflow_id) == []
    publish_all(saver)
    assert retire_instances(in_days(saver, 300), Retirement("90d"), checkpointer=saver).retired == 1


def test_the_command_line_retires_and_exports(saver: SQLCheckpointer, tmp_path: Path) -> None:
    run(saver, "desk", "t")
    publish_all(saver)
    with saver.database.write() as connection:
        connection.execute(sa.update(instances).values(updated_at=1, created_at=1, thread_id=None))
    (instance,) = WorkflowStore(saver.database).instances()
    url = saver.database.engine.url.render_as_string(hide_password=False)
    away = tmp_path / "trails"
    retire = ("db", "retire", "--db", url, "--newer-than", "90d", "--export", str(away))
    assert "1 would be" in cli(*retire, "--dry-run").stdout
    said = cli(*retire, "--workflow", "desk=never", "--json")
    assert '"retired": 0' in said.stdout
    assert "1 were" in cli(*retire).stdout
    (file,) = away.rglob("*.jsonl")
    assert file.stat().st_mode & 0o777 == 0o600
    end = WorkflowStore(saver.database).retired(instance.workflow_id)
    assert end is not None
    assert cli("audit", "--check", str(file), "--head", end.hash).exit_code == 0
    assert end.hash in cli("audit", instance.workflow_id, "--db", url).stderr
