"""Every kind of picture and card, light and dark, to look at: `make gallery`, or `python -m tests.pictures.gallery FOLDER`.

It writes SVG files, a page that shows them all, and with Chromium a PNG of each.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from interlock import Approval, Event, Principal, Workflow, WorkflowGraph, command, read
from interlock.pictures.themes import Theme, themed, use_theme
from interlock.testing import ScriptedChatModel, call

ANN, BOB = Principal("ann"), Principal("bob", roles={"lead"})
HERE: Any = {"configurable": {"thread_id": "t"}}


class Data(BaseModel):
    amount: int = 0


class Paid(Event, name="shop.order.paid", version=1):
    order_id: str


class Lost(Event, name="shop.order.lost", version=1):
    order_id: str


@read("order.get")
def get_order(order_id: str) -> str:
    """Look up one order."""
    return "delivered"


def what_changes(order_id: str, amount: Decimal) -> dict[str, Any]:
    return {"order": {"before": {"paid": "30", "status": "delivered"}, "after": {"paid": "18", "status": "refunded"}}}


@command("order.refund", effect="transactional", preview=what_changes)
def refund(order_id: str, amount: Decimal) -> str:
    """Refund an order."""
    return f"{amount}"


@command("order.ship", effect="transactional")
def ship(order_id: str) -> str:
    """Ship an order."""
    return order_id


def is_large(view: Any) -> bool:
    return bool(view.data.amount > 10)


def desk() -> Workflow[Data]:
    """Two edges of one tool, a wait with three ends, an approval."""
    script = [
        call("order.cancel", orderId="W1"),
        call("order.get", orderId="W1"),
        call("order.refund", orderId="W1", amount="12"),
        call("order.ship", orderId="W1"),
        "Done.",
    ]
    flow = Workflow("desk", data=Data, model=ScriptedChatModel(script))
    flow.add_state("open", tools=[get_order])
    flow.add_state("refunded")
    flow.add_wait(
        "unpaid",
        for_event=Paid,
        then="closed",
        within="2h",
        on_timeout="reviewed",
        failed_by=Lost,
        on_failure="reviewed",
    )
    flow.add_state("reviewed", final=True)
    flow.add_state("closed", final=True)
    flow.add_edge("open", refund, "refunded", approval=Approval(role="lead", within="24h"))
    flow.add_edge("refunded", ship, "reviewed", guard=is_large, order=1)
    flow.add_edge("refunded", ship, "unpaid", order=2)
    return flow


def pictures() -> Iterator[tuple[str, str]]:
    """Every picture by its name."""
    yield "workflow", desk().picture().svg
    graph = desk().compile(in_memory=True)
    stepper = graph.stepper(HERE, context=ANN)
    for number in range(1, 20):
        stepper = stepper.say("Refund W1, please.") if number == 1 else stepper.step()
        yield f"stepper-{number:02}", stepper.picture().svg
        if stepper.waits_for:
            break
    yield "instance-approval", graph.instances.picture(HERE).svg
    yield from cards(graph, stepper.waits_for[0]["approvalId"])
    stepper.answer("approve", by=BOB)
    yield "stepper-approved", stepper.picture().svg
    for _ in stepper.run():
        pass
    yield "instance-waiting", graph.instances.picture(HERE).svg
    yield "stepper-waiting", stepper.picture().svg
    yield "timeline", graph.instances.timeline(HERE).svg
    yield "side-by-side", graph.side_by_side(HERE).svg
    first, *_, last = [one.config for one in graph.get_state_history(HERE)]
    yield "comparison", graph.compare(last, first).svg


def cards(graph: WorkflowGraph, approval_id: str) -> Iterator[tuple[str, str]]:
    """The card for who may decide, and for who may not."""
    yield "card", graph.instances.card(approval_id, by=BOB).svg
    yield "card-may-not", graph.instances.card(approval_id, by=ANN).svg


def write(folder: Path) -> list[Path]:
    """Write every picture in every theme, and a page that shows them."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    use_theme("light")
    written: list[Path] = []
    for name, svg in pictures():
        for theme in get_args(Theme):
            path = folder / f"{name}-{theme}.svg"
            path.write_text(themed(svg, theme), "utf-8")
            written.append(path)
    return written


def shoot(path: Path) -> Path:
    """A PNG of a picture, by Chromium."""
    size = path.read_text("utf-8").partition('width="')[2]
    width, height = float(size.partition('"')[0]), float(size.partition('height="')[2].partition('"')[0])
    png = path.with_suffix(".png")
    subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--screenshot={png}",
         f"--window-size={width:.0f},{height:.0f}", path.resolve().as_uri()],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return png


if __name__ == "__main__":
    made = write(Path(sys.argv[1]))
    if shutil.which("chromium"):
        for one in made:
            shoot(one)
    print(f"{len(made)} pictures in {sys.argv[1]}")
