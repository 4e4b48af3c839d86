"""Adds the arguments that the application supplies to a call when the gate judges it, and validates their types."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from pydantic_core import to_jsonable_python

from ..canonical import JSON, JsonObject, same_json, to_json
from ..errors import InvalidArguments, RuleError
from ..redaction import MASK
from ..schemas.from_application import SuppliedField
from ..schemas.input import Bound
from ..schemas.shapes import on_wire
from .contract import ToolContract
from .iterators import read_out
from .predicates import SUPPLIER

Supply = Callable[[ToolContract, Any, Callable[..., Any]], Any]
"""Calls the application's function for a value: takes the tool, the arguments of the call and the function."""


def with_supplied(tool: ToolContract, bound: Bound, supply: Supply) -> Bound:
    """Add the arguments that the application supplies to a call.

    Args:
        tool: The tool.
        bound: The proposed arguments.
        supply: Calls the functions that return the values.

    Raises:
        RuleError: A function raised, or returned a value that does not fit its parameter.
        Refused: A function refused the call.
    """
    if not tool.supplied_fields:
        return bound
    given: dict[str, JSON] = {}
    for field in tool.supplied_fields:
        value = supply(tool, bound.copied(), field.supply)
        if value is not None:
            given[field.name] = _plain(tool, field, value)
        elif not field.takes_none:
            raise _unfit(tool, field, "None")
    return tool.bound_with(bound, given, lambda error: _refit(tool, given, error))


def named_among(fields: Collection[SuppliedField], arguments: Mapping[str, Any]) -> list[str]:
    """The arguments in this call that only the application may supply, under either of their names."""
    return [name for field in fields for name in dict.fromkeys((field.name, field.parameter)) if name in arguments]


def changed(tool: ToolContract, one: JsonObject, other: JsonObject) -> list[str]:
    """The arguments supplied by the application that differ between two calls."""
    names = [field.name for field in tool.supplied_fields]
    return [name for name in names if not same_json(one.get(name), other.get(name))]


def _plain(tool: ToolContract, field: SuppliedField, value: Any) -> JSON:
    try:
        value = read_out(value)
        plain = to_json(on_wire(value, to_jsonable_python(value, by_alias=True)))
    except Exception as error:  # methods of the values may raise anything
        raise _unfit(tool, field, f"a {type(value).__name__}, which has no JSON form") from error
    if plain == MASK or (isinstance(plain, str) and set(plain) == {"*"}):
        raise _unfit(tool, field, f"a {type(value).__name__}, which hides its value")
    return plain


def _refit(tool: ToolContract, given: Mapping[str, JSON], error: InvalidArguments) -> RuleError:
    """The error for values that do not fit; it names the first field."""
    about = {str(problem["field"]).split(".")[0].split("[")[0] for problem in error.problems}
    fields = [field for field in tool.supplied_fields if field.name in given]
    field = next((one for one in fields if one.name in about), fields[0])
    broken = _unfit(tool, field, f"a {type(given[field.name]).__name__} that does not fit it")
    broken.__cause__ = error
    return broken


def _unfit(tool: ToolContract, field: SuppliedField, what: str) -> RuleError:
    label = tool.label_of(field.supply, SUPPLIER)
    return RuleError(f"{label} gave {what}, for the argument {field.name}", rule=label)


__all__ = ["Supply", "changed", "named_among", "with_supplied"]
