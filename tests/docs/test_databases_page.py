"""The page on databases: its code runs, the URLs that it shows are read, and its tables are those of the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from interlock.checkpointing.connecting import urls
from interlock.checkpointing.connecting.application import _ONE_CONNECTION, DRIVERS
from tests.docs.blocks import ROOT, blocks_of

PAGE = "docs/databases.md"
TEXT = (ROOT / PAGE).read_text("utf-8")
SHOWN = re.findall(r"^\| `((?:postgresql|mysql|sqlite)[a-z+]*://[^`]*)` \|", TEXT, re.MULTILINE)


def test_its_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "databases_page"}
    blocks = [block for block in blocks_of(PAGE) if block.language == "python"]
    assert len(blocks) == 1
    for block in blocks:
        exec(compile("\n" * (block.line - 1) + block.code, str(ROOT / PAGE), "exec"), names)  # noqa: S102
    assert names["output"]["messages"][-1].content == "Sold."
    with names["engine"].connect() as connection:
        assert connection.exec_driver_sql("SELECT number FROM sold").scalars().all() == [7]
    names["saver"].close()
    names["engine"].dispose()


@pytest.mark.parametrize("url", SHOWN)
def test_the_urls_that_it_shows_are_understood(url: str) -> None:
    if "ssl_ca=" in url:  # there is none on this machine, and that is what it says
        with pytest.raises(Exception, match="certificates"):
            urls.read(url)
    else:
        assert urls.read(url).url


def test_it_shows_a_url_of_every_kind() -> None:
    assert len(SHOWN) == 13


def test_its_tables_are_those_of_the_code() -> None:
    for kind in _ONE_CONNECTION:
        assert f"`{kind.__name__}`" in TEXT
    for driver in {driver for drivers in DRIVERS.values() for driver in drivers} - {"psycopg_async"}:
        assert f"`{driver}`" in TEXT
