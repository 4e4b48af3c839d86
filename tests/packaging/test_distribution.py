"""What is shipped: the wheel that is built from the sdist holds the whole package, and nothing beside it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "interlock"


@dataclass(frozen=True)
class Distribution:
    sdist: frozenset[str]
    """Files of the sdist, without its top folder."""
    wheel: frozenset[str]
    """Files of the wheel."""
    wheel_file: Path
    metadata: str


def _files_of_the_package() -> set[str]:
    return {
        file.relative_to(PACKAGE.parent).as_posix()
        for file in PACKAGE.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts and not file.name.startswith(".")
    }


@pytest.fixture(scope="module")
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Distribution:
    """The sdist, and the wheel made from it, built by the tools of this environment and without a network."""
    out = tmp_path_factory.mktemp("dist")
    # Without --sdist and --wheel, `build` makes the wheel out of the sdist that it has just made.
    built = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel_file,) = out.glob("*.whl")
    (sdist_file,) = out.glob("*.tar.gz")
    with tarfile.open(sdist_file) as sdist:
        in_sdist = frozenset(member.name.split("/", 1)[1] for member in sdist.getmembers() if not member.isdir())
    with zipfile.ZipFile(wheel_file) as wheel:
        in_wheel = frozenset(name for name in wheel.namelist() if not name.endswith("/"))
        (metadata_file,) = (name for name in in_wheel if name.endswith(".dist-info/METADATA"))
        metadata = wheel.read(metadata_file).decode()
    return Distribution(in_sdist, in_wheel, wheel_file, metadata)


def test_the_wheel_built_from_the_sdist_holds_every_file_of_the_package(distribution: Distribution) -> None:
    shipped = {name for name in distribution.wheel if not name.split("/")[0].endswith(".dist-info")}

    assert shipped == _files_of_the_package()


def test_the_wheel_has_one_top_level_package(distribution: Distribution) -> None:
    tops = {name.split("/")[0] for name in distribution.wheel}

    assert {top for top in tops if not top.endswith(".dist-info")} == {"interlock"}


def test_the_wheel_says_that_it_is_typed_and_how_it_may_be_used(distribution: Distribution) -> None:
    assert "interlock/py.typed" in distribution.wheel
    assert any(name.endswith("licenses/LICENSE") for name in distribution.wheel)
    assert "License-Expression: MIT" in distribution.metadata
    assert "Requires-Python: >=3.11" in distribution.metadata


def test_every_module_of_the_wheel_can_be_imported_from_it(distribution: Distribution, tmp_path: Path) -> None:
    program = """
import importlib, pkgutil, sys
import interlock
assert interlock.__file__.startswith(sys.argv[1]), interlock.__file__
for module in pkgutil.walk_packages(interlock.__path__, "interlock."):
    if module.name != "interlock.checkpointing.migrations.env":  # a script that Alembic runs, not a module
        importlib.import_module(module.name)
"""
    assert _run_from_the_wheel(distribution, program, tmp_path) == ""


def test_the_package_needs_none_of_its_extras_to_be_imported(distribution: Distribution, tmp_path: Path) -> None:
    program = """
import sys
for extra in ("langchain", "langchain_openai", "psycopg", "psycopg_pool", "pymysql", "asyncmy", "pytest", "hypothesis"):
    sys.modules[extra] = None
import interlock, interlock.testing
for package in ("tools", "checkpointing", "nodes", "graphs"):
    __import__("interlock." + package)
"""
    assert _run_from_the_wheel(distribution, program, tmp_path) == ""


def _run_from_the_wheel(distribution: Distribution, program: str, folder: Path) -> str:
    """Run a program that sees the unpacked wheel in place of the sources; return what it complained of."""
    with zipfile.ZipFile(distribution.wheel_file) as wheel:
        wheel.extractall(folder)  # noqa: S202 - made a moment ago, by us
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-P", "-c", program, str(folder)]
    ran = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return ran.stderr


def test_the_sdist_holds_what_is_needed_to_test_it_and_no_link(distribution: Distribution) -> None:
    tests = {
        file.relative_to(ROOT).as_posix() for file in (ROOT / "tests").rglob("*.py") if "__pycache__" not in file.parts
    }

    assert tests <= distribution.sdist
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "Makefile"} <= distribution.sdist
    tops = {name.split("/")[0] for name in distribution.sdist}
    assert tops.isdisjoint(link.name for link in ROOT.iterdir() if link.is_symlink())


def test_the_distributions_are_fit_to_be_uploaded(distribution: Distribution) -> None:
    pytest.importorskip("twine", reason="twine is not installed (the extra 'dev')")
    files = [str(one) for one in distribution.wheel_file.parent.iterdir() if one.suffix in {".whl", ".gz"}]

    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "twine", "check", "--strict", *files],
        capture_output=True, text=True, timeout=120, check=False, env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip

    assert len(files) == 2
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count("PASSED") == 2


def test_the_version_is_the_same_everywhere(distribution: Distribution) -> None:
    from interlock import __version__

    assert f"Version: {__version__}" in distribution.metadata
    assert set(re.findall(r'"version": "([\d.]+)"', (ROOT / "server.json").read_text("utf-8"))) == {__version__}
    assert re.search(
        rf"^## \[({re.escape(__version__)})\] - \d{{4}}-\d\d-\d\d$",
        (ROOT / "CHANGELOG.md").read_text("utf-8"),
        re.MULTILINE,
    )
    assert "Project-URL: Changelog, https://" in distribution.metadata


def test_a_type_checker_knows_the_types_of_the_installed_wheel(distribution: Distribution, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True, timeout=120)
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    with zipfile.ZipFile(distribution.wheel_file) as wheel:
        wheel.extractall(site)  # noqa: S202 - what installing a wheel of pure Python comes to
    (site / "dependencies.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n", "utf-8")
    program = tmp_path / "program.py"
    program.write_text("from interlock import Principal\nreveal_type(Principal('ada').has_role(3))\n", "utf-8")

    ran = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(tmp_path / "venv/bin/python"), "--cache-dir",
         str(tmp_path / "cache"), "--config-file", os.devnull, str(program)],
        capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path,
    )  # fmt: skip

    assert 'expected "str"' in ran.stdout, ran.stdout + ran.stderr
    assert 'Revealed type is "bool"' in ran.stdout.replace("builtins.", "")
    assert "py.typed" not in ran.stdout
