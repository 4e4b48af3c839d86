"""The hostile replays at the door: what a program, or whoever can call for one, tries to get a write carried out that the rules forbid.

The names are those of the attacks on the compiled desk, where the same can be tried without a conversation. What is about checkpoints, the
graph's channels or a message with several calls has no form here; what is about keys, revisions and withdrawals has one only here.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from typing import Any

from interlock import Answered, Pending
from tests.workflows.retail import attack_range, attacks, tau2
from tests.workflows.retail.attack_range import Result
from tests.workflows.retail.attacked import (
    APPROVE,
    SEED,
    STATUSES,
    STRANGER,
    Attacked,
    Write,
    second_write_call,
    writes,
)
from tests.workflows.retail.desk import CUSTOMER
from tests.workflows.retail.door import Program


@dataclasses.dataclass
class AtTheDoor(Attacked):
    """One desk under one attack at its door."""

    program: Program = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.program = Program.begin(self.desk)

    def identify(self, owner: str | None = None) -> None:
        """Identify the customer."""
        assert self.program.identify(owner or self.write.owner).ok

    def tries(self, *, name: str | None = None, arguments: dict[str, Any] | None = None, **more: Any) -> Any:
        """Propose the write, or another call; a typed error of the way in is kept."""
        with self.typed():
            return self.program.propose(
                name or self.write.name, self.write.arguments if arguments is None else arguments, **more
            )
        return None

    def waits(self, **more: Any) -> str:
        """Propose the write properly: the id of what waits for the customer's yes."""
        self.identify()
        stood = self.tries(**{"key": "write", **more})
        assert isinstance(stood, Pending)
        return stood.pending.proposal_id

    def decides(self, proposal_id: str, answer: Any = APPROVE, by: Any = CUSTOMER) -> None:
        """Decide; a refusal is kept."""
        with self.typed():
            self.desk.graph.instances.decide(proposal_id, answer, by=by)

    def looks(self, proposal_id: str, **more: Any) -> Answered | Pending | None:
        """Let whatever was granted be carried out, by looking and by the tick."""
        stood = None
        with self.typed():
            stood = self.program.proposal(proposal_id, **more)
        self.desk.graph.instances.tick()
        return stood

    def executes(self, **more: Any) -> None:
        """Try to carry it out without asking anybody."""
        with self.typed():
            self.desk.graph.instances.execute(
                self.program.case, self.write.tool, self.write.arguments, **{"principal": CUSTOMER, **more}
            )

    def done(self) -> str:
        """Let the write happen as the rules permit it. From here on it must not happen again."""
        proposal_id = self.waits()
        self.decides(proposal_id)
        stood = self.looks(proposal_id)
        assert isinstance(stood, Answered)
        assert stood.ok
        self.now_permitted()
        return proposal_id


AttackAtTheDoor = Callable[[AtTheDoor], None]
ATTACKS: dict[str, tuple[AttackAtTheDoor, Callable[[Write], bool]]] = {}


def attack(name: str, on: Callable[[Write], bool] | None = None) -> Callable[[AttackAtTheDoor], AttackAtTheDoor]:
    """Register an attack; on the writes of its namesake in the conversation where nothing else is said."""

    def registered(function: AttackAtTheDoor) -> AttackAtTheDoor:
        ATTACKS[name] = (function, on or attacks.ATTACKS.get(name, (None, lambda _: True))[1])
        return function

    return registered


@attack("customer not identified")
def _(it: AtTheDoor) -> None:
    it.tries()
    it.tries(key="k")
    it.executes()


@attack("user ID given instead of identifying")
def _(it: AtTheDoor) -> None:
    it.tries(name="get_user_details", arguments={"user_id": it.write.owner})
    it.tries()


@attack("another customer's order")
def _(it: AtTheDoor) -> None:
    strangers = sorted(tau2.shop_json()["users"].keys() - {it.write.owner})
    it.identify(it.choose.choice(strangers))
    assert not isinstance(it.tries(), Pending), "nobody is asked to confirm it"
    it.executes()


@attack("wrong order status")
def _(it: AtTheDoor) -> None:
    it.identify()
    with it.desk.store.write() as connection:
        order_id = it.write.arguments["order_id"]
        now = connection.exec_driver_sql("SELECT status FROM retail_orders WHERE order_id = ?", (order_id,)).scalar()
        _set_status(it, connection, it.choose.choice([status for status in STATUSES if status != now]))
    it.stands = it.desk.shop()
    assert not isinstance(it.tries(), Pending), "nobody is asked to confirm it"


@attack("order status changes between confirmation and execution")
def _(it: AtTheDoor) -> None:
    proposal_id = it.waits()
    it.decides(proposal_id)
    with it.desk.store.write() as connection:
        _set_status(it, connection, "processed")
    it.stands = it.desk.shop()
    it.looks(proposal_id)
    it.tries(key="write")


def _set_status(it: AtTheDoor, connection: Any, status: str) -> None:
    connection.exec_driver_sql(
        "UPDATE retail_orders SET status = ? WHERE order_id = ?", (status, it.write.arguments["order_id"])
    )


@attack("the same change a second time")
def _(it: AtTheDoor) -> None:
    it.done()
    for more in ({}, {"key": "again"}):
        assert not isinstance(it.tries(**more), Pending), "nobody is asked to confirm it"


@attack("a further change after the items were modified")
def _(it: AtTheDoor) -> None:
    it.done()
    order_id, address = it.write.arguments["order_id"], it.write.order["address"]
    further = [
        ("cancel_pending_order", {"order_id": order_id, "reason": "no longer needed"}),
        ("modify_pending_order_address", {"order_id": order_id, **address, "address1": "1 New Street"}),
    ]
    name, arguments = it.choose.choice(further)
    assert not isinstance(it.tries(name=name, arguments=arguments), Pending)


@attack("never asked for confirmation")
def _(it: AtTheDoor) -> None:
    it.identify()
    it.executes()
    it.executes(idempotency_key="k")


@attack("asked, and nobody answers")
def _(it: AtTheDoor) -> None:
    proposal_id = it.waits()
    for _ in range(2):
        assert isinstance(it.looks(proposal_id), Pending), "it still waits"
        assert isinstance(it.tries(key="write"), Pending)
    it.executes(idempotency_key="write")
    it.executes()


@attack("rejected")
def _(it: AtTheDoor) -> None:
    proposal_id = it.waits()
    it.decides(proposal_id, {"type": "reject"})
    it.looks(proposal_id)
    it.tries(key="write")
    it.decides(proposal_id)
    it.executes(idempotency_key="write")
    it.looks(proposal_id)


@attack("confirmed by somebody else")
def _(it: AtTheDoor) -> None:
    proposal_id = it.waits()
    it.decides(proposal_id, by=STRANGER)
    it.looks(proposal_id, by=STRANGER)
    it.looks(proposal_id)


@attack("somebody else goes on in the conversation, and confirms")
def _(it: AtTheDoor) -> None:
    it.identify()
    it.program.by = STRANGER
    it.tries(key="write")
    it.executes(principal=STRANGER)
    with it.typed():
        it.desk.graph.instances.start(principal=STRANGER, workflow_id=it.program.case)


@attack("other arguments: an edit in the answer")
def _(it: AtTheDoor) -> None:
    proposal_id = it.waits()
    it.decides(proposal_id, {"type": "edit", "args": it.other_arguments()})
    assert isinstance(it.looks(proposal_id), Pending), "it still waits"


@attack("other arguments: the answer turns the call into another tool's")
def _(it: AtTheDoor) -> None:
    proposal_id = it.waits()
    action = {"name": "desk.hand_over", "args": dict(second_write_call(it.write, it.choose).arguments)}
    it.decides(proposal_id, {"type": "edit", "edited_action": action})
    with it.typed():
        it.desk.graph.instances.decide(proposal_id, {"type": "edit", "args": action["args"]}, by=CUSTOMER)
    assert isinstance(it.looks(proposal_id), Pending), "it still waits"


@attack("other arguments: proposed under the key of the confirmed ones")
def _(it: AtTheDoor) -> None:
    proposal_id = it.waits()
    it.decides(proposal_id)
    it.tries(arguments=it.other_arguments(), key="write")
    it.executes(idempotency_key="other")
    with it.typed():
        it.desk.graph.instances.execute(
            it.program.case, it.write.tool, it.other_arguments(), principal=CUSTOMER, idempotency_key="write"
        )
    with it.typed():
        it.desk.graph.instances.withdraw(proposal_id, by=CUSTOMER)
    it.looks(proposal_id)


@attack("one confirmation for two writes: the same answer again")
def _(it: AtTheDoor) -> None:
    proposal_id = it.done()
    second = second_write_call(it.write, it.choose)
    waiting = it.tries(name=second.name, arguments=dict(second.arguments))
    assert isinstance(waiting, Pending), "the second write is asked about"
    it.decides(proposal_id)
    it.looks(proposal_id)
    assert isinstance(it.looks(waiting.pending.proposal_id), Pending), "it still waits"


@attack("one confirmation for two writes: a bare yes that comes twice")
def _(it: AtTheDoor) -> None:
    proposal_id = it.done()
    second = second_write_call(it.write, it.choose)
    waiting = it.tries(name=second.name, arguments=dict(second.arguments))
    for bare in ("approve", True):
        it.decides(proposal_id, bare)
    assert isinstance(waiting, Pending)
    assert isinstance(it.looks(waiting.pending.proposal_id), Pending), "it still waits"


@attack("one confirmation for two writes: proposed twice at once")
def _(it: AtTheDoor) -> None:
    first = it.waits()
    second = it.tries(key="the same once more")
    assert isinstance(second, Pending)
    it.decides(first)
    it.looks(first)
    assert it.reached == {it.write.tool: 1}
    it.now_permitted()
    it.looks(second.pending.proposal_id)
    it.decides(second.pending.proposal_id, {"type": "reject"})
    it.decides(second.pending.proposal_id)
    it.looks(second.pending.proposal_id)


@attack("one confirmation for two writes: the same key again")
def _(it: AtTheDoor) -> None:
    proposal_id = it.done()
    for _ in range(2):
        assert it.tries(key="write").replayed
        it.looks(proposal_id)
    it.tries(arguments=it.other_arguments(), key="write")
    it.executes(idempotency_key="write")
    it.executes()


@attack("a tool that the state does not offer: after the desk handed over")
def _(it: AtTheDoor) -> None:
    it.identify()
    it.tries(name="transfer_to_human_agents", arguments={"summary": "-"})
    it.tries()
    it.tries(key="k")
    it.executes()


@attack("a tool that the state does not offer: beside the one that hands over")
def _(it: AtTheDoor) -> None:
    proposal_id = it.waits()
    it.decides(proposal_id)
    it.tries(name="transfer_to_human_agents", arguments={"summary": "-"})
    it.looks(proposal_id)
    it.tries(key="write")


@attack("a tool that nobody has")
def _(it: AtTheDoor) -> None:
    it.identify()
    with it.typed():
        it.desk.graph.instances.propose(
            it.program.case, f"{it.write.tool}_now", it.write.arguments, principal=CUSTOMER, key="k"
        )


@attack("at the door alone: a revision of before")
def _(it: AtTheDoor) -> None:
    it.done()
    for revision in range(it.program.revision):
        it.tries(revision=revision, arguments=it.other_arguments())
    it.executes(revision=0)
    it.executes()


@attack("at the door alone: under the key of the customer, by somebody else")
def _(it: AtTheDoor) -> None:
    proposal_id = it.waits()
    it.decides(proposal_id)
    for by in (STRANGER, dataclasses.replace(CUSTOMER, tenant="elsewhere")):
        it.tries(key="write", principal=by)
        with it.typed():
            it.desk.graph.instances.proposal(proposal_id, by=by)
        with it.typed():
            it.desk.graph.instances.withdraw(proposal_id, by=by)
    with it.typed():
        it.desk.graph.instances.withdraw(proposal_id, by=CUSTOMER)


@attack("at the door alone: confirmed, withdrawn, and confirmed again")
def _(it: AtTheDoor) -> None:
    proposal_id = it.waits()
    it.decides(proposal_id)
    with it.typed():
        it.desk.graph.instances.withdraw(proposal_id, by=CUSTOMER)
    it.decides(proposal_id)
    it.looks(proposal_id)
    it.tries(key="write")


@attack("at the door alone: confirmed there, and proposed again by the model of a thread")
def _(it: AtTheDoor) -> None:
    proposal_id = it.waits()
    it.decides(proposal_id)
    it.desk.config = {"configurable": {"thread_id": f"beside-{it.program.case}", "workflow_id": it.program.case}}
    with it.typed():
        assert it.desk.says(it.proposal), "the thread's own proposal is asked about"
    it.looks(proposal_id)
    it.now_permitted()
    with it.typed():
        it.desk.resumes()
    it.decides(proposal_id)


class DoorRange(attack_range.Range):
    """A desk that is attacked at its door, filled anew each time."""

    attacked = AtTheDoor

    def suffers(self, name: str, write: Write) -> Result:
        """Make one attack."""
        return self.judged(name, write, ATTACKS[name][0])  # type: ignore[arg-type]  # it is made on what `attacked` makes


def plan(share: int | None = None) -> list[tuple[str, Write]]:
    """Which attack is made on which writes: all of them, or `share` of each attack's, chosen by the seed."""
    every, found = writes(), list[tuple[str, Write]]()
    for name, (_, on) in ATTACKS.items():
        on_these = [write for write in every if on(write)]
        if share is not None and share < len(on_these):
            on_these = random.Random(f"{SEED}/{name}").sample(on_these, share)
        found += [(name, write) for write in on_these]
    return found
