"""A module that `--app` finds: a shop whose refunds are asked about."""

from __future__ import annotations

from interlock import Approval, TakeEdge, Workflow
from tests.commands.approvals.support import Shop, refund

SHOP = Shop()


def workflow() -> Workflow:
    """The shop's desk; its model proposes one refund and then has nothing more to say."""
    rule = Approval(role="supervisor", within="24h", on_expiry=TakeEdge("desk.park"))
    return SHOP.workflow([refund()], approval=rule)
