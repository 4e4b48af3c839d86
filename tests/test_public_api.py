"""The public doors are exact, and imports between the packages go one way only."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import interlock

ROOT = Path(interlock.__file__).parent
ORDER = [
    "tools",
    "checkpointing",
    "events",
    "tracing",
    "rules",
    "commands",
    "nodes",
    "pictures",
    "operations",
    "mcp",
    "engines",
    "graphs",
    "serving",
    "workflows",
]
"""The packages from the left to the right: a package knows those before it."""
SIDE_BY_SIDE = {("events", "tracing"), ("tracing", "events")}
DOORS = [
    "interlock",
    "interlock.testing",
    *(f"interlock.{package}" for package in ORDER if package not in {"commands", "pictures", "workflows"}),
    "interlock.workflows.retail",
    "interlock.workflows.case",
    "interlock.workflows.access",
]


PUBLIC = [
    "After",
    "Allow",
    "Answered",
    "Approval",
    "ApprovalEvent",
    "Budget",
    "BudgetPer",
    "Cancellation",
    "Capacity",
    "Chat",
    "CommandResult",
    "CompletedCall",
    "Confirmation",
    "ConflictError",
    "Database",
    "Decision",
    "DecisionKind",
    "DecisionView",
    "Delivery",
    "DeliveryStatus",
    "DenialEvent",
    "Deny",
    "Effect",
    "ErrorCode",
    "ErrorResult",
    "Escalate",
    "Event",
    "EventEnvelope",
    "EventService",
    "Explanation",
    "FromApplication",
    "FromDecision",
    "GuardView",
    "InProcessBus",
    "InstanceSnapshot",
    "Instances",
    "InterlockError",
    "LimitPerPeriod",
    "LimitPerRun",
    "Limits",
    "Mode",
    "Pending",
    "Per",
    "Policy",
    "Price",
    "Principal",
    "ProposalView",
    "ReadEvent",
    "ReadResult",
    "Refused",
    "Relay",
    "RequireApproval",
    "RequireRole",
    "RetryPolicy",
    "RoleHolders",
    "SQLCheckpointer",
    "SpendingCap",
    "StreamEvent",
    "TakeEdge",
    "ToolContext",
    "ToolContract",
    "ToolRegistry",
    "TransitionEvent",
    "Undo",
    "Workflow",
    "WorkflowGraph",
    "WorkflowStore",
    "WorkingHours",
    "__version__",
    "adeliver",
    "command",
    "contract_from_schema",
    "deliver",
    "event",
    "next_allowed_tools",
    "parse_event",
    "parse_result",
    "read",
    "reply",
]
"""Every public name of `interlock`. To add or remove one is a decision: it belongs into the changelog."""


def test_the_public_names_are_exactly_these() -> None:
    assert sorted(interlock.__all__) == PUBLIC


@pytest.mark.parametrize("door", DOORS)
def test_every_name_of_a_door_is_there_and_said_once(door: str) -> None:
    module = importlib.import_module(door)
    names = module.__all__
    assert len(set(names)) == len(names)
    assert [name for name in names if not hasattr(module, name)] == []


@pytest.mark.parametrize("door", DOORS)
def test_a_door_has_no_name_that_it_does_not_announce(door: str) -> None:
    module = importlib.import_module(door)
    announced = {*module.__all__, "annotations", "TYPE_CHECKING"}
    loose = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and name not in announced and not isinstance(value, ModuleType)
    ]
    assert loose == []


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """The packages that a module imports from when it is loaded, each with the line that does."""
    package = path.relative_to(ROOT).parts[:-1]
    tree = ast.parse(path.read_text())
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - (node.level - 1)] if node.level else ()
            name = ".".join([*base, *filter(None, [node.module])]) if node.level else (node.module or "")
            if node.level or name.startswith("interlock"):
                inside = name.removeprefix("interlock").lstrip(".")
                yield inside.split(".")[0], f"{path.relative_to(ROOT)}:{node.lineno}"


def test_packages_import_only_what_stands_to_their_left() -> None:
    wrong = []
    for position, package in enumerate(ORDER):
        for path in sorted((ROOT / package).rglob("*.py")):
            for imported, place in imports(path):
                known = imported in {"_version", package, *ORDER[:position]}
                if not known or (package, imported) in SIDE_BY_SIDE:
                    wrong.append(f"{place} imports from {imported or 'the face'}")
    assert wrong == []


def test_every_module_can_be_imported_by_itself() -> None:
    names = [module.name for module in pkgutil.walk_packages(interlock.__path__, "interlock.")]
    assert len(names) > 50
    for name in names:
        if "migrations" not in name:
            importlib.import_module(name)
