"""Executes the notebooks from their sources: `python -m tests.notebooks.execution` keeps what they print."""

import os
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"
SOURCES = sorted(FOLDER.glob("*.py"))


def notebook_of(source: Path) -> Path:
    """Where the executed notebook of a source stands."""
    return source.with_suffix(".ipynb")


def executed(source: Path, package: Path | None = None) -> Any:
    """The notebook of a source, run from top to bottom in a kernel of its own, with what it printed.

    What differs from run to run and tells a reader nothing (times, versions, ids of cells) is left out.

    Args:
        source: The notebook's source.
        package: The folder that `interlock` is to be imported from, such as an unpacked wheel; the installed one without it.
    """
    notebook = nbformat.v4.new_notebook()
    environment = dict(os.environ)
    if package is not None:
        environment["PYTHONPATH"] = str(package)
        checked = f"import interlock\nassert interlock.__file__.startswith({str(package)!r}), interlock.__file__"
        notebook.cells.append(nbformat.v4.new_code_cell(checked, id="cell-0"))
    for number, cell in enumerate(jupytext.read(source).cells, start=1):
        make = nbformat.v4.new_code_cell if cell.cell_type == "code" else nbformat.v4.new_markdown_cell
        notebook.cells.append(make(cell.source, id=f"cell-{number}"))
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    client = NotebookClient(
        notebook, timeout=120, kernel_name="python3", record_timing=False, store_widget_state=False,
        resources={"metadata": {"path": str(FOLDER)}},
    )  # fmt: skip
    client.execute(env=environment)
    if package is not None:
        del notebook.cells[0]
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = whole(cell.outputs)
            for output in cell.outputs:
                # A widget without its kernel is an error where a notebook is only read; the picture beside it is shown there.
                output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
    return notebook


def whole(outputs: list[Any]) -> list[Any]:
    """What a cell printed in one piece: how a kernel cuts it up depends on how busy the machine is."""
    streams: dict[str, Any] = {}
    joined: list[Any] = []
    for output in outputs:
        if output.output_type == "stream" and output.name in streams:
            streams[output.name].text += output.text
            continue
        if output.output_type == "stream":
            streams[output.name] = output
        joined.append(output)
    return joined


def main() -> None:
    """Execute every notebook, and keep what it printed."""
    for source in SOURCES:
        nbformat.write(executed(source), notebook_of(source))
        print(notebook_of(source).name)


if __name__ == "__main__":
    main()
