"""The operations that a node's generator yields, and a driver executes."""

from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from langchain_core.runnables import Runnable, RunnableConfig
from sqlalchemy.engine import Connection

from ...tools.context import ToolContext
from ...tools.contracts import ToolContract

T = TypeVar("T")
Steps = Generator["Operation", Any, T]
"""The type of a node's body: it yields operations and returns its result."""


@dataclass(frozen=True)
class InStore:
    """Run `work` in one transaction of the workflow store; returns its result."""

    work: Callable[[Connection], Any]
    write: bool = True


def in_store(work: Callable[[Connection], T], *, write: bool = True) -> "Steps[T]":
    """Steps that run `work` in one transaction, for callers that need steps."""
    done: T = yield InStore(work, write)
    return done


@dataclass(frozen=True)
class Ask:
    """Invoke a runnable (a model, a node, a subgraph); returns its result."""

    runnable: Runnable[Any, Any]
    value: Any
    config: RunnableConfig


@dataclass
class Attempt:
    """One execution of a tool's body that is ready to run."""

    contract: ToolContract
    arguments: Any
    context: ToolContext
    sessions: "Sessions"


@dataclass(frozen=True)
class Body:
    """Run a tool's body outside any transaction, with a read-only session if it uses one.

    Its exceptions are raised unchanged, and `OutOfTimeError` if it exceeds its contract's timeout; a synchronous body cannot be
    stopped, and continues in its own thread.
    """

    attempt: Attempt
    owner: str | None = None
    """The owner of an effect outside the database; it counts as running as long as the body runs."""


@dataclass(frozen=True)
class Transact:
    """Run a tool's body inside one write transaction.

    Attributes:
        contract: The tool; an async one gets an asynchronous transaction.
        begin: Judges; returns an `Attempt` to run, or any other value to commit and return.
        finish: Takes the attempt and the body's output, and writes the transition; returns the outcome.
        failed: Takes the attempt and the body's exception, in a new transaction after the rollback.
    """

    contract: ToolContract
    begin: Callable[[Connection, "Sessions"], Any]
    finish: Callable[[Connection, Attempt, Any], Any]
    failed: Callable[[Connection, Attempt, Exception], Any]


@dataclass(frozen=True)
class Await:
    """Wait until `done` returns True; raise `error` after `seconds`."""

    done: Callable[[], bool]
    seconds: float
    error: Callable[[], Exception]


@dataclass(frozen=True)
class Look:
    """Call a function that reads checkpoints or rows outside the event loop; returns its result."""

    work: Callable[[], Any]


@dataclass(frozen=True)
class Pause:
    """Wait before the next attempt."""

    seconds: float


@dataclass(frozen=True)
class Startable:
    """Check that a tool can run here, before anything is recorded about it."""

    contract: ToolContract


@dataclass(frozen=True)
class Either:
    """Call a foreign method with a synchronous and an asynchronous form; returns its result."""

    work: Callable[[], Any]
    awork: Callable[[], Awaitable[Any]]


@dataclass(frozen=True)
class SideBySide:
    """Run several bodies concurrently, with a maximum number at a time; returns their results in order.

    An exception is raised after all have ended.
    """

    bodies: "Sequence[Callable[[], Steps[Any]]]"
    at_once: int


Operation = InStore | Ask | Body | Transact | Await | Look | Pause | Startable | Either | SideBySide


class Sessions(Protocol):
    """Opens the session of a tool's context on first use, and flushes and closes it afterwards."""

    def open(self) -> Any:
        """The session: a Session, or an AsyncSession for an async tool."""
