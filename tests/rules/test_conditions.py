"""Conditions say the same of a view, as guards, and of plain data, in proofs; and what they are about."""

from __future__ import annotations

import enum
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from interlock import Principal
from interlock.rules.conditions import Add, Condition, field, has_role, one_of, values_of
from interlock.rules.view import GuardView
from interlock.tools import WorkflowDefinitionError


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Data(BaseModel):
    colour: Colour = Colour.RED
    count: int = 0
    open: bool = False
    size: Literal["s", "m"] | None = None
    text: str = ""
    many: Literal[tuple(range(200))] = 0  # type: ignore[valid-type]


RED, FEW, BOSS, CLERK = field("colour").equals(Colour.RED), field("count").below(2), has_role("boss"), has_role("clerk")
SAID: list[tuple[Condition, str]] = [
    (RED, "colour is 'red'"),
    (field("size").is_in("s", None), "size is 's' or None"),
    (FEW, "count is below 2"),
    (BOSS, "the proposer has the role 'boss'"),
    (RED & FEW, "colour is 'red' and count is below 2"),
    (RED | BOSS, "(colour is 'red' or the proposer has the role 'boss')"),
    (~FEW, "not (count is below 2)"),
    ((RED | FEW) & ~BOSS, "(colour is 'red' or count is below 2) and not (the proposer has the role 'boss')"),
]


@pytest.mark.parametrize(("condition", "said"), SAID)
def test_it_says_what_it_asks(condition: Condition, said: str) -> None:
    assert str(condition) == said


@pytest.mark.parametrize("colour", Colour)
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("roles", [frozenset[str](), frozenset({"boss"}), frozenset({"boss", "clerk"})])
@pytest.mark.parametrize(
    ("condition", "meant"),
    [
        (RED, lambda red, few, boss, clerk: red),
        (FEW, lambda red, few, boss, clerk: few),
        (BOSS, lambda red, few, boss, clerk: boss),
        (RED & FEW, lambda red, few, boss, clerk: red and few),
        (BOSS & CLERK, lambda red, few, boss, clerk: boss and clerk),
        (RED | BOSS, lambda red, few, boss, clerk: red or boss),
        (FEW | CLERK, lambda red, few, boss, clerk: few or clerk),
        (~(RED & BOSS), lambda red, few, boss, clerk: not (red and boss)),
        ((RED | FEW) & (BOSS | CLERK), lambda red, few, boss, clerk: (red or few) and (boss or clerk)),
        ((RED & BOSS).named("the boss wants red"), lambda red, few, boss, clerk: red and boss),
    ],
)
def test_a_guard_and_a_proof_agree_on_it(
    condition: Condition, meant: Any, colour: Colour, count: int, roles: frozenset[str]
) -> None:
    expected = meant(colour is Colour.RED, count < 2, "boss" in roles, "clerk" in roles)
    view = GuardView("wf", "open", Data(colour=colour, count=count), Principal("ann", roles=roles), 0)

    assert condition(view) is expected
    assert condition.holds({"colour": colour, "count": count}, roles) is expected


def test_a_value_of_another_type_is_another_value() -> None:
    assert field("open").equals(True).holds({"open": 1}, frozenset()) is False
    assert field("open").equals(1).holds({"open": True}, frozenset()) is False


def test_it_knows_the_fields_roles_and_bounds_that_it_is_about() -> None:
    both, either = FEW & field("count").below(5) & BOSS, (RED & BOSS) | (FEW & BOSS & CLERK)
    assert both.fields == {"count"}
    assert both.thresholds == {"count": 5}
    assert (field("count").below(5) & FEW).thresholds == {"count": 5}
    assert both.needed_roles == {"boss"}
    assert either.fields == {"colour", "count"}
    assert either.needed_roles == {"boss"}, "what one way needs and the other does not is not needed"
    assert either.thresholds == {"count": 2}
    assert (~either).fields == {"colour", "count"}
    assert (~FEW).thresholds == {"count": 2}
    assert (~BOSS).needed_roles == frozenset(), "who does not have it needs it not"
    named = both.named("few for the boss")
    assert (named.fields, named.needed_roles, named.thresholds) == (both.fields, both.needed_roles, both.thresholds)
    assert str(named) == "few for the boss"
    assert BOSS.fields == RED.needed_roles == frozenset()
    assert RED.thresholds == {}


def test_every_value_that_a_field_can_have_is_known() -> None:
    assert values_of(Data, "colour", bound=None) == (Colour.RED, Colour.BLUE)
    assert values_of(Data, "open", bound=None) == (False, True)
    assert values_of(Data, "size", bound=None) == ("s", "m", None)
    assert values_of(Data, "count", bound=3) == (0, 1, 2, 3)


@pytest.mark.parametrize(
    ("model", "name", "said"),
    [
        (None, "colour", "no field 'colour'"),
        (Data, "nothing", "no field 'nothing'"),
        (Data, "count", r"counter without a bound; compare it with field\('count'\)\.below"),
        (Data, "text", "cannot be followed"),
        (Data, "many", "at most"),
    ],
)
def test_a_field_that_cannot_be_followed_is_refused(model: Any, name: str, said: str) -> None:
    with pytest.raises(WorkflowDefinitionError, match=said):
        values_of(model, name, bound=None)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Add(-1), lambda: Add(True), lambda: Add(1.0),  # type: ignore[arg-type]
        one_of, lambda: field("count").below(0), lambda: field("count").below(True),
        lambda: field("count").below(1.5),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_what_changes_nothing_sensible_is_refused(make: Any) -> None:
    with pytest.raises(WorkflowDefinitionError, match="give"):
        make()


def test_nothing_and_one_are_fine_where_they_mean_something() -> None:
    assert (Add(0).amount, Add().amount) == (0, 1)
    assert str(field("count").below(1)) == "count is below 1"
    assert one_of("a").values == ("a",)
