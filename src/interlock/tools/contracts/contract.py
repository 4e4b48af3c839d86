"""A tool contract: the name of a tool, its input, output and permissions, and the function that executes it."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, cast

from pydantic import BaseModel, TypeAdapter
from typing_extensions import ParamSpec, TypeVar

from ..canonical import JSON, JsonObject, digest, same_json
from ..context import ToolContext
from ..errors import ContextError, InvalidArguments, Problem
from ..kinds import Effect, ToolKind
from ..model_answers import Answers
from ..redaction import redact
from ..schemas.arguments import LOSSY, invalid
from ..schemas.from_application import SuppliedField, on_record
from ..schemas.from_decision import DecisionField
from ..schemas.input import Bound, Input
from ..schemas.refill import as_given, refilled
from ..schemas.sameness import differing_fields, packed_data
from ..storable import LONGEST, type_name, why_not_storable
from .digests import binding_digest
from .known_calls import KnownCalls
from .masking import masked_error
from .members import OF_TOOLS, missing
from .outputs import checked_output, checked_preview
from .predicates import CHECK, CONDITION, PREVIEW, SUPPLIER, Predicate, looked_at
from .published_shape import ContractShape, ToolAnnotations
from .retry import RetryPolicy

if TYPE_CHECKING:
    from langchain_core.tools import StructuredTool

P = ParamSpec("P", default=...)
R = TypeVar("R", default=Any)


@dataclass(frozen=True, eq=False, kw_only=True)
class ToolContract(Generic[P, R]):
    """The contract of a tool: its name, input, output and effect, and the function that executes it.

    The decorators `read`, `command` and `event` create contracts. Calling a contract calls the function directly, without gate, approval or
    record.
    """

    name: str
    """The canonical name, with dots: ``case.assign``."""
    version: int
    kind: ToolKind
    effect: Effect | None
    """Where the effect happens; None for a read."""
    description: str
    """The description for the model."""
    input_model: type[BaseModel] | None
    """The model of the arguments: snake_case in Python, camelCase on the wire. None if a JSON Schema describes them instead."""
    output_type: Any
    """The type that the function returns."""
    annotations: ToolAnnotations
    wire_name: str
    """The name that the model uses: ``case_assign``."""
    answers: Answers | None = None
    """The form of the answer to the model; None if the workflow decides."""
    check: Callable[..., Any] | None = None
    preview: Callable[..., Any] | None = None
    undo: Any = None
    """What undoes a call when its instance is cancelled: an `Undo`; False if nothing has to be undone; None if that is not specified."""
    sensitive: frozenset[str] = frozenset()
    """The names, on the wire, of fields that are redacted before anything is stored."""
    retry: RetryPolicy | None = None
    timeout: float | None = None
    """Seconds that one attempt may take."""
    return_direct: bool = False
    """Whether the answer ends the turn without another model call; as `return_direct` of LangChain's tools."""
    is_marked_destructive: bool = False
    """Whether its author declared it destructive. MCP's default for a missing hint does not count."""
    trusts_markers: bool = True
    """Whether the markers `id` and `own` in the published JSON Schema of its output are trusted."""
    is_async: bool = False
    """Whether the only function is asynchronous."""
    takes_context: bool = False
    function: Callable[P, R]
    coroutine: Callable[..., Any] | None = None
    """The asynchronous function, if there is one in addition to `function`."""

    _input: Input = field(repr=False)
    _output: TypeAdapter[Any] = field(repr=False)
    written: TypeAdapter[Any] | None = field(repr=False, default=None)  # writes what it returns as on the wire
    _context: str | None = field(repr=False, default=None)
    _context_is_optional: bool = field(repr=False, default=False)
    _output_schema: JsonObject = field(repr=False)
    _predicates: dict[tuple[str, int], Predicate] = field(repr=False, default_factory=dict)
    _known: KnownCalls = field(repr=False, init=False, default_factory=KnownCalls)

    def __post_init__(self) -> None:
        for attribute in ("__doc__", "__module__", "__qualname__", "__name__"):
            object.__setattr__(self, attribute, getattr(self.function, attribute, None))
        object.__setattr__(self, "__wrapped__", self.function)
        for role, function in ((CHECK, self.check), (PREVIEW, self.preview)):
            if function is not None:
                self._predicates[role, id(function)] = self._read_predicate(function, role)
        for one in self.supplied_fields:
            self._predicate(one.supply, SUPPLIER)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name} v{self.version}>"

    if not TYPE_CHECKING:  # for type checkers a wrong name stays an error

        def __getattr__(self, name: str) -> Any:
            raise missing(self, name, OF_TOOLS)

    # Arguments

    def bind(self, arguments: object) -> Bound:
        """Validate the arguments of a call, and fix the value that is judged, shown, stored and run.

        The arguments are validated against the offered schema, parsed, and serialized in full. Parsing the serialized form must give the
        same value; otherwise an approver could see something other than what runs.

        Raises:
            InvalidArguments: The arguments do not fit (each field is named as on the wire), cannot be stored, or do not survive
                serialization.
        """
        try:
            return self._bound(arguments)[1]
        except InvalidArguments as error:
            masked = masked_error(error, arguments, self.sensitive)
            if masked is error:
                raise
        raise masked  # without its cause, which quotes them as well

    def complete(self, arguments: JsonObject, *, before: JsonObject | None = None) -> JsonObject:
        """Return the arguments of a new proposal in full; defaults that differ each time are fixed to one value.

        Invalid arguments are returned unchanged; the gate then reports the problem.

        Args:
            arguments: The proposed arguments.
            before: The completed arguments of the same call, if it was proposed before: variable defaults are taken from there.
        """
        if any(name in arguments for field in self.supplied_fields for name in (field.name, field.parameter)):
            return arguments
        try:
            return (self.bind(arguments) if before is None else self._bind_again(arguments, before)).canonical
        except Exception:  # the gate reports problems of arguments and validators
            return arguments

    def bind_again(self, arguments: object, before: JsonObject) -> Bound:
        """Validate the arguments of a repeated call as `bind` does, with the recorded values of variable defaults and of arguments that the
        application supplied.

        Args:
            arguments: The arguments of the repeated proposal.
            before: The recorded canonical arguments of the call.

        Raises:
            InvalidArguments: As for `bind`.
        """
        bound = self._bind_again(arguments, before)
        return self.bound_with(bound, on_record(self.supplied_fields, before, given=bound.canonical))

    def bound_with(
        self, bound: Bound, supplied: JsonObject, problem: Callable[[InvalidArguments], Exception] | None = None
    ) -> Bound:
        """Return a call with the arguments that the application supplies. Its fingerprint remains that of the proposal.

        Raises:
            InvalidArguments: A supplied value does not fit; or the error that `problem` returns for it.
        """
        if not supplied:
            return bound
        try:
            return replace(self.bind({**bound.canonical, **supplied}), fingerprint=bound.fingerprint)
        except InvalidArguments as error:
            raise (error if problem is None else problem(error)) from error

    def without_supplied(self, arguments: JsonObject) -> JsonObject:
        """Return the proposed part of canonical arguments, without those that the application supplies."""
        names = {field.name for field in self.supplied_fields}
        return {name: value for name, value in arguments.items() if name not in names} if names else arguments

    def _bind_again(self, arguments: object, before: JsonObject) -> Bound:
        first, bound = self._bound(arguments)
        if same_json(bound.canonical, before):
            return bound
        again = cast("JsonObject", refilled(self._input.read(first), bound.canonical, before))
        if again == bound.canonical:
            return bound
        refound = self.bind(again)
        return replace(refound, fingerprint=self._fingerprint(first, refound.canonical))

    def remembers(self, bound: Bound) -> bool:
        """Whether the record of a call has all of its arguments: none of them is a sensitive value that was supplied or differs each time."""
        if any(field.is_sensitive(self.sensitive) for field in self.supplied_fields):
            return False
        return bound.fingerprint == self.fingerprint_of(bound.canonical)

    def _bound(self, arguments: object) -> tuple[Any, Bound]:
        """The arguments as first parsed, which knows which ones were given, and the bound call."""
        first = self._input.parse(arguments)
        given = packed_data(arguments) if self._input.is_steady else None
        if (known := self._known.bound(first, given)) is not None:
            return first, known
        canonical = self._written(first)
        if given is not None and given == packed_data(canonical):
            return first, self._known.keep(given, Bound(first, canonical, self._fingerprint(first, canonical)))
        try:
            again = self._input.parse(canonical)
            differing = differing_fields(self._input, first, again)
            if not differing and not same_json(self._written(again), canonical):
                differing = [""]
        except InvalidArguments as error:
            differing = [problem["field"] for problem in error.problems]
        if differing:
            raise invalid(self.name, [Problem(field=name, problem=LOSSY) for name in dict.fromkeys(differing)])
        return first, Bound(again, canonical, self._fingerprint(first, canonical))

    def _fingerprint(self, first: Any, canonical: JsonObject) -> str:
        """Digest the given and the recorded arguments, but not sensitive defaults that differ each time, which are neither."""
        given = as_given(self._input.read(first), canonical, redact(canonical, self.sensitive))
        return self.fingerprint_of(cast("JsonObject", given))

    def parse(self, arguments: object) -> Any:
        """Parse the arguments of a call, with names in camelCase or snake_case, strictly within the limits of JSON.

        Raises:
            InvalidArguments: As for `bind`.
        """
        return self.bind(arguments).parsed

    def canonical_arguments(self, arguments: Any) -> JsonObject:
        """Return arguments with their names on the wire, without optional ones that are None. `parse` reads them."""
        return self._input.canonical(arguments)

    def _written(self, parsed: Any) -> JsonObject:
        try:
            canonical = self._input.canonical(parsed)
            problem = why_not_storable(canonical)
        except Exception as error:  # the tool's own serializer may raise anything
            problem = f"a serializer of the tool failed ({type_name(error)})"
        if problem is not None:
            raise invalid(self.name, [Problem(field="", problem=f"cannot be stored: {problem}")])
        return canonical

    def fingerprint(self, arguments: Any) -> str:
        """Return a digest of a proposal: tool, version and canonical arguments, without those that the application supplies."""
        return self.fingerprint_of(self.canonical_arguments(arguments))

    def fingerprint_of(self, canonical: JsonObject) -> str:
        """Return the digest of `fingerprint` for canonical arguments."""
        return digest({"tool": self.name, "version": self.version, "arguments": self.without_supplied(canonical)})

    def call(self, arguments: Any, ctx: ToolContext | None = None) -> Any:
        """Call the function. Await the result of an async one.

        Raises:
            ContextError: The function takes a context, and there is none.
        """
        return cast("Callable[..., Any]", self.function)(**self._keywords(arguments, ctx))

    @property
    def runs_async(self) -> bool:
        """Whether there is an asynchronous function, alone or in addition to a synchronous one."""
        return self.is_async or self.coroutine is not None

    async def acall(self, arguments: Any, ctx: ToolContext | None = None) -> Any:
        """Asynchronous form of `call`: uses the asynchronous function if there is one."""
        if not self.runs_async:
            return self.call(arguments, ctx)
        function = cast("Callable[..., Any]", self.coroutine or self.function)
        return await function(**self._keywords(arguments, ctx))

    def _keywords(self, arguments: Any, ctx: ToolContext | None) -> dict[str, Any]:
        keywords = self._input.keywords(arguments)
        if self._context is not None:
            if ctx is None and not self._context_is_optional:
                raise ContextError(f"{self.name} takes a ToolContext as {self._context!r}; give it one")
            keywords[self._context] = ctx
        return keywords

    def call_predicate(
        self, function: Callable[..., Any], arguments: Any, ctx: ToolContext | None = None, view: Any = None
    ) -> str | None:
        """Evaluate a check: return None if it holds, otherwise the reason why not.

        Raises:
            ContractError: The check takes a parameter that the tool does not have.
            RuleError: It raised, or returned neither True nor False nor a reason.
            Refused: The check raised it to refuse the call.
        """
        return self._predicate(function, CHECK).reason(looked_at(self._input.values(arguments), arguments), ctx, view)

    def meets(
        self, condition: Callable[..., Any], arguments: Any, ctx: ToolContext | None = None, view: Any = None
    ) -> bool:
        """Evaluate the condition of an approval.

        Args:
            condition: The function. It takes parameters of the tool, the context, or the view that guards receive.
            arguments: The arguments of the call.
            ctx: The context.
            view: The view.

        Raises:
            ContractError: It takes a parameter that the tool does not have.
            RuleError: It raised, or returned neither True nor False.
        """
        return self._predicate(condition, CONDITION).holds(
            looked_at(self._input.values(arguments), arguments), ctx, view
        )

    def label_of(self, function: Callable[..., Any], role: str) -> str:
        """The name of a check, preview or condition in messages."""
        return self._predicate(function, role).label

    def check_predicate(self, function: Callable[..., Any], role: str) -> None:
        """Check the parameters of a check, preview or condition.

        Raises:
            ContractError: It takes a parameter that the tool does not have.
        """
        self._predicate(function, role)

    def failed_check(self, arguments: Any, ctx: ToolContext | None = None) -> str | None:
        """Evaluate the contract's own check: return None if it holds or there is none, otherwise the reason why not."""
        return None if self.check is None else self.call_predicate(self.check, arguments, ctx)

    def show_preview(self, arguments: Any, ctx: ToolContext | None = None, view: Any = None) -> JSON:
        """Return the contract's preview of the call as JSON data; None if it has no preview."""
        if self.preview is None:
            return None
        shown = self._predicate(self.preview, PREVIEW)(looked_at(self._input.values(arguments), arguments), ctx, view)
        return checked_preview(self.name, shown)

    def supply(
        self, function: Callable[..., Any], arguments: Any, ctx: ToolContext | None = None, view: Any = None
    ) -> Any:
        """Call the application's function for the value of an argument.

        Raises:
            RuleError: It raised.
            Refused: The function raised it to refuse the call.
        """
        return self._predicate(function, SUPPLIER)(looked_at(self._input.values(arguments), arguments), ctx, view)

    def dump_output(self, value: Any, *, longest: int = LONGEST) -> JSON:
        """Validate the function's result against the contract, and return it as JSON data, as on the wire.

        Args:
            value: What the function returned.
            longest: The approximate limit of its length, in characters of JSON text.

        Raises:
            InvalidOutput: The result does not match the contract, or cannot be stored and read back unchanged.
        """
        return checked_output(self.name, self._output, value, longest)

    def redacted(self, value: JSON) -> JSON:
        """Return arguments or an output, as JSON data, with sensitive values masked."""
        return redact(value, self.sensitive)

    def input_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the arguments in its published form, without titles and redundant keywords."""
        return copy.deepcopy(self._input.printed())

    def offered_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the arguments as the model receives it and as it is enforced."""
        return copy.deepcopy(self._input.schema())

    def output_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the output."""
        return copy.deepcopy(self._output_schema)

    def to_wire(self) -> ContractShape:
        """Return the contract in its published form, as on the wire."""
        return ContractShape(
            name=self.name,
            version=self.version,
            kind=self.kind,
            description=self.description,
            input_schema=self.input_schema(),
            output_schema=self.output_schema(),
            annotations=self.annotations,
        )

    def tool_definition(self, *, use_wire_name: bool = True) -> dict[str, Any]:
        """Return the tool definition that `bind_tools` of chat models accepts."""
        name = self.wire_name if use_wire_name else self.name
        described = {"name": name, "description": self.description, "parameters": self.offered_schema()}
        return {"type": "function", "function": described}

    @cached_property
    def definition_digest(self) -> str:
        """A digest of everything that is published about the tool, including its description: for lock files and reports."""
        return digest(
            {
                "name": self.name,
                "version": self.version,
                "kind": self.kind,
                "effect": self.effect,
                "description": self.description,
                "inputSchema": self.offered_schema(),
                "outputSchema": self.output_schema(),
            }
        )

    @cached_property
    def binding_digest(self) -> str:
        """A digest of the parts on which decisions depend: name, version, effect and input schema, without titles and descriptions.

        Correcting a docstring does not change it. A workflow's fingerprint and its approvals contain it.
        """
        schema, decided, supplied = self._input.schema(), self.decision_fields, self.supplied_fields
        return binding_digest(self.name, self.version, self.effect, schema, decided=decided, supplied=supplied)

    @property
    def decision_fields(self) -> tuple[DecisionField, ...]:
        """The arguments that only the approver fills in. They are not offered to models."""
        return getattr(self._input, "decided", ())

    @property
    def supplied_fields(self) -> tuple[SuppliedField, ...]:
        """The arguments that only the application supplies. They are not offered to models."""
        return getattr(self._input, "supplied", ())

    def as_tool(self) -> "StructuredTool":
        """Return the contract as a plain LangChain tool, without gate, approval or record; see `interlock.tools.langchain`."""
        from ..langchain import as_tool  # noqa: PLC0415 -- LangChain is imported when it is used

        return as_tool(self)

    def _predicate(self, function: Callable[..., Any], role: str) -> Predicate:
        predicate = self._predicates.get((role, id(function)))
        if predicate is None:
            predicate = self._predicates[role, id(function)] = self._read_predicate(function, role)
        return predicate

    def _read_predicate(self, function: Callable[..., Any], role: str) -> Predicate:
        names = self._input.names
        if role == SUPPLIER:
            names -= {field.parameter for field in self.supplied_fields}
        return Predicate.read(function, role, self.name, names, self._context, model=self.input_model)
