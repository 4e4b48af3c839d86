"""The conversation as a model is shown it: every call directly followed by its answer."""

from collections.abc import Sequence

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, SystemMessage, ToolMessage

ERASED = "interlock_erased"
"""Set in the `additional_kwargs` of the placeholder that stands for an erased message."""


def for_model(messages: Sequence[AnyMessage], prompt: str | None) -> list[BaseMessage]:
    """Put a conversation into the order that model providers insist on.

    A message of the user may have come between a call and its answer while an approval was open; answers move back to their
    call. Answers without a call, and calls that nothing answers (after an erasure), are left out.
    """
    answers = {message.tool_call_id: message for message in messages if isinstance(message, ToolMessage)}
    ordered: list[BaseMessage] = [SystemMessage(prompt)] if prompt else []
    for message in messages:
        if isinstance(message, ToolMessage) or message.additional_kwargs.get(ERASED):
            continue
        ordered.append(message)
        if isinstance(message, AIMessage):
            called = [call["id"] for call in (*message.tool_calls, *message.invalid_tool_calls)]
            if any(call not in answers for call in called):
                ordered.pop()
                continue
            ordered += [answers[call] for call in called if call is not None]
    return ordered
