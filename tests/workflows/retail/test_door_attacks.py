"""Hostile replays at the door: nothing is carried out, no tool's body is reached, and somebody is told and it is written down."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.workflows.retail import attacks, door_attacks, tau2
from tests.workflows.retail.attack_range import assert_it_came_to_nothing
from tests.workflows.retail.attacked import Write
from tests.workflows.retail.door_attacks import DoorRange

pytestmark = tau2.needs_tau2

SHARE = None if os.environ.get("INTERLOCK_ATTACKS") == "all" else 2


@pytest.fixture(scope="module")
def shooting_range() -> Iterator[DoorRange]:
    made = DoorRange()
    yield made
    made.close()


@pytest.mark.parametrize(("name", "write"), door_attacks.plan(SHARE), ids=str)
def test_an_attack_comes_to_nothing(name: str, write: Write, shooting_range: DoorRange) -> None:
    assert_it_came_to_nothing(shooting_range.suffers(name, write))


def test_every_attack_that_needs_no_conversation_is_made_at_the_door_too() -> None:
    in_a_conversation = {
        name
        for name in attacks.ATTACKS
        if name.startswith(("resumed from an old checkpoint", "two proposals"))
        or name.endswith(("in the checkpoint after the confirmation", "in the conversation"))
        or name == "the queue set from outside"
    }
    assert set(attacks.ATTACKS) - in_a_conversation <= set(door_attacks.ATTACKS)
