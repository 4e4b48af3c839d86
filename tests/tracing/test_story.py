"""A trace tells the workflow's story: what arrives at the sink is asserted, sent by LangSmith's own client."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command

from interlock import Principal, WorkflowGraph
from interlock.testing import ArrivedRun, ScriptedChatModel, TraceSink, call
from interlock.tracing import InterlockTracer, records_of, reference_in
from tests.tracing.support import ADA, BEN, PLANTED, Shop, arrived, config, edit_of, script


def _run(graph: Any, way: str, given: Any, principal: Principal, thread: str = "t-1") -> Any:
    match way:
        case "invoke":
            return graph.invoke(given, config(thread), context=principal)
        case "ainvoke":
            return asyncio.run(graph.ainvoke(given, config(thread), context=principal))
        case "stream":
            return list(graph.stream(given, config(thread), context=principal, stream_mode=["updates", "custom"]))
        case _:

            async def gathered() -> list[Any]:
                chunks = graph.astream(given, config(thread), context=principal, stream_mode="updates")
                return [chunk async for chunk in chunks]

            return asyncio.run(gathered())


@pytest.fixture(params=["invoke", "ainvoke", "stream", "astream"])
def way(request: pytest.FixtureRequest) -> str:
    way: str = request.param
    return way


@pytest.fixture
def story(way: str, sink: TraceSink, traced: Any) -> tuple[WorkflowGraph, list[ArrivedRun], Shop]:
    """A read, a denial, an approval with an edit, a command that is tried twice."""
    shop = Shop(down=1)
    graph = shop.flow(script()).compile()
    _run(graph, way, {"messages": [("user", "send W1")]}, ADA)
    _run(graph, way, Command(resume=edit_of(orderId="W1", amount="40", card=PLANTED)), BEN)
    return graph, arrived(sink, traced), shop


def _named(runs: list[ArrivedRun], name: str) -> list[ArrivedRun]:
    return [run for run in runs if run.name == name]


def test_names_can_be_read_by_a_person(story: tuple[WorkflowGraph, list[ArrivedRun], Shop]) -> None:
    _, runs, _ = story
    children = {run.parent_id: [] for run in runs}
    for run in runs:
        children.setdefault(run.parent_id, []).append(run.name)

    roots = [run for run in runs if run.parent_id is None]
    assert [root.name for root in roots] == ["shop", "shop: resume (edited)"]
    assert [name for name in children[roots[0].id] if name != "__start__"] == [
        "shop: open",
        "order.get",
        "shop: open",
        "denied: order.send",
        "shop: open",
        "approval: order.charge",
    ]
    assert children[roots[1].id] == [
        "approval: order.charge",
        "order.charge",
        "shop: paid",
        "order.send",
        "shop: sent",
    ]


def test_an_interrupt_is_no_error_and_nothing_else_is(story: tuple[WorkflowGraph, list[ArrivedRun], Shop]) -> None:
    _, runs, _ = story

    assert [(run.name, run.error) for run in runs if run.error] == []
    asked = _named(runs, "approval: order.charge")[0]
    (raised,) = asked.outputs["__interrupt__"]
    assert raised["value"]["type"] == "approval"
    assert asked.metadata["waits_for"] == "approval"


def test_every_run_carries_thread_and_workflow(story: tuple[WorkflowGraph, list[ArrivedRun], Shop]) -> None:
    graph, runs, _ = story

    for run in runs:
        assert run.metadata["thread_id"] == "t-1", run.name
        assert (run.metadata["workflow"], run.metadata["workflow_version"]) == ("shop", 2), run.name
        assert run.metadata["workflow_id"] == graph.instances.id_of(config()), run.name


def test_runs_say_where_they_stand(story: tuple[WorkflowGraph, list[ArrivedRun], Shop]) -> None:
    _, runs, _ = story

    (charged,) = _named(runs, "order.charge")
    told = charged.metadata
    assert (told["state_before"], told["state_after"], told["revision"]) == ("open", "paid", 1)
    assert (told["tool"], told["tool_version"], told["tool_kind"]) == ("order.charge", 3, "command")
    assert told["next_allowed_tools"] == "order.get, order.send"
    assert told["replayed"] is False
    assert told["idempotency_key"].startswith("key_")
    assert told["approval_id"].startswith("apr_")
    first, second = (run for run in runs if run.parent_id is None)
    assert (first.metadata["state_before"], first.metadata["state_after"]) == ("open", "open")
    assert (second.metadata["state_before"], second.metadata["state_after"]) == ("open", "sent")
    assert second.metadata["decision"] == "edit"
    assert second.metadata["caused_by_trace"] == first.id


def test_a_denial_is_there_with_its_reason_and_so_is_why_it_was_not_offered(
    story: tuple[WorkflowGraph, list[ArrivedRun], Shop],
) -> None:
    _, runs, _ = story

    (denied,) = _named(runs, "denied: order.send")
    assert denied.metadata["denial_code"] == "guard_failed"
    assert "order_send" in denied.metadata["denial_reason"]
    assert "denied" in denied.tags
    assert denied.error is None
    asked = _named(runs, "shop: open")[0]
    assert asked.metadata["not_offered"] == "order.send: its guard is_paid does not hold"


def test_a_second_attempt_is_said_to_be_one(story: tuple[WorkflowGraph, list[ArrivedRun], Shop]) -> None:
    _, runs, shop = story

    assert shop.sent == ["W1"]
    assert _named(runs, "order.send")[0].metadata["attempt"] == 2


def test_each_audit_record_leads_to_a_run_and_back(
    story: tuple[WorkflowGraph, list[ArrivedRun], Shop], way: str
) -> None:
    graph, runs, _ = story
    records = graph.instances.audit(config())
    by_id = {run.id: run for run in runs}

    assert len(records) > 6
    for record in records:
        where = reference_in(record)
        assert where is not None, record
        run = by_id[str(where.run)]
        assert (run.trace_id, run.project) == (where.trace, where.project)
        assert where.project == "shop-project"
        if record.tool is not None and record.kind != "decision":
            assert record.tool in run.name
    store = graph.engine.store
    traces = {str(reference_in(record).trace) for record in records}  # type: ignore[union-attr]
    found = [record.audit_ref for trace in sorted(traces) for record in records_of(store, trace)]
    assert sorted(found) == sorted(record.audit_ref for record in records)
    referred = {run.metadata["audit_ref"] for run in runs if "audit_ref" in run.metadata}
    assert referred <= {record.audit_ref for record in records}
    one = next(run for run in runs if run.name == "order.charge")
    assert one.metadata["audit_ref"] in {record.audit_ref for record in records_of(store, one.id)}
    assert store.verify(graph.instances.id_of(config())) == []


def test_nothing_secret_arrives(story: tuple[WorkflowGraph, list[ArrivedRun], Shop], sink: TraceSink) -> None:
    _, runs, _ = story

    assert _named(runs, "order.charge")[0].inputs["arguments"]["card"] == "***"
    assert PLANTED not in sink.text


def test_an_interrupt_inside_other_graphs_is_no_error_there_either(way: str, sink: TraceSink, client: Any) -> None:
    inner = Shop().flow(script()).compile()
    middle: Any = StateGraph(MessagesState)
    middle.add_node("shop", inner)
    middle.add_edge(START, "shop")
    middle.add_edge("shop", END)
    outer: Any = StateGraph(MessagesState)
    outer.add_node("middle", middle.compile())
    outer.add_edge(START, "middle")
    from langgraph.checkpoint.memory import InMemorySaver

    graph = outer.compile(checkpointer=InMemorySaver()).with_config(
        callbacks=[InterlockTracer(client=client, project_name="p")]
    )
    _run(graph, way, {"messages": [("user", "send W1")]}, ADA)
    runs = arrived(sink, client)

    assert [(run.name, run.error) for run in runs if run.error] == []
    asked = _named(runs, "approval: order.charge")[0]
    path = []
    while asked.parent_id is not None:
        asked = sink.run(asked.parent_id)
        path.append(asked.name)
    assert path[-1] == "LangGraph"
    assert "middle" in path
    assert all(run.metadata["thread_id"] == "t-1" for run in runs if run.metadata.get("workflow") == "shop")


def test_a_tool_that_interrupts_is_no_error() -> None:
    from langchain_core.tools import tool
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.types import interrupt

    @tool
    def ask_someone(question: str) -> str:
        """Ask a person."""
        return str(interrupt(question))

    with TraceSink() as sink:
        client = sink.client()
        graph: Any = StateGraph(MessagesState)
        graph.add_node("asking", lambda _: {"messages": [("user", ask_someone.invoke({"question": "really?"}))]})
        graph.add_edge(START, "asking")
        compiled = graph.compile(checkpointer=InMemorySaver())
        tracer = InterlockTracer(client=client, project_name="p")
        compiled.invoke({"messages": []}, {**config(), "callbacks": [tracer]})
        runs = arrived(sink, client)

        assert {run.name: run.error for run in runs}["ask_someone"] is None
        assert [run.error for run in runs if run.error] == []
        client.close()


def test_an_error_is_still_an_error(sink: TraceSink, traced: Any) -> None:
    graph = Shop().flow(ScriptedChatModel([call("order.get", orderId="W1")])).compile()

    with pytest.raises(Exception, match="script is used up"):
        graph.invoke({"messages": [("user", "go")]}, config(), context=ADA)
    runs = arrived(sink, traced)
    assert {run.name for run in runs if run.error} == {"ScriptedChatModel", "shop: open", "shop"}
