"""Small decisions around a run: which instance a config names, who proposes, what a tool's stream has around it, which keys are known."""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import Any

import pytest
import sqlalchemy as sa
from langchain_core.runnables.config import var_child_runnable_config
from pydantic import AliasChoices, AliasPath, BaseModel, Field

from interlock import Principal, ToolContext, Workflow, WorkflowStore, command
from interlock.commands.instances.given_data import unknown_keys
from interlock.commands.proposals.streaming import stream_for_tools, written
from interlock.commands.running import broken_rules
from interlock.commands.running.proposing import take_turn
from interlock.commands.running.scope import RUNTIME, workflow_id_of
from interlock.rules.view import GuardView
from interlock.tools import MissingThreadId
from interlock.tools.errors import RuleError

ANN, BOB = Principal("ann", tenant="acme"), Principal("bob", tenant="acme")


@command("order.note", effect="transactional")
def note(ctx: ToolContext) -> str:
    """Note it in a table of its own."""
    ctx.session.execute(sa.text("CREATE TABLE notes (note TEXT)"))
    ctx.session.execute(sa.text("INSERT INTO notes VALUES ('done')"))
    return "noted"


def flow() -> Workflow:
    return Workflow("orders").add_state("open").add_edge("open", note, "open")


@pytest.mark.parametrize("thread", [None, ""])
def test_a_config_without_a_thread_names_no_instance(thread: Any) -> None:
    with pytest.raises(MissingThreadId, match="without saying which instance"):
        workflow_id_of({"thread_id": thread}, "orders")
    assert workflow_id_of({"thread_id": 0}, "orders") == workflow_id_of({"thread_id": "0"}, "orders")


def test_only_somebody_of_the_same_tenant_becomes_the_proposer_and_is_written_once() -> None:
    store = WorkflowStore.in_memory()
    graph = flow().compile(workflow_store=store, destructive_in_memory=True)
    workflow_id = graph.instances.start(principal=ANN).workflow_id
    begun = graph.instances.get(workflow_id)

    take_turn(store, begun, Principal("bob", tenant="other"))
    assert graph.instances.get(workflow_id).proposer_text == begun.proposer_text
    take_turn(store, begun, BOB)
    taken = graph.instances.get(workflow_id)
    assert "bob" in str(taken.proposer_text)
    take_turn(store, begun, BOB)
    assert graph.instances.get(workflow_id) == taken


def test_a_tool_that_streams_outside_a_graph_keeps_the_config_around_it() -> None:
    chunks: list[Any] = []
    token = var_child_runnable_config.set({"tags": ["nightly"], "configurable": {"region": "eu"}})
    receiver = written.set(chunks.append)
    try:
        with stream_for_tools():
            around: Any = var_child_runnable_config.get()
            around["configurable"][RUNTIME].stream_writer("half")
            assert (around["tags"], around["configurable"]["region"]) == (["nightly"], "eu")
            with stream_for_tools():
                assert var_child_runnable_config.get() is around, "a graph has its own"
        assert var_child_runnable_config.get() == {"tags": ["nightly"], "configurable": {"region": "eu"}}
    finally:
        written.reset(receiver)
        var_child_runnable_config.reset(token)
    assert chunks == ["half"]


def test_on_sqlite_a_tool_may_create_a_table_in_its_transaction() -> None:
    graph = flow().compile(workflow_store=WorkflowStore.in_memory(), destructive_in_memory=True)
    workflow_id = graph.instances.start(principal=ANN).workflow_id
    assert graph.instances.execute(workflow_id, "order.note", {}, principal=ANN)["ok"]


class Order(BaseModel):
    order_id: str = Field("", alias="orderId")
    total: int = Field(0, validation_alias=AliasChoices("sum", AliasPath("totals", 0)))
    note: str = Field("", validation_alias="remark")


def test_a_key_is_known_by_its_name_and_by_every_alias() -> None:
    known = ["order_id", "orderId", "total", "sum", "totals", "note", "remark"]
    assert unknown_keys(Order, dict.fromkeys([*known, "colour", "None"])) == ["colour", "None"]


def test_each_rule_that_breaks_is_reported_once_at_a_revision(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broken_rules, "_REMEMBERED", 2)
    monkeypatch.setattr(broken_rules, "_told", OrderedDict())

    def told(rule: str, revision: int = 1) -> int:
        caplog.clear()
        broken_rules.report_once(RuleError(f"{rule} broke", rule=rule), GuardView("wf_1", "open", None, ANN, revision))
        return len(caplog.records)

    with caplog.at_level(logging.ERROR, "interlock"):
        assert [told("a guard"), told("a policy"), told("a guard"), told("a policy")] == [1, 1, 0, 0]
        assert told("a guard", revision=2) == 1
        assert told("a guard", revision=2) == 0, "the newest is remembered"
        assert told("a guard") == 1, "the oldest was forgotten"
