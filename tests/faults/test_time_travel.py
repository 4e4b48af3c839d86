"""Time travel, copies and forks: the past of a workflow is looked at and forked, never done again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base.id import uuid6
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, Send, StateUpdate

from interlock import Principal, SQLCheckpointer, WorkflowGraph
from interlock.tools import ConflictError, InputError, InvalidInput, RunError, StaleCheckpoint

from .workflows import CLERK, transactions

HERE: RunnableConfig = {"configurable": {"thread_id": "t-1"}}


@pytest.fixture
def graph(sqlite_url: str) -> Iterator[WorkflowGraph]:
    """A till that was opened, and waits for consent to be closed."""
    with SQLCheckpointer(sqlite_url) as saver:
        made = transactions(("", 0)).compile(saver)
        made.invoke({"messages": [("user", "go on")], "data": {"thread": "t-1"}}, HERE, context=CLERK)
        yield made


def before(graph: WorkflowGraph, node: str) -> RunnableConfig:
    """The checkpoint right before a node ran."""
    return next(past.config for past in graph.get_state_history(HERE) if node in past.next)


def done(graph: WorkflowGraph, config: RunnableConfig = HERE) -> list[str]:
    found: list[str] = graph.instances.get(config).data["done"]
    return found


@pytest.mark.parametrize("node", ["closed", "closed/till.open", "open/till.refuse"])
@pytest.mark.parametrize("given", [None, {"messages": [("user", "again")]}])
def test_a_run_from_before_the_last_command_is_refused_and_writes_nothing(
    node: str, given: Any, graph: WorkflowGraph
) -> None:
    past = before(graph, node)
    checkpoints = len(list(graph.get_state_history(HERE)))

    with pytest.raises(StaleCheckpoint, match="fork"):
        graph.invoke(given, past, context=CLERK)

    assert len(list(graph.get_state_history(HERE))) == checkpoints
    assert done(graph) == ["open", "tea"]


async def test_an_async_run_from_before_the_last_command_is_refused(graph: WorkflowGraph) -> None:
    with pytest.raises(StaleCheckpoint):
        await graph.ainvoke(None, before(graph, "closed/till.open"), context=CLERK)


def test_an_update_of_the_past_is_refused(graph: WorkflowGraph) -> None:
    with pytest.raises(StaleCheckpoint):
        graph.update_state(before(graph, "closed/till.open"), {"messages": [HumanMessage("no")]})
    with pytest.raises(InvalidInput, match="truth"):
        graph.update_state(HERE, {"state": "over"})


REFUSED: dict[str, Callable[[WorkflowGraph], Any]] = {
    "a channel": lambda graph: graph.update_state(HERE, {"state": "over", "data": {"total": "s-e-c-r-e-t"}}),
    "a command": lambda graph: graph.update_state(HERE, Command(goto="over")),
    "a node": lambda graph: graph.update_state(HERE, {"messages": []}, as_node="open/till.close"),
    "a jump": lambda graph: graph.invoke(Command(goto="open/till.close"), HERE, context=CLERK),
    "a jump with something": lambda graph: graph.invoke(
        Command(goto=Send("open/till.close", {"what": "s-e-c-r-e-t"})), HERE, context=CLERK
    ),
    "an update": lambda graph: graph.invoke(Command(update={"data": {"total": "s-e-c-r-e-t"}}), HERE, context=CLERK),
    "the past": lambda graph: graph.update_state(before(graph, "closed"), {"messages": [HumanMessage("s-e-c-r-e-t")]}),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_tried_at_the_graphs_own_doors_is_refused_and_written_down(what: str, graph: WorkflowGraph) -> None:
    records = graph.instances.audit(HERE)
    stands = graph.get_state(HERE).config

    with pytest.raises((InvalidInput, StaleCheckpoint)) as raised:
        REFUSED[what](graph)

    (record,) = graph.instances.audit(HERE)[len(records) :]
    assert (record.kind.value, record.code) == ("denial", raised.value.code)
    assert record.principal_id == ("clerk" if what in {"a jump", "a jump with something", "an update"} else "anonymous")
    assert record.payload is not None
    assert record.payload["error"]["message"] == raised.value.message
    assert "s-e-c-r-e-t" not in str(record.payload), "what was to be written is nobody's business"
    assert graph.get_state(HERE).config == stands
    assert graph.engine.store.verify(graph.instances.id_of(HERE)) == []


async def test_an_async_update_that_is_refused_is_written_down(graph: WorkflowGraph) -> None:
    with pytest.raises(InvalidInput):
        await graph.aupdate_state(HERE, {"state": "over"})

    last = graph.instances.audit(HERE)[-1]
    assert last.payload is not None
    assert (last.kind.value, last.payload["channels"]) == ("denial", ["state"])


def test_what_is_refused_on_a_thread_without_a_workflow_is_nowhere_to_be_written_down(graph: WorkflowGraph) -> None:
    with pytest.raises(InvalidInput):
        graph.update_state({"configurable": {"thread_id": "nobody"}}, {"state": "over"})
    with pytest.raises(InvalidInput):
        graph.update_state({"configurable": {}}, {"state": "over"})


def test_what_followed_the_last_command_may_be_gone_back_to(graph: WorkflowGraph) -> None:
    asked = graph.get_state(HERE).interrupts[0].value["approvalId"]

    graph.invoke(None, before(graph, "open/till.close/approval"))

    assert graph.get_state(HERE).interrupts[0].value["approvalId"] == asked


def test_a_stale_branch_is_left_by_going_on_from_the_head(graph: WorkflowGraph) -> None:
    assert "checkpoint_id" not in graph.instances.head(before(graph, "closed"))["configurable"]
    # Nothing of Interlock's makes such a branch; what goes round it does.
    update = StateUpdate({"messages": [HumanMessage("a branch")]}, None)
    CompiledStateGraph.bulk_update_state(graph, before(graph, "closed/till.open"), [[update]])
    with pytest.raises(StaleCheckpoint):
        graph.invoke({"messages": [("user", "go on")]}, HERE, context=CLERK)

    head = graph.instances.head(HERE)
    graph.invoke(None, head)

    assert graph.get_state(HERE).interrupts[0].value["tool"] == "till.close"
    assert done(graph) == ["open", "tea"]


def test_a_fork_is_an_instance_of_its_own_with_the_past_as_it_was(graph: WorkflowGraph) -> None:
    forked = graph.instances.fork(before(graph, "open/reads"), thread_id="t-2", principal=CLERK)

    assert done(graph, forked) == ["open"]
    assert [record.kind.value for record in graph.instances.audit(forked)] == ["fork"]
    graph.invoke(None, forked, context=CLERK)

    assert done(graph) == ["open", "tea"]
    assert done(graph, forked) == ["open", "tea"]
    assert graph.instances.get(forked).workflow_id != graph.instances.get(HERE).workflow_id
    assert graph.engine.store.verify(graph.instances.id_of(forked)) == []


def test_a_fork_that_is_asked_for_again_is_the_same_and_another_thread_is_not_taken(graph: WorkflowGraph) -> None:
    past = before(graph, "open/reads")
    forked = graph.instances.fork(past, thread_id="t-2", principal=CLERK)

    assert graph.instances.fork(past, thread_id="t-2", principal=CLERK) == forked
    with pytest.raises(ConflictError, match="already has a workflow"):
        graph.instances.fork(before(graph, "closed"), thread_id="t-2", principal=CLERK)


def test_a_copied_thread_is_refused(graph: WorkflowGraph) -> None:
    assert isinstance(graph.checkpointer, SQLCheckpointer)
    graph.checkpointer.copy_thread("t-1", "t-3")

    with pytest.raises(StaleCheckpoint, match="copy of another"):
        graph.invoke({"messages": [("user", "go on")]}, {"configurable": {"thread_id": "t-3"}}, context=CLERK)


@pytest.mark.parametrize("given", ["the same thread", "another thread"])
def test_a_thread_whose_checkpoints_are_lost_may_rejoin_its_workflow_where_that_stands(
    given: str, graph: WorkflowGraph
) -> None:
    workflow_id = graph.instances.id_of(HERE)
    assert isinstance(graph.checkpointer, SQLCheckpointer)
    with pytest.raises(ConflictError, match="nothing is lost"):
        graph.instances.rejoin(HERE, principal=CLERK)
    graph.checkpointer.delete_thread("t-1")
    here: RunnableConfig = {"configurable": {"thread_id": "t-1"}}
    if given == "another thread":
        here = {"configurable": {"thread_id": "t-9", "workflow_id": workflow_id}}
    with pytest.raises(StaleCheckpoint):
        graph.invoke({"messages": [("user", "go on")]}, here, context=CLERK)
    with pytest.raises(InputError, match="rejoin"):
        graph.instances.head(here)
    with pytest.raises(RunError):
        graph.instances.rejoin(here, principal=Principal("eve", tenant="other"))

    rejoined = graph.instances.rejoin(here, principal=CLERK)
    result = graph.invoke({"messages": [("user", "go on")]}, rejoined, context=CLERK)

    assert (result["state"], result["__interrupt__"][0].value["tool"]) == ("open", "till.close")
    assert done(graph) == ["open", "tea"]
    records = [record for record in graph.instances.audit(HERE) if record.kind.value == "rejoined"]
    assert [record.principal_id for record in records] == ["clerk"]
    assert graph.engine.store.verify(workflow_id) == []


def test_a_branch_that_was_given_a_stored_result_again_is_still_a_stale_one(graph: WorkflowGraph) -> None:
    """The command has its key from before the branch, so its result is there; what follows it on this line did not happen."""
    assert isinstance(graph.checkpointer, SQLCheckpointer)
    past = graph.checkpointer.get_tuple(before(graph, "closed/till.open"))
    assert past is not None
    # Nothing of Interlock's makes such a branch; what writes to the checkpointer itself does.
    branch = {**past.checkpoint, "id": str(uuid6())}
    graph.checkpointer.put(past.config, branch, {**past.metadata, "source": "fork"}, {})  # type: ignore[typeddict-item]
    assert graph.get_state(HERE).next == ("closed/till.open",)
    records = len(graph.instances.audit(HERE))

    with pytest.raises(StaleCheckpoint):
        graph.invoke(None, HERE, context=CLERK)

    assert done(graph) == ["open", "tea"]
    assert graph.get_state(HERE).values["last_result"]["replayed"] is True, "the stored result was given again"
    new = graph.instances.audit(HERE)[records:]
    assert [(record.kind.value, record.code) for record in new] == [("denial", "stale_checkpoint")]


OTHER = Principal("eve", tenant="other")


def test_a_fork_by_somebody_of_another_tenant_is_refused_and_leaves_nothing(graph: WorkflowGraph) -> None:
    past = before(graph, "open/reads")
    records = len(graph.instances.audit(HERE))

    with pytest.raises(RunError):
        graph.instances.fork(past, thread_id="t-2", principal=OTHER)

    assert not graph.get_state({"configurable": {"thread_id": "t-2"}}).values
    assert [instance.thread_id for instance in graph.engine.store.instances()] == ["t-1"]
    new = graph.instances.audit(HERE)[records:]
    assert [(record.kind.value, record.code) for record in new] == []


def test_a_fork_to_a_thread_of_another_tenant_is_refused_and_changes_nothing(graph: WorkflowGraph) -> None:
    there: RunnableConfig = {"configurable": {"thread_id": "t-2"}}
    graph.invoke({"messages": [("user", "go on")], "data": {"thread": "t-2"}}, there, context=OTHER)
    stands = graph.get_state(there).config

    with pytest.raises(RunError) as refused:
        graph.instances.fork(before(graph, "open/reads"), thread_id="t-2", principal=CLERK)

    assert not isinstance(refused.value, ConflictError), "that there is one is the other tenant's business"
    assert graph.get_state(there).config == stands
    assert graph.instances.get(there).tenant == "other"


@pytest.mark.parametrize("by", [None, Principal("ann", tenant="acme")])
def test_a_fork_belongs_to_the_tenant_of_what_it_was_forked_from(sqlite_url: str, by: Principal | None) -> None:
    ann = Principal("ann", tenant="acme")
    with SQLCheckpointer(sqlite_url) as saver:
        graph = transactions(("", 0)).compile(saver)
        graph.invoke({"messages": [("user", "go on")], "data": {"thread": "t-1"}}, HERE, context=ann)

        forked = graph.instances.fork(before(graph, "open/reads"), thread_id="t-2", principal=by)

        instance = graph.instances.get(forked)
        assert (instance.tenant, instance.started_by.tenant, instance.served) == ("acme", "acme", "ann")
        (record,) = graph.instances.audit(forked)
        assert (record.tenant, record.principal_id) == ("acme", "anonymous" if by is None else "ann")
        assert [one.thread_id for one in graph.engine.store.instances(tenant="acme")] == ["t-2", "t-1"]
        assert graph.engine.store.instances(tenant="default") == []
        graph.invoke(None, forked, context=ann)
        assert done(graph, forked) == ["open", "tea"]
