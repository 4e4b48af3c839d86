"""What two client packages make of a conversation, judged by the rules of their providers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_anthropic.chat_models import _format_messages
from langchain_core.messages import BaseMessage
from langchain_openai.chat_models.base import _convert_message_to_dict

from tests.support.anthropic_rules import check_anthropic_messages
from tests.support.provider_rules import check_request


def check_sent(messages: Sequence[BaseMessage]) -> None:
    """See that OpenAI and Anthropic would take a conversation.

    Raises:
        Refused: What the provider would say.
    """
    check_request({"model": "m", "messages": openai_form(messages)})
    check_anthropic_messages(_format_messages(list(messages), model="claude-sonnet-5")[1])


def openai_form(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    """The messages as langchain-openai sends them."""
    return [_convert_message_to_dict(message) for message in messages]
