"""Validates a tool's output and its preview, as JSON that can be stored."""

import inspect
from collections.abc import Iterator
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

from ..canonical import JSON, to_json
from ..errors import InvalidOutput
from ..schemas.finite import not_finite
from ..schemas.shapes import on_wire
from ..storable import storable_text, why_not_storable
from .iterators import may_hold_iterators, read_out
from .yes_or_no import discard


def checked_output(tool: str, output: TypeAdapter[Any], value: Any, longest: int) -> JSON:
    """Validate a tool's return value against its contract; returns the wire form.

    Args:
        tool: The tool's name.
        output: The output of the contract.
        value: The return value.
        longest: The approximate maximum length as JSON text, in characters.

    Raises:
        InvalidOutput: The value does not match the contract, or cannot be stored and read back unchanged.
    """
    if inspect.iscoroutine(value):
        value.close()
    try:
        is_open = may_hold_iterators(output)
        valid = output.validate_python(read_out(value, longest) if is_open else value)
        if is_open and not isinstance(valid, Iterator):  # which is over the list that was just read
            read_out(valid, longest)
        plain = to_json(on_wire(valid, output.dump_python(valid, mode="json", by_alias=True, warnings="error")))
        problem = why_not_storable(plain, longest=longest) or not_finite(valid)
        if problem is None:
            return plain
        wrong = [{"field": "", "problem": problem}]
    except ValidationError as error:
        wrong = [{"field": ".".join(map(str, item["loc"])), "problem": item["msg"]} for item in error.errors()]
    except Exception as error:  # the tool's own validators and serializers may raise anything
        wrong = [{"field": "", "problem": storable_text(error)}]
    told = "; ".join(f"{item['field'] or 'the value'}: {item['problem']}" for item in wrong)
    raise InvalidOutput(
        f"{tool} returned what its contract does not promise ({told}); fix the tool or its return annotation",
        details={"tool": tool, "problems": wrong},
    )


def checked_preview(tool: str, shown: Any) -> JSON:
    """Convert the return value of a preview to JSON data.

    Args:
        tool: The tool's name.
        shown: The return value of its preview.

    Raises:
        InvalidOutput: The value has no JSON form, or cannot be stored.
    """
    discard(shown)
    try:
        shown = read_out(shown)
        plain = to_json(on_wire(shown, to_jsonable_python(shown)))
    except Exception as error:  # methods of the values may raise anything
        raise InvalidOutput(
            f"the preview of {tool} shows what has no JSON form ({storable_text(error)}); return plain data or a model"
        ) from error
    problem = why_not_storable(plain) or not_finite(shown)
    if problem is not None:
        raise InvalidOutput(f"the preview of {tool} shows what cannot be kept: {problem}; show less of it")
    return plain


__all__ = ["checked_output", "checked_preview"]
