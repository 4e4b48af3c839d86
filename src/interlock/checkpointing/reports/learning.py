"""Statistics of decisions: how often proposals were accepted unchanged, and the results of tools.

Every function returns a list of flat dictionaries, suitable for `pandas.DataFrame(rows)`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ..store.approvals import ApprovalStatus
from ..store.audit import AuditKind
from ..tables.workflow import approvals, audit, decisions, instances, ledger
from . import sums
from .tallies import Decided, Row, Tally

BY = ("tool", "state", "approver")
"""The default groups of outcomes."""
GROUPS = (*BY, "origin")
"""The possible groups of outcomes."""
Place = tuple[int, str]
"""The position of a request in the order of requests: its time and its id."""


@dataclass(frozen=True)
class Over:
    """What is checked."""

    tenant: str | None = "default"
    """None for everybody's."""
    workflow: str | None = None
    since: int | None = None
    """Microseconds since 1970 UTC."""
    tools: Sequence[str] | None = None
    """Proposals of these alone; None for all."""
    newest: int | None = None
    """Of each of `tools`, the newest so many; None for all."""


def outcomes(connection: Connection, over: Over, *, by: Sequence[str] = BY) -> list[Row]:
    """Count the proposals of each group by outcome.

    Args:
        connection: In a read transaction.
        over: The filters.
        by: Some of `tool`, `state`, `approver` and `origin`. With `approver`, a proposal that several people decided counts for each of them;
            with `origin`, a proposal with arguments of several origins counts for each, and one without an origin for None.
    """
    kept = None
    if over.workflow is not None and _may_be_kept(over, by):
        kept = sums.load(connection, over.workflow, over.tenant)
    tallies: dict[tuple[Any, ...], Tally] = {}
    new: sa.ColumnElement[bool] | None = None
    if kept is not None and over.workflow is not None:
        new = sums.since(kept, over.workflow, over.tenant)
        settled = _each(connection, over, last_only=True, narrow=True, of=new)
        for one in settled:
            if one.approval["requested_at"] <= kept.up_to:
                kept.requested[one.approval["tool"], one.approval["state"]] -= 1
        for key, tally in kept.grouped(by, over.tools):
            tallies.setdefault(key, Tally()).add(tally)
    for one in _each(connection, over, last_only="approver" not in by, narrow="origin" not in by, of=new):
        values = {"tool": one.approval["tool"], "state": one.approval["state"], "approver": one.approver}
        origins: list[str | None] = [*one.origins] if "origin" in by else []
        for origin in origins or [None]:
            key = tuple({**values, "origin": origin}[name] for name in by)
            tallies.setdefault(key, Tally()).count(one)
    return [_row(by, key, tally) for key, tally in sorted(tallies.items(), key=lambda item: tuple(map(str, item[0])))]


def _may_be_kept(over: Over, by: Sequence[str]) -> bool:
    return over.since is None and over.newest is None and over.tenant != "" and "origin" not in by


def is_worth_adding_up(connection: Connection, over: Over, *, by: Sequence[str], now: int) -> bool:
    """Whether these outcomes read so many rows that `add_up` is worthwhile."""
    if over.workflow is None or not _may_be_kept(over, by):
        return False
    kept = sums.load(connection, over.workflow, over.tenant) or sums.Sums()
    up_to = now - sums.SETTLES_MICROSECONDS
    return sums.are_many_since(connection, kept, over.workflow, over.tenant, up_to)


def add_up(connection: Connection, over: Over, *, now: int) -> None:
    """Add some old requests to the stored sums, oldest first, so that they need not be read again. Needs a write transaction."""
    if over.workflow is None or (kept := sums.begin(connection, over.workflow, over.tenant)) is None:
        return
    before = kept.up_to
    kept.up_to = sums.some_up_to(connection, kept, over.workflow, over.tenant, now - sums.SETTLES_MICROSECONDS)
    if kept.up_to <= before:
        return
    new = sums.since(replace(kept, up_to=before), over.workflow, over.tenant, up_to=kept.up_to)
    everything = replace(over, tools=None, newest=None, since=None)
    kept.add(_each(connection, everything, last_only=False, narrow=True, of=new), before)
    sums.save(connection, over.workflow, over.tenant, kept)


def examples(
    connection: Connection, over: Over, *, after: Place | None = None, look_at: int = 500
) -> tuple[list[Decided], Place | None]:
    """Some of the proposals that were edited, rejected or answered, each with its last decision, in the order of their requests.

    Args:
        connection: In a read transaction. Later pages may use another one, because the order of requests never changes.
        over: The filters.
        after: The position that the previous call returned.
        look_at: The maximum number of requests to scan.

    Returns:
        The matching ones, possibly none, and the position after them; None at the end.
    """
    places = connection.execute(_next_places(over, after, look_at)).all()
    if not places:
        return [], None
    ids = [approval_id for _, approval_id in places]
    found = _each(connection, over, last_only=True, of=approvals.c.approval_id.in_(ids))
    kept = [one for one in found if one.outcome in {"edited", "rejected", "responded"}]
    return kept, (int(places[-1][0]), str(places[-1][1])) if len(places) == look_at else None


def _next_places(over: Over, after: Place | None, number: int) -> sa.Select[Any]:
    """The positions of the next requests: merges the requests of each status, which an index has in this order."""
    columns = approvals.c
    each = []
    for status in ApprovalStatus:
        some = sa.select(columns.requested_at, columns.approval_id).where(columns.status == status.value)
        if after is not None:
            at, approval_id = after
            some = some.where(
                columns.requested_at >= at, sa.or_(columns.requested_at > at, columns.approval_id > approval_id)
            )
        some = _over(some, approvals, over, "requested_at").order_by(columns.requested_at, columns.approval_id)
        first = some.limit(number).subquery()
        each.append(sa.select(first.c.requested_at, first.c.approval_id))
    merged = sa.union_all(*each).subquery()
    return sa.select(merged).order_by(merged.c.requested_at, merged.c.approval_id).limit(number)


def tools(connection: Connection, over: Over) -> list[Row]:
    """For each tool: the numbers of executions, failures, retries and denials by reason, and the durations."""
    rows: dict[str, Row] = {}

    def row(tool: str) -> Row:
        empty = {"carried_out": 0, "reads": 0, "failed": 0, "unknown": 0, "dry_run": 0, "retries": 0, "denied": 0}
        return rows.setdefault(tool, {"tool": tool, **empty, "denials": {}, "seconds_mean": None, "seconds_max": None})

    spent = ledger.c.finished_at - ledger.c.started_at
    counted = sa.select(
        ledger.c.tool, ledger.c.status, sa.func.count(), sa.func.sum(ledger.c.attempt - 1), sa.func.sum(spent), sa.func.max(spent)
    ).group_by(ledger.c.tool, ledger.c.status)  # fmt: skip
    names = {"completed": "carried_out", "failed": "failed", "unknown": "unknown", "dry_run": "dry_run"}
    for tool, status, number, again, total, most in connection.execute(_over(counted, ledger, over, "started_at")):
        found = row(tool)
        if status in names:
            found[names[status]] += int(number)
        found["retries"] += int(again or 0)
        if status == "completed" and total is not None:
            found["seconds_mean"] = float(total) / int(number) / 1_000_000
            found["seconds_max"] = float(most) / 1_000_000
    recorded = sa.select(audit.c.tool, audit.c.kind, audit.c.code, sa.func.count()).where(
        audit.c.kind.in_([AuditKind.DENIAL.value, AuditKind.READ.value]), audit.c.tool.is_not(None)
    )
    recorded = recorded.group_by(audit.c.tool, audit.c.kind, audit.c.code)
    for tool, kind, code, number in connection.execute(_over(recorded, audit, over, "recorded_at")):
        found = row(tool)
        if kind == AuditKind.READ.value:
            found["reads"] += int(number)
        else:
            found["denied"] += int(number)
            found["denials"][code] = found["denials"].get(code, 0) + int(number)
    return [rows[tool] for tool in sorted(rows)]


_COUNTED_OF_APPROVALS = ("approval_id", "tool", "state", "status", "edited_arguments", "requested_at", "settled_at")
_COUNTED_OF_DECISIONS = ("number", "kind", "principal_id", "arguments", "message", "decided_at")
"""The columns for outcomes; other columns, such as the request shown to the approver, are neither read nor decrypted."""


def _each(
    connection: Connection,
    over: Over,
    *,
    last_only: bool,
    narrow: bool = False,
    of: sa.ColumnElement[bool] | None = None,
) -> Iterator[Decided]:
    columns = [column.label(f"a_{column.name}") for column in approvals.columns]
    columns += [column.label(f"d_{column.name}") for column in decisions.columns]
    if narrow:
        is_edited = sa.or_(approvals.c.edited_arguments.is_not(None), decisions.c.arguments.is_not(None))
        arguments = sa.case((is_edited, approvals.c.arguments), else_=sa.null())
        columns = [arguments.label("a_arguments")]
        columns += [approvals.c[name].label(f"a_{name}") for name in _COUNTED_OF_APPROVALS]
        columns += [decisions.c[name].label(f"d_{name}") for name in _COUNTED_OF_DECISIONS]
    statement = (
        sa.select(*columns)
        .select_from(approvals.outerjoin(decisions, decisions.c.approval_id == approvals.c.approval_id))
        .order_by(approvals.c.requested_at, approvals.c.approval_id, decisions.c.number)
    )
    statement = _over(statement, approvals, over, "requested_at")
    if over.tools is not None:
        statement = statement.where(_of_tools(over, over.tools))
    if of is not None:
        statement = statement.where(of)
    found = (_split(row) for row in connection.execute(statement).mappings())
    yield from _last_of_each(found) if last_only else found


def _of_tools(over: Over, tools: Sequence[str]) -> sa.ColumnElement[bool]:
    if over.newest is None:
        return approvals.c.tool.in_(tools)
    each = []
    for tool in tools:
        ids = sa.select(approvals.c.approval_id).where(approvals.c.tool == tool)
        ids = _over(ids, approvals, over, "requested_at").order_by(approvals.c.requested_at.desc()).limit(over.newest)
        each.append(sa.select(ids.subquery().c.approval_id))
    return approvals.c.approval_id.in_(sa.union_all(*each)) if each else sa.false()


def _split(row: Any) -> Decided:
    parts: dict[str, Row] = {"a": {}, "d": {}}
    for name, value in row.items():
        parts[name[0]][name[2:]] = value
    return Decided(parts["a"], None if parts["d"]["number"] is None else parts["d"])


def _last_of_each(found: Iterable[Decided]) -> Iterator[Decided]:
    held: Decided | None = None
    for one in found:
        if held is not None and held.approval["approval_id"] != one.approval["approval_id"]:
            yield held
        held = one
    if held is not None:
        yield held


def _over(statement: sa.Select[Any], table: sa.Table, over: Over, moment: str) -> sa.Select[Any]:
    if over.tenant is not None:
        statement = statement.where(table.c.tenant == over.tenant)
    if over.since is not None:
        statement = statement.where(table.c[moment] >= over.since)
    if over.workflow is None:
        return statement
    if "workflow" in table.c:
        return statement.where(table.c.workflow == over.workflow)
    return statement.join(instances, instances.c.workflow_id == table.c.workflow_id).where(
        instances.c.workflow == over.workflow
    )


def _row(by: Sequence[str], key: tuple[Any, ...], tally: Tally) -> Row:
    named = dict(zip(by, key, strict=True))
    counts = {name: tally.outcomes[name] for name in _OUTCOMES}
    decided = sum(counts[name] for name in ("accepted", "edited", "rejected", "responded"))
    return {
        **named,
        "proposals": tally.outcomes.total(),
        **counts,
        "accepted_share": counts["accepted"] / decided if decided else None,
        "edited_fields": dict(tally.fields.most_common()),
        "reasons": dict(tally.reasons.most_common()),
        "seconds_to_decide_median": tally.median,
        "seconds_to_decide_max": tally.longest,
    }


_OUTCOMES = ("accepted", "edited", "rejected", "responded", "expired", "withdrawn", "void", "pending")

__all__ = ["BY", "GROUPS", "Decided", "Over", "examples", "outcomes", "tools"]
