"""Converts models to their wire form: camelCase, closed to unknown keys; and serializes data the same way."""

import copy
import dataclasses
import functools
import sys
import types
from collections.abc import Mapping, Sequence, Set
from typing import Annotated, Any, ForwardRef, Literal, Union, cast, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, RootModel
from pydantic.fields import FieldInfo
from typing_extensions import TypeAliasType, TypedDict, is_typeddict

from ..canonical import JSON, canonical_json
from ..errors import ContractError
from ..wire import camel

ExtraValues = Literal["allow", "ignore", "forbid"]
"""The treatment of keys that a model does not declare."""
CLOSED = ConfigDict(extra="forbid", alias_generator=camel, populate_by_name=True, allow_inf_nan=False)
"""Accepts camelCase and snake_case; refuses unknown keys, NaN and infinities."""


_BASE = "__interlock_closed__"


class _Seen(dict[Any, Any]):
    """The types that are closed already, and the default treatment of unknown keys."""

    def __init__(self, config: ConfigDict) -> None:
        super().__init__()
        self.config = config


def closed(annotation: Any, *, extra: ExtraValues | None = None) -> Any:
    """Turn a type into one that parses the wire form: every model and dataclass in it becomes a `CLOSED` subclass of
    itself.

    A model keeps its own configuration: alias generator, treatment of extra keys, aliases of fields.

    Args:
        annotation: The type.
        extra: The treatment of unknown keys in a model that does not configure it; `forbid` if None.
    """
    seen = _Seen(CLOSED if extra is None else ConfigDict({**CLOSED, "extra": extra}))
    made = _closed(annotation, seen)
    models = {base: new for base, new in seen.items() if isinstance(new, type) and issubclass(new, BaseModel)}
    names = {_reference(base): new for base, new in models.items()}
    for model in models.values():
        model.model_rebuild(_types_namespace=names)
    return made


def _closed(annotation: Any, seen: _Seen) -> Any:
    origin = get_origin(annotation)
    if origin is None:
        return _closed_class(annotation, seen)
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


def _closed_class(annotation: Any, seen: _Seen) -> Any:
    if isinstance(annotation, TypeAliasType):
        if annotation in seen:  # it contains itself, and stays as it is
            return annotation
        seen[annotation] = annotation
        inner = _closed(annotation.__value__, seen)
        return annotation if inner is annotation.__value__ else inner
    if is_typeddict(annotation):
        return _closed_typed_dict(annotation, seen)
    if not isinstance(annotation, type):
        return annotation
    if issubclass(annotation, RootModel):
        return _closed_root(annotation, seen)
    if issubclass(annotation, BaseModel):
        return _closed_model(annotation, seen)
    if dataclasses.is_dataclass(annotation):
        return _closed_dataclass(annotation, seen)
    if issubclass(annotation, tuple) and hasattr(annotation, "_fields"):
        return _closed_named_tuple(annotation, seen)
    return annotation


def _closed_model(model: type[BaseModel], seen: _Seen) -> Any:
    if model in seen:
        return seen[model]
    # A recursive model refers to this name, directly or through another model; `closed` resolves it when all are made.
    seen[model] = ForwardRef(_reference(model))
    own = model.model_config
    config = ConfigDict(populate_by_name=True)
    for key, value in seen.config.items():
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


def _closed_root(model: type[RootModel[Any]], seen: _Seen) -> Any:
    if model in seen:
        return seen[model]
    seen[model] = model  # one that contains itself stays as it is
    field = model.model_fields["root"]
    inner = _closed(field.annotation, seen)
    if inner is not field.annotation:
        namespace = {
            **_passing_for(model),
            "__module__": model.__module__,
            "__qualname__": model.__qualname__,
            "__doc__": model.__doc__,
            "__annotations__": {"root": inner},
            "root": _with_annotation(field, inner),
        }
        seen[model] = types.new_class(model.__name__, (model,), exec_body=lambda body: body.update(namespace))
    return seen[model]


def _closed_typed_dict(kind: Any, seen: _Seen) -> Any:
    if kind in seen:
        return seen[kind]
    seen[kind] = kind  # one that contains itself stays as it is
    hints = get_type_hints(kind, include_extras=True)
    inner = {name: _closed(hint, seen) for name, hint in hints.items()}
    # pydantic accepts typing.TypedDict only from Python 3.12 on.
    is_old = sys.version_info < (3, 12) and type(kind).__module__ == "typing"
    if is_old or any(inner[name] is not hint for name, hint in hints.items()):
        made = TypedDict(kind.__name__, inner, total=kind.__total__)  # type: ignore[misc]
        for name in ("__module__", "__qualname__", "__doc__", "__pydantic_config__"):
            if hasattr(kind, name):
                setattr(made, name, getattr(kind, name))
        # A base class, not the type hints, may declare whether a key is required.
        made.__required_keys__, made.__optional_keys__ = kind.__required_keys__, kind.__optional_keys__
        seen[kind] = made
    return seen[kind]


def _closed_named_tuple(kind: type, seen: _Seen) -> Any:
    if kind in seen:
        return seen[kind]
    seen[kind] = kind  # one that contains itself stays as it is
    hints = get_type_hints(kind, include_extras=True)
    inner = {name: _closed(hint, seen) for name, hint in hints.items()}
    if any(inner[name] is not hint for name, hint in hints.items()):
        namespace = {
            "__module__": kind.__module__,
            "__qualname__": kind.__qualname__,
            "__doc__": kind.__doc__,
            "__annotations__": inner,
            "__slots__": (),
            _BASE: kind,
        }
        seen[kind] = types.new_class(kind.__name__, (kind,), exec_body=lambda body: body.update(namespace))
    return seen[kind]


def _reference(model: type[BaseModel]) -> str:
    return f"Closed{id(model)}"


def refuse_collisions(model: type[BaseModel], place: str) -> None:
    """Refuse a model with two fields of the same wire name."""
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


def _closed_dataclass(kind: Any, seen: _Seen) -> Any:
    if kind not in seen:
        seen[kind] = kind  # one that contains itself stays as it is
        config = {**seen.config, **getattr(kind, "__pydantic_config__", {}), "populate_by_name": True}
        namespace = {
            **_passing_for(kind),
            "__module__": kind.__module__,
            "__doc__": _own_docstring(kind),
            "__pydantic_config__": config,
            "__slots__": (),
        }
        hints = get_type_hints(kind, include_extras=True)
        fields = dict(kind.__dataclass_fields__)
        inner = {name: _closed(hints[name], seen) for name in fields}
        changed = {name: hint for name, hint in inner.items() if hint is not hints[name]}
        if changed:
            for name, hint in changed.items():
                fields[name] = copy.copy(fields[name])
                fields[name].type = hint
            namespace |= {"__annotations__": changed, "__dataclass_fields__": fields}
        seen[kind] = types.new_class(kind.__name__, (kind,), exec_body=lambda body: body.update(namespace))
    return seen[kind]


def _own_docstring(kind: type) -> str | None:
    """The docstring of a dataclass, unless `dataclass` generated it."""
    text = kind.__doc__
    return None if text is None or text.startswith(f"{kind.__name__}(") else text


def _blank(kind: Any) -> Any:
    return kind.__new__(kind)


def _passing_for(base: type) -> dict[str, Any]:
    """Make instances of a closed class compare, hash and pickle as those of the user's class."""
    fields = tuple(base.model_fields if issubclass(base, BaseModel) else getattr(base, "__dataclass_fields__", ()))

    def __eq__(self: Any, other: object) -> Any:  # noqa: N807
        if type(other) is base:
            return all(getattr(self, name) == getattr(other, name) for name in fields)
        return cast("Any", base).__eq__(self, other)

    def __reduce__(self: Any) -> Any:  # noqa: N807
        return _blank, (base,), self.__getstate__()

    return {"__eq__": __eq__, "__hash__": base.__hash__, "__reduce__": __reduce__, _BASE: base}


def as_written(kind: type) -> type:
    """The user's class of a class that `closed` made; any other class is returned unchanged."""
    return cast("type", kind.__dict__.get(_BASE, kind))


def on_wire(value: Any, dumped: Any) -> JSON:
    """Rename the fields of `dumped`, pydantic's dump of `value` (JSON mode, by alias), to their wire
    names.

    Fields with an alias keep it. Keys of dicts are data and stay unchanged. Sets are sorted.
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
    """The wire name of each field of a model, including computed ones."""
    return {name: _alias(model, name) or camel(name) for name in (*model.model_fields, *model.model_computed_fields)}


@functools.lru_cache(maxsize=4096)
def _model_keys(model: type[BaseModel]) -> Mapping[str, tuple[str, str]]:
    """For each key of pydantic's dump, its wire name and the attribute."""
    keys = wire_keys(model)
    # A closed model is dumped by its alias, or under its base's serializer by its name: both are found here.
    return {name: (key, name) for name, key in keys.items()} | {key: (key, name) for name, key in keys.items()}


def _alias(model: type[BaseModel], name: str) -> str | None:
    if name in model.model_computed_fields:
        return model.model_computed_fields[name].alias
    field = model.model_fields[name]
    return field.serialization_alias or field.alias
