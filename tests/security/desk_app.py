"""The desk of `tests/security/entry_points.py`, as `--app` finds it."""

from __future__ import annotations

from interlock import Approval, Workflow, command
from interlock.testing import ScriptedChatModel, call
from tests.security.entry_points import DeskData

RAN: list[str] = []


@command("order.refund", effect="transactional")
def refund(order_id: str) -> str:
    """Refund an order."""
    RAN.append(order_id)
    return "refunded"


@command("order.ship", effect="at_most_once")
def ship(order_id: str) -> str:
    """Ship an order; the process dies meanwhile."""
    raise Died


class Died(BaseException):
    """A process that dies in the middle of an effect."""


def workflow() -> Workflow:
    """A desk whose refunds a supervisor is asked about."""
    return _flow([call("order.refund", orderId="W-77")])


def broken() -> Workflow:
    """The same desk, whose model ships and does not come back."""
    return _flow([call("order.ship", orderId="W-77")])


def _flow(steps: list[object]) -> Workflow:
    model = ScriptedChatModel(steps, forever="Done.")  # type: ignore[arg-type]
    flow = Workflow("desk", model=model, data=DeskData)
    flow.add_state("open").add_state("closed", final=True)
    flow.add_edge("open", refund, "closed", approval=Approval(role="supervisor"))
    flow.add_edge("open", ship, "closed")
    return flow
