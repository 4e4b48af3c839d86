"""Make the mutants of one file: mutmut's operators, and four that its list lacks.

Prose is left alone: annotations, docstrings, decorators, texts with a space in them, what is logged. A changed error text is
noticed by nobody who is not looking for that text, and a list of such survivors hides those that count.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import libcst as cst
from libcst.metadata import MetadataWrapper, ParentNodeProvider, PositionProvider
from mutmut.mutation import mutators

UNTOUCHED_CALLS = frozenset({"len", "isinstance", "cast", "super", "TypeVar", "NewType", "getLogger", "ParamSpec"})
LOGGING = frozenset({"logger", "log", "_logger", "_log", "logging", "warnings"})


@dataclass(frozen=True)
class Mutant:
    """One changed file."""

    key: str
    """Names the mutant as long as its function keeps its text before and around the change."""
    file: str
    function: str
    """The qualified name of the outermost function that the change is in; empty at the level of the module or a class."""
    first_line: int
    """Where that function begins, decorators included, as code objects count it."""
    line: int
    operator: str
    before: str
    after: str
    write: Callable[[], str] = field(repr=False, compare=False)
    """Gives the changed source; made when asked for, since most mutants of a sample are not."""
    tests: tuple[str, ...] = ()
    """Files or folders of the tests that are asked; empty for those that pass through the line."""


def _text(node: cst.BaseString) -> Iterable[cst.BaseString]:
    """One change of a text that is a name: a code, a column, a status."""
    if isinstance(node, cst.SimpleString) and node.value.strip("rb'\"") and not {" ", "\n"} & set(node.value):
        yield from list(mutators.operator_string(node))[:1]


def _negated(node: cst.If | cst.While) -> Iterable[cst.CSTNode]:
    """The other branch."""
    if not isinstance(node.test, cst.Comparison | cst.UnaryOperation):  # mutmut's operators do those
        yield node.with_changes(test=cst.parse_expression(f"not ({_code(node.test)})"))


def _one_operand(node: cst.BooleanOperation) -> Iterable[cst.CSTNode]:
    """`a and b` without one of the two."""
    yield from (node.left.with_changes(lpar=node.lpar, rpar=node.rpar), node.right)


def _dropped(node: cst.Expr) -> Iterable[cst.CSTNode]:
    """A statement that is there for its effect, left out."""
    if isinstance(node.value, cst.Call | cst.Await | cst.Yield):
        yield cst.Pass()


def _unfiltered(node: cst.CompFor) -> Iterable[cst.CSTNode]:
    """A comprehension that takes all."""
    for index in range(len(node.ifs)):
        yield node.with_changes(ifs=[*node.ifs[:index], *node.ifs[index + 1 :]])


OPERATORS: list[tuple[type, Callable[[Any], Iterable[cst.CSTNode]]]] = [
    *(pair for pair in mutators.mutation_operators if pair[1] is not mutators.operator_string),
    (cst.BaseString, _text),
    (cst.If, _negated),
    (cst.While, _negated),
    (cst.BooleanOperation, _one_operand),
    (cst.Expr, _dropped),
    (cst.CompFor, _unfiltered),
]


def mutants(file: str, source: str) -> list[Mutant]:
    """All mutants of a file, in the order of its text."""
    wrapper = MetadataWrapper(cst.parse_module(source))
    visitor = _Visitor(file, source, wrapper)
    wrapper.module.visit(visitor)
    found: dict[str, Mutant] = {}
    for mutant in visitor.made():
        found.setdefault(mutant.key, mutant)
    return list(found.values())


def _code(node: cst.CSTNode) -> str:
    return cst.Module([]).code_for_node(node)


class _Visitor(cst.CSTVisitor):
    def __init__(self, file: str, source: str, wrapper: MetadataWrapper) -> None:
        self._file, self._source, self._module = file, source, wrapper.module
        self._places = wrapper.resolve(PositionProvider)
        self._parents = wrapper.resolve(ParentNodeProvider)
        self._scope: list[cst.ClassDef | cst.FunctionDef] = []
        self._changes: list[tuple[cst.CSTNode, cst.CSTNode, str, str, int]] = []
        super().__init__()

    def on_visit(self, node: cst.CSTNode) -> bool:
        if self._prose(node):
            return False
        if isinstance(node, cst.ClassDef | cst.FunctionDef):
            self._scope.append(node)
        for kind, operator in OPERATORS:
            if isinstance(node, kind):
                for changed in operator(node):
                    self._changes.append((node, changed, operator.__name__.strip("_"), *self._outermost()))
        return True

    def on_leave(self, node: cst.CSTNode) -> None:
        if self._scope and self._scope[-1] is node:
            self._scope.pop()

    def _prose(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.Annotation | cst.Decorator | cst.Import | cst.ImportFrom):
            return True
        if isinstance(node, cst.Expr) and isinstance(node.value, cst.SimpleString | cst.ConcatenatedString):
            return True
        if isinstance(node, cst.Assign) and getattr(node.targets[0].target, "value", "") == "__all__":
            return True
        if isinstance(node, cst.If) and _code(node.test) == "TYPE_CHECKING":
            return True
        if isinstance(node, cst.Call):
            name, owner = node.func, ""
            while isinstance(name, cst.Attribute):
                name = name.value
                owner = getattr(name, "value", "")
            return getattr(node.func, "value", None) in UNTOUCHED_CALLS or owner in LOGGING
        return False

    def _outermost(self) -> tuple[str, int]:
        names: list[str] = []
        for node in self._scope:
            names.append(node.name.value)
            if isinstance(node, cst.FunctionDef):
                first = node.decorators[0] if node.decorators else node
                return ".".join(names), self._places[first].start.line
        return "", 0

    def _statement(self, node: cst.CSTNode) -> cst.CSTNode:
        while not isinstance(
            node, cst.BaseSmallStatement | cst.BaseCompoundStatement | cst.ExceptHandler | cst.MatchCase
        ):
            node = self._parents[node]
        return node

    def made(self) -> Iterator[Mutant]:
        lines = self._source.splitlines()
        counted: dict[str, int] = {}
        for node, changed, operator, function, first in self._changes:
            line = self._places[node].start.line
            statement = " ".join(_code(self._statement(node)).split())[:400]
            told = f"{self._file}|{function}|{statement}|{operator}|{_code(node)}|{_code(changed)}"
            counted[told] = counted.get(told, 0) + 1
            key = hashlib.sha256(f"{told}|{counted[told]}".encode()).hexdigest()[:8]
            before, after = _short(_code(node)), _short(_code(changed))
            if len(before) < 12:
                before = f"{before}  in  {_short(lines[line - 1].strip())}"
            yield Mutant(
                key, self._file, function, first, line, operator, before, after, partial(self._write, node, changed)
            )

    def _write(self, node: cst.CSTNode, changed: cst.CSTNode) -> str:
        return self._module.with_deep_changes(self._parents[node], **self._replaced(node, changed)).code

    def _replaced(self, node: cst.CSTNode, changed: cst.CSTNode) -> dict[str, Any]:
        parent = self._parents[node]
        for name in parent.__dataclass_fields__:
            value = getattr(parent, name)
            if value is node:
                return {name: changed}
            if isinstance(value, list | tuple) and any(each is node for each in value):
                return {name: [changed if each is node else each for each in value]}
        raise LookupError(f"{type(node).__name__} is not a child of {type(parent).__name__}")


def _short(code: str) -> str:
    flat = " ".join(code.split())
    return flat if len(flat) <= 160 else flat[:157] + "..."
