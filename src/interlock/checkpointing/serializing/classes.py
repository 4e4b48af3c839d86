"""Maps classes to names, and names to classes that are already loaded, without running any code.

A row of the database is untrusted and may name any class. So no module is imported, no attribute is computed, and only data classes
are accepted.
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
"""Written classes that are not attributes of their module, such as those defined in a function."""
_guard = threading.Lock()


def named(cls: type) -> Name:
    """The name of a class in a row."""
    return cls.__module__, cls.__qualname__


def remember(cls: type) -> None:
    """Record a written class, so that this process can read its rows wherever it was defined."""
    name = named(cls)
    if _in_module(*name) is not cls:
        with _guard:
            _without_name[name] = cls


def found(module: str, name: str, moved: Mapping[str, type]) -> type:
    """Find the class of a name.

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
    """The class of a name, if this process has one, else None."""
    cls = _in_module(module, name)
    if cls is None:
        with _guard:
            cls = _without_name.get((module, name))
    return cls if cls is not None else _alive(module, name)


def _in_module(module: str, name: str) -> type | None:
    """The object with a qualified name in an imported module, without any `__getattr__`."""
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
    """The last defined class of a name that is not an attribute of its module, among all loaded classes."""
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
