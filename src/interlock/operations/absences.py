"""Operations for absent approvers: delegate decisions, reassign open requests, and send reminders."""

import datetime as dt
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from sqlalchemy.engine import Connection

from ..checkpointing.store import ApprovalRequest
from ..checkpointing.store.delegating import delegations as delegation_rows
from ..checkpointing.store.delegating.delegations import Delegation
from ..commands.approvals.decisions import Declined
from ..commands.approvals.handing_on import reassign, remind
from ..commands.running.engine import Engine
from ..tools.approvals.deadlines import Fixed, check_within, due
from ..tools.approvals.deciders import People
from ..tools.errors import ContractError, InputError, PrincipalError
from ..tools.ids import mint
from ..tools.principal import Principal, checked_name

T = TypeVar("T")


class Absences:
    """Delegations, reassignments and reminders of one compiled workflow and its store."""

    _engine: Engine

    def delegate(
        self, to: str | Principal, *, by: Principal, until: Fixed, since: dt.datetime | None = None
    ) -> Delegation:
        """Delegate a person's decisions during an absence, on every approval of the tenant in this store that names that person (`by=`).

        Delegations do not chain, and a delegate cannot decide on their own proposals. If a rule requires a role, the delegate must have it.
        A decision is recorded with the person on whose behalf it was made.

        Args:
            to: The delegate: an ID or a `Principal`.
            by: The absent person. Nobody can create a delegation for somebody else.
            until: The end: a moment, or a duration from the start, such as `"14d"`.
            since: The start; by default now.

        Raises:
            InputError: The delegate is nobody, or the person themselves; or the delegation would end before it starts, or has ended already.
        """
        try:
            delegate = to.id if isinstance(to, Principal) else checked_name("The id of the delegate", to)
        except PrincipalError as error:
            raise InputError(f"{error.message}. Nothing was changed.") from error
        if not by.is_known or delegate == by.id:
            raise InputError("A delegation is made by somebody in particular, for somebody else. Nothing was changed.")
        if isinstance(to, Principal) and to.tenant != by.tenant:
            raise InputError(f"{to.id} belongs to another tenant than {by.id}. Nothing was changed.")
        try:
            for moment in (since, until):
                check_within(moment)
                if callable(moment):
                    raise ContractError(
                        f"{moment!r} is a function; a delegation begins and ends at a moment, or after a duration."
                    )
        except ContractError as error:
            raise InputError(f"{error.message} Nothing was changed.") from error
        with self._engine.store.joined(None) as connection:
            now = self._engine.store.now(connection)
            begins = now if since is None else due(since, now)
            ends = None if begins is None else due(until, begins)
            if begins is None or ends is None or ends <= max(begins, now):
                raise InputError("A delegation ends after it begins, and later than now. Nothing was changed.")
            made = Delegation(mint("del"), by.tenant, by.id, delegate, begins, ends, now, None)
            delegation_rows.insert(connection, made)
        return made

    async def adelegate(
        self, to: str | Principal, *, by: Principal, until: Fixed, since: dt.datetime | None = None
    ) -> Delegation:
        """Asynchronous form of `delegate`, with the same arguments, result and errors."""
        return await self._apart(partial(self.delegate, to, by=by, until=until, since=since))

    def end_delegation(self, delegation_id: str, *, by: Principal) -> None:
        """End a delegation early.

        Args:
            delegation_id: The ID of the delegation.
            by: The person who made it.

        Raises:
            InputError: `by` has no such delegation, or it has ended.
        """
        with self._engine.store.joined(None) as connection:
            now = self._engine.store.now(connection)
            if not delegation_rows.end(connection, delegation_id, tenant=by.tenant, person=by.id, now=now):
                raise InputError(f"{by.id} has no delegation {delegation_id!r} that is not over. Nothing was changed.")

    async def aend_delegation(self, delegation_id: str, *, by: Principal) -> None:
        """Asynchronous form of `end_delegation`, with the same arguments, result and errors."""
        await self._apart(partial(self.end_delegation, delegation_id, by=by))

    def delegations(
        self, *, tenant: str = "default", by: Principal | None = None, limit: int = 100
    ) -> tuple[Delegation, ...]:
        """Return the delegations that are in force or begin later, ordered by their end.

        Args:
            tenant: The tenant. With `by`, it is always the tenant of `by`.
            by: The principal who looks. They see the delegations that they made, and those that make them a delegate. Without one, the
                application itself looks.
            limit: The maximum number.
        """
        with self._engine.store.read() as connection:
            now = self._engine.store.now(connection)
            whose = (tenant, None) if by is None else (by.tenant, by.id)
            return tuple(delegation_rows.listed(connection, whose[0], now=now, person=whose[1], limit=limit))

    async def adelegations(
        self, *, tenant: str = "default", by: Principal | None = None, limit: int = 100
    ) -> tuple[Delegation, ...]:
        """Asynchronous form of `delegations`, with the same arguments, result and errors."""
        found: tuple[Delegation, ...] = await self._apart(partial(self.delegations, tenant=tenant, by=by, limit=limit))
        return found

    def reassign(self, approval_id: str, to: People, *, by: Principal, reason: str | None = None) -> ApprovalRequest:
        """Assign an open request to other people, who decide from now on in place of the previous ones.

        Args:
            approval_id: The ID of the approval.
            to: The people who decide: one ID, several IDs, or `RoleHolders(role)`. Not the proposer, not `by`, and nobody who has agreed
                already. If the rule requires a role, they must have it when they decide.
            by: The principal who reassigns it: somebody who may decide on it (not as a delegate), or who has the role of
                `Approval(reassign=...)`.
            reason: The reason, which is recorded.

        Raises:
            PrincipalError: `by` is not allowed to.
            InputError: There is no such approval, or it cannot be assigned to these people.
            ConflictError: It no longer waits for a decision.
        """
        with self._engine.store.joined(None) as connection:
            taken = reassign(self._engine, connection, approval_id, to, by=by, reason=reason)
        return _taken(taken)

    async def areassign(
        self, approval_id: str, to: People, *, by: Principal, reason: str | None = None
    ) -> ApprovalRequest:
        """Asynchronous form of `reassign`, with the same arguments, result and errors."""
        return await self._apart(partial(self.reassign, approval_id, to, by=by, reason=reason))

    def remind(self, approval_id: str, *, by: Principal) -> ApprovalRequest:
        """Remind the people who are asked that a request waits. The reminder is recorded, and sent as the event
        `interlock.somebody.needed.v1`.

        Args:
            approval_id: The ID of the approval.
            by: The principal who reminds them: anyone who may see the approval.

        Raises:
            PrincipalError: `by` may not see it.
            InputError: There is no such approval.
            ConflictError: It no longer waits for a decision.
        """
        with self._engine.store.joined(None) as connection:
            taken = remind(
                self._engine, connection, approval_id, by=by, may=lambda one: self._sees(one, by, connection)
            )
        return _taken(taken)

    async def aremind(self, approval_id: str, *, by: Principal) -> ApprovalRequest:
        """Asynchronous form of `remind`, with the same arguments, result and errors."""
        return await self._apart(partial(self.remind, approval_id, by=by))

    def _sees(self, request: ApprovalRequest, by: Principal, connection: Connection | None = None) -> bool:
        raise NotImplementedError

    async def _apart(self, work: Callable[[], T]) -> T:
        return await self._engine.store.database.arun(work)


def _taken(taken: ApprovalRequest | Declined) -> ApprovalRequest:
    if isinstance(taken, Declined):
        raise taken.error
    return taken


__all__ = ["Absences"]
