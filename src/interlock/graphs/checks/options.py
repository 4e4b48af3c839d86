"""What to write in place of options that the builder's methods do not have."""

from typing import Any, TypeVar

from ...tools.contracts.options import explains_options

F = TypeVar("F")

_MODEL = "A chat model is model=."
_PROMPT = "A system prompt is prompt=."
_GUARD = "A condition of the case is guard=, a function of the view; one of the arguments is check=."
_INSTEAD: dict[str, dict[str, str]] = {
    "__init__": {
        "tools": "Tools belong to states and edges: add_state(name, tools=[...]), add_edge(source, tool, target).",
        "states": "States are added one by one: add_state(name).",
        "llm": _MODEL,
        "system_prompt": _PROMPT,
        "checkpointer": "A checkpointer is passed to compile(checkpointer).",
        "state_schema": "The data of an instance is data=, a pydantic model.",
        "context_schema": "The context of a run is a Principal; the data of an instance is data=.",
    },
    "add_state": {
        "end": "A state in which the workflow ends is final=True.",
        "function": "A function that proposes is decide=.",
        "llm": _MODEL,
        "system_prompt": _PROMPT,
        "approval": "An approval belongs to an edge: add_edge(..., approval=True).",
    },
    "add_edge": {
        "condition": _GUARD,
        "when": _GUARD,
        "role": "Who decides is approval=Approval(role='supervisor').",
        "within": "A deadline belongs to the approval: approval=Approval(within='24h').",
    },
    "add_wait": {
        "event": "What is waited for is for_event=.",
        "timeout": "A deadline is within=, and on_timeout= names the state that follows.",
        "on_event": "The state that follows the event is then=.",
    },
}


def explained(method: F) -> F:
    """Decorate a method of the builder: the error for an unknown option names what was meant."""
    named: Any = method
    return explains_options(**_INSTEAD[named.__name__])(named)  # type: ignore[no-any-return]


__all__ = ["explained"]
