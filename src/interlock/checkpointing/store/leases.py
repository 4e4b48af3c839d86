"""Leases for effects outside the database: owner, expiry and epoch.

A lease is in the instance's row and expires by the database's clock. Its owner renews it during the effect, and each new owner
increments the epoch, so that a suspended former owner is refused at its next write.

An owner identifies one attempt of one process, so that after a crash nobody waits for the lease if the process, or the attempt within
this process, is known to be gone.
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
"""How long a lease lasts without renewal."""
_BEATS = 3
"""The number of renewals per lease duration."""

logger = logger_of("interlock")


class Standing(Enum):
    """What this process knows about an owner."""

    RUNNING = "running"
    """Its process, or its attempt in this process, exists; it may be suspended."""
    GONE = "gone"
    ELSEWHERE = "elsewhere"
    """On another machine, so only the lease counts."""


_held: Counter[str] = Counter()
_begin_by: dict[str, float] = {}
_guard = threading.Lock()


@contextlib.contextmanager
def held() -> Iterator[str]:
    """Create an owner for an attempt, which counts as running until the block ends."""
    owner = f"{_process()}.{secrets.token_hex(5)}"
    with holding(owner):
        yield owner


@contextlib.contextmanager
def holding(owner: str) -> Iterator[None]:
    """Count an owner as running until this block ends too, because a body may outlive its step."""
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
    """Whether the attempt of an owner still runs."""
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
    """An effect was not started, because its lease may have expired."""


def granted(owner: str, *, seconds: float, at: float) -> None:
    """Allow an owner to start its effect within a lease.

    Args:
        owner: The owner of the lease.
        seconds: The duration of the lease.
        at: The `clock` before the lease was granted; it expires no earlier than the duration after that.
    """
    with _guard:
        _begin_by[owner] = at + seconds


def check(owner: str) -> None:
    """Check directly before an effect that it may still start.

    A process may be suspended between the announcement and the effect. When it continues, another process may have taken over, and a
    person may have recorded that the effect did not happen.

    Raises:
        NotBegun: The lease may have expired. Nothing was done.
    """
    with _guard:
        limit = _begin_by.get(owner)
    if limit is not None and clock() >= limit:
        raise NotBegun(f"{owner} was away for longer than its lease")


def clock() -> float:
    """A clock in seconds that continues while the process is suspended and, if the system supports it, while the machine sleeps."""
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
    """Extend a lease.

    Returns:
        Whether the owner still has it.
    """
    values = {"by_workflow_id": workflow_id, "by_owner": owner, "by_epoch": epoch, "lease_until": until}
    return _renew.execute(connection, values) == 1


@contextlib.contextmanager
def kept(renewed: Callable[[], bool], *, seconds: float) -> Iterator[None]:
    """Renew a lease from its own thread while the block runs.

    Args:
        renewed: Renews the lease; returns whether the owner still has it.
        seconds: The duration of the lease.
    """
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(seconds / _BEATS):
            try:
                if not renewed():
                    return  # another owner took over; the next write will fail
            except StoreError as error:  # the database may be reachable at the next renewal
                logger.warning("a lease could not be renewed: %s", error)

    # A new thread starts without context variables; the renewal must not see those of the effect.
    keeper = threading.Thread(target=beat, name="interlock-lease", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        ended.set()
        keeper.join()


_UNKNOWN = "-"


def _process() -> str:
    """This process: machine, process id and start time, because process ids are reused."""
    pid = os.getpid()  # read each time, because a fork is another process
    return f"{_machine()}.{pid}.{_started(pid) or 0}"


@functools.cache
def _machine() -> str:
    """The machine and its PID namespace, or `-` if unknown (then only leases count)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        space = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return _UNKNOWN
    return hashlib.sha256(f"{boot}/{space}".encode()).hexdigest()[:16]


def _started(pid: int) -> str | None:
    """The start of a process, in ticks since boot; None if it does not exist or is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("ascii", errors="replace")
    except OSError:
        return None
    # The name of the process, in parentheses, may contain any character.
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in {"Z", "X"} else fields[18]
