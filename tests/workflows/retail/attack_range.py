"""Where attacks are made: a desk that is filled anew each time, what became of each attack, and the plan of all of them."""

from __future__ import annotations

import random
from dataclasses import dataclass

from sqlalchemy.orm import Session

from interlock import Limits, WorkflowStore
from interlock.checkpointing.store import AuditKind
from tests.workflows.retail import desk as desks
from tests.workflows.retail import tau2
from tests.workflows.retail.attacked import SEED, Attacked, Tampering, Write, writes
from tests.workflows.retail.attacks import ATTACKS, Attack
from tests.workflows.retail.desk import CUSTOMER, Desk

REFUSALS = {AuditKind.DENIAL, AuditKind.REFUSAL, AuditKind.DECISION_REFUSED, AuditKind.VOID}


@dataclass(frozen=True)
class Result:
    """What became of one attack."""

    carried_out: bool
    reached: int
    codes: tuple[str, ...]
    """Of the structured errors: in the audit trail, and of the typed errors at the way in."""
    recorded: tuple[str, ...]
    """The codes in the audit trail alone."""
    audit_is_whole: bool


def assert_it_came_to_nothing(result: Result) -> None:
    """Nothing was carried out, no tool's body was reached, somebody was told, and it is written down."""
    assert not result.carried_out, "the shop changed"
    assert result.reached == 0, "the tool's body ran"
    assert result.codes, "nobody was told"
    assert result.recorded, f"the audit trail says nothing of {result.codes}"
    assert result.audit_is_whole


class Range:
    """A desk to be attacked, filled anew each time."""

    attacked: type[Attacked] = Attacked
    """How it is attacked: in the conversation of a graph, unless this says otherwise."""

    def __init__(self) -> None:
        store = WorkflowStore.in_memory()
        # Several proposals at once are attacks of their own; the desk's own limit would stop them earlier.
        self.desk = desks.make_desk(Tampering(), store=store, limits=Limits(proposals=16, denials=10))

    def close(self) -> None:
        """Give the database back."""
        self.desk.store.close()

    def prepared(self, write: Write) -> Desk:
        """The desk with the shop as it was before the write, in a new conversation."""
        desk = self.desk
        saver = desk.graph.checkpointer
        assert isinstance(saver, Tampering)
        saver.tamper = None
        for kept in (saver.storage, saver.writes, saver.blobs):
            kept.clear()
        desks.fill(desk.store.database)
        with desk.store.write() as connection, Session(connection) as session:
            for call in write.before:
                if call["name"] in tau2.WRITES:
                    tau2.call(session, call["name"], call["arguments"])
            session.flush()
        desk.begin()
        desk.by, desk.script.left = CUSTOMER, []
        return desk

    def suffers(self, name: str, write: Write) -> Result:
        """Make one attack."""
        return self.judged(name, write, ATTACKS[name][0])

    def judged(self, name: str, write: Write, attack: Attack) -> Result:
        """Make an attack, whichever way it is made, and see what became of it."""
        desk = self.prepared(write)
        with desks.counted() as reached:
            it = self.attacked(desk, write, random.Random(f"{SEED}/{name}/{write}"), reached, stands=desk.shop())
            attack(it)
            excess = sum(reached.values()) - it.allowed
        trail = [record for record in desk.audit if record.kind in REFUSALS]
        recorded = tuple(record.code or record.kind.value for record in trail)
        return Result(
            carried_out=desk.shop() != it.stands,
            reached=excess,
            codes=(*recorded, *(str(error.code) for error in it.refused)),
            recorded=recorded,
            audit_is_whole=desk.store.verify(it.workflow_id) == [],
        )


def plan(share: int | None = None) -> list[tuple[str, Write]]:
    """Which attack is made on which writes: all of them, or `share` of each attack's, chosen by the seed."""
    every = writes()
    found: list[tuple[str, Write]] = []
    for name, (_, on) in ATTACKS.items():
        on_these = [write for write in every if on(write)]
        if share is not None and share < len(on_these):
            on_these = random.Random(f"{SEED}/{name}").sample(on_these, share)
        found += [(name, write) for write in on_these]
    return found
