"""What a node's body can ask for: the operations that its generator yields, and a driver carries out."""

from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from langchain_core.runnables import Runnable, RunnableConfig
from sqlalchemy.engine import Connection

from ...tools.context import ToolContext
from ...tools.contracts import ToolContract

T = TypeVar("T")
Steps = Generator["Operation", Any, T]
"""What a node's body is: it yields operations and returns its result."""


@dataclass(frozen=True)
class InStore:
    """Run `work` in one transaction of the workflow store and give back what it returns."""

    work: Callable[[Connection], Any]
    write: bool = True


def in_store(work: Callable[[Connection], T], *, write: bool = True) -> "Steps[T]":
    """Steps that run `work` in one transaction, for where steps are handed on."""
    done: T = yield InStore(work, write)
    return done


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
    arguments: Any
    context: ToolContext
    sessions: "Sessions"


@dataclass(frozen=True)
class Body:
    """Run a tool's body outside any transaction, with a read-only session if it asks for one.

    Its exceptions come back as they are. Where it takes longer than its contract allows, an `OutOfTimeError` does; a body that is
    not async cannot be stopped, and runs on in its own thread.
    """

    attempt: Attempt
    owner: str | None = None
    """Who carries it out, for an effect outside the database: it counts as running for as long as the body does."""


@dataclass(frozen=True)
class Transact:
    """Run a tool's body inside one write transaction.

    Attributes:
        contract: Decides, by whether it is async, how the transaction is run.
        begin: Judges; returns an `Attempt` to continue with, or anything else to commit what it wrote and answer with.
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
class Look:
    """Call a function that reads checkpoints or rows, away from the event loop, and give back what it returns."""

    work: Callable[[], Any]


@dataclass(frozen=True)
class Pause:
    """Wait before the next attempt."""

    seconds: float


@dataclass(frozen=True)
class Startable:
    """Make sure that a tool can be run here at all, before anything is written about it."""

    contract: ToolContract


@dataclass(frozen=True)
class Either:
    """Call a method of somebody else's that has a synchronous and an asynchronous form, and give back what it returns."""

    work: Callable[[], Any]
    awork: Callable[[], Awaitable[Any]]


@dataclass(frozen=True)
class SideBySide:
    """Run several bodies side by side, at most so many at a time, and give back what they return, in their order.

    What one of them raises is raised once all have ended.
    """

    bodies: "Sequence[Callable[[], Steps[Any]]]"
    at_once: int


Operation = InStore | Ask | Body | Transact | Await | Look | Pause | Startable | Either | SideBySide


class Sessions(Protocol):
    """Opens the session of a tool's context when it is asked for, and flushes and closes it afterwards."""

    def open(self) -> Any:
        """The session: a Session, or an AsyncSession for an async tool."""
