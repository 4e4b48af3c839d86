"""Names parametrized pydantic models, such as `Page[Item]`, by origin and arguments, because no module has an attribute for them."""

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from . import states
from .classes import named
from .refusals import not_read

_BUILT_IN = {cls.__name__: cls for cls in (str, int, float, bool, bytes, list, dict, set, frozenset, tuple, object)}
Find = Callable[[str, str, str | None], tuple[type, bool]]


def described(cls: type[BaseModel]) -> list[Any] | None:
    """The origin and arguments, if every argument is a class; None for models without parameters."""
    metadata = cls.__pydantic_generic_metadata__
    origin, args = metadata["origin"], metadata["args"]
    if origin is None or not args:
        return None
    parts = [_argument(one) for one in args]
    return None if None in parts else [*named(origin), parts]


def _argument(arg: Any) -> list[Any] | None:
    if not isinstance(arg, type):
        return None
    if issubclass(arg, BaseModel) and (generic := described(arg)) is not None:
        return generic
    return [arg.__module__, arg.__qualname__]


def found(generic: list[Any], find: Find) -> type[BaseModel]:
    """The model of an origin and arguments.

    Raises:
        StoreError: Creating it would run code of the origin.
    """
    module, name, parts = generic
    origin, trusted = find(module, name, states.MODEL_V2)
    if not trusted and any(
        "__pydantic_init_subclass__" in vars(one) or "__init_subclass__" in vars(one)
        for one in origin.__mro__
        if one.__module__ != BaseModel.__module__ and one.__module__ not in ("builtins", "typing")
    ):
        raise not_read(
            module, name, "a model with parameters that runs code for each of them.", "Name it in allowed_types."
        )
    args = tuple(_class(part, find) for part in parts)
    model: type[BaseModel] = BaseModel.__class_getitem__.__func__(origin, args)  # type: ignore[attr-defined]
    return model


def _class(part: list[Any], find: Find) -> type:
    if len(part) > 2:
        return found(part, find)
    module, name = part
    if module == "builtins" and name in _BUILT_IN:
        return _BUILT_IN[name]
    return find(module, name, None)[0]
