"""A model that is asked again after a crash: what it says then stands under keys of its own, and no approval of before carries it."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from interlock import Approval, Principal, Workflow, read
from interlock.testing import ScriptedChatModel, call
from interlock.tools import InterlockError
from tests.identity.desk import ADA, BEN, REFUND, Desk, config, said

EVIL = call("order.refund", orderId="W1", amount="999")


class Died(BaseException):
    """The process dies before what the model said is checkpointed."""


class Dying(InMemorySaver):
    """A checkpointer of a process that dies before it writes anything of what the model called."""

    dies = False

    def put_writes(self, config: Any, writes: Any, *more: Any, **named: Any) -> None:
        self._write(writes)
        super().put_writes(config, writes, *more, **named)

    def put(self, config: Any, checkpoint: Any, *more: Any, **named: Any) -> Any:
        self._write(checkpoint)
        return super().put(config, checkpoint, *more, **named)

    def _write(self, value: Any) -> None:
        if self.dies and "order_refund" in repr(value):
            raise Died


@pytest.mark.parametrize("form", ["graph", "agent"])
def test_the_second_answer_of_a_model_is_asked_about_as_what_it_is(form: str) -> None:
    desk, saver = Desk(), Dying()
    graph = getattr(desk, form)("Hello.", REFUND, EVIL, saver=saver)
    graph.invoke(said(), config(), context=ADA)
    saver.dies = True
    with pytest.raises(Died):
        graph.invoke(said("refund"), config(), context=ADA, durability="sync")
    saver.dies = False

    asked = graph.invoke(None, config(), context=ADA)["__interrupt__"][0].value

    assert asked["arguments"]["amount"] == "999"
    graph.invoke(Command(resume="approve"), config(), context=BEN)
    assert desk.ran == ["refund W1 999"]
    requests = [one for one in desk.trail() if one[0] == "approval"]
    assert len(requests) == 1, "of the answer that was lost nothing was asked"


@pytest.mark.parametrize("form", ["graph", "agent"])
def test_an_approval_of_the_first_answer_carries_no_second_one(form: str) -> None:
    """The approval was given from outside, while the thread was set back to before the model spoke."""
    desk, saver = Desk(), InMemorySaver()
    graph = getattr(desk, form)(REFUND, EVIL, saver=saver)
    graph.invoke(said(), config(), context=ADA)
    (waiting,) = desk.store.pending_approvals(desk.store.instances()[0].workflow_id)
    before = next(one for one in graph.get_state_history(config()) if not one.values.get("messages"))
    instances = desk.workflow().compile(workflow_store=desk.store, destructive_in_memory=True).instances
    instances.decide(waiting.approval_id, "approve", by=BEN)

    again = graph.invoke(None, before.config, context=ADA)

    assert again["__interrupt__"][0].value["arguments"]["amount"] == "999"
    assert desk.ran == []


def test_a_read_uses_its_approval_once() -> None:
    ran: list[str] = []

    @read("account.show")
    def show(account: str) -> str:
        """Show an account."""
        ran.append(account)
        return account

    flow = Workflow("desk", model=ScriptedChatModel([call("account.show", account="1")], forever="Done."))
    flow.add_state("open").add_state("closed", final=True)
    flow.add_edge("open", show, "closed", approval=Approval(role="supervisor"))
    graph = flow.compile()
    graph.invoke(said(), config(), context=ADA)
    (waiting,) = graph.instances.approvals().approvals
    assert graph.invoke(Command(resume="approve"), config(), context=BEN)["state"] == "closed"
    assert ran == ["1"]
    key = graph.engine.store.approval(waiting.approval_id).idempotency_key
    assert graph.engine.store.approval(waiting.approval_id).status.value == "used"
    for who in (ADA, Principal("root", roles={"supervisor"})):
        with contextlib.suppress(InterlockError):  # in whatever way it is refused, it does not run
            graph.instances.execute(config(), "account.show", {"account": "1"}, principal=who, idempotency_key=key)
    assert ran == ["1"]
