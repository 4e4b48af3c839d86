"""The approval node: requests a person's decision on one proposal, and passes the proposal on only after SQL shows that decision."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from langgraph.errors import GraphInterrupt
from langgraph.types import Command, Interrupt, Send, interrupt
from sqlalchemy.engine import Connection

from ..checkpointing.store import ApprovalRequest, approval_listing
from ..checkpointing.store import approvals as approval_rows
from ..commands.approvals.chat_question import noted_in_chat
from ..commands.approvals.deadlines import take
from ..commands.approvals.decisions import Declined, decide, record_refused
from ..commands.approvals.payload import forged_content, masked, matches_shown, noted, payload
from ..commands.approvals.requesting import Asked, CallStatus, Overdue, Requests, may_execute
from ..commands.execution.commands import Commands, Outcome
from ..commands.running.checkpoint_lookup import looking_at
from ..commands.running.engine import Engine
from ..commands.running.operations import InStore, Look, Steps, in_store
from ..commands.running.scope import SCRATCHPAD, Scope
from ..rules.definition import Edge
from ..rules.proposals import Proposal
from ..tools.answers import nameless, parse_answer
from ..tools.approvals import Decision
from ..tools.canonical import digest
from ..tools.errors import InputError, InterlockError, InvalidResume
from .base import WorkflowNode
from .execution import answered, handed_over, streamed
from .streaming import approval_event

INTERRUPT = "__interrupt__"
"""LangGraph's channel of pending interrupts."""


class ApprovalNode(WorkflowNode):
    """Requests decisions on the proposals of one edge.

    A proposal that needs no decision, or already has one, passes to the execution node; a rejected proposal is answered.

    Args:
        engine: The engine that all nodes of the graph share.
        edge: The edge whose proposals need a decision.
        destinations: The nodes that may follow.
        execution: The node that executes the proposals, if it is not the edge's own: a read that stays in its state has none.
    """

    def __init__(
        self, engine: Engine, edge: Edge, destinations: Mapping[str, str], *, execution: str | None = None
    ) -> None:
        super().__init__(engine, edge.approval_node, destinations)
        self.edge = edge
        self._execution = execution or edge.node

    def steps(self, value: Any, scope: Scope) -> Steps[Command[str]]:
        """Request the decision, and wait for it."""
        proposal = Proposal.from_json(value["proposal"])
        commands = Commands(self.engine, scope, node=self.edge.node, head=value.get("head"))
        problem: str | None = None
        asked = 0
        while True:
            if self.looks_first and scope.is_resuming and (yield Look(partial(self._may_pass, proposal, scope))):
                stands: Any = None
                break
            looked = partial(self._status_of, commands=commands, proposal=proposal, scope=scope)
            stands = yield from commands.recording(proposal, in_store(looked))
            if isinstance(stands, tuple):
                proposal, stands = stands
            if isinstance(stands, Asked):
                stands = stands.approval
                scope.emit(approval_event(masked(self.engine, stands, payload(self.engine, stands))))
            if isinstance(stands, Overdue):
                yield from take(self.engine, stands.approval)
                continue
            if not isinstance(stands, ApprovalRequest):
                break
            waiting, known = stands, _answers_by_id(scope)
            try:
                self.check_answerable(waiting)
                answer = interrupt(payload(self.engine, waiting, problem))
            except GraphInterrupt:
                yield from self._shown(waiting, problem)
                raise
            asked += 1
            if asked > stands.answers:  # earlier runs of this task have processed the others, each for its own sender
                by_id = known is None or asked <= known
                problem = yield from self._take(answer, waiting, scope, number=asked, by_id=by_id)
        if isinstance(stands, Outcome):
            scope.emit(streamed(self.engine, proposal, stands))
            state = stands.instance.state  # another state, if another edge was taken at the deadline
            return Command(
                update=(yield from answered(self.engine, proposal, stands)),
                goto=state if state in self.destinations else self.edge.source,
            )
        if value.get("alone"):
            return Command(
                update={"progress": [("settle", proposal.key)]},
                goto=[Send(self._execution, handed_over(proposal, value.get("head")))],
            )
        return Command(update={"progress": [("settle", proposal.key)]}, goto=self.edge.source)

    looks_first = True
    """Whether to look for a decision first, with a plain read that locks nothing. A run that requests the decision now skips this."""

    def _may_pass(self, proposal: Proposal, scope: Scope) -> bool:
        """Whether a decision allows the proposal to pass; the execution checks it again, under the instance's lock."""
        approval = approval_rows.look_up(self.engine.store.database, scope.workflow_id, proposal.key)
        return approval is not None and may_execute(approval)

    def check_answerable(self, waiting: ApprovalRequest) -> None:
        """Refuse to wait if the run could never be resumed. A workflow's own graph always has a checkpointer."""

    def recognised(self, proposal: Proposal, approval: ApprovalRequest, scope: Scope) -> Proposal:
        """The proposal for which a request is recorded under its key; unchanged if the recorded request is for another proposal."""
        del approval, scope
        return proposal

    def _shown(self, waiting: ApprovalRequest, problem: str | None) -> Steps[None]:
        after = noted(self.engine, noted_in_chat(_as_asked(waiting)), problem)
        if after.shown != waiting.shown:
            yield InStore(lambda connection: approval_rows.update(connection, waiting, after))

    def _take(
        self, answer: Any, waiting: ApprovalRequest, scope: Scope, *, number: int, by_id: bool
    ) -> Steps[str | None]:
        """Process an answer that came through a parent graph; returns the problem of an unusable answer, for the next interrupt."""
        decision: Decision | None = None
        error: InterlockError | None = None
        try:
            decision = parse_answer(answer, tool=waiting.tool, wire_name=self.edge.tool.wire_name)
        except InputError as problem:
            error = problem

        tampered = yield Look(lambda: not all(self._is_shown(shown, waiting) for shown in _interrupts(scope)))

        def work(connection: Connection) -> InterlockError | None:
            refused = error
            if refused is None and not by_id and approval_listing.count_pending(connection, scope.workflow_id) > 1:
                refused = InvalidResume(
                    "Several approvals wait, and the answer does not say which of them it is about. Nothing was decided; answer each by "
                    "its id: Command(resume={id: answer, ...})."
                )
            if refused is None and tampered:
                refused = forged_content(waiting)
            if refused is None and _changed(waiting):
                approval_rows.update(connection, waiting, _as_asked(waiting))
                refused = InvalidResume(
                    f"{waiting.tool} was edited by somebody else since it was shown, and the answer was about what it was before. Nothing was "
                    "decided; look at it again."
                )
            if refused is None and waiting.rule.named and not by_id and decision is not None and decision.seen is None:
                refused = InvalidResume(nameless(waiting.tool, waiting.approval_id))
            approval_rows.count_answer(connection, waiting.approval_id, number)
            if refused is not None or decision is None:
                refused = refused or InvalidResume("The answer could not be read.")
                record_refused(self.engine, connection, scope.workflow_id, by=scope.principal, error=refused)
                return refused
            taken = decide(self.engine, connection, waiting.approval_id, decision, by=scope.principal, scope=scope)
            return taken.error if isinstance(taken, Declined) else None

        declined = yield InStore(work)
        return None if declined is None else declined.message

    def _is_shown(self, shown: list[Any], waiting: ApprovalRequest) -> bool:
        """Whether the checkpoints show the current request to the person; a checkpoint that shows nothing of the task counts as correct."""
        ours = [matches_shown(self.engine, waiting, one) for one in shown if _is_about(one, waiting)]
        return not shown or (bool(ours) and all(ours))

    def _status_of(
        self, connection: Connection, commands: Commands, proposal: Proposal, scope: Scope
    ) -> tuple[Proposal, CallStatus]:
        """The status of a proposal, and the proposal as the recorded request identifies it."""
        unit, _, approval = commands.unit_for(connection, proposal)
        if approval is not None:
            proposal = self.recognised(proposal, approval, scope)
            if proposal.key != approval.idempotency_key:
                approval = approval_rows.load(connection, scope.workflow_id, proposal.key)
        requests = Requests(commands, thread_id=scope.thread_id, interrupt_id=interrupt_id_of(scope))
        return proposal, requests.status_of(connection, proposal, approval, unit)


def interrupt_id_of(scope: Scope) -> str:
    """The id of the interrupts of the current task."""
    return Interrupt.from_ns(None, ns=scope.task_key).id


def _answers_by_id(scope: Scope) -> int | None:
    """The number of answers for this task that LangGraph assigned by interrupt id; a plain `resume` value adds one more.

    LangGraph accepts a plain value even if several interrupts of a subgraph wait, and gives it to the first one.
    """
    scratchpad = scope.config.get("configurable", {}).get(SCRATCHPAD)
    answers = getattr(scratchpad, "resume", None)
    return len(answers) if isinstance(answers, list) else None


def _changed(approval: ApprovalRequest) -> bool:
    """Whether the request was edited since its interrupt was raised, so that an answer now refers to the old version."""
    return bool(approval.shown.get("asked", digest(approval.arguments)) != digest(approval.effective_arguments))


def _as_asked(approval: ApprovalRequest) -> ApprovalRequest:
    """The request with a note that its current version is shown."""
    if not _changed(approval):
        return approval
    return replace(approval, shown={**approval.shown, "asked": digest(approval.effective_arguments)})


def _interrupts(scope: Scope) -> list[list[Any]]:
    """The interrupts of this task in the checkpoints of the outermost graph and of the workflow's own graph."""
    saver, thread = scope.checkpointer, scope.thread_id
    if saver is None or thread is None:
        return []
    tasks = {segment.rpartition(":")[2] for segment in scope.task_key.split("|")}
    found: list[list[Any]] = []
    for namespace, checkpoint in {"": scope.root_checkpoint, scope.namespace: scope.own_checkpoint}.items():
        saved = None if checkpoint is None else saver.get_tuple(looking_at(thread, namespace, checkpoint))
        writes = [] if saved is None else saved.pending_writes or []
        asked = [
            one for task, channel, value in writes if channel == INTERRUPT and task in tasks for one in _listed(value)
        ]
        found.append([getattr(one, "value", None) for one in asked])
    return found


def _is_about(shown: Any, waiting: ApprovalRequest) -> bool:
    return isinstance(shown, Mapping) and shown.get("approvalId") == waiting.approval_id


def _listed(value: Any) -> list[Any]:
    return [*value] if isinstance(value, (list, tuple)) else [value]


__all__ = ["ApprovalNode", "interrupt_id_of", "payload"]
