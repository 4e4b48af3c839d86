"""The architecture page and CONTRIBUTING name files and functions that are there, and every package."""

from __future__ import annotations

import ast
import re

import pytest

from tests.docs.blocks import ROOT

PAGES = ("docs/architecture.md", "CONTRIBUTING.md")
NAMED = re.compile(r"`(src/interlock/[\w/]+\.py)` \(((?:`[\w.]+`(?:, )?)+)")
PATHS = re.compile(r"`((?:src/interlock|tests)/[\w/.]+)`")
PACKAGES = re.compile(r"`(\w+)/`")


def names_in(path: str) -> set[str]:
    """What a module defines: functions, classes, and methods as `Class.method`."""
    found: set[str] = set()
    for node in ast.parse((ROOT / path).read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            inner = (one for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))
            found |= {f"{node.name}.{one.name}" for one in inner}
    return found


@pytest.mark.parametrize("page", PAGES)
def test_every_path_of_a_page_is_there(page: str) -> None:
    paths = set(PATHS.findall((ROOT / page).read_text("utf-8")))

    assert paths
    assert sorted(path for path in paths if not (ROOT / path).exists()) == []


def test_the_trip_of_a_proposal_names_what_its_files_define() -> None:
    text = (ROOT / "docs/architecture.md").read_text("utf-8")
    named = [(path, name) for path, names in NAMED.findall(text) for name in re.findall(r"`([\w.]+)`", names)]

    assert len(named) >= 10
    assert [(path, name) for path, name in named if name not in names_in(path)] == []


def test_the_page_has_every_package() -> None:
    packages = set(PACKAGES.findall((ROOT / "docs/architecture.md").read_text("utf-8")))
    package = ROOT / "src/interlock"
    there = {one.name for one in package.iterdir() if one.is_dir() and not one.name.startswith(("_", "."))}

    assert there - {"testing"} <= packages
