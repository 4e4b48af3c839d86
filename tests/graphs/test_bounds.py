"""A model that loops is stopped, clearly, and nothing is lost when the run is resumed."""

from __future__ import annotations

from langgraph.types import Command

from interlock.rules import Limits
from interlock.testing import ScriptedChatModel, call
from tests.graphs.support import Desk, Home, Runner, codes, dangling, interrupts, said, shown, thread, trail


def test_a_model_that_keeps_proposing_what_is_not_allowed_is_stopped(home: Home, run: Runner, desk: Desk) -> None:
    model = ScriptedChatModel(forever=call("order.release", orderId="1"))
    graph = home.compile(desk.workflow(model))
    output = run(graph, said(), thread())
    assert shown(output) == ["stopped"]
    assert len(model.requests) == 5
    assert codes(output) == ["tool_not_allowed"] * 5
    stopped = next(interrupts(output)).value
    assert (stopped["code"], stopped["state"], stopped["denials"]) == ("limit_reached", "open", 5)
    assert "5 proposals in a row were denied or refused" in stopped["description"]
    assert trail(graph, thread())[-1] == ("limit", None, "limit_reached")


def test_a_stopped_run_goes_on_when_it_is_resumed(home: Home, run: Runner, desk: Desk) -> None:
    bad = call("order.release", orderId="1")
    model = ScriptedChatModel([call("note.add", text="kept"), *[bad] * 5, call("order.hold", orderId="1"), "done"])
    graph = home.compile(desk.workflow(model))
    assert shown(run(graph, said(), thread())) == ["stopped"]
    output = run(graph, Command(resume="Put it on hold instead."), thread())
    assert (output["state"], output["data"]["notes"]) == ("held", 1)
    assert model.seen[6][-1].content == "Put it on hold instead."
    assert not dangling(output)
    assert [record[0] for record in trail(graph, thread())].count("limit") == 1


def test_a_stopped_run_goes_on_with_a_new_message_too(home: Home, run: Runner, desk: Desk) -> None:
    model = ScriptedChatModel([*[call("nonsense")] * 5, call("order.hold", orderId="1"), "done"])
    graph = home.compile(desk.workflow(model))
    assert shown(run(graph, said(), thread())) == ["stopped"]
    output = run(graph, said("Please hold it"), thread())
    assert output["state"] == "held"
    assert not dangling(output)


def test_a_stopped_run_that_goes_on_looping_is_stopped_again(home: Home, run: Runner, desk: Desk) -> None:
    model = ScriptedChatModel(forever=call("nonsense"))
    graph = home.compile(desk.workflow(model, limits=Limits(denials=2)))
    run(graph, said(), thread())
    output = run(graph, Command(resume=True), thread())
    assert shown(output) == ["stopped"]
    assert len(model.requests) == 4
    assert [record[0] for record in trail(graph, thread())].count("limit") == 2


def test_refusals_count_as_denials_and_a_success_starts_the_count_anew(memory: Home, desk: Desk) -> None:
    refuse = call("note.add", text="refuse")
    model = ScriptedChatModel([refuse, call("nonsense"), call("note.add", text="a"), refuse, call("nonsense"), refuse])
    output = memory.compile(desk.workflow(model, limits=Limits(denials=3))).invoke(said(), thread())
    assert shown(output) == ["stopped"]
    model.assert_exhausted()


def test_the_calls_of_one_turn_are_bounded_even_when_each_succeeds(home: Home, run: Runner, desk: Desk) -> None:
    model = ScriptedChatModel(forever=call("order.get", orderId="1"))
    graph = home.compile(desk.workflow(model, limits=Limits(calls=7)))
    output = run(graph, said(), thread())
    assert shown(output) == ["stopped"]
    assert len(model.requests) == 7
    assert "called 7 times in one turn" in next(interrupts(output)).value["reason"]


def test_each_turn_has_its_own_bounds(memory: Home, desk: Desk) -> None:
    model = ScriptedChatModel([call("nonsense"), "no", call("nonsense"), "no"])
    graph = memory.compile(desk.workflow(model, limits=Limits(denials=2, calls=3)))
    graph.invoke(said(), thread())
    assert shown(graph.invoke(said(), thread())) == []


def test_the_stored_last_result_keeps_its_shape_when_a_run_is_stopped(home: Home, run: Runner, desk: Desk) -> None:
    graph = home.compile(desk.workflow(ScriptedChatModel(forever=call("nonsense"))))
    output = run(graph, said(), thread())
    assert graph.instances.get(thread()).last_result == output["last_result"]
