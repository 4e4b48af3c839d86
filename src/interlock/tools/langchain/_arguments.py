"""The input of a LangChain tool, parsed as LangChain parses it: by a pydantic model (version 2 or 1) or by a JSON Schema."""

import copy
import inspect
import json
from collections.abc import Iterator, Mapping, Set
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel, RootModel, ValidationError, create_model

from ..canonical import JsonObject, canonical_json
from ..contracts.json_schema import SchemaInput
from ..errors import ContractError, Problem
from ..schemas.arguments import invalid, plain_arguments
from ..schemas.input import Input
from ..schemas.offered.schema import offered_schema, tidy
from ..schemas.sameness import same
from ..schemas.validator import Validator
from ..storable import type_name
from ._injection import functions_of

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

_CONSTANT = frozenset([list, dict, set, frozenset, tuple, str, int, float, bool])


class Reading:
    """The arguments of one call: as JSON, with which the tool is called, and as parsed by the tool's model."""

    def __init__(self, given: JsonObject, model: Any) -> None:
        self.given = given
        self.model = model
        self.written: JsonObject | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reading) and _alike(self.model, other.model)

    __hash__ = None  # type: ignore[assignment]  # it is compared by what it holds


class ModelledInput:
    """The input of a tool whose `args_schema` is a pydantic model.

    Calls are validated against the offered schema and parsed by the model itself, with its validators, aliases and defaults. The
    tool is then called with the canonical form, which LangChain parses again, so the judged arguments are those that run. Unset
    fields of nested models stay unset, so that `exclude_unset` works in the tool as it does without Interlock.
    """

    def __init__(self, tool: str, model: Any, hidden: frozenset[str], told: Any) -> None:
        self._tool = tool
        self._model = _without(model, hidden)
        self._hidden = hidden
        self._told = told
        self._is_old = not issubclass(self._model, BaseModel)
        self._validator = Validator(_schema_of(self._model, hidden))
        self._validator.check()

    is_steady = False

    def schema(self) -> JsonObject:
        """The schema of the arguments that a model may supply."""
        return self._validator.schema

    def printed(self) -> JsonObject:
        """The same schema, since contracts print it unchanged."""
        return self._validator.schema

    @cached_property
    def _fields(self) -> dict[str, Any]:
        fields = self._model.__fields__ if self._is_old else self._model.model_fields
        return {name: field for name, field in fields.items() if name not in self._hidden}

    @cached_property
    def _keys(self) -> dict[str, str]:
        """The name of each field in JSON."""
        return {name: _key_of(field, name) for name, field in self._fields.items()}

    @property
    def names(self) -> frozenset[str]:
        """The fields of the model."""
        return frozenset(self._fields)

    @cached_property
    def varying(self) -> frozenset[str]:
        """The arguments whose default differs each time."""
        return frozenset(
            self._keys[name]
            for name, field in self._fields.items()
            if getattr(field, "default_factory", None) not in {None, *_CONSTANT}
        )

    def parse(self, arguments: object) -> Reading:
        """Parse the arguments of a call with the schema and the model.

        Raises:
            InvalidArguments: They do not fit, or cannot be stored.
        """
        given = self._spelled(plain_arguments(self._tool, arguments))
        problems = self._validator.problems(given)
        if problems:
            raise invalid(self._tool, [*problems, *self._own_words(None)])
        try:
            return Reading(given, self._read(given))
        except Exception as error:  # an error of either pydantic version, or of the tool's own validators
            raise invalid(self._tool, [*self._problems(error), *self._own_words(error)]) from None

    def canonical(self, parsed: Any) -> JsonObject:
        """Serialize arguments: with defaults for the tool's own parameters, without unset fields of nested models.

        If this does not parse back to the same arguments, because of a custom serializer or default, it is serialized with all
        defaults; if that fails too, as given.
        """
        if parsed.written is None:
            parsed.written = next(
                (form for form in self._forms(parsed.model) if self._reads_as(form, parsed)), parsed.given
            )
        return cast("JsonObject", copy.deepcopy(parsed.written))

    def values(self, parsed: Any) -> dict[str, Any]:
        """The fields of the model."""
        return {name: getattr(parsed.model, name) for name in self._fields}

    def keywords(self, parsed: Any) -> dict[str, Any]:
        """The arguments for LangChain."""
        return {"arguments": copy.deepcopy(parsed.given)}

    def read(self, parsed: Any) -> Any:
        """The parsed model."""
        return parsed.model

    def _spelled(self, given: JsonObject) -> JsonObject:
        """Drop arguments that only the application supplies, and use the JSON names of the others."""
        return {
            key if (key in self._keys.values() or self._keys.get(key, key) in given) else self._keys.get(key, key): item
            for key, item in given.items()
            if key not in self._hidden
        }

    def _read(self, given: JsonObject) -> Any:
        plain = copy.deepcopy(given)
        return self._model.parse_obj(plain) if self._is_old else self._model.model_validate(plain)

    def _reads_as(self, form: JsonObject | None, parsed: Reading) -> bool:
        if form is None:
            return False
        try:
            return self._validator.fits(form) and _alike(self._read(form), parsed.model)
        except Exception:  # see `parse`
            return False

    def _forms(self, model: Any) -> Iterator[JsonObject | None]:
        if self._is_old:
            for left_out in (False, True):
                yield json.loads(model.json(by_alias=True, exclude_unset=left_out, exclude={*self._hidden}))
            return
        try:
            dumped = model.model_dump(mode="json", by_alias=True, warnings="none", exclude={*self._hidden})
        except Exception:  # a custom serializer of the tool
            return
        for inner, outer in ((False, True), (True, True), (False, False)):
            yield _written(model, dumped, unset=outer, inner=inner, hidden=self._hidden)

    def _problems(self, error: Exception) -> list[Problem]:
        found = error.errors() if isinstance(error, ValidationError) or hasattr(error, "errors") else []
        problems = [
            Problem(field=".".join(map(str, one["loc"])), problem=str(one["msg"]).removeprefix("Value error, "))
            for one in cast("list[Any]", found)
        ]
        return problems or [
            Problem(field="", problem=f"could not be read: a validator of the tool failed ({type_name(error)})")
        ]

    def _own_words(self, error: Exception | None) -> list[Problem]:
        """The tool's own text for arguments that do not fit (`handle_validation_error`)."""
        said = self._told
        if callable(said):
            try:
                said = None if error is None else said(error)
            except Exception:  # the standard error is enough without the tool's own text
                said = None
        return [Problem(field="", problem=said)] if isinstance(said, str) and said else []


def input_of(tool: "BaseTool", name: str, hidden: frozenset[str], place: str) -> Input:
    """Make the input of a LangChain tool.

    Raises:
        ContractError: The tool has no schema, or an unusable one.
    """
    from langchain_core.tools import Tool  # noqa: PLC0415 -- heavy, and not everybody's
    from langchain_core.utils.function_calling import convert_to_openai_tool  # noqa: PLC0415

    if isinstance(tool.args_schema, dict):
        offered = _without_properties(tool.args_schema, hidden)
        return SchemaInput(name, offered, place, passed_over=hidden.__contains__)
    if tool.args_schema is None and isinstance(tool, Tool):
        # A tool with a single text argument, under LangChain's name for it.
        return SchemaInput(name, convert_to_openai_tool(tool)["function"]["parameters"], place)
    model: Any = tool.get_input_schema()
    try:
        if tool.args_schema is None:
            # LangChain runs such a tool with the raw arguments: the model only describes them and parses nothing.
            schema = _schema_of(_without(model, hidden), hidden)
            return SchemaInput(name, schema, place, passed_over=lambda key: key in hidden or not _takes(tool, key))
        return ModelledInput(name, model, hidden, tool.handle_validation_error)
    except ContractError:
        raise
    except Exception as error:
        raise ContractError(
            f"{place} takes what no JSON Schema can describe ({str(error).splitlines()[0]}); give it an args_schema of plain types"
        ) from error


def _takes(tool: "BaseTool", key: str) -> bool:
    """Whether the functions of a tool can be called with an argument of this name."""
    for function in functions_of(tool):
        parameters = inspect.signature(function).parameters.values()
        if not any(one.name == key or one.kind is one.VAR_KEYWORD for one in parameters):
            return False
    return True


def _without(model: Any, hidden: frozenset[str]) -> Any:
    """A model in which the fields that the application fills are optional and untyped."""
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return model
    own = hidden & set(model.model_fields)
    if not own:
        return model
    fields: dict[str, Any] = dict.fromkeys(own, (Any, None))
    return create_model(model.__name__, __base__=model, __module__=model.__module__, **fields)


def _schema_of(model: Any, hidden: frozenset[str]) -> JsonObject:
    if issubclass(model, BaseModel):
        return _without_properties(offered_schema(model), hidden)
    older = json.loads(json.dumps(model.schema()).replace('"#/definitions/', '"#/$defs/'))
    definitions = older.pop("definitions", None)
    schema = tidy({**older, **({"$defs": definitions} if definitions else {})}, closed=True)
    schema.pop("description", None)
    return _without_properties({"type": "object", "properties": {}, **schema}, hidden)


def _without_properties(schema: Mapping[str, Any], hidden: frozenset[str]) -> JsonObject:
    if not hidden & {*schema.get("properties", {})}:
        return dict(schema)
    kept = {name: item for name, item in schema["properties"].items() if name not in hidden}
    required = [name for name in schema.get("required", []) if name not in hidden]
    made = {**schema, "properties": kept, "required": required}
    if not required:
        del made["required"]
    return made


def _written(value: Any, dumped: Any, *, unset: bool, inner: bool, hidden: frozenset[str] = frozenset()) -> Any:
    """Rename the fields of a pydantic dump to the names under which they are parsed; drop unset fields, unless `unset`."""
    if isinstance(value, BaseModel) and not isinstance(value, RootModel) and isinstance(dumped, dict):
        made: JsonObject = {}
        for name, field in type(value).model_fields.items():
            written_as = field.serialization_alias or field.alias or name
            if name in hidden or written_as not in dumped or not (unset or name in value.model_fields_set):
                continue
            item = _written(getattr(value, name), dumped[written_as], unset=inner, inner=inner)
            made[_key_of(field, name)] = item
        return {**made, **{key: dumped.get(key) for key in value.model_extra or ()}}
    if isinstance(dumped, dict) and isinstance(value, Mapping) and len(value) == len(dumped):
        return {
            key: _written(item, dumped[key], unset=inner, inner=inner)
            for key, item in zip(dumped, value.values(), strict=True)
        }
    if isinstance(dumped, list) and isinstance(value, Set):
        return sorted(dumped, key=canonical_json)  # the order of a set differs between processes
    if isinstance(dumped, list) and isinstance(value, (list, tuple)) and len(value) == len(dumped):
        return [_written(item, one, unset=inner, inner=inner) for item, one in zip(value, dumped, strict=True)]
    return dumped


def _key_of(field: Any, name: str) -> str:
    """The name under which a field is parsed."""
    alias = getattr(field, "validation_alias", None)
    for choice in getattr(alias, "choices", None) or [alias, getattr(field, "alias", None)]:
        if isinstance(choice, str):
            return choice
    return name


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, BaseModel):
        return same(one, other)
    return bool(one == other)
