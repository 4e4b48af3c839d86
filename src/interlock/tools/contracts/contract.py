"""A tool contract: what a tool is called, takes, returns and may do, and the function that does it."""

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
from ..schemas.sameness import differing_fields, is_same_data
from ..storable import LONGEST, why_not_storable
from .digests import binding_digest
from .masking import masked_error
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
    """What a tool is called, takes, returns and may do, and the function that does it.

    Made by the decorators `read`, `command` and `event`. Calling it calls the function, with nothing in between.
    """

    name: str
    """Canonical, with dots: ``case.assign``."""
    version: int
    kind: ToolKind
    effect: Effect | None
    """Where the effect lands; None for a read, which has none."""
    description: str
    """What the model is told."""
    input_model: type[BaseModel] | None
    """Its fields are the arguments: snake_case in Python, camelCase on the wire. None where they are known by a JSON Schema."""
    output_type: Any
    """What the function returns."""
    annotations: ToolAnnotations
    wire_name: str
    """What the model calls it by: ``case_assign``."""
    answers: Answers | None = None
    """What the model is told back; None where the workflow says it."""
    check: Callable[..., Any] | None = None
    preview: Callable[..., Any] | None = None
    undo: Any = None
    """What undoes it when its instance is cancelled: an `Undo`; False where nothing has to be, None where nobody said."""
    sensitive: frozenset[str] = frozenset()
    """Names on the wire of fields that are redacted before anything is written down."""
    retry: RetryPolicy | None = None
    timeout: float | None = None
    """Seconds that one attempt may take."""
    return_direct: bool = False
    """Whether what it answers ends the turn, and no model is asked to put it into words; LangChain's word for it."""
    is_marked_destructive: bool = False
    """Whether its author said that it is destructive, and not only MCP's default for what is not said."""
    trusts_markers: bool = True
    """Whether `id` and `own` in a published JSON Schema of its output are believed."""
    is_async: bool = False
    """Whether there is no other than an asynchronous function."""
    takes_context: bool = False
    function: Callable[P, R]
    coroutine: Callable[..., Any] | None = None
    """The asynchronous function, where there is one beside `function`."""

    _input: Input = field(repr=False)
    _output: TypeAdapter[Any] = field(repr=False)
    written: TypeAdapter[Any] | None = field(repr=False, default=None)  # writes what it returns as on the wire
    _context: str | None = field(repr=False, default=None)
    _context_is_optional: bool = field(repr=False, default=False)
    _output_schema: JsonObject = field(repr=False)
    _predicates: dict[tuple[str, int], Predicate] = field(repr=False, default_factory=dict)

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

    # Arguments

    def bind(self, arguments: object) -> Bound:
        """Read the arguments of a call, and fix what is judged, shown, stored and run: one thing, in two forms.

        They are validated against the schema that is offered, read, and written down in full. What was written down is read
        again, and must be the same: else an approver would be shown what does not run.

        Raises:
            InvalidArguments: They do not fit, with each field named as it is on the wire; or they cannot be kept, or not
                be written down as they would run.
        """
        try:
            return self._bound(arguments)[1]
        except InvalidArguments as error:
            masked = masked_error(error, arguments, self.sensitive)
            if masked is error:
                raise
        raise masked  # without its cause, which quotes them as well

    def complete(self, arguments: JsonObject, *, before: JsonObject | None = None) -> JsonObject:
        """Give arguments in full, with the defaults that differ each time fixed: for a proposal, when it is made.

        Arguments that do not fit are given as they are; the gate says what is wrong with them.

        Args:
            arguments: As they were proposed.
            before: What the same call was completed to before, where it was: its defaults that differ each time are taken.
        """
        if any(name in arguments for field in self.supplied_fields for name in (field.name, field.parameter)):
            return arguments
        try:
            return (self.bind(arguments) if before is None else self._bind_again(arguments, before)).canonical
        except Exception:  # whatever is wrong with them, or with a validator, is for the gate to say
            return arguments

    def bind_again(self, arguments: object, before: JsonObject) -> Bound:
        """As `bind`, for a call that was made before: its defaults that differ each time are taken, where they are on record, and what the
        application supplied then.

        Args:
            arguments: As they were proposed again.
            before: What is on record of the call's canonical arguments.

        Raises:
            InvalidArguments: As `bind`.
        """
        bound = self._bind_again(arguments, before)
        return self.bound_with(bound, on_record(self.supplied_fields, before, given=bound.canonical))

    def bound_with(
        self, bound: Bound, supplied: JsonObject, problem: Callable[[InvalidArguments], Exception] | None = None
    ) -> Bound:
        """A call with what the application supplies; its fingerprint is of what was proposed.

        Raises:
            InvalidArguments: It does not fit; or what `problem` makes of that.
        """
        if not supplied:
            return bound
        try:
            return replace(self.bind({**bound.canonical, **supplied}), fingerprint=bound.fingerprint)
        except InvalidArguments as error:
            raise (error if problem is None else problem(error)) from error

    def without_supplied(self, arguments: JsonObject) -> JsonObject:
        """Canonical arguments without those that the application supplies: what was proposed of a call."""
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
        """Whether all that a call runs with is known from its record: nothing sensitive was supplied to it or differs each time."""
        if any(field.is_sensitive(self.sensitive) for field in self.supplied_fields):
            return False
        return bound.fingerprint == self.fingerprint_of(bound.canonical)

    def _bound(self, arguments: object) -> tuple[Any, Bound]:
        """The arguments as they were first read, which knows what was given, and what is used of them."""
        first = self._input.parse(arguments)
        canonical = self._written(first)
        # As they were given they are in full: they would be read and written again as they were.
        if self._input.is_steady and is_same_data(canonical, arguments):
            return first, Bound(first, canonical, self._fingerprint(first, canonical))
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
        """Digest what was given and what is on record: a sensitive default that differs each time is neither."""
        given = as_given(self._input.read(first), canonical, redact(canonical, self.sensitive))
        return self.fingerprint_of(cast("JsonObject", given))

    def parse(self, arguments: object) -> Any:
        """Read the arguments of a call, as `bind` does: camelCase, or snake_case; strict as far as JSON goes.

        Raises:
            InvalidArguments: As `bind`.
        """
        return self.bind(arguments).parsed

    def canonical_arguments(self, arguments: Any) -> JsonObject:
        """Give arguments as they are on the wire, without the optional ones that are None. `parse` reads them back."""
        return self._input.canonical(arguments)

    def _written(self, parsed: Any) -> JsonObject:
        try:
            canonical = self._input.canonical(parsed)
            problem = why_not_storable(canonical)
        except Exception as error:  # a serializer of the tool's own
            problem = f"a serializer of the tool failed ({type(error).__name__})"
        if problem is not None:
            raise invalid(self.name, [Problem(field="", problem=f"cannot be written down: {problem}")])
        return canonical

    def fingerprint(self, arguments: Any) -> str:
        """Digest what was proposed: tool, version and canonical arguments, without those that the application supplies."""
        return self.fingerprint_of(self.canonical_arguments(arguments))

    def fingerprint_of(self, canonical: JsonObject) -> str:
        """As `fingerprint`, of canonical arguments."""
        return digest({"tool": self.name, "version": self.version, "arguments": self.without_supplied(canonical)})

    def call(self, arguments: Any, ctx: ToolContext | None = None) -> Any:
        """Call the function; what an async one gives is to be awaited.

        Raises:
            ContextError: the function takes a context and there is none.
        """
        return cast("Callable[..., Any]", self.function)(**self._keywords(arguments, ctx))

    @property
    def runs_async(self) -> bool:
        """Whether there is an asynchronous function: the only one, or one beside that which is not."""
        return self.is_async or self.coroutine is not None

    async def acall(self, arguments: Any, ctx: ToolContext | None = None) -> Any:
        """As `call`, by the asynchronous function where there is one."""
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
        """Ask a check whether it holds: None when it does, otherwise the reason why not.

        Raises:
            ContractError: it asks for something that the tool does not have.
            RuleError: it raised, or answers neither True nor False nor a reason.
            Refused: it said no by raising it.
        """
        return self._predicate(function, CHECK).reason(looked_at(self._input.values(arguments), arguments), ctx, view)

    def meets(
        self, condition: Callable[..., Any], arguments: Any, ctx: ToolContext | None = None, view: Any = None
    ) -> bool:
        """Ask the condition of an approval whether it holds.

        Args:
            condition: Takes parameters of the tool, the context, or the view that guards are given.
            arguments: Of the call.
            ctx: The context.
            view: The view.

        Raises:
            ContractError: it asks for something that the tool does not have.
            RuleError: it raised, or answers neither True nor False.
        """
        return self._predicate(condition, CONDITION).holds(
            looked_at(self._input.values(arguments), arguments), ctx, view
        )

    def label_of(self, function: Callable[..., Any], role: str) -> str:
        """What a check, preview or condition is called in messages."""
        return self._predicate(function, role).label

    def check_predicate(self, function: Callable[..., Any], role: str) -> None:
        """See that a function of the tool's parameters could be asked.

        Raises:
            ContractError: it asks for something that the tool does not have.
        """
        self._predicate(function, role)

    def failed_check(self, arguments: Any, ctx: ToolContext | None = None) -> str | None:
        """Ask the contract's own check: None when it holds or there is none, otherwise the reason why not."""
        return None if self.check is None else self.call_predicate(self.check, arguments, ctx)

    def show_preview(self, arguments: Any, ctx: ToolContext | None = None, view: Any = None) -> JSON:
        """Give what the contract's preview shows of the call, as JSON data; None where it has none."""
        if self.preview is None:
            return None
        shown = self._predicate(self.preview, PREVIEW)(looked_at(self._input.values(arguments), arguments), ctx, view)
        return checked_preview(self.name, shown)

    def supply(
        self, function: Callable[..., Any], arguments: Any, ctx: ToolContext | None = None, view: Any = None
    ) -> Any:
        """Ask the application's function for the value of an argument.

        Raises:
            RuleError: it raised.
            Refused: it said no by raising it.
        """
        return self._predicate(function, SUPPLIER)(looked_at(self._input.values(arguments), arguments), ctx, view)

    def dump_output(self, value: Any, *, longest: int = LONGEST) -> JSON:
        """Check what the function returned against the contract, and give it as it is on the wire.

        Args:
            value: What the function returned.
            longest: How many characters it may have as JSON text, about.

        Raises:
            InvalidOutput: it is not what the contract promises, or cannot be kept and read back as it is.
        """
        return checked_output(self.name, self._output, value, longest)

    def redacted(self, value: JSON) -> JSON:
        """Give arguments or output, as JSON data, without what is sensitive in them."""
        return redact(value, self.sensitive)

    # On the wire

    def input_schema(self) -> dict[str, Any]:
        """Give the JSON Schema of the arguments as the contract prints it: without what goes without saying."""
        return copy.deepcopy(self._input.printed())

    def offered_schema(self) -> dict[str, Any]:
        """Give the JSON Schema of the arguments as a model is offered it, and as it is enforced."""
        return copy.deepcopy(self._input.schema())

    def output_schema(self) -> dict[str, Any]:
        """Give the JSON Schema of the output."""
        return copy.deepcopy(self._output_schema)

    def to_wire(self) -> ContractShape:
        """Give the contract as it is on the wire."""
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
        """Give the contract in the form that chat models' `bind_tools` takes."""
        name = self.wire_name if use_wire_name else self.name
        described = {"name": name, "description": self.description, "parameters": self.offered_schema()}
        return {"type": "function", "function": described}

    @cached_property
    def definition_digest(self) -> str:
        """A digest of all that is published of the tool, its description included: for locks and reports."""
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
        """A digest of what a decision on a call rests on: name, version, effect and input schema, without titles and descriptions.

        It stays the same when a docstring is fixed. A workflow's fingerprint and its approvals hold it.
        """
        schema, decided, supplied = self._input.schema(), self.decision_fields, self.supplied_fields
        return binding_digest(self.name, self.version, self.effect, schema, decided=decided, supplied=supplied)

    @property
    def decision_fields(self) -> tuple[DecisionField, ...]:
        """The arguments that only the one who decides on a call states, and that no model is offered."""
        return getattr(self._input, "decided", ())

    @property
    def supplied_fields(self) -> tuple[SuppliedField, ...]:
        """The arguments that only the application supplies, and that no model is offered."""
        return getattr(self._input, "supplied", ())

    def as_tool(self) -> "StructuredTool":
        """Make a plain LangChain tool of the contract, without gate, approval or record; see `interlock.tools.langchain`."""
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
