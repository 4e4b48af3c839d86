"""Input, configs and answers that cannot be used: a typed error that says what to do, and nothing written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langgraph.types import Command

from interlock import Principal, SQLCheckpointer, Workflow, WorkflowStore
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import (
    DurabilityError,
    InputError,
    InvalidInput,
    InvalidResume,
    MissingThreadId,
    NotADatabase,
    PrincipalError,
    ReadOnlyStore,
    ResumeError,
    RunError,
    StoreError,
    WorkflowFinished,
)
from tests.graphs.support import ADA, BEN, Desk, Home, Runner, interrupts, said, shown, thread, trail

REFUND = call("order.refund", orderId="1", amount="5")


@pytest.mark.parametrize("config", [{}, {"configurable": {}}, {"configurable": {"thread_id": ""}}, None])
def test_a_run_without_a_thread_is_refused(home: Home, run: Runner, desk: Desk, config: Any) -> None:
    graph = home.compile(desk.workflow(ScriptedChatModel()))
    with pytest.raises(MissingThreadId, match="thread_id"):
        run(graph, said(), config)
    with pytest.raises(MissingThreadId, match="thread_id"):
        run(graph, Command(resume="approve"), config)
    with pytest.raises(MissingThreadId, match="thread_id"):
        graph.instances.get(config or {})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("hello", "was given str"),
        (["hello"], "was given list"),
        ({"message": "hello"}, "which it does not know"),
        ({"messages": 5}, "messages cannot be read"),
        ({"messages": [{"text": "hello"}]}, "messages cannot be read"),
        ({"messages": [], "data": 5}, "data is int"),
        ({"messages": [], "data": {"notes": "many"}}, "notes"),
    ],
)
def test_input_of_a_wrong_shape_is_refused_before_anything_is_written(
    home: Home, run: Runner, desk: Desk, given: Any, says: str
) -> None:
    graph = home.compile(desk.workflow(ScriptedChatModel()))
    with pytest.raises(InvalidInput, match=says):
        run(graph, given, thread())
    assert graph.get_state(thread()).created_at is None
    with pytest.raises(InputError, match="no workflow instance"):
        graph.instances.get(thread())


def test_data_for_a_workflow_without_any_is_refused(memory: Home, desk: Desk) -> None:
    flow = Workflow("bare", model=ScriptedChatModel())
    flow.add_state("open").add_state("closed", final=True).add_edge("open", desk.refund, "closed")
    with pytest.raises(InvalidInput, match="has no data"):
        memory.compile(flow).invoke(said(data={"notes": 1}), thread())


def test_data_is_given_only_when_an_instance_starts(home: Home, run: Runner, desk: Desk) -> None:
    graph = home.compile(desk.workflow(ScriptedChatModel(["hello", "hello again"])))
    run(graph, said(data={"notes": 3}), thread())
    with pytest.raises(InvalidInput, match="data can only be passed at the start"):
        run(graph, said(data={"notes": 4}), thread())
    assert len(graph.get_state(thread()).values["messages"]) == 2
    assert run(graph, said(data={"notes": 3}), thread())["data"]["notes"] == 3


@pytest.mark.parametrize("context", ["ada", 5, {"name": "ada"}])
def test_a_context_that_does_not_say_who_acts_is_refused(home: Home, run: Runner, desk: Desk, context: Any) -> None:
    graph = home.compile(desk.workflow(ScriptedChatModel()))
    with pytest.raises(PrincipalError):
        run(graph, said(), thread(), context=context)


def test_an_instance_of_another_tenant_cannot_be_told_from_none(home: Home, run: Runner, desk: Desk) -> None:
    graph = home.compile(desk.workflow(ScriptedChatModel(["hello"])))
    run(graph, said(), thread(), context=Principal("ada", tenant="north"))
    with pytest.raises(RunError, match="no workflow instance") as refused:
        run(graph, said(), thread(), context=Principal("eve", tenant="south"))
    assert refused.value.code == "unknown_instance"
    assert len(graph.get_state(thread()).values["messages"]) == 2


@pytest.mark.parametrize("answer", [Command(resume=None), Command()])
def test_an_answer_that_says_nothing_is_refused_and_the_thread_still_waits(
    home: Home, run: Runner, desk: Desk, answer: Any
) -> None:
    graph = home.compile(
        desk.workflow(ScriptedChatModel([call("order.refund", orderId="1", amount="5")]), approval=True)
    )
    run(graph, said(), thread(), context=ADA)
    with pytest.raises(ResumeError, match="answers nothing"):
        run(graph, answer, thread(), context=ADA)
    assert run(graph, Command(resume="approve"), thread(), context=BEN)["state"] == "closed"


def test_an_answer_that_nobody_waits_for_is_refused(home: Home, run: Runner, desk: Desk) -> None:
    graph = home.compile(desk.workflow(ScriptedChatModel(["hello"])))
    with pytest.raises(ResumeError, match="nothing to resume"):
        run(graph, Command(resume="approve"), thread())
    run(graph, said(), thread())
    with pytest.raises(ResumeError, match="nothing to resume"):
        run(graph, Command(resume="approve"), thread())


def test_a_second_answer_is_refused(home: Home, run: Runner, desk: Desk) -> None:
    graph = home.compile(desk.workflow(ScriptedChatModel([REFUND]), approval=True))
    asked = next(interrupts(run(graph, said(), thread(), context=ADA)))
    run(graph, Command(resume={asked.id: "approve"}), thread(), context=BEN)
    with pytest.raises(ResumeError):
        run(graph, Command(resume={asked.id: "approve"}), thread(), context=BEN)
    assert desk.ran == ["refund 1 5"]


def test_an_answer_to_another_interrupt_is_refused(home: Home, run: Runner, desk: Desk) -> None:
    graph = home.compile(desk.workflow(ScriptedChatModel([REFUND, REFUND]), approval=True))
    other = next(interrupts(run(graph, said(), thread("other"), context=ADA)))
    run(graph, said(), thread(), context=ADA)
    for key in (other.id, other.value["approvalId"], "0" * 32):
        with pytest.raises(ResumeError, match="Nothing waits for an answer to"):
            run(graph, Command(resume={key: "approve"}), thread(), context=BEN)
    assert desk.ran == []
    assert run(graph, Command(resume="approve"), thread(), context=BEN)["state"] == "closed"


@pytest.mark.parametrize(
    "answer",
    [
        "yes please",
        5,
        [],
        ["approve", "approve"],
        {"type": "perhaps"},
        {"decision": "approve"},
        {"decisions": []},
        {"type": "edit"},
        {"type": "edit", "args": {"orderId": "1"}},
        {"type": "edit", "args": {"orderId": "1", "amount": "lots"}},
        {"type": "edit", "args": {"action": "order.hold", "args": {"orderId": "1"}}},
        {"type": "respond"},
        {"type": "reject", "message": 5},
    ],
)
def test_an_answer_of_a_wrong_shape_is_refused_and_the_question_stands(
    home: Home, run: Runner, desk: Desk, answer: Any
) -> None:
    graph = home.compile(desk.workflow(ScriptedChatModel([REFUND]), approval=True))
    run(graph, said(), thread(), context=ADA)
    with pytest.raises(InvalidResume, match="Nothing was decided"):
        run(graph, Command(resume=answer), thread(), context=BEN)
    assert [one.value["tool"] for one in graph.get_state(thread()).interrupts] == ["order.refund"]
    assert run(graph, Command(resume="approve"), thread(), context=BEN)["state"] == "closed"


def test_one_answer_for_several_questions_is_refused(home: Home, run: Runner, desk: Desk) -> None:
    flow = desk.workflow(ScriptedChatModel([[REFUND, REFUND]]), approval=True)
    graph = home.compile(flow)
    assert len(shown(run(graph, said(), thread(), context=ADA))) == 2
    with pytest.raises(ResumeError, match="answer each by its id"):
        run(graph, Command(resume="approve"), thread(), context=BEN)
    assert desk.ran == []


@pytest.mark.parametrize(
    "command", [Command(goto="closed"), Command(update={"state": "closed"}), Command(update={"progress": []})]
)
def test_a_command_that_would_move_the_graph_is_refused(home: Home, run: Runner, desk: Desk, command: Any) -> None:
    graph = home.compile(desk.workflow(ScriptedChatModel([REFUND]), approval=True))
    run(graph, said(), thread(), context=ADA)
    with pytest.raises(InvalidInput, match="moved by its tools"):
        run(graph, command, thread(), context=BEN)
    assert (desk.ran, graph.instances.get(thread()).state) == ([], "open")


def test_a_command_under_the_durability_exit_is_refused_and_a_read_is_not(home: Home, run: Runner, desk: Desk) -> None:
    model = ScriptedChatModel([call("order.get", orderId="1"), "here it is", call("order.hold", orderId="1")])
    graph = home.compile(desk.workflow(model))
    assert run(graph, said(), thread(), durability="exit")["messages"][-1].content == "here it is"
    with pytest.raises(DurabilityError, match="durability='sync'"):
        run(graph, said(), thread(), durability="exit")
    assert (desk.ran, graph.instances.get(thread()).state) == (["get 1"], "open")


@pytest.mark.parametrize("durability", ["sync", "async"])
def test_a_command_runs_under_the_other_durabilities(home: Home, run: Runner, desk: Desk, durability: str) -> None:
    graph = home.compile(desk.workflow(ScriptedChatModel([call("order.hold", orderId="1"), "done"])))
    assert run(graph, said(), thread(), durability=durability)["state"] == "held"


@pytest.mark.parametrize("channel", ["state", "revision", "data", "progress", "workflow_id"])
def test_the_workflows_own_channels_cannot_be_set_from_outside(memory: Home, desk: Desk, channel: str) -> None:
    graph = memory.compile(desk.workflow(ScriptedChatModel(["hello"])))
    graph.invoke(said(), thread())
    with pytest.raises(InvalidInput, match="the truth about state"):
        graph.update_state(thread(), {channel: "closed"})
    with pytest.raises(InvalidInput, match="act as the node"):
        graph.update_state(thread(), {"messages": []}, as_node="open/order.refund")


@pytest.mark.parametrize(
    "given", [{"state": "closed"}, {"progress": [["turn", {"id": "root"}]]}, {"workflow_id": "wf_other"}]
)
def test_input_cannot_put_words_into_the_workflows_mouth(home: Home, run: Runner, desk: Desk, given: Any) -> None:
    graph = home.compile(desk.workflow(ScriptedChatModel(["hello"])))
    output = run(graph, said(**given), thread(), context=ADA)
    assert output["state"] == "open"
    assert output["workflow_id"] == graph.instances.id_of(thread())
    assert graph.instances.audit(thread())[0].principal_id == "ada"


def test_a_file_that_is_no_database_is_refused(run: Runner, desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("these are my notes, and no database\n" * 100)
    before = file.read_bytes()
    with SQLCheckpointer(f"sqlite:///{file}") as saver:
        graph = desk.workflow(ScriptedChatModel()).compile(saver)
        with pytest.raises(NotADatabase, match=r"notes\.txt"):
            run(graph, said(), thread())
    assert file.read_bytes() == before


def test_a_file_in_no_folder_is_refused(run: Runner, desk: Desk, tmp_path: Path) -> None:
    with SQLCheckpointer(f"sqlite:///{tmp_path}/nowhere/interlock.db") as saver:
        graph = desk.workflow(ScriptedChatModel()).compile(saver)
        with pytest.raises(StoreError):
            run(graph, said(), thread())


def test_a_database_that_is_read_only_is_refused_and_can_still_be_read(run: Runner, desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "interlock.db"
    model = ScriptedChatModel([call("order.hold", orderId="1"), "held", call("order.release", orderId="1")])
    with SQLCheckpointer(f"sqlite:///{file}") as saver:
        run(desk.workflow(model).compile(saver), said(), thread())
    url = f"sqlite:///file:{file}?mode=ro&uri=true"
    with SQLCheckpointer(url) as saver:
        graph = desk.workflow(model).compile(saver)
        with pytest.raises(ReadOnlyStore):
            run(graph, said(), thread())
    store = WorkflowStore(f"sqlite:///{file}")
    kinds = [str(record.kind) for record in store.audit(desk.workflow(model).compile().instances.id_of(thread()))]
    store.close()
    assert kinds == ["started", "transition"]
    assert desk.ran == ["hold 1"]


def test_a_finished_instance_takes_no_more_messages(home: Home, run: Runner, desk: Desk) -> None:
    graph = home.compile(desk.workflow(ScriptedChatModel([REFUND])))
    before = run(graph, said(), thread())
    with pytest.raises(WorkflowFinished, match="it ended in 'closed'"):
        run(graph, said("and another one"), thread())
    assert len(graph.get_state(thread()).values["messages"]) == len(before["messages"])
    assert trail(graph, thread())[-1][0] == "transition"
