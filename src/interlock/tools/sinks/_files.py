"""Writes files atomically: to another name in the same folder, and renamed once they are complete."""

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

_DEVICES = ("/dev/", "/proc/")
"""Paths below these are the streams of another process, even if they refer to a file (`/dev/stdout`)."""


@contextlib.contextmanager
def whole_file(
    path: str | Path, *, new: bool = False, private: bool = False, durable: bool = False
) -> Iterator[TextIO]:
    """Open a file for UTF-8 text that is there, with all of it, once the block has ended, and is as it was before if the block raises.

    A process that is killed leaves a file `.….part` in the folder, and nothing else. A device or a pipe is written to directly.

    Args:
        path: Where to. What a link leads to is replaced, and keeps its permissions.
        new: Refuse to replace a file.
        private: Readable and writable by its owner alone.
        durable: On disk when this returns.

    Yields:
        The open file.

    Raises:
        OSError: It cannot be written. With `new`, `FileExistsError`: the file is there.
    """
    if new and os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    target = Path(os.path.realpath(path))
    if os.path.abspath(path).startswith(_DEVICES) or (target.exists() and not target.is_file()):
        with open(path, "w", encoding="utf-8") as out:
            yield out
        return
    part = target.with_name(f".{secrets.token_hex(8)}.part")
    # Flags and mode as `open` has them, so that the process's umask counts.
    opened = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666)
    try:
        with os.fdopen(opened, "w", encoding="utf-8") as out:
            yield out
            out.flush()
            if not private and target.exists():
                os.chmod(part, target.stat().st_mode & 0o7777)
            if durable:
                os.fsync(out.fileno())
        if new:
            _name_new(part, target)
        else:
            os.replace(part, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
        raise
    if durable:
        _sync_folder(target.parent)


def _name_new(part: Path, target: Path) -> None:
    """Rename without replacing: two that write the same file at the same time do not overwrite each other."""
    try:
        os.link(part, target)
    except FileExistsError:
        raise
    except OSError:  # this file system has no second names
        if target.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        os.rename(part, target)
        return
    os.unlink(part)


def _sync_folder(folder: Path) -> None:
    at = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(at)
    finally:
        os.close(at)


__all__ = ["whole_file"]
