"""What pictures and cards tell at a glance: what waits, what is taken otherwise, what ends a wait, who may not decide, and in the dark."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest

from interlock import Approval, Workflow, WorkflowGraph
from interlock.pictures import use_theme
from interlock.pictures.previews import changes, preview_lines
from interlock.pictures.themes import _DARK, themed
from tests.pictures import gallery
from tests.pictures.gallery import ANN, BOB, HERE
from tests.pictures.test_pictures import texts


@pytest.fixture
def graph() -> WorkflowGraph:
    return gallery.desk().compile(in_memory=True)


@pytest.fixture
def _light_again() -> Iterator[None]:
    yield
    use_theme("light")


def asked(graph: WorkflowGraph) -> str:
    stepper = graph.stepper(HERE, context=ANN).say("Refund W1, please.")
    for _ in stepper.run():
        pass
    return str(stepper.waits_for[0]["approvalId"])


def test_a_stepper_shows_its_steps_what_is_next_and_from_whom_an_answer_is_waited_for(graph: WorkflowGraph) -> None:
    stepper = graph.stepper(HERE, context=ANN).say("Refund W1, please.")
    shown = [stepper.picture().svg, *(one.picture().svg for one in stepper.run())]

    assert len({*shown}) == len(shown) > 4, "each step is another picture"
    assert stepper.steps == [
        "the user says: Refund W1, please.",
        'order_cancel(orderId="W1") is proposed',
        "order_cancel is denied: unknown_tool",
        'order.get(orderId="W1") is proposed',
        'order.get answers "delivered"',
        'order.refund(orderId="W1", amount="12") is proposed',
    ]
    written = texts(shown[-1])
    assert {"Steps", "3. order_cancel is denied: unknown_tool", "next: ask for a decision on order.refund"} <= {
        *texts(shown[-2])
    }
    assert "next: run the reads proposed in open" in texts(shown[2])
    assert "waits for an answer about order.refund from the role 'lead'" in written
    assert not [text for text in written if text.startswith("next:")], "nothing is next before the answer"
    assert str(stepper).splitlines()[-1].endswith("from the role 'lead'")

    stepper.answer("approve", by=BOB)
    assert stepper.steps[-1] == "bob answers: approve"
    assert "next: run order.refund" in texts(stepper.picture().svg)
    list(stepper.run())
    assert stepper.steps[-1] == "order.ship is carried out: refunded → unpaid"
    assert "waits for an event or a deadline in unpaid" in texts(stepper.picture().svg)


async def test_a_stepper_tells_the_same_steps_in_async_code(graph: WorkflowGraph) -> None:
    stepper = await graph.stepper(HERE, context=ANN).asay("Refund W1, please.")
    async for _ in stepper.arun():
        pass

    assert 'order.get(orderId="W1") is proposed' in stepper.steps
    assert "waits for an answer about order.refund from the role 'lead'" in texts((await stepper.apicture()).svg)


def test_many_steps_are_shown_from_their_end() -> None:
    from interlock.testing import ScriptedChatModel, call

    flow = Workflow("w", model=ScriptedChatModel([*[call("order.get", orderId="1")] * 9, "Done."]))
    flow.add_state("open", tools=[gallery.get_order]).add_state("closed", final=True)
    flow.add_edge("open", gallery.ship, "closed")
    stepper = flow.compile(in_memory=True).stepper(HERE).say("Look.")
    list(stepper.run())

    written = texts(stepper.picture().svg)
    assert "Steps, the last 12" in written
    assert f"{len(stepper.steps)}. the assistant says: Done." in written
    assert not any(line.startswith("1. ") for line in written)


def test_waiting_looks_different_from_running(graph: WorkflowGraph) -> None:
    graph.stepper(HERE, context=ANN).say("Refund W1, please.")
    running = graph.instances.picture(HERE)
    assert "now" in texts(running.svg)
    assert "stroke-dasharray" not in running.svg

    asked(graph)
    waiting = graph.instances.picture(HERE)
    assert texts(running.svg).count("waiting") == 0, "a wait that is not reached is a kind of state"
    assert texts(waiting.svg).count("waiting") == 1
    assert "now" not in texts(waiting.svg)
    assert "stroke-dasharray" in waiting.svg
    assert "Waits for order.refund: approval by lead within 24 h." in texts(waiting.svg)
    assert str(waiting).splitlines()[0] == (
        "workflow desk v1, now in open, waits for order.refund: approval by lead within 24 h"
    )


def test_what_ends_a_wait_says_whether_it_is_an_event_a_failure_or_a_deadline() -> None:
    picture = gallery.desk().picture()

    said = {"event shop.order.paid.v1", "failure shop.order.lost.v1", "deadline after 2 h"}
    assert said <= {*texts(picture.svg)}
    assert all(one in picture.to_mermaid() and one in str(picture) for one in said)


def test_the_second_edge_of_a_tool_says_otherwise_and_the_one_that_would_be_taken_is_lit(graph: WorkflowGraph) -> None:
    picture = gallery.desk().picture()
    assert {"if is_large", "otherwise"} <= {*texts(picture.svg)}
    assert "order.ship [otherwise]" in picture.to_mermaid()
    assert "order.ship -> unpaid [otherwise]" in str(picture)

    graph.instances.start(principal=ANN, workflow_id="case-1", data={"amount": 20})
    approval: Any = graph.instances.propose(
        "case-1", gallery.refund, {"orderId": "1", "amount": "1"}, principal=ANN, key="1"
    )
    graph.instances.decide(approval.pending.proposal_id, "approve", by=BOB)
    graph.instances.proposal(approval.pending.proposal_id, by=ANN)
    standing = graph.instances.picture("case-1").standing
    assert standing is not None
    assert standing.taken["order.ship"] == "reviewed"
    state = next(one for one in picture.drawing.states if one.name == "refunded")
    assert [standing.of_edge(state, edge).is_lit for edge in state.edges] == [True, False]


def test_who_may_not_decide_is_told_before_the_click(graph: WorkflowGraph) -> None:
    approval_id = asked(graph)
    card = graph.instances.card(approval_id, by=ANN)
    reason = "nobody approves their own request"

    assert card.why_not == reason
    assert ("you are", f"ann, who may not approve it: {reason}") in card.rows
    assert f"ann, who may not approve it: {reason}" in texts(card.svg)
    assert ("you are", "bob, who may approve it") in graph.instances.card(approval_id, by=BOB).rows
    assert "card.approve()" not in str(card)
    card._repr_mimebundle_()
    assert card._widget.shown["whyNot"] == f"You may not approve this: {reason}."
    assert card._widget.shown["decisions"] == []

    may = graph.instances.card(approval_id, by=BOB)
    assert may.why_not is None
    assert 'stroke="#0b6bcb"' in may.svg, "lit for who may decide"
    assert 'stroke="#0b6bcb"' not in card.svg
    assert "card.approve()" in str(may)
    may._repr_mimebundle_()
    assert may._widget.shown["whyNot"] == ""
    assert may._widget.shown["decisions"] == ["approve", "edit", "reject"]
    assert graph.instances.why_not_decide(approval_id, by=ANN, kind="reject") == reason
    assert graph.instances.approval(approval_id)["status"] == "requested"


def test_a_preview_is_drawn_alike_in_card_terminal_and_console() -> None:
    from rich.console import Console

    from interlock.cli.support import asking

    preview = {
        "order": {"before": {"paid": "30"}, "after": {"paid": "18"}},
        "stock": {"from": 3, "to": 4},
        "note": {"added": "refunded"},
        "hold": {"removed": "fraud"},
        "total": 18,
    }
    lines = [
        ("order.paid", "30 → 18"),
        ("stock", "3 → 4"),
        ("note", "+ refunded"),
        ("hold", "- fraud"),
        ("total", "18"),
    ]

    assert [*preview_lines(preview)] == lines
    assert [(one.path, one.words) for one in changes(preview)] == lines[:-1]
    made = Console(width=100, record=True, file=StringIO())
    made.print(asking._pairs(asking._beside({}, preview)))
    drawn = made.export_text()
    assert all(re.search(rf"{re.escape(path)}\s+{re.escape(words)}", drawn) for path, words in lines)


@pytest.mark.usefixtures("_light_again")
def test_a_dark_picture_has_the_same_words_and_no_light_colour(graph: WorkflowGraph) -> None:
    for name, light in gallery.pictures():
        dark = themed(light, "dark")
        assert texts(dark) == texts(light), name
        assert {*re.findall(r'(?:fill|stroke)="(#[0-9a-f]{6})"', light)} <= {*_DARK}, (
            f"{name} has a colour without a dark one"
        )
        assert not {*re.findall(r'="(#[0-9a-f]{6})"', dark)} & {*_DARK}, name

    use_theme("dark")
    assert 'fill="#161b22"' in gallery.desk().picture().svg
    with pytest.raises(ValueError, match="give 'light' or 'dark'"):
        use_theme("blue")  # type: ignore[arg-type]


def test_dark_text_can_be_read() -> None:
    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    grounds = [_DARK[one] for one in ("#ffffff", "#f7f9fb", "#e3f0fd", "#e4e7eb", "#fff8e1")]
    written = [
        _DARK[one] for one in ("#1f2933", "#66727f", "#0b6bcb", "#3a7d44", "#b44d12", "#6b46a8", "#8a5a00", "#b3261e")
    ]
    for ink in written:
        for ground in grounds:
            ratio = (luminance(ink) + 0.05) / (luminance(ground) + 0.05)
            assert ratio >= 4.5, f"{ink} on {ground}: {ratio:.1f}"


@pytest.mark.parametrize(("saves_widgets", "clears_metadata"), [(False, False), (True, True)])
def test_a_card_in_exported_html_is_a_picture(
    graph: WorkflowGraph, *, saves_widgets: bool, clears_metadata: bool
) -> None:
    """A saved widget needs the network and a kernel where it is shown; without its state, the picture is shown."""
    nbconvert = pytest.importorskip("nbconvert", reason="nbconvert is not installed (the extra 'dev')")
    import nbformat

    data, metadata = graph.instances.card(asked(graph), by=BOB)._repr_mimebundle_()
    cell = nbformat.v4.new_code_cell("card")
    cell.outputs = [nbformat.v4.new_output("execute_result", data=data, metadata=metadata, execution_count=1)]

    notebook = nbformat.v4.new_notebook(cells=[cell])
    view = "application/vnd.jupyter.widget-view+json"
    if saves_widgets:
        state = {data[view]["model_id"]: {"model_name": "AnyModel", "state": {}}}
        notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": state}}
    exporter = nbconvert.HTMLExporter()
    if clears_metadata:
        exporter.register_preprocessor(nbconvert.preprocessors.ClearMetadataPreprocessor(enabled=True), enabled=True)

    html, _ = exporter.from_notebook_node(notebook)

    found = re.findall(r"data:image/svg\+xml;base64,([\w+/=]+)", html)
    assert view not in "".join(re.findall(r'<script type="[^"]*">', html))
    assert any(
        "the call runs exactly as shown; the next state is refunded" in base64.b64decode(one).decode() for one in found
    )


def test_an_approval_without_a_role_says_whom_it_waits_for() -> None:
    flow = gallery.desk()
    flow.add_edge("open", gallery.ship, "closed", approval=Approval())

    assert "approval" in texts(flow.picture().svg)
