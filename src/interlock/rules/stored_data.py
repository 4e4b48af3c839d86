"""Serializes the data of a workflow to JSON that every database stores and that parses back to equal data.

A pydantic model can hold values that its JSON loses: secrets, which become asterisks, tuples as keys, excluded fields. Storing it
would lose data or make the instance unreadable, so it is refused.
"""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from ..tools.canonical import JsonObject
from ..tools.schemas.sameness import same
from ..tools.schemas.signature import first_line
from ..tools.storable import LONGEST, storable_text, type_name, why_not_storable


class NotKeptError(ValueError):
    """Data that cannot be stored; the text of the error gives the reason, as the end of a sentence that begins with the data."""


def stored(model: type[BaseModel], data: object, *, longest: int = LONGEST) -> JsonObject:
    """Serialize data to its stored form.

    Args:
        model: The workflow's data model.
        data: An object of the model, whose assignments may not have been validated; or a value that the model can parse.
        longest: The approximate maximum length, in characters of JSON text.

    Raises:
        NotKeptError: The model refuses the data, or the stored form would not parse to equal data.
    """
    checked = _checked(model, data)
    if left_out := _left_out(data):
        raise NotKeptError(f"would lose {', '.join(left_out)}, which its model excludes from what is written")
    try:
        written: JsonObject = checked.model_dump(mode="json")
    except Exception as error:
        raise NotKeptError(f"cannot be kept as JSON ({type_name(error)}: {_first_problem(error)})") from error
    problem = why_not_storable(written, longest=longest)
    if problem is not None:
        raise NotKeptError(f"cannot be kept: {problem}")
    try:
        again = model.model_validate(json.loads(json.dumps(written)))
        lost = [name for name in model.model_fields if not same(getattr(checked, name), getattr(again, name))]
        differs = bool(lost) or not same(checked, again) or again.model_dump(mode="json") != written
    except Exception as error:
        raise NotKeptError(
            f"could not be read again once it was stored ({type_name(error)}: {_first_problem(error)})"
        ) from error
    if differs:
        place = f" (in {', '.join(lost)})" if lost else ""
        raise NotKeptError(
            f"would read back as something else{place}; give its fields types that are written as JSON "
            "in full, such as str for SecretStr, and times an offset: value.astimezone(timezone.utc), "
            "with the name of a zone in a separate field"
        )
    return written


def _left_out(data: object) -> list[str]:
    """The fields that a model excludes from its JSON and that do not have their default values."""
    found: list[str] = []
    waiting: list[Any] = [data]
    seen: set[int] = set()
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, BaseModel):
            for name, field in type(item).model_fields.items():
                value = getattr(item, name, None)
                if field.exclude is True and not same(value, field.get_default(call_default_factory=True)):
                    found.append(f"{type(item).__name__}.{name}")
                waiting.append(value)
        elif isinstance(item, Mapping):
            waiting.extend(item.values())
        elif isinstance(item, (list, tuple)):
            waiting.extend(item)
    return found


def _checked(model: type[BaseModel], data: object) -> BaseModel:
    try:
        if isinstance(data, BaseModel):
            return model.model_validate(data.model_dump(warnings=False))
        if isinstance(data, Mapping):
            return model.model_validate(data)
    except ValidationError as error:
        first: Any = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise NotKeptError(f"is refused by its model: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except Exception as error:
        raise NotKeptError(f"cannot be read ({type_name(error)}: {_first_problem(error)})") from error
    raise NotKeptError(f"is a {type(data).__qualname__} now, and no {model.__name__}")


def _first_problem(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first: Any = error.errors(include_url=False, include_input=False, include_context=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return storable_text(first_line(error))[:300]


__all__ = ["NotKeptError", "stored"]
