"""What was carried out before, by the command ledger: what limits and spending caps count."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from ...checkpointing.store import LedgerEntry, Unit, ledger_counts
from ...checkpointing.store import ledger as ledger_rows
from ...checkpointing.store.ledger_counts import Scope, Tally
from ...rules.policies import Per
from ...tools.canonical import JSON, amount_in


class LedgerHistory:
    """Counts in the transaction that judges, so that two who would both be the last one wait for each other.

    Args:
        unit: The instance, in the transaction of the judgement.
        principal_id: Who proposes.
        key: The proposal itself, which is not counted when an attempt of it is repeated.
    """

    def __init__(self, unit: Unit, *, principal_id: str, key: str) -> None:
        self._unit = unit
        self._principal_id = principal_id
        self._key = key
        self._own: tuple[LedgerEntry | None] | None = None

    def times(self, tools: Collection[str], *, per: Per, since: int | None) -> int:
        """How many times any of these tools was carried out."""
        scope = self._scope(tools, per, since)
        own = self._own_entry()
        return self._count(scope).number - int(own is not None and scope.holds(own))

    def total(self, tools: Collection[str], field: str, *, per: Per, since: int | None) -> Decimal | None:
        """The sum of that field of their arguments; None when one of them has no number there."""
        scope = self._scope(tools, per, since)
        found, own = self._count(scope, field), self._own_entry()
        if own is not None and scope.holds(own):
            amount = amount_in(own.arguments, field)
            found = found.plus(Tally(1, unreadable=1) if amount is None else Tally(1, max(amount, Decimal(0))), -1)
        return None if found.unreadable else found.total

    def amounts(self, tools: Collection[str], field: str, *, per: Per, since: int | None) -> Iterable[JSON]:
        """What each of these calls had in that field of its arguments."""
        scope = self._scope(tools, per, since)
        self._count(scope)  # for its lock
        for key, arguments in ledger_counts.arguments(self._unit.connection, scope):
            if key == (self._unit.instance.workflow_id, self._key):
                continue
            found: Any = arguments
            for part in field.split("."):
                found = found.get(part) if isinstance(found, dict) else None
            yield found

    def _count(self, scope: Scope, field: str = "") -> Tally:
        self._unit.counting |= self._unit.writes  # the counter may be the first one
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
    """How many times each tool was carried out in an instance: asked for one tool, at the same cost however many there are.

    Whoever goes through all of them has the ledger of the instance counted.

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
