"""What no committed file may hold: the address of a package registry, or a path of somebody's machine."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Written in pieces, so that this file does not hold them itself.
REGISTRIES = [
    "pypi" + ".org", "python" + "hosted", "pypi" + ".python", "ana" + "conda.org", "npm" + "js", "registry" + ".npm",
    "art" + "ifactory", "find" + "-links", "extra-" + "index-url",
]  # fmt: skip
PATHS = ["/" + place + "/" for place in ("root", "work", "opt", "tmp/helpers", "Users")] + [
    "/ho" + r"me/\w",
    "C:" + r"\\Users",
]
FORBIDDEN = re.compile("|".join([*map(re.escape, REGISTRIES), *(rf"(?<![\w.~}})/*-]){path}" for path in PATHS)]))


def _committed() -> list[str]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: there is no list of committed files")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name]


def test_no_committed_file_names_a_package_registry_or_a_path_of_one_machine() -> None:
    found = [
        f"{name}:{number}: {line.strip()[:120]}"
        for name in _committed()
        if (file := ROOT / name).is_file() and not file.is_symlink()
        for number, line in enumerate(file.read_text("utf-8", errors="replace").splitlines(), start=1)
        if FORBIDDEN.search(line)
    ]

    assert found == []


def test_no_lock_file_is_committed() -> None:
    locks = {"uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pylock.toml"}

    assert [name for name in _committed() if Path(name).name in locks] == []


@pytest.mark.parametrize(
    "line",
    [
        "see https://" + "pypi" + ".org/project/x",
        "--find" + "-links x",
        "open('/" + "root/.cache')",
        "at /" + "work/main/src",
    ],
)
def test_the_search_finds_what_it_looks_for(line: str) -> None:
    assert FORBIDDEN.search(line)


@pytest.mark.parametrize(
    "line", ["framework/main", "src/work/x", "https://example.com/opt/x", "{root}/work", "~/work/x"]
)
def test_the_search_leaves_ordinary_lines_alone(line: str) -> None:
    assert not FORBIDDEN.search(line)
