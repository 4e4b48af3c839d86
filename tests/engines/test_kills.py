"""A share of the kill test: `make kills` runs thousands (tests/engines/kills.py)."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.engines.chaos_app import FLOWS
from tests.engines.fleet import Fleet
from tests.engines.kills import Disturbed, run


def test_workers_that_are_killed_and_stopped_lose_nothing_and_do_nothing_twice(postgres_database: str) -> None:
    wanted = Disturbed(kills=1, stops=1)
    report = run(postgres_database, runs=9, disturbed=wanted, workers=2, seconds=300)
    assert report.wrong == []
    assert report.done == wanted
    assert report.runs == sum(report.states.values()) == 9


def test_what_goes_wrong_in_the_test_itself_is_reported_and_the_runs_are_looked_at_all_the_same(
    postgres_database: str,
) -> None:
    def restart() -> None:
        raise RuntimeError("the server is gone")

    wanted = Disturbed(restarts=1, deploys=1)
    report = run(postgres_database, runs=9, disturbed=wanted, workers=2, seconds=300, patience=0.0, restart=restart)
    assert all("the server is gone" in line or "was killed" in line for line in report.wrong)
    assert any("the server is gone" in line for line in report.wrong)
    assert report.runs == sum(report.states.values()) > 0


def test_a_worker_that_does_not_stop_in_time_is_killed_and_replaced(postgres_database: str) -> None:
    with Path(os.devnull).open("wb") as log:
        fleet = Fleet(postgres_database, workers=1, concurrency=1, log=log, patience=0.0)
        try:
            before = fleet.processes[0]
            before.send_signal(signal.SIGSTOP)  # it hears nothing
            fleet.deploy(lambda: None)
            # It is asked for its threads before it is killed, and dies of that if it had not loaded yet.
            assert before.poll() in {-signal.SIGKILL, -signal.SIGUSR1}
            assert "was told to stop had not ended after 0 s" in fleet.wrong[0]
            fleet.processes[0].terminate()
            fleet.processes[0].wait()
            fleet.replace_ended()
            assert "ended by itself" in fleet.wrong[1]
            assert fleet.processes[0].poll() is None
        finally:
            fleet.close()


@pytest.mark.parametrize("name", [*FLOWS])
def test_the_release_that_the_kill_test_deploys_compiles(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAOS_RELEASE", "2")
    assert FLOWS[name]().definition().version == 2
