"""The service killed in the middle of a decision, at one moment after another, and told to end while calls are under way."""

from __future__ import annotations

import signal
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from interlock import WorkflowGraph
from interlock.checkpointing.tables.workflow import decisions, ledger, outbox
from interlock.testing import injected
from tests.serving.desk import KIM, SUE
from tests.serving.killable import desk, running, tell_to_end

MOMENTS = 8
"""So many fault points are passed from the request to its answer."""
KILLS = [
    *((moment,) for moment in range(1, MOMENTS + 1)),
    *((moment, 1 + moment % 3) for moment in range(1, MOMENTS + 1)),
    *((moment, 4, 1) for moment in range(1, 5)),
]
"""At which moments of a decision, and of its repetitions, the service is killed."""
UNDER_WAY = 50


def ask(graph: WorkflowGraph) -> tuple[str, str]:
    """A refund that waits for a supervisor: the instance, and the approval."""
    begun = graph.instances.start(principal=KIM)
    pending = graph.instances.propose(begun.workflow_id, "order.refund", {"orderId": "W-7"}, principal=KIM, key="k-1")
    assert pending.ok is None
    return begun.workflow_id, pending.pending.proposal_id


def decide(client: httpx.Client, approval_id: str) -> httpx.Response | None:
    """Approve; None where no answer came."""
    try:
        return client.post(
            f"/v1/approvals/{approval_id}/decision", json={"decision": "approve"}, headers={"x-test-user": "sue"}
        )
    except httpx.TransportError:
        return None


def left(graph: WorkflowGraph, workflow_id: str) -> dict[str, Any]:
    """What is there of the refund, once each."""
    records = Counter(one.kind.value for one in graph.instances.audit(workflow_id))
    with graph.engine.store.read() as connection:
        count = sa.func.count()
        return {
            "refunded": graph.instances.get(workflow_id).data["refunded"],
            "decisions": connection.scalar(sa.select(count).select_from(decisions)),
            "commands": [*connection.scalars(sa.select(ledger.c.status))],
            "events": connection.scalar(sa.select(count).where(outbox.c.event_name == Refunded)),
            "records": (records["decision"], records["transition"]),
            "broken": graph.engine.store.verify(workflow_id),
        }


Refunded = "killable.order.refunded.v1"
ONCE = {"refunded": 1, "decisions": 1, "commands": ["completed"], "events": 1, "records": (1, 1), "broken": []}


def test_a_decision_passes_the_expected_fault_points(tmp_path: Path) -> None:
    graph = desk(f"sqlite:///{tmp_path / 'desk.db'}")
    _, approval_id = ask(graph)
    with injected() as reached:
        graph.instances.decide(approval_id, "approve", by=SUE)
        graph.instances.follow(approval_id)
    assert len(reached.points) == MOMENTS
    graph.checkpointer.close()  # type: ignore[union-attr]


@pytest.mark.parametrize("moments", KILLS, ids=str)
def test_killed_in_the_middle_of_a_decision_nothing_is_lost_and_nothing_done_twice(
    tmp_path: Path, moments: tuple[int, ...]
) -> None:
    url = f"sqlite:///{tmp_path / 'desk.db'}"
    graph = desk(url)
    workflow_id, approval_id = ask(graph)
    killed = 0
    for moment in moments:
        with running(url, moment) as (child, client):
            if decide(client, approval_id) is None:
                assert child.ended() == -signal.SIGKILL
                killed += 1
    assert killed >= 1  # a repetition may have less left to do
    with running(url) as (child, client):
        answer = decide(client, approval_id)
        assert answer is not None
        assert answer.status_code in {200, 409}, answer.text  # decided now, or before
        looked = client.get(f"/v1/instances/{workflow_id}/proposals/{approval_id}", headers={"x-test-user": "kim"})
        assert looked.status_code == 200, looked.text
        tell_to_end(child)
        child.ended()
    assert left(graph, workflow_id) == ONCE
    graph.checkpointer.close()  # type: ignore[union-attr]


def test_told_to_end_it_answers_every_call_that_is_under_way(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'desk.db'}"
    graph = desk(url)
    cases = [graph.instances.start(principal=KIM).workflow_id for _ in range(UNDER_WAY)]
    with socket.create_server(("127.0.0.1", 0), backlog=UNDER_WAY) as gate:
        gate.settimeout(120)
        with running(url, gate=gate.getsockname()[1]) as (child, client), ThreadPoolExecutor(UNDER_WAY) as pool:

            def send(workflow_id: str) -> httpx.Response:
                headers = {"x-test-user": "kim", "Idempotency-Key": "letter"}
                body = {"tool": "letter.send", "arguments": {}}
                return client.post(f"/v1/instances/{workflow_id}/proposals", json=body, headers=headers)

            answers = [pool.submit(send, workflow_id) for workflow_id in cases]
            waiting = [gate.accept()[0] for _ in cases]  # each is in the middle of its effect
            tell_to_end(child)
            for one in waiting:
                one.close()
            done = [answer.result(120) for answer in answers]
            assert [one.status_code for one in done] == [200] * UNDER_WAY
            assert child.ended() in {0, -signal.SIGTERM}
    assert [graph.instances.get(workflow_id).data["sent"] for workflow_id in cases] == [1] * UNDER_WAY
    assert graph.engine.store.unsettled() == []
    graph.checkpointer.close()  # type: ignore[union-attr]
