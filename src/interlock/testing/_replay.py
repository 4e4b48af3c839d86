"""Replays a path of a proof in the compiled workflow, step by step."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from sqlalchemy.engine import Connection

from ..checkpointing import clock
from ..checkpointing.store import WorkflowStore
from ..graphs import Workflow, WorkflowGraph
from ..graphs.compiler import compile_graph
from ..operations.deliveries import Deliveries
from ..operations.stepping import Stepper
from ..pictures.picture import Picture
from ..rules.cancelling import RESERVED
from ..rules.definition import Definition, Edge
from ..tools.approvals import Approval, Escalate
from ..tools.approvals.deadlines import seconds_of
from ..tools.errors import OutcomeUnknown
from ..tools.principal import Principal
from ..tools.results import Pending
from ._errors import PathNotTaken
from ._stand_ins import REPLAYED, Answers, Failed, Happened, sets_of, stood_in

_SECOND = 1_000_000
_MOST_STEPS = 100


class Replay:
    """Replays a path of a workflow in its compiled graph, one step at a time.

    `interlock check --scripts FOLDER` writes a script of such steps for each claim that is broken. The instance lives in memory. States,
    edges, approvals, waits, roles and limits per run are the workflow's own. Everything else is simulated: tools only make the changes that
    their edges declare (`sets=`), guards and conditions of approvals return what the path needs, and checks and other policies are left
    out.

    Args:
        workflow: The workflow.
        begins_in: The initial state of the instance; by default that of the workflow.
        data: The initial values of the fields that conditions use.
    """

    stepper: Stepper
    """Shows the state of the instance; in a notebook as a picture."""
    _config: RunnableConfig

    def __init__(
        self,
        workflow: Workflow | WorkflowGraph | Definition,
        *,
        begins_in: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        self._answers = Answers()
        self._later = 0
        definition = definition_of(workflow)
        self._definition = stood_in(
            definition, self._answers, begins_in=begins_in or definition.initial, data=data or {}
        )
        store = WorkflowStore.in_memory(clock=self._now)
        self.graph = compile_graph(self._definition, None, store, {"destructive_in_memory": True})
        """The compiled workflow with the stand-ins."""
        self._caller = Principal("proposer")
        self._steps = 0
        self._begin()

    @property
    def state(self) -> str:
        """The state of the instance."""
        return self.graph.instances.snapshot(self._which).state

    @property
    def picture(self) -> Picture:
        """The workflow as a picture, with the current state of the instance highlighted."""
        return self.graph.instances.picture(self._which)

    def call(
        self,
        tool: str,
        to: str,
        *,
        roles: Iterable[str] = (),
        granted: Sequence[Approval] = (),
        sets: Mapping[str, Any] | None = None,
    ) -> Replay:
        """Call a tool, and take the decisions of people.

        Args:
            tool: Its name.
            to: The state to which the edge leads that the call takes.
            roles: The roles of who calls it.
            granted: The stages of approval that people grant, in their order; none where nobody is asked.
            sets: The values of fields where the edge leaves them to the tool.

        Raises:
            PathNotTaken: The workflow took another path.
        """
        edge = self._edge(tool, to)
        self._propose(edge, roles, granted, sets)
        self._go(granted)
        return self._check_state(to, f"call {tool}")

    def resolve(
        self,
        tool: str,
        to: str,
        *,
        began_to: str | None = None,
        roles: Iterable[str] = (),
        granted: Sequence[Approval] = (),
        sets: Mapping[str, Any] | None = None,
    ) -> Replay:
        """Interrupt a call of a tool, and resolve it as happened.

        Args:
            tool: Its name.
            to: The state to which the edge leads on which the call is settled.
            began_to: The state to which the edge leads that the call began on; the same one by default.
            roles: As in `call`.
            granted: As in `call`.
            sets: As in `call`.

        Raises:
            PathNotTaken: The workflow took another path.
        """
        began, settled = self._edge(tool, began_to or to), self._edge(tool, to)
        self._propose(began, roles, granted, sets)
        self._answers.breaks_off = True
        self._go(granted)
        self._answers.breaks_off, self._answers.chosen = False, settled
        before = self.graph.instances.get(self._which).data
        after = {**before, **sets_of(settled, self._definition.parse_data(before), sets or {})}
        self.graph.instances.resolve(self._which, "happened", by=Principal("operator"), output=REPLAYED, data=after)
        self._go()
        return self._check_state(to, f"resolve {tool}")

    def event(self, to: str, *, sets: Mapping[str, Any] | None = None) -> Replay:
        """Deliver the events that end a wait.

        Args:
            to: The state that follows.
            sets: The values of fields that they change.

        Raises:
            PathNotTaken: The workflow took another path.
        """
        return self._deliver(Happened(), to, sets)

    def failure(self, to: str, *, sets: Mapping[str, Any] | None = None) -> Replay:
        """Deliver an event that reports the failure of what is waited for. Arguments and errors are those of `event`."""
        return self._deliver(Failed(), to, sets)

    def deadline(self, to: str) -> Replay:
        """Let the deadline of a wait pass.

        Args:
            to: The state that follows.

        Raises:
            PathNotTaken: The workflow took another path.
        """
        rule = self._definition.waits.get(self.state)
        self._pass(0.0 if rule is None else rule.seconds)
        self._go()
        return self._check_state(to, "let the deadline pass")

    def cancel(self, to: str) -> Replay:
        """Cancel the instance. A replay undoes nothing, so the state is `cancelled` at once.

        Args:
            to: `cancelling` or `cancelled`.

        Raises:
            PathNotTaken: The workflow took another path.
        """
        cancelling = self._definition.cancelling
        if cancelling is not None and self.state not in RESERVED:
            rule = cancelling.rule
            if rule.after is not None:
                self._pass(seconds_of(rule.after))
            else:
                by = Principal("proposer", roles=rule.roles)
                self.graph.instances.cancel(self._which, "A path of a proof is replayed.", by=by)
        return self if to in RESERVED and self.state in RESERVED else self._check_state(to, "cancel")

    def fork(self) -> Replay:
        """Fork the instance; the steps that follow are the fork's."""
        config: RunnableConfig = {"configurable": {"thread_id": f"replay-{self._steps}"}}
        self.graph.instances.fork(
            self._config, thread_id=config["configurable"]["thread_id"], principal=Principal("proposer")
        )
        self._config, self._steps = config, self._steps + 1
        self.stepper = self.graph.stepper(config, context=self._caller)
        return self

    def __str__(self) -> str:
        return str(self.stepper)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        del include, exclude
        return {"image/svg+xml": self.picture.svg, "text/plain": str(self)}

    # Implementation: first the methods that `DoorReplay` overrides

    def _begin(self) -> None:
        self._config = {"configurable": {"thread_id": "replay"}}
        self.stepper = self.graph.stepper(self._config, context=self._caller)
        self.stepper.say("begin")
        self._go()

    @property
    def _which(self) -> str | RunnableConfig:
        return self._config

    def _start_call(self, edge: Edge) -> None:
        """Propose the call."""
        self._answers.proposed = edge.tool
        self.stepper = self.graph.stepper(self._config, context=self._caller)
        self.stepper.say(f"call {edge.tool.name}")

    def _go(self, granted: Sequence[Approval] = ()) -> None:
        """Continue until the turn is over, or the path has no answer to a request."""
        left = [*granted]
        for _ in range(_MOST_STEPS):
            asked = self.stepper.waits_for
            if not asked:
                if not self.stepper.next:
                    return
                self.stepper.step()
            elif asked[0]["type"] in {"approval", "confirmation"} and left:
                self._decide(str(asked[0]["approvalId"]), left.pop(0), len(granted) - len(left) - 1)
            else:
                return

    def _approve(self, approval_id: str, by: Principal) -> None:
        self.stepper.answer({approval_id: "approve"}, by=by)

    # Shared with `DoorReplay`

    def _now(self, connection: Connection) -> int:
        return clock.read(connection) + self._later

    def _pass(self, seconds: float | None) -> None:
        self._later += int(((seconds or 0.0) + 1) * _SECOND)
        self.graph.instances.tick()

    def _edge(self, tool: str, to: str) -> Edge:
        here = self.state
        for edge in self._definition.by_source[here]:
            if (edge.tool.name, edge.target) == (tool, to):
                return edge
        raise PathNotTaken(
            f"The path calls {tool} from {here!r} to {to!r}, and the workflow has no such edge. The replay stopped there; look at the "
            f"steps before it, or make the script again."
        )

    def _propose(
        self, edge: Edge, roles: Iterable[str], granted: Sequence[Approval], sets: Mapping[str, Any] | None
    ) -> None:
        self._answers.chosen = edge
        self._answers.is_asked, self._answers.sets = bool(granted), sets or {}
        self._caller = Principal("proposer", roles=frozenset(roles))
        self._steps += 1
        self._start_call(edge)

    def _deliver(self, event: Happened | Failed, to: str, sets: Mapping[str, Any] | None) -> Replay:
        self._answers.sets = sets or {}
        workflow_id = self.graph.instances.id_of(self._which)
        Deliveries(self.graph).deliver(event, workflow_id=workflow_id)
        self._go()
        return self._check_state(to, "deliver the event")

    def _decide(self, approval_id: str, stage: Approval, number: int) -> None:
        """Grant a stage; if the path decides it after an escalation, let its deadline pass first."""
        chosen = self._answers.chosen
        if chosen is not None and chosen.approval is not None:
            self._escalate(chosen.approval.stages[number], stage)
        if stage.confirmation:
            self._approve(approval_id, self._caller)
            return
        roles = frozenset() if stage.role is None else frozenset({stage.role})
        for person in range(stage.count):
            self._approve(approval_id, Principal(f"approver-{number}-{person}", roles=roles))

    def _escalate(self, rule: Approval, to: Approval) -> None:
        expiry = rule
        waited: list[float | None] = []
        while isinstance(expiry.on_expiry, Escalate):
            waited.append(expiry.seconds)
            expiry = expiry.escalated(expiry.on_expiry)
            if expiry.role == to.role:
                for seconds in waited:
                    self._pass(seconds)
                return

    def _check_state(self, to: str, what: str) -> Replay:
        if self.state == to:
            return self
        raise PathNotTaken(
            f"The path says that to {what} leads to {to!r}, and the instance is in {self.state!r}. The replay stopped there:\n{self}"
        )


class DoorReplay(Replay):
    """A `Replay` that proposes each call from outside the graph (`instances.propose`), without a thread and a conversation.

    A fork needs a thread, so a path with a fork cannot be replayed here.
    """

    _called: Edge | None
    """The edge whose call is to be proposed."""

    def fork(self) -> Replay:
        """Not possible: an instance without a thread has no checkpoint to fork from.

        Raises:
            PathNotTaken: Always.
        """
        raise PathNotTaken(
            "The path forks the instance, and an instance that was started without a thread has no checkpoint to fork from. Nothing was done; "
            "replay the path with Replay."
        )

    def __str__(self) -> str:
        return str(self.picture)

    def _begin(self) -> None:
        self._workflow_id, self._called = "replay", None
        self.graph.instances.start(principal=self._caller, workflow_id=self._workflow_id)

    @property
    def _which(self) -> str | RunnableConfig:
        return self._workflow_id

    def _start_call(self, edge: Edge) -> None:
        self._called = edge

    def _go(self, granted: Sequence[Approval] = ()) -> None:
        called, self._called = self._called, None
        if called is None:
            return  # there is no graph to resume
        key = f"call-{self._steps}"
        with contextlib.suppress(*([OutcomeUnknown] if self._answers.breaks_off else [])):
            stood = self.graph.instances.propose(self._which, called.tool.name, {}, principal=self._caller, key=key)
            if isinstance(stood, Pending):
                for number, stage in enumerate(granted):
                    self._decide(stood.pending.proposal_id, stage, number)
                self.graph.instances.proposal(stood.pending.proposal_id)

    def _approve(self, approval_id: str, by: Principal) -> None:
        self.graph.instances.decide(approval_id, "approve", by=by)


def definition_of(workflow: Workflow | WorkflowGraph | Definition) -> Definition:
    """The definition of a workflow, without its claims proved."""
    match workflow:
        case Workflow():
            return workflow.checked()
        case WorkflowGraph():
            return workflow.engine.definition
        case _:
            return workflow


__all__ = ["DoorReplay", "Replay", "definition_of"]
