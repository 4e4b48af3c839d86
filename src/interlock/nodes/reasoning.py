"""The node of a state: it processes the waiting proposals, and if there are none, asks the proposer for the next ones."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from langchain_core.messages import AnyMessage, HumanMessage, ToolMessage
from langgraph.errors import GraphBubbleUp
from langgraph.graph import END
from langgraph.types import Command, Send
from sqlalchemy.engine import Connection

from ..checkpointing.store import Instance
from ..commands.budgets.spending import Spent, reserve, settle
from ..commands.execution.commands import Commands, Outcome
from ..commands.execution.outcomes import Outcomes
from ..commands.instances.starting import ensure_instance
from ..commands.running.access import refuse_strangers
from ..commands.running.broken_rules import report
from ..commands.running.engine import Engine
from ..commands.running.facts import asked_apart
from ..commands.running.operations import Ask, InStore, Look, Steps
from ..commands.running.scope import Scope
from ..rules.calls import finished, repaired, used_of_the_providers
from ..rules.definition import Edge, State
from ..rules.denials import Denial, left_over, rule_broken, too_many
from ..rules.keepable import keepable
from ..rules.proposals import Progress, Proposal, advance, pending_of, proposals_of, with_arguments
from ..rules.view import GuardView
from ..tools.errors import RuleError, RunError, StaleCheckpoint
from ..tools.ids import mint
from ..tools.principal import Principal, RuntimeActor
from ..tools.schemas.offered.strict import without_nulls
from ..tools.storable import type_name
from .base import WorkflowNode
from .conversation import missing_answers
from .execution import answered_all, handed_over, streamed
from .explaining import tell_offer
from .models import FunctionProposer, ModelProposer, Proposer
from .speaking import checked_words, quietly
from .stopping import stop, why_stopped
from .streamed_arguments import listening

T = TypeVar("T")


def reads_node(state: str) -> str:
    """The name of the node that executes the reads that stay in a state."""
    return f"{state}/reads"


class StateNode(WorkflowNode):
    """One state of the workflow.

    Args:
        engine: The engine that all nodes of the graph share.
        state: The state.
        destinations: The nodes that may follow: its reads, executions and approvals, itself, and the end of the turn.
        proposer: The source of the next proposals; None in a state that rests or is final.
    """

    def __init__(
        self, engine: Engine, state: State, destinations: Mapping[str, str], proposer: Proposer | None
    ) -> None:
        super().__init__(engine, state.name, destinations)
        self.state = state
        self._proposer = proposer

    def steps(self, value: Any, scope: Scope) -> Steps[Command[str]]:
        """Process the waiting proposals, or ask the proposer for more."""
        progress: Progress = value.get("progress") or Progress()
        instance: Instance = yield from self._instance(value, progress, scope)
        requester = proposer_of(instance, progress, scope)
        if instance.state != self.state.name:
            # The instance was moved from outside, or this is an older checkpoint: the graph follows the row, which is the source of truth.
            self.engine.definition.state(instance.state)
            update = yield from self.engine.shown(instance, requester, already=value)
            return Command(update=update, goto=instance.state)
        view = self.engine.view(instance, requester)
        pending = pending_of(progress)
        if pending:
            return (yield from self._work_off(pending, progress, view, scope))
        if self._proposer is None:
            return (yield from self.rest(value, instance, requester, scope))
        if scope.is_named and requester != instance.proposer:
            # A graph around this one can start at any of its nodes, without the check at the start of a turn.
            yield from refuse_strangers(self.engine, instance, requester)
        if (stopped := self._stopped(progress)) is not None:
            return (yield from self._stop(stopped, progress, instance, scope))
        if isinstance(self._proposer, ModelProposer) and self._is_answered(value.get("messages", [])):
            return (yield from self.rest(value, instance, requester, scope))
        return (yield from self._ask(value, progress, instance, view, scope))

    def rest(
        self, value: Mapping[str, Any], instance: Instance, requester: Principal, scope: Scope
    ) -> Steps[Command[str]]:
        """The action of a state without a proposer: end the turn."""
        del scope
        return Command(update=(yield from self.engine.shown(instance, requester, already=value)), goto=END)

    def _is_answered(self, messages: Sequence[AnyMessage]) -> bool:
        """Whether the conversation ends with answers that no model should rephrase (`return_direct`), none of them a refusal."""
        definition = self.engine.definition
        answers = [*itertools.takewhile(lambda message: isinstance(message, ToolMessage), reversed(messages))]
        names = [definition.wire_names.to_canonical(answer.name or "") or "" for answer in answers]
        contracts = [definition.contracts.get(name) for name in names]
        return bool(answers) and all(
            contract is not None and contract.return_direct and getattr(answer, "status", None) == "success"
            for answer, contract in zip(answers, contracts, strict=True)
        )

    # The instance

    def _instance(self, value: Mapping[str, Any], progress: Progress, scope: Scope) -> Steps[Instance]:
        found = yield Look(lambda: self.engine.store.find(scope.workflow_id))
        remembered = progress.get("workflow_id")
        if remembered is not None and remembered != scope.workflow_id:
            raise StaleCheckpoint(
                f"This thread is a copy of another one: its checkpoints belong to the workflow {remembered}, and here it would be "
                f"{scope.workflow_id}. Nothing was done. Start a new thread, or fork the workflow into a new instance.",
                details={"workflowId": scope.workflow_id, "copiedFrom": remembered},
            )
        if found is None:
            if value.get("state") is not None and remembered is not None:
                raise RunError(
                    f"The thread is in {value['state']!r} of the workflow {remembered}, and the workflow store does not know that instance. "
                    "Nothing was done; give compile() the store (or database) that the thread was run with.",
                    code="unknown_instance",
                )
            given = value.get("initial_data")
            found = yield InStore(
                lambda connection: ensure_instance(self.engine, connection, scope, scope.principal, given)
            )
            # If two runs start the instance at once, one of them finds the other's.
            began = self.engine.owned(found, scope.principal, scope.workflow_id)
            if began.started_by != scope.principal:
                yield from refuse_strangers(self.engine, began, scope.principal)
        instance = self.engine.owned(found, scope.principal, scope.workflow_id)
        if instance.workflow != self.engine.definition.name:
            raise RunError(
                f"{scope.workflow_id} is an instance of the workflow {instance.workflow!r}, and this is {self.engine.definition.name!r}. "
                "Nothing was done; use another workflow_id or thread.",
                code="unknown_instance",
            )
        if instance.definition != self.engine.definition.fingerprint:
            commands = Commands(self.engine, scope, node=None, head=None)
            instance = yield InStore(lambda connection: commands.unit(connection).flush())
        if instance.thread_id is None and scope.checkpointer is not None and not scope.namespace:
            # It was started without a thread: from now on, this thread continues after a decision, a wait or a resolution.
            instance = yield InStore(lambda connection: self._on_thread(connection, scope))
        return instance

    def _on_thread(self, connection: Connection, scope: Scope) -> Instance:
        unit = Commands(self.engine, scope, node=None, head=None).unit(connection)
        if unit.instance.thread_id is None:
            unit.set(thread_id=scope.thread_id)
        return unit.flush()

    # The waiting proposals

    def _work_off(
        self, pending: list[Proposal], progress: Progress, view: GuardView, scope: Scope
    ) -> Steps[Command[str]]:
        head = progress.get("head")
        if self.state.is_final:
            return (yield from self._answer_left_over(pending, scope))
        goto = yield from self._outside_loop(lambda: self._route(pending, progress, view))
        if goto:
            return Command(
                goto=[
                    Send(node, handed_over(proposal, head, alone=alone or len(pending) == 1))
                    for node, proposal, alone in goto
                ]
            )
        # The first ones have no edge in this state, or were never offered, so no node can execute them.
        lost = yield from self._outside_loop(lambda: self._lost(pending, view))
        commands = Commands(self.engine, scope, node=None, head=head)
        outcomes: list[Outcome] = yield InStore(lambda connection: self._refused(connection, commands, lost))
        if not outcomes:  # the row moved since it was checked, and an edge exists now
            return Command(goto=self.state.name)
        return (yield from self._answered(lost[: len(outcomes)], outcomes, scope, goto=self.state.name))

    def _lost(self, pending: list[Proposal], view: GuardView) -> list[Proposal]:
        edge_of = self._edge_finder(view)
        return list(itertools.takewhile(lambda proposal: edge_of(proposal) is None, pending))

    def _outside_loop(self, work: Callable[[], T]) -> Steps[T]:
        return asked_apart(self.engine.definition, work)

    def _refused(self, connection: Connection, commands: Commands, proposals: Sequence[Proposal]) -> list[Outcome]:
        """Deny proposals, up to the first one for which an edge exists."""
        outcomes = []
        unit = commands.unit(connection)
        for proposal in proposals:
            verdict = commands.judge_now(unit, proposal)
            if not isinstance(verdict, Denial):
                break
            outcomes.append(commands.outcomes.deny(unit, proposal, verdict))
        return outcomes

    def _answered(
        self, proposals: Sequence[Proposal], outcomes: Sequence[Outcome], scope: Scope, *, goto: str
    ) -> Steps[Command[str]]:
        for proposal, outcome in zip(proposals, outcomes, strict=True):
            scope.emit(streamed(self.engine, proposal, outcome))
        return Command(update=(yield from answered_all(self.engine, proposals, outcomes)), goto=goto)

    def _route(
        self, pending: list[Proposal], progress: Progress, view: GuardView, edges: Sequence[Edge] | None = None
    ) -> list[tuple[str, Proposal, bool]]:
        """The target node of each proposal: first all that need a decision, then the leading reads, then one that moves the workflow.

        Args:
            pending: The waiting proposals.
            progress: The progress of the graph.
            view: The state of the instance.
            edges: The edges that the principal of the view may call now, if known.
        """
        settled = progress.get("settled", [])
        edge_of = self._edge_finder(view, edges)
        asking = [
            (edge.approval_node, proposal, False)
            for proposal in pending
            if (edge := edge_of(proposal)) is not None and self._may_ask(edge) and proposal.key not in settled
        ]
        if asking:
            return asking
        reads: list[tuple[str, Proposal, bool]] = []
        for proposal in pending:
            edge = edge_of(proposal)
            if edge is None or edge.moves:
                break
            reads.append((reads_node(self.state.name), proposal, False))
        if reads:
            return reads
        first = pending[0]
        edge = edge_of(first)
        if edge is None:
            return []
        # The approval node precedes the execution node, and passes decided proposals on.
        return [(edge.approval_node, first, True)] if self._may_ask(edge) else [(edge.node, first, True)]

    def _edge_finder(self, view: GuardView, edges: Sequence[Edge] | None = None) -> Callable[[Proposal], Edge | None]:
        """Return a function that finds the current edge for a proposal."""
        known: list[tuple[Principal, dict[str, Edge]]] = []
        if edges is not None:
            known.append((view.principal, {edge.tool.name: edge for edge in edges}))

        def edges_for(requester: Principal) -> dict[str, Edge]:
            # By the proposer, as the gate judges it: the turn may belong to another principal by now, who is offered other tools.
            for one, theirs in known:
                if one == requester:
                    return theirs
            offered = self.engine.edges(replace(view, principal=requester))
            known.append((requester, {edge.tool.name: edge for edge in offered}))
            return known[-1][1]

        def edge_of(proposal: Proposal) -> Edge | None:
            if not proposal.offered or proposal.problem is not None:
                return None
            return edges_for(proposal.requester).get(proposal.tool)

        return edge_of

    def _may_ask(self, edge: Edge) -> bool:
        return edge.approval_node in self.destinations

    def _answer_left_over(self, pending: list[Proposal], scope: Scope) -> Steps[Command[str]]:
        commands = Commands(self.engine, scope, node=None, head=None)

        def work(connection: Connection) -> list[Outcome]:
            unit = commands.unit(connection)
            return [
                commands.outcomes.deny(unit, proposal, left_over(proposal, state=self.state.name))
                for proposal in pending
            ]

        outcomes = yield InStore(work)
        return (yield from self._answered(pending, outcomes, scope, goto=END))

    # The next proposals

    def _ask(
        self, value: Mapping[str, Any], progress: Progress, instance: Instance, view: GuardView, scope: Scope
    ) -> Steps[Command[str]]:
        proposer = self._proposer
        assert proposer is not None  # noqa: S101 -- the caller has looked
        broken: dict[str, RuleError] = {}
        edges = yield from self._outside_loop(lambda: self.engine.edges(view, broken))
        if broken:
            commands = Commands(self.engine, scope, node=None, head=None)
            yield InStore(
                lambda connection: commands.outcomes.withheld(commands.unit(connection), view.principal, broken)
            )
        is_free = isinstance(proposer, FunctionProposer)
        reserved = yield from reserve(self.engine, instance, view.principal, value.get("messages", []), is_free=is_free)
        if isinstance(reserved, Spent):
            return (yield from self._stop(reserved, progress, instance, scope))
        runnable, asked = yield from self._outside_loop(lambda: self._offered(proposer, value, view, edges))
        try:
            with listening() as heard:
                said = yield Ask(runnable, asked, quietly(self.state, scope.config))
            before, message = proposer.answered(said, value)
        except Exception as error:
            if (rule_error := _broken(proposer, error)) is None:
                raise
            undecided = rule_broken(rule_error, f"What comes next in {self.state.name!r}")
            report(rule_error, view)
            return (yield from self._undecided(undecided, view, scope))
        yield from settle(self.engine, reserved, [*before, message])
        before = [*missing_answers(value.get("messages", [])), *before]
        channels = self.engine.channels(instance, view.principal, already=value, edges=edges)
        # Consumers of the stream mode `updates` see next to each proposal which tools were offered, and in which state.
        channels |= {"state": instance.state, "next_allowed_tools": [edge.tool.name for edge in edges]}
        # The key is new each time, so that a model call repeated after a crash never reuses the keys of the first one.
        message_key = mint("msg")
        if message is not None:
            message = keepable(
                finished(message, heard.of(message)), longest=self.engine.definition.limits.argument_characters
            )
            message = repaired(message, message_key, [*value.get("messages", []), *before])
            if used := used_of_the_providers(message):
                outcomes = Commands(self.engine, scope, node=None, head=None).outcomes
                yield InStore(partial(self._ungated, outcomes=outcomes, by=view.principal, used=used, scope=scope))
        before, message = yield from checked_words(self.engine, self.state, view, scope, before, message=message)
        if message is None or not (message.tool_calls or message.invalid_tool_calls):
            spoken = [*before, *([] if message is None else [message])]
            return Command(update={**channels, "messages": spoken}, goto=END)
        proposals = proposals_of(
            message,
            message_key=message_key,
            names=self.engine.definition.wire_names,
            offered=[edge.tool.name for edge in edges],
            requester=view.principal,
            state=self.state.name,
            revision=instance.revision,
        )
        if self.state.is_strict:
            proposals = [self._relaxed(proposal) for proposal in proposals]
        limit = self.engine.definition.limits.proposals
        proposals, beyond = proposals[:limit], proposals[limit:]
        # Arguments that the model omitted are filled in now, so that a later approval shows exactly what was proposed.
        proposals = [self.engine.completed(proposal) for proposal in proposals]
        turned_away = yield from self._answer_excess(beyond, limit + len(beyond), scope)
        told = {
            "workflow_id": instance.workflow_id,
            "proposals": [self.engine.sealed(instance, proposal).to_json() for proposal in proposals],
            **({"denied": len(beyond)} if beyond else {}),
        }
        op = ("propose", told)
        update = {
            **channels,
            **turned_away,
            "messages": [*before, message, *turned_away.get("messages", ())],
            "progress": [op],
        }
        after = advance(progress, [op])
        goto = yield from self._outside_loop(lambda: self._route(pending_of(after), after, view, edges))
        if not goto:
            return Command(update=update, goto=self.state.name)
        alone = len(proposals) == 1
        return Command(
            update=update,
            goto=[
                Send(node, handed_over(proposal, progress.get("head"), alone=one or alone))
                for node, proposal, one in goto
            ],
        )

    def _offered(self, proposer: Proposer, value: Any, view: GuardView, edges: Sequence[Edge]) -> Any:
        tell_offer(self.engine, view)
        return proposer.asked(value, view, edges)

    def _undecided(self, denial: Denial, view: GuardView, scope: Scope) -> Steps[Command[str]]:
        """End the turn after a rule that proposes failed: nothing was proposed, and the failure is recorded."""
        commands = Commands(self.engine, scope, node=None, head=None)
        outcome: Outcome = yield InStore(
            lambda connection: commands.outcomes.undecided(commands.unit(connection), view.principal, denial)
        )
        channels = yield from self.engine.shown(outcome.instance, view.principal)
        return Command(update={**channels, "last_result": outcome.result}, goto=END)

    def _ungated(
        self, connection: Connection, *, outcomes: Outcomes, by: Principal, used: list[dict[str, Any]], scope: Scope
    ) -> None:
        unit = self.engine.store.unit(connection, scope.workflow_id)
        if unit is not None:
            outcomes.ungated(unit, by, used)

    def _relaxed(self, proposal: Proposal) -> Proposal:
        """The proposal without the nulls that a strict schema makes a model send."""
        contract = self.engine.definition.contracts.get(proposal.tool)
        if contract is None:
            return proposal
        return with_arguments(proposal, without_nulls(proposal.arguments, contract.offered_schema()))

    def _answer_excess(self, beyond: Sequence[Proposal], calls: int, scope: Scope) -> Steps[dict[str, Any]]:
        """Answer the calls beyond the limit of one message, all in one step."""
        if not beyond:
            return {}
        denial = too_many(calls - len(beyond), calls)
        commands = Commands(self.engine, scope, node=None, head=None)
        outcomes = yield InStore(
            lambda connection: commands.outcomes.deny_all(commands.unit(connection), beyond, denial)
        )
        for proposal, outcome in zip(beyond, outcomes, strict=True):
            scope.emit(streamed(self.engine, proposal, outcome))
        answers = [self.engine.answer(*pair) for pair in zip(beyond, (done.result for done in outcomes), strict=True)]
        return {"messages": answers, "last_result": outcomes[-1].result}

    # Limits

    def _stopped(self, progress: Progress) -> str | None:
        limits = self.engine.definition.limits
        return why_stopped(limits, denials=progress.get("denials", 0), calls=progress.get("calls", 0))

    def _stop(self, why: str | Spent, progress: Progress, instance: Instance, scope: Scope) -> Steps[Command[str]]:
        done = {"denials": progress.get("denials", 0), "calls": progress.get("calls", 0)}
        text = yield from stop(self.engine, instance, scope, why, **done)
        told: list[AnyMessage] = [HumanMessage(text)] if text else []
        return Command(update={"messages": told, "progress": [("reset", None)]}, goto=self.state.name)


def _broken(proposer: Proposer, error: Exception) -> RuleError | None:
    """The rule error for an exception of a rule; None if the exception has to propagate unchanged."""
    # An async tool in a sync run is a mistake in how the run was started, not in the rule.
    if proposer.rule is None or isinstance(error, GraphBubbleUp) or getattr(error, "code", None) == "async_tool":
        return None
    if isinstance(error, RuleError):
        return error
    broken = RuleError(f"{proposer.rule} raised {type_name(error)}", rule=proposer.rule)
    broken.__cause__ = error
    return broken


def proposer_of(instance: Instance, progress: Progress, scope: Scope) -> Principal:
    """The principal who proposes now: the one whose turn it is by the row, if the graph has the same; otherwise the one who runs this.

    On a resume the two differ, and the principal who decides never becomes the proposer. The graph's copy is plain data and proves nothing,
    so another principal's turn continues only if the row says that it is still their turn.
    """
    proposer = instance.proposer
    if isinstance(scope.principal, RuntimeActor):
        return proposer  # Interlock itself resumes the run, and proposes nothing
    return proposer if progress.get("requester") == proposer.to_json() else scope.principal


__all__ = ["StateNode", "reads_node"]
