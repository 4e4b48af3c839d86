"""Which files are mutated, and which tests are asked."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "interlock"

FILES = (
    "rules/*.py",
    "commands/*/*.py",
    "operations/time_travel.py",
    "checkpointing/store/*.py",
    "checkpointing/saver/history.py",
    "checkpointing/saver/jobs.py",
    "checkpointing/saver/storage.py",
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

WHOLE = ("tests/rules/",)
"""Tests of which all parameters are asked: tables of pure rules."""

STORIES = ("tests/commands/records/",)
"""Tests that compare all that is said and written of a workflow."""

ABOUT = {
    "commands/approvals/": (
        "tests/graphs/case_rules/test_absent_approvers.py",
        "tests/graphs/case_rules/test_approvers_and_deadlines.py",
    ),
    "commands/execution/": (
        "tests/faults/test_outside_effects.py",
        "tests/faults/test_leases.py",
        "tests/commands/execution/",
    ),
    "commands/instances/lineage.py": ("tests/faults/test_time_travel.py",),
    "commands/instances/versions.py": ("tests/faults/test_definitions_that_change.py",),
    "checkpointing/store/definitions.py": ("tests/faults/test_definitions_that_change.py",),
    "commands/origins/": ("tests/rules/origins/",),
    "commands/waits/": (
        "tests/events/test_deliveries.py",
        "tests/events/test_waits.py",
        "tests/events/test_whose_and_in_clear.py",
        "tests/events/test_missed.py",
        "tests/faults/test_restored_backups.py",
    ),
    "operations/time_travel.py": ("tests/faults/test_time_travel.py", "tests/faults/test_forks.py"),
    "rules/": ("tests/graphs/test_rules_fail_closed.py", "tests/graphs/case_rules/"),
    "checkpointing/saver/": ("tests/checkpointing/saver/",),
    "checkpointing/store/leases.py": (
        "tests/faults/test_leases.py",
        "tests/checkpointing/store/test_heads_and_leases.py",
    ),
    "events/relay.py": ("tests/events/test_relay", "tests/faults/test_restored_backups.py"),
}
"""What tests a file or a folder, where it is not a test of the same name in the same room."""


def is_about(test: str, file: str) -> bool:
    """Whether a test is about a file: its module imports the file, or lies in the same room and is called after it."""
    room, _, name = file.rpartition("/")
    path = test.partition("::")[0]
    folder, _, module = path.removeprefix("tests/").rpartition("/")
    if folder == room and module.removeprefix("test_").startswith(name.removesuffix(".py")):
        return True
    return f"interlock.{file.removesuffix('.py').replace('/', '.')}" in _imported_by(path)


@cache
def _imported_by(path: str) -> frozenset[str]:
    """What a module of tests imports, by dotted name; of `from a import b`, both `a` and `a.b`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module, *(f"{node.module}.{one.name}" for one in node.names)}
        elif isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
    return frozenset(found)


def nearness(test: str, file: str) -> int | None:
    """How soon a test is asked about a file.

    Returns:
        1 for one that is about it, 2 for a story, 3 for one that `ABOUT` names or that lies in the same room, None for any other.
    """
    if is_about(test, file):
        return 1
    if test.startswith(STORIES):
        return 2
    named = any(file.startswith(one) and test.startswith(tests) for one, tests in ABOUT.items())
    return 3 if named or test.startswith(f"tests/{file.rpartition('/')[0]}/") else None


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
