"""How far a workflow is rolled out, and what being kept in memory means."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from langgraph.types import Command

from interlock import Approval, Confirmation, Mode, SQLCheckpointer, Workflow, WorkflowStore, command
from interlock.testing import ScriptedChatModel, call
from interlock.tools import WorkflowDefinitionError
from tests.commands.approvals.support import ADA, BEN, RULE, Home, Shop, answers, asked, kinds, refund, said, thread


class TestReadOnly:
    def test_commands_are_never_offered(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([call("order.get", orderId="1")], mode="read_only"))
        output = graph.invoke(said(), thread(), context=ADA)
        assert output["next_allowed_tools"] == ["order.get"]
        assert answers(output) == ["ok"]

    def test_one_that_is_named_anyway_is_denied_and_says_why(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund()], approval=RULE, mode=Mode.READ_ONLY))
        output = graph.invoke(said(), thread(), context=ADA)
        assert answers(output) == ["tool_not_allowed"]
        assert "read-only" in output["last_result"]["error"]["message"]
        assert asked(output) == []
        assert shop.ran == []


class TestDryRun:
    def test_a_command_is_answered_with_what_would_happen_and_writes_nothing(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund(), "so be it"], refund_to="closed", mode=Mode.DRY_RUN))
        output = graph.invoke(said(), thread(), context=ADA)
        result = output["last_result"]
        assert result["dryRun"] == {"wouldMoveTo": "closed", "preview": {"balance": {"from": "100", "to": "95"}}}
        assert (result["ok"], result["previousState"], result["currentState"]) == (True, "open", "open")
        assert (output["state"], output["revision"], output["data"]["refunded"]) == ("open", 0, "0")
        assert shop.ran == []
        assert kinds(graph, thread()) == ["started", "dry_run"]

    def test_a_dry_run_is_gated(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund("unpaid")], mode=Mode.DRY_RUN))
        assert answers(graph.invoke(said(), thread(), context=ADA)) == ["check_failed"]

    def test_it_is_approved_and_the_approval_is_used_up(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund(), refund()], approval=RULE, mode=Mode.DRY_RUN))
        (shown,) = asked(graph.invoke(said(), thread(), context=ADA))
        assert shown["mode"] == "dry_run"
        output = graph.invoke(Command(resume="approve"), thread(), context=BEN)
        assert graph.engine.store.approval(shown["approvalId"]).status == "used"
        assert len(asked(output)) == 1  # the second one is asked about for itself
        assert shop.ran == []

    def test_a_dry_run_sends_no_events_and_counts_towards_no_limit(self, shop: Shop, home: Home) -> None:
        from interlock import LimitPerRun

        policy = LimitPerRun(1, [shop.refund])
        graph = home.compile(shop.workflow([refund(), refund()], policies=[policy], mode=Mode.DRY_RUN))
        assert answers(graph.invoke(said(), thread(), context=ADA)) == ["ok", "ok"]

    @pytest.mark.parametrize("effect", ["transactional", "idempotent", "at_most_once"])
    def test_whatever_the_effect_the_body_does_not_run(self, home: Home, effect: str) -> None:
        ran: list[str] = []

        @command("door.open", effect=effect)
        def open_door(name: str) -> bool:
            """Open a door."""
            ran.append(name)
            return True

        flow = Workflow("doors", model=ScriptedChatModel([call("door.open", name="a")], forever="ok"), mode="dry_run")
        flow.add_state("open")
        flow.add_state("done", final=True)
        flow.add_edge("open", open_door, "done")
        graph = home.compile(flow)
        output = graph.invoke(said(), thread(), context=ADA)
        assert output["last_result"]["dryRun"]["wouldMoveTo"] == "done"
        assert ran == []
        first = graph.instances.execute(thread(), "door.open", {"name": "b"}, principal=ADA, idempotency_key="k")
        again = graph.instances.execute(thread(), "door.open", {"name": "b"}, principal=ADA, idempotency_key="k")
        assert again == {**first, "replayed": True}
        assert ran == []

    def test_a_dry_run_executes_reads(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([call("order.get", orderId="1")], mode=Mode.DRY_RUN))
        graph.invoke(said(), thread(), context=ADA)
        assert shop.ran == ["get 1"]

    def test_a_live_result_says_nothing_of_dry_runs(self, shop: Shop, home: Home) -> None:
        output = home.compile(shop.workflow([refund()])).invoke(said(), thread(), context=ADA)
        assert "dryRun" not in output["last_result"]


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(WorkflowDefinitionError, match="'half'; it is one of read_only, dry_run, live"):
        Workflow("shop", mode="half")


def doors(*, approval: Any = None, annotations: Any = None) -> Workflow:
    @command("door.blow.up", annotations=annotations)
    def blow_up(name: str) -> bool:
        """Blow up a door."""
        return bool(name)

    flow = Workflow("doors", model=ScriptedChatModel([call("door.blow.up", name="a")], forever="ok"))
    flow.add_state("open")
    flow.add_state("done", final=True)
    flow.add_edge("open", blow_up, "done", approval=approval)
    return flow


MARKED = {"destructiveHint": True}


class TestInMemory:
    def test_a_workflow_in_memory_logs_a_warning(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING, "interlock"):
            doors().compile()
        assert "'doors' is kept in this process's memory" in caplog.text

    def test_a_workflow_with_a_database_logs_no_warning(self, caplog: pytest.LogCaptureFixture, home: Home) -> None:
        with caplog.at_level(logging.WARNING, "interlock"):
            home.compile(doors(annotations=MARKED))
        assert caplog.text == ""

    @pytest.mark.parametrize("approval", [None, Approval(when=lambda name: name != "a")])
    def test_a_destructive_tool_in_memory_is_refused(self, approval: Any) -> None:
        with pytest.raises(WorkflowDefinitionError, match=r"door\.blow\.up.*destructive_in_memory=True"):
            doors(annotations=MARKED, approval=approval).compile()

    def test_a_destructive_tool_in_memory_is_allowed_by_an_option(self) -> None:
        graph = doors(annotations=MARKED).compile(destructive_in_memory=True)
        assert graph.invoke(said(), thread())["state"] == "done"

    @pytest.mark.parametrize("approval", [True, Confirmation()])
    def test_a_destructive_tool_in_memory_is_allowed_with_an_approval(self, approval: Any) -> None:
        graph = doors(annotations=MARKED, approval=approval).compile()
        assert len(asked(graph.invoke(said(), thread()))) == 1

    def test_a_command_whose_author_said_nothing_runs(self) -> None:
        """MCP takes every tool for destructive of which nothing is said; that is no mark of the author's."""
        contract = doors().definition().contracts["door.blow.up"]
        assert contract.annotations.destructive_hint is True
        assert doors().compile().invoke(said(), thread())["state"] == "done"

    @pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
    def test_a_database_in_memory_is_memory_too(self, url: str) -> None:
        saver = SQLCheckpointer(url)
        with pytest.raises(WorkflowDefinitionError, match="kept in memory"):
            doors(annotations=MARKED).compile(saver)
        saver.close()
        assert not WorkflowStore.in_memory().is_durable

    def test_the_smallest_workflow_works_as_it_is(self) -> None:
        graph = doors(approval=True).compile()
        graph.invoke(said(), thread())
        assert graph.invoke(Command(resume="approve"), thread())["state"] == "done"
