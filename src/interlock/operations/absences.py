"""Approvers who are away: somebody decides for them, an open request is given to other people, and those who are asked are reminded."""

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
from ..tools.errors import ContractError, InputError
from ..tools.ids import mint
from ..tools.principal import Principal, name_of

T = TypeVar("T")


class Absences:
    """Delegates, and requests that are given on, of one compiled workflow and its store."""

    _engine: Engine

    def delegate(
        self, to: str | Principal, *, by: Principal, until: Fixed, since: dt.datetime | None = None
    ) -> Delegation:
        """Let somebody decide for a person who is away, on every approval of the store's tenant that names that person (`by=`).

        The delegate decides for nobody whose delegate the person is, and not on what they proposed themselves. Where a rule asks for a role,
        the delegate must have it. The decision is recorded with the person on whose behalf it was taken.

        Args:
            to: Who decides for them.
            by: The person who is away; nobody can say it for somebody else.
            until: When it ends: a moment, or a duration from when it begins, such as `"14d"`.
            since: When it begins; now, without one.

        Raises:
            InputError: It names nobody, or themselves; or it ends before it begins, or has ended already.
        """
        delegate = to.id if isinstance(to, Principal) else name_of(to)
        if not by.is_known or not delegate or delegate == by.id:
            raise InputError("A delegation is made by somebody in particular, for somebody else. Nothing was changed.")
        if isinstance(to, Principal) and to.tenant != by.tenant:
            raise InputError(f"{to.id} belongs to another tenant than {by.id}. Nothing was changed.")
        try:
            check_within(since)
            check_within(until)
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
        """As `delegate`."""
        return await self._apart(partial(self.delegate, to, by=by, until=until, since=since))

    def end_delegation(self, delegation_id: str, *, by: Principal) -> None:
        """End a delegation before its time.

        Args:
            delegation_id: Which one.
            by: The person who made it.

        Raises:
            InputError: They have none of this id that is not over.
        """
        with self._engine.store.joined(None) as connection:
            now = self._engine.store.now(connection)
            if not delegation_rows.end(connection, delegation_id, tenant=by.tenant, person=by.id, now=now):
                raise InputError(f"{by.id} has no delegation {delegation_id!r} that is not over. Nothing was changed.")

    async def aend_delegation(self, delegation_id: str, *, by: Principal) -> None:
        """As `end_delegation`."""
        await self._apart(partial(self.end_delegation, delegation_id, by=by))

    def delegations(
        self, *, tenant: str = "default", by: Principal | None = None, limit: int = 100
    ) -> tuple[Delegation, ...]:
        """The delegations that are in force or begin later, those that end first at the beginning.

        Args:
            tenant: Whose. Where somebody looks, it is theirs.
            by: Who looks: they are shown those that they made, and those by which they decide for others; without one it is the application.
            limit: How many at most.
        """
        with self._engine.store.read() as connection:
            now = self._engine.store.now(connection)
            whose = (tenant, None) if by is None else (by.tenant, by.id)
            return tuple(delegation_rows.listed(connection, whose[0], now=now, person=whose[1], limit=limit))

    async def adelegations(
        self, *, tenant: str = "default", by: Principal | None = None, limit: int = 100
    ) -> tuple[Delegation, ...]:
        """As `delegations`."""
        found: tuple[Delegation, ...] = await self._apart(partial(self.delegations, tenant=tenant, by=by, limit=limit))
        return found

    def reassign(self, approval_id: str, to: People, *, by: Principal, reason: str | None = None) -> ApprovalRequest:
        """Give an open request to other people: they decide from now on, and those before no more.

        Args:
            approval_id: Which approval.
            to: Who decides: an id, several, or `RoleHolders(role)`. Neither its proposer, nor whoever gives it on, nor whoever agreed
                already. Where its rule asks for a role, they must have it when they decide.
            by: Who gives it on: anyone who may decide on it, a delegate excepted, or has the role of `Approval(reassign=...)`.
            reason: Why, for the record.

        Raises:
            PrincipalError: They may not.
            InputError: There is no such approval, or it cannot be given to these people.
            ConflictError: It waits no more.
        """
        with self._engine.store.joined(None) as connection:
            taken = reassign(self._engine, connection, approval_id, to, by=by, reason=reason)
        return _taken(taken)

    async def areassign(
        self, approval_id: str, to: People, *, by: Principal, reason: str | None = None
    ) -> ApprovalRequest:
        """As `reassign`."""
        return await self._apart(partial(self.reassign, approval_id, to, by=by, reason=reason))

    def remind(self, approval_id: str, *, by: Principal) -> ApprovalRequest:
        """Remind those who are asked that a request waits; it is recorded, and leaves as `interlock.somebody.needed.v1`.

        Args:
            approval_id: Which approval.
            by: Who reminds: anyone who may see it.

        Raises:
            PrincipalError: They may not see it.
            InputError: There is no such approval.
            ConflictError: It waits no more.
        """
        with self._engine.store.joined(None) as connection:
            taken = remind(
                self._engine, connection, approval_id, by=by, may=lambda one: self._sees(one, by, connection)
            )
        return _taken(taken)

    async def aremind(self, approval_id: str, *, by: Principal) -> ApprovalRequest:
        """As `remind`."""
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
