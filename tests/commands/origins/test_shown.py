"""Where the arguments come from: shown in every place at which somebody decides, bound, recorded, and learned from."""

from __future__ import annotations

from typing import Any

import pytest

from interlock.cli.support.asking import show_request
from interlock.mcp.server.approval_server import _SHOWN
from interlock.pictures.card_text import rows_of
from interlock.rules.gate import binding
from interlock.testing import call
from tests.commands.origins.test_trusted_origins import ADA, EVIL, SUE, THREAD, desk, paying, reasons


def waiting(*steps: Any, said: str = "Pay 80") -> Any:
    graph = desk([*steps])
    assert reasons(graph, said)
    (approval,) = graph.instances.approvals().approvals
    return graph, graph.instances.approval(approval.approval_id, by=SUE)


def test_an_approver_is_shown_where_each_argument_comes_from_that_is_asked_about(
    capsys: pytest.CaptureFixture[str],
) -> None:
    graph, shown = waiting(call("bill.list"), paying("DE22POWER", 81))

    assert shown["origins"] == {"account": "listed", "amount": "nowhere"}
    assert ("why", shown["reasons"][0]) in rows_of(shown)
    show_request(shown)
    assert "a record that nobody named" in " ".join(capsys.readouterr().out.replace("│", "").split())
    assert {"origins", "reasons"} <= {*_SHOWN}
    (request,) = [record for record in graph.instances.audit(THREAD) if record.kind == "approval"]
    assert request.payload is not None
    assert request.payload["shown"]["origins"] == shown["origins"]  # type: ignore[index,call-overload]


def test_the_binding_of_an_approval_includes_the_origins() -> None:
    graph, shown = waiting(paying(EVIL, 80))
    definition = graph.engine.definition
    (approval,) = graph.engine.store.pending_approvals(graph.instances.id_of(THREAD))
    kept = {**approval.shown}
    assert kept["origins"] == shown["origins"] == {"account": "nowhere"}
    edge = next(edge for edge in definition.edges if edge.tool.name == "money.pay")

    class Admitted:
        canonical = approval.arguments

    Admitted.edge = edge  # type: ignore[attr-defined]

    def digest(shown: Any) -> str:
        return binding(definition, Admitted, requester=ADA, state="open", shown=shown, revision=None)  # type: ignore[arg-type]

    assert digest(kept) == approval.digest
    assert digest({**kept, "origins": {"account": "listed"}}) != approval.digest


def test_whoever_streams_is_told_the_origins() -> None:
    graph = desk([paying(EVIL, 80)])

    told = [*graph.stream({"messages": [("user", "Pay 80")]}, THREAD, context=ADA, stream_mode="custom")]

    assert [one["origins"] for one in told if one["type"] == "interlock.approval"] == [{"account": "nowhere"}]


def test_how_often_an_origin_was_accepted_is_learned() -> None:
    graph = desk(
        [paying(EVIL, 80), "Done.", call("bill.list"), paying("DE22POWER", 80), "Done.", call("bill.delete", billId=7)]
    )
    for said, answer in (("Pay 80", "reject"), ("And the bills", "approve"), ("Delete bill 7", "approve")):
        assert reasons(graph, said)
        (approval,) = graph.instances.approvals().approvals
        graph.instances.decide(approval.approval_id, answer, by=SUE)
        graph.instances.resume(THREAD)

    rows = graph.instances.outcomes(by=["origin"])

    assert [(row["origin"], row["proposals"], row["accepted_share"]) for row in rows] == [
        (None, 1, 1.0),
        ("listed", 1, 1.0),
        ("nowhere", 1, 0.0),
    ]
