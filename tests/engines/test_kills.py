"""A share of the kill test: `make kills` runs thousands (tests/engines/kills.py)."""

from __future__ import annotations

import pytest

from tests.engines.chaos_app import FLOWS
from tests.engines.kills import Disturbed, run


def test_workers_that_are_killed_and_stopped_lose_nothing_and_do_nothing_twice(postgres_database: str) -> None:
    wanted = Disturbed(kills=1, stops=1)
    report = run(postgres_database, runs=9, disturbed=wanted, workers=2, seconds=300)
    assert report.wrong == []
    assert report.done == wanted
    assert report.runs == sum(report.states.values()) == 9


@pytest.mark.parametrize("name", [*FLOWS])
def test_the_release_that_the_kill_test_deploys_compiles(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAOS_RELEASE", "2")
    assert FLOWS[name]().definition().version == 2
