"""The common base of the three kinds of execution: the instance, the ledger, the gate's verdict, and the tool's context.

`transactional`, `outside` and `reads` build on this; `commands` chooses between them.
"""

from dataclasses import replace
from typing import TypeVar

from sqlalchemy.engine import Connection

from ...checkpointing.store import ApprovalRequest, LedgerEntry, Unit
from ...checkpointing.store import instances as instance_rows
from ...checkpointing.store import ledger as ledger_rows
from ...rules.denials import Denial, key_of_another, not_proposed
from ...rules.gate import Admission, Verdict
from ...rules.policies import Mode
from ...rules.proposals import PROPOSAL, Proposal
from ...tools.canonical import JSON, canonical_json
from ...tools.codes import ErrorCode
from ...tools.context import ToolContext
from ...tools.contracts import ToolContract
from ...tools.errors import CommitUnknown, RevisionConflict, StaleCheckpoint, StoreError
from ...tools.events import moment_of
from ...tools.ids import AuditRef, IdempotencyKey, TraceId, WorkflowId, mint
from ...tools.kinds import Effect
from ..approvals.binding import decided_on, void, with_approval
from ..instances.lineage import same_line
from ..instances.versions import adopt
from ..running.engine import Engine
from ..running.operations import InStore, Sessions, Steps
from ..running.scope import Scope
from .attempts import Admitted, Broken, Outcome
from .dry_run import dry_run
from .judging import preview_of, verdict_on
from .ledger_status import EntryState, busy, entry_state
from .looking import DeniedError, Looking
from .lost_answers import looked_up
from .outcomes import Outcomes

T = TypeVar("T")


class Execution:
    """Executes one proposal on one instance; the common base of all three kinds.

    Args:
        engine: The workflow and its store.
        scope: The instance and the principal.
        node: The execution node of the graph; None for a command from outside the graph.
        head: The last command's checkpoint that the graph has stored.
        revision: The required revision, if any.
    """

    def __init__(
        self, engine: Engine, scope: Scope, *, node: str | None, head: str | None, revision: int | None = None
    ) -> None:
        self.engine = engine
        self.scope = scope
        self.node = node
        self.head = head
        self.revision = revision
        self.outcomes = Outcomes(engine, scope, node)

    def refuse(self, connection: Connection, proposal: Proposal, denial: Denial | None = None) -> Outcome:
        """Answer a proposal with a denial, the gate's own unless one is given, and record it."""
        unit = self.unit(connection)
        if (forged := self.forged(unit, proposal)) is not None:
            denial, proposal = forged, self.as_tried(proposal)
        if denial is None:
            verdict = self.judge_now(unit, proposal)
            if not isinstance(verdict, Denial):
                raise StoreError(
                    f"the proposal of {proposal.tool} was taken for a denial and is none", code="internal_error"
                )
            denial = verdict
        return self.outcomes.deny(unit, proposal, denial)

    def begin(self, connection: Connection, proposal: Proposal, sessions: Sessions) -> Admitted | Outcome | Broken:
        """Check the ledger, judge, and prepare an attempt; or answer.

        Returns:
            The attempt; or the stored result; or the denial; or the interrupted attempt that a person has to resolve.
        """
        unit, entry, approval = self.unit_for(connection, proposal)
        if (forged := self.forged(unit, proposal)) is not None:
            return self.outcomes.deny(unit, self.as_tried(proposal), forged)
        if (foreign := of_somebody_else(proposal, entry, approval)) is not None:
            return self.outcomes.deny(unit, proposal, foreign)
        proposal = proposal.changed(is_claim=False)
        contract = self.engine.definition.contracts[proposal.tool]
        proposal = decided_on(proposal, approval, contract)
        match entry_state(unit, entry, contract, proposal):
            case EntryState.STORED:
                return self.replayed(unit, entry)
            case EntryState.UNKNOWN:
                return Broken(_there(entry))
            case EntryState.BROKEN_OFF:
                return self._again(unit, _there(entry), proposal, approval=approval, sessions=sessions)
        self.check_line(unit)
        self._check_free(unit, proposal)
        verdict = self.judge_now(unit, proposal)
        if isinstance(verdict, Admission):
            verdict = with_approval(self.engine.definition, unit, verdict, proposal, approval, preview=self.preview)
        if isinstance(verdict, Denial):
            if approval is not None and approval.status.is_granted and verdict.code is not ErrorCode.APPROVAL_VOID:
                if approval.is_at_the_door and verdict.retryable:
                    return self.outcomes.held(unit, proposal, verdict, approval)
                void(unit, approval, verdict.message)
            return self.outcomes.deny(unit, proposal, verdict)
        ready = self._admitted(unit, verdict, proposal, approval=approval, entry=entry, sessions=sessions)
        if self.engine.definition.mode is not Mode.DRY_RUN:
            return ready
        preview = self.preview(unit, verdict, proposal)
        if isinstance(preview, Denial):
            return self.outcomes.deny(unit, proposal, preview)
        return dry_run(self.outcomes, unit, ready, proposal, preview)

    def unit(self, connection: Connection) -> Unit:
        """The instance, in a write transaction, migrated to this definition of the workflow.

        Raises:
            RunError: It does not exist, belongs to another tenant, or cannot continue under this definition.
        """
        return self._ours(self.engine.store.unit(connection, self.scope.workflow_id))

    def unit_for(
        self, connection: Connection, proposal: Proposal
    ) -> tuple[Unit, LedgerEntry | None, ApprovalRequest | None]:
        """As `unit`, with the ledger entry and the approval of a proposal's key."""
        unit, entry, approval = self.engine.store.unit_for(connection, self.scope.workflow_id, proposal.key)
        return self._ours(unit), entry, approval

    def _ours(self, unit: Unit | None) -> Unit:
        self.engine.owned(None if unit is None else unit.instance, self.scope.principal, self.scope.workflow_id)
        assert unit is not None  # noqa: S101 -- `owned` has refused None
        adopt(self.engine.definition, unit, self.scope.principal)
        return unit

    def looked_at(self, connection: Connection) -> Unit:
        """As `unit`, for a read-only transaction."""
        instance = instance_rows.load(connection, self.scope.workflow_id)
        instance = self.engine.owned(instance, self.scope.principal, self.scope.workflow_id)
        unit = Unit(connection, instance, self.engine.store.now(connection), writes=False)
        adopt(self.engine.definition, unit, self.scope.principal)
        return unit

    def forged(self, unit: Unit, proposal: Proposal) -> Denial | None:
        """The denial of a proposal from plain data whose signature by this instance is missing or invalid."""
        instance = unit.instance
        if not proposal.is_claim or instance.seal.fits(
            proposal.mark, PROPOSAL, instance.workflow_id, proposal.signed()
        ):
            return None
        return not_proposed(proposal, instance.workflow_id)

    def as_tried(self, proposal: Proposal) -> Proposal:
        """A forged proposal for its record, with the principal of the run as requester."""
        return proposal.changed(requester=self.scope.principal, is_claim=False)

    def judge_now(self, unit: Unit, proposal: Proposal) -> Verdict:
        """The gate's verdict on a proposal in this transaction.

        Raises:
            DeniedError: The denial has to be recorded in its own transaction.
        """
        forged = self.forged(unit, proposal)
        return verdict_on(self, unit, proposal) if forged is None else forged

    def preview(self, unit: Unit, admission: Admission, proposal: Proposal) -> JSON | Denial:
        """The preview of the call for an approver, computed in this transaction; or the reason why there is none.

        Raises:
            DeniedError: As for `judge_now`.
        """
        return preview_of(self, unit, admission, proposal)

    def recording(self, proposal: Proposal, steps: Steps[T]) -> Steps[T | Outcome | Broken]:
        """Run steps; record a denial that an unusable transaction could not record.

        After a lost answer to a COMMIT, the outcome of the proposal is looked up.

        Raises:
            CommitUnknown: The lookup failed.
            StoreUnavailable: The transaction was rolled back.
        """
        try:
            return (yield from steps)
        except DeniedError as denied:
            denial = denied.denial
        except CommitUnknown as error:
            return (yield from looked_up(self, proposal, error))
        outcome: Outcome = yield InStore(lambda connection: self.refuse(connection, proposal, denial))
        return outcome

    def context(
        self, unit: Unit, contract: ToolContract, proposal: Proposal, attempt: int, sessions: Sessions
    ) -> ToolContext:
        """The context of the tool."""
        instance = unit.instance
        inside = contract.effect in {None, Effect.TRANSACTIONAL}
        return ToolContext(
            kind=contract.kind,
            workflow_id=WorkflowId(instance.workflow_id),
            state=instance.state,
            revision=instance.revision,
            trace_id=TraceId(instance.trace_id),
            audit_ref=AuditRef(mint("audit")),
            idempotency_key=IdempotencyKey(proposal.key),
            data=self.engine.definition.parse_data(instance.data),
            principal=proposal.requester,
            attempt=attempt,
            now=moment_of(unit.now),
            known=unit.computed.setdefault(f"{proposal.key} {canonical_json(proposal.arguments)}", {}),
            session=sessions.open if inside or isinstance(sessions, Looking) else None,
            no_session=f"the effect of {contract.name} is {contract.effect}, which is outside the workflow store's database, so there is no "
            "session; declare it with effect='transactional' if all it does goes through ctx.session",
        )

    def check_line(self, unit: Unit) -> None:
        """Refuse to continue from a checkpoint before the last command.

        Raises:
            StaleCheckpoint: This run's checkpoint is older than the last command, or of another thread.
        """
        if not same_line(self.scope, unit.instance, self.head):
            raise stale(unit.instance.workflow_id, unit.instance.state, unit.instance.revision)

    def check_idle(self, unit: Unit, proposal: Proposal) -> None:
        """Refuse other commands while an effect outside the database is in progress.

        Raises:
            InProgress: An effect is in progress.
            OutcomeUnknown: An effect was interrupted, and has to be resumed or resolved.
        """
        running = unit.instance.running_key
        if running is None or running == proposal.key:
            return
        entry = ledger_rows.load(unit.connection, unit.instance.workflow_id, running)
        if entry is not None:
            raise busy(unit, entry)

    def _check_free(self, unit: Unit, proposal: Proposal) -> None:
        self.check_idle(unit, proposal)
        self.check_revision(unit, proposal)

    def check_revision(self, unit: Unit, proposal: Proposal) -> None:
        """Refuse a call for another revision of the instance.

        Raises:
            RevisionConflict: The revision differs; the error has the current state.
        """
        instance = unit.instance
        # Migrating the instance to this definition in this transaction is not a change that the caller could know.
        if self.revision is None or self.revision in {instance.revision, unit.revision_read}:
            return
        allowed = self.engine.offered_for(unit, proposal.requester)
        raise RevisionConflict(
            f"The workflow {instance.workflow_id} is at revision {instance.revision} now, in {instance.state!r}; {proposal.tool} was meant for "
            f"revision {self.revision}. Nothing was done; look at its state, then try again. Tools that may be called now: "
            f"{', '.join(allowed) or 'none'}.",
            details={
                "workflowId": instance.workflow_id,
                "currentState": instance.state,
                "revision": instance.revision,
                "nextAllowedTools": [*allowed],
            },
        )

    def replayed(self, unit: Unit, entry: LedgerEntry | None) -> Outcome:
        """The stored result of a command that was executed earlier under the same key."""
        # A result from another line of history must not resume this one as if this one followed it.
        head = unit.instance.head_checkpoint if same_line(self.scope, unit.instance, self.head) else None
        return Outcome({**(_there(entry).result or {}), "replayed": True}, unit.instance, replayed=True, head=head)

    def _again(
        self,
        unit: Unit,
        entry: LedgerEntry,
        proposal: Proposal,
        *,
        approval: ApprovalRequest | None,
        sessions: Sessions,
    ) -> Admitted | Broken:
        """Take over an interrupted attempt: retry it if that is safe, else let a person resolve it."""
        self.check_line(unit)
        contract = self.engine.definition.contracts[proposal.tool]
        if contract.effect is not Effect.IDEMPOTENT or entry.tool_version != contract.version:
            return self.outcomes.unknown(unit, entry, proposal.requester, "the attempt was interrupted")
        edge = next(
            (
                edge
                for edge in self.engine.definition.edges_for(unit.instance.state, undoing=proposal.undoes is not None)
                if edge.tool.name == proposal.tool and self.node in {None, edge.node}
            ),
            None,
        )
        if edge is None:
            return self.outcomes.unknown(
                unit, entry, proposal.requester, "the attempt was interrupted, and the tool has no edge here any more"
            )
        # It was admitted, and nothing has moved since. The gate could now deny an effect that may already have happened.
        bound = contract.bind_again(proposal.arguments, entry.arguments)
        if not contract.remembers(bound):
            return self.outcomes.unknown(
                unit,
                entry,
                proposal.requester,
                "the attempt was interrupted, and a sensitive value that it ran with is on no record",
            )
        admission = Admission(edge, replace(bound, fingerprint=entry.fingerprint), None)
        return self._admitted(unit, admission, proposal, approval=approval, entry=entry, sessions=sessions)

    def _admitted(
        self,
        unit: Unit,
        admission: Admission,
        proposal: Proposal,
        *,
        approval: ApprovalRequest | None,
        entry: LedgerEntry | None,
        sessions: Sessions,
    ) -> Admitted:
        contract = admission.edge.tool
        context = self.context(unit, contract, proposal, 1 if entry is None else entry.attempt + 1, sessions)
        return Admitted(contract, admission.arguments, context, sessions, unit, admission, approval, entry)


def of_somebody_else(proposal: Proposal, entry: LedgerEntry | None, approval: ApprovalRequest | None) -> Denial | None:
    """The denial of a call under the key of another principal, whose approval and result it must not get."""
    who = (proposal.requester.tenant, proposal.requester.id)
    if approval is not None and (approval.requester.tenant, approval.requester.id) != who:
        return Denial(
            ErrorCode.APPROVAL_REQUIRED,
            f"The approval under this key was asked for by somebody else, and only their call of {approval.tool} can use it. Nothing was done; "
            "propose it under your own key.",
            {"approvalId": approval.approval_id},
        )
    if entry is not None and entry.principal_id not in {None, proposal.requester.id}:
        return key_of_another(proposal.key)
    return None


def stale(workflow_id: str, state: str, revision: int) -> StaleCheckpoint:
    """The error for continuing from a checkpoint before the last command."""
    return StaleCheckpoint(
        f"This run continues from a checkpoint that is older than the last command of the workflow {workflow_id}, which is in "
        f"{state!r} at revision {revision}. Nothing was done. Continue from where the workflow is, with the config that "
        "graph.instances.head(config) gives, or try another course in its own instance: graph.instances.fork(config, thread_id=...).",
        details={"workflowId": workflow_id, "revision": revision},
    )


def _there(entry: LedgerEntry | None) -> LedgerEntry:
    assert entry is not None  # noqa: S101 -- something is under the key
    return entry


__all__ = ["Execution", "of_somebody_else", "stale"]
