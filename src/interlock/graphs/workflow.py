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
from .checks.approvals import check_no_chat
from .checks.definition import check_definition, check_name
from .checks.given import check_contract, check_settings, check_speech, mode_of
from .compiled import WorkflowGraph
from .compiler import compile_graph
from .drawable import Drawable

if TYPE_CHECKING:
    from .agents.middleware import InitialData, WorkflowMiddleware


class Workflow(Budgeted, Drawable, Generic[DataT]):
    """A named, versioned state machine.

    Args:
        name: Names the workflow in instances, events and messages.
        version: A positive whole number; counted up when states or edges change so that running instances notice.
        data: The pydantic model of the workflow's data; every field has a default, or is given when a run starts.
        model: The chat model of every state that has none of its own: an object (also one `with_fallbacks`), or a name such as
            `"openai:gpt-5"`.
        prompt: What the model of every state is told first, unless a state has its own.
        policies: Rules over every proposal, asked in this order.
        mode: `live`, or how far the workflow is rolled out.
        limits: Bounds on one turn.
        answers: What models are told back of a call, where its contract does not say it: the whole result (`"envelope"`), or the
            output as it is (`"plain"`); denials and moves to another state are told whole.
        marks_untrusted: Tell models what tools return with each text that others can write in an envelope, `{"untrusted": "…"}`, by the
            markers of the output fields. It is advice to the model, and enforces nothing.
        state_mapping: Where instances of earlier versions continue: the name that their state had, and a state of this version. Needed
            where a state is gone, or its edges are not what they were.
        run_by: Who may propose on an instance beside the person whom it serves: `"served"` (nobody else), `"tenant"` (everybody of its
            tenant), the name of a role, or several. An instance that nobody in particular began may be run by its tenant.
        notify: Whether the event `interlock.somebody.needed.v1` leaves through the outbox when somebody is needed: see
            docs/notifications.md.
        speech: Checks the words of every state that has no check of its own: see docs/case_rules.md.

    The first state that is added is the initial one. Guards and prompts of a `Workflow[CaseData]` get a `GuardView[CaseData]`.
    """

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
        if isinstance(version, bool) or not isinstance(version, int) or version < 1:
            raise WorkflowDefinitionError(
                f"The workflow {name!r} has the version {version!r}; give a whole number from 1."
            )
        if data is not None and not (isinstance(data, type) and issubclass(data, BaseModel)):
            raise WorkflowDefinitionError(
                f"The workflow {name!r} is given data={data!r}; give the class of its data, a pydantic model, such as data=CaseData. What an "
                'instance starts with is given with its first input: {"messages": [...], "data": {...}}.'
            )
        check_model(model, f"the workflow {name!r}")
        self.name = name
        self.version = version
        self._data = data
        self._model = model
        self._prompt = prompt
        self._policies = tuple(policies)
        self._mode = mode_of(mode, name)
        self._limits = limits or Limits()
        self._answers = answers_of(answers, f"the workflow {name!r}")
        self._marks_untrusted = marks_untrusted
        self._state_mapping = dict(state_mapping or {})
        super().__init__()
        self._run_by = RunBy.of(run_by)
        self._notify = bool(notify)
        check_speech(speech, f"the workflow {name!r}")
        self._speech = speech
        self._states: dict[str, State] = {}
        self._edges: list[tuple[Edge, int | None]] = []

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
            name: As it is in results and in the record.
            tools: What may be called here without leaving: reads stay, a command or event leads back to this state.
            model: Who proposes here, instead of the workflow's own model.
            prompt: What the model is told here: a text, or a function of state and data.
            decide: A function that proposes, instead of a model: given a `DecisionView`, it returns `(tool, arguments)`, a list of
                those, a text, or None.
            node: A LangGraph node or subgraph; the tool calls of the last message that it leaves are its proposals.
            final: The workflow ends here.
            model_settings: Options of each request to the model here, such as `tool_choice`, `parallel_tool_calls` or `temperature`;
                `strict=True` offers the tools with strict schemas.
            provider_tools: Tools that the model's provider runs itself, such as `{"type": "web_search"}`. They are offered, and recorded
                when they were used; nothing gates them.
            speech: Checks the words of the proposer here: given the text and the view, it returns True to let them pass, a text to
                replace them, or False to stop them.

        Returns:
            The workflow, so that calls can be chained.

        Raises:
            WorkflowDefinitionError: The name is taken or breaks the rules, or more than one thing is to propose here.
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
        if isinstance(tools, ToolContract | str):
            shown = tools.name if isinstance(tools, ToolContract) else tools
            raise WorkflowDefinitionError(
                f"The state {name!r} is given {shown} alone as its tools; give a list: tools=[...]."
            )
        check_model(model, f"the state {name!r}")
        tools, provider_tools = tuple(tools), tuple(provider_tools)
        if final and (given or tools):
            raise WorkflowDefinitionError(
                f"The state {name!r} is final and cannot have {'tools' if tools else given[0]}; the workflow is over there."
            )
        chosen = model if model is not None else self._model
        check_settings(name, model_settings, provider_tools, asks=chosen is not None and not (final or decide or node))
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
        check_speech(speech, f"the state {name!r}")
        self._states[name] = replace(state, speech=cast("Any", speech or self._speech))
        for tool in tools:
            check_contract(tool, f"the state {name!r}")
            self._edges.append((Edge(name, tool, name, moves=tool.kind is not ToolKind.READ), None))
        return self

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
        """Allow a tool in a state, and say where it leads.

        Args:
            source: The state in which the tool may be called.
            tool: Its contract: what `read`, `command` or `event` made of a function.
            target: The state that follows when it was carried out.
            guard: A pure predicate over state, data and principal: it decides whether the tool is offered.
            check: A predicate over the arguments (by name) and the system of record (through `ctx.session`).
            approval: Ask a person first: True, or an `Approval` with its rule, or a `Confirmation`.
            sets: What a call does to fields of the data that conditions speak about: a value, or `Add(1)` for a counter. A tool that
                changes such a field otherwise is refused.
            after: A tool that must have been carried out before on the instance; or `After(...)`, for one of several, with the same arguments.
            once_per: The tool is carried out once for each value of this argument (or of these), such as `"order_id"`.
            undo: What a cancel runs to undo it, in place of the tool's own `undo=`.
            order: Which of several edges for this tool out of this state is tried first; the first whose guard holds is taken.

        A read that leads back to its own state makes no transition, unless it asks somebody or is in an order with others.

        Returns:
            The workflow, so that calls can be chained.

        Raises:
            WorkflowDefinitionError: The tool is not a contract.
        """
        check_contract(tool, f"the edge from {source!r} to {target!r}")
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
        """Add a state that an event or a deadline ends, whichever comes first by the database's clock.

        The graph is interrupted here; nobody has to answer. Events come in through `interlock.deliver` or a subscription, and
        `interlock tick`, `interlock subscribe` or an `EventService` keeps the deadlines. Commands may lead out of it as well.

        Args:
            name: The state's name.
            for_event: The event that ends it, or several.
            then: The state that follows when enough of the expected events came.
            within: How long it waits, such as `"2h"`, `"30m"` or a timedelta, or the moment at which it is over; or a function of the
                view that gives either when the wait begins.
            on_timeout: The state that follows the deadline.
            expect: How many of the expected events end it: `"all"`, `"any"` or a number.
            each: A fan-out: each event is expected once for each of these. A field of the data, or a function of it.
            part: The events' field that says which of those they are about.
            key: Fields of the event and the data that must agree (one name for both, or a pair). Without one, an event is for the
                instance whose `workflowId` it carries.
            apply: `apply(data, event)` changes the data by an event that counts, in the same transaction.
            delivered_by: An event that says that something expected is on its way; `for_event` then acknowledges it.
            failed_by: An event that says that something expected will not come.
            on_failure: The state that follows when too much has failed.
            sources: Whose events count: the sources that they name (`/shop`, `/workflows/desk`). Anybody's by default.

        Returns:
            The workflow, so that calls can be chained.

        Raises:
            WorkflowDefinitionError: The name is taken or breaks the rules. What else is wrong is found when it is compiled.
            ContractError: `within` is neither a duration nor a moment.
        """
        check_within(within)
        self.add_state(name)
        one = isinstance(for_event, type)
        pairs = [key] if isinstance(key, str) else key
        rule = WaitRule(
            state=name,
            events=(for_event,) if one else tuple(for_event),  # type: ignore[arg-type]
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
        """The workflow as plain data, checked, and its claims proved.

        Raises:
            WorkflowDefinitionError: It cannot work; the message names the place.
            ClaimError: A claim does not hold; the message has the path that breaks it.
        """
        checked = self.checked()
        return with_claims(checked, self._claims) if self._claims else checked

    def checked(self) -> Definition:
        """The workflow as plain data, checked as `definition` does, without proving its claims.

        Raises:
            WorkflowDefinitionError: It cannot work; the message names the place.
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
        """Make a LangGraph graph of the workflow.

        Args:
            checkpointer: Any of LangGraph's; a `SQLCheckpointer` brings the workflow store in the same database. Without one,
                and without a store, the workflow lives in this process's memory.
            workflow_store: Where instances, ledger, approvals and audit are kept, when it is not the checkpointer's database.
                With a durable store and no checkpointer the graph uses its host's: the parent graph's, or LangGraph Server's.
            in_memory: Memory is meant, as in a test or a tutorial: nothing is logged about it. Without it a workflow in memory logs a warning.
            destructive_in_memory: Run tools whose annotations say that they are destructive although nothing of it is kept. Without
                it a workflow in memory runs them only where a person approves or confirms each call.
            options: Handed to LangGraph's own `compile`, such as `store`, `cache`, `name` or `debug`.

        Returns:
            LangGraph's `CompiledStateGraph`, with a few methods more.

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
        """Make a middleware for LangChain's `create_agent` of the workflow: its gate, approvals, ledger and audit.

        Args:
            workflow_store: Where instances, ledger, approvals and audit are kept; this process's memory without one.
            initial_data: The data that an instance starts with, or a function that makes it of the agent's state.
            others: Tools that the workflow does not know and that are let through, ungated: all of them (True), or those with
                these names, such as `["write_todos"]`. The rest are neither offered nor run.
            answers: As in `Workflow`; by default as the workflow has it.
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
        engine = Engine(definition, workflow_store or WorkflowStore.in_memory())
        return WorkflowMiddleware(engine, initial_data=initial_data, others=others, strict=strict)

    def __repr__(self) -> str:
        return f"<Workflow {self.name} v{self.version}: {', '.join(self._states) or 'no states'}>"

    @property
    def states(self) -> Mapping[str, State]:
        """The states by name, in the order in which they were added."""
        return dict(self._states)
