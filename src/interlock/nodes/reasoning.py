"""The node of a state: it works off the proposals that wait, and when none does, asks the proposer here for the next ones."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar, cast

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
from ..commands.running.broken_rules import tell
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
    """The name of the node that carries out the reads that stay in a state."""
    return f"{state}/reads"


class StateNode(WorkflowNode):
    """One state of the workflow.

    Args:
        engine: Shared by all nodes of the graph.
        state: The state.
        destinations: Where it may go: its reads, executions and approvals, itself, and the end of the turn.
        proposer: Asked for the next proposals; None in a state that rests or is final.
    """

    def __init__(
        self, engine: Engine, state: State, destinations: Mapping[str, str], proposer: Proposer | None
    ) -> None:
        super().__init__(engine, state.name, destinations)
        self.state = state
        self._proposer = proposer

    def steps(self, value: Any, scope: Scope) -> Steps[Command[str]]:
        """Work off what waits, or ask for more."""
        progress: Progress = cast("Progress", value.get("progress") or {})
        instance: Instance = yield from self._instance(value, progress, scope)
        requester = proposer_of(instance, progress, scope)
        if instance.state != self.state.name:
            # Moved from outside, or this is an older checkpoint: the row is the truth, and the graph follows it.
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
            # A graph around this one can be run at any of its nodes, past where a turn is let in.
            yield from refuse_strangers(self.engine, instance, requester)
        if (stopped := self._stopped(progress)) is not None:
            return (yield from self._stop(stopped, progress, instance, scope))
        if isinstance(self._proposer, ModelProposer) and self._is_answered(value.get("messages", [])):
            return (yield from self.rest(value, instance, requester, scope))
        return (yield from self._ask(value, progress, instance, view, scope))

    def rest(
        self, value: Mapping[str, Any], instance: Instance, requester: Principal, scope: Scope
    ) -> Steps[Command[str]]:
        """What a state does where nobody proposes: the turn ends."""
        del scope
        return Command(update=(yield from self.engine.shown(instance, requester, already=value)), goto=END)

    def _is_answered(self, messages: Sequence[AnyMessage]) -> bool:
        """Whether the last thing said are answers that no model is to put into words (`return_direct`), and none is a refusal."""
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
            # Of two that begin at once, one finds the other's.
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
            # It was started without a thread: from now on this is the one that continues after a decision, a wait or a resolution.
            instance = yield InStore(lambda connection: self._on_thread(connection, scope))
        return instance

    def _on_thread(self, connection: Connection, scope: Scope) -> Instance:
        unit = Commands(self.engine, scope, node=None, head=None).unit(connection)
        if unit.instance.thread_id is None:
            unit.set(thread_id=scope.thread_id)
        return unit.flush()

    # What waits

    def _work_off(
        self, pending: list[Proposal], progress: Progress, view: GuardView, scope: Scope
    ) -> Steps[Command[str]]:
        head = progress.get("head")
        if self.state.is_final:
            return (yield from self._answer_left_over(pending, scope))
        goto = yield from self._apart(lambda: self._route(pending, progress, view))
        if goto:
            return Command(
                goto=[
                    Send(node, handed_over(proposal, head, alone=alone or len(pending) == 1))
                    for node, proposal, alone in goto
                ]
            )
        # The first ones have no edge here, or were never offered: there is no node that could carry them out.
        lost = yield from self._apart(lambda: self._lost(pending, view))
        commands = Commands(self.engine, scope, node=None, head=head)
        outcomes: list[Outcome] = yield InStore(lambda connection: self._refused(connection, commands, lost))
        if not outcomes:  # the row moved since it was checked, and there is a way for it now
            return Command(goto=self.state.name)
        return (yield from self._answered(lost[: len(outcomes)], outcomes, scope, goto=self.state.name))

    def _lost(self, pending: list[Proposal], view: GuardView) -> list[Proposal]:
        edge_of = self._edge_finder(view)
        return list(itertools.takewhile(lambda proposal: edge_of(proposal) is None, pending))

    def _apart(self, work: Callable[[], T]) -> Steps[T]:
        return asked_apart(self.engine.definition, work)

    def _refused(self, connection: Connection, commands: Commands, proposals: Sequence[Proposal]) -> list[Outcome]:
        """Deny proposals up to the first one that there is a way for."""
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
        """Where to send what: all that must be asked about first, then the reads that stand first, then one that moves.

        Args:
            pending: The proposals that wait.
            progress: Of the graph.
            view: The state of the instance.
            edges: Those that may be called now by whom the view is of, where they are known.
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
        # The approval node is on the only way to the execution, and lets what was decided pass.
        return [(edge.approval_node, first, True)] if self._may_ask(edge) else [(edge.node, first, True)]

    def _edge_finder(self, view: GuardView, edges: Sequence[Edge] | None = None) -> Callable[[Proposal], Edge | None]:
        """Finds the edge that there is now for a proposal."""
        known: list[tuple[Principal, dict[str, Edge]]] = []
        if edges is not None:
            known.append((view.principal, {edge.tool.name: edge for edge in edges}))

        def edges_for(requester: Principal) -> dict[str, Edge]:
            # By who proposed, as the gate judges it: it may be somebody else's turn by now, who is offered other tools.
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

    # What comes next

    def _ask(
        self, value: Mapping[str, Any], progress: Progress, instance: Instance, view: GuardView, scope: Scope
    ) -> Steps[Command[str]]:
        proposer = self._proposer
        assert proposer is not None  # noqa: S101 -- the caller has looked
        broken: dict[str, RuleError] = {}
        edges = yield from self._apart(lambda: self.engine.edges(view, broken))
        if broken:
            commands = Commands(self.engine, scope, node=None, head=None)
            yield InStore(
                lambda connection: commands.outcomes.withheld(commands.unit(connection), view.principal, broken)
            )
        is_free = isinstance(proposer, FunctionProposer)
        reserved = yield from reserve(self.engine, instance, view.principal, value.get("messages", []), is_free=is_free)
        if isinstance(reserved, Spent):
            return (yield from self._stop(reserved, progress, instance, scope))
        runnable, asked = yield from self._apart(lambda: self._offered(proposer, value, view, edges))
        try:
            with listening() as heard:
                said = yield Ask(runnable, asked, quietly(self.state, scope.config))
            before, message = proposer.answered(said, value)
        except Exception as error:
            if (rule_error := _broken(proposer, error)) is None:
                raise
            undecided = rule_broken(rule_error, f"What comes next in {self.state.name!r}")
            tell(rule_error, view)
            return (yield from self._undecided(undecided, view, scope))
        yield from settle(self.engine, reserved, [*before, message])
        before = [*missing_answers(value.get("messages", [])), *before]
        channels = self.engine.channels(instance, view.principal, already=value, edges=edges)
        # Anyone who streams the updates sees beside each proposal what was offered, and where.
        channels |= {"state": instance.state, "next_allowed_tools": [edge.tool.name for edge in edges]}
        # New each time: when a model is asked again after a crash, what it says then never is under the keys of before.
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
        # What the model left out is fixed now, so that what is asked about later is what was proposed.
        proposals = [self.engine.completed(proposal) for proposal in proposals]
        turned_away = yield from self._turn_away(beyond, limit + len(beyond), scope)
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
        goto = yield from self._apart(lambda: self._route(pending_of(after), after, view, edges))
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
        """End the turn where what decides broke: nothing was proposed, and that is written down."""
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
        """The proposal without the nulls that a strict schema asks a model for."""
        contract = self.engine.definition.contracts.get(proposal.tool)
        if contract is None:
            return proposal
        return with_arguments(proposal, without_nulls(proposal.arguments, contract.offered_schema()))

    def _turn_away(self, beyond: Sequence[Proposal], calls: int, scope: Scope) -> Steps[dict[str, Any]]:
        """Answer the calls that are more than the workflow takes in one message, all in one step."""
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

    # Bounds

    def _stopped(self, progress: Progress) -> str | None:
        limits = self.engine.definition.limits
        return why_stopped(limits, denials=progress.get("denials", 0), calls=progress.get("calls", 0))

    def _stop(self, why: str | Spent, progress: Progress, instance: Instance, scope: Scope) -> Steps[Command[str]]:
        done = {"denials": progress.get("denials", 0), "calls": progress.get("calls", 0)}
        text = yield from stop(self.engine, instance, scope, why, **done)
        told: list[AnyMessage] = [HumanMessage(text)] if text else []
        return Command(update={"messages": told, "progress": [("reset", None)]}, goto=self.state.name)


def _broken(proposer: Proposer, error: Exception) -> RuleError | None:
    """The error as that of a rule, where a rule raised it; None where it is to continue as it is."""
    # An async tool in a sync run is a mistake in how the run was started, not in the rule.
    if proposer.rule is None or isinstance(error, GraphBubbleUp) or getattr(error, "code", None) == "async_tool":
        return None
    if isinstance(error, RuleError):
        return error
    broken = RuleError(f"{proposer.rule} raised {type_name(error)}", rule=proposer.rule)
    broken.__cause__ = error
    return broken


def proposer_of(instance: Instance, progress: Progress, scope: Scope) -> Principal:
    """Who proposes now: the person whose turn it is by the row if the graph remembers the same, else whoever runs this.

    On a resume they differ, and the person who decides never becomes the one who asks. The graph's memory is plain data and proves nothing,
    so another person's turn continues only if the row says that it is still theirs.
    """
    proposer = instance.proposer
    if isinstance(scope.principal, RuntimeActor):
        return proposer  # the library resumes it, and proposes nothing
    return proposer if progress.get("requester") == proposer.to_json() else scope.principal


__all__ = ["StateNode", "reads_node"]
