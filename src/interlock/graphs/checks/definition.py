"""The checks of a definition at compilation; each error names the place that is wrong."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pydantic import BaseModel
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUserError

from ...rules.budgets.budget import Budget, Prices
from ...rules.cancelling import CancelRule
from ...rules.definition import Definition, Edge, Limits, State, StateKind
from ...rules.policies import Mode, Policy
from ...tools.contracts import ToolContract
from ...tools.errors import ContractError, RegistryError, WorkflowDefinitionError
from ...tools.model_answers import Answers
from ...tools.ownership import RunBy
from ...tools.schemas.offered.strict import strict_schema
from ...tools.schemas.signature import first_line
from .approvals import check_approvals
from .budgets import check_budgets
from .cancelling import with_cancelling
from .rules import check_rules
from .states import check_nodes, unknown_state
from .waits import check_waits

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_\-]{0,63}")


def check_name(what: str, name: object) -> None:
    """Refuse a name that cannot be the name of a node or would be unreadable in the record."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise WorkflowDefinitionError(
            f"{name!r} cannot be the name of a {what}: a letter, then at most 63 letters, digits, underscores or hyphens."
        )


def check_definition(
    *,
    name: str,
    version: int,
    states: Mapping[str, State],
    edges: Sequence[tuple[Edge, int | None]],
    data_model: type[BaseModel] | None,
    policies: tuple[Policy, ...],
    mode: Mode,
    limits: Limits,
    answers: Answers = Answers.ENVELOPE,
    marks_untrusted: bool = False,
    state_mapping: Mapping[str, str] | None = None,
    run_by: RunBy = RunBy.SERVED,
    notify: bool = False,
    cancel: CancelRule | None = None,
    budgets: tuple[Budget, ...] = (),
    prices: Prices | None = None,
) -> Definition:
    """Check what the builder collected, and return it as a definition.

    Args:
        edges: Each edge with its explicit order, or None.

    Raises:
        WorkflowDefinitionError: The message names the place, and says how to fix it.
    """
    if not states:
        raise WorkflowDefinitionError(f"The workflow {name!r} has no states; add one with add_state().")
    _kept_as_json(name, data_model)
    plain = [edge for edge, _ in edges]
    check_nodes(states)
    _known_states(name, states, plain)
    check_waits(name, states, data_model)
    _ordered(edges)
    definition = Definition(
        name=name,
        version=version,
        states=dict(states),
        edges=_named(plain),
        initial=next(iter(states)),
        data_model=data_model,
        policies=policies,
        mode=mode,
        limits=limits,
        answers=answers,
        marks_untrusted=marks_untrusted,
        state_mapping=dict(state_mapping or {}),
        run_by=run_by,
        notify=notify,
        budgets=budgets,
        prices=dict(prices or {}),
    )
    check_budgets(definition)
    _mapped(definition)
    _reachable(definition)
    _way_out(definition)
    check_rules(definition)
    _strict(definition)
    check_approvals(definition)
    _one_version(definition)
    definition = with_cancelling(definition, cancel)
    try:
        definition.wire_names  # noqa: B018 -- making the bijection checks it
    except RegistryError as error:
        raise WorkflowDefinitionError(f"In the workflow {name!r}, {error.message}") from error
    _node_names(definition)
    return definition


def _kept_as_json(name: str, data_model: type[BaseModel] | None) -> None:
    if data_model is None:
        return
    try:
        data_model.model_json_schema(mode="serialization")
    except (PydanticInvalidForJsonSchema, PydanticUserError) as error:
        raise WorkflowDefinitionError(
            f"The data of the workflow {name!r}, {data_model.__name__}, cannot be kept as JSON ({first_line(error)}). Give its fields types that pydantic "
            "can write as JSON; connections and other objects belong to the application."
        ) from error


def _mapped(definition: Definition) -> None:
    for old, new in definition.state_mapping.items():
        if new not in definition.states:
            raise unknown_state(f"The state mapping leads from {old!r} to", definition.name, new, definition.states)


def _known_states(name: str, states: Mapping[str, State], edges: Sequence[Edge]) -> None:
    for edge in edges:
        for state in (edge.source, edge.target):
            if state not in states:
                raise unknown_state(f"The edge {edge.label} names", name, state, states)
        if states[edge.source].is_final:
            raise WorkflowDefinitionError(
                f"The edge {edge.label} leads out of {edge.source!r}, which is final; nothing may follow it."
            )


def _ordered(edges: Sequence[tuple[Edge, int | None]]) -> None:
    seen: dict[tuple[str, str], list[tuple[Edge, int | None]]] = {}
    for edge, order in edges:
        if order is not None and not isinstance(order, int):
            raise WorkflowDefinitionError(
                f"The edge {edge.label} has order={order!r}; give a whole number, such as order=1."
            )
        seen.setdefault((edge.source, edge.tool.name), []).append((edge, order))
    for (source, tool), rivals in seen.items():
        if len(rivals) < 2:
            continue
        orders = [order for _, order in rivals]
        _not_twice(source, tool, [edge for edge, _ in rivals])
        if None in orders or len(set(orders)) < len(orders):
            targets = ", ".join(edge.target for edge, _ in rivals)
            stays = (
                f" A tool in tools= stays in its state: remove it from the tools of {source!r} if it should only lead to another state."
                if any(edge.target == source for edge, _ in rivals)
                else ""
            )
            raise WorkflowDefinitionError(
                f"{tool} has {len(rivals)} edges out of the state {source!r} (to {targets}) without an explicit order between them. Give each its own "
                f"order=, and a guard to all but the last; the first whose guard holds is taken.{stays}"
            )
        if not all(edge.moves for edge, _ in rivals):
            raise WorkflowDefinitionError(
                f"{tool} both stays in the state {source!r} (tools=) and leads out of it (add_edge). Keep one of the two, or make both edges with an order."
            )


def _not_twice(source: str, tool: str, edges: Sequence[Edge]) -> None:
    plain = [edge.target for edge in edges if edge.guard is None]
    for target in plain:
        if plain.count(target) > 1:
            raise WorkflowDefinitionError(
                f"{tool} leads from {source!r} to {target!r} {plain.count(target)} times, each time without a guard. Keep one of these edges."
            )


def _named(edges: Sequence[Edge]) -> tuple[Edge, ...]:
    doubled = {
        (edge.source, edge.tool.name)
        for number, edge in enumerate(edges)
        if any((edge.source, edge.tool.name) == (other.source, other.tool.name) for other in edges[:number])
    }
    named: list[Edge] = []
    for edge in edges:
        node = f"{edge.source}/{edge.tool.name}"
        if (edge.source, edge.tool.name) in doubled:
            node += f"/{edge.order}"
        named.append(replace(edge, node=node))
    return tuple(named)


def _reachable(definition: Definition) -> None:
    found = definition.reachable(definition.initial) | {definition.initial}
    lost = [state for state in definition.states if state not in found]
    if lost and definition.states[definition.initial].is_final:
        raise WorkflowDefinitionError(
            f"The workflow {definition.name!r} would start in {definition.initial!r}, the first state that was added, which is final. Add the state that "
            "it starts in first."
        )
    if lost:
        raise WorkflowDefinitionError(
            f"No edge of the workflow {definition.name!r} leads to {', '.join(map(repr, lost))} from its initial state {definition.initial!r} (the first that "
            "was added). Add an edge to it, or remove it."
        )


def _way_out(definition: Definition) -> None:
    for state in definition.states.values():
        leaves = any(target != state.name for target in definition.successors(state.name))
        if state.is_final or leaves:
            continue
        # A workflow may run without an end, as long as something can happen in the state at all.
        if any(edge.moves for edge in definition.by_source[state.name]):
            continue
        raise WorkflowDefinitionError(
            f"The state {state.name!r} of the workflow {definition.name!r} has no way out and is not final. Add an edge out of it, or declare it with "
            f"add_state({state.name!r}, final=True)."
        )


def _one_version(definition: Definition) -> None:
    contracts: dict[str, ToolContract] = {}
    for edge in definition.edges:
        known = contracts.setdefault(edge.tool.name, edge.tool)
        if known is not edge.tool:
            raise WorkflowDefinitionError(
                f"The workflow {definition.name!r} uses two different contracts under the name {edge.tool.name!r} (versions {known.version} and "
                f"{edge.tool.version}). "
                "A workflow version uses one of each; put the other one into a new version of the workflow."
            )


def _node_names(definition: Definition) -> None:
    for state in definition.states.values():
        if state.kind is StateKind.FINAL:
            continue
        names = [edge.node for edge in definition.by_source[state.name] if edge.moves]
        if len(set(names)) < len(names):
            raise WorkflowDefinitionError(f"Two edges out of {state.name!r} would share one node: {sorted(names)}.")


def _strict(definition: Definition) -> None:
    """Refuse tools without a strict schema in states that require one."""
    for state in definition.states.values():
        for edge in definition.by_source[state.name] if state.is_strict else ():
            try:
                strict_schema(edge.tool.name, edge.tool.offered_schema())
            except ContractError as error:
                raise WorkflowDefinitionError(f"The state {state.name!r} asks for strict schemas: {error}") from error
