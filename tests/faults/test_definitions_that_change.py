"""Instances that were begun under another definition of their workflow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from interlock import Principal, SQLCheckpointer, ToolContext, Workflow, command
from interlock.tools import (
    DefinitionChanged,
    ErrorCode,
    IdempotencyError,
    OutcomeUnknown,
    UnknownState,
    WorkflowDefinitionError,
)

HERE = {"configurable": {"thread_id": "t-1"}}


class Case(BaseModel):
    """The data."""

    steps: list[str] = []


@command("case.take", effect="transactional")
def take(ctx: ToolContext[Case]) -> str:
    """Take the case."""
    ctx.data.steps.append("take v1")
    return "taken"


@command("case.take", version=2, effect="transactional")
def take_with_reason(ctx: ToolContext[Case], reason: str | None = None) -> str:
    """Take the case, and say why."""
    ctx.data.steps.append(f"take v2: {reason}")
    return "taken"


@command("case.take", version=3, effect="transactional")
def take_anew(ctx: ToolContext[Case], reason: str | None = None) -> str:
    """Take the case once more."""
    ctx.data.steps.append(f"take v3: {reason}")
    return "taken"


@command("case.close", effect="transactional")
def close(ctx: ToolContext[Case]) -> str:
    """Close the case."""
    ctx.data.steps.append("close")
    return "closed"


@pytest.fixture
def saver(sqlite_url: str) -> Iterator[SQLCheckpointer]:
    with SQLCheckpointer(sqlite_url) as opened:
        yield opened


def case(version: int, edges: list[tuple[str, Any, str]], **options: Any) -> Workflow:
    final = options.pop("final", "closed")
    flow = Workflow("case", version=version, data=options.pop("data", Case), **options)
    for name in dict.fromkeys(state for source, _, target in edges for state in (source, target)):
        flow.add_state(name, final=name == final)
    for source, tool, target in edges:
        flow.add_edge(source, tool, target)
    return flow


FIRST = [("new", take, "taken"), ("taken", close, "closed")]


def begun(saver: SQLCheckpointer) -> None:
    graph = case(1, FIRST).compile(saver)
    graph.invoke({"messages": []}, HERE)
    assert graph.instances.execute(HERE, "case.take", {})["ok"]


def test_an_instance_goes_on_under_a_definition_that_kept_its_state_and_edges(saver: SQLCheckpointer) -> None:
    begun(saver)
    newer = case(
        2, [("new", take_with_reason, "taken"), ("taken", close, "closed"), ("taken", take_with_reason, "taken")]
    )
    graph = newer.compile(saver)

    assert graph.instances.execute(HERE, "case.close", {})["ok"]

    instance = graph.instances.get(HERE)
    assert (instance.workflow_version, instance.state) == (2, "closed")
    migration, transition = graph.instances.audit(HERE)[-2:]
    assert (migration.kind.value, transition.kind.value) == ("migration", "transition")
    moved: Any = migration.payload
    assert {name: (one["version"], one["state"]) for name, one in moved.items() if name in {"from", "to"}} == {
        "from": (1, "taken"),
        "to": (2, "taken"),
    }
    assert moved["to"]["definition"] == instance.definition != moved["from"]["definition"]
    assert graph.engine.store.verify(instance.workflow_id) == []


def test_an_unknown_state_is_an_error_that_says_the_way_out_and_the_way_out_works(saver: SQLCheckpointer) -> None:
    begun(saver)
    renamed = [("new", take, "held"), ("held", close, "closed")]

    with pytest.raises(UnknownState, match="state_mapping"):
        case(2, renamed).compile(saver).instances.execute(HERE, "case.close", {})

    assert case(1, FIRST).compile(saver).instances.get(HERE).state == "taken"
    graph = case(2, renamed, state_mapping={"taken": "held"}).compile(saver)
    graph.invoke({"messages": [("user", "go on")]}, HERE)
    assert graph.instances.get(HERE).state == "held"
    assert graph.instances.execute(HERE, "case.close", {})["currentState"] == "closed"


def test_a_call_from_outside_that_brings_an_instance_to_a_new_version_is_no_conflict_with_itself(
    saver: SQLCheckpointer,
) -> None:
    begun(saver)
    instances = (
        case(2, [("new", take, "held"), ("held", close, "closed")], state_mapping={"taken": "held"})
        .compile(saver)
        .instances
    )
    before = instances.get(HERE)

    done = instances.propose(HERE, "case.close", {}, principal=Principal.ANONYMOUS, key="close")

    assert done.current_state == "closed"
    assert instances.get(HERE).revision == before.revision + 2


def test_edges_that_are_gone_are_not_silently_lost(saver: SQLCheckpointer) -> None:
    begun(saver)
    changed = [("new", take, "taken"), ("taken", take, "checked"), ("checked", close, "closed")]

    with pytest.raises(DefinitionChanged, match=r"no longer has case\.close to 'closed'"):
        case(2, changed).compile(saver).instances.execute(HERE, "case.take", {})

    graph = case(2, changed, state_mapping={"taken": "taken"}).compile(saver)
    assert graph.instances.execute(HERE, "case.take", {})["currentState"] == "checked"


def test_a_state_that_becomes_final_or_is_final_no_more_is_not_entered_silently(saver: SQLCheckpointer) -> None:
    begun(saver)
    with pytest.raises(DefinitionChanged, match="it was not final and is"):
        case(2, [("new", take, "taken")], final="taken").compile(saver).instances.execute(HERE, "case.take", {})


def test_an_instance_that_is_mapped_to_a_final_state_is_finished(saver: SQLCheckpointer) -> None:
    begun(saver)
    graph = case(2, [("new", take, "closed")], state_mapping={"taken": "closed"}).compile(saver)
    assert not graph.instances.execute(HERE, "case.take", {})["ok"]  # which has the row follow the definition
    instance = graph.instances.get(HERE)
    assert (instance.state, instance.finished) == ("closed", True)


def test_a_state_is_not_renamed_under_an_effect_whose_outcome_is_unknown(saver: SQLCheckpointer) -> None:
    @command("case.send", effect="at_most_once")
    def send() -> str:
        """Send it."""
        raise ConnectionError

    graph = case(1, [("new", send, "closed")]).compile(saver)
    graph.invoke({"messages": []}, HERE)
    with pytest.raises(OutcomeUnknown):
        graph.instances.execute(HERE, "case.send", {})
    renamed = case(2, [("fresh", send, "closed")], state_mapping={"new": "fresh"}).compile(saver)
    with pytest.raises(DefinitionChanged, match="an effect outside the database"):
        renamed.instances.execute(HERE, "case.send", {})
    assert renamed.instances.get(HERE).state == "new"


def test_an_older_release_leaves_alone_what_a_newer_one_moved_on(saver: SQLCheckpointer) -> None:
    begun(saver)
    newer = case(2, [("new", take_with_reason, "taken"), *FIRST[1:], ("taken", take_with_reason, "taken")])
    assert newer.compile(saver).instances.execute(HERE, "case.take", {"reason": "mine"})["ok"]

    older = case(1, FIRST).compile(saver)
    with pytest.raises(DefinitionChanged, match="version 2"):
        older.instances.execute(HERE, "case.close", {})
    with pytest.raises(DefinitionChanged):
        older.invoke({"messages": [("user", "go on")]}, HERE)

    assert older.instances.get(HERE).data["steps"] == ["take v1", "take v2: mine"]


def test_two_versions_of_a_contract_work_side_by_side(saver: SQLCheckpointer) -> None:
    first, second = (
        case(1, FIRST).compile(saver),
        case(2, [("new", take_with_reason, "taken"), *FIRST[1:]]).compile(saver),
    )
    for thread, graph in (("old", first), ("new", second)):
        config = {"configurable": {"thread_id": thread}}
        graph.invoke({"messages": []}, config)
        graph.instances.execute(config, "case.take", {})

    assert first.instances.get({"configurable": {"thread_id": "old"}}).data["steps"] == ["take v1"]
    assert second.instances.get({"configurable": {"thread_id": "new"}}).data["steps"] == ["take v2: None"]


def test_a_key_is_the_same_command_across_releases(saver: SQLCheckpointer) -> None:
    graph = case(1, FIRST).compile(saver)
    graph.invoke({"messages": []}, HERE)
    stored = graph.instances.execute(HERE, "case.take", {}, idempotency_key="k")
    newer = case(2, [("new", take_with_reason, "taken"), *FIRST[1:]]).compile(saver)

    again = newer.instances.execute(HERE, "case.take", {}, idempotency_key="k")

    assert again["replayed"] is True
    assert again["auditRef"] == stored["auditRef"]


def test_a_key_of_an_earlier_release_is_not_for_other_arguments(saver: SQLCheckpointer) -> None:
    graph = case(1, [("new", take_with_reason, "taken"), *FIRST[1:]]).compile(saver)
    graph.invoke({"messages": []}, HERE)
    graph.instances.execute(HERE, "case.take", {"reason": "mine"}, idempotency_key="k")
    newer = case(2, [("new", take_anew, "taken"), *FIRST[1:]]).compile(saver)

    again = newer.instances.execute(HERE, "case.take", {"reason": "mine"}, idempotency_key="k")
    assert again["replayed"] is True
    with pytest.raises(IdempotencyError):
        newer.instances.execute(HERE, "case.take", {"reason": "yours"}, idempotency_key="k")


def test_data_that_the_new_model_cannot_read_is_a_clear_error(saver: SQLCheckpointer) -> None:
    class Stricter(BaseModel):
        steps: list[str]
        owner: str

    begun(saver)

    with pytest.raises(DefinitionChanged, match="owner") as raised:
        case(2, FIRST, data=Stricter).compile(saver).instances.execute(HERE, "case.close", {})
    assert raised.value.code not in {*ErrorCode}


def test_a_mapping_to_no_state_is_refused_when_the_workflow_is_compiled() -> None:
    with pytest.raises(WorkflowDefinitionError, match="does not have"):
        case(2, FIRST, state_mapping={"old": "nowhere"}).compile()
