"""A row of the database is not believed: whatever it names, nothing is imported, and nothing of it is called."""

from __future__ import annotations

import dataclasses
import enum
import subprocess
import sys
from typing import Any

import ormsgpack
import pytest
from pydantic import BaseModel, Field, model_validator

from interlock.checkpointing.serializing import TypedSerializer
from interlock.tools.errors import StoreError

called: list[str] = []


@dataclasses.dataclass
class Loud:
    x: Any = None
    y: Any = dataclasses.field(default_factory=lambda: called.append("factory"))

    def __post_init__(self) -> None:
        called.append("__post_init__")

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        called.append("__new__")
        return super().__new__(cls)

    def __setattr__(self, name: str, value: Any) -> None:
        called.append("__setattr__")
        super().__setattr__(name, value)


class LoudModel(BaseModel):
    x: Any = None
    y: Any = Field(default_factory=lambda: called.append("factory"))

    def __init__(self, **kwargs: Any) -> None:
        called.append("__init__")
        super().__init__(**kwargs)

    @model_validator(mode="after")
    def check(self) -> Any:
        called.append("validator")
        return self

    def model_post_init(self, context: Any, /) -> None:
        called.append("model_post_init")


class LoudEnum(enum.Enum):
    A = 1

    @classmethod
    def _missing_(cls, value: object) -> Any:
        called.append("_missing_")
        return cls.A


@dataclasses.dataclass
class Finalized:
    path: str = ""

    def __del__(self) -> None:
        called.append("__del__")


def row(code: int, *content: Any) -> tuple[str, bytes]:
    return "typed", ormsgpack.packb(ormsgpack.Ext(code, ormsgpack.packb(list(content))))


HOSTILE = {
    "a function by LangGraph's code": row(0, "os", "system", "echo hacked"),
    "a function with arguments": row(1, "os", "system", ["echo hacked"]),
    "a function with keywords": row(2, "subprocess", "Popen", {"args": "echo hacked"}),
    "a method": row(3, "builtins", "str", "x", "upper"),
    "a method of a class": row(3, "os", "PathLike", "x", "register"),
    "a model by LangGraph's code": row(5, __name__, "LoudModel", {"x": 1}, "model_validate_json"),
    "an old model": row(4, "subprocess", "Popen", {"args": "echo hacked"}),
    "a class that is not data": row(66, "d", "subprocess", "Popen", {"args": "x"}),
    "a function as a data class": row(66, "d", "os", "system", {}),
    "the wrong kind": row(66, "n", __name__, "Loud", [[1], {}]),
    "a class with a finalizer": row(66, "d", __name__, "Finalized", {"path": "/"}),
    "a module that is not imported": row(66, "d", "antigravity", "Nothing", {}),
    "an attribute of a module": row(66, "d", "os", "path.join", {}),
    "a missing member": row(66, "e", __name__, "LoudEnum", ["B", 9]),
    "a field without a value": row(66, "d", __name__, "Loud", {"x": 1}),
    "a model with a field without a value": row(5, __name__, "LoudModel", {"x": 1}, [None, None, None, None]),
    "a subclass of a built-in": row(66, "s", "builtins", "str", ["x", {}]),
    "an array of addresses": row(6, "|O", [1], "C", b"\0" * 8),
    "an unknown value": row(65, "eval", "1"),
    "an unknown extension": row(90, 1),
    "pickled bytes": ("pickle", b"\x80\x04."),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_row_is_refused_and_runs_nothing(name: str) -> None:
    called.clear()

    with pytest.raises((StoreError, NotImplementedError, ValueError, TypeError, KeyError)):
        TypedSerializer().loads_typed(HOSTILE[name])

    assert called == []
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    "stored",
    [
        row(66, "d", __name__, "Loud", {"x": 1, "y": 2}),
        row(5, __name__, "LoudModel", {"x": 1, "y": 2}, ["x y", None, None, None]),
        row(66, "e", __name__, "LoudEnum", ["A", 1]),
    ],
)
def test_a_data_class_is_rebuilt_without_running_its_code(stored: tuple[str, bytes]) -> None:
    called.clear()

    loaded = TypedSerializer().loads_typed(stored)

    assert called == []
    assert loaded is LoudEnum.A or (loaded.x, loaded.y) == (1, 2)


def test_a_module_is_not_imported_even_where_it_holds_data_classes() -> None:
    program = (
        "import sys, ormsgpack\n"
        "from interlock.checkpointing.serializing import TypedSerializer\n"
        "assert 'calendar' in sys.modules or True\n"
        "data = ormsgpack.packb(ormsgpack.Ext(66, ormsgpack.packb(['e', 'wsgiref.handlers', 'X', ['A', 1]])))\n"
        "try:\n"
        "    TypedSerializer().loads_typed(('typed', data))\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, 'wsgiref.handlers' in sys.modules)\n"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["StoreError", "False"]


def test_attributes_of_lazy_modules_are_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    import types

    class Lazy(types.ModuleType):
        def __getattribute__(self, name: str) -> Any:
            called.append(name)
            return super().__getattribute__(name)

    monkeypatch.setitem(sys.modules, "lazy_module", Lazy("lazy_module"))
    called.clear()

    with pytest.raises(StoreError, match="no such class"):
        TypedSerializer().loads_typed(row(66, "d", "lazy_module", "Anything", {}))

    assert called == []
