"""The house rules of the source tree: no circles of imports, no folder that is a long list, no file with two ideas."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import interlock

PACKAGE = Path(interlock.__file__).parent
TESTS = Path(__file__).parents[1]
MOST_MODULES, LONGEST_SOURCE, LONGEST_TEST = 18, 450, 600


def modules() -> dict[str, Path]:
    """Every module of the package that is not a door, by its dotted name."""
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
        for path in PACKAGE.rglob("*.py")
        if path.name != "__init__.py"
    }


def imported(name: str, path: Path, known: dict[str, Path]) -> Iterator[str]:
    """The modules that one imports anywhere in it: at its top, for types alone, or inside a function."""
    package = name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*package[: len(package) - node.level + 1], *filter(None, (node.module or "").split("."))]
            for alias in node.names:
                for found in (".".join([*base, alias.name]), ".".join(base)):
                    if found in known and found != name:
                        yield found
                        break


def circle(edges: dict[str, set[str]]) -> list[str]:
    """One circle of imports, in its order; empty where there is none."""
    done: set[str] = set()
    for start, following_start in edges.items():
        path: list[str] = []
        stack: list[tuple[str, Iterator[str]]] = [(start, iter(sorted(following_start)))] if start not in done else []
        path.extend(name for name, _ in stack)
        while stack:
            following = next(stack[-1][1], None)
            if following is None:
                done.add(stack.pop()[0])
                path.pop()
            elif following in path:
                return [*path[path.index(following) :], following]
            elif following not in done:
                stack.append((following, iter(sorted(edges[following]))))
                path.append(following)
    return []


def test_no_modules_import_each_other_in_a_circle() -> None:
    known = modules()
    edges: dict[str, set[str]] = defaultdict(set)
    for name, path in known.items():
        edges[name] = set(imported(name, path, known))

    assert circle(edges) == []


def test_a_circle_would_be_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b"}, "b": set()}) == []


def test_no_folder_holds_more_than_eighteen_modules() -> None:
    counts = Counter(path.parent.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))

    assert {folder: count for folder, count in counts.items() if count > MOST_MODULES} == {}


def test_no_file_is_longer_than_one_idea() -> None:
    long = {path.relative_to(PACKAGE).as_posix(): LONGEST_SOURCE for path in PACKAGE.rglob("*.py")}
    lines = {name: len((PACKAGE / name).read_text("utf-8").splitlines()) for name in long}
    assert {name: count for name, count in lines.items() if count > LONGEST_SOURCE} == {}

    tests = {
        path.relative_to(TESTS).as_posix(): len(path.read_text("utf-8").splitlines()) for path in TESTS.rglob("*.py")
    }
    assert {name: count for name, count in tests.items() if count > LONGEST_TEST} == {}


def test_every_folder_says_what_is_in_it() -> None:
    silent = [
        path.parent.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("__init__.py")
        if "migrations" not in path.parts and not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]
    assert silent == []
