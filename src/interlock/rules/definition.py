"""A workflow as plain data: states and edges, and the pure rule that selects the next allowed tools.

The builder in `graphs` creates it, and the nodes use it. Nothing here uses a model, a database or a clock.
"""

from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable
from pydantic import BaseModel, ValidationError

from ..tools.approvals import Approval
from ..tools.canonical import JsonObject, digest
from ..tools.contracts import ToolContract
from ..tools.contracts.options import explains_fields
from ..tools.contracts.undo import Undoes
from ..tools.contracts.yes_or_no import yes_or_no
from ..tools.errors import DefinitionChanged, RuleError, UnknownState, WorkflowDefinitionError
from ..tools.kinds import ToolKind
from ..tools.model_answers import Answers
from ..tools.ownership import RunBy
from ..tools.wire import WireNames
from .assumptions import Assumptions
from .budgets.budget import Budget, Prices
from .cancelling import CANCELLED, CANCELLING, CancelRule
from .conditions import Condition
from .ordering import After, order_to_json, why_again
from .policies import Mode, Policy
from .speech.checking import Speech
from .view import GuardView
from .waits import WaitRule


class StateKind(StrEnum):
    """What happens when a run reaches a state."""

    REASONING = "reasoning"
    """A chat model proposes."""
    FUNCTION = "function"
    """A function of the application proposes."""
    NODE = "node"
    """A LangGraph node or subgraph runs; the tool calls in the messages that it adds are its proposals."""
    RESTING = "resting"
    """The run ends here; a command from outside moves the instance."""
    WAITING = "waiting"
    """The run is interrupted here, until an event or a deadline moves the instance."""
    FINAL = "final"
    """The workflow is finished."""


Guard = Callable[[GuardView[Any]], bool]
Prompt = str | Callable[[GuardView[Any]], str]
Check = Callable[..., bool | str]
Decide = Callable[..., Any]


@dataclass(frozen=True)
class State:
    """A state: who proposes in it and with which tools, or what it waits for."""

    name: str
    kind: StateKind
    model: BaseChatModel | Runnable[Any, Any] | str | None = None
    prompt: Prompt | None = None
    decide: Decide | None = None
    node: Runnable[Any, Any] | None = None
    wait: WaitRule | None = None
    model_settings: Mapping[str, Any] = field(default_factory=dict)
    """Options of each request to the model."""
    provider_tools: tuple[Mapping[str, Any], ...] = ()
    """Tools that the model's provider runs, without the gate."""
    speech: Speech | None = None
    """Checks the text of the proposer in this state."""

    @property
    def is_strict(self) -> bool:
        """Whether tools are offered with strict schemas."""
        return self.model_settings.get("strict") is True

    @property
    def is_final(self) -> bool:
        """Whether the state is final."""
        return self.kind is StateKind.FINAL


@dataclass(frozen=True)
class Edge:
    """`(source state, tool, target state)`: a tool that may be called in a state, and the state that follows."""

    source: str
    tool: ToolContract
    target: str
    moves: bool = True
    """False for a read that stays in its state: it makes no transition."""
    guard: Guard | None = None
    check: Check | None = None
    approval: Approval | None = None
    sets: Mapping[str, Any] = field(default_factory=dict)
    """The changes of a call to the data fields that conditions use: a value, or `Add(n)`."""
    is_relied_on: bool = False
    """Whether a claim assumes that the guard always says yes."""
    after: After | None = None
    """The tools that must have been executed before."""
    once_per: tuple[str, ...] = ()
    """The arguments for each value of which it is executed at most once."""
    undo: Undoes = None
    """The undo of a call of this edge; None for that of its tool."""
    order: int = 0
    """The position among several edges of one tool out of one state."""
    node: str = ""
    """The execution node in the compiled graph."""

    @property
    def approval_node(self) -> str:
        """The approval node in the compiled graph."""
        return f"{self.node}/approval"

    @property
    def label(self) -> str:
        """The edge in words, for messages."""
        return f"{self.source} --{self.tool.name}--> {self.target}"

    @property
    def undone_by(self) -> Undoes:
        """The undo of a call of this edge."""
        return self.tool.undo if self.undo is None else self.undo

    @property
    def guard_label(self) -> str:
        """The guard in words, for messages."""
        return f"the guard of the edge {self.label}"

    def admits(self, view: GuardView) -> bool:
        """Whether the guard holds, and a required earlier tool was executed.

        Raises:
            RuleError: The guard raised, or answered neither True nor False, which is not a yes.
        """
        guard, after = self.guard, self.after
        if guard is not None and not yes_or_no(self.guard_label, lambda: guard(view.apart())):
            return False
        return after is None or after.is_open(view)

    def why_out_of_order(self, canonical: Mapping[str, Any], view: GuardView) -> str | None:
        """Return why a call with these arguments comes too early or is repeated too often; None if it may run."""
        too_early = None if self.after is None else self.after.why_not(canonical, view)
        if too_early is not None or not self.once_per:
            return too_early
        return why_again(self.once_per, self.tool, canonical, view)


@dataclass(frozen=True)
class Cancelling:
    """The additional parts of a workflow that can be cancelled."""

    rule: CancelRule
    undos: Mapping[str, Edge] = field(default_factory=dict)
    """The undo edges by tool, from `cancelling` to itself. They are never offered."""

    def to_json(self) -> JsonObject:
        """As plain data, for the fingerprint."""
        undos: JsonObject = {name: edge.tool.binding_digest for name, edge in sorted(self.undos.items())}
        return {"rule": self.rule.to_json(), "undos": undos}


@explains_fields()
@dataclass(frozen=True)
class Limits:
    """Limits on one turn of a model, after which the run stops and has to be resumed, and on proposals from outside the graph."""

    denials: int = 5
    """The maximum number of consecutive denials and refusals: in one turn; or, from outside the graph, of one principal on one instance."""
    pause: float = 60.0
    """After that many denials, the seconds that must pass before the next proposal from outside the graph is judged."""
    rate: int | None = None
    """The maximum number of proposals from outside the graph, per minute, by one principal on one instance; None: no limit."""
    calls: int = 50
    """The maximum number of model calls in one turn."""
    proposals: int = 16
    """The maximum number of proposals of one message that are judged; the others are denied."""
    argument_characters: int = 200_000
    """The approximate length of the arguments of one call, in characters of JSON text; longer ones are denied."""
    output_characters: int = 1_000_000
    """The approximate length of a tool's output, in characters of JSON text; longer ones are invalid output."""

    def __post_init__(self) -> None:
        for name, value in self.__dict__.items():
            if name == "rate" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float) if name == "pause" else int) or value < 0:
                raise WorkflowDefinitionError(f"Limits({name}={value!r}): give a number from 0, such as {name}=20.")


@dataclass(frozen=True)
class Definition:
    """A complete, checked workflow."""

    name: str
    version: int
    states: Mapping[str, State]
    edges: tuple[Edge, ...]
    initial: str
    data_model: type[BaseModel] | None = None
    policies: tuple[Policy, ...] = ()
    mode: Mode = Mode.LIVE
    limits: Limits = field(default_factory=Limits)
    answers: Answers = Answers.ENVELOPE
    """The form of answers to a model, if a contract does not set it."""
    marks_untrusted: bool = False
    """Whether answers to a model wrap untrusted texts in envelopes."""
    state_mapping: Mapping[str, str] = field(default_factory=dict)
    """The names of earlier versions' states in this version, for existing instances."""
    assumptions: Assumptions = field(default_factory=Assumptions)
    """The assumptions of the workflow's claims, which are enforced."""
    claims: tuple[str, ...] = ()
    """The proved claims as sentences, with their assumptions; recorded with each instance."""
    run_by: RunBy = RunBy.SERVED
    """Who may propose on an instance, in addition to the person whom it serves."""
    notify: bool = False
    """Whether to emit an event when a person is needed."""
    budgets: tuple[Budget, ...] = ()
    """The budgets of its models."""
    prices: Prices = field(default_factory=dict)
    """The prices of models, by model name."""
    cancelling: Cancelling | None = None
    """Who may cancel an instance, and which tools undo its calls; None if nobody may cancel."""

    @cached_property
    def by_source(self) -> Mapping[str, tuple[Edge, ...]]:
        """The edges out of each state, in the order in which they are tried."""
        found: dict[str, list[Edge]] = {name: [] for name in self.states}
        for edge in self.edges:
            found[edge.source].append(edge)
        return {name: tuple(sorted(edges, key=lambda edge: edge.order)) for name, edges in found.items()}

    @cached_property
    def followed(self) -> frozenset[str]:
        """The fields of the data that conditions and `sets` use; a call changes them only as its edge declares."""
        guards = [edge.guard for edge in self.edges if isinstance(edge.guard, Condition)]
        return frozenset().union(*(edge.sets for edge in self.edges), *(guard.fields for guard in guards))

    @cached_property
    def looks_up(self) -> bool:
        """Whether a rule that decides which tools are offered may query the database: a guard, a prompt or state with a function, or a hiding policy."""
        return (
            any(edge.after is not None for edge in self.edges)
            or any(edge.guard is not None and not isinstance(edge.guard, Condition) for edge in self.edges)
            or any(callable(state.prompt) or state.decide is not None for state in self.states.values())
            or any(type(policy).hides is not Policy.hides for policy in self.policies)
        )

    @cached_property
    def waits(self) -> Mapping[str, WaitRule]:
        """The wait rules, by state."""
        return {name: state.wait for name, state in self.states.items() if state.wait is not None}

    def successors(self, state: str) -> tuple[str, ...]:
        """The states that may follow a state: through its edges, its events and its deadline."""
        wait = self.waits.get(state)
        ends = () if wait is None else wait.ends
        return (*(edge.target for edge in self.by_source[state]), *ends, *self._cancelled_from(state))

    def _cancelled_from(self, state: str) -> tuple[str, ...]:
        """The states that a cancel leads to."""
        if self.cancelling is None or self.states[state].is_final:
            return ()
        return (CANCELLED,) if state == CANCELLING else (CANCELLING, CANCELLED)

    def edges_for(self, state: str, *, undoing: bool) -> tuple[Edge, ...]:
        """The edges that a call may take: those out of the state, or, for a cancel, those of the undo tools."""
        if not undoing:
            return self.by_source.get(state, ())
        return () if self.cancelling is None else tuple(self.cancelling.undos.values())

    @cached_property
    def undo_only(self) -> frozenset[str]:
        """The tools without an edge, which only a cancel calls."""
        return frozenset(self.contracts) - {edge.tool.name for edge in self.edges}

    def reachable(self, state: str) -> frozenset[str]:
        """The states that are reachable from a state; it includes the state itself only if a path leads back to it."""
        found: set[str] = set()
        frontier = [state]
        while frontier:
            for target in self.successors(frontier.pop()):
                if target not in found:
                    found.add(target)
                    frontier.append(target)
        return frozenset(found)

    @cached_property
    def wire_names(self) -> WireNames:
        """The mapping of canonical names to names that model providers accept, and back."""
        return WireNames(self.contracts.values())

    @cached_property
    def contracts(self) -> Mapping[str, ToolContract]:
        """Every tool of the workflow by its canonical name, including tools that only a cancel calls."""
        undos = () if self.cancelling is None else self.cancelling.undos.values()
        return {edge.tool.name: edge.tool for edge in (*self.edges, *undos)}

    @cached_property
    def sensitive(self) -> frozenset[str]:
        """The names of all fields that some tool marks as sensitive, and that are redacted before they are stored."""
        return frozenset().union(*(contract.sensitive for contract in self.contracts.values()))

    def _ungated(self) -> dict[str, Any]:
        named = {
            name: sorted(str(tool.get("name") or tool.get("type")) for tool in state.provider_tools)
            for name, state in self.states.items()
            if state.provider_tools
        }
        return {"ungated": named} if named else {}

    @cached_property
    def fingerprint(self) -> str:
        """A digest of everything that decides which calls are possible: states, edges, contracts, and claims, whose assumptions are enforced."""
        return digest(
            {
                "workflow": self.name,
                "version": self.version,
                "initial": self.initial,
                "states": {name: state.kind.value for name, state in self.states.items()},
                **self._ungated(),
                **({"waits": {name: wait.to_json() for name, wait in self.waits.items()}} if self.waits else {}),
                "edges": sorted(
                    [
                        edge.source,
                        edge.tool.name,
                        edge.tool.version,
                        edge.tool.binding_digest,
                        edge.target,
                        edge.moves,
                        edge.guard is not None,
                        None if edge.approval is None else edge.approval.to_json(),
                        *([order_to_json(edge.after, edge.once_per)] if edge.after or edge.once_per else []),
                    ]
                    for edge in self.edges
                ),
                **({"claims": [*self.claims]} if self.claims else {}),
                **({} if self.cancelling is None else {"cancel": self.cancelling.to_json()}),
            }
        )

    def state(self, name: str) -> State:
        """Return a state by its name.

        Raises:
            UnknownState: This definition has no state of that name.
        """
        found = self.states.get(name)
        if found is None:
            raise UnknownState(
                f"The workflow {self.name} version {self.version} has no state {name!r}; it has {', '.join(self.states)}. "
                "The instance is kept as it is. Run it with the version that it was made by, or give the new version a state mapping: "
                f"Workflow(..., version={self.version + 1}, state_mapping={{{name!r}: 'new state'}}).",
                details={"state": name, "states": [*self.states]},
            )
        return found

    def parse_data(self, data: Mapping[str, Any] | BaseModel | None) -> Any:
        """Parse data with the workflow's data model; None if the workflow has none.

        Raises:
            DefinitionChanged: The model cannot read what an earlier one wrote.
        """
        if self.data_model is None:
            return None
        try:
            return self.data_model.model_validate({} if data is None else data)
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
            raise DefinitionChanged(
                f"The stored data of an instance of {self.name} does not fit {self.data_model.__name__}: {wrong}. Nothing was done; give "
                "new fields a default, and let a validator of the model read what older ones were called.",
                code="data_changed",
            ) from error


def offered_edges(
    edges: Sequence[Edge],
    view: GuardView,
    *,
    policies: Iterable[Policy] = (),
    mode: Mode = Mode.LIVE,
    broken: MutableMapping[str, RuleError] | None = None,
) -> tuple[Edge, ...]:
    """The edges that may be called now: out of this state, with a guard and policies that allow it, one per tool.

    If a rule of a tool fails, the tool is not offered, not even by a later edge, because the failed rule may be the stricter one.

    Args:
        edges: The edges out of the state, in the order in which they are tried.
        view: State, data and principal.
        policies: The policies; only their part without arguments is evaluated.
        mode: The mode of the workflow; in `read_only`, only reads are offered.
        broken: Receives the tools that are not offered because a rule failed.
    """
    found: dict[str, Edge] = {}
    withheld: MutableMapping[str, RuleError] = {} if broken is None else broken
    policies = tuple(policies)
    closed: set[str] = set()
    for edge in edges:
        name = edge.tool.name
        if edge.source != view.state or name in found or name in withheld or name in closed:
            continue
        if mode is Mode.READ_ONLY and edge.tool.kind is not ToolKind.READ:
            continue
        try:
            if edge.admits(view) and all(policy.hidden(edge.tool, view) is None for policy in policies):
                found[name] = edge
            elif edge.is_relied_on:
                closed.add(name)  # a claim assumes that this guard holds, so no other edge may replace this one
        except RuleError as error:
            withheld[name] = error
    return tuple(found.values())


def next_allowed_tools(
    edges: Sequence[Edge], view: GuardView, *, policies: Iterable[Policy] = (), mode: Mode = Mode.LIVE
) -> tuple[str, ...]:
    """Return the canonical names of the tools that may be called next: a pure function of edges, state, data and principal."""
    return tuple(edge.tool.name for edge in offered_edges(edges, view, policies=tuple(policies), mode=mode))
