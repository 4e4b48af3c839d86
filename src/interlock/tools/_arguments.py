"""Read the arguments of a call strictly, and say field by field what is wrong with them."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from ._shapes import wire_keys
from .canonical import to_json
from .errors import InvalidArguments, NotJson, Problem


def parse_arguments(tool: str, model: type[BaseModel], arguments: object) -> BaseModel:
    """Read arguments as JSON: "5" is no integer, but an ISO string is a date, and a string or a number a Decimal.

    Raises:
        InvalidArguments: they do not fit the model.
    """
    keys = wire_keys(model)
    if not isinstance(arguments, Mapping):
        raise _invalid(tool, [Problem(field="", problem=f"must be an object, not {_json_type(arguments)}")])
    doubled = [
        Problem(field=key, problem=f"is given twice, also as {name!r}; give it once, as {key!r}")
        for name, key in keys.items()
        if name != key and name in arguments and key in arguments
    ]
    if doubled:
        raise _invalid(tool, doubled)
    try:
        text = _write(to_json(arguments))
    except NotJson as error:
        raise _invalid(tool, [Problem(field="", problem=error.message)]) from None
    try:
        return model.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise _invalid(
            tool, [_problem(item, keys) for item in error.errors(include_url=False, include_input=False)]
        ) from None


_write = json.JSONEncoder(allow_nan=False).encode


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


def _invalid(tool: str, problems: list[Problem]) -> InvalidArguments:
    told = "; ".join(f"{item['field'] or 'the arguments'}: {item['problem']}" for item in problems)
    return InvalidArguments(
        f"The arguments do not fit the tool's contract, so it was not called: {told}. Correct them and call it again.",
        tool=tool,
        problems=problems,
    )


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
