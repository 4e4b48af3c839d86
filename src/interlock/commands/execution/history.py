"""What was carried out before, by the command ledger: what limits and spending caps count."""

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy.engine import Connection

from ...checkpointing.store import ledger_counts
from ...rules.policies import Per
from ...tools.canonical import JSON


class LedgerHistory:
    """Counts in the transaction that judges, so that two who would both be the last one wait for each other.

    Args:
        connection: In the transaction of the judgement.
        workflow_id: The instance.
        tenant: Whose it is.
        principal_id: Who proposes.
        key: The proposal itself, which is not counted when an attempt of it is repeated.
    """

    def __init__(self, connection: Connection, *, workflow_id: str, tenant: str, principal_id: str, key: str) -> None:
        self._connection = connection
        self._workflow_id = workflow_id
        self._tenant = tenant
        self._principal_id = principal_id
        self._key = key

    def times(self, tools: Collection[str], *, per: Per, since: int | None) -> int:
        """How many times any of these tools was carried out."""
        return ledger_counts.count(self._connection, self._scope(tools, per, since))

    def amounts(self, tools: Collection[str], field: str, *, per: Per, since: int | None) -> Iterable[JSON]:
        """What each of these calls had in that field of its arguments."""
        for arguments in ledger_counts.arguments(self._connection, self._scope(tools, per, since)):
            found: Any = arguments
            for part in field.split("."):
                found = found.get(part) if isinstance(found, dict) else None
            yield found

    def _scope(self, tools: Collection[str], per: Per, since: int | None) -> ledger_counts.Scope:
        if per is not Per.RUN:
            who = self._principal_id if per is Per.PRINCIPAL else "*"
            ledger_counts.take_turn(self._connection, f"{self._tenant}/{who}/{','.join(sorted(tools))}")
        return ledger_counts.Scope(
            tenant=self._tenant,
            tools=frozenset(tools),
            workflow_id=self._workflow_id if per is Per.RUN else None,
            principal_id=self._principal_id if per is Per.PRINCIPAL else None,
            since=since,
            but=(self._workflow_id, self._key),
        )


__all__ = ["LedgerHistory"]
