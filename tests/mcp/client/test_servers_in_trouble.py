"""Servers that die, hang, never start: nothing is repeated that must not be, and what is not known is said so."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from interlock import RetryPolicy, SQLCheckpointer
from interlock.tools.errors import AnswerLost, Refused, ServerUnavailable
from tests.mcp.client.support import ADA, SAID, Bank, graph_of, thread

QUICK = RetryPolicy(attempts=3, initial=0.0)


def stop(bank: Bank) -> None:
    """Kill the server that runs now."""
    os.kill(bank.read("starts")[-1]["pid"], signal.SIGKILL)


class TestAServerThatDies:
    @pytest.mark.parametrize("when", ["before", "after"])
    def test_in_the_middle_of_a_call_that_must_not_be_repeated_a_person_has_to_say_what_became_of_it(
        self, when: str, bank: Bank, saver: SQLCheckpointer
    ) -> None:
        graph = graph_of(bank.tools().contract("transfer"), {"amount": 3}, saver=saver)
        bank.behave(on={"transfer": {"dies": when}})

        assert unresolved(graph.invoke(SAID, thread(), context=ADA))

        bank.behave()
        assert unresolved(graph.invoke(None, thread(), context=ADA))
        assert bank.charged == ([] if when == "before" else [3])
        assert len(bank.calls) == 1

    async def test_it_is_so_in_an_asynchronous_run_too(self, bank: Bank, saver: SQLCheckpointer) -> None:
        graph = graph_of(bank.tools().contract("transfer"), {"amount": 3}, saver=saver)
        bank.behave(on={"transfer": {"dies": "after"}})

        assert unresolved(await graph.ainvoke(SAID, thread(), context=ADA))

        assert (bank.charged, len(bank.calls)) == ([3], 1)

    def test_a_call_that_may_be_repeated_is_under_the_same_key_and_charged_once(
        self, bank: Bank, saver: SQLCheckpointer
    ) -> None:
        contract = bank.tools(idempotent=["transfer"], retry=QUICK).contract("transfer")
        bank.behave(on={"transfer": {"dies": "once"}})

        state = graph_of(contract, {"amount": 3}, saver=saver).invoke(SAID, thread(), context=ADA)

        assert state["last_result"]["output"] == {"left": 97}
        assert bank.charged == [3]
        assert len({sent["_meta"]["io.github.langgraph-interlock/idempotencyKey"] for sent in bank.calls}) == 1
        assert len(bank.calls) == 2

    def test_a_read_is_repeated_as_its_policy_says(self, bank: Bank, saver: SQLCheckpointer) -> None:
        contract = bank.tools(retry=QUICK).contract("get-balance")
        bank.behave(on={"get-balance": {"dies": "once"}})

        state = graph_of(contract, {"account": "a"}, saver=saver).invoke(SAID, thread(), context=ADA)

        assert state["last_result"]["ok"] is True

    def test_between_two_calls_it_is_found_again(self, bank: Bank) -> None:
        contract = bank.tools().contract("transfer")
        contract.call({"amount": 1})

        stop(bank)

        assert contract.call({"amount": 2}) == {"left": 97}
        assert len(bank.read("starts")) == 2
        assert bank.charged == [1, 2]

    def test_while_its_listing_holds_it_is_found_again_too_and_nothing_is_called_twice(self, bank: Bank) -> None:
        bank.behave(ttlMs=60_000)
        contract = bank.tools().contract("transfer")
        contract.call({"amount": 1})

        stop(bank)
        try:
            found = contract.call({"amount": 2})
        except AnswerLost:  # it was written to the process before anybody had noticed its end
            found = contract.call({"amount": 2})

        assert found == {"left": 97}
        assert bank.charged == [1, 2]

    def test_after_an_answer_was_lost_the_next_call_finds_it_again(self, bank: Bank) -> None:
        contract = bank.tools().contract("transfer")
        bank.behave(on={"transfer": {"dies": "once"}})

        with pytest.raises(AnswerLost, match="It is unknown whether the call was executed"):
            contract.call({"amount": 1})

        assert contract.call({"amount": 2}) == {"left": 97}


class TestAServerThatHangs:
    def test_a_read_is_answered_with_a_timeout(self, bank: Bank, saver: SQLCheckpointer) -> None:
        contract = bank.tools(timeout=0.3).contract("get-balance")
        bank.behave(on={"get-balance": {"hangs": "before"}})

        state = graph_of(contract, {"account": "a"}, saver=saver).invoke(SAID, thread(), context=ADA)

        error = state["last_result"]["error"]
        assert error["code"] == "timeout"
        assert "within 0.3 s" in error["message"]

    def test_of_a_command_it_is_not_known_whether_it_was_carried_out(self, bank: Bank, saver: SQLCheckpointer) -> None:
        contract = bank.tools(timeout=0.3).contract("transfer")
        bank.behave(on={"transfer": {"hangs": "after"}})

        assert unresolved(graph_of(contract, {"amount": 3}, saver=saver).invoke(SAID, thread(), context=ADA))

        assert bank.charged == [3]

    def test_a_call_that_may_be_repeated_is_charged_once(self, bank: Bank, saver: SQLCheckpointer) -> None:
        contract = bank.tools(idempotent=["transfer"], retry=QUICK, timeout=0.5).contract("transfer")
        bank.behave(on={"transfer": {"hangs": "once"}})

        state = graph_of(contract, {"amount": 3}, saver=saver).invoke(SAID, thread(), context=ADA)

        assert state["last_result"]["output"] == {"left": 97}
        assert bank.charged == [3]

    def test_the_server_is_told_that_nobody_waits_any_more(self, bank: Bank) -> None:
        bank.behave(on={"transfer": {"hangs": "before"}})

        with pytest.raises(TimeoutError):
            bank.tools(timeout=0.3).contract("transfer").call({"amount": 1})

        until(lambda: "notifications/cancelled" in [entry["method"] for entry in bank.read("requests")])

    def test_one_that_does_not_come_back_is_started_anew(self, bank: Bank) -> None:
        contract = bank.tools(timeout=0.3, connect_timeout=2).contract("transfer")
        bank.behave(on={"transfer": {"hangs": "once"}})
        with pytest.raises(TimeoutError):
            contract.call({"amount": 1})
        os.kill(bank.read("starts")[-1]["pid"], signal.SIGSTOP)

        assert contract.call({"amount": 2}) == {"left": 98}
        assert len(bank.read("starts")) == 2

    async def test_a_call_that_is_cancelled_is_cancelled_at_the_server(self, bank: Bank) -> None:
        bank.behave(on={"transfer": {"hangs": "before"}})
        calling = asyncio.create_task(bank.tools().contract("transfer").acall({"amount": 1}))
        await asyncio.to_thread(until, lambda: bank.calls)

        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling

        await asyncio.to_thread(
            until, lambda: "notifications/cancelled" in [entry["method"] for entry in bank.read("requests")]
        )


class TestAServerThatIsNotThere:
    @pytest.mark.parametrize(
        ("behaviour", "said"),
        [
            ({"complains": "no database at port 1"}, "no database at port 1"),
            ({"silent": True}, "did not answer within 0.5 s"),
            ({"listing_hangs": True}, "did not list its tools within 0.5 s"),
        ],
    )
    def test_nothing_was_sent_and_the_error_says_why(
        self, behaviour: dict[str, Any], said: str, bank: Bank, saver: SQLCheckpointer
    ) -> None:
        bank.behave(**behaviour)
        patience = 20.0 if "complains" in behaviour else 0.5
        contract = bank.tools(connect_timeout=patience).contract("transfer")

        state = graph_of(contract, {"amount": 3}, saver=saver).invoke(SAID, thread(), context=ADA)

        error = state["last_result"]["error"]
        assert (error["code"], error["retryable"]) == ("refused", True)
        assert error["details"]["reason"] == "mcp_server_unavailable"
        assert said in error["message"]
        assert "No call was sent" in error["message"]

    def test_a_command_that_does_not_exist_is_said(self, bank: Bank) -> None:
        from interlock.mcp import MCPTools

        contract = MCPTools("bank", ["/does/not/exist"], lock=bank.lock).contract("transfer")

        with pytest.raises(Refused, match="cannot be started"):
            contract.call({"amount": 3})

    def test_a_repeated_call_is_not_said_to_have_done_nothing(self, bank: Bank, saver: SQLCheckpointer) -> None:
        contract = bank.tools(idempotent=["transfer"], retry=QUICK).contract("transfer")
        graph = graph_of(contract, {"amount": 3}, saver=saver)
        bank.behave(on={"transfer": {"dies": "after"}}, starts=1)

        state = graph.invoke(SAID, thread(), context=ADA)

        assert unresolved(state)
        assert (bank.charged, len(bank.calls)) == ([3], 1)

    def test_a_review_says_so_too(self, bank: Bank) -> None:
        bank.behave(complains="no licence")

        with pytest.raises(ServerUnavailable, match="no licence"):
            bank.tools().listing()


def until(done: Callable[[], Any]) -> None:
    """Wait for what another process does."""
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def unresolved(state: dict[str, Any]) -> bool:
    """Whether a person is asked what became of an attempt."""
    return [stop.value["type"] for stop in state.get("__interrupt__", ())] == ["outcome_unknown"]
