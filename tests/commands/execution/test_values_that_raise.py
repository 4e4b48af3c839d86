"""Values and exceptions whose own methods raise: wherever an application gives one, the run ends with a record, and the next message is served."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from interlock import Approval, Principal, Refused, Workflow, command, read
from interlock.testing import ScriptedChatModel, call
from interlock.tools.storable import storable_text, type_name

ADA = Principal("ada")


class Raising:
    """Raises whatever it is asked."""

    def __repr__(self) -> str:
        raise LookupError

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        raise LookupError

    def __hash__(self) -> int:
        raise LookupError


class Hidden:
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise LookupError


class Nameless(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise LookupError


class NamelessError(Exception, metaclass=Nameless):
    """Its class has no name to give."""


class NamelessValue(metaclass=Nameless):
    """Its class has no name to give."""


class Text(str):
    """A text whose methods raise."""

    __slots__ = ()

    def __str__(self) -> str:
        raise LookupError

    def strip(self, chars: str | None = None, /) -> str:
        raise LookupError

    def __eq__(self, other: object) -> bool:
        raise LookupError

    __hash__ = str.__hash__


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise LookupError

    __repr__ = __str__


RAISED: dict[str, Callable[[], Exception]] = {
    "no words": Unspeakable,
    "no name": NamelessError,
    "an argument that raises": lambda: LookupError(Raising()),
    "refused with a value that raises": lambda: Refused(Raising()),  # type: ignore[arg-type]
    "refused with a text that raises": lambda: Refused(Text("no")),
    "refused with details that raise": lambda: Refused("no", details={"why": Raising()}),
    "refused with a value that hides": lambda: Refused(Hidden()),  # type: ignore[arg-type]
}
GIVEN: dict[str, Callable[[], Any]] = {
    "raises": Raising, "hides its class": Hidden, "no name": NamelessValue, "a text": lambda: Text("no"), "an error": NamelessError,
}  # fmt: skip


@command("thing.end")
def end() -> str:
    """End."""
    return "ended"


def served(**edge: Any) -> tuple[list[str | None], str]:
    """The codes on record after one call and one more message, and what the model said in the end."""
    model = ScriptedChatModel([call("thing.do"), "I see.", "Still here."])
    desk = Workflow("desk", model=model)
    tool = edge.pop("tool")
    desk.add_state("open", tools=[tool] if tool.kind == "read" else [])
    desk.add_state("closed", final=True)
    desk.add_edge("open", end, "closed")
    if tool.kind != "read":
        desk.add_edge("open", tool, "open", **edge)
    graph = desk.compile(in_memory=True)
    thread: Any = {"configurable": {"thread_id": "t"}}
    first = graph.invoke({"messages": [("user", "Do it.")]}, thread, context=ADA)
    if "__interrupt__" in first:  # what an effect outside the database came to is unknown, and a person is asked
        assert tool.effect == "idempotent"
        return [first["__interrupt__"][0].value["type"]], ""
    last = graph.invoke({"messages": [("user", "And now?")]}, thread, context=ADA)
    assert graph.engine.store.verify(graph.instances.snapshot(thread).workflow_id) == []
    return [record.code for record in graph.instances.audit(thread) if record.code], last["messages"][-1].text


def plain(effect: Any = "transactional") -> Any:
    @command("thing.do", effect=effect)
    def do() -> str:
        """Do it."""
        return "done"

    return do


@pytest.mark.parametrize("kind", ["transactional", "idempotent", "read"])
@pytest.mark.parametrize("raised", RAISED)
def test_what_a_tool_raises_is_on_record(raised: str, kind: Any) -> None:
    def do() -> str:
        """Do it."""
        raise RAISED[raised]()

    tool = read("thing.do")(do) if kind == "read" else command("thing.do", effect=kind)(do)
    codes, said = served(tool=tool)
    assert len(codes) == 1
    assert codes[0] in {"tool_failed", "refused", "invalid_output", "outcome_unknown"}
    assert said == ("" if codes == ["outcome_unknown"] else "Still here.")


@pytest.mark.parametrize("raised", RAISED)
@pytest.mark.parametrize("rule", ["check", "guard", "when"])
def test_what_a_rule_raises_is_a_denial(rule: str, raised: str) -> None:
    def broken(*_: Any) -> bool:
        raise RAISED[raised]()

    def broken_too() -> bool:
        return broken()

    edges: dict[str, Any] = {
        "check": {"check": broken_too},
        "guard": {"guard": broken},
        "when": {"approval": Approval(when=broken_too)},
    }
    codes, said = served(tool=plain(), **edges[rule])
    assert codes
    assert said == "Still here."


@pytest.mark.parametrize("given", GIVEN)
def test_what_a_check_answers_is_a_denial(given: str) -> None:
    def check() -> Any:
        return GIVEN[given]()

    codes, said = served(tool=plain(), check=check)
    assert codes == ["check_failed" if given == "a text" else "rule_error"]
    assert said == "Still here."


@pytest.mark.parametrize("given", GIVEN)
def test_any_value_has_a_type_and_a_text(given: str) -> None:
    value = GIVEN[given]()
    assert type(storable_text(value)) is str
    assert type_name(value) == type.__dict__["__name__"].__get__(type(value))
