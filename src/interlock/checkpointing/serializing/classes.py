"""From a class to its name in a row, and from a name to a class that this process has already, without running anything.

A row of the database is not trusted: it may name any class. So no module is imported, no attribute is computed, and what is found
counts only when it is a data class.
"""

import sys
import threading
import weakref
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from .refusals import not_read

Name = tuple[str, str]
"""Module and qualified name."""

_module_dict: Any = vars(ModuleType)["__dict__"].__get__
_class_dict: Any = vars(type)["__dict__"].__get__
_without_name: "weakref.WeakValueDictionary[Name, type]" = weakref.WeakValueDictionary()
"""Classes that were written but are not in their module, such as those that a function defines."""
_guard = threading.Lock()


def named(cls: type) -> Name:
    """The name by which a row names a class."""
    return cls.__module__, cls.__qualname__


def remember(cls: type) -> None:
    """A class was written: rows of it can be read in this process wherever it was defined."""
    name = named(cls)
    if _in_module(*name) is not cls:
        with _guard:
            _without_name[name] = cls


def found(module: str, name: str, moved: Mapping[str, type]) -> type:
    """The class of a name.

    Raises:
        StoreError: This process has no class of that name.
    """
    cls = moved.get(f"{module}.{name}") or known(module, name)
    if cls is None:
        where = "is not imported" if module not in sys.modules else "has no such class"
        raise not_read(
            module,
            name,
            f"and the module {module} {where} in this process.",
            f"Import {module} before the thread is loaded. If the class was moved or renamed, say where it is now: "
            f'SQLCheckpointer(…, moved_types={{"{module}.{name}": NewClass}}).',
        )
    return cls


def known(module: str, name: str) -> type | None:
    """The class of a name, if this process has one."""
    cls = _in_module(module, name)
    if cls is None:
        with _guard:
            cls = _without_name.get((module, name))
    return cls if cls is not None else _alive(module, name)


def _in_module(module: str, name: str) -> type | None:
    """What is under a name in a module that is imported already. No `__getattr__` of a module or class is asked."""
    there: Any = sys.modules.get(module)
    if not issubclass(type(there), ModuleType):
        return None
    item: Any = None
    space: Mapping[str, Any] = _module_dict(there)
    for part in name.split("."):
        item = space.get(part)
        if not issubclass(type(item), type):
            return None
        space = _class_dict(item)
    return item if isinstance(item, type) else None


def _alive(module: str, name: str) -> type | None:
    """The class that was defined last under a name that cannot be looked up, among all that there are."""
    latest = None
    for cls in _every_class():
        if cls.__qualname__ == name and cls.__module__ == module:
            latest = cls
    if latest is not None:
        with _guard:
            _without_name[module, name] = latest
    return latest


def _every_class() -> Iterator[type]:
    seen: set[type] = set()
    todo = [object]
    while todo:
        for cls in type.__subclasses__(todo.pop()):
            if cls not in seen:
                seen.add(cls)
                todo.append(cls)
                yield cls
