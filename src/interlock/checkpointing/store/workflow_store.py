"""The workflow store: the entry point to instances, ledger, approvals, audit trail and outbox."""

import datetime as dt
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine

from ...tools.contracts.yes_or_no import is_deferred
from ...tools.errors import InputError
from ...tools.events import EventEnvelope, moment_of
from ...tools.ids import EventId, TraceId, WorkflowId, derive
from ...tools.principal import Principal
from .. import retired
from ..connecting.capacity import Capacity
from ..database import Database
from ..due import Due, WhenDue
from ..encryption import Encryption
from ..retired import RetiredTrail
from ..tables.workflow import instances as instances_table
from ..transactions.transactions import Transactions
from . import approval_listing, approvals, audit, instances, leases, ledger, outbox, trail
from .approval_listing import Page
from .approvals import ApprovalRequest, ApprovalStatus, DecisionRow
from .audit import AuditKind, AuditRecord, Broken
from .beginning import Begun, begin, begin_under
from .heads import HeadSigner, HeadVerifier, SignedHead, compare
from .instances import Instance
from .ledger import LedgerEntry
from .unit import Unit

if TYPE_CHECKING:  # see `database`
    from sqlalchemy.ext.asyncio import AsyncEngine

Clock = Callable[[Connection], int]
"""Returns the time in microseconds since 1970 UTC; by default the database's own clock."""

DelegatesOf = Callable[[Principal, dt.datetime], "str | Principal | Collection[str | Principal] | None"]
"""Returns who decides for a person at a time."""


class WorkflowStore(Transactions):
    """The SQL store of workflow instances, for use with any checkpointer.

    Args:
        target: A database URL, an engine, or the `Database` of a checkpointer to share.
        clock: For tests: a function that returns the time in place of the database, in microseconds since 1970 UTC.
        encryption: Keys that encrypt arguments, results, data, previews, payloads and events. With a `Database` or engine shared with a
            checkpointer, its keys already do.
        encrypted_only: Refuse to load such values if they are not encrypted.
        lease_seconds: For how many seconds a process may be silent during an effect outside the database before another one takes
            over.
        capacity: How many connections and threads the store may use; not for a shared `Database`.
        delegates: A function that returns who decides for a person who is away, in addition to the delegations that people make themselves.
            It takes that person, as a `Principal` with only ID and tenant, and the time in UTC, and returns one ID, several IDs, or None.
        incarnation: Your name for the database since its last restore. Change it whenever a backup is restored. By default
            `INTERLOCK_INCARNATION`.

    Attributes:
        recovery: Whether work is held after a restored backup, and the way to release it.
    """

    def __init__(
        self,
        target: "str | URL | Engine | AsyncEngine | Database",
        *,
        clock: Clock | None = None,
        lease_seconds: float = leases.SECONDS,
        encryption: Encryption | None = None,
        encrypted_only: bool = False,
        capacity: Capacity | None = None,
        incarnation: str | None = None,
        delegates: DelegatesOf | None = None,
    ) -> None:
        super().__init__(Database.open(target, capacity=capacity), incarnation=incarnation)
        if encryption is not None:
            self.database.protect(encryption, encrypted_only=encrypted_only)
        self.lease_seconds = lease_seconds
        self._clock = clock
        if delegates is not None and (not callable(delegates) or is_deferred(delegates)):
            raise InputError(
                f"WorkflowStore(delegates={delegates!r:.200}): give a plain function of the person and the time, neither async nor a generator.",
                code="settings",
            )
        self.delegates = delegates
        """The application's function that returns the delegates of a person."""
        self.when_due: WhenDue | None = None
        """Called for every run that becomes due, in the transaction that causes it. An engine sets itself here."""

    @classmethod
    def in_memory(cls, *, clock: Clock | None = None) -> "WorkflowStore":
        """Return a store in this process's memory: the same rules apply, but nothing outlives the process."""
        store = cls(Database.in_memory(), clock=clock)
        store.is_durable = False
        return store

    def note_due(self, connection: Connection, workflow_id: str, cause: str) -> None:
        """Call `when_due` for an instance, in the transaction that made its run due. Instances without a thread have no run."""
        if self.when_due is None:
            return
        instance = instances.load(connection, workflow_id)
        if instance is not None and instance.thread_id is not None:
            inside = bool(instance.checkpoint_ns)
            due = Due(instance.workflow, workflow_id, instance.tenant, instance.thread_id, cause, inside)
            self.when_due(connection, due)

    def unit(self, connection: Connection, workflow_id: str) -> Unit | None:
        """Begin work on one instance in a write transaction; return None if there is no such instance."""
        begun = begin(connection, workflow_id)
        return None if begun is None else self._unit(connection, begun)

    def unit_for(
        self, connection: Connection, workflow_id: str, key: str
    ) -> tuple[Unit | None, LedgerEntry | None, ApprovalRequest | None]:
        """As `unit`, with what the ledger has under an idempotency key, and the approval of its proposal."""
        begun = begin_under(connection, workflow_id, key)
        return (None, None, None) if begun is None else (self._unit(connection, begun), begun.entry, begun.approval)

    def _unit(self, connection: Connection, begun: Begun) -> Unit:
        now = begun.now if self._clock is None else self._clock(connection)
        return Unit(connection, begun.instance, now, counting=begun.counting)

    def now(self, connection: Connection, *, read: int | None = None) -> int:
        """Return the time in microseconds since 1970 UTC. `read` is a reading of the database's clock, if the caller has just taken one."""
        if self._clock is not None:
            return self._clock(connection)
        return self.database.now(connection) if read is None else read

    def find(self, workflow_id: str) -> Instance | None:
        """Read one instance; return None if there is none with this ID."""
        self.prepare()
        return instances.look_up(self.database, workflow_id)

    def on_thread(self, workflow_id: str, thread_id: str) -> list[Instance]:
        """Read one instance, and all others with the same thread, of any workflow."""
        self.prepare()
        return instances.look_up_thread(self.database, workflow_id, thread_id)

    def get(self, workflow_id: str) -> Instance:
        """Read one instance.

        Raises:
            InputError: There is no instance with this ID.
        """
        found = self.find(workflow_id)
        if found is None and (end := self.retired(workflow_id)) is not None:
            raise InputError(
                f"The workflow instance {workflow_id!r} was finished and old enough, and was retired: {end}.",
                code="unknown_instance",
            )
        if found is None:
            raise InputError(
                f"There is no workflow instance {workflow_id!r} in {self._place()}. An instance begins with the first run of its thread. "
                "Check the ID and the database; `WorkflowStore.instances()` lists those that are there."
                + (
                    ""
                    if workflow_id.startswith("wf_")
                    else f" If it is a thread's ID, pass the config: {{'configurable': {{'thread_id': {workflow_id!r}}}}}."
                ),
                code="unknown_instance",
            )
        return found

    def retired(self, workflow_id: str) -> RetiredTrail | None:
        """Return the end of the audit trail of the last retired instance with this ID; None if there is none."""
        with self.read() as connection:
            return retired.last_of(connection, workflow_id)

    def _place(self) -> str:
        return repr(self.database.engine.url) if self.is_durable else "this process's memory"

    def instances(self, *, workflow: str | None = None, tenant: str | None = None, limit: int = 100) -> list[Instance]:
        """Return the instances that were started last, newest first."""
        table = instances_table
        statement = (
            sa.select(table)
            .where(table.c.definition != instances.ERASED)
            .order_by(table.c.created_at.desc(), table.c.workflow_id.desc())
            .limit(limit)
        )
        if workflow is not None:
            statement = statement.where(table.c.workflow == workflow)
        if tenant is not None:
            statement = statement.where(table.c.tenant == tenant)
        with self.read() as connection:
            return [instances.from_row(row) for row in connection.execute(statement)]

    def audit(self, workflow_id: str, *, after: int = 0, limit: int | None = None) -> list[AuditRecord]:
        """Return the audit trail of an instance, oldest record first: all of it, or at most `limit` records with numbers above `after`."""
        with self.read() as connection:
            return audit.read(connection, workflow_id, after=after, limit=limit)

    def unsettled(self, *, tenant: str | None = None, limit: int = 100) -> list[LedgerEntry]:
        """Return the effects outside the database that are in progress, or whose outcome is unknown and not resolved, oldest first."""
        with self.read() as connection:
            return ledger.unsettled(connection, tenant, limit)

    def verify(
        self,
        workflow_id: str,
        *,
        head: str | None = None,
        heads: Iterable[SignedHead] = (),
        verifier: HeadVerifier | None = None,
    ) -> list[Broken]:
        """Verify the audit trail of an instance: return every place where it was tampered with, or an empty list if it is intact.

        Invalid contents of a row are reported as such places and never raised.

        Args:
            workflow_id: The instance.
            head: The hash of a record that was noted outside the database, and which the trail must still contain. Without it, somebody
                with write access to the whole database could replace the whole trail.
            heads: Signed heads that were kept outside the database, for the same purpose. Those of other instances are ignored.
            verifier: Verifies the signatures of `heads`.

        Raises:
            InputError: `heads` were given without a `verifier`.
        """
        if verifier is None and (heads := tuple(heads)):
            raise InputError("Signed heads were given without the public key to check them with. Nothing was checked.")
        with self.read() as connection:
            row = connection.execute(trail.end_of(workflow_id)).first()
            records = trail.rows(connection, workflow_id)
        broken = trail.check(records, **({} if row is None else {"count": row[0], "head": row[1]}))
        if row is None and not records and (end := self.retired(workflow_id)) is not None:
            return [Broken(1, f"the instance was retired: {end}")]
        if row is None:
            broken.append(
                Broken(len(records) + 1, "the instance has no row any more, which would say where its trail ends")
            )
        if head is not None and head not in {record["hash"] for record in records}:
            broken.append(Broken(len(records), f"is not followed from {head}, which was noted elsewhere"))
        if verifier is not None:
            broken += compare(records, heads, verifier, workflow_id=workflow_id)
        return broken

    def signed_head(self, workflow_id: str, signer: HeadSigner) -> SignedHead:
        """Sign the current head of an instance's audit trail. Keep the result where nobody with access to the database can change it.

        Raises:
            InputError: There is no such instance.
        """
        with self.read() as connection:
            row = connection.execute(trail.end_of(workflow_id)).first()
            now = self.now(connection)
        if row is None:
            self.get(workflow_id)  # says that it is not there
        assert row is not None  # noqa: S101 -- `get` has refused None
        count, last, tenant = row
        return signer.sign(workflow_id=workflow_id, tenant=tenant, number=count, last=last, at=now)

    def emit_head(self, workflow_id: str, signer: HeadSigner) -> SignedHead:
        """Sign the head as `signed_head` does, and emit it as an event (`interlock.audit.head.signed.v1`), once for each head."""
        head = self.signed_head(workflow_id, signer)
        with self.write() as connection:
            instance = instances.load(connection, workflow_id)
            event_id = EventId(derive("evt", workflow_id, head.number, head.hash, head.key_id))
            if instance is not None and outbox.find(connection, event_id) is None:
                envelope = EventEnvelope.wrap(
                    head.to_event(),
                    event_id=event_id,
                    occurred_at=moment_of(head.signed_at),
                    trace_id=TraceId(instance.trace_id),
                    workflow_id=WorkflowId(workflow_id),
                    metadata={"source": "/interlock/audit", "tenant": head.tenant},
                )
                outbox.append(connection, [envelope], tenant=head.tenant, now=self.now(connection))
        return head

    def export_audit(self, workflow_id: str, *, signer: HeadSigner | None = None) -> list[str]:
        """Return the audit trail of an instance as JSON Lines, which can be verified without the database (`interlock audit --check`).

        Args:
            workflow_id: The instance.
            signer: Signs the last line, which has the number of records.
        """
        with self.read() as connection:
            records = trail.rows(connection, workflow_id)
            now = self.now(connection)
        head = None
        if signer is not None and records:
            last = records[-1]
            signed = signer.sign(
                workflow_id=workflow_id, tenant=last["tenant"], number=len(records), last=last["hash"], at=now
            )
            head = signed.to_json()
        return [*trail.export(records, head=head)]

    def erase_audit(self, workflow_id: str, *, by: Principal, reason: str, numbers: Iterable[int] | None = None) -> int:
        """Erase the payloads of an instance's audit records: arguments, results, data, previews, and the roles of who acted.

        The erasure is recorded with its author and reason. The records stay, with kind, tool, time and the ID of who acted, and still
        verify. The workflow's own data, stored results and open approvals are not part of the trail, and are not erased.

        Args:
            workflow_id: The instance.
            by: The principal who erases them.
            reason: Why.
            numbers: The numbers of the records; by default all records so far.

        Returns:
            The number of payloads that were erased.

        Raises:
            InputError: There is no such instance for the principal's tenant.
        """
        with self.write() as connection:
            unit = self.unit(connection, workflow_id)
            if unit is None or unit.instance.tenant != by.tenant:
                raise InputError(
                    f"There is no workflow instance {workflow_id!r} for the tenant {by.tenant!r}. Nothing was erased.",
                    code="unknown_instance",
                )
            return trail.erase(unit, by, reason=reason, numbers=numbers)

    def pending_approvals(self, workflow_id: str) -> list[ApprovalRequest]:
        """Return the approvals of an instance that wait for a decision."""
        with self.read() as connection:
            return approval_listing.pending(connection, workflow_id)

    def approval(self, approval_id: str) -> ApprovalRequest:
        """Read one approval.

        Raises:
            InputError: There is no approval with this ID.
        """
        with self.read() as connection:
            found = approvals.load_by_id(connection, approval_id)
        if found is None:
            raise InputError(
                f"There is no approval {approval_id!r} in this database. Look at those that wait: `graph.instances.approvals()`, or `WorkflowStore.approvals()`.",
                code="unknown_approval",
            )
        return found

    def approvals(
        self,
        *,
        tenant: str | None = "default",
        status: ApprovalStatus | str | None = ApprovalStatus.REQUESTED,
        workflow: str | None = None,
        tool: str | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> Page:
        """Return a page of approvals, oldest first: by default those that wait for a decision.

        Args:
            tenant: The tenant; None for all of them.
            status: The status of the approvals; None for any.
            workflow: The name of the workflow; None for any.
            tool: The canonical name of the tool; None for any.
            limit: The largest number of rows on the page, from 1 to 1000.
            after: The `next` of the previous page.

        Raises:
            InputError: `after` is not the `next` of a page, or the limit is out of bounds.
        """
        try:
            wanted = None if status is None else ApprovalStatus(status)
        except ValueError:
            raise InputError(
                f"{status!r} is not where an approval can stand; that is one of {', '.join(ApprovalStatus)}."
            ) from None
        with self.read() as connection:
            return approval_listing.page(
                connection, tenant=tenant, status=wanted, workflow=workflow, tool=tool, limit=limit, after=after
            )

    def decisions(self, approval_id: str) -> list[DecisionRow]:
        """Return the decisions that were taken on an approval, in order."""
        with self.read() as connection:
            return approvals.taken(connection, approval_id)

    def close(self) -> None:
        """Close the database, unless it was passed in open."""
        self.database.close()


__all__ = ["AuditKind", "AuditRecord", "Broken", "Clock", "Instance", "WorkflowStore"]
