"""The access review: who can call which tool, in which state, and with whose decision; and the differences between two versions."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum

from ...tools.approvals import Approval
from ...tools.sinks import csv_cell
from ..definition import Definition, Edge
from ..ordering import order_in_words
from .paths import Paths, who_may_decide


@dataclass(frozen=True, order=True)
class AccessRow:
    """One call that somebody can make."""

    role: str
    """The role that the proposer needs; empty if anybody who may propose on the instance can make the call."""
    tool: str
    state: str
    leads_to: str
    decided_by: str
    """Who has to decide: each stage in turn, with every role that it may be escalated to. Empty if no decision is needed."""
    condition: str
    """The other conditions: the guard and the check, by name."""


def access_review(definition: Definition) -> list[AccessRow]:
    """List who can call what: one row for each edge, including reads, in the order of states."""
    paths = Paths(definition)
    order = {name: place for place, name in enumerate(definition.states)}
    rows = [
        AccessRow(
            role=" and ".join(sorted(paths.required_roles(edge))),
            tool=edge.tool.name,
            state=edge.source,
            leads_to=edge.target,
            decided_by=_deciders(definition, edge),
            condition=_conditions(edge),
        )
        for edge in definition.edges
    ]
    return sorted(rows, key=lambda row: (order[row.state], row.tool, row.leads_to, row))


def as_csv(rows: Iterable[AccessRow]) -> str:
    """Write rows as CSV with a header line. A cell that a spreadsheet would evaluate as a formula gets a leading apostrophe."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [one.name for one in fields(AccessRow)], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: csv_cell(value) for name, value in asdict(row).items()})
    return text.getvalue()


def as_markdown(rows: Iterable[AccessRow]) -> str:
    """Write rows as a Markdown table."""
    lines = ["| state | tool | leads to | who | decided by | condition |", "|---|---|---|---|---|---|"]
    for row in rows:
        tool, condition = f"`{_cell(row.tool)}`", _cell(row.condition)
        cells = (
            _cell(row.state),
            tool,
            _cell(row.leads_to),
            _cell(row.role or "anybody"),
            _cell(row.decided_by or "nobody"),
            condition,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


class Touch(StrEnum):
    """How a new version affects an instance that runs under an older one."""

    STRANDED = "stranded"
    """Its state does not exist in the new version, and is not mapped."""
    NOW = "now"
    """The possible calls in its state differ."""
    LATER = "later"
    """The possible calls differ in a state that it can still reach."""


@dataclass(frozen=True)
class AccessChange:
    """The differences between two versions of a workflow. States have the names of the newer version."""

    became_possible: tuple[AccessRow, ...]
    became_impossible: tuple[AccessRow, ...]
    states_gone: tuple[str, ...]
    """States of the older version that the newer one neither has nor maps; instances in them are stranded."""
    older: Definition
    newer: Definition

    @property
    def touches(self) -> tuple[str, ...]:
        """The states in which the possible calls of a running instance differ."""
        return tuple(sorted({row.state for row in (*self.became_possible, *self.became_impossible)}))

    def touch(self, state: str, version: int) -> Touch | None:
        """How an instance is affected; None if it is not.

        Args:
            state: The state of the instance, by its name in `version`.
            version: The version that moved the instance last.
        """
        if version >= self.newer.version and version != self.older.version:
            return None
        if state in self.states_gone:
            return Touch.STRANDED
        here = self.newer.state_mapping.get(state, state)
        touched = {*self.touches}
        if here in touched:
            return Touch.NOW
        coming = self.newer.reachable(here) if here in self.newer.states else frozenset()
        return Touch.LATER if touched & coming else None


def access_changes(older: Definition, newer: Definition) -> AccessChange:
    """Compare two versions of a workflow: which calls became possible or impossible, and which instances are stranded.

    A state that the newer version renames, by its state mapping, counts as the same state.
    """
    mapping = newer.state_mapping
    before = [
        replace(row, state=mapping.get(row.state, row.state), leads_to=mapping.get(row.leads_to, row.leads_to))
        for row in access_review(older)
    ]
    after = access_review(newer)
    known, now = set(before), set(after)
    gone = [name for name in older.states if name not in newer.states and name not in mapping]
    return AccessChange(
        tuple(row for row in after if row not in known),
        tuple(row for row in before if row not in now),
        tuple(gone),
        older,
        newer,
    )


def _cell(text: str) -> str:
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").split())


def _deciders(definition: Definition, edge: Edge) -> str:
    stages = () if edge.approval is None else edge.approval.stages
    said = ", then ".join(_decider(stage) for stage in stages)
    if edge.approval is not None and edge.approval.when is not None:
        said = f"{said} (when {_name(edge.approval.when) or 'a function says so'})"
    asking = [policy.label for policy in definition.policies if policy.may_require_approval(edge.tool)]
    return "; ".join([*filter(None, [said]), *(f"the people whom the policy {label} asks" for label in asking)])


def _decider(stage: Approval) -> str:
    return " or, escalated, ".join(map(_one_decider, who_may_decide(stage)))


def _one_decider(stage: Approval) -> str:
    if stage.confirmation:
        return "the person served"
    who = "another person" if stage.role is None else stage.role
    if stage.by is not None:
        who = stage.who
    return who if stage.count == 1 else f"{stage.count} of {who}"


def _conditions(edge: Edge) -> str:
    named: Sequence[tuple[str, object]] = (
        ("guard", edge.guard),
        ("check", edge.check),
        ("check", edge.tool.check),
    )
    said = [f"{kind} {_name(function)}".rstrip() for kind, function in named if function is not None]
    return "; ".join(filter(None, (*said, order_in_words(edge.after, edge.once_per))))


def _name(function: object) -> str:
    """The name of a function; an empty text if it has no useful name."""
    name = getattr(function, "__name__", None) or str(function)
    return "" if name == "<lambda>" else name


__all__ = ["AccessChange", "AccessRow", "Touch", "access_changes", "access_review", "as_csv", "as_markdown"]
