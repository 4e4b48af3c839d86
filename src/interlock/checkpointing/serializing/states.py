"""Reads the state of data class objects, and rebuilds objects from a state without calling their class.

No `__init__`, `__new__`, `__post_init__`, validator or property of the class runs: a row might name any class, and the state of a
properly created object has to come back unchanged.
"""

import dataclasses
import enum
import functools
import sys
from collections.abc import Callable, Mapping
from types import MemberDescriptorType
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from .refusals import not_read

ENUM, DATACLASS, MODEL_V2, MODEL_V1, NAMED_TUPLE, ATTRS, SUBCLASS = "e", "d", "m", "m1", "n", "a", "s"
SIMPLE_FACTORIES = frozenset({list, dict, set, frozenset, tuple, str, int, float, bool, bytes})
"""Default factories that may fill a field added to a class since: they run no custom code."""
PLAIN_BASES: tuple[type, ...] = (str, bytes, bool, int, float, list, dict, set, frozenset, tuple)
"""Built-in classes whose subclasses are stored as value and attributes."""

_MADE_IN_PYTHON = 1 << 9
"""The flag of classes that a `class` statement made."""
_FILLED: dict[type, Callable[[Any, Any], None]] = {list: list.extend, set: set.update, dict: dict.update}
"""The built-in classes whose objects are filled after creation."""
_new = object.__new__
_mro: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__
_space: Callable[[type], Mapping[str, Any]] = type.__dict__["__dict__"].__get__
_set_fields_set: Callable[[Any, Any], None] = BaseModel.__dict__["__pydantic_fields_set__"].__set__
_set_extra: Callable[[Any, Any], None] = BaseModel.__dict__["__pydantic_extra__"].__set__
_set_private: Callable[[Any, Any], None] = BaseModel.__dict__["__pydantic_private__"].__set__
_set = object.__setattr__


def kind_of(cls: type) -> str | None:
    """The kind of a data class, or None. It reads only dictionaries, so that no code of the class runs."""
    bases = _mro(cls)
    if has_finalizer(cls):
        return None
    if enum.Enum in bases:
        return ENUM
    if BaseModel in bases:
        return MODEL_V2 if _is_made_by_object(cls) else None
    if tuple in bases:
        return (
            NAMED_TUPLE if any("_fields" in _space(one) and "_make" in _space(one) for one in bases) else _subclass(cls)
        )
    if any("__dataclass_fields__" in _space(one) for one in bases):
        return DATACLASS if _is_made_by_object(cls) else None
    if _is_model_v1(bases):
        return MODEL_V1 if _is_made_by_object(cls) else None
    if "__attrs_attrs__" in _space(cls):
        return ATTRS if _is_made_by_object(cls) else None
    return _subclass(cls)


def _subclass(cls: type) -> str | None:
    return SUBCLASS if base_of(cls) is not None and not _slots(cls) else None


def base_of(cls: type) -> type | None:
    """The built-in base class of a subclass, if its value can be read and set without code of the subclass."""
    for base in PLAIN_BASES:
        if base in _mro(cls):
            return base if cls.__basicsize__ <= base.__basicsize__ + 16 and cls.__flags__ & _MADE_IN_PYTHON else None
    return None


def has_finalizer(cls: type) -> bool:
    """Whether the class has a finalizer; a row must not create such an object."""
    return any("__del__" in _space(one) for one in _mro(cls))


def state_of(obj: Any, kind: str) -> Any:
    """The state of an object: data, which may contain other objects."""
    cls = type(obj)
    if kind == ENUM:
        return [obj._name_, obj._value_]
    if kind == MODEL_V2:
        return model_state(obj)
    if kind == NAMED_TUPLE:
        return [list(tuple.__iter__(obj)), _attributes(obj)]
    if kind == DATACLASS:
        names = [field.name for field in dataclasses.fields(obj)]
        return _fields(obj, names) | _attributes(obj)
    if kind == ATTRS:
        return _fields(obj, [one.name for one in cls.__attrs_attrs__]) | _attributes(obj)
    if kind == MODEL_V1:
        return {"fields": obj.__dict__, "set": " ".join(sorted(obj.__fields_set__))}
    return [_plain(base_of(cls), obj), _attributes(obj)]


def model_state(obj: BaseModel) -> tuple[dict[str, Any], list[Any]]:
    """The fields of a pydantic model, the set of given fields, the extra fields, and the private attributes."""
    cls = type(obj)
    cached = _cached(cls)
    fields = {name: value for name, value in obj.__dict__.items() if name not in cached} if cached else obj.__dict__
    private = obj.__pydantic_private__
    if private is not None:
        private = {name: value for name, value in private.items() if value is not PydanticUndefined}
    fields_set: Any = obj.__pydantic_fields_set__
    names = None if fields_set == fields.keys() else " ".join(sorted(fields_set))
    return fields, [names, obj.__pydantic_extra__, private]


def rebuilt(cls: type, kind: str, state: Any, *, trusted: bool) -> Any:
    """Rebuild an object from its state.

    Args:
        cls: Its class, of that kind.
        kind: The result of `kind_of`.
        state: The result of `state_of`.
        trusted: Whether the class is allowed by name, so that its default factories may run.

    Raises:
        StoreError: The state no longer fits the class.
    """
    if kind == ENUM:
        return _member(cls, *state)
    if kind == NAMED_TUPLE:
        items, attributes = state
        obj: Any = tuple.__new__(cls, items)
        return _with_attributes(obj, attributes)
    if kind == SUBCLASS:
        value, attributes = state
        return _with_attributes(_made(cls, value), attributes)
    if kind == MODEL_V1:
        obj = _new(cls)
        _set(obj, "__dict__", state["fields"])
        _set(obj, "__fields_set__", set(state["set"].split()))
        return obj
    fields: Any = cls
    for one in dataclasses.fields(fields) if kind == DATACLASS else ():
        if one.init and one.name not in state:
            state[one.name] = _default(cls, one.name, one.default, one.default_factory, trusted=trusted)
    return _with_attributes(_new(cls), state)


def rebuilt_model(cls: type[BaseModel], fields: dict[str, Any], rest: Any, *, trusted: bool) -> BaseModel:
    """Rebuild a pydantic model from its state."""
    names, extra, private = rest
    known: Mapping[str, Any] = cls.__pydantic_fields__
    fields_set = set(fields) if names is None else set(names.split())
    if fields.keys() != known.keys():
        for name, field in known.items():
            if name not in fields:
                factory = field.default_factory or dataclasses.MISSING
                default = dataclasses.MISSING if field.default is PydanticUndefined else field.default
                fields[name] = _default(cls, name, default, factory, trusted=trusted)
        gone = [name for name in fields if name not in known and name in fields_set]
        for name in gone:
            del fields[name]
    obj = _new(cls)
    _set(obj, "__dict__", fields)
    _set_fields_set(obj, fields_set & known.keys() | set(extra or ()))
    _set_extra(obj, extra)
    _set_private(obj, private)
    return obj


def _default(cls: type, name: str, default: Any, factory: Any, *, trusted: bool) -> Any:
    """The default of a field that was added to the class after the object was stored."""
    if default is not dataclasses.MISSING:
        return default
    if factory is not dataclasses.MISSING and factory is not None and (trusted or factory in SIMPLE_FACTORIES):
        return factory()
    raise not_read(
        cls.__module__,
        cls.__qualname__,
        f"which has a field {name!r} now that it had not when the value was written.",
        "Give the field a default value, or name the class in allowed_types so that its default factory may run.",
    )


def _member(cls: type, name: str | None, value: Any) -> Any:
    if not issubclass(cls, enum.Enum):
        raise not_read(cls.__module__, cls.__qualname__, "which is not an enum any more.", "Restore the class.")
    member: Any = cls._member_map_.get(name) if name is not None else None
    if member is None:
        try:
            member = cls._value2member_map_.get(value)
        except TypeError:
            member = None
    if member is None and issubclass(cls, enum.Flag) and type(value) is int:
        member = enum.Flag._missing_.__func__(cls, value)  # type: ignore[attr-defined]
    if member is None:
        raise not_read(
            cls.__module__,
            cls.__qualname__,
            f"which has no member {name!r} with the value {value!r} any more.",
            "Give the enum the member back, under an alias if it was renamed.",
        )
    return member


def _made(cls: type, value: Any) -> Any:
    """Create an object of a subclass with the code of the built-in class."""
    base = base_of(cls)
    if base is None or type(value) is not base:
        raise not_read(cls.__module__, cls.__qualname__, "and not of the form that it had.", "Restore the class.")
    new: Callable[..., Any] = base.__new__
    if base not in _FILLED:
        return new(cls, value)
    obj = new(cls)
    _FILLED[base](obj, value)
    return obj


def _with_attributes(obj: Any, attributes: Mapping[str, Any]) -> Any:
    """Set attributes directly in their storage, without properties and `__setattr__`."""
    cls = type(obj)
    for name, value in attributes.items():
        slot = _slot(cls, name)
        if slot is not None:
            slot.__set__(obj, value)
        elif cls.__dictoffset__:
            object.__getattribute__(obj, "__dict__")[name] = value
    return obj


def _fields(obj: Any, names: list[str]) -> dict[str, Any]:
    """The fields of an object, without unset ones."""
    own = getattr(obj, "__dict__", {})
    state = {}
    for name in names:
        if name in own:
            state[name] = own[name]
        elif (slot := _slot(type(obj), name)) is not None:
            try:
                state[name] = slot.__get__(obj)
            except AttributeError:
                continue
    return state


def _attributes(obj: Any) -> dict[str, Any]:
    """The attributes in the dictionary of an object, except cached properties."""
    cls = type(obj)
    cached = _cached(cls)
    return {name: value for name, value in getattr(obj, "__dict__", {}).items() if name not in cached}


def _slot(cls: type, name: str) -> MemberDescriptorType | None:
    for one in _mro(cls):
        item = _space(one).get(name)
        if type(item) is MemberDescriptorType:
            return item
    return None


def _slots(cls: type) -> list[str]:
    found = [_space(one).get("__slots__", ()) for one in _mro(cls) if one.__flags__ & _MADE_IN_PYTHON]
    return [name for names in found for name in ((names,) if isinstance(names, str) else names) if name != "__dict__"]


def _cached(cls: Any) -> frozenset[str]:
    return _cached_properties(cls)


@functools.lru_cache(maxsize=4096)
def _cached_properties(cls: type) -> frozenset[str]:
    """The names of the cached properties of the class."""
    spaces = [_space(one) for one in _mro(cls)]
    return frozenset(
        name for space in spaces for name, item in space.items() if type(item) is functools.cached_property
    )


def _plain(base: Any, obj: Any) -> Any:
    """The built-in value of an object of a subclass."""
    if base is str:
        return str.__str__(obj)
    if base is int:
        return int.__int__(obj)
    if base is float:
        return float.__float__(obj)
    if base is bytes:
        return bytes(memoryview(obj))
    if base is dict:
        return {key: dict.__getitem__(obj, key) for key in dict.__iter__(obj)}
    return base(base.__iter__(obj))


def _is_model_v1(bases: tuple[type, ...]) -> bool:
    module = sys.modules.get("pydantic.v1.main")
    return module is not None and module.BaseModel in bases


def _is_made_by_object(cls: type) -> bool:
    """Whether `object.__new__` can create the class: it is not abstract, and has no storage except attributes."""
    try:
        _new(cls)
    except TypeError:
        return False
    return True
