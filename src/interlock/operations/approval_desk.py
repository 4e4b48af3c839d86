"""Approvals from outside the graph: list them, read them, and decide."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy.engine import Connection

from ..checkpointing.store import ApprovalRequest, ApprovalStatus, Page
from ..checkpointing.store import approvals as approval_rows
from ..checkpointing.store import instances as instance_rows
from ..commands.approvals import entitlement
from ..commands.approvals.decisions import Declined, decide, may_see, unknown_approval
from ..commands.approvals.delegating import acts_for
from ..commands.approvals.payload import masked, payload
from ..commands.running.access import ownership_of, record_denial
from ..commands.running.scope import outside_scope
from ..tools.answers import parse_answer
from ..tools.approvals import Decision, DecisionKind
from ..tools.approvals.rule import DecisionName
from ..tools.canonical import JSON, JsonObject
from ..tools.errors import PrincipalError
from ..tools.principal import Principal
from .absences import Absences
from .compiled import CompiledWorkflow


class ApprovalDesk(Absences):
    """The approvals of one compiled workflow."""

    def __init__(self, graph: CompiledWorkflow) -> None:
        self._graph = graph
        self._engine = graph.engine

    # Reading

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
        """Return a page of this workflow's approvals, oldest first: by default those that wait for a decision.

        Args:
            tenant: The tenant; None for all of them. With `by`, it is always the tenant of `by`.
            status: The status of the approvals; None for any.
            tool: The canonical name of the tool; None for any.
            limit: The largest number of rows on the page, from 1 to 1000.
            after: The `next` of the previous page.
            by: The principal who looks. The page then has only approvals of instances that they may run, that they requested, or on which
                they may decide. Without one, the application itself looks.

        Raises:
            InputError: `after` is not the `next` of a page, or the limit is out of bounds.
        """
        store, name = self._engine.store, self._engine.definition.name
        tenant = tenant if by is None else by.tenant
        page = store.approvals(tenant=tenant, status=status, workflow=name, tool=tool, limit=limit, after=after)
        if by is None:
            return page
        return replace(page, approvals=tuple(one for one in page.approvals if self._sees(one, by)))

    async def aapprovals(
        self,
        *,
        tenant: str | None = "default",
        status: ApprovalStatus | str | None = ApprovalStatus.REQUESTED,
        tool: str | None = None,
        limit: int = 50,
        after: str | None = None,
        by: Principal | None = None,
    ) -> Page:
        """Asynchronous form of `approvals`, with the same arguments, result and errors."""
        return await self._engine.store.database.arun(
            lambda: self.approvals(tenant=tenant, status=status, tool=tool, limit=limit, after=after, by=by)
        )

    def approval(self, approval_id: str, *, by: Principal | None = None) -> JsonObject:
        """Return one approval as an approver sees it, with the decisions on it so far.

        Args:
            approval_id: The ID of the approval.
            by: The principal who looks. Without one, the application itself looks.

        Raises:
            InputError: This workflow has no such approval, or it belongs to another tenant than that of `by`.
            PrincipalError: The approval asks somebody other than `by`.
        """
        store = self._engine.store
        request = self._request(approval_id, by)
        decided: list[JSON] = [
            {
                "decision": one.kind.value,
                "by": one.principal.id,
                "arguments": one.arguments,
                "message": one.message,
                **({} if one.on_behalf_of is None else {"onBehalfOf": one.on_behalf_of}),
            }
            for one in store.decisions(approval_id)
        ]
        shown: JsonObject = {**payload(self._engine, request), "status": request.status.value, "decisions": decided}
        return shown if by is None or self._may_decide(request, by) else masked(self._engine, request, shown)

    async def aapproval(self, approval_id: str, *, by: Principal | None = None) -> JsonObject:
        """Asynchronous form of `approval`, with the same arguments, result and errors."""
        return await self._engine.store.database.arun(lambda: self.approval(approval_id, by=by))

    def why_not_decide(
        self, approval_id: str, *, by: Principal, kind: DecisionKind | DecisionName = DecisionKind.APPROVE
    ) -> str | None:
        """Return why a principal may not decide on an open approval, or None if they may. Nothing is decided.

        Args:
            approval_id: The ID of the approval.
            by: The principal who would decide.
            kind: The decision that they would take.

        Raises:
            InputError: This workflow has no such approval, or it belongs to another tenant.
            PrincipalError: `by` may not see the approval.
        """
        request = self._request(approval_id, by)
        with self._engine.store.read() as connection:
            instance = instance_rows.load(connection, request.workflow_id)
            return (
                None
                if instance is None
                else entitlement.why_not_decide(
                    self._engine, connection, request, instance, by, kind=DecisionKind(kind)
                )
            )

    async def awhy_not_decide(
        self, approval_id: str, *, by: Principal, kind: DecisionKind | DecisionName = DecisionKind.APPROVE
    ) -> str | None:
        """Asynchronous form of `why_not_decide`, with the same arguments, result and errors."""
        return await self._engine.store.database.arun(lambda: self.why_not_decide(approval_id, by=by, kind=kind))

    def _may_decide(self, request: ApprovalRequest, by: Principal) -> bool:
        rules = (request.rule, *request.first_rule.stages)
        with self._engine.store.read() as connection:
            instance = instance_rows.load(connection, request.workflow_id)
            theirs = acts_for(self._engine, connection, request, by, rules=rules)
        served = None if instance is None else instance.served
        whose, kind = request.requester, DecisionKind.REJECT
        return any(
            rule.why_not(requester=whose, by=by, kind=kind, served=served, acts_for=theirs) is None for rule in rules
        )

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

    def _sees(self, request: ApprovalRequest, by: Principal, connection: Connection | None = None) -> bool:
        if connection is None:
            with self._engine.store.read() as reading:
                return self._sees(request, by, reading)
        instance = instance_rows.load(connection, request.workflow_id)
        if instance is None:
            return False
        ownership = ownership_of(self._engine, instance)
        if may_see(request, ownership, by):
            return True
        rules = (request.rule, *request.first_rule.stages)
        theirs = acts_for(self._engine, connection, request, by, rules=rules)
        return bool(theirs) and may_see(request, ownership, by, acts_for=theirs)

    # Deciding

    def decide(
        self,
        approval_id: str,
        decision: Decision | DecisionKind | Mapping[str, Any] | str | bool,
        *,
        by: Principal,
        connection: Connection | None = None,
    ) -> ApprovalRequest:
        """Decide on an approval, without running the graph. The graph uses the decision when it is resumed (`resume`, or
        `graph.invoke(None, config)`).

        Args:
            approval_id: The ID of the approval.
            decision: A `Decision`, or any answer with which a graph can be resumed, such as `"approve"`.
            by: The principal who decides.
            connection: A connection of the application, with an open transaction on the same database, which records the decision. It
                counts once the application commits. A declined decision is also recorded only if the application commits.

        Returns:
            The approval with its new status, which stays `requested` while more people must agree.

        Raises:
            PrincipalError: `by` is not allowed to.
            ConflictError: The approval was decided already, has expired, or is not what the person was shown.
            InputError: There is no such approval, or the decision has an invalid shape.
        """
        with self._engine.store.joined(connection) as joined:
            taken = self._decide(joined, approval_id, decision, by)
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
        """Asynchronous form of `decide`, with the same arguments, result and errors."""
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
        taken = decide(self._engine, connection, approval_id, decision, by=by, scope=scope)
        if isinstance(taken, ApprovalRequest) and taken.status is not ApprovalStatus.REQUESTED:
            self._engine.store.note_due(connection, taken.workflow_id, f"approval/{approval_id}")
        return taken


__all__ = ["ApprovalDesk"]
