"""Leases: who is carrying out an effect outside the database, until when, and in which epoch.

A lease is in the instance's row and runs out by the database's clock. Its owner renews it for as long as the effect takes,
and each new owner counts the epoch up, so that one that was stopped and continues later is refused at its next write.

An owner names one attempt of one process, so that after a crash nobody has to wait for the lease where it can be known that
the process, or the attempt within this process, is gone.
"""

import contextlib
import functools
import hashlib
import os
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...tools.errors import StoreError
from ...tools.sinks import logger_of
from ..statements import Prepared
from ..tables.workflow import instances

SECONDS = 30.0
"""How long a lease lasts unless it is renewed."""
_BEATS = 3
"""How many times a lease is renewed before it would run out."""

logger = logger_of("interlock")


class Standing(Enum):
    """What can be known of an owner from here."""

    RUNNING = "running"
    """Its process, or its attempt in this process, is there; it may be stopped."""
    GONE = "gone"
    ELSEWHERE = "elsewhere"
    """On another machine: only the lease tells."""


_held: Counter[str] = Counter()
_begin_by: dict[str, float] = {}
_guard = threading.Lock()


@contextlib.contextmanager
def held() -> Iterator[str]:
    """Be the owner of an attempt: it counts as running until the block ends."""
    owner = f"{_process()}.{secrets.token_hex(5)}"
    with holding(owner):
        yield owner


@contextlib.contextmanager
def holding(owner: str) -> Iterator[None]:
    """Count an owner as running until this block ends too: a body may outlive the step that began it."""
    with _guard:
        _held[owner] += 1
    try:
        yield
    finally:
        with _guard:
            _held[owner] -= 1
            if not _held[owner]:
                del _held[owner]
                _begin_by.pop(owner, None)


def standing(owner: str | None) -> Standing:
    """Whether the attempt that an owner names is still there."""
    if owner is None:
        return Standing.GONE
    machine, _, rest = owner.partition(".")
    process, _, _attempt = owner.rpartition(".")
    if process == _process():
        with _guard:
            return Standing.RUNNING if owner in _held else Standing.GONE
    if machine != _machine() or machine == _UNKNOWN:
        return Standing.ELSEWHERE
    pid, started = rest.split(".")[:2]
    return Standing.RUNNING if _started(int(pid)) == started else Standing.GONE


class NotBegun(Exception):  # noqa: N818 -- says what is so, and never leaves the nodes
    """An effect was not begun, because the lease for it may have run out before it could be."""


def granted(owner: str, *, seconds: float, at: float) -> None:
    """Let an owner begin its effect within a lease.

    Args:
        owner: Who was given the lease.
        seconds: How long it lasts.
        at: The `clock` before the lease was given: it runs out no earlier than so many seconds after that.
    """
    with _guard:
        _begin_by[owner] = at + seconds


def check(owner: str) -> None:
    """Make sure, right before an effect, that it still may begin.

    A process may be stopped between its announcement and the effect. When it continues, another one may have taken over, and a person
    may have said that it did not happen: it would be a lie from now on.

    Raises:
        NotBegun: It may not. Nothing was done.
    """
    with _guard:
        limit = _begin_by.get(owner)
    if limit is not None and clock() >= limit:
        raise NotBegun(f"{owner} was away for longer than its lease")


def clock() -> float:
    """Seconds that continue while a process is stopped and, where the system can say it, while the machine sleeps."""
    source = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if source is None else time.clock_gettime(source)


_renew = Prepared(
    sa.update(instances)
    .where(
        instances.c.workflow_id == sa.bindparam("by_workflow_id"),
        instances.c.lease_owner == sa.bindparam("by_owner"),
        instances.c.lease_epoch == sa.bindparam("by_epoch"),
    )
    .values(lease_until=sa.bindparam("lease_until"))
)


def renew(connection: Connection, workflow_id: str, *, owner: str, epoch: int, until: int) -> bool:
    """Let a lease last longer.

    Returns:
        Whether it is still the owner's.
    """
    values = {"by_workflow_id": workflow_id, "by_owner": owner, "by_epoch": epoch, "lease_until": until}
    return _renew.execute(connection, values) == 1


@contextlib.contextmanager
def kept(renewed: Callable[[], bool], *, seconds: float) -> Iterator[None]:
    """Renew a lease from its own thread while the block runs.

    Args:
        renewed: Renews it, and says whether it is still ours.
        seconds: How long it lasts.
    """
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(seconds / _BEATS):
            try:
                if not renewed():
                    return  # somebody took over; the next write says so
            except StoreError as error:  # the database may be back at the next beat
                logger.warning("a lease could not be renewed: %s", error)

    # A new thread starts with no context variables: those of the effect are not the lease's business.
    keeper = threading.Thread(target=beat, name="interlock-lease", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        ended.set()
        keeper.join()


_UNKNOWN = "-"


def _process() -> str:
    """This process: machine, process id, and when it started, because process ids are used again."""
    pid = os.getpid()  # asked each time: a fork is another process
    return f"{_machine()}.{pid}.{_started(pid) or 0}"


@functools.cache
def _machine() -> str:
    """The machine and its space of process ids, or `-` where that cannot be told (then only leases count)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        space = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return _UNKNOWN
    return hashlib.sha256(f"{boot}/{space}".encode()).hexdigest()[:16]


def _started(pid: int) -> str | None:
    """When a process started, in ticks since the machine did; None when it is not there, or dead and not yet buried."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("ascii", errors="replace")
    except OSError:
        return None
    # The name of the process, in brackets, may hold anything.
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in {"Z", "X"} else fields[18]
