"""SIGKILL at every kind of fault point; `make chaos` does it at every point there is, and in pairs."""

from __future__ import annotations

import pytest

from .kills import Subject
from .outside import World
from .workflows import WORKFLOWS


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_that_is_killed_at_any_point_ends_as_if_it_had_not_been(
    name: str, prepared_url: str, outside: World
) -> None:
    subject = Subject.undisturbed(name, prepared_url, outside)

    killed = sum(
        subject.killed_at(ordinal, thread=f"{prepared_url[:6]}-{name}-{ordinal}") for ordinal in subject.one_of_each(7)
    )

    assert killed == len(set(subject.points))


def test_a_workflow_that_is_killed_again_and_again_still_comes_to_its_end(prepared_url: str, outside: World) -> None:
    subject = Subject.undisturbed("effects", prepared_url, outside)

    killed = subject.killed_at(*(17, 11, 23, 5, 13, 29), thread=f"{prepared_url[:6]}-again")

    assert killed >= 4
