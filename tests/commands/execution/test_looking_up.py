"""What the ledger says of a command whose COMMIT was not answered, decided step by step without a database."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from interlock import Principal
from interlock.checkpointing.store.ledger import LedgerEntry, LedgerStatus
from interlock.commands.execution.attempts import Broken, Outcome
from interlock.commands.execution.lost_answers import look, looked_up
from interlock.commands.running.operations import InStore, Pause
from interlock.rules.proposals import Proposal
from interlock.tools.errors import CommitUnknown, StoreUnavailable

ANN = Principal("ann")
LOST = CommitUnknown("the server closed the connection")
PROPOSAL = Proposal(
    key="key_1",
    message_key="m",
    tool="order.pay",
    arguments={},
    call_id="c",
    requester=ANN,
    offered=True,
    state="open",
    revision=0,
)
ENTRY = LedgerEntry(
    workflow_id="wf_1", idempotency_key="key_1", tenant="default", fingerprint="f", tool="order.pay", tool_version=1,
    status=LedgerStatus.COMPLETED, attempt=1, principal_id="ann", requester=None, owner=None, arguments={}, result={"ok": True},
    audit_ref="audit_1", started_at=1, finished_at=2,
)  # fmt: skip


@dataclass
class Ledger:
    """Stands for the instance: the entry under the key, and how often the database is away before it answers."""

    entry: LedgerEntry | None
    away: int = 0
    scope: Any = field(default_factory=lambda: SimpleNamespace(workflow_id="wf_1"))

    def unit_for(self, connection: Any, proposal: Proposal) -> Any:
        assert proposal is PROPOSAL
        return "unit", self.entry, None

    def replayed(self, unit: Any, entry: LedgerEntry | None) -> Outcome:
        assert (unit, entry) == ("unit", self.entry)
        return Outcome(
            {**(entry.result if entry and entry.result else {}), "replayed": True}, None, replayed=True, head="h"
        )  # type: ignore[arg-type]


def asked(ledger: Ledger, steps: Any) -> tuple[Any, list[float]]:
    """Take the steps to their end; the result, and the pauses."""
    pauses: list[float] = []
    step = next(steps)
    try:
        while True:
            if isinstance(step, Pause):
                pauses.append(step.seconds)
                step = steps.send(None)
            elif ledger.away:
                assert isinstance(step, InStore)
                ledger.away -= 1
                step = steps.throw(StoreUnavailable("away"))
            else:
                step = steps.send(step.work("connection"))
    except StopIteration as ended:
        return ended.value, pauses


def test_a_command_whose_commit_was_lost_is_answered_with_its_result() -> None:
    ledger = Ledger(ENTRY)
    outcome, pauses = asked(ledger, looked_up(ledger, PROPOSAL, LOST))
    assert (outcome.result, outcome.replayed, outcome.head, pauses) == ({"ok": True}, False, "h", [])


def test_an_outcome_that_nobody_knows_is_a_persons() -> None:
    ledger = Ledger(replace(ENTRY, status=LedgerStatus.UNKNOWN))
    assert asked(ledger, looked_up(ledger, PROPOSAL, LOST))[0] == Broken(ledger.entry)


@pytest.mark.parametrize(
    "entry",
    [
        None,
        replace(ENTRY, status=LedgerStatus.STARTED, result=None),
        replace(ENTRY, status=LedgerStatus.STARTED),
        replace(ENTRY, status=LedgerStatus.FAILED, result=None),
    ],
    ids=["nothing", "announced", "announced again", "to be tried again"],
)
def test_where_nothing_of_it_was_kept_the_error_says_so_and_gives_the_key(entry: LedgerEntry | None) -> None:
    ledger = Ledger(entry)
    assert asked(ledger, look(ledger, PROPOSAL, LOST)) == (None, [])
    with pytest.raises(StoreUnavailable) as raised:
        asked(ledger, looked_up(ledger, PROPOSAL, LOST))
    assert raised.value.details == {"workflowId": "wf_1", "idempotencyKey": "key_1"}
    assert raised.value.message == (
        "The connection broke while order.pay was being committed in wf_1, and the ledger has nothing under its key key_1: the command was not "
        "executed. Run it again under that key."
    )
    assert raised.value.__cause__ is LOST


def test_a_database_that_is_away_for_a_moment_is_asked_again_after_growing_pauses() -> None:
    ledger = Ledger(ENTRY, away=3)
    outcome, pauses = asked(ledger, looked_up(ledger, PROPOSAL, LOST))
    assert outcome.result == {"ok": True}
    assert len(pauses) == 3
    assert 0 < pauses[0] <= 0.2
    assert max(pauses) <= 2.0


def test_a_database_that_stays_away_leaves_it_unknown_and_gives_the_key() -> None:
    ledger = Ledger(ENTRY, away=99)
    with pytest.raises(CommitUnknown) as raised:
        asked(ledger, looked_up(ledger, PROPOSAL, LOST))
    assert raised.value.details == {"workflowId": "wf_1", "idempotencyKey": "key_1", "tool": "order.pay"}
    assert "it is unknown whether the command was executed. Its idempotency key is key_1" in raised.value.message
    assert LOST.message in raised.value.message
    assert ledger.away == 95, "it was asked four times"
