"""Compiles a definition to a LangGraph graph: nodes for states, their reads, each edge's execution, and approvals.

`get_graph()` draws exactly the possible transitions: each node declares its destinations, which are enforced.
"""

from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph

from ..checkpointing import SQLCheckpointer
from ..checkpointing.store import WorkflowStore
from ..commands.running.engine import Engine
from ..nodes.approval import ApprovalNode
from ..nodes.channels import Channels, Output, Started
from ..nodes.execution import ExecutionNode
from ..nodes.models import FunctionProposer, ModelProposer, NodeProposer, Proposer
from ..nodes.reasoning import StateNode, reads_node
from ..nodes.waiting import WaitNode
from ..rules.definition import Definition, Edge, State, StateKind
from ..tools.errors import WorkflowDefinitionError
from ..tools.principal import Principal
from ..tracing.outgoing import register_sensitive
from .checks.approvals import check_kept, check_proposers, edges_taken
from .checks.kept_in import check_kept_in, check_options
from .compiled import WorkflowGraph

END_OF_TURN = "end of turn"


def compile_graph(
    definition: Definition,
    checkpointer: BaseCheckpointSaver[Any] | None,
    workflow_store: WorkflowStore | None,
    options: dict[str, Any],
) -> WorkflowGraph:
    """Make the graph of a definition; the arguments are those of `Workflow.compile`."""
    check_kept_in(definition.name, checkpointer, workflow_store)
    check_options(definition.name, options)
    store = workflow_store
    is_kept_as_meant = bool(store or checkpointer or options.get("in_memory"))
    if store is None and isinstance(checkpointer, SQLCheckpointer):
        store = WorkflowStore(checkpointer.database)
    elif store is None and checkpointer is None:
        store = WorkflowStore.in_memory()
    elif store is None:
        raise WorkflowDefinitionError(
            f"The workflow {definition.name!r} is compiled with {type(checkpointer).__name__} and without a workflow store. Pass one as well: "
            "compile(checkpointer=..., workflow_store=WorkflowStore(url)); WorkflowStore.in_memory() "
            "is enough for experiments."
        )
    check_kept(
        definition,
        is_durable=store.is_durable,
        in_memory=bool(options.pop("in_memory", False)),
        destructive_in_memory=bool(options.pop("destructive_in_memory", False)),
    )
    check_proposers(definition)
    register_sensitive(name for contract in definition.contracts.values() for name in contract.sensitive)
    engine = Engine(definition, store, is_kept_as_meant=is_kept_as_meant)
    builder: StateGraph[Any, Any, Any, Any] = StateGraph(
        Channels, context_schema=Principal, input_schema=Started, output_schema=Output
    )
    _add_nodes(builder, engine)
    entries = {name: name for name in definition.states}
    builder.add_conditional_edges(START, _entry(definition), entries)  # type: ignore[arg-type]
    builder.interlock = engine  # type: ignore[attr-defined]
    options.setdefault("name", definition.name)
    if checkpointer is None and not store.is_durable:
        checkpointer = InMemorySaver()
    # With a durable store and no checkpointer, use the host's: checkpoints in memory would be lost while the rows remain.
    if isinstance(checkpointer, SQLCheckpointer):
        checkpointer = checkpointer.declaring(builder, *_declared(definition))
    compiled = builder.compile(checkpointer=checkpointer, **options)
    _exact(definition, compiled)
    return WorkflowGraph.adopt(compiled)


def _declared(definition: Definition) -> list[Any]:
    """The declared types of the workflow's values: strict mode accepts no others."""
    contracts = definition.contracts.values()
    return [
        definition.data_model,
        *(contract.input_model for contract in contracts),
        *(contract.output_type for contract in contracts),
        *(state.node for state in definition.states.values()),
    ]


def _add_nodes(builder: StateGraph[Any, Any, Any, Any], engine: Engine) -> None:
    definition = engine.definition
    for state in definition.states.values():
        edges = definition.by_source[state.name]
        moving = [edge for edge in edges if edge.moves]
        staying = [edge for edge in edges if not edge.moves]
        destinations: dict[str, str] = {}
        if staying:
            node = reads_node(state.name)
            destinations[node] = "read"
            builder.add_node(
                node,
                ExecutionNode(engine, node, state.name, {state.name: "answered"}, edge_node=None),
                destinations={state.name: "answered"},
                metadata={"interlock": "reads", "tools": [edge.tool.name for edge in staying]},
            )
        for edge in staying:
            if engine.may_ask(edge):  # a policy may require an approval
                destinations[edge.approval_node] = edge.tool.name
                _add_approval(builder, engine, edge)
        for edge in moving:
            asks = engine.may_ask(edge)
            destinations[edge.approval_node if asks else edge.node] = edge.tool.name
            if asks:
                _add_approval(builder, engine, edge)
            # After a denial or a refusal, the workflow stays in its state.
            ends = {edge.target: "done"}
            if edge.source != edge.target:
                ends[edge.source] = "refused"
            builder.add_node(
                edge.node,
                ExecutionNode(engine, edge.node, edge.source, ends, edge_node=edge.node),
                destinations=ends,
                metadata={"interlock": "execution", "tool": edge.tool.name, "kind": edge.tool.kind.value},
            )
        node_of_state: type[StateNode] = StateNode
        if state.wait is None:
            destinations[END] = "final" if state.is_final else END_OF_TURN
        else:
            node_of_state = WaitNode
            destinations |= state.wait.ends
        destinations[state.name] = "next proposal"
        if state.is_final:
            destinations[state.name] = "answer what is left"
        builder.add_node(
            state.name,
            node_of_state(engine, state, destinations, _proposer(state)),
            destinations=destinations,
            metadata={"interlock": "state", "kind": state.kind.value},
        )


def _add_approval(builder: StateGraph[Any, Any, Any, Any], engine: Engine, edge: Edge) -> None:
    taken = {other.target: f"expired: {other.tool.name}" for other in edges_taken(engine.definition, edge)}
    execution = edge.node if edge.moves else reads_node(edge.source)
    ends = {**taken, execution: "decided", edge.source: "turned down"}
    builder.add_node(
        edge.approval_node,
        ApprovalNode(engine, edge, ends, execution=execution),
        destinations=ends,
        metadata={"interlock": "approval", "tool": edge.tool.name},
    )


def _proposer(state: State) -> Proposer | None:
    match state.kind:
        case StateKind.REASONING:
            return ModelProposer(state)
        case StateKind.FUNCTION:
            return FunctionProposer(state)
        case StateKind.NODE:
            return NodeProposer(state)
        case _:
            return None


def _entry(definition: Definition) -> Any:
    def enter(channels: dict[str, Any]) -> str:
        """Continue a turn in the state in which the last one ended."""
        state = channels.get("state") or definition.initial
        return state if state in definition.states else definition.initial

    return enter


def _exact(definition: Definition, compiled: Any) -> None:
    """Refuse a graph whose drawing would show more or fewer transitions than are possible."""
    drawn = {(edge.source, edge.target) for edge in compiled.get_graph().edges}
    wanted = {(START, name) for name in definition.states}
    for name, spec in compiled.builder.nodes.items():
        wanted |= {(name, end) for end in spec.ends or ()}
    if drawn != wanted:
        raise WorkflowDefinitionError(
            f"The graph of {definition.name!r} would not be drawn as it runs: {sorted(drawn ^ wanted)} differ between get_graph() and its edges."
        )
