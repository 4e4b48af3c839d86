"""The homes and ways of `tests/graphs`, for tests that run whole steps."""

from tests.graphs.conftest import desk, home, memory, run, setting, sql

__all__ = ["desk", "home", "memory", "run", "setting", "sql"]
