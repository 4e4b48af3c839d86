"""Counts earlier executions in the command ledger, for limits and spending caps."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from ...checkpointing.store import LedgerEntry, Unit, ledger_counts
from ...checkpointing.store import ledger as ledger_rows
from ...checkpointing.store.ledger_counts import Scope, Tally
from ...rules.policies import Per
from ...tools.canonical import JSON, amount_in


class LedgerHistory:
    """Counts in the transaction of the judgement, so that two calls that would both be the last allowed one are serialized.

    Args:
        unit: The instance, in the transaction of the judgement.
        principal_id: The proposer.
        key: The key of the proposal itself, which is not counted when its attempt is retried.
    """

    def __init__(self, unit: Unit, *, principal_id: str, key: str) -> None:
        self._unit = unit
        self._principal_id = principal_id
        self._key = key
        self._own: tuple[LedgerEntry | None] | None = None

    def times(self, tools: Collection[str], *, per: Per, since: int | None) -> int:
        """The number of executions of these tools."""
        scope = self._scope(tools, per, since)
        own = self._own_entry()
        return self._count(scope).number - int(own is not None and scope.holds(own))

    def total(self, tools: Collection[str], field: str, *, per: Per, since: int | None) -> Decimal | None:
        """The sum of that field of their arguments; None if one of them is not a number."""
        scope = self._scope(tools, per, since)
        found, own = self._count(scope, field), self._own_entry()
        if own is not None and scope.holds(own):
            amount = amount_in(own.arguments, field)
            found = found.plus(Tally(1, unreadable=1) if amount is None else Tally(1, max(amount, Decimal(0))), -1)
        return None if found.unreadable else found.total

    def amounts(self, tools: Collection[str], field: str, *, per: Per, since: int | None) -> Iterable[JSON]:
        """The value of that field in each of these calls."""
        scope = self._scope(tools, per, since)
        self._count(scope)  # only to lock the counter
        for key, arguments in ledger_counts.arguments(self._unit.connection, scope):
            if key == (self._unit.instance.workflow_id, self._key):
                continue
            found: Any = arguments
            for part in field.split("."):
                found = found.get(part) if isinstance(found, dict) else None
            yield found

    def _count(self, scope: Scope, field: str = "") -> Tally:
        self._unit.counting |= self._unit.writes  # this may have created the first counter
        return ledger_counts.count(self._unit.connection, scope, field, keep=self._unit.writes)

    def _own_entry(self) -> LedgerEntry | None:
        if self._own is None:
            self._own = (ledger_rows.load(self._unit.connection, self._unit.instance.workflow_id, self._key),)
        return self._own[0]

    def _scope(self, tools: Collection[str], per: Per, since: int | None) -> Scope:
        instance = self._unit.instance
        return Scope(
            tenant=instance.tenant,
            tools=frozenset(tools),
            workflow_id=instance.workflow_id if per is Per.RUN else None,
            principal_id=self._principal_id if per is Per.PRINCIPAL else None,
            since=since,
        )


class CarriedOut(Mapping[str, int]):
    """The number of completed executions of each tool in an instance; a lookup of one tool has a constant cost.

    Iteration counts the whole ledger of the instance.

    Args:
        unit: The instance, in the transaction of the judgement.
    """

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._known: dict[str, int] = {}
        self._whole: Mapping[str, int] | None = None

    def __getitem__(self, tool: str) -> int:
        if tool not in self._known:
            instance = self._unit.instance
            self._unit.counting |= self._unit.writes
            self._known[tool] = ledger_counts.completed(
                self._unit.connection,
                tenant=instance.tenant,
                workflow_id=instance.workflow_id,
                tool=tool,
                keep=self._unit.writes,
            )
        if not self._known[tool]:
            raise KeyError(tool)
        return self._known[tool]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> Mapping[str, int]:
        if self._whole is None:
            self._whole = ledger_rows.carried_out(self._unit.connection, self._unit.instance.workflow_id)
        return self._whole


__all__ = ["CarriedOut", "LedgerHistory"]
