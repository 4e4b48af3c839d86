"""Loads the workflow of a command from the application's code, and opens its database."""

import importlib
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from langgraph.graph.state import CompiledStateGraph
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from ...checkpointing import SQLCheckpointer, WorkflowStore
from ...checkpointing.encryption import Encryption
from ...graphs import Workflow, WorkflowGraph
from ...operations.resuming import AnyGraph
from ...rules.definition import Definition
from ...tools.errors import InputError, InterlockError

T = TypeVar("T")

READY_MADE = {
    "retail": "interlock.workflows.retail.workflow:retail_workflow",
    "case": "interlock.workflows.case.workflow:case_workflow",
}
"""Workflows that ship with Interlock, by short name."""

AppOption = Annotated[
    str | None,
    typer.Option(
        "--app",
        envvar="INTERLOCK_APP",
        metavar="MODULE:WORKFLOW",
        help="The workflow in your code, as module:workflow.",
    ),
]
DbOption = Annotated[
    str | None,
    typer.Option(
        "--db", envvar="INTERLOCK_DB", metavar="URL", help="The database: a URL, or the path of a SQLite file."
    ),
]

RootOption = Annotated[
    str | None,
    typer.Option(
        "--root",
        metavar="MODULE:GRAPH",
        help="The graph inside which the workflow runs, if any; it is resumed instead.",
    ),
]


@dataclass(frozen=True)
class App:
    """A workflow as the application has it: still to be compiled, or compiled by the application itself."""

    name: str
    """What it was asked for by."""
    workflow: Workflow | WorkflowGraph

    @property
    def definition(self) -> Definition:
        """States and edges as data."""
        return (
            self.workflow.engine.definition if isinstance(self.workflow, WorkflowGraph) else self.workflow.definition()
        )

    def graph(self, url: str | None = None, *, must_exist: bool = True) -> WorkflowGraph:
        """The compiled workflow: the application's own when it compiled it, else compiled against the database.

        Args:
            url: The database.
            must_exist: Refuse a SQLite file that does not exist.

        Raises:
            InputError: It is not compiled and there is no database to compile it against.
        """
        if isinstance(self.workflow, WorkflowGraph):
            if url is not None:
                raise InputError(
                    f"{self.name} is already compiled with its own database, and --db names another one. Nothing was done; leave --db out, "
                    "or point --app at the Workflow itself.",
                    code="already_compiled",
                )
            return self.workflow
        return self.workflow.compile(
            SQLCheckpointer(database_url(url, must_exist=must_exist), encryption=Encryption.from_environment())
        )


def load_app(spec: str | None) -> App:
    """Find a workflow by its ready-made name, or by `module:workflow` in the application's code.

    What is found may be a `Workflow`, a compiled one, or a function without arguments that gives either. The current folder is
    looked in first, as ASGI servers do.

    Raises:
        InputError: The module or the name does not exist, or is not a graph.
    """
    if not spec:
        raise InputError(
            "Which workflow is meant was not said. Pass --app module:workflow, or set INTERLOCK_APP.", code="no_app"
        )
    module_name, _, path = READY_MADE.get(spec, spec).partition(":")
    if not module_name or not path:
        raise InputError(
            f"{spec!r} is not a workflow that ships with Interlock ({', '.join(READY_MADE)}), and not of the form module:workflow. "
            "Give for instance shop.desk:workflow.",
            code="unknown_app",
        )
    found = _found(module_name, path, spec, (Workflow, WorkflowGraph))
    if isinstance(found, (Workflow, WorkflowGraph)):
        return App(spec, found)
    raise InputError(
        f"{spec!r} is a {type(found).__name__}. Give a Workflow, a compiled one, or a function without arguments that makes one.",
        code="unknown_app",
    )


def load_root(spec: str | None) -> AnyGraph | None:
    """Import the graph around a workflow by `module:graph`; None if there is none.

    Raises:
        InputError: The module or the name does not exist, or is not a graph.
    """
    if spec is None:
        return None
    module_name, _, path = spec.partition(":")
    if not module_name or not path:
        raise InputError(
            f"--root: {spec!r} is not of the form module:graph. Give for instance shop.desk:graph.", code="unknown_app"
        )
    found = _found(module_name, path, spec, (CompiledStateGraph,))
    if isinstance(found, CompiledStateGraph):
        return found
    raise InputError(
        f"--root: {spec!r} is a {type(found).__name__}. Give a compiled graph, or a function without arguments that makes one.",
        code="unknown_app",
    )


def load_object(spec: str, kind: type[T], *, option: str) -> T:
    """Find something of the application's by `module:name`, the same way.

    Args:
        spec: Where it is.
        kind: What it has to be.
        option: What it was given with, for errors.

    Raises:
        InputError: The module or the name does not exist, or is not a graph.
    """
    module_name, _, path = spec.partition(":")
    if not module_name or not path:
        raise InputError(
            f"{option}: {spec!r} is not of the form module:name. Nothing was done; give for instance shop.bank:tools.",
            code="unknown_object",
        )
    found = _found(module_name, path, spec, (kind,))
    if isinstance(found, kind):
        return found
    raise InputError(
        f"{option}: {spec!r} is a {type(found).__name__}. Nothing was done; give an instance of {kind.__name__}, or a function without "
        "arguments that makes one.",
        code="unknown_object",
    )


def open_store(url: str | None) -> WorkflowStore:
    """Open the workflow store of a command; a missing one is not created.

    Raises:
        InputError: No database was given, or the URL is invalid.
        StoreError: It cannot be opened, or the file does not exist.
    """
    return WorkflowStore(database_url(url), encryption=Encryption.from_environment())


def database_url(url: str | None, *, must_exist: bool = True) -> str:
    """Read `--db`: a URL, or the path of a SQLite file.

    Args:
        url: The option's value.
        must_exist: Refuse a SQLite file that does not exist, because a query should not create an empty database.
    """
    if not url:
        raise InputError(
            "Which database is meant was not said. Pass --db sqlite:///workflows.db (or another URL, or the path of a SQLite file), or set INTERLOCK_DB.",
            code="no_database",
        )
    text = url if "://" in url else f"sqlite:///{url}"
    try:
        parsed = make_url(text)
    except (ArgumentError, ValueError):
        raise InputError(
            f"{url!r} is not a database URL. Write for instance sqlite:///workflows.db or postgresql://user@host/name.",
            code="no_database",
        ) from None
    is_file = parsed.get_backend_name() == "sqlite" and parsed.database and not parsed.query.get("uri")
    if must_exist and is_file and parsed.database != ":memory:" and not Path(str(parsed.database)).exists():
        raise InputError(
            f"There is no database file {parsed.database!r} (looked in {Path.cwd()}). Nothing was made; check --db or INTERLOCK_DB.",
            code="no_database",
        )
    return text


@contextmanager
def opened(app: str | None, db: str | None) -> Iterator[WorkflowGraph]:
    """The compiled workflow; closed at the end unless the application compiled it."""
    loaded = load_app(app)
    graph = loaded.graph(db)
    try:
        yield graph
    finally:
        if graph is not loaded.workflow:
            graph.engine.store.close()


def _import(module_name: str, spec: str) -> Any:
    here = os.getcwd()
    if "/" in module_name or "\\" in module_name or module_name.endswith(".py"):
        guess = re.sub(r"[\\/]+", ".", module_name.removesuffix(".py")).strip(".")
        raise InputError(
            f"{spec!r} names a file. Give the module, as in an import statement: {guess}:{spec.partition(':')[2]}.",
            code="unknown_app",
        )
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise _not_imported(module_name, spec, error) from error
        raise InputError(
            f"{spec!r}: there is no module {error.name!r}, neither in this folder ({here}) nor installed. "
            "Run the command where your package is, or install it.",
            code="unknown_app",
        ) from None
    except InterlockError:
        raise
    except (Exception, SystemExit) as error:  # whatever the application's own code raises
        raise _not_imported(module_name, spec, error) from error


def _not_imported(module_name: str, spec: str, error: BaseException) -> InputError:
    """The error for a module of the application that raises when it is imported, with the line that did."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<") and frame.filename not in {__file__, importlib.__file__}
    ]
    place = (error.filename, error.lineno) if isinstance(error, SyntaxError) else None
    if place is None and frames:
        place = (frames[-1].filename, frames[-1].lineno)
    at = "" if place is None else f" ({place[0]}, line {place[1]})"
    said = error.msg if isinstance(error, SyntaxError) else error
    return InputError(
        f"{spec!r}: the module {module_name} cannot be imported: {type(error).__name__}: {said}{at}. Nothing was done; correct that, or install "
        f"what it imports. `python -c 'import {module_name}'` shows the whole traceback.",
        code="unknown_app",
    )


def _found(module_name: str, path: str, spec: str, kinds: tuple[type, ...]) -> Any:
    """The loaded object, or the result of a loaded function that makes one of these kinds."""
    found: Any = _import(module_name, spec)
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            names = sorted(name for name, value in vars(found).items() if isinstance(value, kinds))
            has = f" It has {', '.join(names)}." if names else ""
            raise InputError(
                f"{spec!r}: the module {module_name} has no {path!r}.{has} Give module:name with the name that it has there.",
                code="unknown_app",
            ) from None
    if isinstance(found, kinds) or not isinstance(found, Callable):  # type: ignore[arg-type]
        return found
    try:
        return found()
    except InterlockError:
        raise
    except TypeError as error:
        raise InputError(
            f"{spec!r} is a function that cannot be called without arguments ({error}). Give what it makes, or a function that makes it.",
            code="unknown_app",
        ) from error


__all__ = [
    "READY_MADE",
    "App",
    "AppOption",
    "DbOption",
    "RootOption",
    "database_url",
    "load_app",
    "load_object",
    "load_root",
    "open_store",
    "opened",
]
