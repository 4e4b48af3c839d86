"""What approvers decide comes back as feedback on the run whose proposal they judged."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
from langgraph.types import Command

from interlock import SQLCheckpointer, WorkflowGraph, WorkflowStore
from interlock.testing import ScriptedChatModel, TraceSink, call
from interlock.tracing import FeedbackSender, Outgoing, Sent, judged_proposals
from tests.tracing.support import ADA, BEN, PLANTED, Shop, arrived, config, edit_of


def _asked(graph: WorkflowGraph) -> None:
    graph.invoke({"messages": [("user", "charge W1")]}, config(), context=ADA)


@pytest.fixture
def graph(tmp_path: Path) -> Any:
    model = ScriptedChatModel(
        [
            call("order.get", orderId="W1"),
            call("order.charge", orderId="W1", amount="50", card=PLANTED),
            call("order.charge", orderId="W1", amount="30", card=PLANTED),
        ],
        forever="done",
    )
    graph = Shop().flow(model).compile(SQLCheckpointer(f"sqlite:///{tmp_path}/shop.db"))
    yield graph
    graph.engine.store.close()


def _sender(graph: WorkflowGraph, client: Any, **options: Any) -> FeedbackSender:
    return FeedbackSender(graph.engine.store, client, **options)


@pytest.mark.parametrize(
    ("answer", "value", "score", "comment"),
    [
        ({"type": "approve"}, "approve", 1.0, None),
        (edit_of(orderId="W1", amount="40", card=PLANTED), "edit", 0.5, "too much"),
        ({"type": "reject", "message": "not this one"}, "reject", 0.0, "not this one"),
    ],
    ids=["approve", "edit", "reject"],
)
def test_each_decision_is_said_of_the_run_that_proposed(
    graph: WorkflowGraph, sink: TraceSink, traced: Any, answer: Any, value: str, score: float, comment: str | None
) -> None:
    _asked(graph)
    graph.invoke(Command(resume=answer), config(), context=BEN)
    runs = arrived(sink, traced)
    assert _sender(graph, traced).send() == Sent(sent=1)
    traced.flush()

    (said,) = sink.wait_for(lambda: sink.feedback)
    proposing = next(run for run in runs if run.metadata.get("proposed") == "order.charge")
    assert proposing.name == "shop: open"
    assert (said["run_id"], said["trace_id"]) == (proposing.id, proposing.trace_id)
    assert (said["key"], said["value"], said["score"], said.get("comment")) == ("approval", value, score, comment)
    if value == "edit":
        assert said["correction"] == {"arguments": {"orderId": "W1", "amount": "40", "card": "***"}}
    decision = next(record for record in graph.instances.audit(config()) if record.kind == "decision")
    assert said["feedback_source"]["metadata"]["auditRef"] == decision.audit_ref
    assert PLANTED not in sink.text


def test_it_is_sent_once_however_often_it_is_tried(graph: WorkflowGraph, sink: TraceSink, traced: Any) -> None:
    _asked(graph)
    graph.invoke(Command(resume={"type": "approve"}), config(), context=BEN)
    sender = _sender(graph, traced)

    assert [sender.send() for _ in range(3)] == [Sent(sent=1), Sent(), Sent()]


def test_two_senders_do_not_send_the_same(graph: WorkflowGraph, sink: TraceSink, traced: Any) -> None:
    _asked(graph)
    graph.invoke(Command(resume={"type": "approve"}), config(), context=BEN)
    first, second = _sender(graph, traced), _sender(graph, traced)
    rows: list[Sent] = []

    class Interrupted:
        """A client in whose middle of sending the other sender comes by."""

        def __getattr__(self, name: str) -> Any:
            return getattr(traced, name)

        @functools.wraps(traced.create_feedback)
        def create_feedback(self, *args: Any, **fields: Any) -> Any:
            rows.append(second.send())
            return traced.create_feedback(*args, **fields)

    first._client = Interrupted()
    assert first.send() == Sent(sent=1)
    assert rows == [Sent()]


def test_when_langsmith_is_down_it_waits_and_is_sent_later(graph: WorkflowGraph, traced: Any) -> None:
    _asked(graph)
    graph.invoke(Command(resume={"type": "reject", "message": "no"}), config(), context=BEN)

    with TraceSink(status=500) as failing:
        client = failing.client(auto_batch_tracing=False)
        sender = _sender(graph, client, first_pause=0.0)
        assert sender.send() == Sent(failed=1)
        failing.status = 200
        assert sender.send() == Sent(sent=1)
        assert [item["value"] for item in failing.feedback] == ["reject"]
        client.close()


def test_it_is_given_up_after_so_many_attempts(graph: WorkflowGraph, traced: Any) -> None:
    _asked(graph)
    graph.invoke(Command(resume={"type": "approve"}), config(), context=BEN)

    with TraceSink(status=500) as failing:
        client = failing.client(auto_batch_tracing=False)
        sender = _sender(graph, client, first_pause=0.0, attempts=2)
        assert [sender.send(), sender.send(), sender.send()] == [Sent(failed=1), Sent(dead=1), Sent()]
        client.close()


def test_what_was_not_traced_is_said_of_nothing(graph: WorkflowGraph, client: Any) -> None:
    _asked(graph)
    graph.invoke(Command(resume={"type": "approve"}), config(), context=BEN)

    assert _sender(graph, client).send() == Sent()


def test_the_reason_stays_at_home_where_the_conversation_does(
    graph: WorkflowGraph, sink: TraceSink, traced: Any
) -> None:
    _asked(graph)
    graph.invoke(Command(resume={"type": "reject", "message": "she said so"}), config(), context=BEN)
    _sender(graph, traced, outgoing=Outgoing(conversation=False)).send()
    traced.flush()

    (said,) = sink.wait_for(lambda: sink.feedback)
    assert said["comment"] == "(withheld)"


def test_edited_and_rejected_proposals_become_examples(graph: WorkflowGraph, sink: TraceSink, traced: Any) -> None:
    _asked(graph)
    graph.invoke(Command(resume={"type": "reject", "message": "ask for less"}), config(), context=BEN)
    graph.invoke(Command(resume=edit_of(orderId="W1", amount="20", card=PLANTED)), config(), context=BEN)
    store: WorkflowStore = graph.engine.store
    rejected, edited = judged_proposals(store, workflow="shop")

    assert (rejected.decision, rejected.reason, rejected.proposed["amount"]) == ("reject", "ask for less", "50")
    assert (edited.decision, edited.proposed["amount"], edited.corrected["amount"]) == ("edit", "30", "20")  # type: ignore[index]
    assert (edited.state, edited.tool) == ("open", "order.charge")
    example = edited.to_example()
    assert example.id == edited.to_example().id
    assert str(example.source_run_id) == edited.run
    assert example.inputs["arguments"] == {"orderId": "W1", "amount": "30", "card": "***"}
    assert example.outputs == {
        "decision": "edit",
        "arguments": {"orderId": "W1", "amount": "20", "card": "***"},
        "reason": "too much",
    }
    assert list(judged_proposals(store, tenant="others")) == []
