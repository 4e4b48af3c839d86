"""The packages of the package, shown at the top of the repository: links to look through, not to import through."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "interlock"
PACKAGES = {
    "tools",
    "checkpointing",
    "events",
    "tracing",
    "rules",
    "commands",
    "nodes",
    "pictures",
    "graphs",
    "operations",
    "mcp",
    "serving",
    "engines",
    "workflows",
}
"""The packages of the plan."""
LINKED_AS = {"mcp": "interlock-mcp"}
"""Links under another name: where Python runs from the top, `import mcp` would find a folder of that name in place of the SDK."""
FACE = {"cli", "testing"}
"""Folders of the package that belong to the public face and are not listed."""


def link_of(package: str) -> str:
    """The name of the link that shows a package."""
    return LINKED_AS.get(package, package)


pytestmark = pytest.mark.skipif(
    not any((ROOT / link_of(package)).is_symlink() for package in PACKAGES) and not (ROOT / ".git").exists(),
    reason="an unpacked sdist: the links are the repository's, and are not shipped",
)


def _packages() -> set[str]:
    folders = {
        folder.name for folder in PACKAGE.iterdir() if folder.is_dir() and not folder.name.startswith(("_", "."))
    }
    return PACKAGES | (folders - FACE)


@pytest.mark.parametrize("package", sorted(_packages()))
def test_every_package_is_shown_by_a_relative_link(package: str) -> None:
    link = ROOT / link_of(package)

    assert link.is_symlink(), (
        f"run `ln -s src/interlock/{package} {link.name}` at the top of the repository and commit the link"
    )
    assert link.readlink() == Path("src", "interlock", package)
    assert link.resolve() == PACKAGE / package
    assert link.is_dir()


def test_there_are_no_other_links_at_the_top() -> None:
    assert {entry.name for entry in ROOT.iterdir() if entry.is_symlink()} == {*map(link_of, _packages())}


def test_the_links_are_committed_as_links() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "--stage", "--", *sorted(map(link_of, _packages()))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()

    modes = {line.split("\t")[1]: line.split(" ")[0] for line in listed}
    assert modes == dict.fromkeys(map(link_of, _packages()), "120000")
