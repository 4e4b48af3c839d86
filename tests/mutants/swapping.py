"""Put a changed function in the place of a loaded one, in a process that has everything imported.

A fresh interpreter takes seconds to import LangGraph and the package. A forked one has them: the code object of the outermost
changed function is exchanged in every function that has it, whoever holds that function by now.
"""

from __future__ import annotations

import ast
import gc
from collections.abc import Iterator
from types import CodeType, FunctionType


class CannotSwapError(Exception):
    """The change reaches beyond one function's body, or no function has the code: it needs a fresh process."""


Holders = dict[tuple[str, str, int], list[FunctionType]]


def holders_in(paths: set[str]) -> Holders:
    """All functions of these files that are loaded, by file, qualified name and first line. Looked for once, before processes are forked."""
    found: Holders = {}
    for each in gc.get_objects():
        # Not isinstance(), which asks lazy objects of other libraries for their class, and so loads or fails.
        if type(each) is FunctionType and each.__code__.co_filename in paths:
            code = each.__code__
            found.setdefault((code.co_filename, code.co_qualname, code.co_firstlineno), []).append(each)
    return found


def swap(holders: Holders, source: str, path: str, function: str, first_line: int) -> None:
    """Exchange the code of `function`, which begins in `first_line` of the file at `path`, for that of `source`.

    Args:
        holders: Who has which code.
        source: The changed source of the whole file.
        path: The file's path, as tracebacks show it.
        function: The qualified name of the outermost changed function.
        first_line: The line of its definition, or of its first decorator.

    Raises:
        CannotSwapError: When there is no function to exchange it in, or the names that it closes over differ.
    """
    new = _find(compile(source, path, "exec", dont_inherit=True), function, first_line)
    if not (found := holders.get((path, function, first_line))):
        raise CannotSwapError(f"no loaded function has the code of {function}")
    for holder in found:
        if holder.__code__.co_freevars != new.co_freevars:
            raise CannotSwapError(f"{function} closes over other names")
        holder.__code__ = new


def users(source: str, line: int) -> list[int]:
    """The lines of functions that use what the statement of a module around a line makes, directly or by what else is made of it."""
    module = ast.parse(source).body
    made = next((one for one in module if one.lineno <= line <= (one.end_lineno or one.lineno)), None)
    names = set() if made is None else _made(made)
    found: set[int] = set()
    for one in module:
        loaded = [each for each in ast.walk(one) if isinstance(each, ast.Name) and each.id in names]
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found |= {each.lineno for each in loaded}
        elif loaded:
            names |= _made(one)
    return sorted(found)


def _made(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        return {
            each.id for each in ast.walk(statement) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
        }
    return set()


def _find(code: CodeType, function: str, first_line: int) -> CodeType:
    for each in _all(code):
        if each.co_qualname == function and each.co_firstlineno == first_line:
            return each
    raise CannotSwapError(f"{function} is not in line {first_line}")


def _all(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _all(constant)
