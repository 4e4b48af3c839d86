"""The homes of `tests/graphs`, for tests that run whole steps."""

from tests.graphs.conftest import memory

__all__ = ["memory"]
