"""Models as they are on the wire: camelCase, closed to unknown keys; and data written the same way."""

import dataclasses
import functools
import types
from collections.abc import Mapping, Sequence, Set
from typing import Annotated, Any, ForwardRef, Literal, Union, cast, get_args, get_origin

from pydantic import BaseModel, ConfigDict, RootModel
from pydantic.fields import FieldInfo

from .canonical import JSON, canonical_json
from .errors import ContractError
from .wire import camel

CLOSED = ConfigDict(extra="forbid", alias_generator=camel, populate_by_name=True, allow_inf_nan=False)
"""Takes camelCase, and snake_case too; refuses unknown keys, NaN and infinities."""


def closed(annotation: Any) -> Any:
    """Turn a type into one that reads the wire: every model and dataclass in it becomes a subclass of itself that is
    `CLOSED`.

    What a model decides by itself (an alias generator, what becomes of extra keys, aliases of fields) stays so.
    """
    seen: dict[Any, Any] = {}
    made = _closed(annotation, seen)
    models = {base: new for base, new in seen.items() if isinstance(new, type) and issubclass(new, BaseModel)}
    names = {_reference(base): new for base, new in models.items()}
    for model in models.values():
        model.model_rebuild(_types_namespace=names)
    return made


def _closed(annotation: Any, seen: dict[Any, Any]) -> Any:
    origin = get_origin(annotation)
    if origin is None:
        if isinstance(annotation, type):
            if issubclass(annotation, BaseModel) and not issubclass(annotation, RootModel):
                return _closed_model(annotation, seen)
            if dataclasses.is_dataclass(annotation):
                return _closed_dataclass(annotation, seen)
        return annotation
    if origin is Literal:
        return annotation
    arguments = get_args(annotation)
    if origin is Annotated:
        inner = _closed(arguments[0], seen)
        return annotation if inner is arguments[0] else Annotated[(inner, *annotation.__metadata__)]
    inner_arguments = tuple(_closed(argument, seen) for argument in arguments)
    if all(new is old for new, old in zip(inner_arguments, arguments, strict=True)):
        return annotation
    if origin in {Union, types.UnionType}:
        return Union[inner_arguments]  # noqa: UP007 -- made of a tuple; forward references do not support |
    return origin[inner_arguments] if hasattr(origin, "__class_getitem__") else annotation.copy_with(inner_arguments)


def _closed_model(model: type[BaseModel], seen: dict[Any, Any]) -> Any:
    if model in seen:
        return seen[model]
    # A model that holds itself, itself or through another, meets this name; `closed` resolves it when all are made.
    seen[model] = ForwardRef(_reference(model))
    own = model.model_config
    config = ConfigDict(populate_by_name=True)
    for key, value in CLOSED.items():
        if key not in own:
            config[key] = value  # type: ignore[literal-required]
    namespace: dict[str, Any] = {
        "__module__": model.__module__,
        "__qualname__": model.__qualname__,
        "__doc__": model.__doc__,
        "__annotations__": {},
        "model_config": config,
        **_passing_for(model),
    }
    for name, field in model.model_fields.items():
        annotation = _closed(field.annotation, seen)
        if annotation is not field.annotation:
            namespace["__annotations__"][name] = annotation
            namespace[name] = _with_annotation(field, annotation)
    derived = cast(
        "type[BaseModel]",
        types.new_class(
            model.__name__,
            (model,),
            getattr(model, "class_keywords", {}),
            exec_body=lambda body: body.update(namespace),
        ),
    )
    seen[model] = derived
    refuse_collisions(derived, f"the model {model.__qualname__}")
    return derived


def _reference(model: type[BaseModel]) -> str:
    return f"Closed{id(model)}"


def refuse_collisions(model: type[BaseModel], place: str) -> None:
    """Refuse a model with two fields of one name on the wire."""
    names: dict[str, str] = {}
    for name, key in wire_keys(model).items():
        other = names.setdefault(key, name)
        if other != name:
            raise ContractError(f"{place} has {other!r} and {name!r}, which are both {key!r} on the wire; rename one")


def _with_annotation(field: FieldInfo, annotation: Any) -> FieldInfo:
    copied = FieldInfo.from_annotated_attribute(annotation, field)
    for item in field.metadata:
        if item not in copied.metadata:
            copied.metadata.append(item)
    return copied


def _closed_dataclass(kind: type, seen: dict[Any, Any]) -> Any:
    if kind not in seen:
        config = {**CLOSED, **getattr(kind, "__pydantic_config__", {}), "populate_by_name": True}
        namespace = {
            **_passing_for(kind),
            "__module__": kind.__module__,
            "__doc__": kind.__doc__,
            "__pydantic_config__": config,
            "__slots__": (),
        }
        seen[kind] = types.new_class(kind.__name__, (kind,), exec_body=lambda body: body.update(namespace))
    return seen[kind]


def _blank(kind: Any) -> Any:
    return kind.__new__(kind)


def _passing_for(base: type) -> dict[str, Any]:
    """Make instances of a closed class equal to, hash like and pickle as those of the class that the user wrote."""
    fields = tuple(base.model_fields if issubclass(base, BaseModel) else getattr(base, "__dataclass_fields__", ()))

    def __eq__(self: Any, other: object) -> Any:  # noqa: N807
        if type(other) is base:
            return all(getattr(self, name) == getattr(other, name) for name in fields)
        return cast("Any", base).__eq__(self, other)

    def __reduce__(self: Any) -> Any:  # noqa: N807
        return _blank, (base,), self.__getstate__()

    return {"__eq__": __eq__, "__hash__": base.__hash__, "__reduce__": __reduce__, _BASE: base}


_BASE = "__interlock_closed__"


def as_written(kind: type) -> type:
    """Give the class that the user wrote, of one that `closed` made of it or of itself."""
    return cast("type", kind.__dict__.get(_BASE, kind))


def on_wire(value: Any, dumped: Any) -> JSON:
    """Rename the fields of `dumped`, which is `value` as pydantic dumps it (JSON mode, by alias), to their names on
    the wire.

    Fields with an alias keep it. Keys of dicts are data and stay as they are. Sets are put into a stable order.
    """
    if isinstance(value, RootModel):
        return on_wire(value.root, dumped)
    if isinstance(dumped, dict):
        if isinstance(value, BaseModel):
            return {
                key: on_wire(getattr(value, name, None), item)
                for key, name, item in _renamed(_model_keys(type(value)), dumped)
            }
        if dataclasses.is_dataclass(value):
            names = {field.name: (camel(field.name), field.name) for field in dataclasses.fields(value)}
            return {key: on_wire(getattr(value, name, None), item) for key, name, item in _renamed(names, dumped)}
        if isinstance(value, Mapping) and len(value) == len(dumped):
            return {key: on_wire(item, dumped[key]) for key, item in zip(dumped, value.values(), strict=True)}
    if isinstance(dumped, list):
        if isinstance(value, Set) and len(value) == len(dumped):
            return sorted(map(on_wire, value, dumped), key=canonical_json)
        if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == len(dumped):
            return [*map(on_wire, value, dumped)]
    return cast("JSON", dumped)


def _renamed(names: Mapping[str, tuple[str, str]], dumped: dict[str, Any]) -> list[tuple[str, str, Any]]:
    return [(*names.get(key, (key, key)), item) for key, item in dumped.items()]


@functools.lru_cache(maxsize=4096)
def wire_keys(model: type[BaseModel]) -> Mapping[str, str]:
    """Give the name on the wire of each field of a model, computed ones included."""
    return {name: _alias(model, name) or camel(name) for name in (*model.model_fields, *model.model_computed_fields)}


@functools.lru_cache(maxsize=4096)
def _model_keys(model: type[BaseModel]) -> Mapping[str, tuple[str, str]]:
    """Give for each key that pydantic dumps its name on the wire, and the attribute."""
    keys = wire_keys(model)
    # A closed model is dumped by its alias, or under its base's serializer by its name: both are found here.
    return {name: (key, name) for name, key in keys.items()} | {key: (key, name) for name, key in keys.items()}


def _alias(model: type[BaseModel], name: str) -> str | None:
    if name in model.model_computed_fields:
        return model.model_computed_fields[name].alias
    field = model.model_fields[name]
    return field.serialization_alias or field.alias
