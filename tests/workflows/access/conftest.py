"""The places in which the rules from the case are tested."""

from tests.graphs.case_rules.conftest import file, home

__all__ = ["file", "home"]
