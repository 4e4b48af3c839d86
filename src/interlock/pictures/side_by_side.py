"""The conversation and the workflow's state side by side, which shows that they are stored separately."""

import json
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, ToolMessage

from ..tools.canonical import JsonObject
from ..tools.sinks import svg as escape
from ..tools.sinks import terminal
from .svg import FONT, C
from .themes import themed

_LINE, _PANE, _GAP = 16.0, 404.0, 16.0
_LETTERS = 58


@dataclass(frozen=True)
class SideBySide:
    """A conversation and the state of its workflow."""

    messages: tuple[AnyMessage, ...]
    standing: JsonObject
    """The instance's snapshot in wire form."""

    @property
    def svg(self) -> str:
        """Both panes as a whole SVG document."""
        left, right = self._conversation_lines(), self._state_lines()
        height = 64 + _LINE * max(len(left), len(right)) + 16
        width = 2 * _PANE + _GAP + 28
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}" '
            f'font-family="{FONT}" role="img">',
            "<title>conversation and workflow state</title>",
            f'<rect x="0" y="0" width="{width:g}" height="{height:g}" fill="{C.paper}"/>',
        ]
        for number, (title, where, lines) in enumerate(
            (("conversation", "conversation_… tables", left), ("workflow", "workflow_… tables", right))
        ):
            x = 14 + number * (_PANE + _GAP)
            fill = C.box if number == 0 else C.lit_box
            parts += [
                f'<rect x="{x:g}" y="14" width="{_PANE:g}" height="{height - 28:g}" rx="9" fill="{fill}" stroke="{C.rule}"/>',
                f'<text x="{x + 14:g}" y="36" font-size="14" font-weight="bold" fill="{C.ink}">{title}</text>',
                f'<text x="{x + _PANE - 14:g}" y="36" font-size="11" text-anchor="end" fill="{C.faint}">{where}</text>',
            ]
            for row, (text, colour) in enumerate(lines):
                y = 60 + row * _LINE
                parts.append(
                    f'<text x="{x + 14:g}" y="{y:g}" font-size="11.5" fill="{colour}" xml:space="preserve">{escape(text)}</text>'
                )
        return themed("\n".join([*parts, "</svg>"]))

    def __str__(self) -> str:
        """Both, one after the other."""
        said = "\n".join(f"  {text}" for text, _ in self._conversation_lines())
        stands = "\n".join(f"  {text}" for text, _ in self._state_lines())
        return terminal(f"conversation\n{said}\nworkflow\n{stands}")

    def __repr__(self) -> str:
        return str(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        del include, exclude
        return {"image/svg+xml": self.svg, "text/plain": str(self)}

    def _conversation_lines(self) -> list[tuple[str, str]]:
        lines: list[tuple[str, str]] = []
        for message in self.messages:
            colour = {"human": C.lit, "ai": C.ink}.get(message.type, C.faint)
            lines += [(line, colour) for line in _wrapped(f"{message.type}: {words_of(message)}", 3)]
        return lines or [("nothing was said, or it was erased", C.faint)]

    def _state_lines(self) -> list[tuple[str, str]]:
        lines: list[tuple[str, str]] = []
        for key in ("workflowId", "workflow", "version", "state", "revision", "data", "nextAllowedTools"):
            value = self.standing.get(key)
            parts = {f"{key}.{name}": one for name, one in value.items()} if isinstance(value, dict) else {key: value}
            for name, one in parts.items():
                shown = one if isinstance(one, str) else json.dumps(one, ensure_ascii=False)
                lines += [(line, C.lit if key == "state" else C.ink) for line in _wrapped(f"{name}: {shown}", 6)]
        return lines


def side_by_side(messages: Sequence[AnyMessage], standing: JsonObject) -> SideBySide:
    """Show a conversation next to the state of its workflow."""
    return SideBySide(tuple(messages), standing)


def words_of(message: BaseMessage) -> str:
    """A message in one line: its text and calls, or the result of a tool's answer."""
    if isinstance(message, AIMessage) and message.tool_calls:
        called = ", ".join(
            f"{call['name']}({json.dumps(call['args'], ensure_ascii=False)})" for call in message.tool_calls
        )
        return f"{message.text} → {called}".strip()
    if isinstance(message, ToolMessage):
        return f"{message.name}: {_answer(message.text)}"
    return message.text


def _answer(text: str) -> str:
    try:
        told = json.loads(text)
    except ValueError:
        return text
    match told:
        case {"ok": False, "error": {"code": code, "message": said}}:
            return f"{code}: {said}"
        case {"ok": True, "output": output, **rest}:
            now = f", now in {rest['currentState']}" if "currentState" in rest else ""
            return f"ok{now}: {json.dumps(output, ensure_ascii=False)}"
        case _:
            return text


def _wrapped(text: str, most: int) -> list[str]:
    # A line feed becomes a blank, so that untrusted text cannot start a line.
    lines = textwrap.wrap(terminal(text), _LETTERS, subsequent_indent="    ") or [""]
    return lines if len(lines) <= most else [*lines[: most - 1], lines[most - 1][: _LETTERS - 1] + "…"]
