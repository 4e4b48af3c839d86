"""A shop whose instance is started without a thread, and short ways to propose on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from interlock import Answered, InstanceSnapshot, Pending, Principal, WorkflowGraph
from tests.commands.approvals.support import ADA, RULE, Home, Shop

CASE = "case-1"


@dataclass
class Door:
    """One instance, and how it is reached: by the synchronous methods, or by those to be awaited."""

    graph: WorkflowGraph
    how: str = "sync"
    case: str = CASE

    def start(self, principal: Principal = ADA, **more: Any) -> InstanceSnapshot:
        result: InstanceSnapshot = self._call("start", principal=principal, **{"workflow_id": self.case, **more})
        return result

    def propose(
        self, tool: str, *, by: Principal = ADA, key: str | None = None, **arguments: Any
    ) -> Answered | Pending:
        revision = arguments.pop("revision", None)
        result: Answered | Pending = self._call(
            "propose", self.case, tool, arguments, principal=by, key=key, revision=revision
        )
        return result

    def refund(self, key: str | None = "r-1", amount: str = "5", **more: Any) -> Answered | Pending:
        return self.propose("order.refund", key=key, orderId="1", amount=amount, **more)

    def asked(self, **more: Any) -> Pending:
        """A refund that waits for a decision."""
        pending = self.refund(**more)
        assert isinstance(pending, Pending)
        return pending

    def proposal(self, pending: Pending | str, *, by: Principal | None = ADA) -> Answered | Pending:
        result: Answered | Pending = self._call("proposal", _id(pending), by=by)
        return result

    def withdraw(self, pending: Pending | str, *, by: Principal = ADA) -> Answered:
        result: Answered = self._call("withdraw", _id(pending), by=by)
        return result

    def tick(self) -> Any:
        return self._call("tick")

    @property
    def kinds(self) -> list[str]:
        return [record.kind.value for record in self.graph.instances.audit(self.case)]

    def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        instances = self.graph.instances
        if self.how == "sync":
            return getattr(instances, name)(*args, **kwargs)
        method: Callable[..., Any] = getattr(instances, f"a{name}")
        return asyncio.run(method(*args, **kwargs))


def _id(pending: Pending | str) -> str:
    return pending if isinstance(pending, str) else pending.pending.proposal_id


def door(home: Home, shop: Shop, *, how: str = "sync", approval: Any = RULE, **options: Any) -> Door:
    """A shop with one instance that was started without a thread."""
    made = Door(home.compile(shop.workflow([], approval=approval, **options)), how)
    made.start()
    return made


def code(answer: Answered | Pending) -> str:
    """The code of an error, or ok, or what waits."""
    if isinstance(answer, Pending):
        return answer.pending.kind
    error = getattr(answer, "error", None)
    return "ok" if error is None else str(error.code.value)
