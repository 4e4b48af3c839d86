"""Translates the errors of database drivers to Interlock's, with one table."""

import re
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import URL

from ..tools.errors import CommitUnknown, NotADatabase, ReadOnlyStore, StoreError, StoreUnavailable

_UNAVAILABLE = (
    "database is locked", "database table is locked", "database is busy", "could not connect", "connection refused",
    "server closed the connection", "terminating connection", "lost connection", "gone away", "can't connect",
    "connection is closed", "the connection is lost", "deadlock", "could not serialize access",
    "record has changed since last read", "too many connections", "too many clients", "remaining connection slots",
    "connection was closed", "connection_lost", "connection does not exist",
    "connection reset", "broken pipe", "no route to host", "network is unreachable", "failed to resolve", "timeout expired",
    "name or service not known", "ssl connection has been closed",
    "the database system is", "consuming input failed", "connection timeout", "disk i/o error",
)  # fmt: skip
_NO_DATABASE = re.compile(r'database "[^"]+" does not exist|unknown database')
_TAKEN_BACK = ("deadlock", "could not serialize access", "record has changed since last read")
_BUSY = ("database is locked", "database table is locked", "database is busy")
_LOCKED = ("lock timeout", "lock wait timeout")
_NO_LOGIN = (
    "password authentication failed", "no password supplied", "no pg_hba.conf entry", "authentication failed for user",
    "is not permitted to log in", "access denied for user", "is not allowed to connect to this",
)  # fmt: skip
_NO_ROLE = re.compile(r'connection failed.* role "[^"]+" does not exist', re.DOTALL)
_NO_RIGHT = ("permission denied for", "must be owner of", "command denied to user")
_FULL = ("database or disk is full", "no space left", "disk full", "the table is full")


def translate(error: Exception, url: URL) -> StoreError:
    """Return the typed error for an error that SQLAlchemy or the driver raised.

    Args:
        error: What SQLAlchemy or the driver raised.
        url: The database; shown without its password.
    """
    where = url.render_as_string(hide_password=True)
    cause = getattr(error, "orig", None) or error
    text = str(cause).lower()
    if "file is not a database" in text or "file is encrypted" in text or "malformed" in text:
        return NotADatabase(
            f"The file behind {where} is not an intact SQLite database. Nothing was written. "
            "Give the path of a new file or of an Interlock database, or restore it from a backup."
        )
    if "readonly" in text or "read-only" in text or "read only" in text:
        return ReadOnlyStore(
            f"The database {where} cannot be written. Nothing was written. "
            "Make the file and its folder writable for this process, or give another URL."
        )
    if "unable to open database file" in text:
        return _not_opened(url, where)
    if _NO_DATABASE.search(text):
        return StoreError(
            f"There is no database {url.database!r} on the server of {where}. Nothing was done. Create it "
            f"(CREATE DATABASE {url.database}), or fix the URL."
        )
    if any(sign in text for sign in _NO_LOGIN) or _NO_ROLE.search(text):
        return StoreError(
            f"The server of {where} does not let this user in: {cause}. Nothing was done. Check the user and the "
            "password in the URL, and on the server that the user may connect to this database from this machine.",
            code="login_refused",
        )
    if "no schema has been selected" in text:
        return StoreError(
            f"The search_path of the connection to {where} names no schema that exists. Nothing was created. Create the schema, or pass "
            "schema='…' to the checkpointer, which creates it.",
            code="no_schema",
        )
    if any(sign in text for sign in _NO_RIGHT):
        return StoreError(
            f"The user of the database {where} lacks a right: {cause}. Nothing of this step was kept. Grant it "
            "SELECT, INSERT, UPDATE and DELETE on the tables. To create or upgrade them, run `interlock db upgrade` as their owner.",
            code="missing_right",
        )
    if "unsupported startup parameter" in text:
        return StoreError(
            f"The pooler before the database {where} takes no `options` from its clients: {cause}. Leave them "
            "out of the URL and set them for the role (ALTER ROLE … SET lock_timeout = '5s'), or name them in the pooler's "
            "ignore_startup_parameters.",
            code="refused_by_pooler",
        )
    if any(sign in text for sign in _FULL):
        return StoreUnavailable(
            f"The disk of {where} is full. Nothing of this step was written; free some space and run it again."
        )
    if "current transaction is aborted" in text:
        return StoreError(
            f"A statement of this transaction had failed, and the database {where} accepts nothing after that. Nothing of this step was kept. "
            "To continue after a statement that may fail, run it in ctx.session.begin_nested().",
            code="transaction_aborted",
        )
    if any(sign in text for sign in _LOCKED):
        return StoreUnavailable(
            f"Another transaction in {where} holds what this step needs, and did not release it in time: "
            f"{cause}. Nothing of this step was kept; run it again. Where a process was stopped in "
            "mid-transaction, the server ends it after a while."
        )
    lost = isinstance(error, sa.exc.TimeoutError) or getattr(error, "connection_invalidated", False)
    if lost or any(sign in text for sign in _UNAVAILABLE):
        hint = (
            " If it is never reached, check host and port of the URL." if "refused" in text or "resolve" in text else ""
        )
        return StoreUnavailable(
            f"The database {where} did not answer or was busy: {cause}. "
            f"Nothing of this step was kept; run it again.{hint}"
        )
    return StoreError(f"The database {where} refused a statement: {cause}.")


def _not_opened(url: URL, where: str) -> StoreError:
    folder = Path(url.database or "").parent
    if not str(url.database or "").startswith("file:") and not folder.is_dir():
        return StoreError(
            f"The folder {str(folder)!r} of the database {where} does not exist. Nothing was created; create the folder, or correct the path. A relative path "
            f"has three slashes (sqlite:///desk.db) and begins at {str(Path.cwd())!r}, an absolute one has four."
        )
    return StoreUnavailable(
        f"The database file behind {where} cannot be opened. Nothing was written; let this process write to the file and its folder."
    )


def translate_commit(error: Exception, url: URL) -> StoreError:
    """As `translate`, for errors of a COMMIT: after a broken connection its outcome is unknown."""
    found = translate(error, url)
    cause = getattr(error, "orig", None) or error
    text = str(cause).lower()
    is_answer = any(sign in text for sign in (*_TAKEN_BACK, *_LOCKED, *_FULL, *_BUSY))
    if is_answer or not isinstance(found, StoreUnavailable):
        return found
    return commit_unknown(url, cause)


def commit_unknown(url: URL, why: object) -> CommitUnknown:
    """The error for a transaction whose COMMIT was sent but not answered."""
    return CommitUnknown(
        f"The connection to {url.render_as_string(hide_password=True)} broke while a transaction was being committed: {why}. "
        "Whether it was committed is unknown. Check the current state before you repeat it."
    )


def is_deadlock(error: BaseException) -> bool:
    """Whether the database rolled back a transaction because of a deadlock or a serialization failure, so that it can be retried."""
    return isinstance(error, StoreUnavailable) and any(sign in str(error).lower() for sign in _TAKEN_BACK)


def is_locked(error: BaseException) -> bool:
    """Whether the wait for SQLite's write lock timed out."""
    return isinstance(error, StoreUnavailable) and "database is locked" in str(error).lower()
