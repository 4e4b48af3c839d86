"""The errors for the name of a state that a workflow does not have."""

import difflib
from collections.abc import Iterable, Mapping

from langchain_core.runnables import Runnable
from langgraph.graph import END, START
from langgraph.prebuilt import ToolNode

from ...rules.definition import State
from ...tools.errors import WorkflowDefinitionError


def unknown_state(place: str, workflow: str, state: object, states: Iterable[str]) -> WorkflowDefinitionError:
    """Return the error for the name of a missing state, with a suggestion.

    Args:
        place: The place that names the state, such as an edge.
        workflow: The name of the workflow.
        state: The name.
        states: The states of the workflow.
    """
    if state == END:
        advice = "LangGraph's END is not a state here. Add a final state: add_state('closed', final=True)."
    elif state == START:
        advice = "LangGraph's START is not a state here. A workflow starts in the state that is added first, and no edge leads there."
    else:
        near = difflib.get_close_matches(str(state), [*states], n=1)
        meant = f"Did you mean {near[0]!r}? Otherwise add it" if near else "Add it"
        advice = f"The workflow has {', '.join(states)}. {meant} with add_state({state!r})."
    return WorkflowDefinitionError(
        f"{place} the state {state!r}, which the workflow {workflow!r} does not have. {advice}"
    )


def check_nodes(states: Mapping[str, State]) -> None:
    """Refuse what cannot propose: a `decide` or a node that is no function, and a node that would run tools itself.

    Raises:
        WorkflowDefinitionError: There is one.
    """
    for name, state in states.items():
        for what, given in (("decide", state.decide), ("node", state.node)):
            if given is not None and not (callable(given) or isinstance(given, Runnable)):
                raise WorkflowDefinitionError(
                    f"The state {name!r} has {what}={given!r}, which cannot be called. Give a function"
                    + (" of the view that returns (tool, arguments)." if what == "decide" else ", or a compiled graph.")
                )
        if isinstance(state.node, ToolNode):
            raise WorkflowDefinitionError(
                f"The state {name!r} has a ToolNode as its node. A ToolNode runs tools itself, without gate, approval and record. Leave it out: "
                "the workflow runs the tools that the model of a state proposes. Give them with tools=[...] and add_edge()."
            )


def check_ends(source: object, target: object) -> None:
    """Refuse an edge whose ends are not two names.

    Raises:
        WorkflowDefinitionError: One of the two is a list, a tool or something else.
    """
    for what, state in (("source", source), ("target", target)):
        if not isinstance(state, str):
            raise WorkflowDefinitionError(
                f"An edge has the {what} {state!r}; give the name of one state. An edge is add_edge(source, tool, target): for several "
                f"{what}s, add one edge for each."
            )


__all__ = ["check_ends", "check_nodes", "unknown_state"]
