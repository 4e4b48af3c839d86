"""Approvals from outside the graph: look through them, decide, let what is overdue happen, and let the thread go on."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from sqlalchemy.engine import Connection

from ..checkpointing.reports import learning
from ..checkpointing.store import ApprovalRequest, ApprovalStatus, Page, approval_listing
from ..checkpointing.store import approvals as approval_rows
from ..checkpointing.store import instances as instance_rows
from ..commands.approvals.deadlines import Lapsed, lapse_one
from ..commands.approvals.decisions import Declined, decide, may_see, unknown_approval
from ..commands.approvals.payload import moment, payload
from ..commands.proposals.granted import CarriedOut
from ..commands.running.access import looked_at, ownership_of, record_denial
from ..commands.running.driver import arun, run
from ..commands.running.engine import logger
from ..commands.running.scope import outside_scope, workflow_id_of
from ..tools.answers import parse_answer
from ..tools.approvals import Decision, DecisionKind
from ..tools.canonical import JSON, JsonObject
from ..tools.errors import ConflictError, InputError, OutcomeUnknown, PrincipalError
from ..tools.principal import Principal
from ..tools.redaction import Secrets, redact
from .compiled import CompiledWorkflow
from .deliveries import Deliveries, Ticked
from .granted import acarry_out_granted, carry_out_granted
from .resuming import AnyGraph, going_on

BATCH = 100
"""How many overdue approvals are read at once."""


@dataclass
class Tick:
    """What one tick did."""

    lapsed: list[Lapsed] = field(default_factory=list)
    """What followed the deadlines of approvals."""
    ended: list[str] = field(default_factory=list)
    """The instances whose waits ended."""
    resumed: list[str] = field(default_factory=list)
    """The instances whose graphs went on."""
    carried_out: list[str] = field(default_factory=list)
    """The proposals from outside the graph that had been granted, and were carried out or came to nothing."""
    failed: dict[str, Exception] = field(default_factory=dict)
    """What of that could not be done, by its id, and why; the next tick tries again."""

    def add(self, lapsed: Lapsed | None) -> None:
        """Take note of what followed one deadline."""
        if lapsed is not None:
            self.lapsed.append(lapsed)

    def with_waits(self, waits: Ticked) -> "Tick":
        """The same, with what happened to waits."""
        return replace(self, ended=waits.ended, resumed=waits.resumed)

    def with_granted(self, granted: CarriedOut) -> "Tick":
        """The same, with what was carried out of what had been granted."""
        return replace(self, carried_out=granted.done, failed={**self.failed, **granted.failed})


class ApprovalDesk:
    """The approvals of one compiled workflow."""

    def __init__(self, graph: CompiledWorkflow) -> None:
        self._graph = graph
        self._engine = graph.engine

    # Looking

    def approvals(
        self,
        *,
        tenant: str | None = "default",
        status: ApprovalStatus | str | None = ApprovalStatus.REQUESTED,
        tool: str | None = None,
        limit: int = 50,
        after: str | None = None,
        by: Principal | None = None,
    ) -> Page:
        """A page of this workflow's approvals, oldest first: by default of those that wait for a decision.

        Args:
            tenant: Whose; None for everybody's. Where somebody looks, it is theirs.
            status: Where they stand; None for any.
            tool: Of which tool; None for any.
            limit: How many at most, from 1 to 1000.
            after: The `next` of the page before.
            by: Who looks: a page then holds only what they may run, requested themselves, or are asked about; without one it is
                the application.

        Raises:
            InputError: `after` is not what a page gave, or the limit is out of bounds.
        """
        store, name = self._engine.store, self._engine.definition.name
        tenant = tenant if by is None else by.tenant
        page = store.approvals(tenant=tenant, status=status, workflow=name, tool=tool, limit=limit, after=after)
        if by is None:
            return page
        return replace(page, approvals=tuple(one for one in page.approvals if self._sees(one, by)))

    def approval(self, approval_id: str, *, by: Principal | None = None) -> JsonObject:
        """One approval as an approver is shown it, with the decisions that were taken on it.

        Args:
            approval_id: Which one.
            by: Who looks; without one it is the application.

        Raises:
            InputError: There is none of this id in this workflow, or it is another tenant's than that of `by`.
            PrincipalError: It asks somebody else than `by`.
        """
        store = self._engine.store
        request = self._request(approval_id, by)
        decided: list[JSON] = [
            {
                "decision": one.kind.value,
                "by": one.principal.id,
                "arguments": one.arguments,
                "message": one.message,
            }
            for one in store.decisions(approval_id)
        ]
        shown: JsonObject = {**payload(self._engine, request), "status": request.status.value, "decisions": decided}
        return shown if by is None or self._may_decide(request, by) else self._masked(request, shown)

    def _may_decide(self, request: ApprovalRequest, by: Principal) -> bool:
        with self._engine.store.read() as connection:
            instance = instance_rows.load(connection, request.workflow_id)
        served = None if instance is None else instance.served
        rules = (request.rule, *request.first_rule.stages)
        kind = DecisionKind.REJECT
        return any(rule.why_not(requester=request.requester, by=by, kind=kind, served=served) is None for rule in rules)

    def _masked(self, request: ApprovalRequest, shown: JsonObject) -> JsonObject:
        """What somebody is shown who may look and not decide: without the values of sensitive fields, wherever they are quoted."""
        contract = self._engine.definition.contracts.get(request.tool)
        secrets, sensitive = Secrets(), frozenset[str]() if contract is None else contract.sensitive
        for arguments in (request.arguments, request.edited_arguments):
            secrets.learn_from(arguments, sensitive)
        return cast("JsonObject", secrets.redacted(shown, sensitive))

    def _request(self, approval_id: str, by: Principal | None) -> ApprovalRequest:
        with self._engine.store.read() as connection:
            request = approval_rows.load_by_id(connection, approval_id)
        if request is None or request.workflow != self._engine.definition.name:
            raise unknown_approval(approval_id)
        if by is None:
            return request
        if request.tenant != by.tenant:
            raise unknown_approval(approval_id)
        if not self._sees(request, by):
            error = PrincipalError(
                f"{by.id} may not see the approval {approval_id}: it asks somebody else, about a workflow that serves somebody else. Nothing was done.",
                code="not_entitled",
                details={"approvalId": approval_id},
            )
            record_denial(self._engine, request.workflow_id, error, by=by, approvalId=approval_id)
            raise error
        return request

    def _sees(self, request: ApprovalRequest, by: Principal) -> bool:
        instance = self._engine.store.find(request.workflow_id)
        return instance is not None and may_see(request, ownership_of(self._engine, instance), by)

    # Deciding

    def decide(
        self,
        approval_id: str,
        decision: Decision | DecisionKind | Mapping[str, Any] | str | bool,
        *,
        by: Principal,
    ) -> ApprovalRequest:
        """Take a decision on an approval, without the graph; it finds it when it goes on (`resume`, or `graph.invoke(None, config)`).

        Args:
            approval_id: Which approval.
            decision: A `Decision`, or an answer in any of the shapes that a graph can be resumed with.
            by: Who decides.

        Returns:
            The approval as it stands now: still requested when more people must agree.

        Raises:
            PrincipalError: They may not.
            ConflictError: It was decided already, its time is over, or it is not what they were shown.
            InputError: There is no such approval, or the decision cannot be read.
        """
        with self._engine.store.write_and_know() as connection:
            taken = self._decide(connection, approval_id, decision, by)
        if isinstance(taken, Declined):
            raise taken.error
        return taken

    async def adecide(
        self,
        approval_id: str,
        decision: Decision | DecisionKind | Mapping[str, Any] | str | bool,
        *,
        by: Principal,
    ) -> ApprovalRequest:
        """As `decide`."""
        return await self._engine.store.database.arun(lambda: self.decide(approval_id, decision, by=by))

    def _decide(
        self, connection: Connection, approval_id: str, decision: Any, by: Principal
    ) -> ApprovalRequest | Declined:
        approval = approval_rows.load_by_id(connection, approval_id)
        if approval is None or approval.workflow != self._engine.definition.name:
            raise unknown_approval(approval_id)
        if isinstance(decision, DecisionKind):
            decision = decision.value
        if not isinstance(decision, Decision):
            wire = self._engine.definition.wire_names.get(approval.tool, approval.tool)
            decision = parse_answer(decision, tool=approval.tool, wire_name=wire)
        scope = outside_scope(approval.workflow_id, by)
        return decide(self._engine, connection, approval_id, decision, by=by, scope=scope)

    # Deadlines

    def tick(self, *, resume: bool = True, root: AnyGraph | None = None) -> Tick:
        """Let what is due happen: requests expire, are escalated or another edge is taken, what was granted is carried out, and waits end.

        It may run in as many processes as one likes, and beside the graph: each of these happens once.

        Args:
            resume: Whether to let the graphs go on that stand at what is settled: by this call, or by one before that was killed.
            root: The graph that the workflow runs inside of, if it does; let go on in its place.

        Returns:
            What this call did.
        """
        done, seen = Tick(), set[str]()
        while overdue := self._overdue(seen):
            for approval_id, workflow_id in overdue:
                seen.add(approval_id)
                try:
                    done.add(run(self._engine.store, lapse_one(self._engine, approval_id, workflow_id)))
                except (ConflictError, OutcomeUnknown) as error:
                    _log_skipped(approval_id, error)
        done = done.with_granted(carry_out_granted(self._engine))
        return done.with_waits(Deliveries(self._graph, root).tick(resume=resume))

    async def atick(self, *, resume: bool = True, root: AnyGraph | None = None) -> Tick:
        """As `tick`; to be awaited by an application now and then."""
        done, seen = Tick(), set[str]()
        while overdue := await self._engine.store.database.arun(lambda: self._overdue(seen)):
            for approval_id, workflow_id in overdue:
                seen.add(approval_id)
                try:
                    done.add(await arun(self._engine.store, lapse_one(self._engine, approval_id, workflow_id)))
                except (ConflictError, OutcomeUnknown) as error:
                    _log_skipped(approval_id, error)
        done = done.with_granted(await acarry_out_granted(self._engine))
        return done.with_waits(await Deliveries(self._graph, root).atick(resume=resume))

    def _overdue(self, seen: set[str]) -> list[tuple[str, str]]:
        store, name = self._engine.store, self._engine.definition.name
        with store.read() as connection:
            found = approval_listing.due(connection, workflow=name, now=store.now(connection), limit=BATCH + len(seen))
        return [ids for ids in found if ids[0] not in seen]

    # Going on

    def resume(self, which: str | RunnableConfig, *, by: Principal | None = None) -> dict[str, Any]:
        """Run the thread of an instance on, from where it waits: after a decision that was taken outside the graph.

        Args:
            which: The workflow id, or the config that its thread runs with.
            by: Who is shown the output; without one it is the application. The run itself goes on as those who proposed.

        Returns:
            The output of the run.

        Raises:
            RunError: There is no such instance for the tenant of `by`.
            PrincipalError: It serves somebody else than `by`.
            InputError: The instance has no thread of its own: it was made without one, or its graph is part of another one.
        """
        return dict(self._graph.invoke(None, self._thread_of(which, by)))

    async def aresume(self, which: str | RunnableConfig, *, by: Principal | None = None) -> dict[str, Any]:
        """As `resume`."""
        config = await self._engine.store.database.arun(lambda: self._thread_of(which, by))
        return dict(await self._graph.ainvoke(None, config))

    def _thread_of(self, which: str | RunnableConfig, by: Principal | None) -> RunnableConfig:
        name = self._engine.definition.name
        workflow_id = which if isinstance(which, str) else workflow_id_of(which.get("configurable", {}), name)
        if by is not None:
            looked_at(self._engine, {"workflow_id": workflow_id}, by)
        instance = self._engine.store.get(workflow_id)
        if instance.thread_id is None or instance.checkpoint_ns:
            raise InputError(
                f"The workflow {workflow_id} has no thread of its own to go on with: "
                + (
                    "it runs inside another graph. Run that one on."
                    if instance.checkpoint_ns
                    else "it was made without one."
                ),
                code="no_thread",
            )
        configurable: dict[str, Any] = {"thread_id": instance.thread_id}
        if workflow_id_of(configurable, name) != workflow_id:
            configurable["workflow_id"] = workflow_id
        return going_on(configurable, instance)

    # Learning

    def outcomes(
        self,
        *,
        by: Sequence[str] = learning.BY,
        tenant: str | None = "default",
        since: dt.datetime | None = None,
    ) -> list[dict[str, Any]]:
        """What became of this workflow's proposals that were asked about, as rows for a table or `pandas.DataFrame`.

        Args:
            by: What to group by: some of `tool`, `state` and `approver`. With `approver`, what several people decided on counts
                for each of them.
            tenant: Whose; None for everybody's.
            since: Asked since then.

        Returns:
            Per group: proposals, accepted, edited, rejected, responded, expired, void, pending, accepted_share, edited_fields,
            reasons, and the seconds to decide.

        Raises:
            InputError: `by` names something else.
        """
        if unknown := [name for name in by if name not in learning.BY]:
            raise InputError(
                f"Outcomes cannot be grouped by {', '.join(unknown)}; give some of {', '.join(learning.BY)}."
            )
        with self._engine.store.read() as connection:
            return learning.outcomes(connection, self._over(tenant, since), by=by)

    def tool_stats(self, *, tenant: str | None = "default", since: dt.datetime | None = None) -> list[dict[str, Any]]:
        """How the tools of this workflow fared, as rows for a table or `pandas.DataFrame`.

        Returns:
            Per tool: carried_out, reads, failed, unknown, rehearsed, retries, denied, denials by code, and how long it took where
            its effect is outside the database.
        """
        with self._engine.store.read() as connection:
            return learning.tools(connection, self._over(tenant, since))

    def examples(self, *, tenant: str | None = "default", since: dt.datetime | None = None) -> Iterator[JsonObject]:
        """The proposals that were edited, rejected or answered, as examples for evaluation; without what is sensitive.

        Returns:
            One object each: workflow, state, tool, the arguments as proposed and as edited, what was decided, by whom and why.
        """
        with self._engine.store.read() as connection:
            found = list(learning.examples(connection, self._over(tenant, since)))
        for one in found:
            contract = self._engine.definition.contracts.get(one.approval["tool"])
            sensitive = frozenset[str]() if contract is None else contract.sensitive
            decision = one.decision or {}
            yield {
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


def _log_skipped(approval_id: str, error: Exception) -> None:
    logger.info("the overdue approval %s is left for the next tick: %s", approval_id, error)


__all__ = ["ApprovalDesk", "Tick"]
