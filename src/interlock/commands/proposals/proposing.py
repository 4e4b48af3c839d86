"""Proposals from outside the graph: the same gate, ledger, approvals and records, without a thread and without a model.

A call that needs a person's decision creates a request, and waits. `standing` returns the status of such a proposal, and executes a
granted one: the first caller executes it, and the others get its result.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy.engine import Connection

from ...checkpointing.store import ApprovalRequest, ApprovalStatus, Instance, LedgerEntry
from ...checkpointing.store import approvals as approval_rows
from ...checkpointing.store import instances as instance_rows
from ...checkpointing.store import ledger as ledger_rows
from ...checkpointing.store.beginning import look_under
from ...rules.denials import Denial
from ...rules.proposals import Proposal
from ...tools.codes import ErrorCode
from ...tools.contracts import ToolContract
from ...tools.errors import CommitUnknown, ConflictError, InputError
from ...tools.kinds import ToolKind
from ...tools.principal import Principal
from ...tools.results import Answered, Pending, Result
from ...tracing.outside import outside_call
from ..approvals.binding import as_proposal, closed_ref, moved_on, void
from ..approvals.deadlines import lapse, take
from ..approvals.decisions import unknown_approval
from ..approvals.requesting import Asked, Overdue, Requests
from ..execution.commands import Broken, Commands, Outcome
from ..execution.shared import of_somebody_else
from ..running.access import refuse_strangers
from ..running.engine import Engine, unknown_instance
from ..running.facts import asked_apart
from ..running.operations import InStore, Startable, Steps, in_store
from ..running.scope import outside_scope
from .answers import answered, closed, error, pending, stored
from .calls import Call, check_same
from .limits import Limit, limited, why_limited
from .streaming import stream_for_tools

ProposalStatus = Result | Pending
"""The status of a proposal."""


@dataclass(frozen=True)
class _Found:
    """The stored state at the start of a call."""

    instance: Instance
    entry: LedgerEntry | None
    approval: ApprovalRequest | None
    limit: Limit | None
    """The rate limit that the caller has reached, if any."""


def propose(engine: Engine, call: Call) -> Steps[ProposalStatus]:
    """Judge a call, and execute it, or request the decision that it needs first.

    Raises:
        RunError: There is no such instance for the caller's tenant.
        PrincipalError: The instance serves somebody else.
        InputError: The key cannot be stored, or a command has neither key nor revision.
        ConflictError: The instance has another revision than the call requires, or another caller is executing it.
        IdempotencyError: The key was used for something else.
        OutcomeUnknown: An attempt was interrupted during its effect.
    """
    by, contract = call.principal, call.contract(engine.definition)
    key, problem = _key_of(call, contract)
    found: _Found = yield InStore(partial(_find, engine, call, key), write=False)
    instance = found.instance
    yield from refuse_strangers(engine, instance, by)
    if problem is not None:
        raise problem  # only for principals who may propose here at all
    if contract is not None:
        yield Startable(contract)
    proposal = call.proposal(instance, key, contract)
    is_read = contract is not None and contract.kind is ToolKind.READ
    revision = instance.revision if call.revision is None and not is_read else call.revision
    commands = _commands(engine, instance, by, revision)
    if (foreign := of_somebody_else(proposal, found.entry, found.approval)) is not None:
        denial = foreign
        outcome: Outcome = yield InStore(
            lambda connection: commands.outcomes.deny(commands.unit(connection), proposal, denial)
        )
        return answered(outcome)
    with outside_call(_facts(engine, instance, proposal.tool), proposal.to_json()) as tell, stream_for_tools():
        done = yield from _proposed(engine, call, commands, proposal, found)
        if isinstance(done, Answered):
            tell(done.to_json())
        return done


def _proposed(
    engine: Engine, call: Call, commands: Commands, proposal: Proposal, found: _Found
) -> Steps[ProposalStatus]:
    contract = engine.definition.contracts.get(proposal.tool)
    if found.approval is not None and call.asks:
        check_same(found.approval, proposal, contract)
        return (yield from _status_of(engine, found.approval))
    if call.asks and found.entry is None and found.limit is not None:
        return (yield from limited(engine, found.instance, call.principal, found.limit))
    if call.asks and found.entry is None and _may_ask(engine, found.instance, proposal.tool):
        # Without a given revision there is nothing to compare.
        asking = commands if call.revision is not None else _commands(engine, found.instance, call.principal)
        stands = yield from asking.recording(
            proposal, in_store(partial(_request, commands=asking, proposal=engine.completed(proposal)))
        )
        match stands:
            case Asked(approval) | Overdue(approval):
                return (yield from _status_of(engine, approval))
            case ApprovalRequest():
                return (yield from _status_of(engine, stands))
            case Outcome() | Broken():
                return answered(stands)
    try:
        return answered((yield from commands.carry_out(proposal)))
    except CommitUnknown as lost:
        lost.retryable = call.key is not None or call.revision is not None  # otherwise it would be a different call
        raise


def _request(connection: Connection, commands: Commands, proposal: Proposal) -> Any:
    unit, _, approval = commands.unit_for(connection, proposal)
    if approval is not None:
        return approval  # another process has made the request since the lookup
    return Requests(commands).status_of(connection, proposal, None, unit)


def standing(engine: Engine, approval_id: str, by: Principal | None) -> Steps[ProposalStatus]:
    """The status of a proposal that needed a decision; executes a granted one, once.

    Args:
        engine: The workflow.
        approval_id: The id of the proposal.
        by: The principal who looks; None for the application.

    Raises:
        InputError: There is no such proposal for their tenant.
        PrincipalError: The instance serves somebody else.
        ConflictError: Another process is executing it, or the graph of a thread has to execute it.
        OutcomeUnknown: It was interrupted during its effect.
    """
    approval, _ = yield from looked_up(engine, approval_id, by)
    return (yield from _status_of(engine, approval))


def looked_up(engine: Engine, approval_id: str, by: Principal | None) -> Steps[tuple[ApprovalRequest, Instance]]:
    """A proposal with its instance, for a principal who may propose on the instance; a refusal is recorded.

    Raises:
        InputError: There is no such proposal for their tenant.
        PrincipalError: The instance serves somebody else.
    """
    found = yield InStore(partial(_with_instance, approval_id=approval_id), write=False)
    approval, instance = found
    if (
        approval is None
        or instance is None
        or approval.workflow != engine.definition.name
        or (by is not None and instance.tenant != by.tenant)
    ):
        raise unknown_approval(approval_id)
    if by is not None:
        yield from refuse_strangers(engine, instance, by)
    return approval, instance


def _status_of(engine: Engine, approval: ApprovalRequest) -> Steps[ProposalStatus]:
    """The current status of a proposal, after due work on it."""
    current, instance = yield from settled(engine, approval)
    if current.status is ApprovalStatus.REQUESTED:
        return (yield from asked_apart(engine.definition, lambda: pending(engine, instance, current)))
    if current.status.is_closed:
        return (yield from asked_apart(engine.definition, lambda: closed(engine, instance, current)))
    if current.status is ApprovalStatus.USED:
        return (yield from _stored_result(engine, current, instance))
    if not current.is_at_the_door:
        raise _belongs_to_thread(current)
    return (yield from carry_out(engine, current, instance))


def settled(engine: Engine, approval: ApprovalRequest) -> Steps[tuple[ApprovalRequest, Instance]]:
    """The current request with its instance, after an overdue deadline was applied, and void if the instance has moved."""
    while True:
        current, instance, is_behind = yield InStore(partial(_reload, engine, approval.approval_id), write=False)
        if not is_behind:
            return current, instance
        overdue: Overdue | None = yield InStore(partial(_settle, engine, approval=current))
        if overdue is not None:
            yield from take(engine, overdue.approval)


def _reload(engine: Engine, approval_id: str, connection: Connection) -> tuple[ApprovalRequest, Instance, bool]:
    """A request and its instance, and whether it has due work."""
    current, instance = _with_instance(connection, approval_id)
    if current is None or instance is None:
        raise unknown_approval(approval_id)
    is_due = current.expires_at is not None and current.is_due(engine.store.now(connection))
    return current, instance, is_due or _has_moved_on(instance, current)


def carry_out(engine: Engine, approval: ApprovalRequest, instance: Instance) -> Steps[Result]:
    """Execute a granted proposal on behalf of its proposer; only the first caller executes it.

    Raises:
        ConflictError: Another caller is executing it.
        OutcomeUnknown: It was interrupted during its effect.
    """
    contract = engine.definition.contracts.get(approval.tool)
    if contract is not None:
        yield Startable(contract)
    proposal = as_proposal(approval, contract)
    commands = _commands(engine, instance, approval.requester)
    with outside_call(_facts(engine, instance, approval.tool), proposal.to_json()) as tell, stream_for_tools():
        outcome: Outcome | Broken = yield from commands.carry_out(proposal)
        done = answered(outcome)
        tell(done.to_json())
    if not done.ok and contract is not None and contract.kind is ToolKind.READ:
        yield InStore(partial(_void_denied, commands=commands, approval=approval, done=done))
    return done


def _void_denied(connection: Connection, commands: Commands, approval: ApprovalRequest, done: Result) -> None:
    """Void a granted read that is denied now; a separate step, because a read is judged in a read-only transaction."""
    unit = commands.unit(connection)
    current = approval_rows.load_by_id(connection, approval.approval_id)
    body = getattr(done, "error", None)
    if current is not None and current.status.is_granted and body is not None and not body.retryable:
        void(unit, current, body.message)
        unit.flush()


def _stored_result(engine: Engine, approval: ApprovalRequest, instance: Instance) -> Steps[Result]:
    """The result of an executed proposal; the result of a read is not stored."""
    entry: LedgerEntry | None = yield InStore(
        lambda connection: ledger_rows.load(connection, approval.workflow_id, approval.idempotency_key), write=False
    )
    if entry is not None and entry.result is not None:
        return stored({**entry.result, "replayed": True})
    tool = engine.definition.wire_names.get(approval.tool, approval.tool)
    denial = Denial(
        ErrorCode.APPROVAL_VOID,
        f"{tool} was executed with this approval, and the answer of a read is not stored. Propose it again to read again.",
        {"approvalId": approval.approval_id, "status": approval.status.value},
    )
    ref = closed_ref(approval.approval_id)
    return (yield from asked_apart(engine.definition, lambda: error(engine, instance, approval, denial, ref)))


def _has_moved_on(instance: Instance, approval: ApprovalRequest) -> bool:
    """Whether the instance has left the position of an open proposal, or of a granted one that is not executed."""
    is_open = approval.status is ApprovalStatus.REQUESTED or (approval.status.is_granted and approval.is_at_the_door)
    return is_open and moved_on(instance, approval) and instance.running_key != approval.idempotency_key


def _settle(engine: Engine, connection: Connection, approval: ApprovalRequest) -> Overdue | None:
    """Do the due work of an open request, and close it if the instance has moved."""
    unit = engine.store.unit(connection, approval.workflow_id)
    current = approval_rows.load_by_id(connection, approval.approval_id)
    if unit is None or current is None:
        raise unknown_approval(approval.approval_id)
    after = lapse(engine, unit, current)
    if after is current and current.is_due(unit.now):
        return Overdue(current)
    if _has_moved_on(unit.instance, after):
        void(unit, after, f"the workflow moved on from {after.state!r}")
    unit.flush()
    return None


def _key_of(call: Call, contract: ToolContract | None) -> tuple[str, InputError | None]:
    try:
        return call.idempotency_key(contract), None
    except InputError as error:
        return "", error


def _find(engine: Engine, call: Call, key: str, connection: Connection) -> _Found:
    by, workflow_id = call.principal, call.workflow_id
    begun = look_under(connection, workflow_id, key)
    instance = engine.owned(None if begun is None else begun.instance, by, workflow_id)
    assert begun is not None  # noqa: S101 -- `owned` has refused None
    if instance.workflow != engine.definition.name:
        raise unknown_instance(workflow_id, by)
    limit: Limit | None = None
    if call.asks and begun.entry is None and begun.approval is None:
        now = engine.store.now(connection, read=begun.now)
        limit = why_limited(connection, instance, by, engine.definition.limits, now)
    return _Found(instance, begun.entry, begun.approval, limit)


def _with_instance(connection: Connection, approval_id: str) -> tuple[ApprovalRequest | None, Instance | None]:
    approval = approval_rows.load_by_id(connection, approval_id)
    return approval, None if approval is None else instance_rows.load(connection, approval.workflow_id)


def _may_ask(engine: Engine, instance: Instance, tool: str) -> bool:
    edges = engine.definition.by_source.get(instance.state, ())
    return any(edge.tool.name == tool and engine.may_ask(edge) for edge in edges)


def _commands(engine: Engine, instance: Instance, by: Principal, revision: int | None = None) -> Commands:
    # From outside there is no checkpoint that could be stale; only the row counts.
    scope = outside_scope(instance.workflow_id, by)
    return Commands(engine, scope, node=None, head=instance.head_mark, revision=revision)


def _facts(engine: Engine, instance: Instance, tool: str) -> Mapping[str, Any]:
    return {
        "workflow": engine.definition.name,
        "workflow_version": engine.definition.version,
        "workflow_id": instance.workflow_id,
        "thread_id": instance.thread_id,
        "tool": tool,
    }


def _belongs_to_thread(approval: ApprovalRequest) -> ConflictError:
    where = "" if approval.thread_id is None else f" {approval.thread_id}"
    return ConflictError(
        f"{approval.tool} ({approval.approval_id}) was proposed by the model of the thread{where} and is granted: its graph executes it. Nothing was "
        "done here; resume the thread with graph.instances.resume(workflow_id).",
        details={
            "workflowId": approval.workflow_id,
            "proposalId": approval.approval_id,
            "threadId": approval.thread_id,
        },
    )


__all__ = ["ProposalStatus", "carry_out", "looked_up", "propose", "settled", "standing"]
