"""What goes out into a trace: masked, narrowed down, and never more than was meant to."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.types import Command
from langsmith import traceable
from pydantic import BaseModel

from interlock import Workflow, read
from interlock.testing import ScriptedChatModel, TraceSink, call
from interlock.tracing import InterlockTracer, Outgoing
from interlock.tracing.client import GuardedClient
from tests.tracing.support import ADA, BEN, HUMAN, PLANTED, Shop, arrived, config, script

TOKEN = "sk-" + "a1" * 16


def _mask(value: Any, **options: Any) -> Any:
    return Outgoing(**options).mask().value(value)


@pytest.mark.parametrize(
    "value",
    [
        {"password": PLANTED},
        {"deep": [{"api_key": PLANTED}]},
        {"iban": PLANTED},
        {"customer": {"address": {"zip": PLANTED}}},
        {"arguments": '{"iban": "' + PLANTED + '"}'},
        ToolMessage('{"output": {"password": "' + PLANTED + '"}}', tool_call_id="1"),
        AIMessage("", tool_calls=[{"name": "pay", "args": {"iban": PLANTED}, "id": "1", "type": "tool_call"}]),
        Command(update={"secret": PLANTED}),
        f"https://me:{PLANTED}@host/path",
        f"Authorization: Bearer {PLANTED}",
        f"it failed with password={PLANTED}",
        object.__new__(type("Anything", (), {"__repr__": lambda _: PLANTED})),
        [{"iban": PLANTED}, f"the account {PLANTED} is closed"],
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_secret_does_not_go_out_wherever_it_stands(value: Any) -> None:
    masked = _mask(value, sensitive=["iban", "customer.address.zip"])

    assert PLANTED not in str(masked)


def test_what_is_no_secret_goes_out_as_it_is() -> None:
    value = {
        "caseId": "77",
        "amount": decimal.Decimal("5.00"),
        "at": dt.date(2026, 1, 1),
        "tokenCount": 7,
        "none": None,
    }

    assert _mask(value) == value


def test_the_value_that_is_masked_is_left_alone() -> None:
    value = {"password": "x" * 10, "items": [{"password": "y" * 10}]}
    _mask(value)

    assert value == {"password": "x" * 10, "items": [{"password": "y" * 10}]}


@settings(max_examples=40, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_whatever_it_is_given_it_gives_plain_data(value: Any) -> None:
    import json

    json.dumps(_mask(value))


def test_models_dataclasses_and_messages_become_plain_data() -> None:
    class Inner(BaseModel):
        name: str = "n"

    @dataclasses.dataclass
    class Outer:
        inner: Inner
        at: uuid.UUID

    identity = uuid.uuid4()
    assert _mask(Outer(Inner(), identity)) == {"inner": {"name": "n"}, "at": identity}
    assert _mask(HumanMessage("hi"))["content"] == "hi"


def test_only_allowed_fields_of_tools_and_data_go_out() -> None:
    masked = _mask(
        {
            "arguments": {"caseId": "77", "note": "private", "n": 5},
            "output": {"caseId": "77", "who": "x"},
            "state": "open",
        },
        allow=["caseId"],
    )

    assert masked == {
        "arguments": {"caseId": "77", "note": "(withheld)", "n": "(withheld)"},
        "output": {"caseId": "77", "who": "(withheld)"},
        "state": "open",
    }


def test_the_conversation_can_be_kept_out_altogether(sink: TraceSink, client: Any) -> None:
    model = ScriptedChatModel([call("order.get", orderId="W1"), f"said {HUMAN}"])
    graph = Shop().flow(model).compile()
    tracer = InterlockTracer(client=client, outgoing=Outgoing(conversation=False))
    graph.invoke({"messages": [("user", HUMAN)]}, config(callbacks=[tracer]), context=ADA)
    runs = arrived(sink, client)

    assert HUMAN not in sink.text
    (looked,) = (run for run in runs if run.name == "order.get")
    assert looked.inputs["arguments"] == {"orderId": "W1"}
    assert looked.outputs["result"]["output"]["orderId"] == "W1"


def test_without_being_told_so_the_conversation_goes_out(sink: TraceSink, client: Any) -> None:
    graph = Shop().flow(ScriptedChatModel(["hello"])).compile()
    graph.invoke({"messages": [("user", HUMAN)]}, config(callbacks=[InterlockTracer(client=client)]), context=ADA)
    arrived(sink, client)

    assert HUMAN in sink.text


def test_what_stands_in_configurable_stays_at_home(sink: TraceSink, traced: Any) -> None:
    graph = Shop().flow(ScriptedChatModel(["hello"])).compile()
    given: Any = {"configurable": {"thread_id": "t-1", "customer_note": PLANTED}, "metadata": {"campaign": "may"}}
    graph.invoke({"messages": [("user", "hi")]}, given, context=ADA)
    runs = arrived(sink, traced)

    assert PLANTED not in sink.text
    assert {run.metadata["campaign"] for run in runs} == {"may"}
    assert {run.metadata["thread_id"] for run in runs} == {"t-1"}


def test_a_tool_that_quotes_a_sensitive_argument_in_its_refusal_tells_no_trace(sink: TraceSink, traced: Any) -> None:
    model = ScriptedChatModel([call("order.charge", orderId="W1", amount="900", card=PLANTED), "sorry"])
    graph = Shop().flow(model).compile()
    graph.invoke({"messages": [("user", "charge")]}, config(), context=ADA)
    graph.invoke(Command(resume={"type": "approve"}), config(), context=BEN)
    runs = arrived(sink, traced)

    (denied,) = (run for run in runs if run.name == "denied: order.charge")
    assert denied.metadata["denial_code"] == "refused"
    assert denied.metadata["denial_reason"] == "the card *** is declined"
    assert PLANTED not in sink.text


def test_functions_that_tools_trace_by_themselves_are_masked_too(sink: TraceSink, traced: Any) -> None:
    @traceable(name="inside")
    def inside(password: str) -> dict[str, str]:
        return {"echo": password}

    @read("vault.open")
    def look(name: str) -> str:
        """Look into the vault."""
        return str(len(inside(PLANTED)))

    flow = Workflow("vault", model=ScriptedChatModel([call("vault.open", name="x")]))
    flow.add_state("open")
    flow.add_state("shut", final=True)
    flow.add_edge("open", look, "shut")
    flow.compile().invoke({"messages": [("user", "go")]}, config(), context=ADA)
    runs = arrived(sink, traced)

    (inner,) = (run for run in runs if run.name == "inside")
    assert sink.run(str(inner.parent_id)).name == "vault.open"
    assert inner.inputs == {"password": "***"}
    assert PLANTED not in sink.text


def test_errors_are_masked(sink: TraceSink, traced: Any) -> None:
    failure = RuntimeError(f"cannot reach https://me:{PLANTED}@model with {TOKEN}")
    graph = Shop().flow(ScriptedChatModel([failure])).compile()
    with pytest.raises(RuntimeError):
        graph.invoke({"messages": [("user", "go")]}, config(), context=ADA)
    runs = arrived(sink, traced)

    assert any("cannot reach" in (run.error or "") for run in runs)
    assert PLANTED not in sink.text
    assert TOKEN not in sink.text


def test_what_cannot_be_masked_does_not_go_out(caplog: pytest.LogCaptureFixture) -> None:
    class Kept:
        def __init__(self) -> None:
            self.sent: list[Any] = []

        def create_run(self, name: str, inputs: Any, run_type: str, **fields: Any) -> None:
            self.sent.append((name, inputs, fields))

    class Hostile(dict[str, Any]):
        def items(self) -> Any:
            raise RuntimeError("no")

    kept = Kept()
    GuardedClient(kept, Outgoing()).create_run("n", Hostile(password=PLANTED), "chain", error=PLANTED, trace_id="t")

    assert PLANTED not in str(kept.sent)
    assert "could not be masked" in caplog.text


def test_the_same_script_with_and_without_masking_does_the_same(sink: TraceSink, traced: Any) -> None:
    shop = Shop()
    graph = shop.flow(script()).compile()
    graph.invoke({"messages": [("user", "go")]}, config(), context=ADA)
    output = graph.invoke(Command(resume={"type": "approve"}), config(), context=BEN)
    arrived(sink, traced)

    assert output["state"] == "sent"
    assert graph.instances.audit(config())[0].kind == "started"
    proposals = [message for message in output["messages"] if isinstance(message, AIMessage) and message.tool_calls]
    assert proposals[2].tool_calls[0]["args"]["card"] == PLANTED
