"""One body for sync and async: nodes are generators that yield operations, and two small drivers execute them.

The generators contain all the logic. A driver runs a transaction, a model or a tool's body, and sends the result back. A synchronous
driver runs the body of an async tool on the library's own event loop (`checkpointing.connecting.own_loop`).
"""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...checkpointing.connecting.own_loop import OWN_LOOP
from ...checkpointing.database import Database
from ...checkpointing.fault_points import FaultPoint, reach
from ...checkpointing.faults import translate
from ...checkpointing.store import WorkflowStore
from ...checkpointing.threads import Work
from ...tools.contracts import ToolContract
from ...tools.errors import ContextError, InvalidOutput, NotADatabase, ReadOnlyStore, RunError, StoreUnavailable
from .operations import (
    Ask,
    Attempt,
    Await,
    Body,
    Either,
    InStore,
    Look,
    Operation,
    Pause,
    SideBySide,
    Startable,
    Steps,
    Transact,
)
from .sessions import AsynchronousSession, SyncSession
from .tool_bodies import arun_outside, arun_read, in_time, run_outside, run_read, timed

T = TypeVar("T")


class BodyFailedError(Exception):
    """Carries the exception of a tool's body out of its transaction, to distinguish it from errors of the store."""

    def __init__(self, attempt: Attempt, cause: Exception) -> None:
        super().__init__(cause)  # as it is: its text is the application's own code, which may raise
        self.attempt = attempt
        self.cause = cause


def run(store: WorkflowStore, steps: Steps[T]) -> T:
    """Drive a node's body synchronously."""
    return _drive(steps, lambda operation: _perform(store, operation))


async def arun(store: WorkflowStore, steps: Steps[T]) -> T:
    """Drive a node's body asynchronously: transactions and sync tools run in threads, off the event loop."""
    outcome: Any = None
    failure: BaseException | None = None
    while True:
        try:
            operation = steps.send(outcome) if failure is None else steps.throw(failure)
        except StopIteration as stop:
            done: T = stop.value
            return done
        outcome, failure = None, None
        try:
            outcome = await _aperform(store, operation)
        except Exception as error:
            failure = error
        except BaseException:
            steps.close()  # cancelled: release its resources now, and not at garbage collection
            raise


def _drive(steps: Steps[T], perform: Callable[[Operation], Any]) -> T:
    outcome: Any = None
    failure: BaseException | None = None
    while True:
        try:
            operation = steps.send(outcome) if failure is None else steps.throw(failure)
        except StopIteration as stop:
            done: T = stop.value
            return done
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
        case Body(attempt) if attempt.contract.is_async:
            return _on_own_loop(attempt.contract, lambda: _abody(store, operation))
        case Body():
            return _body(store, operation)
        case Transact() if operation.contract.is_async:
            return _on_own_loop(operation.contract, lambda: _atransact(store, operation))
        case Transact():
            return _transact(store, operation)
        case Await(done, seconds, error):
            if not store.wait_until(done, seconds):
                raise error()
            return None
        case Look(work) | Either(work, _):
            return work()
        case Pause(seconds):
            store.wait_until(lambda: False, seconds)
            return None
        case Startable(contract):
            _check_startable(contract)
            return None
        case SideBySide(bodies, at_once):
            return _side_by_side(store, bodies, at_once)


async def _aperform(store: WorkflowStore, operation: Operation) -> Any:
    database = store.database
    match operation:
        case Ask(runnable, value, config):
            return await runnable.ainvoke(value, config)
        case Body(attempt) if attempt.contract.runs_async:
            return await _abody(store, operation)
        case Transact() if operation.contract.is_async:
            return await _atransact(store, operation)
        case Pause(seconds):
            await asyncio.sleep(seconds)
            return None
        case Startable():
            return None
        case Either(_, awork):
            return await awork()
        case SideBySide(bodies, at_once):
            return await _aside_by_side(store, bodies, at_once)
        case Body():
            return await database.threads.run(Work.TOOL, lambda: _perform(store, operation))
        case Transact():
            return await database.threads.run(Work.TRANSACTION, lambda: _perform(store, operation))
        case _:
            return await database.arun(lambda: _perform(store, operation))


def _transact(store: WorkflowStore, operation: Transact) -> Any:
    try:
        with store.write() as connection:
            sessions = SyncSession(lambda: connection, guarded=True)
            attempt = operation.begin(connection, sessions)
            if not isinstance(attempt, Attempt):
                return attempt
            transaction = connection.get_transaction()
            try:
                reach(FaultPoint.BEFORE_EFFECT)
                output = timed(attempt)
                if sessions.session is not None:
                    sessions.session.flush()
                reach(FaultPoint.AFTER_EFFECT)
            except Exception as error:
                _abandon_ended(connection, transaction)
                raise _body_failed(attempt, error, store.database) from error
            finally:
                attempt.context.close()
                sessions.close()
            _still_open(connection, transaction, attempt.contract)
            return _finished(operation, connection, attempt, output)
    except BodyFailedError as failure:
        failed = failure
    with store.write() as connection:
        return operation.failed(connection, failed.attempt, failed.cause)


async def _atransact(store: WorkflowStore, operation: Transact) -> Any:
    await store.database.arun(store.refuse_held)
    try:
        async with store.database.awrite() as connection:
            sessions = AsynchronousSession(lambda: connection, guarded=True)
            attempt = await connection.run_sync(lambda sync: operation.begin(sync, sessions))
            if not isinstance(attempt, Attempt):
                return attempt
            transaction = connection.sync_connection.get_transaction() if connection.sync_connection else None
            try:
                reach(FaultPoint.BEFORE_EFFECT)
                output = await in_time(attempt)
                if sessions.session is not None:
                    await sessions.session.flush()
                reach(FaultPoint.AFTER_EFFECT)
            except Exception as error:
                await connection.run_sync(lambda sync: _abandon_ended(sync, transaction))
                raise _body_failed(attempt, error, store.database) from error
            finally:
                attempt.context.close()
                await sessions.close()
            ready = attempt

            def finish(sync: Connection) -> Any:
                _still_open(sync, transaction, ready.contract)
                return _finished(operation, sync, ready, output)

            done = await connection.run_sync(finish)
            reach(FaultPoint.BEFORE_COMMIT)
        store.answered()
        return done
    except BodyFailedError as failure:
        failed = failure

    def record() -> Any:
        with store.write() as connection:
            return operation.failed(connection, failed.attempt, failed.cause)

    return await store.database.arun(record)


def _finished(operation: Transact, connection: Connection, attempt: Attempt, output: Any) -> Any:
    try:
        return operation.finish(connection, attempt, output)
    except InvalidOutput as error:
        raise BodyFailedError(attempt, error) from error


def _body_failed(attempt: Attempt, error: Exception, database: Database) -> Exception:
    """Wrap an exception of a body, except errors of the store."""
    if isinstance(error, sa.exc.DBAPIError):
        trouble = translate(error, database.engine.url)
        if isinstance(trouble, (StoreUnavailable, ReadOnlyStore, NotADatabase)):
            return trouble
    return BodyFailedError(attempt, error)


def _is_ended(connection: Connection, transaction: Any) -> bool:
    return transaction is None or not transaction.is_active or connection.get_transaction() is not transaction


def _abandon_ended(connection: Connection, transaction: Any) -> None:
    """Discard a connection whose transaction a body tried to end, so that nothing of it can be committed later."""
    if _is_ended(connection, transaction):
        connection.invalidate()


def _still_open(connection: Connection, transaction: Any, contract: ToolContract) -> None:
    if _is_ended(connection, transaction):
        connection.invalidate()
        raise ContextError(
            f"The tool {contract.name} ended the transaction that it was given: do not call commit() or rollback() on ctx.session. "
            "Nothing of this call was kept; raise interlock.Refused to undo what the tool wrote."
        )


def _side_by_side(store: WorkflowStore, bodies: Sequence[Callable[[], Steps[T]]], at_once: int) -> list[T]:
    if len(bodies) <= 1:
        return [run(store, body()) for body in bodies]
    with ThreadPoolExecutor(max_workers=min(at_once, len(bodies)), thread_name_prefix="interlock-side") as threads:
        contexts = [contextvars.copy_context() for _ in bodies]
        running = [
            threads.submit(context.run, lambda body=body: run(store, body()))
            for context, body in zip(contexts, bodies, strict=True)
        ]
    return [one.result() for one in running]


async def _aside_by_side(store: WorkflowStore, bodies: Sequence[Callable[[], Steps[T]]], at_once: int) -> list[T]:
    turns = asyncio.Semaphore(at_once)

    async def one(body: Callable[[], Steps[T]]) -> T:
        async with turns:
            return await arun(store, body())

    done = await asyncio.gather(*map(one, bodies), return_exceptions=True)
    for outcome in done:
        if isinstance(outcome, BaseException):
            raise outcome
    return cast("list[T]", done)


def _body(store: WorkflowStore, operation: Body) -> Any:
    if operation.owner is None:
        return run_read(store.database, operation.attempt)
    return run_outside(operation.attempt, operation.owner)


async def _abody(store: WorkflowStore, operation: Body) -> Any:
    if operation.owner is None:
        return await arun_read(store.database, operation.attempt)
    return await arun_outside(operation.attempt, operation.owner)


def _on_own_loop(contract: ToolContract, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run the body of an async tool for a synchronous caller."""
    _check_startable(contract)
    return OWN_LOOP.run(work)


def _check_startable(contract: ToolContract) -> None:
    """Refuse an async tool, before anything is recorded about it, if its caller blocks the event loop on which it would run."""
    if contract.is_async and OWN_LOOP.is_here():
        raise RunError(
            f"The tool {contract.name} is async, and was called by invoke(), stream() or another synchronous method from within an async tool "
            "that itself runs for a synchronous caller: each would wait for the other. Nothing was done; await ainvoke() or the "
            "method's async form there.",
            code="async_tool",
        )
