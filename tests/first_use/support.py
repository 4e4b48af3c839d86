"""A small workflow to do wrong, and what is said of a mistake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel

from interlock import InterlockError, Workflow, command, read
from interlock.testing import ScriptedChatModel, call


class Data(BaseModel):
    """The data."""

    n: int = 0


@read("a.get")
def get(x: str) -> str:
    """Get."""
    return x


@command("a.do", effect="transactional")
def do(x: str) -> str:
    """Do."""
    return x


HERE = {"configurable": {"thread_id": "t"}}
HI = {"messages": [("user", "hi")]}


def flow(tool: Any = do, *, steps: Any = None, edge: Any = None, tools: Any = (get,), **options: Any) -> Workflow:
    """Two states and one edge; the model calls its tool, and then says ok."""
    script = [call(tool.wire_name, **({"x": "1"} if "x" in tool.input_schema()["properties"] else {}))]
    made = Workflow("w", model=ScriptedChatModel(script if steps is None else steps, forever="ok"), **options)
    made.add_state("open", tools=tools)
    made.add_state("closed", final=True)
    made.add_edge("open", tool, "closed", **(edge or {}))
    return made


def invoke(made: Workflow, given: Any = HI, config: Any = HERE, **options: Any) -> dict[str, Any]:
    """One run in memory."""
    found: dict[str, Any] = made.compile(in_memory=True).invoke(given, config, **options)
    return found


def answer(made: Workflow, **options: Any) -> str:
    """What the last call of a run was answered with, where it was refused."""
    error = invoke(made, **options)["last_result"]["error"]
    problems = "; ".join(one["problem"] for one in error["details"].get("problems", ()))
    return f"{error['code']}: {error['message']} {problems}"


@dataclass(frozen=True)
class Mistake:
    """A row of the table: what is done, and what the answer has to say."""

    title: str
    does: Callable[[], Any]
    says: tuple[str, ...]
    """The cause first, then what to do; each is looked for in the answer."""

    def check(self) -> None:
        """Make the mistake, and see what is said."""
        try:
            said = self.does()
        except InterlockError as error:
            said = f"{error.code}: {error.message}"
        assert isinstance(said, str), f"{self.title}: nothing is said, {said!r}"
        missing = [part for part in self.says if part not in said]
        assert not missing, f"{self.title}: {missing} is not in: {said}"


def table(*rows: tuple[Any, ...]) -> Any:
    """The rows as cases of a test: a title, what is done, and what the answer says."""
    mistakes = [Mistake(title, does, tuple(says)) for title, does, *says in rows]
    return pytest.mark.parametrize("mistake", mistakes, ids=[one.title for one in mistakes])
