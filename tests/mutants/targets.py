"""Which files are mutated, and which tests are asked."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "interlock"

FILES = (
    "rules/calls.py",
    "rules/conditions.py",
    "rules/definition.py",
    "rules/denials.py",
    "rules/gate.py",
    "rules/keepable.py",
    "rules/limits.py",
    "rules/policies.py",
    "rules/proposals.py",
    "rules/stored_data.py",
    "rules/waits.py",
    "commands/approvals/*.py",
    "commands/execution/*.py",
    "commands/waits/*.py",
    "operations/time_travel.py",
    "checkpointing/store/*.py",
    "checkpointing/saver/history.py",
    "checkpointing/saver/jobs.py",
    "checkpointing/saver/encoding/separation.py",
    "events/relay.py",
)
"""Patterns under `src/interlock`: what decides, what is recorded, and what keeps two runners apart."""

TESTS = (
    "tests/rules",
    "tests/commands",
    "tests/graphs",
    "tests/nodes",
    "tests/operations",
    "tests/events",
    "tests/faults",
    "tests/security",
    "tests/identity",
    "tests/sinks",
    "tests/tracing",
    "tests/checkpointing/store",
    "tests/checkpointing/saver",
    "tests/checkpointing/test_races.py",
    "tests/checkpointing/test_retention.py",
    "tests/checkpointing/serializing",
    "tests/workflows/case",
)
"""Tests that are asked, in the order in which they are collected; a folder that is not there is left out."""

NOT_ASKED = (
    "tests/events/test_brokers.py",
    "tests/events/test_load.py",
    "tests/faults/test_agent_kills.py",
    "tests/faults/test_kills.py",
    "tests/faults/test_rolling_upgrade.py",
    "tests/faults/test_server_restarts.py",
    "tests/graphs/agents/test_langgraph_server.py",
    "tests/graphs/agents/test_middleware_desk.py",
    "tests/identity/test_over_http.py",
    "tests/rules/test_claims_agree.py",
    "tests/rules/test_claims_mutants.py",
    "tests/rules/test_claims_walk.py",
    "tests/security/test_security_page.py",
)
"""Long runs, servers and child processes: a child process would not see the mutant."""


def files(patterns: list[str]) -> list[str]:
    """The targets under `src/interlock`, in order; where `patterns` are given, those whose path contains one of them."""
    found = [
        path.relative_to(PACKAGE).as_posix()
        for pattern in FILES
        for path in sorted(PACKAGE.glob(pattern))
        if path.name != "__init__.py"
    ]
    return [name for name in found if not patterns or any(pattern in name for pattern in patterns)]


def tests() -> list[str]:
    """The arguments with which pytest collects what is asked."""
    return [path for path in TESTS if (ROOT / path).exists()]
