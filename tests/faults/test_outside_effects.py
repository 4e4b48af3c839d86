"""Effects outside the database: repeated only where that is safe, under one key, and asked about where nobody knows."""

from __future__ import annotations

import asyncio
import pathlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langgraph.errors import GraphInterrupt
from langgraph.types import Command
from pydantic import BaseModel

from interlock import (
    Principal,
    Refused,
    RetryPolicy,
    SQLCheckpointer,
    ToolContext,
    ToolContract,
    Workflow,
    WorkflowGraph,
    WorkflowStore,
    command,
)
from interlock.testing import drop, injected
from interlock.tools import ConflictError, IdempotencyError, InProgress, InputError, LeaseLost, OutcomeUnknown

HERE = {"configurable": {"thread_id": "t-1"}}
BOSS = Principal("boss")


class Sent(BaseModel):
    """What a parcel service answers."""

    parcel_number: str


class Parcel(BaseModel):
    """The data."""

    sent: list[str] = []


class Service:
    """A parcel service that can be told to fail."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.attempts: list[int] = []
        self.troubles: list[Exception] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def send(self, ctx: ToolContext[Any]) -> Sent:
        self.keys.append(ctx.idempotency_key)
        self.attempts.append(ctx.attempt)
        self.meanwhile()
        if self.troubles:
            raise self.troubles.pop(0)
        ctx.data.sent.append("p-1")
        return Sent(parcel_number="p-1")


class Clock:
    """A clock that a test moves."""

    now = 1_000_000_000

    def __call__(self, _: Any) -> int:
        return self.now

    def pass_seconds(self, seconds: float) -> None:
        self.now += int(seconds * 1_000_000)


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def saver(tmp_path: pathlib.Path) -> Iterator[SQLCheckpointer]:
    with SQLCheckpointer(f"sqlite:///{tmp_path / 'parcels.db'}") as opened:
        yield opened


def sending(service: Service, effect: str, **options: Any) -> ToolContract[..., Sent]:
    @command("parcel.send", effect=effect, **options)
    def send(ctx: ToolContext[Parcel]) -> Sent:
        """Send the parcel."""
        return service.send(ctx)

    return send


def depot(saver: SQLCheckpointer, tool: ToolContract[..., Sent], clock: Clock) -> WorkflowGraph:
    flow = Workflow("depot", data=Parcel)
    flow.add_state("packed", decide=lambda _: ("parcel.send", {}))
    flow.add_state("sent", final=True)
    flow.add_edge("packed", tool, "sent")
    return flow.compile(saver, workflow_store=WorkflowStore(saver.database, clock=clock))


def start(graph: WorkflowGraph) -> dict[str, Any]:
    return graph.invoke({"messages": [("user", "send it")]}, HERE)


def asked(graph: WorkflowGraph) -> dict[str, Any]:
    (interrupt,) = graph.get_state(HERE).interrupts
    value: dict[str, Any] = interrupt.value
    return value


def kinds(graph: WorkflowGraph) -> list[str]:
    return [record.kind.value for record in graph.instances.audit(HERE)]


AGAIN = RetryPolicy(attempts=3, initial=0)


def test_an_idempotent_effect_is_tried_again_under_one_key(
    saver: SQLCheckpointer, service: Service, clock: Clock
) -> None:
    service.troubles = [ConnectionError("gone"), TimeoutError("slow")]
    graph = depot(saver, sending(service, "idempotent", retry=AGAIN), clock)

    assert start(graph)["state"] == "sent"
    assert len(set(service.keys)) == 1
    assert service.attempts == [1, 2, 3]
    assert kinds(graph) == ["started", "attempt", "attempt", "attempt", "transition"]


def test_an_idempotent_effect_that_keeps_failing_stops_and_asks(
    saver: SQLCheckpointer, service: Service, clock: Clock
) -> None:
    service.troubles = [ConnectionError("gone")] * 3
    graph = depot(saver, sending(service, "idempotent", retry=AGAIN), clock)

    start(graph)

    assert asked(graph)["type"] == "outcome_unknown"
    assert service.attempts == [1, 2, 3]
    graph.instances.resolve(HERE, "retry", by=BOSS)
    assert graph.invoke(None, HERE)["state"] == "sent"
    assert service.attempts == [1, 2, 3, 4]
    assert len(set(service.keys)) == 1


def test_an_effect_that_is_not_safe_to_repeat_is_tried_once_and_asked_about(
    saver: SQLCheckpointer, service: Service, clock: Clock
) -> None:
    service.troubles = [ConnectionError("gone")]
    graph = depot(saver, sending(service, "at_most_once"), clock)

    start(graph)
    graph.invoke(None, HERE)
    graph.invoke(None, HERE)

    assert service.attempts == [1]
    assert asked(graph)["tool"] == "parcel.send"
    assert kinds(graph) == ["started", "attempt", "unknown"]


def test_what_happened_is_taken_from_the_person_who_says_so(
    saver: SQLCheckpointer, service: Service, clock: Clock
) -> None:
    service.troubles = [ConnectionError("gone")]
    graph = depot(saver, sending(service, "at_most_once"), clock)
    start(graph)

    answer = {"type": "happened", "output": {"parcelNumber": "p-9"}, "data": {"sent": ["p-9"]}, "note": "they say so"}
    done = graph.invoke(Command(resume=answer), HERE, context=BOSS)

    assert (done["state"], done["data"]) == ("sent", {"sent": ["p-9"]})
    assert done["last_result"]["output"] == {"parcelNumber": "p-9"}
    assert service.attempts == [1]
    records = {record.kind: record for record in graph.instances.audit(HERE)}
    assert records["resolution"].principal_id == "boss"  # type: ignore[index]
    assert records["transition"].principal_id == "anonymous"  # type: ignore[index]


def test_what_did_not_happen_is_tried_again_when_a_person_says_so(
    saver: SQLCheckpointer, service: Service, clock: Clock
) -> None:
    service.troubles = [ConnectionError("gone"), ConnectionError("again")]
    graph = depot(saver, sending(service, "at_most_once"), clock)
    start(graph)

    graph.invoke(Command(resume={"type": "retry"}), HERE, context=BOSS)

    assert service.attempts == [1, 2]
    assert asked(graph)["attempt"] == 2
    assert graph.invoke(Command(resume={"type": "retry"}), HERE, context=BOSS)["state"] == "sent"
    assert service.attempts == [1, 2, 3]


def test_what_failed_for_good_is_told_to_whoever_proposed_it(
    saver: SQLCheckpointer, service: Service, clock: Clock
) -> None:
    service.troubles = [ConnectionError("gone")]
    flow = Workflow("depot", data=Parcel)
    flow.add_state("packed", decide=lambda view: None if len(view.messages) > 2 else ("parcel.send", {}))
    flow.add_state("sent", final=True)
    flow.add_edge("packed", sending(service, "at_most_once"), "sent")
    graph = flow.compile(saver)
    start(graph)

    done = graph.invoke(Command(resume={"type": "failed", "note": "the van broke down"}), HERE, context=BOSS)

    assert done["state"] == "packed"
    assert done["last_result"]["error"]["code"] == "tool_failed"
    assert "the van broke down" in done["messages"][-1].content
    assert graph.instances.execute(HERE, "parcel.send", {})["ok"]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("yes", "not one of"),
        ({"type": "happened", "output": {"number": 7}}, "not what it returns"),
        ({"type": "retry", "force": True}, "not one of"),
    ],
)
def test_an_answer_that_resolves_nothing_changes_nothing(
    answer: Any, told: str, saver: SQLCheckpointer, service: Service, clock: Clock
) -> None:
    service.troubles = [ConnectionError("gone")]
    graph = depot(saver, sending(service, "at_most_once"), clock)
    start(graph)
    before = kinds(graph)

    with pytest.raises(InputError, match=told):
        graph.invoke(Command(resume=answer), HERE, context=BOSS)

    assert kinds(graph) == before
    assert asked(graph)["attempt"] == 1


def test_an_attempt_is_resolved_once(saver: SQLCheckpointer, service: Service, clock: Clock) -> None:
    service.troubles = [ConnectionError("gone")]
    graph = depot(saver, sending(service, "at_most_once"), clock)
    start(graph)
    key = asked(graph)["key"]
    graph.instances.resolve(HERE, "happened", by=BOSS, output=Sent(parcel_number="p-9"))

    with pytest.raises(ConflictError, match="needs no resolving"):
        graph.instances.resolve(HERE, "retry", by=BOSS, key=key)
    with pytest.raises(InputError, match="no command whose outcome is unknown"):
        graph.instances.resolve(HERE, "retry", by=BOSS)


def test_a_resolution_of_an_earlier_attempt_does_not_count_for_a_later_one(
    saver: SQLCheckpointer, service: Service, clock: Clock
) -> None:
    service.troubles = [ConnectionError("gone"), ConnectionError("again")]
    graph = depot(saver, sending(service, "at_most_once"), clock)
    start(graph)
    graph.invoke(Command(resume={"type": "retry"}), HERE, context=BOSS)

    with pytest.raises(ConflictError, match="number 2"):
        graph.instances.resolve(HERE, "happened", by=BOSS, output=Sent(parcel_number="p-1"), attempt=1)


def test_a_tool_that_says_no_has_surely_done_nothing(saver: SQLCheckpointer, service: Service, clock: Clock) -> None:
    service.troubles = [Refused("no van", code="no_van")]
    graph = depot(saver, sending(service, "at_most_once"), clock)

    result = start(graph)

    assert service.attempts == [1, 1]  # the proposer asks again, under another key
    assert len(set(service.keys)) == 2
    assert result["state"] == "sent"


def test_a_body_that_takes_too_long_is_of_unknown_outcome(
    saver: SQLCheckpointer, service: Service, clock: Clock
) -> None:
    finish = threading.Event()
    service.meanwhile = lambda: finish.wait(30)
    graph = depot(saver, sending(service, "at_most_once", timeout=0.05), clock)

    start(graph)
    finish.set()

    assert asked(graph)["type"] == "outcome_unknown"
    assert service.attempts == [1]


async def test_an_async_body_that_takes_too_long_is_stopped_and_tried_again(
    saver: SQLCheckpointer, service: Service, clock: Clock
) -> None:
    stopped: list[str] = []

    @command("parcel.send", effect="idempotent", timeout=0.05, retry=AGAIN)
    async def send(ctx: ToolContext[Parcel]) -> Sent:
        """Send the parcel."""
        if ctx.attempt == 1:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                stopped.append(ctx.idempotency_key)
                raise
        return service.send(ctx)

    graph = depot(saver, send, clock)

    done = await graph.ainvoke({"messages": [("user", "send it")]}, HERE)

    assert done["state"] == "sent"
    assert stopped == service.keys


def test_a_transactional_body_that_takes_too_long_leaves_nothing(
    saver: SQLCheckpointer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    late = threading.Event()

    @command("parcel.note", effect="transactional", timeout=0.01)
    def note(ctx: ToolContext[Parcel]) -> Sent:
        """Write it down, late."""
        late.wait(0.05)
        ctx.data.sent.append("late")
        return Sent(parcel_number="late")

    flow = Workflow("depot", data=Parcel)
    flow.add_state("packed")
    flow.add_state("sent", final=True)
    flow.add_edge("packed", note, "sent")
    graph = flow.compile(saver)
    graph.invoke({"messages": []}, HERE)

    result = graph.instances.execute(HERE, "parcel.note", {})

    assert (result["error"]["code"], result["error"]["retryable"]) == ("timeout", True)
    assert "parcel.note took longer than the 0.01 s that it may take" in caplog.text
    assert graph.instances.get(HERE).data == {"sent": []}


def test_while_an_effect_is_under_way_nothing_else_moves_the_workflow(
    saver: SQLCheckpointer, service: Service, clock: Clock
) -> None:
    graph = depot(saver, sending(service, "at_most_once"), clock)
    met: list[Exception] = []

    def meanwhile() -> None:
        for key in ("another", service.keys[0]):
            try:
                graph.instances.execute(HERE, "parcel.send", {}, idempotency_key=key)
            except ConflictError as error:
                met.append(error)

    service.meanwhile = meanwhile

    assert start(graph)["state"] == "sent"
    assert [type(error) for error in met] == [InProgress, InProgress]
    assert all(error.retryable for error in met if isinstance(error, InProgress))
    assert service.attempts == [1]


def test_a_workflow_with_an_unknown_outcome_says_so_to_other_commands(
    saver: SQLCheckpointer, service: Service, clock: Clock
) -> None:
    service.troubles = [ConnectionError("gone")]
    graph = depot(saver, sending(service, "at_most_once"), clock)
    start(graph)

    with pytest.raises(OutcomeUnknown, match="resolve it"):
        graph.instances.execute(HERE, "parcel.send", {})


def test_the_same_key_gives_the_stored_result_and_never_another_command(
    saver: SQLCheckpointer, service: Service, clock: Clock
) -> None:
    @command("parcel.weigh", effect="idempotent")
    def weigh(grams: int, ctx: ToolContext[Parcel]) -> Sent:
        """Weigh the parcel."""
        return service.send(ctx)

    flow = Workflow("depot", data=Parcel)
    flow.add_state("packed")
    flow.add_state("sent", final=True)
    flow.add_edge("packed", weigh, "packed")
    flow.add_edge("packed", sending(service, "at_most_once"), "sent")
    graph = flow.compile(saver, workflow_store=WorkflowStore(saver.database, clock=clock))
    graph.invoke({"messages": []}, HERE)

    first = graph.instances.execute(HERE, "parcel.weigh", {"grams": 7}, idempotency_key="k")
    again = graph.instances.execute(HERE, "parcel.weigh", {"grams": 7}, idempotency_key="k")

    assert again == {**first, "replayed": True}
    assert service.attempts == [1]
    with pytest.raises(IdempotencyError, match="other arguments"):
        graph.instances.execute(HERE, "parcel.weigh", {"grams": 8}, idempotency_key="k")
    with pytest.raises(IdempotencyError, match="other arguments"):
        graph.instances.execute(HERE, "parcel.send", {}, idempotency_key="k")


@pytest.mark.parametrize("key", ["", "k ", "a\0b", "x" * 129, "\ud800"], ids=["empty", "space", "NUL", "long", "half"])
def test_a_key_that_some_database_would_cut_off_or_take_for_another_is_refused(
    key: str, saver: SQLCheckpointer, service: Service
) -> None:
    here = {"configurable": {"thread_id": "t-1", "workflow_id": "wf_1"}}
    flow = Workflow("depot", data=Parcel)
    flow.add_state("packed")
    flow.add_state("sent", final=True)
    flow.add_edge("packed", sending(service, "idempotent"), "sent")
    graph = flow.compile(saver)
    graph.invoke({"messages": []}, here)

    with pytest.raises(InputError, match="key") as raised:
        graph.instances.execute(here, "parcel.send", {}, idempotency_key=key)
    assert raised.value.code == "invalid_id"
    with pytest.raises(InputError, match="workflow_id"):
        graph.invoke({"messages": []}, {"configurable": {"thread_id": "t-1", "workflow_id": key}})
    assert service.attempts == []


def test_an_effect_that_outlasts_its_lease_keeps_it(saver: SQLCheckpointer, service: Service) -> None:
    store = WorkflowStore(saver.database, lease_seconds=0.3)
    flow = Workflow("depot", data=Parcel)
    flow.add_state("packed", decide=lambda _: ("parcel.send", {}))
    flow.add_state("sent", final=True)
    flow.add_edge("packed", sending(service, "at_most_once"), "sent")
    graph = flow.compile(saver, workflow_store=store)
    leases: set[int | None] = set()

    def watch() -> None:
        assert store.wait_until(lambda: (leases.add(graph.instances.get(HERE).lease_until), len(leases) > 3)[1], 20)

    service.meanwhile = watch

    assert start(graph)["state"] == "sent"
    assert len(leases) > 3


def taken_over_meanwhile(service: Service, clock: Clock, second: WorkflowGraph, *troubles: Exception) -> None:
    """Let another runner take over and finish during the next effect, which then ends in these troubles."""

    def taken_over() -> None:
        service.meanwhile = lambda: None
        clock.pass_seconds(31)
        assert second.invoke(None, HERE)["state"] == "sent"
        service.troubles += troubles

    service.meanwhile = taken_over


def test_a_runner_that_was_away_for_longer_than_its_lease_is_refused_when_it_comes_back(
    saver: SQLCheckpointer, service: Service, clock: Clock
) -> None:
    tool = sending(service, "idempotent", retry=AGAIN)
    first, second = depot(saver, tool, clock), depot(saver, tool, clock)

    taken_over_meanwhile(service, clock, second)

    with pytest.raises(LeaseLost, match="was taken over"):
        start(first)

    assert service.attempts == [1, 2]
    assert len(set(service.keys)) == 1
    assert [record.kind for record in first.instances.audit(HERE)].count("transition") == 1  # type: ignore[comparison-overlap]
    assert first.engine.store.verify(first.instances.id_of(HERE)) == []


@pytest.mark.parametrize(
    ("then", "retry"),
    [
        (Refused("no"), AGAIN),
        (ConnectionError("gone"), AGAIN),
        (ConnectionError("gone"), RetryPolicy(attempts=1)),
        (GraphInterrupt(), AGAIN),
    ],
    ids=["it is refused", "it would try again", "its outcome is unknown", "it asks"],
)
def test_whatever_came_of_it_meanwhile_a_runner_that_was_away_too_long_writes_nothing(
    saver: SQLCheckpointer, service: Service, clock: Clock, then: Exception, retry: RetryPolicy
) -> None:
    tool = sending(service, "idempotent", retry=retry)
    first, second = depot(saver, tool, clock), depot(saver, tool, clock)

    taken_over_meanwhile(service, clock, second, then)

    with pytest.raises(LeaseLost, match="was taken over"):
        start(first)

    assert service.attempts == [1, 2]
    assert kinds(first) == ["started", "attempt", "attempt", "transition"]
    assert first.engine.store.verify(first.instances.id_of(HERE)) == []


def test_a_late_answer_to_what_a_person_is_asked_about_is_refused(
    saver: SQLCheckpointer, service: Service, clock: Clock
) -> None:
    tool = sending(service, "at_most_once")
    first, second = depot(saver, tool, clock), depot(saver, tool, clock)

    def taken_over() -> None:
        clock.pass_seconds(31)
        second.invoke(None, HERE)
        assert asked(second)["type"] == "outcome_unknown"

    service.meanwhile = taken_over

    with pytest.raises(LeaseLost):
        start(first)

    assert service.attempts == [1]
    assert first.instances.get(HERE).state == "packed"
    first.instances.resolve(HERE, "happened", by=BOSS, output=Sent(parcel_number="p-1"))
    assert first.invoke(None, HERE)["state"] == "sent"


def test_what_an_effect_came_to_is_written_down_when_the_database_comes_back(
    saver: SQLCheckpointer, service: Service, clock: Clock
) -> None:
    graph = depot(saver, sending(service, "at_most_once"), clock)

    # The second commit of the run is the announcement, the third one the outcome.
    with injected(drop("commit.before", nth=3), drop("commit.before", nth=4)):
        done = start(graph)

    assert done["state"] == "sent"
    assert service.attempts == [1]
    assert graph.engine.store.verify(graph.instances.id_of(HERE)) == []


async def test_an_effect_that_was_cancelled_is_asked_about_and_not_repeated(
    saver: SQLCheckpointer, service: Service, clock: Clock
) -> None:
    begun = asyncio.Event()

    @command("parcel.send", effect="at_most_once")
    async def send(ctx: ToolContext[Parcel]) -> Sent:
        """Send the parcel."""
        service.send(ctx)
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError("it was cancelled")

    graph = depot(saver, send, clock)
    running = asyncio.create_task(graph.ainvoke({"messages": [("user", "send it")]}, HERE))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    await graph.ainvoke(None, HERE)

    assert asked(graph)["type"] == "outcome_unknown"
    assert service.attempts == [1]
