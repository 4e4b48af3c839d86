"""What importing Interlock costs: packages are imported when they are used, extras only with what needs them."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import interlock
from interlock.checkpointing import tables
from interlock.checkpointing.tables.columns import metadata

EXTRAS = [
    "aiosqlite",
    "alembic",
    "anywidget",
    "asyncpg",
    "faststream",
    "httpx_sse",
    "ipywidgets",
    "langchain",
    "langchain_openai",
    "mcp",
    "numpy",
    "openai",
    "opentelemetry",
    "pandas",
    "psycopg",
    "pymysql",
    "redis",
    "rich",
    "typer",
]
"""What no workflow needs as such: each comes with an extra, a driver, the command line or a notebook."""

EVERYTHING = "\n".join(f"interlock.{name}" for name in interlock.__all__)


def loaded_by(code: str) -> set[str]:
    """What a program of its own loads beyond what LangGraph and SQLAlchemy do: top-level modules, and ours and SQLAlchemy's by their
    full names.
    """
    program = f"""
import sys, langgraph.graph, sqlalchemy
before = set(sys.modules)
import interlock
{code}
for name in set(sys.modules) - before:
    print(name if name.startswith(("interlock", "sqlalchemy")) else name.partition(".")[0])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_interlock_loads_no_package_and_nothing_of_others() -> None:
    assert loaded_by("") == {"interlock", "interlock._version", "lazy_loader"}


def test_declaring_a_tool_loads_the_tools_alone() -> None:
    packages = {name.split(".")[1] for name in loaded_by("interlock.command") if name.startswith("interlock.")}
    assert packages == {"_version", "tools"}


def test_all_that_the_door_shows_loads_no_extra() -> None:
    assert loaded_by(EVERYTHING) & set(EXTRAS) == set()


A_RUN = """
from pathlib import Path
from tempfile import TemporaryDirectory
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult

class Model(BaseChatModel):
    _llm_type = "closing"

    def bind_tools(self, tools, **options):
        return self

    def _generate(self, messages, stop=None, run_manager=None, **options):
        call = {"name": "order_close", "args": {"orderId": "W1"}, "id": "c1"}
        return ChatResult(generations=[ChatGeneration(message=AIMessage("", tool_calls=[call]))])

def close(order_id: str) -> str:
    "Close an order."
    return order_id

desk = interlock.Workflow("desk", model=Model())
desk.add_state("open")
desk.add_state("closed", final=True)
desk.add_edge("open", interlock.command("order.close", effect="idempotent")(close), "closed")
with TemporaryDirectory() as folder, interlock.SQLCheckpointer(f"sqlite:///{Path(folder) / 'desk.db'}") as saver:
    here = {"configurable": {"thread_id": "t-1"}}
    assert desk.compile(saver).invoke({"messages": [("user", "close it")]}, here)["state"] == "closed"
"""
"""A workflow in SQL, compiled and run."""


def test_a_workflow_in_sql_loads_no_orm_before_a_tool_asks_for_its_session() -> None:
    assert loaded_by(A_RUN) & {"sqlalchemy.orm", "sqlalchemy.ext.asyncio"} == set()


def test_a_run_loads_neither_pictures_nor_the_operations_from_outside() -> None:
    loaded = loaded_by(A_RUN)
    rooms = {".".join(name.split(".")[:3]) for name in loaded if name.startswith("interlock.")}
    assert not {name for name in rooms if name.startswith(("interlock.pictures", "interlock.events.relay"))}
    assert not rooms & {
        "interlock.checkpointing.removing",
        "interlock.operations.deliveries",
        "interlock.operations.event_service",
        "interlock.operations.instances",
        "interlock.operations.stepping",
    }


@pytest.mark.parametrize("package", ["checkpointing", "events", "mcp", "operations"])
def test_the_public_names_of_a_package_are_those_that_type_checkers_see(package: str) -> None:
    room = importlib.import_module(f"interlock.{package}")
    assert room.__file__ is not None
    tree = ast.parse(Path(room.__file__).with_suffix(".pyi").read_text("utf-8"))
    lines = [line for line in tree.body if isinstance(line, ast.ImportFrom)]
    for line in lines:
        home = importlib.import_module(f"interlock.{package}.{line.module}")
        for alias in line.names:
            assert getattr(room, alias.name) is getattr(home, alias.name)
    assert sorted(alias.name for line in lines for alias in line.names) == sorted(room.__all__)


def test_every_table_is_known_as_soon_as_one_is() -> None:
    program = "from interlock.checkpointing.tables.columns import metadata; print(*metadata.tables)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    for module in pkgutil.iter_modules(tables.__path__):
        importlib.import_module(f"{tables.__name__}.{module.name}")
    assert set(done.stdout.split()) == {*metadata.tables}


def test_each_name_is_the_one_that_type_checkers_see() -> None:
    tree = ast.parse(Path(interlock.__file__).with_suffix(".pyi").read_text("utf-8"))
    lines = [line for line in tree.body if isinstance(line, ast.ImportFrom)]
    for line in lines:
        home = __import__(f"interlock.{line.module}", fromlist=["*"])
        for alias in line.names:
            assert alias.asname == alias.name
            assert getattr(interlock, alias.name) is getattr(home, alias.name)
    names = [alias.name for line in lines for alias in line.names]
    assert sorted(names) == sorted(interlock.__all__)
    assert set(dir(interlock)) == set(interlock.__all__)


def test_a_name_that_is_not_there_is_said_so() -> None:
    with pytest.raises(AttributeError, match="No interlock attribute Workflows"):
        interlock.Workflows  # type: ignore[attr-defined]  # noqa: B018
