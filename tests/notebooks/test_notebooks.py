"""The notebooks run from top to bottom, and what is kept of them is what they say and print today."""

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import pytest

from tests.notebooks.execution import FOLDER, SOURCES, executed, notebook_of, whole


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as it is shipped: the wheel that is built from the sdist, unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(FOLDER.parent)],
        check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as shipped:
        shipped.extractall(folder / "package")
    return folder / "package"


def sources_of(notebook: Any) -> list[tuple[str, str]]:
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


def printed_by(notebook: Any) -> list[Any]:
    """Every output, text and pictures; a cell that fails has been raised by then."""
    return [
        output.get("text") or {kind: "".join(data) for kind, data in output["data"].items()}
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in sorted(whole(cell.outputs), key=lambda one: one.get("name") or "")
    ]


def test_every_notebook_has_its_source_and_every_source_its_notebook():
    assert SOURCES
    assert {notebook_of(source) for source in SOURCES} == {*FOLDER.glob("*.ipynb")}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_the_notebook_has_the_cells_of_its_source(source: Path):
    kept = nbformat.read(notebook_of(source), as_version=4)
    nbformat.validate(kept)
    assert sources_of(kept) == sources_of(jupytext.read(source)), "write it anew: make notebooks"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_it_runs_against_the_built_wheel_and_prints_what_is_kept_of_it(source: Path, wheel: Path):
    today = printed_by(executed(source, wheel))
    kept = printed_by(nbformat.read(notebook_of(source), as_version=4))
    assert today
    assert kept == today, "write it anew: make notebooks"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_notebook_is_small_and_has_nothing_of_one_machine(source: Path):
    text = notebook_of(source).read_text("utf-8")
    assert len(text) < 200_000
    assert "execution_timestamp" not in text
    assert "iopub" not in text
