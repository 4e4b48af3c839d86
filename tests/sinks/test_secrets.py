"""A secret is known by the field that it stands in, and masked by its value wherever else it is quoted."""

import contextlib
import json
import logging
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage
from langgraph.types import Command
from pydantic import AfterValidator, BaseModel

from interlock import (
    Approval,
    ApprovalEvent,
    Principal,
    Refused,
    ToolContext,
    TransitionEvent,
    Workflow,
    command,
    parse_event,
)
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import InterlockError
from interlock.tools.redaction import MASK, Secrets, hide_fields, is_named, redact
from interlock.tracing import Outgoing

PAN, WRONG, BLOCKED, STORED = "4111111111111111", "4111111111111112", "4111111111111113", "hunter2-stored"
ADA, BEN = Principal("ada"), Principal("ben", roles={"supervisor"})


class Data(BaseModel):
    password: str = STORED
    card_number: str = PAN


def number(value: str) -> str:
    if value.endswith("2"):
        raise ValueError(f"{value} is no card number")
    return value


def not_blocked(card_number: str) -> bool | str:
    return True if not card_number.endswith("3") else f"the card {card_number} is blocked"


def charge(card_number: str) -> str:
    return f"charge {card_number}"


@command("pay.card", effect="transactional", sensitive=["card_number"], check=not_blocked, preview=charge)
def pay(card_number: Annotated[str, AfterValidator(number)], amount: int, ctx: ToolContext) -> dict[str, str]:
    """Pay by card."""
    if amount == 13:
        raise Refused(f"declined {card_number}", details={"cardNumber": card_number, "apiKey": "sk-live-0123456"})
    if amount == 14:
        raise RuntimeError(f"the gateway said no to {card_number}, and {ctx.data.password}")
    return {"card_number": card_number, "note": f"charged {card_number}"}


@command("desk.close", effect="transactional")
def close() -> str:
    """Close the desk."""
    return "closed"


def broken(text: str) -> AIMessage:
    return AIMessage(
        "",
        invalid_tool_calls=[{"name": "pay_card", "args": text, "id": "x", "error": None, "type": "invalid_tool_call"}],
    )


def ran(script: list[Any], *answers: Any, approval: Any = None) -> tuple[str, str]:
    """The trail and the last answer, as text."""
    flow = Workflow("desk", data=Data, model=ScriptedChatModel(script, forever="Done."))
    flow.add_state("open")
    flow.add_state("closed", final=True)
    flow.add_edge("open", pay, "open", approval=approval)
    flow.add_edge("open", close, "closed")
    graph, config = flow.compile(), {"configurable": {"thread_id": "t"}}
    out = graph.invoke({"messages": [("user", "x")]}, config, context=ADA)
    for answer in answers:
        approval_id = out["__interrupt__"][0].value["approvalId"]
        with contextlib.suppress(InterlockError):
            graph.instances.decide(approval_id, answer, by=BEN)
    records = graph.instances.audit(config)
    return json.dumps([record.payload for record in records]), json.dumps(out.get("last_result"))


CASES: dict[str, list[Any]] = {
    "carried out": [call("pay.card", cardNumber=PAN, amount=1)],
    "a validator quotes it": [call("pay.card", cardNumber=WRONG, amount=1)],
    "a check quotes it": [call("pay.card", cardNumber=BLOCKED, amount=1)],
    "a refusal quotes it": [call("pay.card", cardNumber=PAN, amount=13)],
    "the tool fails": [call("pay.card", cardNumber=PAN, amount=14)],
    "an unknown tool": [call("pay.crd", cardNumber=PAN, amount=1)],
    "beside a field that it is not": [call("pay.card", cardNumber=PAN, amount=1, x={"cardNumber": PAN})],
    "under a wrong name": [call("pay.card", cardNumbers=PAN, amount=1)],
    "under a wrong name, in a list": [call("pay.card", cards=[{"no": PAN}], amount=1)],
    "cut off": [broken(f'{{"cardNumber": "{PAN}", "amount": ')],
    "cut off in the middle": [broken(f'{{"amount": 1, "cardNumber": "{PAN}')],
    "no JSON": [broken(f"cardNumber={PAN} amount=1")],
    "of another language": [broken(f"{{'card_number': '{PAN}', 'amount': 1}}")],
    "JSON in JSON": [broken(json.dumps({"input": json.dumps({"cardNumber": PAN})}) + "}")],
}


@pytest.mark.parametrize("script", CASES.values(), ids=CASES.keys())
def test_no_record_holds_a_secret_however_it_came_there(script: list[Any]) -> None:
    trail, _ = ran(script)

    assert "411111111111111" not in trail
    assert "sk-live" not in trail
    assert STORED not in trail


@pytest.mark.parametrize("name", ["a validator quotes it", "a check quotes it", "a refusal quotes it"])
def test_an_error_says_what_is_wrong_without_the_secret(name: str) -> None:
    _, answer = ran(CASES[name])

    assert "411111111111111" not in answer
    assert MASK in answer
    assert "sk-live" not in answer


def test_what_is_carried_out_and_answered_keeps_clear_values() -> None:
    _, answer = ran(CASES["carried out"])

    assert json.loads(answer)["output"] == {"card_number": PAN, "note": f"charged {PAN}"}


@pytest.mark.parametrize(
    "answer",
    [
        {"type": "approve"},
        {"type": "reject", "message": f"not with {PAN}"},
        {"type": "edit", "args": {"cardNumber": WRONG, "amount": 1}},
        {"type": "edti", "args": {"cardNumber": PAN}},
    ],
    ids=lambda answer: f"{answer['type']}",
)
def test_neither_a_request_nor_a_decision_writes_a_secret_down(answer: Any) -> None:
    trail, _ = ran(CASES["carried out"], answer, approval=Approval(role="supervisor"))

    assert "411111111111111" not in trail


def test_the_log_of_a_tool_that_failed_quotes_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="interlock"):
        ran(CASES["the tool fails"])

    assert "the tool pay.card failed" in caplog.text
    assert PAN not in caplog.text


def test_somebody_who_may_look_and_not_decide_is_shown_no_secret() -> None:
    flow = Workflow("desk", model=ScriptedChatModel([call("pay.card", cardNumber=PAN, amount=1)], forever="Done."))
    flow.add_state("open")
    flow.add_state("closed", final=True)
    flow.add_edge("open", pay, "closed", approval=Approval(role="supervisor"))
    graph, config = flow.compile(), {"configurable": {"thread_id": "t"}}
    out = graph.invoke({"messages": [("user", "x")]}, config, context=ADA)
    approval_id = out["__interrupt__"][0].value["approvalId"]

    assert PAN not in json.dumps(graph.instances.approval(approval_id, by=ADA))
    assert graph.instances.approval(approval_id, by=BEN)["arguments"]["cardNumber"] == PAN


def told(script: list[Any], approval: Any = None, answer: Any = None) -> tuple[list[Any], Any]:
    """The events of the stream mode `custom`, and the output of the last run."""
    flow = Workflow("desk", data=Data, model=ScriptedChatModel(script, forever="Done."))
    flow.add_state("open")
    flow.add_state("closed", final=True)
    flow.add_edge("open", pay, "open", approval=approval)
    flow.add_edge("open", close, "closed")
    graph, config = flow.compile(), {"configurable": {"thread_id": "t"}}
    events = [*graph.stream({"messages": [("user", "x")]}, config, context=ADA, stream_mode="custom")]
    if answer is not None:
        events += graph.stream(Command(resume=answer), config, context=BEN, stream_mode="custom")
    return [event for event in map(parse_event, events) if event is not None], graph.get_state(config)


@pytest.mark.parametrize("script", CASES.values(), ids=CASES.keys())
def test_no_event_of_the_stream_holds_a_secret(script: list[Any]) -> None:
    events, _ = told(script)

    assert events
    assert "411111111111111" not in str(events)
    assert "sk-live" not in str(events)


@pytest.mark.parametrize(
    "answer", ["approve", {"type": "edit", "args": {"cardNumber": BLOCKED[:-1] + "4", "amount": 1}}]
)
def test_the_event_of_a_request_is_masked_and_its_interrupt_shows_what_runs(answer: Any) -> None:
    asking = Approval(role="supervisor")
    events, state = told(CASES["carried out"], asking)
    (interrupt,) = state.interrupts
    assert PAN not in str(events)
    assert events[0].arguments == {"cardNumber": MASK, "amount": 1}
    assert interrupt.value["arguments"] == {"cardNumber": PAN, "amount": 1}
    assert events[0].approval_id == interrupt.value["approvalId"]

    events, state = told(CASES["carried out"], asking, answer)
    assert [type(event) for event in events] == [ApprovalEvent, TransitionEvent]
    assert "411111111111111" not in str(events)
    assert "411111111111111" in str(state.values["last_result"])  # the answer itself


def test_what_is_ours_stays_readable_where_somebodys_secret_is_one_of_our_words() -> None:
    @command("word.say", effect="transactional", sensitive=["word"])
    def say(word: str) -> str:
        """Say a word."""
        return word

    flow = Workflow("desk", model=ScriptedChatModel([call("word.say", word="approval")], forever="Done."))
    flow.add_state("open")
    flow.add_edge("open", say, "open", approval=Approval(role="supervisor"))
    graph, config = flow.compile(), {"configurable": {"thread_id": "t"}}
    events = [*graph.stream({"messages": [("user", "x")]}, config, context=ADA, stream_mode="custom")]
    (asked,) = map(parse_event, events)
    assert isinstance(asked, ApprovalEvent)
    assert (asked.approval_type, asked.arguments) == ("approval", {"word": MASK})
    (done,) = map(parse_event, graph.stream(Command(resume="approve"), config, context=BEN, stream_mode="custom"))
    assert isinstance(done, TransitionEvent)
    assert done.result.output == MASK


@pytest.mark.parametrize(
    "value",
    [
        {"a": f"card {PAN}", "cardNumber": PAN},
        {"x": " " + json.dumps({"cardNumber": PAN})},
        {"x": f'{{"cardNumber": "{PAN}", "amount": '},
        {"x": json.dumps({"cardNumber": PAN, "pad": "x" * 1_000_001})},
        {"x": "```json\n" + json.dumps({"cardNumber": PAN}) + "\n```"},
        {"fields": [{"name": "cardNumber", "value": PAN}]},
        {"cards": {PAN: 1}, "cardNumber": PAN},
        {"n": int(PAN), "cardNumber": PAN} | {"n": str(PAN)},
        {"error": f"card_number='{PAN}' input_value={{'cardNumber': '{PAN}'}}"},
        broken(f'{{"cardNumber": "{PAN}", '),
        {"cardNumber": PAN, "z": "4111 1111 1111 1111"},
    ],
)  # fmt: skip
def test_a_trace_holds_no_secret_however_it_is_told(value: Any) -> None:
    masked = str(Outgoing(sensitive=["cardNumber"]).mask().value(value))

    assert PAN not in masked
    assert "4111 1111" not in masked


@pytest.mark.parametrize(
    "told",
    [
        {"name": "cardNumber", "value": PAN}, [["card_number", PAN]], {"x": f"cardNumber: {PAN}"},
        {"x": f'{{"a": {{"cardNumber": ["{PAN}"]}}, "b'}, {"x": f'{{\\"cardNumber\\": \\"{PAN}\\"}}'},
    ],
)  # fmt: skip
def test_a_field_is_found_where_it_is_told_in_another_form(told: Any) -> None:
    assert PAN not in json.dumps(redact(told, ["cardNumber"]))


def test_values_of_fewer_than_six_characters_are_masked_only_in_their_field() -> None:
    secrets = Secrets()

    assert secrets.redacted({"pin": "1234", "said": "at 1234"}, ["pin"]) == {"pin": MASK, "said": "at 1234"}
    assert secrets.redacted({"pin": "123456", "said": "at 123456"}, ["pin"]) == {"pin": MASK, "said": f"at {MASK}"}


def test_many_secrets_are_masked_as_few_are() -> None:
    values = [f"secret-{number:05}" for number in range(500)]
    text = " ".join(values) + " rest"

    assert Secrets(values).text(text) == " ".join([MASK] * 500) + " rest"


def test_what_is_looked_for_in_a_text_is_read_a_bounded_number_of_times() -> None:
    reads = 0

    def counted(name: str) -> bool:
        nonlocal reads
        reads += 1
        return is_named(name, ["pin"])

    for piece in ['"pin": "', "pin=", "\\\\\\", "a: ", "{[(", "pin:{"]:
        hide_fields(piece * 5_000, counted)

    assert reads <= 6 * 2 * 5_000
