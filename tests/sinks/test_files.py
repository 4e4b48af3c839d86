"""A file that Interlock writes has all of its text or is as it was before, whatever ends the writing."""

from __future__ import annotations

import os
import re
import resource
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import interlock
from interlock import Event, SQLCheckpointer
from interlock.cli.support.exports import TrailFiles, write_export
from interlock.events.schemas import export
from interlock.mcp.lock.lockfile import LockFile
from interlock.operations.reports import Reports
from interlock.tools.errors import InputError, LockFileError
from interlock.tools.sinks import whole_file
from interlock.workflows.case import case_workflow
from tests.cli.support import run
from tests.commands.approvals import shop_app
from tests.commands.approvals.support import ADA, said, thread

BEFORE = "what was there before"


class Stopped(Exception):
    """Ends the writing."""


@contextmanager
def full() -> Iterator[None]:
    """No file takes more than ten bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_was_written_is_there_when_the_block_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with whole_file(path) as file:
        file.write("Grüße\n")
        assert not path.exists()
    assert path.read_bytes() == "Grüße\n".encode()
    assert os.listdir(tmp_path) == ["out.jsonl"]


@pytest.mark.parametrize("was_there", [False, True])
@pytest.mark.parametrize("ends", [Stopped, KeyboardInterrupt])
def test_nothing_is_changed_or_left_by_a_block_that_raises(
    tmp_path: Path, was_there: bool, ends: type[BaseException]
) -> None:
    path = tmp_path / "out.jsonl"
    if was_there:
        path.write_text(BEFORE)

    def write() -> None:
        with whole_file(path) as file:
            file.write("half of it")
            file.flush()
            raise ends

    with pytest.raises(ends):
        write()
    assert [one.read_text() for one in tmp_path.iterdir()] == ([BEFORE] if was_there else [])


def test_a_new_file_replaces_none(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with whole_file(path, new=True) as file:
        file.write("1")
    with pytest.raises(FileExistsError), whole_file(path, new=True):
        pytest.fail("the block was run")
    other = tmp_path / "other.jsonl"

    def write() -> None:
        with whole_file(other, new=True):
            other.write_text(BEFORE)  # somebody was faster

    with pytest.raises(FileExistsError):
        write()
    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == {"out.jsonl": "1", "other.jsonl": BEFORE}


def test_permissions_and_links_stay(tmp_path: Path) -> None:
    path, link, private = tmp_path / "out.svg", tmp_path / "link.svg", tmp_path / "private"
    path.write_text(BEFORE)
    path.chmod(0o640)
    link.symlink_to(path)
    with whole_file(link) as file:
        file.write("new")
    assert (link.is_symlink(), path.read_text(), stat.S_IMODE(path.stat().st_mode)) == (True, "new", 0o640)
    with whole_file(private, private=True, durable=True) as file:
        file.write("new")
    assert stat.S_IMODE(private.stat().st_mode) == 0o600


def test_a_stream_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with whole_file(pipe) as file:
            file.write("through it")
        assert os.read(reading, 100) == b"through it"
    finally:
        os.close(reading)
    with whole_file("/dev/null") as file:
        file.write("nowhere")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


class FileWritten(Event, name="file.written", version=1):
    """An event."""

    path: str


def _a_trail(path: Path) -> None:
    instance: Any = type(
        "Instance", (), {"workflow": path.parent.parent.name, "workflow_id": path.stem, "updated_at": 0}
    )
    TrailFiles(path.parents[2])(instance, ["a long line" * 10])


def _an_export(path: Path) -> None:
    store: Any = type("Store", (), {"export_audit": staticmethod(lambda *_, **__: ["a long line" * 10])})
    write_export(store, "wf_1", path.with_name("new.jsonl"))  # it replaces nothing


WRITERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "a picture": ("flow.svg", lambda path: case_workflow(None).compile().picture().save(path)),
    "the schema of an event": ("file.written.v1.json", lambda path: export([FileWritten], path.parent)),
    "a lock file": ("interlock.lock", lambda path: LockFile().save(path)),
    "the trail of a retired instance": ("1970-01/wf_1.jsonl", _a_trail),
    "an exported trail": ("trail.jsonl", _an_export),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_what_was_there(name: str, tmp_path: Path) -> None:
    file, write = WRITERS[name]
    path = tmp_path / "flow" / file
    path.parent.mkdir(parents=True)
    path.write_text(BEFORE)
    with pytest.raises((OSError, InputError, LockFileError)), full():
        write(path)
    assert [one.read_text() for one in path.parent.iterdir()] == [BEFORE]


@pytest.mark.parametrize("was_there", [False, True])
def test_an_export_of_examples_that_fails_midway_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, was_there: bool
) -> None:
    saver = SQLCheckpointer(f"sqlite:///{tmp_path / 'shop.db'}")
    shop_app.workflow().compile(saver).invoke(said(), thread(), context=ADA)
    saver.close()

    def examples(*_: Any, **__: Any) -> Iterator[dict[str, Any]]:
        yield {"tool": "order.refund"}
        raise Stopped

    monkeypatch.setattr(Reports, "examples", examples)
    folder = tmp_path / "out"
    folder.mkdir()
    if was_there:
        (folder / "examples.jsonl").write_text(BEFORE)
    app = ("--app", "tests.commands.approvals.shop_app:workflow", "--db", str(tmp_path / "shop.db"))
    with pytest.raises(Stopped):
        run("stats", *app, "--export", str(folder / "examples.jsonl"))
    assert [one.read_text() for one in folder.iterdir()] == ([BEFORE] if was_there else [])


def test_nothing_else_in_the_package_opens_a_file_for_writing() -> None:
    writes = re.compile(r"write_text\(|write_bytes\(|open\([^)]*[\"'][wxa]b?\+?[\"']|O_WRONLY|O_RDWR")
    package = Path(interlock.__file__).parent
    found = {
        one.relative_to(package).as_posix() for one in package.rglob("*.py") if writes.search(one.read_text("utf-8"))
    }
    # The latter turns what a server says into lines of a log.
    assert found == {"tools/sinks/_files.py", "mcp/client/stderr.py"}
