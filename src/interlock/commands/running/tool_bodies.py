"""Runs the body of a tool with its contract's timeout."""

import asyncio
import contextlib
import contextvars
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import wait as futures_wait
from typing import Any

from ...checkpointing.database import Database
from ...checkpointing.fault_points import FaultPoint, reach
from ...checkpointing.store import leases
from ...tools.contracts import ToolContract
from .operations import Attempt
from .sessions import aread_only, read_only


class OutOfTimeError(TimeoutError):
    """A tool's body exceeded its timeout."""

    def __init__(self, tool: str, seconds: float | None) -> None:
        super().__init__(f"{tool} took longer than the {seconds} s that it may take")
        self.seconds = seconds


def run_outside(attempt: Attempt, owner: str) -> Any:
    """Run the body of an effect outside the database with its timeout."""

    def body() -> Any:
        with leases.holding(owner), contextlib.closing(attempt.context):
            reach(FaultPoint.BEFORE_EFFECT)
            leases.check(owner)
            output = attempt.contract.call(attempt.arguments, attempt.context)
            reach(FaultPoint.AFTER_EFFECT)
            return output

    return _limited(attempt.contract, body)


async def arun_outside(attempt: Attempt, owner: str) -> Any:
    """As `run_outside`, for an asynchronous body, which is cancelled on timeout."""
    with leases.holding(owner), contextlib.closing(attempt.context):
        reach(FaultPoint.BEFORE_EFFECT)
        leases.check(owner)
        output = await in_time(attempt)
        reach(FaultPoint.AFTER_EFFECT)
        return output


def run_read(database: Database, attempt: Attempt) -> Any:
    """Run the body of a read with its timeout, and with a read-only session if it uses one."""

    def body() -> Any:
        with read_only(database, attempt):
            return attempt.contract.call(attempt.arguments, attempt.context)

    try:
        return _limited(attempt.contract, body)
    finally:
        attempt.context.close()  # a body that continues after its timeout opens no more sessions


async def arun_read(database: Database, attempt: Attempt) -> Any:
    """As `run_read`, for an asynchronous body, which is cancelled on timeout."""
    async with aread_only(database, attempt):
        return await in_time(attempt)


async def in_time(attempt: Attempt) -> Any:
    """Await an async body, and cancel it on timeout."""
    limit = asyncio.timeout(attempt.contract.timeout)
    try:
        async with limit:
            return await attempt.contract.acall(attempt.arguments, attempt.context)
    except TimeoutError as error:
        if limit.expired():
            raise _out_of_time(attempt.contract) from error
        raise


def timed(attempt: Attempt) -> Any:
    """Run a body inside a transaction. It cannot be stopped, but after a timeout its transaction is rolled back."""
    began = time.monotonic()
    output = attempt.contract.call(attempt.arguments, attempt.context)
    limit = attempt.contract.timeout
    if limit is not None and time.monotonic() - began > limit:
        raise _out_of_time(attempt.contract)
    return output


def _limited(contract: ToolContract, body: Callable[[], Any]) -> Any:
    """Run a body in this thread without a timeout, else in its own thread, which is abandoned on timeout."""
    if contract.timeout is None:
        return body()
    answer: Future[Any] = Future()

    def answered() -> None:
        try:
            answer.set_result(context.run(body))
        except BaseException as error:
            answer.set_exception(error)

    # Not from a pool: a hanging body must neither block other bodies nor prevent the process from exiting.
    context = contextvars.copy_context()
    threading.Thread(target=answered, name=f"interlock-{contract.name}", daemon=True).start()
    done, _ = futures_wait([answer], timeout=contract.timeout)
    if not done:
        raise _out_of_time(contract)
    return answer.result()


def _out_of_time(contract: ToolContract) -> OutOfTimeError:
    return OutOfTimeError(contract.name, contract.timeout)
