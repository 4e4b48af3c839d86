"""Names and metadata of runs: pure functions of a node's input and result."""

from collections.abc import Iterable, Mapping
from typing import Any

NODE_KIND = "interlock"
"""The metadata key for the kind of node: `state`, `reads`, `execution`, `approval` or `wait`."""
WORKFLOW = "workflow"
OUTPUTS = "interlock_outputs"
"""Key of a run's `extra` that holds its outputs until the tracer moves them."""

_APPROVAL = "/approval"


def beginning(metadata: Mapping[str, Any], value: Any) -> str | None:
    """The initial name of a node's run."""
    kind, node, workflow = metadata.get(NODE_KIND), str(metadata.get("langgraph_node", "")), metadata.get(WORKFLOW)
    state, _, tool = node.removesuffix(_APPROVAL).partition("/")
    match kind:
        case "state" | "wait":
            return f"{workflow}: {state}" if workflow else state
        case "approval":
            return f"approval: {tool}"
        case "execution" | "reads":
            return str(_proposal(value).get("tool") or tool)
        case _:
            return None


def node_inputs(value: Any) -> dict[str, Any]:
    """The displayed inputs of a node's run: only the essential ones, and not the whole conversation at every step.

    The model's own run shows the conversation once per request.
    """
    if not isinstance(value, Mapping):
        return {"input": value}
    proposal = _proposal(value)
    if proposal:
        return {
            "tool": proposal.get("tool"),
            "arguments": proposal.get("arguments"),
            "proposedIn": proposal.get("state"),
        }
    return {
        "state": value.get("state"),
        "revision": value.get("revision"),
        "data": value.get("data"),
        "messages": len(value.get("messages") or ()),
    }


def resumed(workflow: str, decisions: Iterable[str]) -> str:
    """The name of a run that resumes with an answer, by the decision."""
    said = {"approve": "approved", "edit": "edited", "reject": "rejected", "respond": "answered"}
    told = list(dict.fromkeys(said.get(decision, decision) for decision in decisions))
    return f"{workflow}: resume ({', '.join(told)})" if told else f"{workflow}: resume"


def outcome(proposal: Mapping[str, Any], result: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """The name and metadata for an answered proposal; the name is None unless it was denied."""
    tool = proposal.get("tool")
    told: dict[str, Any] = {
        "tool": tool,
        "idempotency_key": proposal.get("key"),
        "audit_ref": result.get("auditRef"),
        "replayed": bool(result.get("replayed")),
        "state_before": result.get("previousState") or proposal.get("state"),
        "state_after": result.get("currentState"),
        "next_allowed_tools": _joined(result.get("nextAllowedTools")),
    }
    error = result.get("error")
    if not isinstance(error, Mapping):
        return None, told
    told |= {"denial_code": error.get("code"), "denial_reason": error.get("message")}
    return f"denied: {tool}", told


def place(channels: Mapping[str, Any]) -> dict[str, Any]:
    """The state of the workflow in a node's channel updates."""
    told = {
        "state_after": channels.get("state"),
        "revision": channels.get("revision"),
        "next_allowed_tools": _joined(channels.get("next_allowed_tools")),
    }
    return {name: value for name, value in told.items() if value is not None}


def _proposal(value: Any) -> Mapping[str, Any]:
    found = value.get("proposal") if isinstance(value, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _joined(names: Any) -> str | None:
    # LangSmith can filter only on texts and numbers.
    return None if names is None else ", ".join(map(str, names))
