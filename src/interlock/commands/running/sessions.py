"""The sessions of tools: opened on first use, and closed with the attempt."""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy.engine import Connection

from ...checkpointing.database import Database
from ...tools.errors import ContextError
from .operations import Attempt, Sessions
from .unended import guard, unguard

if TYPE_CHECKING:  # imports SQLAlchemy's ORM only for the first tool that uses its session
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
    from sqlalchemy.orm import Session


class SyncSession:
    """The Session of a connection."""

    def __init__(self, connection: Callable[[], Connection], *, guarded: bool = False) -> None:
        self._connection = connection
        self._guarded = guarded
        self.session: Session | None = None

    def open(self) -> "Session":
        """The session of this attempt."""
        if self.session is None:
            from sqlalchemy.orm import Session  # noqa: PLC0415 -- see above

            connection = self._connection()
            self.session = Session(bind=connection, join_transaction_mode="rollback_only")
            if self._guarded:
                guard(connection)
        return self.session

    def close(self) -> None:
        """Close the session; its owner can use the transaction again."""
        if self.session is not None:
            if self._guarded:
                unguard(self._connection())
            self.session.close()


class AsynchronousSession:
    """The AsyncSession of a connection, for an async tool."""

    def __init__(self, connection: "Callable[[], AsyncConnection]", *, guarded: bool = False) -> None:
        self._connection = connection
        self._guarded = guarded
        self.session: AsyncSession | None = None

    def open(self) -> "AsyncSession":
        """The session of this attempt."""
        if self.session is None:
            from sqlalchemy.ext.asyncio import AsyncSession  # noqa: PLC0415 -- see above

            connection = self._connection()
            self.session = AsyncSession(bind=connection, join_transaction_mode="rollback_only")
            if self._guarded:
                guard(connection.sync_connection)  # type: ignore[arg-type]  # it is open
        return self.session

    async def close(self) -> None:
        """Close the session; its owner can use the transaction again."""
        if self.session is not None:
            if self._guarded:
                unguard(self._connection().sync_connection)  # type: ignore[arg-type]  # as above
            await self.session.close()


@contextlib.contextmanager
def read_only(database: Database, attempt: Attempt) -> Iterator[None]:
    """Provide a read with a session on a read-only connection during the block."""
    with contextlib.ExitStack() as stack:
        sessions = SyncSession(lambda: stack.enter_context(database.read_only()))
        _adopt(attempt, sessions)
        try:
            yield
        finally:
            attempt.context.close()
            if sessions.session is not None:
                sessions.session.close()


@contextlib.asynccontextmanager
async def aread_only(database: Database, attempt: Attempt) -> AsyncIterator[None]:
    """As `read_only`, for an async read."""
    async with contextlib.AsyncExitStack() as stack:
        connection: AsyncConnection | None = None
        if attempt.contract.takes_context and attempt.contract.effect is None:
            connection = await stack.enter_async_context(database.aread_only())
        sessions = AsynchronousSession(lambda: cast("AsyncConnection", connection))
        _adopt(attempt, sessions)
        try:
            yield
        finally:
            attempt.context.close()
            if sessions.session is not None:
                await sessions.session.close()


def _adopt(attempt: Attempt, sessions: Sessions) -> None:
    """Provide a read with its session; a command outside the store's transaction has none, and its context explains why."""
    if isinstance(attempt.sessions, Later):
        attempt.sessions.target = sessions


class Later:
    """A placeholder for sessions that exist only when the body is about to run."""

    target: Sessions | None = None

    def open(self) -> Any:
        """The session of the target."""
        if self.target is None:
            raise ContextError("The session is only there while the tool's body runs; do not keep ctx beyond it.")
        return self.target.open()
