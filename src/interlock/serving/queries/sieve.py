"""Preselects the open approvals that a caller might see or decide, from a few columns of their rows.

It may pass too many rows, never too few: complete rows are checked again. Values that are equal in many rows, such as the rule, are
parsed once.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import sqlalchemy as sa

from ...checkpointing.store.sql.json_text import read_json
from ...checkpointing.tables.workflow import approvals
from ...commands.running.needed import named_in
from ...tools.approvals import Approval, DecisionKind
from ...tools.ownership import Ownership
from ...tools.principal import Principal, recorded_principal
from ..context import Service
from ..identity import Caller

PLACE = (approvals.c.approval_id, approvals.c.workflow_id, approvals.c.requested_at)
"""The columns that every check needs."""
_T = TypeVar("_T")


class _Read(Generic[_T]):
    """Parses each distinct text once."""

    def __init__(self, read: Callable[[Any], _T]) -> None:
        self._read = read
        self._known: dict[str, _T] = {}

    def of(self, text: str) -> _T:
        found = self._known.get(text)
        if found is None:
            found = self._known[text] = self._read(read_json(text))
        return found


class Sieve:
    """Passes rows that a caller might see.

    Args:
        service: The service.
        caller: The caller.
        workflow: Only of this workflow; None for all served ones.
        person: Only those that this person asked for, or whose instance serves them; None for anybody's.
        decides: Only those that the caller could agree to now.
        acts_for: The people whose delegate the caller is now; None if unknown before a request is read.
    """

    def __init__(
        self,
        service: Service,
        caller: Caller,
        *,
        workflow: str | None,
        person: str | None,
        decides: bool,
        acts_for: frozenset[str] | None = frozenset(),
    ) -> None:
        self._service, self._caller, self._decides = service, caller, decides
        self._workflow, self._person, self._acts_for = workflow, person, acts_for
        self._rules, self._requesters = _Read(_rule), _Read(recorded_principal)
        self._may_see = not caller.is_operator and not decides  # everybody who may decide may see it
        self.columns: tuple[sa.ColumnElement[Any], ...] = (
            *PLACE,
            approvals.c.workflow,
            approvals.c.rule,
            approvals.c.requester,
            *((approvals.c.shown,) if self._may_see else ()),
        )
        """The columns that it reads."""

    def lets_through(self, row: Any, served: str | None) -> bool:
        """Whether the complete row is worth reading.

        Args:
            row: A row with the columns of the sieve.
            served: The person whom the instance serves.
        """
        graph = self._service.workflows.by_name.get(row.workflow)
        if graph is None or self._workflow not in {None, row.workflow}:
            return False
        requester, by = self._requesters.of(row.requester), self._caller.principal
        if self._person not in {None, requester.id, served}:
            return False
        if self._decides:
            return self._may(DecisionKind.APPROVE, self._rules.of(row.rule)[1], requester, served)
        if not self._may_see or (by.is_known and by.id == requester.id):
            return True
        ownership = Ownership(by.tenant, served, graph.engine.definition.run_by)
        if ownership.why_not_run(by) is None:
            return True
        # As in `may_see`: including the deciders of earlier and later stages.
        stored, rule = self._rules.of(row.rule)
        first = read_json(row.shown).get("rule")
        asked = rule.stages if first == stored else (rule, *Approval.from_json(first).stages)
        return any(self._may(DecisionKind.REJECT, rule, requester, served) for rule in asked)

    def _may(self, kind: DecisionKind, rule: Approval, requester: Principal, served: str | None) -> bool:
        by, theirs = self._caller.principal, named_in(rule) if self._acts_for is None else self._acts_for
        return rule.why_not(requester=requester, by=by, kind=kind, served=served, acts_for=theirs) is None


def _rule(data: Any) -> tuple[Any, Approval]:
    return data, Approval.from_json(data)


__all__ = ["PLACE", "Sieve"]
