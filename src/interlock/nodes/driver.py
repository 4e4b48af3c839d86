"""One body for sync and async: nodes are generators that yield what they need done, and two small drivers do it.

The generators hold all the logic. A driver runs a transaction, a model or a tool's body, and sends the outcome back in.
"""

import asyncio
import contextlib
import contextvars
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from concurrent.futures import Future
from concurrent.futures import wait as futures_wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import sqlalchemy as sa
from langchain_core.runnables import Runnable, RunnableConfig
from pydantic import BaseModel
from sqlalchemy.engine import Connection

from ..checkpointing.database import Database
from ..checkpointing.fault_points import FaultPoint, reach
from ..checkpointing.faults import translate
from ..checkpointing.store import WorkflowStore, leases
from ..tools.context import ToolContext
from ..tools.contracts import ToolContract
from ..tools.errors import ContextError, InvalidOutput, NotADatabase, ReadOnlyStore, RunError, StoreUnavailable

if TYPE_CHECKING:  # SQLAlchemy's ORM is imported for the first tool that asks for its session
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
    from sqlalchemy.orm import Session

T = TypeVar("T")
Steps = Generator["Operation", Any, T]
"""What a node's body is: it yields operations and returns its result."""


@dataclass(frozen=True)
class InStore:
    """Run `work` in one transaction of the workflow store and give back what it returns."""

    work: Callable[[Connection], Any]
    write: bool = True


@dataclass(frozen=True)
class Ask:
    """Invoke a runnable (a model, a node, a subgraph) and give back what it returns."""

    runnable: Runnable[Any, Any]
    value: Any
    config: RunnableConfig


@dataclass
class Attempt:
    """One execution of a tool's body that is ready to run."""

    contract: ToolContract
    arguments: BaseModel
    context: ToolContext
    sessions: "Sessions"


@dataclass(frozen=True)
class Body:
    """Run a tool's body outside any transaction, with a read-only session if it asks for one.

    Its exceptions come back as they are. Where it takes longer than its contract allows, an `OutOfTimeError` does; a body that is
    not async cannot be stopped, and runs on in a thread of its own.
    """

    attempt: Attempt
    owner: str | None = None
    """Who carries it out, for an effect outside the database: it counts as running for as long as the body does."""


@dataclass(frozen=True)
class Transact:
    """Run a tool's body inside one write transaction.

    Attributes:
        contract: Decides, by whether it is async, how the transaction is run.
        begin: Judges; returns an `Attempt` to go on with, or anything else to commit what it wrote and answer with.
        finish: Given the attempt and the body's output, writes the transition; its answer is the outcome.
        failed: Given the attempt and the body's exception, in a new transaction, after everything was rolled back.
    """

    contract: ToolContract
    begin: Callable[[Connection, "Sessions"], Any]
    finish: Callable[[Connection, Attempt, Any], Any]
    failed: Callable[[Connection, Attempt, Exception], Any]


@dataclass(frozen=True)
class Await:
    """Wait until `done` says yes; give up with `error` when it still says no after `seconds`."""

    done: Callable[[], bool]
    seconds: float
    error: Callable[[], Exception]


@dataclass(frozen=True)
class Pause:
    """Wait before the next attempt."""

    seconds: float


@dataclass(frozen=True)
class Startable:
    """Make sure that a tool can be run here at all, before anything is written about it."""

    contract: ToolContract


Operation = InStore | Ask | Body | Transact | Await | Pause | Startable


class Sessions(Protocol):
    """Opens the session of a tool's context when it is asked for, and flushes and closes it afterwards."""

    def open(self) -> Any:
        """The session: a Session, or an AsyncSession for an async tool."""


class _Sync:
    def __init__(self, connection: Callable[[], Connection]) -> None:
        self._connection = connection
        self.session: Session | None = None

    def open(self) -> "Session":
        if self.session is None:
            from sqlalchemy.orm import Session  # noqa: PLC0415 -- see above

            self.session = Session(bind=self._connection(), join_transaction_mode="rollback_only")
        return self.session


class _Async:
    def __init__(self, connection: "Callable[[], AsyncConnection]") -> None:
        self._connection = connection
        self.session: AsyncSession | None = None

    def open(self) -> "AsyncSession":
        if self.session is None:
            from sqlalchemy.ext.asyncio import AsyncSession  # noqa: PLC0415 -- see above

            self.session = AsyncSession(bind=self._connection(), join_transaction_mode="rollback_only")
        return self.session


class BodyFailedError(Exception):
    """Carries the exception of a tool's body out of its transaction, so that it is not taken for the store's own."""

    def __init__(self, attempt: Attempt, cause: Exception) -> None:
        super().__init__(str(cause))
        self.attempt = attempt
        self.cause = cause


class OutOfTimeError(TimeoutError):
    """A tool's body took longer than its contract allows."""


def run(store: WorkflowStore, steps: Steps[T]) -> T:
    """Drive a node's body synchronously."""
    return _drive(steps, lambda operation: _perform(store, operation))


async def arun(store: WorkflowStore, steps: Steps[T]) -> T:
    """Drive a node's body asynchronously: transactions and sync tools run in the store's threads, off the event loop."""
    outcome: Any = None
    failure: BaseException | None = None
    while True:
        try:
            operation = steps.send(outcome) if failure is None else steps.throw(failure)
        except StopIteration as stop:
            return cast("T", stop.value)
        outcome, failure = None, None
        try:
            outcome = await _aperform(store, operation)
        except Exception as error:
            failure = error
        except BaseException:
            steps.close()  # cancelled: what it holds is given back now, and not when nobody remembers it any more
            raise


def _drive(steps: Steps[T], perform: Callable[[Operation], Any]) -> T:
    outcome: Any = None
    failure: BaseException | None = None
    while True:
        try:
            operation = steps.send(outcome) if failure is None else steps.throw(failure)
        except StopIteration as stop:
            return cast("T", stop.value)
        outcome, failure = None, None
        try:
            outcome = perform(operation)
        except Exception as error:
            failure = error
        except BaseException:
            steps.close()
            raise


def _perform(store: WorkflowStore, operation: Operation) -> Any:
    match operation:
        case InStore(work, write):
            with store.write() if write else store.read() as connection:
                return work(connection)
        case Ask(runnable, value, config):
            return runnable.invoke(value, config)
        case Body(attempt, owner) if owner is not None:
            _refuse_async(attempt.contract)
            return _outside(attempt, owner)
        case Body(attempt):
            _refuse_async(attempt.contract)
            with _read_only(store.database, attempt):
                return attempt.contract.call(attempt.arguments, attempt.context)
        case Transact():
            _refuse_async(operation.contract)
            return _transact(store, operation)
        case Await(done, seconds, error):
            if not store.wait_until(done, seconds):
                raise error()
            return None
        case Pause(seconds):
            store.wait_until(lambda: False, seconds)
            return None
        case Startable(contract):
            _refuse_async(contract)
            return None


async def _aperform(store: WorkflowStore, operation: Operation) -> Any:
    database = store.database
    match operation:
        case Ask(runnable, value, config):
            return await runnable.ainvoke(value, config)
        case Body(attempt, owner) if attempt.contract.is_async and owner is not None:
            return await _aoutside(attempt, owner)
        case Body(attempt) if attempt.contract.is_async:
            async with _aread_only(database, attempt):
                return await cast("Awaitable[Any]", attempt.contract.call(attempt.arguments, attempt.context))
        case Transact() if operation.contract.is_async:
            return await _atransact(store, operation)
        case Pause(seconds):
            await asyncio.sleep(seconds)
            return None
        case Startable():
            return None
        case _:
            return await database.arun(lambda: _perform(store, operation))


def _outside(attempt: Attempt, owner: str) -> Any:
    """Run the body of an effect outside the database, for no longer than its contract allows."""

    def body() -> Any:
        with leases.holding(owner), contextlib.closing(attempt.context):
            reach(FaultPoint.BEFORE_EFFECT)
            leases.check(owner)
            output = attempt.contract.call(attempt.arguments, attempt.context)
            reach(FaultPoint.AFTER_EFFECT)
            return output

    if attempt.contract.timeout is None:
        return body()
    answer: Future[Any] = Future()

    def answered() -> None:
        try:
            answer.set_result(context.run(body))
        except BaseException as error:
            answer.set_exception(error)

    # Not from a pool: a body that hangs must keep neither other bodies waiting nor the process from ending.
    context = contextvars.copy_context()
    threading.Thread(target=answered, name=f"interlock-{attempt.contract.name}", daemon=True).start()
    done, _ = futures_wait([answer], timeout=attempt.contract.timeout)
    if not done:
        raise _out_of_time(attempt.contract)
    return answer.result()


async def _aoutside(attempt: Attempt, owner: str) -> Any:
    """As `_outside`, for an asynchronous body, which is cancelled when its time is over."""
    with leases.holding(owner), contextlib.closing(attempt.context):
        reach(FaultPoint.BEFORE_EFFECT)
        leases.check(owner)
        output = await _in_time(attempt)
        reach(FaultPoint.AFTER_EFFECT)
        return output


async def _in_time(attempt: Attempt) -> Any:
    limit = asyncio.timeout(attempt.contract.timeout)
    try:
        async with limit:
            return await cast("Awaitable[Any]", attempt.contract.call(attempt.arguments, attempt.context))
    except TimeoutError as error:
        if limit.expired():
            raise _out_of_time(attempt.contract) from error
        raise


def _timed(attempt: Attempt) -> Any:
    """Run a body inside a transaction. It cannot be stopped there, but when it was late nothing of it is kept."""
    began = time.monotonic()
    output = attempt.contract.call(attempt.arguments, attempt.context)
    limit = attempt.contract.timeout
    if limit is not None and time.monotonic() - began > limit:
        raise _out_of_time(attempt.contract)
    return output


def _out_of_time(contract: ToolContract) -> OutOfTimeError:
    return OutOfTimeError(f"{contract.name} took longer than the {contract.timeout} s that its contract allows")


def _transact(store: WorkflowStore, operation: Transact) -> Any:
    try:
        with store.write() as connection:
            sessions = _Sync(lambda: connection)
            attempt = operation.begin(connection, sessions)
            if not isinstance(attempt, Attempt):
                return attempt
            transaction = connection.get_transaction()
            try:
                reach(FaultPoint.BEFORE_EFFECT)
                output = _timed(attempt)
                if sessions.session is not None:
                    sessions.session.flush()
                reach(FaultPoint.AFTER_EFFECT)
            except Exception as error:
                raise _body_failed(attempt, error, store.database) from error
            finally:
                attempt.context.close()
                if sessions.session is not None:
                    sessions.session.close()
            _still_open(connection, transaction, attempt.contract)
            return _finished(operation, connection, attempt, output)
    except BodyFailedError as failure:
        failed = failure
    with store.write() as connection:
        return operation.failed(connection, failed.attempt, failed.cause)


async def _atransact(store: WorkflowStore, operation: Transact) -> Any:
    await store.database.arun(store.setup)
    try:
        async with store.database.awrite() as connection:
            sessions = _Async(lambda: connection)
            attempt = await connection.run_sync(lambda sync: operation.begin(sync, sessions))
            if not isinstance(attempt, Attempt):
                return attempt
            transaction = connection.sync_connection.get_transaction() if connection.sync_connection else None
            try:
                reach(FaultPoint.BEFORE_EFFECT)
                output = await _in_time(attempt)
                if sessions.session is not None:
                    await sessions.session.flush()
                reach(FaultPoint.AFTER_EFFECT)
            except Exception as error:
                raise _body_failed(attempt, error, store.database) from error
            finally:
                attempt.context.close()
                if sessions.session is not None:
                    await sessions.session.close()
            ready = attempt

            def finish(sync: Connection) -> Any:
                _still_open(sync, transaction, ready.contract)
                return _finished(operation, sync, ready, output)

            done = await connection.run_sync(finish)
            reach(FaultPoint.BEFORE_COMMIT)
        reach(FaultPoint.AFTER_COMMIT)
        return done
    except BodyFailedError as failure:
        failed = failure

    def record() -> Any:
        with store.write() as connection:
            return operation.failed(connection, failed.attempt, failed.cause)

    return await store.database.arun(record)


@contextlib.contextmanager
def _read_only(database: Database, attempt: Attempt) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        sessions = _Sync(lambda: stack.enter_context(database.read_only()))
        _adopt(attempt, sessions)
        try:
            yield
        finally:
            attempt.context.close()
            if sessions.session is not None:
                sessions.session.close()


@contextlib.asynccontextmanager
async def _aread_only(database: Database, attempt: Attempt) -> AsyncIterator[None]:
    async with contextlib.AsyncExitStack() as stack:
        connection: AsyncConnection | None = None
        if attempt.contract.takes_context and attempt.contract.effect is None:
            connection = await stack.enter_async_context(database.aread_only())
        sessions = _Async(lambda: cast("AsyncConnection", connection))
        _adopt(attempt, sessions)
        try:
            yield
        finally:
            attempt.context.close()
            if sessions.session is not None:
                await sessions.session.close()


def _adopt(attempt: Attempt, sessions: Sessions) -> None:
    """Give a read its session; a command outside the store's transaction has none, and its context says why."""
    if isinstance(attempt.sessions, Later):
        attempt.sessions.target = sessions


class Later:
    """Sessions that are only known when the body is about to run."""

    target: Sessions | None = None

    def open(self) -> Any:
        """The session of the target."""
        if self.target is None:
            raise ContextError("The session is only there while the tool's body runs; do not keep ctx beyond it.")
        return self.target.open()


def _finished(operation: Transact, connection: Connection, attempt: Attempt, output: Any) -> Any:
    try:
        return operation.finish(connection, attempt, output)
    except InvalidOutput as error:
        raise BodyFailedError(attempt, error) from error


def _body_failed(attempt: Attempt, error: Exception, database: Database) -> Exception:
    """The store's own trouble stays what it is; everything else that a body raises is the body's."""
    if isinstance(error, sa.exc.DBAPIError):
        trouble = translate(error, database.engine.url)
        if isinstance(trouble, (StoreUnavailable, ReadOnlyStore, NotADatabase)):
            return trouble
    return BodyFailedError(attempt, error)


def _still_open(connection: Connection, transaction: Any, contract: ToolContract) -> None:
    if transaction is None or not transaction.is_active or connection.get_transaction() is not transaction:
        raise ContextError(
            f"The tool {contract.name} ended the transaction that it was given: do not call commit() or rollback() on ctx.session. "
            "Nothing of this call was kept; raise interlock.Refused to undo what the tool wrote."
        )


def _refuse_async(contract: ToolContract) -> None:
    if contract.is_async:
        raise RunError(
            f"The tool {contract.name} is async, and the workflow was run with invoke() or stream(). Nothing was done; "
            "run it with ainvoke() or astream(), and resume it so.",
            code="async_tool",
        )
