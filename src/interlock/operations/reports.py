"""Statistics of the decisions and calls of one workflow, as rows for a table, and as examples."""

import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ..checkpointing.reports import learning
from ..commands.approvals.payload import moment
from ..tools.canonical import JsonObject
from ..tools.errors import InputError, StoreError
from ..tools.redaction import redact
from .compiled import HasEngine


class Reports:
    """The outcomes of the proposals of one compiled workflow."""

    def __init__(self, graph: HasEngine) -> None:
        self._engine = graph.engine

    def outcomes(
        self,
        *,
        by: Sequence[str] = learning.BY,
        tenant: str | None = "default",
        since: dt.datetime | None = None,
        tools: Sequence[str] | None = None,
        newest: int | None = None,
    ) -> list[dict[str, Any]]:
        """Return the outcomes of the proposals that needed a decision, as rows for a table or `pandas.DataFrame`.

        Args:
            by: The columns to group by: some of `tool`, `state`, `approver` and `origin`. With `approver`, a proposal on which several
                people decided counts for each of them. `origin` is the origin of the arguments for which `TrustedOrigins` required the
                decision.
            tenant: The tenant; None for all of them.
            since: Only requests that were made since then.
            tools: The tools to include; None for all tools of the workflow.
            newest: Only this many of the newest requests of each tool, so that the cost does not grow with the history. None for all.

        Returns:
            One dict per group: proposals, accepted, edited, rejected, responded, expired, withdrawn, void, pending, accepted_share,
            edited_fields, reasons, and the seconds to decide.

        Raises:
            InputError: `by` contains another name.
        """
        if unknown := [name for name in by if name not in learning.GROUPS]:
            raise InputError(
                f"Outcomes cannot be grouped by {', '.join(unknown)}; give some of {', '.join(learning.GROUPS)}."
            )
        over = self._over(tenant, since)
        if newest is not None:
            tools = [*self._engine.definition.contracts] if tools is None else tools
        over = replace(over, tools=tools, newest=newest)
        self._add_up(over, by)
        with self._engine.store.read() as connection:
            return learning.outcomes(connection, over, by=by)

    def _add_up(self, over: learning.Over, by: Sequence[str]) -> None:
        """Add old requests to the stored sums, in separate transactions. On a read-only replica, the rows are read instead."""
        store = self._engine.store
        with contextlib.suppress(StoreError):
            while True:
                with store.read() as connection:
                    now = store.now(connection)
                    if not learning.is_worth_adding_up(connection, over, by=by, now=now):
                        return
                with store.write() as connection:
                    learning.add_up(connection, over, now=now)

    async def aoutcomes(
        self,
        *,
        by: Sequence[str] = learning.BY,
        tenant: str | None = "default",
        since: dt.datetime | None = None,
        tools: Sequence[str] | None = None,
        newest: int | None = None,
    ) -> list[dict[str, Any]]:
        """Asynchronous form of `outcomes`, with the same arguments, result and errors."""
        return await self._engine.store.database.arun(
            lambda: self.outcomes(by=by, tenant=tenant, since=since, tools=tools, newest=newest)
        )

    def tool_stats(self, *, tenant: str | None = "default", since: dt.datetime | None = None) -> list[dict[str, Any]]:
        """Return statistics of this workflow's tools, as rows for a table or `pandas.DataFrame`.

        Returns:
            Per tool: carried_out, reads, failed, unknown, rehearsed, retries, denied, denials by code, and how long it took where
            its effect is outside the database.
        """
        with self._engine.store.read() as connection:
            return learning.tools(connection, self._over(tenant, since))

    async def atool_stats(
        self, *, tenant: str | None = "default", since: dt.datetime | None = None
    ) -> list[dict[str, Any]]:
        """Asynchronous form of `tool_stats`, with the same arguments, result and errors."""
        return await self._engine.store.database.arun(lambda: self.tool_stats(tenant=tenant, since=since))

    def examples(self, *, tenant: str | None = "default", since: dt.datetime | None = None) -> Iterator[JsonObject]:
        """Return the proposals that people edited, rejected or answered, as examples for evaluation, without sensitive values.

        Returns:
            One dict for each: workflow, state, tool, the arguments as proposed and as edited, the decision, who took it, and why. Oldest
            requests come first. They are read in batches, so their number does not matter.
        """
        place: learning.Place | None = None
        while True:
            found, place = self._some_examples(tenant, since, place)
            yield from found
            if place is None:
                return

    async def aexamples(
        self, *, tenant: str | None = "default", since: dt.datetime | None = None
    ) -> AsyncIterator[JsonObject]:
        """Asynchronous form of `examples`, with the same arguments, result and errors."""
        place: learning.Place | None = None
        while True:
            some = partial(self._some_examples, tenant, since, place)
            found, place = await self._engine.store.database.arun(some)
            for one in found:
                yield one
            if place is None:
                return

    def _some_examples(
        self, tenant: str | None, since: dt.datetime | None, after: learning.Place | None
    ) -> tuple[list[JsonObject], learning.Place | None]:
        """The next examples, read in a separate transaction, because their consumer may be slow."""
        with self._engine.store.read() as connection:
            found, place = learning.examples(connection, self._over(tenant, since), after=after)
        return [*map(self._example, found)], place

    def _example(self, one: learning.Decided) -> JsonObject:
        contract = self._engine.definition.contracts.get(one.approval["tool"])
        sensitive = frozenset[str]() if contract is None else contract.sensitive
        decision = one.decision or {}
        return {
            "schemaVersion": 1,
            "approvalId": one.approval["approval_id"],
            "workflowId": one.approval["workflow_id"],
            "workflow": one.approval["workflow"],
            "state": one.approval["state"],
            "tool": one.approval["tool"],
            "toolVersion": one.approval["tool_version"],
            "proposed": redact(one.proposed, sensitive),
            "outcome": one.outcome,
            "edited": None if one.edited is None else redact(one.edited, sensitive),
            "editedFields": [*one.changed],
            "reason": decision.get("message"),
            "approver": decision.get("principal_id"),
            "decidedAt": moment(int(decision["decided_at"])) if decision else None,
        }

    def _over(self, tenant: str | None, since: dt.datetime | None) -> learning.Over:
        microseconds = None if since is None else int(since.timestamp() * 1_000_000)
        return learning.Over(tenant, self._engine.definition.name, microseconds)


__all__ = ["Reports"]
