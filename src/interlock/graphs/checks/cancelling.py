"""Adds the parts that a cancel needs: two states, and the edges of the commands that undo others."""

from dataclasses import replace

from ...rules.cancelling import CANCELLED, CANCELLING, RESERVED, CancelRule
from ...rules.definition import Cancelling, Definition, Edge, State, StateKind
from ...tools.contracts import ToolContract
from ...tools.errors import WorkflowDefinitionError


def with_cancelling(definition: Definition, rule: CancelRule | None) -> Definition:
    """The definition with the states and the undo edges that a cancel needs; unchanged without a cancel rule.

    Raises:
        WorkflowDefinitionError: The rule names a state that does not exist, a state has a reserved name, or two tools share a name.
    """
    if rule is None:
        return definition
    if taken := sorted(RESERVED & definition.states.keys()):
        raise WorkflowDefinitionError(
            f"The workflow {definition.name!r} can be cancelled, and then {', '.join(map(repr, taken))} is a state that Interlock adds. Give yours another "
            "name."
        )
    for name in sorted(rule.states or ()):
        if name not in definition.states or definition.states[name].is_final:
            raise WorkflowDefinitionError(
                f"The workflow {definition.name!r} is to be cancelled in {name!r}, which is no state of it that something may follow."
            )
    tools: dict[str, ToolContract] = {edge.tool.name: edge.tool for edge in definition.edges}
    undos: dict[str, Edge] = {}
    for edge in definition.edges:
        undo = edge.undone_by
        if not undo:
            continue
        tool = undo.command
        if tools.setdefault(tool.name, tool) is not tool:
            raise WorkflowDefinitionError(
                f"The workflow {definition.name!r} uses two different contracts under the name {tool.name!r}, one of them as undo= of {edge.label}. Use one."
            )
        undos[tool.name] = Edge(CANCELLING, tool, CANCELLING, node=f"{CANCELLING}/{tool.name}")
    added = {CANCELLING: State(CANCELLING, StateKind.RESTING), CANCELLED: State(CANCELLED, StateKind.FINAL)}
    return replace(definition, states={**definition.states, **added}, cancelling=Cancelling(rule, undos))


__all__ = ["with_cancelling"]
