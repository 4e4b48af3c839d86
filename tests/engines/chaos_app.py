"""The three ready-made workflows as workers run them in the kill test, each with a model that does what its conversation says.

`CHAOS_RELEASE` says which release of the definitions a worker has, for the rolling deploy.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import os
import signal
import sys
from typing import Any

import sqlalchemy as sa
from langchain_core.messages import BaseMessage, HumanMessage

from interlock import Database, Workflow
from interlock.rules.claims import earlier_versions_agree
from interlock.testing import ScriptedChatModel, call
from interlock.workflows.case import case_workflow, open_cases
from interlock.workflows.case.tables import cases
from interlock.workflows.engagement import engagement_workflow
from interlock.workflows.retail import open_shop, retail_workflow
from interlock.workflows.retail.sample_shop import sample_shop

DEADLINE = "4s"


def _stand(*_: Any) -> None:
    """Write down where each thread and each task stands."""
    faulthandler.dump_traceback(all_threads=True)
    for task in (one for one in gc.get_objects() if isinstance(one, asyncio.Task) and not one.done()):
        task.print_stack(file=sys.stderr)
    sys.stderr.flush()


if "CHAOS_RELEASE" in os.environ:  # this is a worker, and not the test
    signal.signal(signal.SIGUSR1, _stand)


def _said(messages: list[BaseMessage]) -> str:
    return next(one.text for one in messages if isinstance(one, HumanMessage))


def _answered(messages: list[BaseMessage]) -> int:
    return sum(one.type == "tool" for one in messages)


def _next_of_case(messages: list[BaseMessage], offered: list[str]) -> Any:
    number = _said(messages)
    steps = [
        call("case.assign", caseId=number, queueId="billing"),
        call("queue.reassign", queueId="delivery"),
        call("queue.status"),
        call("case.close"),
    ]
    done = _answered(messages)
    return steps[done] if done < len(steps) else "Done."


def _next_of_engagement(messages: list[BaseMessage], offered: list[str]) -> Any:
    return call("engagement.send", customerId=_said(messages), template="hello", channels=["email", "sms"])


def _next_of_retail(messages: list[BaseMessage], offered: list[str]) -> Any:
    number = _said(messages)
    steps = [
        call("customer.find_by_email", email=f"c{number}@example.org"),
        call("order.cancel", orderId=f"#W{number}", reason="ordered by mistake"),
        call("desk.hand_over", summary="The customer wants to speak to a person."),
    ]
    done = _answered(messages)
    return steps[done] if done < len(steps) else "Done."


def _released(flow: Workflow) -> Workflow:
    flow.version = int(os.environ.get("CHAOS_RELEASE", "1"))
    # Its instances come from versions whose edges were the same.
    flow._claims = [claim.assuming(earlier_versions_agree) for claim in flow._claims]
    return flow


def case() -> Workflow:
    return _released(case_workflow(ScriptedChatModel(forever=_next_of_case)))


def engagement() -> Workflow:
    return _released(engagement_workflow(ScriptedChatModel(forever=_next_of_engagement), within=DEADLINE))


def retail() -> Workflow:
    return _released(retail_workflow(ScriptedChatModel(forever=_next_of_retail)))


FLOWS = {"case": case, "engagement": engagement, "retail-desk": retail}
SPECS = {name: f"tests.engines.chaos_app:{flow.__name__}" for name, flow in FLOWS.items()}


def fill(database: Database, numbers: range) -> None:
    """A case, a customer and a pending order for each number."""
    open_cases(database)
    waiting = {"queue_id": None, "is_answered": True, "is_closed": False}
    with database.write() as connection:
        connection.execute(
            sa.insert(cases),
            [{"case_id": str(one), "customer": f"c{one}", "subject": "Help.", **waiting} for one in numbers],
        )
    shop = sample_shop()
    user, order = shop.users["tove_marklund"], shop.orders["#W1001"]
    users, orders = dict(shop.users), dict(shop.orders)
    for one in numbers:
        who, which = f"c{one}", f"#W{one}"
        users[who] = user.model_copy(update={"user_id": who, "email": f"{who}@example.org", "orders": (which,)})
        orders[which] = order.model_copy(update={"user_id": who, "order_id": which})
    open_shop(database, shop.model_copy(update={"users": users, "orders": orders}))
