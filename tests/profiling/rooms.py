"""Shares a profile out among the rooms: our packages, and the libraries.

What Python's own library and extension modules spend is shared out among those that called them, by the time that they spent for each.
"""

from __future__ import annotations

import pathlib
import pstats
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import interlock

HERE = str(pathlib.Path(interlock.__file__).parent)
LIBRARY = re.compile(
    r"[/\\]site-packages[/\\](langgraph|langchain|langchain_core|langsmith|pydantic|sqlalchemy|psycopg)\b"
)
TOGETHER = {"langchain_core": "langchain", "langsmith": "langchain"}
Function = tuple[str, int, str]


@dataclass
class Share:
    """What one room took."""

    calls: float = 0.0
    seconds: float = 0.0


def room_of(function: Function) -> str | None:
    """The room that a function belongs to; None for what is shared out among those that call it."""
    file = function[0]
    if file.startswith(HERE):
        return "interlock/" + pathlib.PurePath(file[len(HERE) + 1 :]).parts[0].removesuffix(".py")
    found = LIBRARY.search(file)
    return None if found is None else TOGETHER.get(found[1], found[1])


def shares_of(stats: pstats.Stats) -> dict[str, Share]:
    """The rooms' calls and own seconds."""
    table: dict[Function, Any] = stats.stats  # type: ignore[attr-defined]
    owners: dict[Function, dict[str, float]] = {}

    def owners_of(function: Function, path: frozenset[Function]) -> dict[str, float]:
        """How much of a function is whose, as parts of one."""
        if (known := owners.get(function)) is not None:
            return known
        if (room := room_of(function)) is not None:
            owners[function] = {room: 1.0}
            return owners[function]
        callers = {
            caller: max(spent[3] if isinstance(spent, tuple) else 0.0, 1e-9)
            for caller, spent in table[function][4].items()
            if caller not in path and caller in table
        }
        parts: dict[str, float] = defaultdict(float)
        whole = sum(callers.values())
        for caller, spent in callers.items():
            for owner, part in owners_of(caller, path | {function}).items():
                parts[owner] += part * spent / whole
        found = dict(parts) or {"python": 1.0}
        if not path:
            owners[function] = found
        return found

    shares: dict[str, Share] = defaultdict(Share)
    for function, (_, calls, own, _, _) in table.items():
        for room, part in owners_of(function, frozenset()).items():
            shares[room].calls += calls * part
            shares[room].seconds += own * part
    return dict(shares)
