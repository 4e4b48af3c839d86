"""What the type checkers are shown also runs."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, get_args

import pytest

from interlock import Decision, DecisionKind, InterlockError, Mode
from interlock.commands.execution.resolution import Found, FoundName
from interlock.rules.policies import ModeName
from interlock.tools.approvals.rule import DecisionName
from interlock.tools.kinds import Effect, EffectName, KindName, ToolKind
from interlock.tools.model_answers import Answers, AnswersName
from tests.typed import api


def test_what_is_checked_runs() -> None:
    assert api.run() == "open"
    assert [one.roles for one in api.roles()] == [frozenset({"member"})] * 4
    assert api.contracts() == ["case.get", "case.move"]


@pytest.mark.parametrize(
    ("closed_set", "names"),
    [
        (Answers, AnswersName),
        (DecisionKind, DecisionName),
        (Effect, EffectName),
        (Found, FoundName),
        (Mode, ModeName),
        (ToolKind, KindName),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_type_checkers_know_every_name_of_a_closed_set_and_no_other(closed_set: type[StrEnum], names: Any) -> None:
    assert get_args(names) == tuple(one.value for one in closed_set)


def test_a_decision_is_taken_by_the_name_of_its_kind() -> None:
    assert Decision("edit", {"amount": 1}).kind is DecisionKind.EDIT

    with pytest.raises(InterlockError, match=r"Decision\('edited'\) is none of the decisions: give 'approve', 'edit'"):
        Decision("edited")  # type: ignore[arg-type]
