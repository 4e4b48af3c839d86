"""The builder: a workflow in a few lines, states and edges as data."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable
from langgraph.checkpoint.base import BaseCheckpointSaver
from pydantic import BaseModel

from ..checkpointing.store import WorkflowStore
from ..commands.running.engine import Engine
from ..nodes.model_binding import check_model
from ..nodes.models import DecisionView
from ..rules.claims.compiling import with_claims
from ..rules.definition import Definition, Edge, Limits, State, StateKind
from ..rules.ordering import After, after_of, names_of
from ..rules.policies import Mode, ModeName, Policy
from ..rules.view import GuardView
from ..rules.waits import WaitRule
from ..tools.approvals import Approval
from ..tools.approvals.deadlines import Within, check_within
from ..tools.context import DataT
from ..tools.contracts import ToolContract, Undo
from ..tools.contracts.undo import undo_of
from ..tools.errors import WorkflowDefinitionError
from ..tools.events import Event
from ..tools.functions import Rule
from ..tools.kinds import ToolKind
from ..tools.model_answers import Answers, AnswersName, answers_of
from ..tools.ownership import RunBy
from .budgeted import Budgeted
from .checks import given as builder
from .checks.approvals import check_no_chat
from .checks.definition import check_definition, check_name
from .checks.options import explained
from .checks.states import check_ends
from .compiled import WorkflowGraph
from .compiler import compile_graph
from .drawable import Drawable

if TYPE_CHECKING:
    from .agents.middleware import InitialData, WorkflowMiddleware


class Workflow(Budgeted, Drawable, Generic[DataT]):
    """A named, versioned state machine.

    Args:
        name: The name of the workflow in instances, events and messages.
        version: A positive integer. Increase it when states or edges change in a way that affects running instances.
        data: The pydantic model class of the workflow's data. A field without a default must be given in the input of the first run.
        model: The chat model of every state without its own: an object, or a name such as `"openai:gpt-5"`.
        prompt: The system prompt of every state without its own: a text, or a function of the view.
        policies: Rules for every proposal, evaluated in this order.
        mode: `live`; `dry_run`, in which commands are judged and recorded but not executed; or `read_only`, in which only reads are
            offered.
        limits: Limits on one turn.
        answers: What the model receives as the answer to a call, unless its contract says so: the whole result (`"envelope"`), or only the
            output (`"plain"`). Denials and moves to another state are always sent whole.
        marks_untrusted: In answers to the model, wrap each text that others can write as `{"untrusted": "…"}`, by the markers of the output
            fields. It is advice to the model, and enforces nothing.
        state_mapping: The state of this version in which instances of earlier versions continue, by the name of their old state. Needed for
            states that were removed or whose edges changed.
        run_by: Who may propose on an instance in addition to the person whom it serves: `"served"` (nobody else), `"tenant"` (everybody in
            its tenant), or the names of one or several roles. If nobody in particular started an instance, everybody in its tenant may.
        notify: Whether to emit the event `interlock.somebody.needed.v1` when a person is needed: see docs/notifications.md.
        speech: Checks the model's own words in every state without its own check: see docs/case_rules.md.

    The first state that is added is the initial one. For type checkers, guards and prompts of a `Workflow[CaseData]` receive a
    `GuardView[CaseData]`.
    """

    @explained
    def __init__(
        self,
        name: str,
        *,
        version: int = 1,
        data: type[DataT] | None = None,
        model: BaseChatModel | Runnable[Any, Any] | str | None = None,
        prompt: str | Callable[[GuardView[DataT]], str] | None = None,
        policies: Iterable[Policy] = (),
        mode: Mode | ModeName = Mode.LIVE,
        limits: Limits | None = None,
        answers: Answers | AnswersName = Answers.ENVELOPE,
        marks_untrusted: bool = False,
        state_mapping: Mapping[str, str] | None = None,
        run_by: str | Collection[str] = "served",
        notify: bool = False,
        speech: Callable[[str, GuardView[DataT]], bool | str] | None = None,
    ) -> None:
        check_name("workflow", name)
        builder.check_version(version, name)
        builder.check_data(data, name)
        check_model(model, f"the workflow {name!r}")
        builder.check_prompt(prompt, f"the workflow {name!r}")
        self.name = name
        self.version = version
        self._data = data
        self._model = model
        self._prompt = prompt
        self._policies = builder.policies_of(policies, name)
        self._mode = builder.mode_of(mode, name)
        self._limits = builder.limits_of(limits, name)
        self._answers = answers_of(answers, f"the workflow {name!r}")
        self._marks_untrusted = marks_untrusted
        self._state_mapping = builder.mapping_of(state_mapping, name)
        super().__init__()
        self._run_by = RunBy.of(run_by)
        self._notify = bool(notify)
        builder.check_speech(speech, f"the workflow {name!r}")
        self._speech = speech
        self._states: dict[str, State] = {}
        self._edges: list[tuple[Edge, int | None]] = []

    @explained
    def add_state(
        self,
        name: str,
        *,
        tools: Iterable[ToolContract] = (),
        model: BaseChatModel | Runnable[Any, Any] | str | None = None,
        prompt: str | Callable[[GuardView[DataT]], str] | None = None,
        decide: Callable[[DecisionView[DataT]], Any] | None = None,
        node: Runnable[Any, Any] | Callable[..., Any] | None = None,
        final: bool = False,
        model_settings: Mapping[str, Any] | None = None,
        provider_tools: Iterable[Mapping[str, Any]] = (),
        speech: Callable[[str, GuardView[DataT]], bool | str] | None = None,
    ) -> Self:
        """Add a state.

        Args:
            name: The name of the state in results and in the audit trail.
            tools: The tools that may be called here without leaving the state.
            model: The chat model of this state, in place of the workflow's.
            prompt: The system prompt of this state: a text, or a function of the view.
            decide: A function that proposes in place of a model: it takes a `DecisionView`, and returns `(tool, arguments)`, a list of such
                pairs, a text, or None.
            node: A LangGraph node or subgraph that proposes in place of a model: by the tool calls of the last message that it adds.
            final: Whether the workflow ends in this state.
            model_settings: Options of each model request in this state, such as `tool_choice`, `parallel_tool_calls` or `temperature`.
                `strict=True` offers the tools with strict schemas.
            provider_tools: Tools that the model's provider runs itself, such as `{"type": "web_search"}`. They are offered, and their use
                is recorded, but the gate cannot control them.
            speech: Checks the model's own words in this state: a function of the text and the view that returns True to pass them, a text
                to replace them, or False to stop them.

        Returns:
            The workflow, so that calls can be chained.

        Raises:
            WorkflowDefinitionError: The name is in use or invalid, or more than one of `model`, `decide` and `node` is given.
        """
        check_name("state", name)
        if name in self._states:
            raise WorkflowDefinitionError(
                f"The workflow {self.name!r} already has a state {name!r}; give each state its own name."
            )
        given = [what for what, thing in (("model", model), ("decide", decide), ("node", node)) if thing is not None]
        if len(given) > 1:
            raise WorkflowDefinitionError(
                f"The state {name!r} is given {' and '.join(given)}; who proposes in a state is one of them."
            )
        check_model(model, f"the state {name!r}")
        builder.check_prompt(prompt, f"the state {name!r}")
        tools, provider_tools = builder.tools_of(tools, name), tuple(provider_tools)
        if final and (given or tools):
            raise WorkflowDefinitionError(
                f"The state {name!r} is final and cannot have {'tools' if tools else given[0]}; the workflow is over there."
            )
        chosen = model if model is not None else self._model
        builder.check_settings(
            name, model_settings, provider_tools, asks=chosen is not None and not (final or decide or node)
        )
        if final:
            state = State(name, StateKind.FINAL)
        elif decide is not None:
            state = State(name, StateKind.FUNCTION, decide=decide)
        elif node is not None:
            state = State(name, StateKind.NODE, node=node)  # type: ignore[arg-type]
        elif chosen is not None:
            state = State(
                name,
                StateKind.REASONING,
                model=chosen,
                prompt=prompt if prompt is not None else self._prompt,
                model_settings=dict(model_settings or {}),
                provider_tools=provider_tools,
            )
        else:
            state = State(name, StateKind.RESTING)
        builder.check_speech(speech, f"the state {name!r}")
        self._states[name] = replace(state, speech=cast("Any", speech or self._speech))
        for tool in tools:
            self._edges.append((Edge(name, tool, name, moves=tool.kind is not ToolKind.READ), None))
        return self

    @explained
    def add_edge(
        self,
        source: str,
        tool: ToolContract,
        target: str,
        *,
        guard: Callable[[GuardView[DataT]], bool] | None = None,
        check: Rule | None = None,
        approval: Approval | bool | None = None,
        sets: Mapping[str, Any] | None = None,
        after: After | ToolContract | None = None,
        once_per: str | Iterable[str] = (),
        undo: Undo | ToolContract | Literal[False] | None = None,
        order: int | None = None,
    ) -> Self:
        """Allow a tool in a state, and name the state that follows.

        Args:
            source: The state in which the tool may be called.
            tool: The tool's contract: a function that `read`, `command` or `event` decorates.
            target: The state that follows once the tool was carried out.
            guard: A pure function of the view (state, data, principal) that decides whether the tool is offered: it returns True or False.
            check: A function of the arguments (by name) and of the system of record (through `ctx.session`) that returns True, or the
                reason why the call cannot be made.
            approval: Whether a person must decide first: True, an `Approval` with a rule, or a `Confirmation`.
            sets: The changes of a call to those fields of the data that conditions use: a value, or `Add(1)` for a counter. A tool that
                changes such a field in another way is refused.
            after: A tool that must have been carried out before on the instance; or `After(...)` for one of several, or with the same
                arguments.
            once_per: The argument, or the arguments, for each value of which the tool is carried out at most once, such as `"order_id"`.
            undo: What undoes a call when the instance is cancelled, in place of the tool's own `undo=`.
            order: The position among several edges of this tool out of this state. They are tried in ascending order, and the first whose
                guard holds is taken.

        A read that leads back to its own state makes no transition, unless it needs an approval or has an `order`.

        Returns:
            The workflow, so that calls can be chained.

        Raises:
            WorkflowDefinitionError: The tool is not a contract.
        """
        builder.check_contract(tool, f"the edge from {source!r} to {target!r}")
        check_ends(source, target)
        rule = Approval() if approval is True else (approval or None)
        if rule is not None and not isinstance(rule, Approval):
            raise WorkflowDefinitionError(
                f"The edge {source} --{tool.name}--> {target} has approval={approval!r}; give True, an Approval or a Confirmation."
            )
        stays = tool.kind is ToolKind.READ and source == target and rule is None and order is None
        edge = Edge(
            source,
            tool,
            target,
            moves=not stays,
            guard=guard,
            check=check,
            approval=rule,
            after=after_of(after, f"{source} --{tool.name}--> {target}"),
            once_per=names_of(once_per),
            undo=undo_of(undo, f"{source} --{tool.name}--> {target}"),
            sets=dict(sets or {}),
            order=order or 0,
        )
        self._edges.append((edge, order))
        return self

    @explained
    def add_wait(
        self,
        name: str,
        *,
        for_event: type[Event] | Iterable[type[Event]] = (),
        then: str | None = None,
        within: Within = None,
        on_timeout: str | None = None,
        expect: Literal["all", "any"] | int = "all",
        each: str | Callable[[DataT], Iterable[str]] | None = None,
        part: str | None = None,
        key: str | Iterable[str | tuple[str, str]] = (),
        apply: Callable[[DataT, Any], None] | None = None,
        delivered_by: type[Event] | None = None,
        failed_by: type[Event] | None = None,
        on_failure: str | None = None,
        sources: Iterable[str] | None = None,
    ) -> Self:
        """Add a state that waits for an event or a deadline, whichever comes first by the database's clock.

        The graph is interrupted here, and nobody has to answer. Events arrive through `interlock.deliver` or a subscription; `interlock
        tick`, `interlock subscribe` or an `EventService` enforces the deadlines. Edges of commands may lead out of the state as well.

        Args:
            name: The state's name.
            for_event: The class of the event that ends the wait, or several classes.
            then: The state that follows once enough of the expected events have arrived.
            within: How long to wait: a duration such as `"2h"`, `"30m"` or a timedelta; or the moment of the deadline; or a function of the
                view that returns either when the wait begins.
            on_timeout: The state that follows the deadline.
            expect: How many of the expected events end the wait: `"all"`, `"any"` or a number.
            each: For a fan-out: the keys for each of which an event is expected. The name of a field of the data, or a function of the
                data.
            part: The field of the event that names its key in `each`.
            key: The fields of event and data that must be equal: one name for both, or pairs. By default an event is for the instance whose
                `workflowId` it has.
            apply: A function `apply(data, event)` that changes the data for each expected event, in the same transaction.
            delivered_by: An event that announces an expected event; `for_event` then completes it.
            failed_by: An event that reports that an expected event will not come.
            on_failure: The state that follows when so many have failed that the rest cannot end the wait.
            sources: The event sources that count, such as `/shop` or `/workflows/desk`; by default any source.

        Returns:
            The workflow, so that calls can be chained.

        Raises:
            WorkflowDefinitionError: The name is in use or invalid. Other errors are found when the workflow is compiled.
            ContractError: `within` is neither a duration nor a moment nor a function.
        """
        check_within(within)
        events = builder.events_of(for_event, name, "for_event")
        for what, other in (("delivered_by", delivered_by), ("failed_by", failed_by)):
            builder.events_of(() if other is None else other, name, what)
        self.add_state(name)
        pairs = [key] if isinstance(key, str) else key
        rule = WaitRule(
            state=name,
            events=events,
            then=then,
            within=within,
            on_timeout=on_timeout,
            expect=expect,
            each=each,
            part=part,
            key=tuple((pair, pair) if isinstance(pair, str) else pair for pair in pairs),
            apply=apply,
            delivered_by=delivered_by,
            sources=None if sources is None else frozenset([sources] if isinstance(sources, str) else sources),
            failed_by=failed_by,
            on_failure=on_failure,
        )
        self._states[name] = State(name, StateKind.WAITING, wait=rule)
        return self

    def definition(self) -> Definition:
        """Return the workflow as plain data, after checking it and proving its claims.

        Raises:
            WorkflowDefinitionError: The workflow cannot work; the message names the place.
            ClaimError: A claim does not hold; the message has a path that breaks it.
        """
        checked = self.checked()
        return with_claims(checked, self._claims) if self._claims else checked

    def checked(self) -> Definition:
        """Return the workflow as plain data, after checking it, without proving its claims.

        Raises:
            WorkflowDefinitionError: The workflow cannot work; the message names the place.
        """
        return check_definition(
            name=self.name,
            version=self.version,
            states=self._states,
            edges=self._edges,
            data_model=cast("type[BaseModel] | None", self._data),
            policies=self._policies,
            mode=self._mode,
            limits=self._limits,
            answers=self._answers,
            marks_untrusted=self._marks_untrusted,
            state_mapping=self._state_mapping,
            run_by=self._run_by,
            notify=self._notify,
            cancel=self._cancel,
            budgets=self._budgets,
            prices=self._prices,
        )

    def compile(
        self,
        checkpointer: BaseCheckpointSaver[Any] | None = None,
        *,
        workflow_store: WorkflowStore | None = None,
        in_memory: bool = False,
        destructive_in_memory: bool = False,
        **options: Any,
    ) -> WorkflowGraph:
        """Compile the workflow to a LangGraph graph.

        Args:
            checkpointer: Any LangGraph checkpointer. A `SQLCheckpointer` also provides the workflow store, in the same database. Without a
                checkpointer and without a store, the workflow is in this process's memory.
            workflow_store: The store of instances, ledger, approvals and audit trail, unless the checkpointer provides it. With a durable
                store and no checkpointer, the graph uses the checkpointer of its host: the parent graph, or LangGraph Server.
            in_memory: Whether memory is intended, as in a test or a tutorial. Otherwise a workflow in memory logs a warning.
            destructive_in_memory: Whether a workflow in memory may run tools that are annotated as destructive, although no record is kept.
                Otherwise it runs them only where a person approves or confirms each call.
            options: Passed to LangGraph's `compile`, such as `store`, `cache`, `name` or `debug`.

        Returns:
            A `WorkflowGraph`: LangGraph's `CompiledStateGraph` with a few more methods, such as `instances`.

        Raises:
            WorkflowDefinitionError: The workflow cannot work; the message names the place.
        """
        options |= {"destructive_in_memory": destructive_in_memory, "in_memory": in_memory}
        return compile_graph(self.definition(), checkpointer, workflow_store, options)

    def as_middleware(
        self,
        *,
        workflow_store: WorkflowStore | None = None,
        initial_data: "InitialData | None" = None,
        others: bool | Collection[str] = False,
        answers: Answers | AnswersName | None = None,
        strict: bool = False,
    ) -> "WorkflowMiddleware":
        """Return the workflow as a middleware for LangChain's `create_agent`, with gate, approvals, ledger and audit trail.

        Args:
            workflow_store: The store of instances, ledger, approvals and audit trail; by default this process's memory.
            initial_data: The initial data of an instance, or a function that computes it from the agent's state.
            others: The tools outside the workflow that the agent may use without the gate: all of them (True), or those with these names,
                such as `["write_todos"]`. Others are neither offered nor executed.
            answers: As for `Workflow`; by default the workflow's setting.
            strict: Whether the tools are offered with strict schemas.

        Raises:
            WorkflowDefinitionError: The workflow cannot work, or LangChain is not installed.
        """
        try:
            from .agents.middleware import WorkflowMiddleware  # noqa: PLC0415 -- an extra, imported when it is used
        except ImportError as error:
            raise WorkflowDefinitionError(
                "A middleware for create_agent takes LangChain. Install langgraph-interlock[langchain]."
            ) from error
        definition = self.definition()
        check_no_chat(definition)
        if answers is not None:
            definition = replace(definition, answers=answers_of(answers, f"the middleware of {self.name!r}"))
        engine = Engine(definition, builder.store_of(workflow_store, self.name))
        return WorkflowMiddleware(engine, initial_data=initial_data, others=others, strict=strict)

    def __repr__(self) -> str:
        return f"<Workflow {self.name} v{self.version}: {', '.join(self._states) or 'no states'}>"

    @property
    def states(self) -> Mapping[str, State]:
        """The states, by name, in the order in which they were added."""
        return dict(self._states)
