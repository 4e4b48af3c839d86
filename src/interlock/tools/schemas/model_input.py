"""The input of tools that declare it in Python: by the parameters of a function, or by a pydantic model."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any, cast, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, RootModel, TypeAdapter, create_model
from pydantic.errors import PydanticSchemaGenerationError
from pydantic.fields import FieldInfo

from ..canonical import JsonObject
from ..errors import ContractError
from ..wire import camel
from .arguments import as_spelled_on_the_wire, invalid, parse_arguments, plain_arguments
from .docstring import described_parameters
from .from_application import SuppliedField, supplied_in, supplier_of
from .from_decision import DecisionField, fields_in, left_open, marker_of, without
from .offered.core_schema import imports_code, models_in, runs_nothing
from .offered.schema import input_schema, offered_schema
from .shapes import CLOSED, ExtraValues, closed, on_wire, refuse_collisions, wire_keys
from .signature import MISSING, Parameter, Signature, first_line, refuse_injected, where
from .validator import Validator


@dataclass(frozen=True)
class ModelInput:
    """The input of a tool as a pydantic model."""

    tool: str
    model: type[BaseModel]
    whole: str | None = None
    """The parameter that takes the whole model; None if each field is its own parameter."""
    decided: tuple[DecisionField, ...] = ()
    """The arguments that only the decider of a call fills in."""
    supplied: tuple[SuppliedField, ...] = ()
    """The arguments that only the application supplies."""

    @cached_property
    def _validator(self) -> Validator:
        return Validator(offered_schema(self.model))

    @cached_property
    def _printed(self) -> JsonObject:
        return without(input_schema(self.model), self._of_others)

    @cached_property
    def _of_others(self) -> frozenset[str]:
        return frozenset(field.name for field in (*self.decided, *self.supplied))

    @cached_property
    def _offered(self) -> JsonObject:
        return without(self._validator.schema, self._of_others)

    def schema(self) -> JsonObject:
        """The JSON Schema that a model is offered and that `parse` enforces; `parse` also reads arguments that the model does not supply."""
        return self._offered

    def printed(self) -> JsonObject:
        """The same schema as contracts print it."""
        return self._printed

    @cached_property
    def is_steady(self) -> bool:
        """Whether only pydantic parses and serializes it, without validators, serializers or default factories of the tool."""
        return runs_nothing(self.model.__pydantic_core_schema__)

    @property
    def names(self) -> frozenset[str]:
        """The names of the values that a check or preview can take."""
        fields = frozenset(self.model.model_fields)
        return fields if self.whole is None else fields | {self.whole}

    def parse(self, arguments: object) -> BaseModel:
        """Parse the arguments of a call: in camelCase or snake_case, strictly within the types of JSON.

        Raises:
            InvalidArguments: They do not fit the schema, or cannot be stored.
        """
        given = plain_arguments(self.tool, arguments)
        if problems := self._validator.check_cost(given):
            raise invalid(self.tool, problems)
        parsed = parse_arguments(self.tool, self.model, given)
        # A type may accept more than its schema. The schema counts, because the model knows only the schema.
        if not self._validator.fits(given):
            spelled = as_spelled_on_the_wire(given, parsed, self._written(parsed))
            problems = self._validator.problems(spelled)
            if problems:
                raise invalid(self.tool, problems)
        return parsed

    def _written(self, parsed: BaseModel) -> JsonObject:
        try:
            return self.canonical(parsed)
        except Exception:  # a custom serializer of the tool; `bind` reports it
            return {}

    def canonical(self, parsed: Any) -> JsonObject:
        """Serialize arguments completely, except optional ones that are None: leaving them out means the same."""
        dumped = cast(
            "JsonObject",
            on_wire(parsed, parsed.model_dump(mode="json", by_alias=True, warnings="none", round_trip=True)),
        )
        for key in self._left_out:
            if dumped.get(key) is None:
                dumped.pop(key, None)
        for field in (*self.decided, *self.supplied):
            if field.parameter not in parsed.model_fields_set:
                dumped.pop(field.name, None)  # nobody has filled it in yet, or it still has its default
        return dumped

    @cached_property
    def _left_out(self) -> tuple[str, ...]:
        fields = self.model.model_fields.items()
        keys = wire_keys(self.model)
        return tuple(keys[name] for name, field in fields if not field.is_required() and field.default is None)

    def values(self, parsed: Any) -> dict[str, Any]:
        """The values that a check or preview can take."""
        values = {name: getattr(parsed, name) for name in self.model.model_fields}
        return values if self.whole is None else {**values, self.whole: parsed}

    def keywords(self, parsed: Any) -> dict[str, Any]:
        """The keyword arguments for the function."""
        return self.values(parsed) if self.whole is None else {self.whole: parsed}

    def read(self, parsed: Any) -> Any:
        """The parsed model."""
        return parsed


def make_input(
    tool: str,
    function: Callable[..., Any],
    signature: Signature,
    explicit: type[BaseModel] | None,
    extra: ExtraValues | None = None,
) -> ModelInput:
    """Make the input of a tool from its signature, or from an explicit model.

    Args:
        tool: The tool's name.
        function: Its function.
        signature: The signature of the function.
        explicit: The model, if there is one.
        extra: The treatment of unknown keys; by default that of the model, else they are refused.

    Raises:
        ContractError: A parameter is unclear, or model and signature do not fit each other.
    """
    place = where(function)
    made = (
        _from_signature(tool, function, signature, extra)
        if explicit is None
        else _from_model(tool, place, signature, explicit, extra)
    )
    made = _of_others(made, place)
    refuse_collisions(made.model, place)
    core = made.model.__pydantic_core_schema__
    for model in {made.model, *models_in(core)}:
        _check_aliases(model, place)
    if imports_code(core):
        raise ContractError(
            f"{place} takes an ImportString, and so would import whatever module a model names; take a string, or an enum of "
            "what may be meant"
        )
    return made


def _of_others(made: ModelInput, place: str) -> ModelInput:
    """Make the input, and separate the fields for the decider and for the application from the others."""
    model = made.model
    fields = model.model_fields
    decided = {name: marker for name, field in fields.items() if (marker := marker_of(field)) is not None}
    supplied = {name: one for name, field in fields.items() if (one := supplier_of(field, name, place)) is not None}
    if both := decided.keys() & supplied.keys():
        raise ContractError(
            f"{place} marks {', '.join(sorted(both))} with FromDecision and with FromApplication; take one of the two"
        )
    names = [*decided, *supplied]
    required = frozenset(name for name in names if fields[name].is_required())
    try:
        opened = left_open(model, names)
        return replace(
            made,
            model=opened,
            decided=fields_in(opened, decided, required),
            supplied=supplied_in(opened, supplied, required, model),
        )
    except Exception as error:
        raise ContractError(
            f"{place} leaves {', '.join(names)} to others than the model, and cannot be read without: {first_line(error)}"
        ) from error


def _check_aliases(model: type[BaseModel], place: str) -> None:
    for name, key in wire_keys(model).items():
        field = model.model_fields.get(name)
        if field is not None and (field.validation_alias or name) != key:
            raise ContractError(
                f"{place} does not read {name!r} under the name {key!r} that it has on the wire; give it one alias, "
                "with Field(alias=…)"
            )


def _from_signature(
    tool: str, function: Callable[..., Any], signature: Signature, extra: ExtraValues | None
) -> ModelInput:
    place = where(function)
    if extra == "allow":
        raise ContractError(
            f"{place} names its parameters and has extra='allow': it could not be given what else is sent. Take extra='ignore', or one "
            "dict among the parameters"
        )
    fields: dict[str, Any] = {}
    descriptions = described_parameters(function)
    for parameter in signature.parameters:
        _check_name(parameter.name, place)
        if parameter.annotation in {Any, object}:
            raise ContractError(
                f"{place} takes {parameter.name!r} as {parameter.annotation!r}, which tells the model nothing; give "
                "it a type (pydantic.JsonValue when it really may be anything)"
            )
        fields[parameter.name] = (
            _described(_readable(parameter.annotation, place, extra), descriptions.get(parameter.name)),
            _default(parameter, place),
        )
    title = "".join(part.capitalize() for part in tool.replace(".", "_").split("_"))
    config = ConfigDict({**CLOSED, "extra": extra or "forbid", "frozen": True, "protected_namespaces": ()})
    try:
        return ModelInput(tool, create_model(f"{title}Arguments", __config__=config, __module__=__name__, **fields))
    except Exception as error:
        raise ContractError(f"{place} has a parameter that cannot be read from JSON: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    """What pydantic says of a type that it does not know, without its advice about its own hooks."""
    said = str(error).partition("\n")[0]
    if isinstance(error, PydanticSchemaGenerationError):
        return said.partition(". Set ")[0] + "; give it plain data or a pydantic model"
    return said


def _from_model(
    tool: str, place: str, signature: Signature, explicit: type[BaseModel], extra: ExtraValues | None
) -> ModelInput:
    if not isinstance(explicit, type) or not issubclass(explicit, BaseModel) or issubclass(explicit, RootModel):
        raise ContractError(f"{place} was given the input_model {explicit!r}; give a subclass of pydantic.BaseModel")
    for name, field in explicit.model_fields.items():
        refuse_injected(
            place, name, Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        )
    model: type[BaseModel] = _readable(_with_extra(explicit, extra), place, extra)
    match signature.parameters:
        case [Parameter(name, annotation)] if isinstance(annotation, type) and issubclass(explicit, annotation):
            return ModelInput(tool, model, whole=name)
    taken, given = {parameter.name for parameter in signature.parameters}, set(model.model_fields)
    if taken != given:
        difference = ", ".join(sorted(taken ^ given))
        raise ContractError(
            f"{place} and its input_model {explicit.__name__} differ in {difference}; give the function one parameter "
            f"annotated with {explicit.__name__}, or one for each of its fields"
        )
    if model.model_config.get("extra") == "allow":
        raise ContractError(
            f"{place} takes the fields of {explicit.__name__} one by one, and the model allows others, which it could not be given. Let it take "
            f"one parameter annotated with {explicit.__name__}, or give extra='ignore'"
        )
    return ModelInput(tool, model)


def _described(annotation: Any, description: str | None) -> Any:
    if description is None:
        return annotation
    # Placed before the annotation's own metadata, which then takes precedence.
    said = Field(description=description)
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        return Annotated[(inner, said, *metadata)]
    return Annotated[annotation, said]


def _with_extra(model: type[BaseModel], extra: ExtraValues | None) -> type[BaseModel]:
    if extra is None or model.model_config.get("extra") == extra:
        return model
    return type(model.__name__, (model,), {"__module__": model.__module__, "model_config": ConfigDict(extra=extra)})


def _readable(annotation: Any, place: str, extra: ExtraValues | None) -> Any:
    try:
        return closed(annotation, extra=extra)
    except ContractError as error:
        raise ContractError(f"{place} takes {annotation!r}: {error.message}") from None
    except Exception as error:
        raise ContractError(f"{place} takes {annotation!r}, which cannot be read from JSON: {error}") from error


def _check_name(name: str, place: str) -> None:
    if name.startswith("_") or hasattr(BaseModel, name):
        raise ContractError(
            f"{place} has the parameter {name!r}, a name that pydantic keeps for itself; rename it, and keep the "
            "name on "
            f'the wire with Annotated[…, Field(alias="{camel(name)}")] if you need it'
        )


def _default(parameter: Parameter, place: str) -> Any:
    default = parameter.default
    if default is MISSING:
        return ...
    if isinstance(default, FieldInfo):
        return default
    try:
        given: TypeAdapter[Any] = TypeAdapter(parameter.annotation)
        text = given.dump_json(given.validate_python(default), warnings="error")
        value = TypeAdapter(closed(parameter.annotation)).validate_json(text)
    except Exception:
        hint = f"; annotate it as {parameter.name}: … | None" if default is None else ""
        raise ContractError(
            f"{place} has the default {default!r} for {parameter.name!r}, which does not match its "
            f"annotation{hint or ', or has no JSON form; fix one of them'}"
        ) from None
    return value
