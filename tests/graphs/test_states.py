"""The kinds of state: who proposes in them, and what happens where nobody does."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, interrupt

from interlock import DecisionView, Workflow
from interlock.rules import GuardView
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import WorkflowFinished
from tests.graphs.support import ADA, Desk, DeskData, Home, Runner, codes, dangling, interrupts, said, thread

REFUND = ("order.refund", {"orderId": "1", "amount": "5"})


def one_state(desk: Desk, **who: Any) -> Workflow:
    flow = Workflow("single", data=DeskData)
    flow.add_state("open", tools=[desk.get_order, desk.add_note], **who)
    flow.add_state("closed", final=True)
    flow.add_edge("open", desk.refund, "closed")
    return flow


def test_a_function_decides_on_a_tool_by_contract_or_by_name(home: Home, run: Runner, desk: Desk) -> None:
    seen: list[DecisionView] = []

    def decide(view: DecisionView) -> Any:
        seen.append(view)
        return (desk.add_note, {"text": "a"}) if view.data.notes == 0 else REFUND

    output = run(home.compile(one_state(desk, decide=decide)), said(), thread(), context=ADA)
    assert (desk.ran, output["state"], codes(output)) == (["note a", "refund 1 5"], "closed", ["ok", "ok"])
    assert seen[0].next_allowed_tools == ("order.get", "note.add", "order.refund")
    assert (seen[1].state, seen[1].revision, seen[1].principal.id, len(seen[1].messages)) == ("open", 1, "ada", 3)
    assert not dangling(output)


def test_a_function_may_propose_several_say_something_or_end_the_turn(home: Home, run: Runner, desk: Desk) -> None:
    turns = iter(
        [[(desk.get_order, {"orderId": "1"}), (desk.add_note, {"text": "b"})], "I looked.", None, AIMessage("bye")]
    )
    graph = home.compile(one_state(desk, decide=lambda view: next(turns)))
    output = run(graph, said(), thread())
    assert (codes(output), output["messages"][-1].content) == (["ok", "ok"], "I looked.")
    assert len(run(graph, said(), thread())["messages"]) == 6
    assert run(graph, said(), thread())["messages"][-1].content == "bye"


async def test_an_async_function_decides_under_ainvoke_and_under_invoke(memory: Home, desk: Desk) -> None:
    async def decide(view: DecisionView) -> Any:
        return REFUND

    graph = memory.compile(one_state(desk, decide=decide))
    assert graph.invoke(said(), thread())["state"] == "closed"
    assert (await graph.ainvoke(said(), thread("t-2")))["state"] == "closed"


def test_a_functions_proposal_is_judged_like_any_other(home: Home, run: Runner, desk: Desk) -> None:
    turns = iter([("order.hold", {"orderId": "1"}), None])
    output = run(home.compile(one_state(desk, decide=lambda view: next(turns))), said(), thread())
    assert (desk.ran, codes(output)) == ([], ["unknown_tool"])


def test_a_plain_node_proposes_by_the_calls_of_its_last_message(home: Home, run: Runner, desk: Desk) -> None:
    def node(channels: dict[str, Any]) -> dict[str, Any]:
        assert channels["next_allowed_tools"] == ["order.get", "note.add", "order.refund"]
        assert channels["data"] == {"notes": 0, "limit": "100"}
        calls = [{"name": "order_refund", "args": REFUND[1], "id": "c1", "type": "tool_call"}]
        return {"messages": [AIMessage("Let me do that.", tool_calls=calls)]}

    output = run(home.compile(one_state(desk, node=node)), said(), thread())
    assert (desk.ran, output["state"]) == (["refund 1 5"], "closed")


def subgraph(*, asks: bool = False) -> Any:
    def think(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage("thinking", id=f"t{len(state['messages'])}")]}

    def propose(state: MessagesState) -> dict[str, Any]:
        amount = interrupt({"question": "How much?"}) if asks else "5"
        calls = [{"name": "order_refund", "args": {"orderId": "1", "amount": amount}, "id": "c1", "type": "tool_call"}]
        return {"messages": [AIMessage("", tool_calls=calls)]}

    builder = StateGraph(MessagesState)
    builder.add_node("think", think)
    builder.add_node("propose", propose)
    builder.add_edge(START, "think").add_edge("think", "propose").add_edge("propose", END)
    return builder.compile()


def test_a_subgraph_proposes_and_its_other_messages_join_the_conversation(home: Home, run: Runner, desk: Desk) -> None:
    output = run(home.compile(one_state(desk, node=subgraph())), said(), thread())
    assert [message.type for message in output["messages"]] == ["human", "ai", "ai", "tool"]
    assert (desk.ran, output["state"]) == (["refund 1 5"], "closed")


def test_a_question_that_a_subgraph_asks_is_answered_through_the_workflow(home: Home, run: Runner, desk: Desk) -> None:
    graph = home.compile(one_state(desk, node=subgraph(asks=True)))
    output = run(graph, said(), thread())
    assert next(interrupts(output)).value == {"question": "How much?"}
    output = run(graph, Command(resume="7"), thread())
    assert (desk.ran, output["state"]) == (["refund 1 7"], "closed")


def test_a_resting_state_waits_for_a_command_from_outside(home: Home, run: Runner, desk: Desk) -> None:
    flow = Workflow("resting", data=DeskData)
    flow.add_state("new", model=ScriptedChatModel([call("order.hold", orderId="1")]))
    flow.add_state("held", tools=[desk.add_note])
    flow.add_state("open", model=ScriptedChatModel(["released"]))
    flow.add_state("closed", final=True)
    flow.add_edge("new", desk.hold, "held").add_edge("held", desk.release, "open").add_edge(
        "open", desk.refund, "closed"
    )
    graph = home.compile(flow)
    output = run(graph, said(), thread())
    assert (output["state"], output["next_allowed_tools"]) == ("held", ["note.add", "order.release"])
    assert not interrupts_of(output)
    result = graph.instances.execute(thread(), "order.release", {"orderId": "1"}, principal=ADA)
    assert (result["previousState"], result["currentState"], result["nextAllowedTools"]) == (
        "held",
        "open",
        ["order.refund"],
    )
    output = run(graph, said("and now?"), thread())
    assert (output["state"], output["messages"][-1].content) == ("open", "released")


def interrupts_of(output: dict[str, Any]) -> list[Any]:
    return list(interrupts(output))


def test_a_command_from_outside_is_judged_by_the_same_gate(home: Home, run: Runner, desk: Desk) -> None:
    graph = home.compile(one_state(desk))
    run(graph, said(), thread())
    for tool, arguments, code in [
        ("order.hold", {}, "unknown_tool"),
        ("order.refund", {"orderId": "1"}, "invalid_arguments"),
        ("note.add", {"text": "refuse"}, "refused"),
    ]:
        answer = graph.instances.execute(thread(), tool, arguments)
        assert (answer["ok"], answer["error"]["code"]) == (False, code)
    assert graph.instances.get(thread()).revision == 0


def test_a_command_from_outside_runs_once_under_its_key(home: Home, run: Runner, desk: Desk) -> None:
    graph = home.compile(one_state(desk))
    run(graph, said(), thread())
    note = {"text": "once"}
    first = graph.instances.execute(thread(), desk.add_note, note, idempotency_key="k-1")
    again = graph.instances.execute(thread(), desk.add_note, note, idempotency_key="k-1")
    assert desk.ran == ["note once"]
    assert again == {**first, "replayed": True}


def test_a_final_state_ends_the_run_and_nothing_follows(home: Home, run: Runner, desk: Desk) -> None:
    graph = home.compile(one_state(desk, decide=lambda view: REFUND))
    output = run(graph, said(), thread())
    assert (output["state"], output["next_allowed_tools"], graph.get_state(thread()).next) == ("closed", [], ())
    with pytest.raises(WorkflowFinished):
        run(graph, said(), thread())
    answer = graph.instances.execute(thread(), "order.get", {"orderId": "1"})
    assert answer["ok"] is False


def test_a_prompt_may_look_at_state_and_data(memory: Home, desk: Desk) -> None:
    def prompt(view: GuardView) -> str:
        return f"In {view.state} with {view.data.notes} notes, for {view.principal.id}."

    model = ScriptedChatModel([call("note.add", text="a"), "done"])
    memory.compile(one_state(desk, model=model, prompt=prompt)).invoke(said(), thread(), context=ADA)
    assert [seen[0].content for seen in model.seen] == [
        "In open with 0 notes, for ada.",
        "In open with 1 notes, for ada.",
    ]


def test_states_may_have_models_of_their_own(memory: Home, desk: Desk) -> None:
    first, second = ScriptedChatModel([call("order.hold", orderId="1")]), ScriptedChatModel(["it is on hold"])
    flow = Workflow("two", model=first)
    flow.add_state("open").add_state("held", model=second).add_state("closed", final=True)
    flow.add_edge("open", desk.hold, "held").add_edge("held", desk.refund, "closed")
    memory.compile(flow).invoke(said(), thread())
    assert (first.offered, second.offered) == ([["order_hold"]], [["order_refund"]])


def test_a_state_where_nothing_is_allowed_now_binds_no_tools(memory: Home, desk: Desk) -> None:
    model = ScriptedChatModel(["nothing I can do"])
    flow = Workflow("bare", model=model)
    flow.add_state("open").add_state("closed", final=True)
    flow.add_edge("open", desk.refund, "closed", guard=lambda s: False)
    assert memory.compile(flow).invoke(said(), thread())["next_allowed_tools"] == []
    assert model.offered == [[]]
