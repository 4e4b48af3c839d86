"""What a tool leaves in the workflow's data is read again as it was, or refused there and then; nothing is left unreadable."""

from __future__ import annotations

import datetime as dt
import re
from collections import deque
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, SecretStr, create_model

from interlock import SQLCheckpointer, ToolContext, Workflow, command, read
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import InvalidInput

REFUSED: dict[str, tuple[Any, Any]] = {
    "bytes that are no text": (bytes, b"\x89PNG\xff"),
    "pairs as keys": (dict[tuple[int, int], str], {(1, 2): "a"}),
    "a secret": (SecretStr, SecretStr("hunter2")),
    "not a number": (float, float("nan")),
    "half an emoji": (str, "a\ud800"),
    "a bounded deque": (deque[int], deque([1, 2], maxlen=2)),
    "a pattern with flags": (re.Pattern[str], re.compile("a", re.IGNORECASE)),
    "a set of anything": (Any, {1, 2}),
    "a date of anything": (Any, dt.date(2026, 1, 1)),
    "a tuple of anything": (Any, (1, 2)),
    "a decimal that would be a float": (float | Decimal, Decimal("1.5")),
}
KEPT: dict[str, tuple[Any, Any]] = {
    "text in bytes": (bytes, b"abc"),
    "a set of pairs": (set[tuple[int, int]], {(1, 2)}),
    "a time": (dt.datetime, dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
    "a decimal": (Decimal, Decimal("1.10")),
    "numbers as keys": (dict[int, str], {1: "a"}),
    "an integer of any size": (int, 2**53),
}


def model_with(annotation: Any) -> type[BaseModel]:
    fields: Any = {"value": (annotation | None if annotation is not Any else Any, None), "count": (int, 0)}
    return create_model("Data", __config__=ConfigDict(arbitrary_types_allowed=True), **fields)


def workflow(model: type[BaseModel], value: Any, effect: Any, script: list[Any], seen: list[Any]) -> Workflow:
    @command("x.set", effect=effect)
    def put(ctx: ToolContext) -> str:
        """Set."""
        ctx.data.value, ctx.data.count = value, ctx.data.count + 1
        return "ok"

    @read("x.get")
    def get(ctx: ToolContext) -> str:
        """Get."""
        seen.append(ctx.data.value)
        return "ok"

    flow = Workflow("w", data=model, model=ScriptedChatModel(script))
    flow.add_state("a", tools=[get])
    flow.add_edge("a", put, "a")
    return flow


@pytest.mark.parametrize("name", [*REFUSED, *KEPT])
def test_data_is_kept_as_it_was_or_refused_and_the_instance_goes_on(name: str) -> None:
    annotation, value = (REFUSED | KEPT)[name]
    model, seen, here = model_with(annotation), [], {"configurable": {"thread_id": "t"}}
    with SQLCheckpointer("sqlite://") as saver:
        graph = workflow(model, value, "transactional", [call("x.set"), "done"], seen).compile(saver)
        graph.invoke({"messages": [("user", "x")]}, here)
        again = workflow(model, value, "transactional", [call("x.get"), "done"], seen).compile(saver)
        again.invoke({"messages": [("user", "x")]}, here)

    assert seen == [None if name in REFUSED else value]


@pytest.mark.parametrize("name", REFUSED)
def test_data_that_would_not_be_read_again_is_refused_at_the_start(name: str) -> None:
    annotation, value = REFUSED[name]
    with SQLCheckpointer("sqlite://") as saver:
        graph = workflow(model_with(annotation), value, "transactional", ["done"], []).compile(saver)

        with pytest.raises(InvalidInput) as caught:
            graph.invoke({"messages": [("user", "x")], "data": {"value": value}}, {"configurable": {"thread_id": "t"}})
    assert "hunter2" not in str(caught.value)
