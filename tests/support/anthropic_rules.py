"""What Anthropic's Messages endpoint demands of a request, as far as workflows can get it wrong.

A pure function of the request's body, beside `provider_rules` for OpenAI's. The rules are those of the public API reference and
of the errors that the service gives.
"""

from __future__ import annotations

import re
from typing import Any

from jsonschema import Draft202012Validator

from tests.support.provider_rules import Refused

TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
TOOL_USE_ID = re.compile(r"[a-zA-Z0-9_-]+")


def check_anthropic_request(body: dict[str, Any]) -> None:
    """Check one request.

    Raises:
        Refused: The first thing that the provider would complain of.
    """
    if not isinstance(body.get("max_tokens"), int):
        raise Refused("max_tokens: Field required", "max_tokens")
    for index, tool in enumerate(body.get("tools", [])):
        _check_tool(tool, f"tools.{index}")
    if "tool_choice" in body and not body.get("tools"):
        raise Refused("tool_choice may only be specified while providing tools.", "tool_choice")
    check_anthropic_messages(body.get("messages"))


def check_anthropic_messages(messages: Any) -> None:
    """Check the messages of a request, after the service has joined those of one role that follow each other."""
    if not messages:
        raise Refused("messages: at least one message is required", "messages")
    joined = _joined(messages)
    if joined[0][0] != "user":
        raise Refused('messages: first message must use the "user" role', "messages.0.role")
    used: set[str] = set()
    waiting: list[str] = []
    for index, (role, blocks) in enumerate(joined):
        where = f"messages.{index}"
        if not blocks:
            raise Refused(f"{where}: all messages must have non-empty content", where)
        if role == "user":
            _check_user(blocks, where, waiting)
            waiting = []
            continue
        waiting = []
        for block in blocks:
            _check_block(block, where)
            if block.get("type") == "tool_use":
                _check_use(block, where, used)
                waiting.append(block["id"])
    if waiting:
        raise Refused(
            f"`tool_use` ids were found without `tool_result` blocks immediately after: {waiting}", "messages"
        )


def _joined(messages: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    joined: list[tuple[str, list[dict[str, Any]]]] = []
    for index, message in enumerate(messages):
        if message.get("role") not in {"user", "assistant"}:
            raise Refused(f"messages.{index}.role: unexpected value {message.get('role')!r}", f"messages.{index}.role")
        if unknown := message.keys() - {"role", "content"}:
            raise Refused(f"messages.{index}: Extra inputs are not permitted: {sorted(unknown)}", f"messages.{index}")
        content = message["content"]
        blocks = ([{"type": "text", "text": content}] if content else []) if isinstance(content, str) else list(content)
        if joined and joined[-1][0] == message["role"]:
            joined[-1][1].extend(blocks)
        else:
            joined.append((message["role"], blocks))
    return joined


def _check_user(blocks: list[dict[str, Any]], where: str, waiting: list[str]) -> None:
    open_ids = list(waiting)
    others = False
    for block in blocks:
        _check_block(block, where)
        if block.get("type") != "tool_result":
            others = True
            continue
        if others:
            raise Refused(f"{where}: tool_result blocks must come first in the content", where)
        if block.get("tool_use_id") not in open_ids:
            raise Refused(
                f"{where}: unexpected `tool_use_id` found in `tool_result` blocks: {block.get('tool_use_id')!r}", where
            )
        open_ids.remove(block["tool_use_id"])
    if open_ids:
        raise Refused(f"{where}: `tool_use` ids were found without `tool_result` blocks: {open_ids}", where)


def _check_block(block: dict[str, Any], where: str) -> None:
    if block.get("type") == "text" and not block["text"].strip():
        raise Refused(f"{where}: text content blocks must contain non-whitespace text", where)


def _check_use(block: dict[str, Any], where: str, used: set[str]) -> None:
    if not isinstance(block.get("id"), str) or not TOOL_USE_ID.fullmatch(block["id"]):
        raise Refused(f"{where}: tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'", where)
    if block["id"] in used:
        raise Refused(f"{where}: `tool_use` ids must be unique", where)
    used.add(block["id"])
    if not isinstance(block.get("name"), str) or not TOOL_NAME.fullmatch(block["name"]):
        raise Refused(f"{where}: tool_use.name: String should match pattern", where)
    if not isinstance(block.get("input"), dict):
        raise Refused(f"{where}: tool_use.input: Input should be a valid dictionary", where)


def _check_tool(tool: dict[str, Any], where: str) -> None:
    if "type" in tool and tool["type"] != "custom":
        return  # a tool of the provider's own
    if not TOOL_NAME.fullmatch(tool.get("name") or ""):
        raise Refused(f"{where}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'", where)
    if tool.get("input_schema", {}).get("type") != "object":
        raise Refused(f"{where}.custom.input_schema.type: Field required", where)
    Draft202012Validator.check_schema(tool["input_schema"])
