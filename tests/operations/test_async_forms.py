"""Everything on the public face that touches a database has an async form that does the same."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import interlock
from interlock import EventService, WorkflowGraph
from interlock.operations.deliveries import Deliveries
from interlock.operations.instances import Instances
from interlock.operations.stepping import Stepper
from interlock.pictures.card import ApprovalCard

FACES: dict[str, type] = {
    "instances": Instances,
    "card": ApprovalCard,
    "stepper": Stepper,
    "deliveries": Deliveries,
    "service": EventService,
    "graph": WorkflowGraph,
}
NO_DATABASE = {
    "instances.id_of": "counts the id from the config",
    "deliveries.needs_loop": "looks at the definition",
    "deliveries.ticking": "the body of `tick` and `atick`",
    "service.on": "adds a consumer of this process",
    "graph.adopt": "makes the compiled graph one of these",
    "graph.engine": "gives the definition and the store",
    "graph.instances": "gives what acts on instances",
    "graph.picture": "draws the definition",
    "graph.stepper": "makes a stepper, which looks when it is asked",
    "graph.get_input_jsonschema": "looks at the definition",
}
"""What touches no database, and why."""


OF_SYNCHRONOUS_CALLERS = {"connection": "an open transaction of the caller's, which is a synchronous one"}


def own(face: type) -> dict[str, Any]:
    """The public names that Interlock itself gives a class; of a compiled graph those are not LangGraph's."""
    found: dict[str, Any] = {}
    for base in reversed(face.__mro__):
        if base.__module__.startswith("interlock"):
            found |= {name: value for name, value in vars(base).items() if not name.startswith("_")}
    return found


def is_async(value: Any) -> bool:
    function: Callable[..., Any] = getattr(value, "__func__", value)
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def asked_for() -> list[tuple[str, str]]:
    return [
        (face, name)
        for face, kind in FACES.items()
        for name, value in own(kind).items()
        if not is_async(value) and f"{face}.{name}" not in NO_DATABASE
        if callable(getattr(value, "__func__", value)) or isinstance(value, property)
    ]


@pytest.mark.parametrize(("face", "name"), asked_for())
def test_every_method_with_a_database_has_an_async_form(face: str, name: str) -> None:
    form = own(FACES[face]).get(f"a{name}")
    assert form is not None, f"{face}.{name} has no a{name}; or say in NO_DATABASE why it needs none"
    assert is_async(form)


@pytest.mark.parametrize(("face", "name"), asked_for())
def test_an_async_form_has_the_parameters_of_the_sync_one(face: str, name: str) -> None:
    names = own(FACES[face])
    sync, form = names[name], names[f"a{name}"]
    if isinstance(sync, property):
        assert [*inspect.signature(form).parameters] == ["self"]
        return
    assert taken(form) == taken(sync)


def taken(function: Any) -> list[tuple[str, Any, Any]]:
    """What a method takes; of their annotations LangGraph's own twins differ."""
    return [
        (one.name, one.kind, one.default)
        for one in inspect.signature(function).parameters.values()
        if one.name not in OF_SYNCHRONOUS_CALLERS
    ]


def test_what_is_listed_as_without_a_database_is_there() -> None:
    there = {f"{face}.{name}" for face, kind in FACES.items() for name in own(kind)}
    assert NO_DATABASE.keys() - there == set()


def test_the_introspection_finds_methods_of_every_class() -> None:
    found = asked_for()
    assert len(found) > 50
    assert {face for face, _ in found} == {"instances", "card", "stepper", "deliveries", "graph"}


def test_the_functions_of_the_package_that_deliver_and_follow_have_theirs() -> None:
    assert is_async(interlock.adeliver)
    assert taken(interlock.adeliver) == taken(interlock.deliver)
