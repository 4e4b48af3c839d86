"""Parses answers to an approval, in every shape that today's user interfaces send, into one decision.

An answer contains the decision, never the decider: the application passes the decider with the run.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from .approvals import Decision, DecisionKind
from .canonical import JsonObject
from .errors import InvalidResume

_KINDS = {
    "approve": DecisionKind.APPROVE,
    "accept": DecisionKind.APPROVE,
    "edit": DecisionKind.EDIT,
    "reject": DecisionKind.REJECT,
    "ignore": DecisionKind.REJECT,
    "respond": DecisionKind.RESPOND,
    "response": DecisionKind.RESPOND,
}
_CLAIMS = frozenset(
    {
        "actor", "approvedby", "approver", "by", "decidedby", "identity", "onbehalfof", "principal", "principalid", "role",
        "roles", "tenant", "user", "userid",
    }
)  # fmt: skip

ANSWER_SHAPES = (
    "'approve', 'reject', True, False, {'type': 'approve'}, {'type': 'edit', 'args': {...}}, {'type': 'reject', 'message': '...'}, "
    "{'type': 'respond', 'message': '...'}, or {'decisions': [one of these]}"
)


def parse_answer(value: object, *, tool: str, wire_name: str) -> Decision:
    """Read the answer to an approval.

    Args:
        value: The resume payload of the graph.
        tool: The tool of the request; an answer cannot change the tool.
        wire_name: Its name for the model.

    Raises:
        InvalidResume: The answer has none of the shapes, or names the decider. Nothing was decided.
    """
    _refuse_claims(value, tool)
    if isinstance(value, Mapping) and "decisions" in value:
        value = value["decisions"]
    if isinstance(value, Sequence) and not isinstance(value, str):
        if len(value) != 1:
            raise InvalidResume(
                f"This approval of {tool} takes one decision, and {len(value)} came. Nothing was decided; "
                "answer each pending approval by its own interrupt id."
            )
        value = value[0]
        _refuse_claims(value, tool)
    if isinstance(value, bool):
        return Decision(DecisionKind.APPROVE if value else DecisionKind.REJECT)
    if isinstance(value, str):
        value = {"type": value}
    kind = _KINDS.get(str(value.get("type"))) if isinstance(value, Mapping) else None
    if kind is None or not isinstance(value, Mapping):
        raise InvalidResume(
            f"That is not an answer to the approval of {tool}: {_short(value)}. Nothing was decided; answer with {ANSWER_SHAPES}."
        )
    return _decision(kind, value, tool, wire_name)


def nameless(tool: str, approval_id: str) -> str:
    """Explain why an answer without the request's id is refused, if the rule requires the id."""
    return (
        f"The answer does not say that it is about {tool}: sent twice, it would be taken for an answer to whatever waits next. Nothing "
        f"was decided; answer with Command(resume={{{approval_id!r}: answer}}), or send the call that was shown along with it."
    )


def _refuse_claims(value: object, tool: str) -> None:
    """Refuse an answer that names the decider: if the name were ignored, the sender would believe that it counted."""
    if not isinstance(value, Mapping):
        return
    claims = sorted(str(key) for key in value if str(key).replace("_", "").lower() in _CLAIMS)
    if claims:
        raise InvalidResume(
            f"The answer to the approval of {tool} says who decides ({', '.join(claims)}). Nothing was decided: that comes from the "
            "application, with context=Principal(...) of the run, and never with the answer. Leave it out.",
            details={"claims": claims},
        )


def _decision(kind: DecisionKind, value: Mapping[Any, Any], tool: str, wire_name: str) -> Decision:
    extra = value.get("args")
    message = value.get("message", extra if isinstance(extra, str) else None)
    if message is not None and not isinstance(message, str):
        raise InvalidResume(
            f"The message of the answer about {tool} is not text: {_short(message)}. Nothing was decided."
        )
    seen = _shown_to_sender(value, tool, wire_name)
    if kind is DecisionKind.EDIT:
        return Decision(kind, arguments=_edited(value, tool, wire_name), message=message, seen=seen)
    if kind is DecisionKind.RESPOND and not message:
        raise InvalidResume(
            f"Responding to {tool} needs a message: {{'type': 'respond', 'message': '...'}}. Nothing was decided."
        )
    values = value.get("values")
    if values is not None and (kind is not DecisionKind.APPROVE or not isinstance(values, Mapping)):
        raise InvalidResume(
            f"The values of an answer about {tool} are an object, and come with an approval: {{'type': 'approve', 'values': {{...}}}}. Nothing "
            "was decided."
        )
    return Decision(kind, message=message or None, values=None if values is None else dict(values), seen=seen)


def _shown_to_sender(value: Mapping[Any, Any], tool: str, wire_name: str) -> JsonObject | None:
    # Agent Chat UI sends the call that it showed along with each decision.
    action = value.get("action")
    if not isinstance(action, Mapping):
        return None
    _same_tool(action, tool, wire_name)
    arguments = action.get("args", action.get("arguments"))
    return dict(arguments) if isinstance(arguments, Mapping) else None


def _edited(value: Mapping[Any, Any], tool: str, wire_name: str) -> JsonObject:
    action = value.get("edited_action", value.get("editedAction"))
    wrapped = action is not None
    if action is None:
        action = value.get("args")
        # Agent Inbox wraps the arguments with the name of the action; a tool may have its own parameter `args`.
        wrapped = isinstance(action, Mapping) and isinstance(action.get("action", action.get("name")), str)
    inner = action.get("args", action.get("arguments")) if isinstance(action, Mapping) else None
    if wrapped and isinstance(action, Mapping) and isinstance(inner, Mapping):
        _same_tool(action, tool, wire_name)
        action = inner
    if not isinstance(action, Mapping) or not all(isinstance(key, str) for key in action):
        raise InvalidResume(
            f"An edit of {tool} needs the whole arguments: {{'type': 'edit', 'args': {{...}}}}. Nothing was decided."
        )
    return dict(action)


def _same_tool(action: Mapping[Any, Any], tool: str, wire_name: str) -> None:
    name = action.get("name", action.get("action", tool))
    if name not in {tool, wire_name}:
        raise InvalidResume(
            f"A decision about {tool} is about nothing else; an edit changes its arguments and cannot turn the call into {_short(name)}. "
            "Nothing was decided; reject this one and let the model propose the other."
        )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


__all__ = ["ANSWER_SHAPES", "nameless", "parse_answer"]
