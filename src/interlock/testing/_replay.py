"""Going a path of a proof in the compiled workflow, step by step."""

from __future__ import annotations

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
from ..rules.definition import Definition, Edge
from ..tools.approvals import Approval, Escalate
from ..tools.principal import Principal
from ._errors import PathNotTaken
from ._stand_ins import REPLAYED, Answers, Failed, Happened, sets_of, stood_in

_SECOND = 1_000_000
_MOST_STEPS = 100


class Replay:
    """Goes a path of a workflow in its compiled graph, one step of the path at a time.

    `interlock check --scripts FOLDER` writes a script of such steps for each claim that is broken. The instance lives in memory. States,
    edges, approvals, waits, roles and limits per run are the workflow's own. The rest stands in for the application: tools do
    nothing but what their edges say of followed fields (`sets=`), guards and conditions of approvals answer as the path needs, and
    checks and other policies are left out.

    Args:
        workflow: The workflow.
        begins_in: The state in which the instance begins; the workflow's initial state by default.
        data: The values that fields begin with which conditions speak about.
    """

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
        self._forks = 0
        self.stepper = self._on("replay")
        """Shows where the instance stands; in a notebook as a picture."""
        self.stepper.say("begin")
        self._go()

    @property
    def state(self) -> str:
        """Where the instance stands."""
        return self.graph.instances.snapshot(self._config).state

    def call(
        self,
        tool: str,
        to: str,
        *,
        roles: Iterable[str] = (),
        granted: Sequence[Approval] = (),
        sets: Mapping[str, Any] | None = None,
    ) -> Replay:
        """Have a tool called, and have people decide.

        Args:
            tool: Its name.
            to: The state to which the edge leads that the call takes.
            roles: The roles of who calls it.
            granted: The stages of approval that people grant, in their order; none where nobody is asked.
            sets: The values of fields where the edge leaves them to the tool.

        Raises:
            PathNotTaken: The workflow did something else.
        """
        edge = self._edge(tool, to)
        self._propose(edge, roles, granted, sets)
        self._go(granted)
        return self._came_to(to, f"call {tool}")

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
        """Have a call of a tool break off, and a person say that it happened.

        Args:
            tool: Its name.
            to: The state to which the edge leads on which the call is settled.
            began_to: The state to which the edge leads that the call began on; the same one by default.
            roles: As in `call`.
            granted: As in `call`.
            sets: As in `call`.

        Raises:
            PathNotTaken: The workflow did something else.
        """
        began, settled = self._edge(tool, began_to or to), self._edge(tool, to)
        self._propose(began, roles, granted, sets)
        self._answers.breaks_off = True
        self._go(granted)
        self._answers.breaks_off, self._answers.chosen = False, settled
        before = self.graph.instances.get(self._config).data
        after = {**before, **sets_of(settled, self._definition.parse_data(before), sets or {})}
        self.graph.instances.resolve(self._config, "happened", by=Principal("operator"), output=REPLAYED, data=after)
        self._go()
        return self._came_to(to, f"resolve {tool}")

    def event(self, to: str, *, sets: Mapping[str, Any] | None = None) -> Replay:
        """Have the events arrive that end a wait.

        Args:
            to: The state that follows.
            sets: The values of fields that they change.

        Raises:
            PathNotTaken: The workflow did something else.
        """
        return self._deliver(Happened(), to, sets)

    def failure(self, to: str, *, sets: Mapping[str, Any] | None = None) -> Replay:
        """Have an event arrive that says that what is waited for failed; as `event`."""
        return self._deliver(Failed(), to, sets)

    def deadline(self, to: str) -> Replay:
        """Have the deadline of a wait pass.

        Args:
            to: The state that follows.

        Raises:
            PathNotTaken: The workflow did something else.
        """
        rule = self._definition.waits.get(self.state)
        self._pass(0.0 if rule is None else rule.seconds)
        self._go()
        return self._came_to(to, "let the deadline pass")

    def fork(self) -> Replay:
        """Fork the instance; the steps that follow are the fork's."""
        self._forks += 1
        self.graph.instances.fork(self._config, thread_id=f"replay-{self._forks}", principal=Principal("proposer"))
        self.stepper = self._on(f"replay-{self._forks}")
        return self

    def __str__(self) -> str:
        return str(self.stepper)

    # How it is done

    def _on(self, thread: str) -> Stepper:
        self._config: RunnableConfig = {"configurable": {"thread_id": thread}}
        return self.graph.stepper(self._config, context=Principal("proposer"))

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
            f"steps before it, or make the script anew."
        )

    def _propose(
        self, edge: Edge, roles: Iterable[str], granted: Sequence[Approval], sets: Mapping[str, Any] | None
    ) -> None:
        self._answers.chosen, self._answers.proposed = edge, edge.tool
        self._answers.is_asked, self._answers.sets = bool(granted), sets or {}
        self._caller = Principal("proposer", roles=frozenset(roles))
        self.stepper = self.graph.stepper(self._config, context=self._caller)
        self.stepper.say(f"call {edge.tool.name}")

    def _deliver(self, event: Happened | Failed, to: str, sets: Mapping[str, Any] | None) -> Replay:
        self._answers.sets = sets or {}
        workflow_id = self.graph.instances.id_of(self._config)
        Deliveries(self.graph).deliver(event, workflow_id=workflow_id)
        self._go()
        return self._came_to(to, "deliver the event")

    def _go(self, granted: Sequence[Approval] = ()) -> None:
        """Step until the turn is over, or nobody in the path answers what is asked."""
        left = [*granted]
        for _ in range(_MOST_STEPS):
            asked = self.stepper.waits_for
            if not asked:
                if not self.stepper.next:
                    return
                self.stepper.step()
            elif asked[0]["type"] in {"approval", "confirmation"} and left:
                self._decide(asked[0], left.pop(0))
            else:
                return

    def _decide(self, asked: Mapping[str, Any], stage: Approval) -> None:
        """Have a stage granted; where the path has it decided by a role that it is escalated to, its time passes first."""
        approval = str(asked["approvalId"])
        chosen = self._answers.chosen
        rule = None if chosen is None else chosen.approval
        for one in () if rule is None else rule.stages:
            if one.confirmation == stage.confirmation and stage.role != one.role:
                self._escalate(one, stage)
        if stage.confirmation:
            self.stepper.answer({approval: "approve"}, by=self._caller)
            return
        roles = frozenset() if stage.role is None else frozenset({stage.role})
        for number in range(stage.count):
            self.stepper.answer({approval: "approve"}, by=Principal(f"approver-{len(approval)}-{number}", roles=roles))

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

    def _came_to(self, to: str, what: str) -> Replay:
        if self.state == to:
            return self
        raise PathNotTaken(
            f"The path says that to {what} leads to {to!r}, and the instance stands in {self.state!r}. The replay stopped there:\n{self.stepper}"
        )


def definition_of(workflow: Workflow | WorkflowGraph | Definition) -> Definition:
    """The definition of a workflow, without its claims proved."""
    match workflow:
        case Workflow():
            return workflow.checked()
        case WorkflowGraph():
            return workflow.engine.definition
        case _:
            return workflow


__all__ = ["Replay", "definition_of"]
