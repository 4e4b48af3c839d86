"""What the type checkers are shown also runs."""

from __future__ import annotations

from tests.typed import api


def test_what_is_checked_runs() -> None:
    assert api.run() == "open"
    assert [one.roles for one in api.roles()] == [frozenset({"member"})] * 4
    assert api.contracts() == ["case.get", "case.move"]
