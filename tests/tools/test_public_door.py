"""The package's one public door."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import interlock.tools


def test_what_is_exported_is_what_is_there() -> None:
    tree = ast.parse(inspect.getsource(interlock.tools))
    imported = {
        alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }

    assert set(interlock.tools.__all__) == imported
    assert len(set(interlock.tools.__all__)) == len(interlock.tools.__all__)


def test_every_exported_class_and_function_is_documented() -> None:
    exported = {name: getattr(interlock.tools, name) for name in interlock.tools.__all__}

    undocumented = [
        name
        for name, value in exported.items()
        if (inspect.isclass(value) or inspect.isfunction(value)) and not inspect.getdoc(value)
    ]

    assert undocumented == []


def test_nothing_in_the_package_imports_what_lies_outside_of_it() -> None:
    package = Path(inspect.getfile(interlock.tools)).parent

    outside = {
        f"{path.name}: {ast.unparse(node)}"
        for path in package.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and node.level > 1
    }

    assert outside == set()


def test_the_package_stands_without_langgraph_and_sqlalchemy() -> None:
    # The package's own face is kept out: it imports the other packages.
    code = """
import sys, types
sys.modules["interlock"] = types.ModuleType("interlock")
sys.modules["interlock"].__path__ = [sys.argv[1]]
import interlock.tools
print([name for name in ("langgraph", "langchain_core", "sqlalchemy") if name in sys.modules])
"""
    package = Path(inspect.getfile(interlock.tools)).parent.parent

    printed = subprocess.run([sys.executable, "-c", code, package], capture_output=True, text=True, check=True).stdout

    assert printed == "[]\n"
