"""Checks approvals at compilation: conditions and expiries that cannot work, and destructive tools without an approval."""

from ...rules.definition import Definition, Edge, StateKind
from ...tools.approvals import Approval, Escalate, TakeEdge
from ...tools.errors import ContractError, WorkflowDefinitionError
from ...tools.sinks import logger_of

logger = logger_of("interlock")


def check_approvals(definition: Definition) -> None:
    """Refuse approval rules that cannot work.

    Raises:
        WorkflowDefinitionError: A condition uses a parameter that the tool does not have, or an expiry takes an edge that does not exist.
    """
    for edge in definition.edges:
        _check_stated(edge)
        _check_chat(edge)
        if edge.approval is None:
            continue
        if edge.approval.when is not None:
            try:
                edge.tool.check_predicate(edge.approval.when, "condition")
            except ContractError as error:
                raise WorkflowDefinitionError(f"The approval of the edge {edge.label}: {error.message}.") from error
        _check_edit(edge)
        for rule in edge.approval.stages:
            for tool in taken_by(rule):
                _check_taken(definition, edge, tool)


def check_no_chat(definition: Definition) -> None:
    """Refuse confirmations in the chat for a middleware, where the conversation belongs to an agent.

    Raises:
        WorkflowDefinitionError: An edge has one; an agent's state does not show which message is the run's own input.
    """
    for edge in definition.edges:
        if any(stage.chat is not None for stage in (() if edge.approval is None else edge.approval.stages)):
            raise WorkflowDefinitionError(
                f"{edge.label} is confirmed in the chat, and as a middleware the workflow does not see which message is the run's own input. "
                "Compile the workflow as a graph, or take Confirmation() without chat=."
            )


def taken_by(rule: Approval) -> list[str]:
    """The tools of the edges that a rule takes when nobody decides in time."""
    expiry = rule.on_expiry
    while isinstance(expiry, Escalate):
        expiry = expiry.then
    return [expiry.tool] if isinstance(expiry, TakeEdge) else []


def edges_taken(definition: Definition, edge: Edge) -> list[Edge]:
    """The edges that are taken instead of this one when nobody decides in time."""
    names = {tool for rule in (() if edge.approval is None else edge.approval.stages) for tool in taken_by(rule)}
    return [other for other in definition.by_source[edge.source] if other.tool.name in names and other.moves]


def check_kept(definition: Definition, *, is_durable: bool, in_memory: bool, destructive_in_memory: bool) -> None:
    """Warn about a workflow in memory unless memory is intended, and refuse destructive tools there unless they are explicitly allowed.

    A destructive tool is allowed where a person approves or confirms each call, or with `compile(destructive_in_memory=True)`.

    Raises:
        WorkflowDefinitionError: A tool that is annotated as destructive would run without approval or record; or `in_memory=True` is
            combined with a database.
    """
    if is_durable and in_memory:
        raise WorkflowDefinitionError(
            f"The workflow {definition.name!r} is compiled with in_memory=True and with a database. Leave out one of the two."
        )
    if is_durable:
        return
    unasked = [
        edge.label
        for edge in definition.edges
        if edge.tool.is_marked_destructive and (edge.approval is None or edge.approval.when is not None)
    ]
    if unasked and not destructive_in_memory:
        raise WorkflowDefinitionError(
            f"The workflow {definition.name!r} is kept in memory, and would run what is marked as destructive without asking anybody: "
            f"{', '.join(unasked)}. What happened would be forgotten with the process. Give it a database "
            "(compile(SQLCheckpointer(url))), give these edges an approval, or say that it is meant: "
            "compile(destructive_in_memory=True)."
        )
    if in_memory or destructive_in_memory:
        return
    logger.warning(
        "The workflow %r is kept in this process's memory: its rules apply, but its instances, approvals and "
        "audit trail are lost when the process ends. Give it a database with "
        "compile(SQLCheckpointer(url)), or confirm that memory is intended: compile(in_memory=True).",
        definition.name,
    )


def check_proposers(definition: Definition) -> None:
    """Log a warning if no state has a proposer: then every call has to come from outside, which may be intended."""
    states = [state for state in definition.states.values() if not state.is_final]
    if all(state.kind is StateKind.RESTING for state in states):
        logger.warning(
            "No state of the workflow %r has anybody who proposes: a message moves nothing, and tools run by graph.instances.execute() alone. "
            "Give it a model (Workflow(..., model=...), add_state(..., model=...)), a function (decide=) or a node (node=).",
            definition.name,
        )


def _check_edit(edge: Edge) -> None:
    """Refuse an approval that allows edits of a parameter that the tool does not have."""
    known = edge.tool.input_schema().get("properties", {})
    for stage in () if edge.approval is None else edge.approval.stages:
        unknown = [] if isinstance(stage.edit, bool) else sorted({*stage.edit} - {*known})
        if unknown and edge.tool.input_model is not None:
            raise WorkflowDefinitionError(
                f"The approval of {edge.label} lets {', '.join(unknown)} be edited, which {edge.tool.name} does not take. Name its parameters as on the "
                f"wire; they are {', '.join(known) or 'none'}."
            )


def _check_stated(edge: Edge) -> None:
    """Refuse an edge whose parameters for the decider nobody would provide."""
    required = [field.name for field in edge.tool.decision_fields if field.is_required]
    if required and (edge.approval is None or edge.approval.when is not None):
        asked = "is not asked about each time" if edge.approval is not None else "asks nobody"
        raise WorkflowDefinitionError(
            f"{edge.label} takes {', '.join(required)} from the person who decides, and {asked}. Give it an approval or a confirmation without "
            "when=, or give the parameter a default."
        )


def _check_chat(edge: Edge) -> None:
    """Refuse a confirmation in the chat for a tool with parameters that a plain yes cannot provide."""
    required = [field.name for field in edge.tool.decision_fields if field.is_required]
    if required and edge.approval is not None and edge.approval.chat is not None:
        raise WorkflowDefinitionError(
            f"{edge.label} takes {', '.join(required)} from the person who decides, and a yes in the chat does not state it. Take Confirmation() "
            "without chat=, or give the parameter a default."
        )


def _check_taken(definition: Definition, edge: Edge, tool: str) -> None:
    others = [other for other in definition.by_source[edge.source] if other.tool.name == tool]
    if not others or all(other is edge for other in others):
        there = ", ".join(sorted({other.tool.name for other in definition.by_source[edge.source]} - {edge.tool.name}))
        raise WorkflowDefinitionError(
            f"When nobody decides on {edge.label} in time, {tool} is to be called, and no other edge out of {edge.source!r} carries it "
            f"(there are {there or 'none'}). Add one with add_edge({edge.source!r}, ...), or change on_expiry."
        )
    for other in others:
        if not other.moves:
            raise WorkflowDefinitionError(
                f"When nobody decides on {edge.label} in time, {tool} is to be called, which only reads and leads nowhere. Take an edge "
                "to another state."
            )
        if other.approval is not None and other.approval.when is None:
            raise WorkflowDefinitionError(
                f"When nobody decides on {edge.label} in time, {other.label} is to be taken, which itself requires an approval. Take an edge "
                "that needs none, or escalate."
            )


__all__ = ["check_approvals", "check_kept", "check_no_chat", "check_proposers", "edges_taken"]
