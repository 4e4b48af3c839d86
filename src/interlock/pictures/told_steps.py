"""The steps of a run in words: messages, proposals, denials, requests and executions."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage

from ..rules.definition import Definition
from ..tools.approvals import Approval
from ..tools.results import CommandResult, ErrorResult, ReadResult, parse_result
from ..tools.sinks import line

_LETTERS = 72


def steps_of(definition: Definition, messages: Sequence[AnyMessage], known: int) -> Iterator[str]:
    """Describe the messages after the first `known` ones, a line for each call and each answer."""
    names = {call["id"]: call["name"] for one in messages if isinstance(one, AIMessage) for call in one.tool_calls}
    for message in messages[known:]:
        match message:
            case AIMessage(tool_calls=calls) if calls:
                for call in calls:
                    given = ", ".join(
                        f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in call["args"].items()
                    )
                    yield _short(f"proposes {_canonical(definition, call['name'])}({given})")
            case AIMessage():
                yield _short(f"says: {message.text}")
            case HumanMessage():
                yield _short(f"the user says: {message.text}")
            case ToolMessage():
                yield _short(
                    _answer(_canonical(definition, names.get(message.tool_call_id, message.name or "?")), message)
                )
            case _:
                pass


def waits_of(value: Any) -> str:
    """The decision or event that an interrupt waits for, and who has to supply it."""
    if not isinstance(value, Mapping):
        return line(str(value))
    if value.get("type") == "wait":
        return line(f"an event or a deadline in {value.get('state')}")
    about = str(value.get("tool") or value.get("type"))
    rule = value.get("rule")
    return line(
        f"an answer about {about}" + (f" from {Approval.from_json(rule).who}" if isinstance(rule, Mapping) else "")
    )


def _answer(tool: str, message: ToolMessage) -> str:
    result = parse_result(message.text)
    match result:
        case ErrorResult(error=error):
            word = "is refused" if error.code.value == "refused" else "is denied"
            return f"{tool} {word}: {error.code.value}"
        case CommandResult(previous_state=before, current_state=after):
            return f"{tool} is carried out: {before} → {after}"
        case ReadResult(output=output):
            return f"{tool} answers {json.dumps(output, ensure_ascii=False)}"
        case _:
            return f"{tool} answers {message.text}"


def _canonical(definition: Definition, wire: str) -> str:
    return definition.wire_names.to_canonical(wire) or wire


def _short(text: str) -> str:
    shown = line(" ".join(text.split()))
    return shown if len(shown) <= _LETTERS else shown[: _LETTERS - 1] + "…"
