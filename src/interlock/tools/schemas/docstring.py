"""Reads the descriptions of a tool and its parameters from a docstring in Google, NumPy or Sphinx style."""

import functools
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import docstring_parser

_SECTION = re.compile(r"(Args|Arguments|Parameters|Params|Keyword Args|Keyword Arguments|Other Parameters):\s*")
_UNDERLINED = re.compile(r"(Parameters|Other Parameters)\s*")
_UNDERLINE = re.compile(r"-{3,}\s*")
_FIELD = re.compile(r":(param|parameter|arg|argument|key|keyword|type)\b[^:]*:")


def described_parameters(function: Callable[..., Any]) -> dict[str, str]:
    """The descriptions of a function's parameters in its docstring, by name."""
    return dict(_parameters(inspect.getdoc(function) or ""))


@functools.lru_cache(maxsize=64)
def _parameters(text: str) -> Mapping[str, str]:
    """Parsing takes about a millisecond, and a contract asks twice: for its parameters and for its description."""
    try:
        parameters = docstring_parser.parse(text).params if text else []
    except docstring_parser.ParseError:
        return {}
    said = {item.arg_name.lstrip("*"): " ".join((item.description or "").split()) for item in parameters}
    return {name: description for name, description in said.items() if description}


def described_tool(function: Callable[..., Any]) -> str | None:
    """The docstring of a function without the parameter descriptions; None if there is none.

    The first paragraph becomes one line; the rest is unchanged.
    """
    text = inspect.getdoc(function)
    if not text or not text.strip():
        return None
    if described_parameters(function):
        text = "\n".join(_without_parameters(text.splitlines()))
    first, _, rest = text.strip().partition("\n\n")
    first = " ".join(first.split())
    rest = re.sub(r"\n{3,}", "\n\n", rest).strip("\n")
    return f"{first}\n\n{rest}" if rest.strip() else first


def _without_parameters(lines: list[str]) -> Iterator[str]:
    number = 0
    while number < len(lines):
        line = lines[number]
        following = lines[number + 1] if number + 1 < len(lines) else ""
        if _SECTION.fullmatch(line) or _FIELD.match(line):
            number = _after_indented(lines, number + 1)
        elif _UNDERLINED.fullmatch(line) and _UNDERLINE.fullmatch(following):
            number = _after_underlined(lines, number + 2)
        else:
            yield line
            number += 1


def _after_indented(lines: list[str], number: int) -> int:
    while number < len(lines) and (not lines[number].strip() or lines[number][0].isspace()):
        number += 1
    return number


def _after_underlined(lines: list[str], number: int) -> int:
    while number < len(lines):
        if number + 1 < len(lines) and lines[number].strip() and _UNDERLINE.fullmatch(lines[number + 1]):
            break
        number += 1
    return number
