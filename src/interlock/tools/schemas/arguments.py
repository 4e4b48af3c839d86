"""Parses the arguments of a call strictly, and reports problems field by field."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, cast

from pydantic import BaseModel, RootModel, ValidationError

from ..canonical import JSON, JsonObject, json_writer, to_canonical
from ..errors import InvalidArguments, NotJson, Problem
from ..storable import type_name, why_not_storable
from ..wire import camel
from .shapes import wire_keys

LOSSY = (
    "is read and written as different values (by a validator, serializer or field of the tool), so what is shown "
    "would not be what runs; the tool must be fixed"
)
"""The problem of an argument that does not survive serialization."""


def plain_arguments(tool: str, arguments: object) -> JsonObject:
    """Convert the arguments of a call to plain JSON that every database stores; whole numbers become integers.

    Raises:
        InvalidArguments: They are not an object, or hold a value that cannot be stored.
    """
    if not isinstance(arguments, Mapping):
        raise invalid(tool, [Problem(field="", problem=f"must be an object, not {_json_type(arguments)}")])
    try:
        plain = cast("JsonObject", to_canonical(arguments))
        problem = why_not_storable(plain)
    except NotJson as error:
        problem = error.message
    except Exception as error:  # methods of the values may raise anything
        problem = f"the value cannot be read ({type_name(error)})"
    if problem is not None:
        raise invalid(tool, [Problem(field="", problem=problem)])
    return plain


def parse_arguments(tool: str, model: type[BaseModel], arguments: JsonObject) -> BaseModel:
    """Parse arguments as JSON: "5" is not an integer, but an ISO string is a date, and a string or a number is a Decimal.

    Raises:
        InvalidArguments: They do not fit the model.
    """
    keys = wire_keys(model)
    doubled = [
        Problem(field=key, problem=f"is given twice, also as {name!r}; give it once, as {key!r}")
        for name, key in keys.items()
        if name != key and name in arguments and key in arguments
    ]
    if doubled:
        raise invalid(tool, doubled)
    try:
        return model.model_validate_json(_write(arguments), strict=True)
    except ValidationError as error:
        problems = [_problem(item, keys) for item in error.errors(include_url=False, include_input=False)]
    except Exception as error:  # the tool's own validators may raise anything
        problems = [Problem(field="", problem=f"could not be read: a validator of the tool failed ({_named(error)})")]
    raise invalid(tool, problems) from None


_write = json_writer(allow_nan=False)


def invalid(tool: str, problems: Iterable[Problem]) -> InvalidArguments:
    """The error for arguments that do not fit the contract of a tool."""
    problems = [*problems]
    told = "; ".join(f"{item['field'] or 'the arguments'}: {item['problem']}" for item in problems)
    return InvalidArguments(
        f"The arguments do not fit the tool's contract, so it was not called: {told}. Correct them and call it again.",
        tool=tool,
        problems=problems,
    )


def as_spelled_on_the_wire(given: JSON, read: Any, written: JSON) -> JSON:
    """Rename the fields of given data to their wire names, because Python names are accepted too.

    Args:
        given: The given data.
        read: The value parsed from it.
        written: The complete wire form of that value.
    """
    if isinstance(read, RootModel):
        return as_spelled_on_the_wire(given, read.root, written)
    if isinstance(given, dict):
        beside = written if isinstance(written, dict) else {}
        made: JsonObject = {}
        for key, item in given.items():
            name, spelled = _spelled(key, read, beside)
            inner = read.get(name) if isinstance(read, Mapping) else getattr(read, name, None)
            made[spelled] = as_spelled_on_the_wire(item, inner, beside.get(spelled))
        return made
    if not (isinstance(given, list) and isinstance(read, (list, tuple)) and isinstance(written, list)):
        return given
    if len(given) > min(len(read), len(written)):  # a named tuple with defaults may get fewer items
        return given
    return [as_spelled_on_the_wire(*one) for one in zip(given, read, written, strict=False)]


def _spelled(key: str, read: Any, written: Mapping[str, JSON]) -> tuple[str, str]:
    """The name of a given field in Python, and on the wire."""
    if isinstance(read, BaseModel):
        keys = wire_keys(type(read))
        name = key if key in keys else next((name for name, wire in keys.items() if wire == key), key)
        return name, keys.get(name, key)
    if dataclasses.is_dataclass(read):
        return key, camel(key)
    # A TypedDict is a dict at run time; the keys of other dicts are data and stay unchanged.
    return key, camel(key) if key not in written and camel(key) in written else key


def _problem(item: Any, keys: Mapping[str, str]) -> Problem:
    path = [*map(str, item["loc"])]
    path[:1] = [keys.get(part, part) for part in path[:1]]
    match item["type"]:
        case "missing":
            text = "is required"
        case "extra_forbidden" if len(path) == 1:
            text = f"is not known; the arguments are {', '.join(keys.values()) or 'none'}"
        case "extra_forbidden":
            text = "is not known"
        case _:
            text = str(item["msg"]).removeprefix("Value error, ")
            text = text.replace("Input should be", "must be", 1)
    return Problem(field=".".join(path), problem=text)


def _named(error: Exception) -> str:
    return type_name(error)


def _json_type(value: object) -> str:
    names = {
        str: "a string",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        list: "an array",
        type(None): "null",
    }
    return names.get(type(value), f"a {type(value).__qualname__}")
