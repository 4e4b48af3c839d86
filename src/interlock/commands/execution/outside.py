"""Executes commands with effects outside the database: announce in one transaction, run, and settle in another.

In between, the ledger shows that the effect is in progress, and the instance's lease shows its owner; nothing else moves the
instance. An idempotent effect is retried under the same key. An effect that is not safe to repeat is never retried: if its outcome is
unknown, a person resolves it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from langgraph.errors import GraphBubbleUp, GraphInterrupt
from sqlalchemy.engine import Connection

from ...checkpointing.store import AuditKind, LedgerStatus, Unit, leases
from ...rules.proposals import Proposal
from ...tools.contracts import ToolContract
from ...tools.contracts.retry import RetryPolicy
from ...tools.errors import CommitUnknown, LeaseLost, Refused, StoreUnavailable
from ...tools.kinds import Effect
from ...tools.sinks import hiding
from ...tools.storable import type_name
from ..running.backoff import Backoff
from ..running.engine import logger
from ..running.operations import Body, InStore, Pause, Steps
from ..running.sessions import Later
from .attempts import Admitted, Broken, Outcome
from .audit_payloads import error_body, facts_of, interrupted, secrets_of
from .lost_answers import look, unknown
from .shared import Execution

_SETTLING = RetryPolicy(attempts=6, initial=0.1, maximum=5.0)
"""How long the outcome of an effect is kept in memory while the database is unreachable."""
_UNKNOWN_OUTCOME = (
    ", and its outcome is unknown. To make a mistake "
    "before the effect fail the call instead, put that part of the body into `with "
    "ctx.before_effect():`, or raise Refused"
)


@dataclass(frozen=True)
class Failed:
    """An attempt with an unknown outcome, or one that was not started."""

    error: Exception
    is_before: bool = False
    """Whether the body failed in a part that it had marked as before the effect."""


class Outside:
    """Executes effects outside the database, on one instance."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._store = execution.engine.store

    def carry_out(self, contract: ToolContract, proposal: Proposal) -> Steps[Outcome | Broken]:
        """Announce the effect, run it, and settle its outcome."""
        with leases.held() as owner:
            began = leases.clock()
            ready = yield from self._announced(proposal, owner)
            if not isinstance(ready, Admitted):
                return ready
            leases.granted(owner, seconds=self._store.lease_seconds, at=began)
            epoch, seconds = ready.epoch, self._store.lease_seconds
            with leases.kept(lambda: self._renewed(owner, epoch), seconds=seconds):
                return (yield from self._run(contract, ready, proposal, owner))

    def _announced(self, proposal: Proposal, owner: str) -> Steps[Admitted | Outcome | Broken]:
        """Announce the effect. If the answer to the COMMIT is lost, look up the announcement: nobody has started the effect."""
        made: list[Admitted | Outcome | Broken] = []

        def announce(connection: Connection) -> Admitted | Outcome | Broken:
            made[:] = [self._announce(connection, proposal, owner)]
            return made[0]

        def is_ours(connection: Connection) -> bool:
            unit, entry, _ = self._execution.unit_for(connection, proposal)
            return (
                entry is not None
                and entry.status is LedgerStatus.STARTED
                and unit.instance.lease_owner == owner == entry.owner
            )

        try:
            ready: Admitted | Outcome | Broken = yield InStore(announce)
        except CommitUnknown as lost:
            if not isinstance(made[-1], Admitted):
                raise
            try:
                announced = yield InStore(is_ours)
            except StoreUnavailable:
                raise unknown(self._execution, proposal, lost) from lost
            if not announced:
                raise
            return made[-1]
        return ready

    def _run(self, contract: ToolContract, ready: Admitted, proposal: Proposal, owner: str) -> Steps[Outcome | Broken]:
        repeats = contract.effect is Effect.IDEMPOTENT
        backoff = Backoff((contract.retry or RetryPolicy()) if repeats else RetryPolicy(attempts=1))
        # An earlier attempt of an idempotent effect may have happened; an at-most-once effect cannot have an earlier started attempt.
        nothing_begun = ready.context.attempt == 1 or not repeats
        while True:
            tried = yield from self._attempt(ready, proposal, owner)
            if not isinstance(tried, Failed):
                return tried
            nothing_begun = nothing_begun and tried.is_before
            problem = type_name(tried.error)
            # The next owner of the lease may start it; that is checked again, without a pause.
            pause = 0.0 if isinstance(tried.error, leases.NotBegun) else backoff.after(tried.error)
            if pause is None:
                work: Callable[[Connection], Outcome | Broken] = (
                    partial(self._refused, ready=ready, proposal=proposal, error=tried.error)
                    if nothing_begun
                    else partial(self._unknown, ready=ready, proposal=proposal, problem=problem)
                )
                return (yield from self._settled(work, proposal))
            yield Pause(pause)
            began = leases.clock()
            ready = yield InStore(partial(self._next_attempt, ready=ready, proposal=proposal, problem=problem))
            leases.granted(owner, seconds=self._store.lease_seconds, at=began)

    def _attempt(self, ready: Admitted, proposal: Proposal, owner: str) -> Steps["Outcome | Broken | Failed"]:
        """Run the tool's body once, and settle its outcome if it is known."""
        work: Callable[[Connection], Any]
        try:
            output = yield Body(ready, owner)
        except GraphBubbleUp as stop:
            if isinstance(stop, GraphInterrupt) and ready.contract.effect is Effect.AT_MOST_ONCE:
                # The body may have had an effect before the interrupt, which must not be repeated with the answer.
                advice = interrupted(ready.contract)
                secrets = secrets_of(ready.contract, ready.admission.canonical)
                logger.error("%s", advice, exc_info=stop, extra=hiding(secrets))
                work = partial(self._unknown, ready=ready, proposal=proposal, problem=advice)
                broken = yield from self._settled(work, proposal)
                return replace(broken, advice=advice) if isinstance(broken, Broken) else broken
            # The tool interrupts the graph and will run again, so for the ledger nothing has happened yet.
            yield InStore(partial(self._withdraw, ready=ready, proposal=proposal))
            raise
        except leases.NotBegun as error:
            return Failed(error)
        except Refused as error:
            work = partial(self._refused, ready=ready, proposal=proposal, error=error)
            return (yield from self._settled(work, proposal))
        except Exception as error:
            is_before = ready.context.failed_before(error)
            logger.warning(
                "attempt %d of %s in %s failed%s",
                ready.context.attempt,
                ready.contract.name,
                self._execution.scope.workflow_id,
                " before its effect began" if is_before else _UNKNOWN_OUTCOME,
                exc_info=error,
                extra=hiding(secrets_of(ready.contract, ready.admission.canonical)),
            )
            return Failed(error, is_before)
        done = yield from self._settled(partial(self._finish, ready=ready, proposal=proposal, output=output), proposal)
        return replace(done, artifact=ready.context.artifact) if isinstance(done, Outcome) else done

    def _settled(self, work: Callable[[Connection], Outcome | Broken], proposal: Proposal) -> Steps[Outcome | Broken]:
        """Record the outcome of the effect, with retries while the database is unreachable, because only this process knows it."""
        backoff = Backoff(_SETTLING)
        while True:
            try:
                done: Outcome | Broken = yield InStore(work)
            except CommitUnknown as lost:
                found = yield from look(self._execution, proposal, lost)
                if found is not None:
                    return found
                # The transaction was rolled back, so write it again.
            except StoreUnavailable as error:
                pause = backoff.after(error)
                if pause is None:
                    raise
                yield Pause(pause)
            else:
                return done

    # Transactions

    def _announce(self, connection: Connection, proposal: Proposal, owner: str) -> Admitted | Outcome | Broken:
        ready = self._execution.begin(connection, proposal, Later())
        if not isinstance(ready, Admitted):
            return ready
        unit = ready.unit
        self._record_attempt(unit, ready, proposal)
        unit.set(
            running_key=proposal.key,
            lease_owner=owner,
            lease_epoch=unit.instance.lease_epoch + 1,
            lease_until=unit.now + self._lease(),
        )
        if self._execution.scope.root_checkpoint is not None:
            # From here on, no older checkpoint may move the instance, whatever the outcome of the effect.
            unit.set(head_checkpoint=self._execution.scope.root_checkpoint)
        ready.entry = self._execution.outcomes.enter(unit, ready, proposal, LedgerStatus.STARTED, None)
        ready.epoch = unit.instance.lease_epoch
        unit.flush()
        return ready

    def _next_attempt(self, connection: Connection, ready: Admitted, proposal: Proposal, problem: str) -> Admitted:
        unit = self._own(connection, ready)
        context = self._execution.context(unit, ready.contract, proposal, ready.context.attempt + 1, later := Later())
        again = Admitted(
            ready.contract, ready.admission.arguments, context, later, unit, ready.admission, ready.approval, ready.entry, ready.epoch
        )  # fmt: skip
        self._record_attempt(unit, again, proposal, after=problem)
        again.entry = self._execution.outcomes.enter(unit, again, proposal, LedgerStatus.STARTED, None)
        unit.set(lease_until=unit.now + self._lease())
        unit.flush()
        return again

    def _finish(self, connection: Connection, ready: Admitted, proposal: Proposal, output: Any) -> Outcome:
        unit = self._own(connection, ready)
        _release(unit)
        return self._execution.outcomes.transition(unit, ready, proposal, output, happened=True)

    def _refused(self, connection: Connection, ready: Admitted, proposal: Proposal, error: Exception) -> Outcome:
        unit = self._own(connection, ready)
        _release(unit)
        return self._execution.outcomes.refused(unit, ready, proposal, error_body(ready.contract, error), error)

    def _unknown(self, connection: Connection, ready: Admitted, proposal: Proposal, problem: str) -> Broken:
        unit = self._own(connection, ready)
        assert ready.entry is not None  # noqa: S101 -- it was announced
        return self._execution.outcomes.unknown(unit, ready.entry, proposal.requester, problem)

    def _withdraw(self, connection: Connection, ready: Admitted, proposal: Proposal) -> None:
        unit = self._own(connection, ready)
        _release(unit)
        self._execution.outcomes.enter(unit, ready, proposal, LedgerStatus.FAILED, None)
        unit.flush()

    def _record_attempt(self, unit: Unit, ready: Admitted, proposal: Proposal, after: str | None = None) -> None:
        facts = facts_of(unit, proposal, ready.admission, self._execution.node)
        unit.record(
            AuditKind.ATTEMPT,
            proposal.requester,
            {**facts, "attempt": ready.context.attempt, "afterProblem": after},
            tool=ready.contract.name,
        )

    # The lease

    def _own(self, connection: Connection, ready: Admitted) -> Unit:
        """The instance, if this process still owns the announced command.

        Raises:
            LeaseLost: Another owner took it over, or it was resolved.
        """
        unit = self._execution.unit(connection)
        if unit.instance.lease_epoch != ready.epoch:
            raise LeaseLost(
                f"{ready.contract.name} in {unit.instance.workflow_id} was taken over: this process was away for longer than its lease "
                f"of {self._store.lease_seconds:.0f} s. What it did outside may have happened; nothing of it was written here. See the workflow's record for its outcome.",
                details={
                    "workflowId": unit.instance.workflow_id,
                    "epoch": ready.epoch,
                    "now": unit.instance.lease_epoch,
                },
            )
        return unit

    def _renewed(self, owner: str, epoch: int) -> bool:
        workflow_id = self._execution.scope.workflow_id
        with self._store.database.write() as connection:
            until = self._store.now(connection) + self._lease()
            return leases.renew(connection, workflow_id, owner=owner, epoch=epoch, until=until)

    def _lease(self) -> int:
        return int(self._store.lease_seconds * 1_000_000)


def _release(unit: Unit) -> None:
    unit.set(running_key=None, lease_owner=None, lease_until=None)
