"""A workflow inside a LangChain agent: gate, approvals, ledger and audit trail for `create_agent`, with one line.

    agent = create_agent(model, tools, middleware=[workflow.as_middleware(workflow_store=store)], checkpointer=saver)

The loop remains LangChain's. The model is offered the tools that the workflow's edges allow now, and the workflow judges and executes
its calls. A call that reaches a tool in another way, such as a jump of another middleware, is denied. Tools that an earlier
middleware removed from the request remain removed, and tools keep the `extras` that it set.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, cast

from langchain.agents.middleware.types import (
    AgentMiddleware,
    AgentState,
    ModelRequest,
    ModelResponse,
    ToolCallRequest,
)
from langchain_core.messages import AIMessage, ToolCall, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from langgraph.config import get_config
from langgraph.types import Command
from sqlalchemy.engine import Connection

from ...checkpointing.store import Instance
from ...checkpointing.store import approvals as approval_rows
from ...checkpointing.store import ledger as ledger_rows
from ...commands.budgets.spending import settle
from ...commands.execution.commands import Commands, Outcome
from ...commands.instances.starting import ensure_instance
from ...commands.running.access import refuse_strangers
from ...commands.running.driver import arun, run
from ...commands.running.engine import Engine
from ...commands.running.facts import asked_apart
from ...commands.running.operations import InStore, Look, Steps
from ...commands.running.scope import Scope, scope_of
from ...nodes.conversation import unanswered
from ...nodes.execution import handed_over, until_checkpointed
from ...nodes.streamed_arguments import StreamedArguments, listening
from ...operations.instances import Instances
from ...rules.calls import all_calls, finished
from ...rules.definition import Edge
from ...rules.denials import one_by_one
from ...rules.keepable import keepable
from ...rules.proposals import Proposal
from ...tools.canonical import JsonObject
from ...tools.errors import InputError, RuleError
from ...tools.ids import derive, mint
from ...tools.kinds import ToolKind
from ...tools.langchain import inside
from ...tools.principal import Principal
from ...tools.schemas.offered.strict import without_nulls
from .agent_nodes import AgentsApprovalNode, AgentsExecutionNode
from .calls import Offer, SignedCall, is_turn_of, signed_call, with_words
from .gated_tool import GatedTool
from .limits import AFTER_STOP, answer_excess, checked_response, messages_of, with_resume_text, within_limits
from .messages import key_of, keys_of, message_of, repeated_message, said, sent, ungated, unreadable
from .requests import as_noted, name_of, not_called, paired, with_call
from .runs import AgentRuns
from .words import keep_user_texts

InitialData = Mapping[str, Any] | Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""The data of a new instance, or a function that computes it from the agent's state."""
Handler = Callable[[ToolCallRequest], ToolMessage | Command[Any]]
AsyncHandler = Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]]


class WorkflowMiddleware(AgentMiddleware[AgentState[Any], Any]):
    """Puts a workflow between an agent's model and its tools; created by `Workflow.as_middleware`.

    It does not trust the agent's state: it signs the calls in the model's message, together with the principal of the turn, when the
    model returns them. Changes that another middleware makes to the message before that, or to a call while it passes it on, are
    accepted. A call that no model made, or that was changed in the state, is denied.

    The calls of one message run as separate tasks, in any order. If several of them would move the workflow, only the first
    one is executed; the others are refused as retryable.

    Args:
        engine: The workflow and its store.
        initial_data: The data of a new instance, or a function that computes it from the agent's state.
        others: The tools outside the workflow that are allowed without the gate: all of them (True), or those with these names.
            Others are neither offered nor executed.
        strict: Whether tools are offered with strict schemas.

    Raises:
        ContractError: `strict` is set, and a tool has no strict schema.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        initial_data: InitialData | None = None,
        others: bool | Collection[str] = False,
        strict: bool = False,
    ) -> None:
        super().__init__()
        self.engine = engine
        self._initial_data = initial_data
        self._runs = AgentRuns()
        self._others = {others} if isinstance(others, str) else others
        self._by_name = {
            contract.wire_name: GatedTool.of(contract, strict=strict)
            for contract in engine.definition.contracts.values()
            if contract.name not in engine.definition.undo_only
        }
        self._strict = strict
        self.tools: Sequence[BaseTool] = [*self._by_name.values()]

    @property
    def instances(self) -> Instances:
        """The instances of the workflow: their states, their audit trails, and decisions on approvals from outside the agent."""
        return Instances(cast("Any", _AgentsThreads(self.engine)))

    @property
    def name(self) -> str:
        """The middleware's name among the agent's nodes."""
        return f"interlock-{self.engine.definition.name}"

    def before_agent(self, state: Any, runtime: Any) -> None:
        """Begin the workflow instance."""
        del runtime
        scope = self._scope()
        run(self.engine.store, self._begin(state, scope, scope.principal, enters=True))

    async def abefore_agent(self, state: Any, runtime: Any) -> None:
        """Asynchronous form of `before_agent`, with the same arguments, result and errors."""
        del runtime
        scope = self._scope(asyncio.get_running_loop())
        await arun(self.engine.store, self._begin(state, scope, scope.principal, enters=True))

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> Any:
        """Offer the model exactly the tools that it may call now, or return its last message again if that has unanswered calls."""
        scope = self._scope()
        if (open_calls := run(self.engine.store, self._unanswered_message(request, scope))) is not None:
            return open_calls
        offer = run(self.engine.store, self._offered(request, scope))
        told = run(self.engine.store, within_limits(self.engine, request, offer, scope, self._lets_through))
        with listening() as heard:
            response = handler(self._narrowed(with_resume_text(request, told), offer.tools))
        return run(self.engine.store, self._signed_response(request, response, offer, heard, scope, told=told))

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> Any:
        """Asynchronous form of `wrap_model_call`, with the same arguments, result and errors."""
        scope = self._scope(asyncio.get_running_loop())
        if (open_calls := await arun(self.engine.store, self._unanswered_message(request, scope))) is not None:
            return open_calls
        offer = await arun(self.engine.store, self._offered(request, scope))
        told = await arun(self.engine.store, within_limits(self.engine, request, offer, scope, self._lets_through))
        with listening() as heard:
            response = await handler(self._narrowed(with_resume_text(request, told), offer.tools))
        return await arun(self.engine.store, self._signed_response(request, response, offer, heard, scope, told=told))

    def wrap_tool_call(self, request: ToolCallRequest, handler: Handler) -> ToolMessage | Command[Any]:
        """Pass a call on to the other middlewares; at the end, the workflow judges and executes it, and asks for approval if necessary."""
        if self._foreign(request):
            return handler(request) if (refusal := not_called(request)) is None else refusal
        scope, name = self._scope(), request.tool_call["name"]

        def body(call: Any) -> ToolMessage:
            with inside(request.runtime):
                return run(self.engine.store, self._call(with_call(request, call), scope))

        if name not in self._by_name:
            return body(request.tool_call)
        return paired(handler(request.override(tool=self._by_name[name].with_body(body))), request)

    async def awrap_tool_call(self, request: ToolCallRequest, handler: AsyncHandler) -> ToolMessage | Command[Any]:
        """Asynchronous form of `wrap_tool_call`, with the same arguments, result and errors."""
        if self._foreign(request):
            return await handler(request) if (refusal := not_called(request)) is None else refusal
        scope, name = self._scope(asyncio.get_running_loop()), request.tool_call["name"]

        async def body(call: Any) -> ToolMessage:
            with inside(request.runtime):
                return await arun(self.engine.store, self._call(with_call(request, call), scope))

        if name not in self._by_name:
            return await body(request.tool_call)
        return paired(await handler(request.override(tool=self._by_name[name].with_body(body))), request)

    # The instance

    def _scope(self, loop: asyncio.AbstractEventLoop | None = None) -> Scope:
        config: RunnableConfig = get_config()
        return scope_of(config, self.engine.definition.name, loop)

    def _begin(self, state: Any, scope: Scope, requester: Principal, *, enters: bool = False) -> Steps[Instance]:
        """The instance, which is created if it does not exist.

        Args:
            state: The agent's state, from which the initial data may be computed.
            scope: The scope of the node.
            requester: The principal of the turn.
            enters: Whether this is a new turn, which has to be admitted. Answers on a resume are judged by the rule of their request.
        """
        yield Look(self.engine.store.refuse_held)
        found: Instance | None = yield Look(lambda: self.engine.store.find(scope.workflow_id))
        if found is None:
            given = self._initial_data(state) if callable(self._initial_data) else self._initial_data
            found = yield InStore(lambda connection: ensure_instance(self.engine, connection, scope, requester, given))
        elif enters:
            yield from refuse_strangers(self.engine, self.engine.owned(found, requester, scope.workflow_id), requester)
        yield from keep_user_texts(self.engine, scope, requester, enters=enters)
        if scope.principal.is_known:  # otherwise the application resumes it
            self.engine.owned(found, scope.principal, scope.workflow_id)
        return self.engine.owned(found, requester, scope.workflow_id)

    # What is offered

    def _edges(
        self, instance: Instance, requester: Principal, broken: dict[str, RuleError] | None = None
    ) -> Steps[dict[str, Edge]]:
        view = self.engine.view(instance, requester)
        edges = yield from asked_apart(self.engine.definition, lambda: self.engine.edges(view, broken))
        return {edge.tool.name: edge for edge in edges}

    def _offered(self, request: ModelRequest[Any], scope: Scope) -> Steps[Offer]:
        requester = self._runs.proposer(scope)
        instance = yield from self._begin({}, scope, requester)
        if requester != scope.principal and not is_turn_of(requester, request.state.get("messages", []), instance):
            requester = scope.principal  # a principal who decides and also adds a message starts a new turn
        if scope.is_named:  # a run can start at the model, without the check at the start of a turn
            yield from refuse_strangers(self.engine, instance, requester)
        broken: dict[str, RuleError] = {}
        edges = yield from self._edges(instance, requester, broken)
        if broken:
            commands = Commands(self.engine, scope, node=None, head=None)
            yield InStore(lambda connection: commands.outcomes.withheld(commands.unit(connection), requester, broken))
        tools = frozenset(edge.tool.wire_name for edge in edges.values())
        return Offer(instance, requester, tools, request.state.get("messages", []))

    def _narrowed(self, request: ModelRequest[Any], offered: Collection[str]) -> ModelRequest[Any]:
        tools: dict[str, Any] = {}
        for tool in request.tools:
            name = name_of(tool)
            if name in tools:
                continue  # the application may have given the agent one of the workflow's tools too
            if name in offered:
                tools[name] = as_noted(self._by_name[name], tool)
            elif self._lets_through(name):
                tools[name] = tool
        settings = {**request.model_settings, "strict": True} if self._strict and tools else request.model_settings
        return sent(request.override(tools=[*tools.values()], model_settings=settings))

    # What was called

    def _signed_response(
        self,
        request: ModelRequest[Any],
        response: Any,
        offer: Offer,
        heard: StreamedArguments,
        scope: Scope,
        *,
        told: str | None,
    ) -> Steps[Any]:
        longest = self.engine.definition.limits.argument_characters

        def keep(message: AIMessage) -> AIMessage:
            kept = keepable(finished(message, heard.of(message)), longest=longest, foreign=self._lets_through)
            if told is None:
                return kept
            return kept.model_copy(update={"response_metadata": {**kept.response_metadata, AFTER_STOP: True}})

        # The key is new each time, so that a model call repeated after a crash never reuses the keys of the first one.
        yield from settle(self.engine, offer.reserved, messages_of(response))
        made = said(response, mint("msg"), request.state.get("messages", []), offer.sign, keep)
        made = yield from checked_response(self.engine, scope, offer, made)
        made = yield from answer_excess(self.engine, scope, offer, made, self._lets_through)
        if used := ungated(made):
            outcomes = Commands(self.engine, scope, node=None, head=None).outcomes

            def record(connection: Connection) -> None:
                if (unit := self.engine.store.unit(connection, scope.workflow_id)) is not None:
                    outcomes.ungated(unit, offer.requester, used)

            yield InStore(record)
        return made

    def _unanswered_message(self, request: ModelRequest[Any], scope: Scope) -> Steps[ModelResponse[Any] | None]:
        """The last message again, if a message of the user came before the answers to its calls.

        Only recorded calls are resumed: an approval is requested again or becomes void, and an executed call is answered. Any other call is
        not, because a message in the agent's state is no evidence that the model made it.
        """
        messages = request.state.get("messages", [])
        found = unanswered(messages)
        if found is None:
            return None
        message = cast("AIMessage", messages[found[0]])
        calls, key = all_calls(message), key_of(message)
        keys = {} if key is None else {number: derive("key", key, number) for number in found[1]}
        known = yield InStore(lambda connection: _on_record(connection, scope.workflow_id, keys), write=False)
        if not known:
            return None
        instance = yield from self._begin({}, scope, scope.principal)
        message = with_words(message, scope.principal, messages, instance)  # now a call of this principal's turn
        return repeated_message(
            message, [cast("ToolCall", calls[number]) for number in found[1] if number not in known]
        )

    # What is called

    def _foreign(self, request: ToolCallRequest) -> bool:
        return self._lets_through(request.tool_call["name"])

    def _lets_through(self, name: str) -> bool:
        if name in self._by_name:
            return False
        return self._others if isinstance(self._others, bool) else name in self._others

    def _call(self, request: ToolCallRequest, scope: Scope) -> Steps[ToolMessage]:
        instance = yield from self._begin({}, scope, scope.principal)
        found = message_of(request)
        known = None if found is None else signed_call(*found, instance)
        proposal = self._proposal(request, known, instance, scope)
        requester = proposal.requester
        edges = {} if proposal.problem is not None else (yield from self._edges(instance, requester))
        edge = edges.get(proposal.tool)
        if known is not None and edge is not None and edge.moves and self._moves(known.before):
            commands = Commands(self.engine, scope, node=None, head=None)
            outcome: Outcome = yield InStore(
                lambda connection: commands.refuse(connection, proposal, one_by_one(edge.tool.wire_name))
            )
            return self.engine.answer(proposal, outcome.result)
        return (yield from self._carry_out(instance, proposal, edge, scope))

    def _arguments(self, request: ToolCallRequest) -> JsonObject:
        contract = self.engine.definition.contracts.get(
            self.engine.definition.wire_names.to_canonical(request.tool_call["name"]) or ""
        )
        given = dict(request.tool_call["args"])
        if not self._strict or contract is None:
            return given
        return cast("JsonObject", without_nulls(given, contract.offered_schema()))

    def _proposal(
        self, request: ToolCallRequest, known: SignedCall | None, instance: Instance, scope: Scope
    ) -> Proposal:
        """The proposal of a call: signed if the model made the call; otherwise an unproven claim that only a recorded request can confirm."""
        called, problem = request.tool_call, unreadable(request)
        message_key, key = keys_of(request, scope.task_key)
        proposal = Proposal(
            key=key,
            message_key=message_key,
            tool=self.engine.definition.wire_names.to_canonical(called["name"]) or called["name"],
            arguments={} if problem else self._arguments(request),
            call_id=str(called["id"]),
            requester=scope.principal if known is None else known.requester,
            offered=known is None or known.offered,
            state=instance.state if known is None else known.state,
            revision=instance.revision if known is None else known.revision,
            problem=problem or (None if known is None else self._beyond_the_limit(known)),
            is_claim=True,
        )
        if known is None:
            return proposal
        # A call that a middleware changed cannot be distinguished from one that was sent to the tools without a message. It counts as the
        # call of the principal who runs the agent, and is judged for that principal. If another principal resumes, only recorded calls count.
        is_as_made = (called["name"], called["args"]) == (known.name, known.arguments)
        return self.engine.sealed(instance, proposal) if is_as_made or known.requester == scope.principal else proposal

    def _carry_out(self, instance: Instance, proposal: Proposal, edge: Edge | None, scope: Scope) -> Steps[ToolMessage]:
        handed = handed_over(proposal, None, alone=True)
        node = edge.node if edge is not None and edge.moves else None
        if node is not None or scope.durability != "exit":
            # An agent writes its checkpoints in the background; they show whether this step follows the last command.
            yield from until_checkpointed(scope, proposal.tool)
        if edge is not None and self.engine.may_ask(edge):
            ends = {edge.node: "decided", edge.source: "turned down"}
            asking = AgentsApprovalNode(self.engine, edge, ends, instance)
            asked = yield from asking.watched(handed, scope)
            if asking.answered:
                self._runs.resumes(scope, asking.requester or proposal.requester)
            if isinstance(asked.goto, str):
                return _message(asked)
            handed = cast("Any", asked.goto)[0].arg
        ends = {instance.state: "", instance.state if edge is None else edge.target: ""}
        execution = AgentsExecutionNode(self.engine, node or instance.state, instance.state, ends, edge_node=node)
        done = yield from execution.watched(handed, scope)
        if execution.answered:
            self._runs.resumes(scope, proposal.requester)
        return _message(done)

    def _moves(self, calls: Iterable[Any]) -> bool:
        """Whether one of these calls has a tool that moves the workflow."""
        contracts, names = self.engine.definition.contracts, self.engine.definition.wire_names
        called = (contracts.get(names.to_canonical(call["name"] or "") or "") for call in calls)
        return any(contract is not None and contract.kind is not ToolKind.READ for contract in called)

    def _beyond_the_limit(self, known: SignedCall) -> str | None:
        """The problem of a call beyond the limit of calls in one message; None within the limit."""
        limit = self.engine.definition.limits.proposals
        if len(known.before) < limit:
            return None
        return f"a message may hold {limit} calls, and this one came after them"


class _AgentsThreads:
    """Takes the place of the graph that `Instances` expects: a middleware has no graph, and only the agent can run its threads."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def __getattr__(self, name: str) -> Any:
        raise InputError(
            f"The threads of {self.engine.definition.name} are an agent's, and the middleware knows no way to run or read them ({name}). What was "
            "decided or carried out stands; run the agent on: agent.invoke(None, config).",
            code="no_thread",
        )


def _on_record(connection: Connection, workflow_id: str, keys: Mapping[int, str]) -> set[int]:
    """The positions of the calls with these keys that were started, or whose approval was requested."""
    return {
        number
        for number, key in keys.items()
        if approval_rows.load(connection, workflow_id, key) is not None
        or ledger_rows.load(connection, workflow_id, key) is not None
    }


def _message(command: Command[str]) -> ToolMessage:
    update: Any = command.update
    message: ToolMessage = update["messages"][0]
    return message
