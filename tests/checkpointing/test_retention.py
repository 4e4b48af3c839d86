"""Retention of threads and checkpoints, and threads deleted together with their workflow instances."""

from __future__ import annotations

import time
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import pytest
import sqlalchemy as sa
from langchain_core.messages import AIMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import BaseModel
from typing_extensions import TypedDict

from interlock import Approval, Principal, SQLCheckpointer, ToolContext, Workflow, command
from interlock.checkpointing import Retention, WorkflowStore
from interlock.checkpointing.saver.keeping.retention import _time_in
from interlock.checkpointing.tables.columns import metadata
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import ConflictError, InputError

DAY = 86_400


def made(days_ago: float, step: int = 0) -> str:
    """A checkpoint id as LangGraph makes it, of some days ago."""
    ticks = int((time.time() - days_ago * DAY) * 1e7) + 0x01B21DD213814000 + step
    return str(uuid.UUID(int=(ticks >> 12) << 80 | 6 << 76 | (ticks & 0xFFF) << 64 | 2 << 62 | uuid.uuid4().int >> 70))


def config(thread_id: str = "t", **more: Any) -> Any:
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": "", **more}}


def put(saver: SQLCheckpointer, at: Any, checkpoint_id: str, **values: Any) -> Any:
    checkpoint = empty_checkpoint()
    checkpoint["id"] = checkpoint_id
    checkpoint["channel_values"] = values
    versions = checkpoint["channel_versions"] = {name: saver.get_next_version(None, None) for name in values}
    return saver.put(at, checkpoint, {"source": "update", "step": 1, "parents": {}}, versions)


@pytest.fixture
def saver(set_up_database_url: str) -> Any:
    with SQLCheckpointer(set_up_database_url) as opened:
        opened.setup()
        yield opened


def threads_of(saver: SQLCheckpointer) -> set[str]:
    return {one.config["configurable"]["thread_id"] for one in saver.list(None)}


def ids(saver: SQLCheckpointer, thread_id: str = "t") -> list[str]:
    return [one.checkpoint["id"] for one in saver.list(config(thread_id))]


def test_the_time_of_a_checkpoint_is_read_from_its_id() -> None:
    when = _time_in(empty_checkpoint()["id"])
    assert when is not None
    assert abs(when / 1e6 - time.time()) < 60
    assert _time_in("1") is None
    assert _time_in(str(uuid.uuid4())) is None


# Whole threads


def _threads(saver: SQLCheckpointer) -> None:
    for days in (1, 5, 30, 100):
        put(saver, config(f"of {days} days"), made(days), x=days)


@pytest.mark.parametrize(
    ("policy", "left"),
    [
        (Retention(threads_newer_than="90d"), {1, 5, 30}),
        (Retention(threads_newer_than=timedelta(days=7)), {1, 5}),
        (Retention(last_threads=3), {1, 5, 30}),
        (Retention(last_threads=9), {1, 5, 30, 100}),
        (Retention(threads_newer_than="90d", last_threads=1), {1}),
        (Retention(threads_newer_than="2d", last_threads=3), {1}),
    ],
)
def test_threads_go_that_are_too_old_or_too_many(policy: Retention, left: set[int], saver: SQLCheckpointer) -> None:
    _threads(saver)
    rehearsed = saver.retain(policy, dry_run=True)
    assert len(threads_of(saver)) == 4

    report = saver.retain(policy)

    assert threads_of(saver) == {f"of {days} days" for days in left}
    assert report.deleted_threads == rehearsed.deleted_threads == 4 - len(left)
    assert (report.threads, report.dry_run, rehearsed.dry_run) == (4, False, True)
    assert saver.retain(policy).deleted_threads == 0


def test_a_thread_is_as_old_as_its_newest_checkpoint(saver: SQLCheckpointer) -> None:
    at = put(saver, config(), made(100), x=1)
    put(saver, at, made(1), x=2)
    saver.retain(Retention(threads_newer_than="30d"))
    assert len(ids(saver)) == 2


def test_a_checkpoint_whose_id_tells_no_time_tells_it_itself(saver: SQLCheckpointer) -> None:
    put(saver, config(), "1", x=1)
    saver.retain(Retention(threads_newer_than="1h", last_checkpoints=1))
    assert ids(saver) == ["1"]


def test_a_stopped_retention_goes_on_where_it_stopped(saver: SQLCheckpointer) -> None:
    for name in "abcd":
        put(saver, config(name), made(50), x=1)
    told: list[tuple[int, int, str]] = []

    def stops(done: int, total: int, thread_id: str) -> None:
        told.append((done, total, thread_id))
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        saver.retain(Retention(threads_newer_than="1d"), progress=stops)
    assert threads_of(saver) == {"c", "d"}
    report = saver.retain(Retention(threads_newer_than="1d"), after=told[-1][2])
    assert told == [(1, 4, "a"), (2, 4, "b")]
    assert (report.threads, threads_of(saver)) == (2, set())


def test_a_thread_that_a_worker_goes_on_with_meanwhile_stays(saver: SQLCheckpointer) -> None:
    first, second = (put(saver, config(name), made(50), x=1) for name in ("a", "b"))

    def meanwhile(done: int, total: int, thread_id: str) -> None:
        if thread_id == "a":
            put(saver, second, made(0), x=2)

    report = saver.retain(Retention(threads_newer_than="1d"), progress=meanwhile)

    assert report.deleted_threads == 1
    assert threads_of(saver) == {"b"}
    with pytest.raises(ConflictError):
        put(saver, first, made(40), x=3)  # of a run that slept through it


# Old checkpoints


@pytest.mark.parametrize(
    ("policy", "left"),
    [
        (Retention(last_checkpoints=2), 2),
        (Retention(checkpoints_newer_than="45d"), 3),
        (Retention(checkpoints_newer_than="45d", last_checkpoints=2), 2),
        (Retention(checkpoints_newer_than="1h"), 1),
        (Retention(last_checkpoints=100), 5),
    ],
)
def test_checkpoints_go_that_are_too_old_or_too_many(policy: Retention, left: int, saver: SQLCheckpointer) -> None:
    at = config()
    made_of = [made(days) for days in (60, 50, 40, 30, 20)]
    for number, checkpoint_id in enumerate(made_of):
        at = put(saver, at, checkpoint_id, large=[number] * 500)
    newest = saver.get_tuple(config())

    assert saver.retain(policy, dry_run=True).deleted_checkpoints == 5 - left
    assert saver.retain(policy).deleted_checkpoints == 5 - left

    assert ids(saver) == made_of[::-1][:left]
    assert saver.get_tuple(config())._replace(parent_config=None) == newest._replace(parent_config=None)
    with saver.database.read() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM workflow_channel_values")) == left


class DeltaState(TypedDict):
    items: Annotated[list[Any], DeltaChannel(lambda state, writes: [*state, *(w for write in writes for w in write)])]


def test_what_delta_channels_are_rebuilt_from_is_kept(saver: SQLCheckpointer) -> None:
    graph = StateGraph(DeltaState)
    graph.add_node("add", lambda state: {"items": [f"after {len(state['items'])}"]})
    graph.add_edge(START, "add")
    compiled = graph.compile(checkpointer=saver)
    for number in range(5):
        compiled.invoke({"items": [number]}, config())
    before = compiled.get_state(config()).values
    saver.retain(Retention(last_checkpoints=1))
    assert compiled.get_state(config()).values == before


@pytest.mark.parametrize("remembers", [False, True], ids=["for one turn", "from turn to turn"])
def test_subgraphs_go_with_the_checkpoints_that_they_ran_from(remembers: bool, saver: SQLCheckpointer) -> None:
    inner = StateGraph(MessagesState)
    inner.add_node("say", lambda state: {"messages": [AIMessage(f"inner {len(state['messages'])}")]})
    inner.add_edge(START, "say")
    outer = StateGraph(MessagesState)
    outer.add_node("inner", inner.compile(checkpointer=True if remembers else None))
    outer.add_edge(START, "inner")
    graph = outer.compile(checkpointer=saver)
    for number in range(5):
        graph.invoke({"messages": [("user", f"q{number}")]}, {"configurable": {"thread_id": "t"}})
    before = graph.get_state(config()).values

    saver.retain(Retention(last_checkpoints=1))

    everything = list(saver.list({"configurable": {"thread_id": "t"}}))
    assert len(everything) == (2 if remembers else 1)
    assert graph.get_state(config()).values == before
    graph.invoke({"messages": [("user", "again")]}, {"configurable": {"thread_id": "t"}})
    assert len(graph.get_state(config()).values["messages"]) > len(before["messages"])


def test_a_retention_that_says_nothing_or_nonsense_is_refused() -> None:
    for wrong in ({}, {"last_threads": 0}, {"last_checkpoints": True}, {"threads_newer_than": "soon"}):
        with pytest.raises(InputError, match="Nothing was deleted"):
            Retention(**wrong)  # type: ignore[arg-type]
    with SQLCheckpointer("sqlite://") as saver, pytest.raises(InputError, match="nothing was deleted"):
        saver.retain()


async def test_the_policy_of_the_checkpointer_is_carried_out() -> None:
    with SQLCheckpointer("sqlite://", retention=Retention(last_checkpoints=1)) as saver:
        put(saver, put(saver, config(), made(2), x=1), made(1), x=2)
        assert (await saver.aretain()).deleted_checkpoints == 1


# Threads with their instances

MARK = "PERSONAL"


class Data(BaseModel):
    email: str | None = None


@command("mail.set", effect="transactional")
def set_mail(email: str, ctx: ToolContext[Data]) -> str:
    """Set the address."""
    ctx.data.email = email
    return f"mail is {email}"


@command("mail.drop", effect="transactional")
def drop_mail(reason: str, ctx: ToolContext[Data]) -> str:
    """Drop the address."""
    ctx.data.email = None
    return reason


def graph_on(saver: SQLCheckpointer, *script: Any) -> Any:
    flow = Workflow("mail", data=Data, model=ScriptedChatModel([*script]))
    flow.add_state("open")
    flow.add_edge("open", set_mail, "open")
    flow.add_edge("open", drop_mail, "open", approval=Approval(role="boss"))
    return flow.compile(saver)


def _where_the_mark_is(saver: SQLCheckpointer) -> set[str]:
    with saver.database.read() as connection:
        return {
            table.name
            for table in metadata.sorted_tables
            if MARK in repr([tuple(row) for row in connection.execute(sa.select(table))])
        }


def _said(saver: SQLCheckpointer) -> tuple[Any, str]:
    graph = graph_on(saver, call("mail.set", email=f"{MARK}@example.org"), "done", call("mail.drop", reason=MARK))
    ada = Principal(f"ada-{uuid.uuid4().hex[:6]}", roles={MARK})
    graph.invoke({"messages": [("user", f"it is {MARK}")]}, config(), context=ada)
    graph.invoke({"messages": [("user", "drop it")]}, config(), context=ada)
    return graph, graph.instances.id_of(config())


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_thread_is_deleted_with_all_that_its_instance_holds(
    asynchronous: bool, set_up_database_url: str
) -> None:
    with SQLCheckpointer(set_up_database_url) as saver:
        saver.setup()
        _, workflow_id = _said(saver)
        assert {"workflow_instances", "workflow_ledger", "workflow_approvals"} <= _where_the_mark_is(saver)
        store = WorkflowStore(saver.database)
        records = len(store.audit(workflow_id))

        if asynchronous:
            await saver.adelete_thread("t", instance=True)
        else:
            saver.delete_thread("t", instance=True)

        assert _where_the_mark_is(saver) == set()
        assert store.verify(workflow_id) == []
        trail = store.audit(workflow_id)
        assert len(trail) == records + 1
        assert [record.is_erased for record in trail] == [True] * records + [False]
        assert store.find(workflow_id) is None
        assert store.instances() == []
        path = saver.database.engine.url.database
        if saver.database.engine.dialect.name == "sqlite" and path:
            for file in Path(path).parent.glob(Path(path).name + "*"):
                assert MARK.encode() not in file.read_bytes()


def test_a_thread_is_used_again_by_anybody_after_it_was_deleted_with_its_instance(set_up_database_url: str) -> None:
    with SQLCheckpointer(set_up_database_url) as saver:
        saver.setup()
        _, workflow_id = _said(saver)
        saver.delete_thread("t", instance=True)
        graph = graph_on(saver, call("mail.set", email="new@example.org"), "again")
        output = graph.invoke({"messages": [("user", "hi")]}, config(), context=Principal("ben"))

        assert output["messages"][-1].text == "again"
        assert output["data"]["email"] == "new@example.org"
        assert graph.instances.id_of(config()) == workflow_id
        store = WorkflowStore(saver.database)
        assert store.verify(workflow_id) == []
        assert store.get(workflow_id).served == "ben"
        saver.delete_thread("t", instance=True)
        assert store.verify(workflow_id) == []


def test_without_being_told_a_deleted_thread_leaves_its_instance(set_up_database_url: str) -> None:
    with SQLCheckpointer(set_up_database_url) as saver:
        saver.setup()
        _, workflow_id = _said(saver)
        saver.delete_thread("t")
        assert WorkflowStore(saver.database).get(workflow_id).data["email"] == f"{MARK}@example.org"


def test_an_instance_whose_effect_is_under_way_is_not_erased(set_up_database_url: str) -> None:
    with SQLCheckpointer(set_up_database_url) as saver:
        saver.setup()
        _, workflow_id = _said(saver)
        with saver.database.write() as connection:
            running = sa.text("UPDATE workflow_instances SET running_key = 'k', lease_until = :later")
            connection.execute(running, {"later": 2**60})
        with pytest.raises(ConflictError, match="not erased"):
            saver.delete_thread("t", instance=True)
        assert saver.get_tuple(config()) is not None
        assert WorkflowStore(saver.database).get(workflow_id).data["email"]


def test_a_retention_takes_the_instances_of_threads_that_go(set_up_database_url: str) -> None:
    with SQLCheckpointer(set_up_database_url) as saver:
        saver.setup()
        _said(saver)
        put(saver, config("newer"), made(-1), x=1)
        saver.retain(Retention(last_threads=1, instances=True))
        assert _where_the_mark_is(saver) == set()
        assert threads_of(saver) == {"newer"}


def test_deleting_the_newest_run_leaves_nothing_of_it_behind(saver: SQLCheckpointer) -> None:
    graph = StateGraph(DeltaState)
    graph.add_node("add", lambda state: {"items": [f"after {len(state['items'])}"]})
    graph.add_edge(START, "add")
    compiled = graph.compile(checkpointer=saver)
    states = []
    for number in range(3):
        compiled.invoke({"items": [number]}, {**config(), "metadata": {"run_id": f"run-{number}"}})
        states.append(compiled.get_state(config()))
    saver.delete_for_runs(["run-2"])
    assert compiled.get_state(config()) == states[1]
    saver.delete_for_runs(["run-1"])
    assert compiled.get_state(config()) == states[0]
