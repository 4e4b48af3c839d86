"""Replaces an application's own code in a workflow by stand-ins, for replays of paths."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel, TypeAdapter, create_model

from ..rules.assumptions import Assumptions
from ..rules.conditions import Add, Condition, OneOf
from ..rules.definition import Cancelling, Definition, Edge, State, StateKind
from ..rules.limits import LimitPerRun, RequireRole
from ..rules.waits import WaitRule
from ..tools.approvals import Approval, Escalate
from ..tools.approvals.deadlines import Within, seconds_of
from ..tools.canonical import to_json
from ..tools.context import ToolContext
from ..tools.contracts import ToolContract
from ..tools.contracts import command as define_command
from ..tools.contracts import read as define_read
from ..tools.contracts.retry import RetryPolicy
from ..tools.events import Event
from ..tools.kinds import Effect, ToolKind

REPLAYED = "replayed"
"""The output of every tool."""


class Happened(Event, name="replay.happened"):
    """The event that ends a wait."""


class Failed(Event, name="replay.failed"):
    """The event that reports a failure."""


@dataclass
class Answers:
    """The current answers of the stand-ins."""

    proposed: ToolContract[..., Any] | None = None
    """The next proposal."""
    chosen: Edge | None = None
    """The edge that its call takes."""
    is_asked: bool = False
    """Whether its approval requires a decision."""
    breaks_off: bool = False
    """Whether the attempt is interrupted."""
    sets: Mapping[str, Any] = field(default_factory=dict)
    """The values of followed fields that the tool or the event sets."""

    def guard(self, edge: Edge) -> bool:
        """The answer of an edge's guard: False for edges that would be tried before the chosen one."""
        chosen = self.chosen
        is_rival = chosen is not None and (edge.source, edge.tool.name) == (chosen.source, chosen.tool.name)
        return not (chosen is not None and is_rival and edge.order < chosen.order)


def stood_in(definition: Definition, answers: Answers, *, begins_in: str, data: Mapping[str, Any]) -> Definition:
    """The workflow with stand-ins: its states, edges, approvals, waits, roles and limits per run are its own.

    Args:
        definition: The workflow.
        answers: The answers of the stand-ins.
        begins_in: The initial state of the instance.
        data: The initial values of followed fields.
    """
    model = _data_model(definition, data)
    tools = {name: _tool(contract, answers, model) for name, contract in definition.contracts.items()}
    return replace(
        definition,
        initial=begins_in,
        states={name: _state(state, answers, model) for name, state in definition.states.items()},
        edges=tuple(_edge(edge, tools[edge.tool.name], answers) for edge in definition.edges),
        data_model=model,
        cancelling=None if definition.cancelling is None else Cancelling(definition.cancelling.rule),
        policies=tuple(one for one in definition.policies if type(one) in {RequireRole, LimitPerRun}),
        assumptions=Assumptions(),
        claims=(),
    )


def _data_model(definition: Definition, data: Mapping[str, Any]) -> type[BaseModel]:
    """A model of only the followed fields."""
    fields: dict[str, Any] = {}
    for name in sorted(definition.followed):
        assert definition.data_model is not None  # noqa: S101 -- a definition that follows fields has data
        annotation: Any = definition.data_model.model_fields[name].annotation
        values: Any = TypeAdapter(annotation)
        fields[name] = (annotation, values.validate_python(data[name]) if name in data else ...)
    return create_model("Followed", **fields)


def _change(model: type[BaseModel], data: Any, sets: Mapping[str, Any]) -> None:
    for name, value in sets.items():
        annotation: Any = model.model_fields[name].annotation
        setattr(data, name, TypeAdapter(annotation).validate_python(value))


def _tool(contract: ToolContract[..., Any], answers: Answers, model: type[BaseModel]) -> ToolContract[..., Any]:
    def body(ctx: ToolContext[Any]) -> str:
        """The stand-in for the tool's body."""
        if answers.breaks_off:
            raise RuntimeError("the replayed path says that this attempt is interrupted")
        edge = answers.chosen
        _change(model, ctx.data, {} if edge is None else sets_of(edge, ctx.data, answers.sets))
        return REPLAYED

    if contract.kind is ToolKind.READ:
        return define_read(contract.name, version=contract.version, wire_name=contract.wire_name)(body)
    effect = Effect.TRANSACTIONAL if contract.effect is None else contract.effect
    made = define_command(
        contract.name,
        version=contract.version,
        effect=effect,
        wire_name=contract.wire_name,
        retry=RetryPolicy(attempts=1) if effect is Effect.IDEMPOTENT else None,
    )
    return made(body)


def sets_of(edge: Edge, data: Any, decided: Mapping[str, Any]) -> dict[str, Any]:
    """The values of followed fields after a call of an edge.

    Args:
        edge: The edge.
        data: The data before.
        decided: The values that the tool decides.
    """
    found: dict[str, Any] = {}
    for name, change in edge.sets.items():
        match change:
            case Add(amount):
                found[name] = getattr(data, name) + amount
            case OneOf(values):
                found[name] = decided.get(name, to_json(values[0]))
            case value:
                found[name] = to_json(value)
    return found


def _state(state: State, answers: Answers, model: type[BaseModel]) -> State:
    if state.is_final:
        return state
    if state.wait is not None:
        return replace(state, wait=_wait(state.wait, answers, model))

    def decide(view: Any) -> Any:  # noqa: ARG001 -- the proposal does not depend on the state
        tool, answers.proposed = answers.proposed, None
        return None if tool is None else (tool.name, {})

    return State(state.name, StateKind.FUNCTION, decide=decide)


def _wait(rule: WaitRule, answers: Answers, model: type[BaseModel]) -> WaitRule:
    def apply(data: Any, event: Any) -> None:  # noqa: ARG001 -- the path determines the event's changes
        _change(model, data, answers.sets)

    return WaitRule(
        state=rule.state,
        events=(Happened,) if rule.events else (),
        then=rule.then,
        within=_plain_within(rule.within),
        on_timeout=rule.on_timeout,
        apply=None if rule.apply is None else apply,
        failed_by=None if rule.failed_by is None else Failed,
        on_failure=rule.on_failure,
    )


def _edge(edge: Edge, tool: ToolContract[..., Any], answers: Answers) -> Edge:
    guard: Callable[[Any], bool] | None = edge.guard
    if guard is not None and not isinstance(guard, Condition):

        def guard(_view: Any) -> bool:
            return answers.guard(edge)

    approval = None if edge.approval is None else _plain(edge.approval)
    if approval is not None and approval.when is not None:
        approval = replace(approval, when=lambda: answers.is_asked)
    return replace(
        edge,
        tool=tool,
        guard=guard,
        check=None,
        approval=approval,
        after=None,
        once_per=(),
        undo=False,
        is_relied_on=False,
    )


def _plain(rule: Approval) -> Approval:
    """The rule without functions of the view, because a path has roles but no people or moments."""
    expiry = rule.on_expiry
    if isinstance(expiry, Escalate):
        expiry = _plain_escalation(expiry)
    then = None if rule.then is None else _plain(rule.then)
    return replace(rule, by=None, within=_plain_within(rule.within), on_expiry=expiry, then=then)


def _plain_escalation(expiry: Escalate) -> Escalate:
    then = _plain_escalation(expiry.then) if isinstance(expiry.then, Escalate) else expiry.then
    return Escalate(expiry.role or "named by the case", _plain_within(expiry.within), then)


def _plain_within(within: Within) -> Within:
    return "1h" if within is not None and seconds_of(within) is None else within


__all__ = ["REPLAYED", "Answers", "Failed", "Happened", "sets_of", "stood_in"]
