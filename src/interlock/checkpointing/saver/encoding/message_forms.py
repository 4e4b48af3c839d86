"""Short forms of messages: a string, a pair of role and text, a dictionary."""

from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from .msgpack_tree import BARE, PAIR, ROLE_FIRST, TYPE_FIRST

_LIKE: dict[str, type[BaseMessage]] = {
    "human": HumanMessage, "user": HumanMessage, "ai": AIMessage, "assistant": AIMessage, "system": SystemMessage,
}  # fmt: skip


def as_message(content: Any, role: str) -> tuple[BaseMessage, str] | None:
    """Convert a short form to the message that LangGraph will make of it, and name the form, so that the message is stored only once."""
    if type(content) is str:
        return HumanMessage(content), BARE
    cls = _LIKE.get(role)
    if cls is None:
        return None
    if type(content) is list and type(content[1]) is str:
        return cls(content[1]), PAIR + role
    if (
        type(content) is dict
        and len(content) == 2
        and type(content["content"]) is str
        and next(iter(content)) != "content"
    ):
        return cls(content["content"]), (ROLE_FIRST if "role" in content else TYPE_FIRST) + role
    return None
