"""Building and compiling: what is refused, and that the drawing is the policy."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START
from langgraph.graph.state import CompiledStateGraph

from interlock import Approval, Deny, Policy, RequireApproval, ToolContract, Workflow, command, next_allowed_tools, read
from interlock.rules import GuardView
from interlock.testing import ScriptedChatModel
from interlock.tools.errors import WorkflowDefinitionError
from tests.graphs.support import ADA, Desk, DeskData, Done


def tool(name: str, kind: Any = command, version: int = 1, **more: Any) -> ToolContract:
    if kind is command:
        more.setdefault("effect", "transactional")

    @kind(name, version=version, **more)
    def act() -> Done:
        """Do it."""
        return Done()

    contract: ToolContract = act
    return contract


GO, BACK, LOOK = tool("go.on"), tool("go.back"), tool("look.at", read)


def flow(**options: Any) -> Workflow:
    return Workflow("flow", model=ScriptedChatModel(), **options)


def test_compile_gives_langgraphs_own_compiled_graph() -> None:
    graph = flow().add_state("a").add_state("b", final=True).add_edge("a", GO, "b").compile()
    assert isinstance(graph, CompiledStateGraph)


def refused(workflow: Workflow, *says: str) -> None:
    with pytest.raises(WorkflowDefinitionError) as error:
        workflow.compile()
    for words in says:
        assert words in error.value.message


def test_a_workflow_without_states_is_refused() -> None:
    refused(flow(), "'flow' has no states", "add_state()")


@pytest.mark.parametrize(("source", "target", "lost"), [("a", "c", "c"), ("x", "b", "x")])
def test_an_edge_of_an_unknown_state_is_refused(source: str, target: str, lost: str) -> None:
    workflow = flow().add_state("a").add_state("b", final=True).add_edge("a", GO, "b").add_edge(source, BACK, target)
    refused(workflow, f"{source} --go.back--> {target}", f"names the state '{lost}'", f"add_state('{lost}')")


def test_an_unreachable_state_is_refused() -> None:
    workflow = flow().add_state("a").add_state("b", final=True).add_state("c", final=True).add_edge("a", GO, "b")
    refused(workflow, "'c'", "from its initial state 'a'")


def test_a_state_that_only_leads_to_itself_is_not_a_way_to_others() -> None:
    workflow = flow().add_state("a", tools=[GO]).add_state("b", final=True)
    refused(workflow, "leads to 'b'")


def test_a_state_without_a_way_out_is_refused_unless_it_is_final() -> None:
    workflow = flow().add_state("a").add_state("b", tools=[LOOK]).add_edge("a", GO, "b")
    refused(workflow, "'b'", "no way out", "final=True")
    workflow = flow().add_state("a").add_state("b", final=True).add_edge("a", GO, "b")
    assert workflow.compile().get_graph()


def test_an_edge_out_of_a_final_state_is_refused() -> None:
    workflow = flow().add_state("a").add_state("b", final=True).add_edge("a", GO, "b").add_edge("b", BACK, "a")
    refused(workflow, "b --go.back--> a", "'b', which is final")


@pytest.mark.parametrize("orders", [(None, None), (1, None), (1, 1)])
def test_two_edges_for_one_tool_out_of_one_state_need_an_order(orders: tuple[Any, Any]) -> None:
    workflow = flow().add_state("a").add_state("b", final=True).add_state("c", final=True)
    workflow.add_edge("a", GO, "b", order=orders[0], guard=lambda s: s.revision > 3)
    workflow.add_edge("a", GO, "c", order=orders[1])
    refused(workflow, "go.on has 2 edges out of the state 'a'", "(to b, c)", "order=")


def test_with_an_order_the_first_edge_whose_guard_holds_is_offered() -> None:
    workflow = flow(data=DeskData).add_state("a").add_state("b", final=True).add_state("c", final=True)
    workflow.add_edge("a", GO, "c", order=2)
    workflow.add_edge("a", GO, "b", order=1, guard=lambda s: s.data.notes > 3)
    definition = workflow.definition()
    edges = definition.by_source["a"]
    for notes, target in ((0, "c"), (4, "b")):
        view = GuardView("wf", "a", DeskData(notes=notes), ADA, 0)
        assert next_allowed_tools(edges, view) == ("go.on",)
        assert next(edge for edge in edges if edge.admits(view)).target == target


def test_a_read_that_stays_and_leads_out_needs_an_order_too() -> None:
    workflow = flow().add_state("a", tools=[LOOK]).add_state("b", final=True).add_edge("a", LOOK, "b")
    refused(workflow, "look.at", "2 edges")


def test_wire_names_that_collide_are_refused() -> None:
    workflow = flow().add_state("a", tools=[tool("case.assign_now")]).add_state("b", final=True)
    refused(workflow.add_edge("a", tool("case_assign.now"), "b"), "'flow'", "case_assign_now")


def test_two_contracts_under_one_name_are_refused() -> None:
    workflow = flow().add_state("a", tools=[tool("go.on", version=2)]).add_state("b", final=True)
    workflow.add_state("c").add_edge("a", BACK, "c").add_edge("c", GO, "b")
    refused(workflow, "'go.on'", "versions 2 and 1")


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a|b", "a:b", "1a", "__start__", "x" * 65, 5])
def test_a_name_that_could_not_be_a_node_is_refused(name: Any) -> None:
    with pytest.raises(WorkflowDefinitionError, match="cannot be the name of a state"):
        flow().add_state(name)
    with pytest.raises(WorkflowDefinitionError, match="cannot be the name of a workflow"):
        Workflow(name)


def test_a_state_that_is_there_already_is_refused() -> None:
    with pytest.raises(WorkflowDefinitionError, match="already has a state 'a'"):
        flow().add_state("a").add_state("a")


@pytest.mark.parametrize("version", [0, -1, True, "1", 1.5])
def test_a_version_that_is_no_positive_integer_is_refused(version: Any) -> None:
    with pytest.raises(WorkflowDefinitionError, match="whole number from 1"):
        Workflow("flow", version=version)


def test_only_one_may_propose_in_a_state() -> None:
    with pytest.raises(WorkflowDefinitionError, match="'a' is given model and decide"):
        flow().add_state("a", model=ScriptedChatModel(), decide=lambda view: None)
    with pytest.raises(WorkflowDefinitionError, match="'a' is final and cannot have model"):
        flow().add_state("a", model=ScriptedChatModel(), final=True)
    with pytest.raises(WorkflowDefinitionError, match="'a' is final and cannot have tools"):
        flow().add_state("a", tools=[GO], final=True)


def test_a_tool_that_is_no_contract_is_refused_with_how_to_make_one() -> None:
    def plain() -> None: ...

    with pytest.raises(WorkflowDefinitionError, match="decorate it with @read"):
        flow().add_state("a", tools=[plain])  # type: ignore[list-item]
    with pytest.raises(WorkflowDefinitionError, match="The edge from 'a' to 'b'"):
        flow().add_edge("a", plain, "b")  # type: ignore[arg-type]
    with pytest.raises(WorkflowDefinitionError, match="approval='yes'"):
        flow().add_edge("a", GO, "b", approval="yes")  # type: ignore[arg-type]


def test_a_saver_of_another_make_needs_a_store_beside_it() -> None:
    workflow = flow().add_state("a").add_state("b", final=True).add_edge("a", GO, "b")
    with pytest.raises(WorkflowDefinitionError, match="workflow_store=WorkflowStore"):
        workflow.compile(InMemorySaver())


# The drawing


def policy_of(workflow: Workflow, *, asking: bool = False) -> set[tuple[str, str]]:
    """Every step that a workflow permits, computed from what the builder was told and from nothing else."""
    definition = workflow.definition()
    steps: set[tuple[str, str]] = set()
    for name, state in definition.states.items():
        # A turn begins in the state that the last one ended in; a state goes on to itself to work off what waits.
        steps |= {(START, name), (name, name), (name, END)}
        for edge in definition.edges:
            if edge.source != name or state.is_final:
                continue
            if not edge.moves:
                steps |= {(name, f"{name}/reads"), (f"{name}/reads", name)}
                asked = f"{edge.node}/approval"
                steps |= {(name, asked), (asked, name), (asked, f"{name}/reads")} if asking else set()
                continue
            execution = edge.node
            entrance = execution
            if asking or edge.approval is not None:
                entrance = f"{execution}/approval"
                steps |= {(entrance, execution), (entrance, name)}
            steps |= {(name, entrance), (execution, edge.target), (execution, name)}
    return steps


def drawn(workflow: Workflow) -> set[tuple[str, str]]:
    return {(edge.source, edge.target) for edge in workflow.compile().get_graph().edges}


def test_the_drawing_of_the_desk_is_its_policy_and_nothing_else() -> None:
    for approval in (None, True):
        workflow = Desk().workflow(ScriptedChatModel(), approval=approval)
        assert drawn(workflow) == policy_of(workflow)
    assert ("open", "open/order.refund") not in drawn(workflow)
    assert ("held", "open/order.refund/approval") not in drawn(workflow)


def test_a_policy_that_may_ask_puts_an_approval_before_every_edge() -> None:
    class Asks(Policy):
        name = "asks"

        def judge(self, proposal: Any) -> Any:
            return RequireApproval(Approval(), "always")

    class Denies(Policy):
        name = "denies"

        def judge(self, proposal: Any) -> Any:
            return Deny("never")

        def may_require_approval(self, tool: Any) -> bool:
            return False

    asking = Desk().workflow(ScriptedChatModel(), policies=[Asks()])
    assert drawn(asking) == policy_of(asking, asking=True)
    denying = Desk().workflow(ScriptedChatModel(), policies=[Denies()])
    assert drawn(denying) == policy_of(denying)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 4), st.booleans(), st.booleans()),
        min_size=1,
        max_size=12,
        unique_by=lambda edge: (edge[0], edge[1]),
    )
)
def test_the_drawing_of_any_workflow_that_compiles_is_its_policy(edges: list[tuple[int, int, bool, bool]]) -> None:
    workflow = flow()
    for number in range(5):
        workflow.add_state(f"s{number}", final=number == 4)
    for (source, target, reads, asks), number in zip(edges, itertools.count()):
        workflow.add_edge(
            f"s{source}", tool(f"tool.n{number}", read if reads else command), f"s{target}", approval=asks
        )
    try:
        graph_edges = drawn(workflow)
    except WorkflowDefinitionError:
        return
    assert graph_edges == policy_of(workflow)


def test_a_diagram_can_be_drawn_without_a_network() -> None:
    diagram = Desk().workflow(ScriptedChatModel(), approval=True).compile().get_graph().draw_mermaid()
    assert "order.refund" in diagram


def test_the_nodes_say_which_tools_they_carry_out() -> None:
    nodes = Desk().workflow(ScriptedChatModel(), approval=True).compile().get_graph().nodes
    assert nodes["open/reads"].metadata == {"interlock": "reads", "tools": ["order.get"]}
    assert nodes["open/order.refund"].metadata == {"interlock": "execution", "tool": "order.refund", "kind": "command"}
    assert nodes["open/order.refund/approval"].metadata == {"interlock": "approval", "tool": "order.refund"}


def test_a_definition_has_a_fingerprint_that_changes_with_its_rules() -> None:
    def made(**more: Any) -> str:
        return flow().add_state("a").add_state("b", final=True).add_edge("a", GO, "b", **more).definition().fingerprint

    assert made() == made()
    assert len({made(), made(approval=True), made(guard=lambda s: True)}) == 3
