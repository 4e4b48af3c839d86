"""A contract remembers which arguments it has read in full, and binds them again with less work: to the same call, and apart from it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel

from interlock import command
from interlock.tools.errors import InvalidArguments


class Line(BaseModel):
    item: str
    amounts: list[int]


@command("order.add")
def add(order_id: str, line: Line, urgent: bool = False) -> str:
    """Add a line to an order."""
    return f"{order_id} {line.item} {urgent}"


@command("order.count")
def count(number: int) -> int:
    """Count."""
    return number


FULL: dict[str, Any] = {"orderId": "W1", "line": {"item": "lamp", "amounts": [1, 2]}, "urgent": False}


def known(contract: Any) -> dict[bytes, str]:
    return dict(contract._known._fingerprints)


def test_arguments_that_were_bound_before_are_bound_to_the_same_call() -> None:
    first, again = add.bind(FULL), add.bind(FULL)
    assert len(known(add)) == 1
    assert (again.parsed, again.canonical, again.fingerprint) == (first.parsed, first.canonical, first.fingerprint)
    assert [*again.canonical] == [*first.canonical]


def test_what_becomes_of_one_binding_does_not_touch_the_next() -> None:
    first = add.bind(FULL)
    first.parsed.line.amounts.append(3)
    first.canonical["line"]["amounts"].append(4)  # type: ignore[index,call-overload]
    again = add.bind(FULL)
    assert again.parsed.line.amounts == [1, 2]
    assert again.canonical == FULL


def test_arguments_that_were_completed_are_not_taken_for_those_that_were_given() -> None:
    short = {"orderId": "W2", "line": {"item": "lamp", "amounts": []}}
    before = known(add)
    assert [add.bind(short).canonical for _ in range(2)] == [{**short, "urgent": False}] * 2
    assert known(add) == before


@pytest.mark.parametrize("other", [True, "1", None, 1.5])
def test_values_that_only_look_alike_are_read_for_themselves(other: object) -> None:
    assert count.bind({"number": 1}).parsed.number == 1
    with pytest.raises(InvalidArguments):
        count.bind({"number": other})


def test_the_arguments_themselves_are_not_kept() -> None:
    add.bind({**FULL, "orderId": "4111-1111-1111-1111"})
    assert "4111" not in repr(known(add))


def test_a_contract_that_is_derived_knows_nothing_of_the_other_one() -> None:
    add.bind(FULL)
    derived = replace(add, version=2)
    assert known(derived) == {}
    assert derived.bind(FULL).fingerprint != add.bind(FULL).fingerprint


def test_no_more_are_remembered_than_there_is_room_for() -> None:
    for number in range(1000):
        count.bind({"number": number})
    assert 0 < len(known(count)) <= 256


def test_tools_that_return_one_model_share_its_schema_and_nobody_can_change_it() -> None:
    def lines() -> Line:
        """Give a line."""
        return Line(item="lamp", amounts=[])

    one, other = command("line.one")(lines), command("line.other")(lines)
    one.output_schema()["properties"].clear()
    assert other.output_schema() == one.output_schema() != {}
    assert {*other.output_schema()["properties"]} == {"item", "amounts"}
