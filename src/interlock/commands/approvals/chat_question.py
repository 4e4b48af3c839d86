"""The question in the chat about a request, and the note that it was asked."""

from dataclasses import replace
from typing import Any

from ...checkpointing.store import ApprovalRequest
from ...rules.definition import Definition
from ...tools.approvals.chat import Chat
from ...tools.sinks import line, quoted_json

SHOWN_IN_CHAT = "inChat"
"""The note on a request whose graph has reached it; before, nobody was asked."""


def chat_of(definition: Definition, approval: ApprovalRequest) -> Chat | None:
    """The chat options of a request, with the workflow's own functions; None if it is not asked in the chat."""
    stored = approval.rule.chat
    if stored is None:
        return None
    for edge in definition.by_source.get(approval.state, ()):
        for stage in () if edge.approval is None else edge.approval.stages:
            if edge.tool.name == approval.tool and stage.chat is not None and stage.chat.to_json() == stored.to_json():
                return stage.chat
    return stored


def question(definition: Definition, approval: ApprovalRequest) -> str:
    """The question in the chat."""
    chat = chat_of(definition, approval)
    said = None
    if chat is not None and chat.says is not None:
        try:
            said = chat.says(_shown(approval))
        except Exception:  # fall back to the default question
            said = None
    if isinstance(said, str) and said.strip():
        return said
    parts = [f"Shall I do this: {line(approval.tool)} with {quoted_json(approval.effective_arguments)}?"]
    if approval.shown.get("preview") is not None:
        parts.append(f"What it would change: {quoted_json(approval.shown['preview'])}")
    return "\n".join([*parts, "Please answer yes or no."])


def noted_in_chat(approval: ApprovalRequest) -> ApprovalRequest:
    """Note on a request that its graph has reached it, if it is asked in the chat."""
    if approval.rule.chat is None or approval.shown.get(SHOWN_IN_CHAT) is True:
        return approval
    return replace(approval, shown={**approval.shown, SHOWN_IN_CHAT: True})


def _shown(approval: ApprovalRequest) -> dict[str, Any]:
    return {
        "tool": approval.tool,
        "arguments": approval.effective_arguments,
        "preview": approval.shown.get("preview"),
        "requestedBy": approval.requester.id,
    }


__all__ = ["SHOWN_IN_CHAT", "chat_of", "noted_in_chat", "question"]
