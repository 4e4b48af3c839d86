"""The steps of a run in words: messages, proposals, denials, requests and executions."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage

from ..rules.definition import Definition, StateKind
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
                    yield _short(f"{_canonical(definition, call['name'])}({given}) is proposed")
            case AIMessage():
                yield _short(f"the assistant says: {message.text}")
            case HumanMessage():
                yield _short(f"the user says: {message.text}")
            case ToolMessage():
                yield _short(
                    _answer(_canonical(definition, names.get(message.tool_call_id, message.name or "?")), message)
                )
            case _:
                pass


def next_of(definition: Definition, node: str) -> str:
    """What a node of the graph does next, in words; the name of a node that is not the workflow's own."""
    state = definition.states.get(node)
    if state is not None:
        return line(_OF_STATE[state.kind].format(node))
    for edge in definition.edges:
        if node == edge.approval_node:
            return line(f"ask for a decision on {edge.tool.name}")
        if node == edge.node:
            return line(f"run {edge.tool.name}")
    source, _, rest = node.rpartition("/")
    return line(f"run the reads proposed in {source}" if rest == "reads" else node)


_OF_STATE = {
    StateKind.REASONING: "ask the model in {}",
    StateKind.FUNCTION: "call the function of {}",
    StateKind.NODE: "run the node of {}",
    StateKind.RESTING: "rest in {}",
    StateKind.WAITING: "wait in {}",
    StateKind.FINAL: "end in {}",
}


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
