"""The desk as a workflow: what each state offers, what no prompt has to say, who is served, and how it reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langgraph.types import Command

from interlock import Confirmation, Principal, SQLCheckpointer
from interlock.checkpointing.store import AuditKind
from interlock.rules import Limits
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import InvalidResume, PrincipalError
from interlock.tools.kinds import ToolKind
from interlock.workflows.retail import (
    BY_TAU2_NAME,
    CHANGING,
    HANDED_OVER,
    IDENTIFIED,
    IDENTIFYING,
    LOOKING_UP,
    PROMPT,
    UNIDENTIFIED,
    open_shop,
    read_order,
    retail_workflow,
    sample_shop,
)
from tests.workflows.retail import desk as desks
from tests.workflows.retail.desk import Desk

TOVE = call("customer.find_by_email", email=sample_shop().users["tove_marklund"].email)
CANCEL = call("order.cancel", orderId="#W1001", reason="no longer needed")
LOOK = call("order.get", orderId="#W1001")


@pytest.fixture
def desk() -> Iterator[Desk]:
    """The desk over the sample shop, without a prompt."""
    desk = desks.make_desk()
    open_shop(desk.store)
    yield desk
    desk.store.close()


def names(tools: Any) -> set[str]:
    return {tool.name for tool in tools}


def status_of(desk: Desk, order_id: str) -> str:
    with desk.store.read() as connection:
        order = read_order(connection, order_id)
    assert order is not None
    return order.status.value


def codes(desk: Desk) -> list[str | None]:
    return [record.code for record in desk.audit if record.kind in {AuditKind.DENIAL, AuditKind.REFUSAL}]


# What it offers


def test_all_sixteen_tools_have_an_edge_and_the_seven_that_change_something_ask_the_customer() -> None:
    definition = retail_workflow().definition()

    assert names(definition.contracts.values()) == names(BY_TAU2_NAME.values())
    assert {edge.tool.name for edge in definition.edges if edge.approval is not None} == names(CHANGING)
    assert names(CHANGING) == {tool.name for tool in BY_TAU2_NAME.values() if tool.kind is ToolKind.COMMAND}
    for edge in definition.edges:
        if edge.approval is not None:
            assert edge.approval.confirmation, "the person served decides"
            assert edge.approval.edit is False, "what is confirmed is what was shown"
            assert edge.tool.preview is not None
            assert edge.tool.check is not None


def test_a_stranger_can_identify_themselves_or_be_handed_over_and_nothing_else(desk: Desk) -> None:
    offered = desk.graph.engine.definition.by_source[UNIDENTIFIED]
    assert names(edge.tool for edge in offered) == {*names(IDENTIFYING), "desk.hand_over"}

    for look in (LOOK, call("product.list"), call("desk.calculate", expression="1 + 1")):
        desk.says(look)
        assert desk.last_result["error"]["code"] == "tool_not_allowed"


def test_an_identified_customer_is_offered_the_rest_and_no_other_identification(desk: Desk) -> None:
    desk.says(TOVE)

    state = desk.graph.get_state(desk.config).values
    assert state["state"] == IDENTIFIED
    assert state["data"]["customer_id"] == "tove_marklund"
    assert set(state["next_allowed_tools"]) == {*names(LOOKING_UP), *names(CHANGING), "desk.hand_over"}
    desk.says(call("customer.find_by_email", email=sample_shop().users["idris_balogun"].email))
    assert desk.last_result["error"]["code"] == "tool_not_allowed"


def test_handing_over_ends_the_desks_work_whether_the_customer_is_known_or_not(desk: Desk) -> None:
    for before in ([], [TOVE]):
        desk.begin()
        desk.says(*before, call("desk.hand_over", summary="wants to speak to a person"))
        instance = desk.graph.instances.get(desk.config)
        assert (instance.state, instance.finished) == (HANDED_OVER, True)


def test_the_drawing_shows_every_change_behind_its_confirmation() -> None:
    drawn = {(edge.source, edge.target) for edge in retail_workflow().compile().get_graph().edges}

    for tool in CHANGING:
        node = f"{IDENTIFIED}/{tool.name}"
        assert {source for source, target in drawn if target == node} == {f"{node}/approval"}
        assert {source for source, target in drawn if target == f"{node}/approval"} == {IDENTIFIED}
    assert not [edge for edge in drawn if edge == (UNIDENTIFIED, IDENTIFIED)], "only a tool leads there"


# What no prompt has to say


@pytest.mark.parametrize("prompt", [PROMPT, "", None, "Do whatever you are told, at once, and never ask."])
def test_the_rules_hold_whatever_the_prompt_says(prompt: str | None) -> None:
    model = ScriptedChatModel([CANCEL, TOVE, call("order.cancel", orderId="#W2001", reason="no longer needed"), CANCEL])
    graph = retail_workflow(model, prompt=prompt).compile()
    open_shop(graph.engine.store)
    config: Any = {"configurable": {"thread_id": "1"}}

    out = graph.invoke({"messages": [("user", "Cancel #W1001, I am in a hurry.")]}, config)

    refused = [record.code for record in graph.instances.audit(config) if record.kind is AuditKind.DENIAL]
    assert refused == ["tool_not_allowed", "check_failed"]
    (waiting,) = out["__interrupt__"]
    assert (waiting.value["type"], waiting.value["tool"]) == ("confirmation", "order.cancel")
    with graph.engine.store.read() as connection:
        order = read_order(connection, "#W1001")
    assert order is not None
    assert order.status == "pending"
    graph.engine.store.close()


def test_the_prompt_is_about_manners_and_names_no_tool_and_no_rule() -> None:
    assert not any(tool.wire_name in PROMPT or tool.name in PROMPT for tool in BY_TAU2_NAME.values())
    assert not any(word in PROMPT for word in ("confirm", "identify", "pending", "delivered", "only once"))


def test_of_several_calls_in_one_message_only_the_first_counts(desk: Desk) -> None:
    desk.says(TOVE)
    waiting = desk.says([CANCEL, call("order.change_payment", orderId="#W1001", paymentMethodId="gift_tove")])

    assert [shown["tool"] for shown in waiting.values()] == ["order.cancel"]
    desk.resumes(Command(resume={next(iter(waiting)): {"type": "approve"}}))
    assert status_of(desk, "#W1001") == "cancelled"
    assert codes(desk) == ["too_many_calls"]


# Whom it serves


def test_the_customer_sees_and_decides_and_the_record_knows_it(desk: Desk) -> None:
    ((interrupt_id, shown),) = desk.says(TOVE, LOOK, CANCEL).items()

    assert shown["requestedBy"] == desks.CUSTOMER.id
    assert shown["preview"]["changes"]["status"] == {"from": "pending", "to": "cancelled"}
    assert status_of(desk, "#W1001") == "pending"
    desk.resumes(Command(resume={interrupt_id: {"type": "approve"}}))
    assert status_of(desk, "#W1001") == "cancelled"
    (decision,) = [record for record in desk.audit if record.kind is AuditKind.DECISION]
    assert decision.principal_id == desks.CUSTOMER.id


def test_a_yes_says_what_it_is_about_by_an_id_or_by_the_call_that_was_shown(desk: Desk) -> None:
    ((_, shown),) = desk.says(TOVE, CANCEL).items()
    for bare in ({"type": "approve"}, "approve", True, {"decisions": [{"type": "approve"}]}):
        with pytest.raises(InvalidResume, match="does not say that it is about"):
            desk.resumes(Command(resume=bare))
    assert [record.kind for record in desk.audit].count(AuditKind.DECISION_REFUSED) == 4
    assert status_of(desk, "#W1001") == "pending"

    desk.resumes(Command(resume={"type": "approve", "action": {"name": shown["tool"], "args": shown["arguments"]}}))

    assert status_of(desk, "#W1001") == "cancelled"


@pytest.mark.parametrize(
    ("hears", "status"),
    [("Oui, please proceed", "cancelled"), ("which order?", "pending"), ("no, leave it", "pending")],
)
def test_a_desk_in_a_chat_asks_there_and_reads_the_next_message(hears: str, status: str) -> None:
    desk = desks.make_desk(confirmation=Confirmation(chat=True))
    open_shop(desk.store)
    ((_, shown),) = desk.says(TOVE, CANCEL).items()
    assert "#W1001" in shown["message"]

    desk.says(hears=hears)

    assert status_of(desk, "#W1001") == status
    assert not desk.graph.instances.approvals().approvals
    assert desk.says(hears="yes") == {}
    assert status_of(desk, "#W1001") == status, "nothing stays open that a later yes could be about"


def test_nobody_goes_on_with_a_customer_whom_somebody_else_identified(desk: Desk) -> None:
    desk.says(TOVE, LOOK)
    assert desk.last_result["ok"] or codes(desk) == []
    served, desk.by = desk.by, Principal("who-took-over-the-session")

    with pytest.raises(PrincipalError, match="run by the person whom it serves"):
        desk.says()

    assert status_of(desk, "#W1001") == "pending"
    desk.by = served
    assert desk.says(CANCEL), "the customer goes on"


def test_another_thread_cannot_lead_the_conversation_on_by_its_instance_id(desk: Desk) -> None:
    desk.says(TOVE)
    stolen = desk.graph.instances.id_of(desk.config)
    desk.begin()
    desk.config["configurable"]["workflow_id"] = stolen
    desk.by = Principal("who-knows-the-id")

    with pytest.raises(PrincipalError, match="run by the person whom it serves"):
        desk.says()
    assert status_of(desk, "#W1001") == "pending"


def test_two_conversations_cannot_both_use_up_one_order(desk: Desk) -> None:
    first = desk.config
    ((asked_first, _),) = desk.says(TOVE, CANCEL).items()
    desk.begin()
    ((asked_second, _),) = desk.says(TOVE, CANCEL).items()

    desk.resumes(Command(resume={asked_second: {"type": "approve"}}))
    desk.config = first
    with desks.counted() as reached:
        desk.resumes(Command(resume={asked_first: {"type": "approve"}}))

    assert reached == {}
    assert desk.last_result["error"]["code"] in {"check_failed", "approval_void"}
    assert "cancelled" in desk.last_result["error"]["message"]


# How it reads


@pytest.mark.parametrize(
    ("proposals", "told"),
    [
        ([CANCEL], "order_cancel may not be called in the state 'unidentified'"),
        (
            [TOVE, call("order.cancel", orderId="#W2001", reason="no longer needed")],
            "order_cancel cannot be done: Order not found: '#W2001' is not an order of the customer's.",
        ),
        (
            [TOVE, call("order.cancel", orderId="#W1002", reason="no longer needed")],
            "order_cancel cannot be done: Order #W1002 is 'delivered', and only an order that is 'pending' can be cancelled.",
        ),
    ],
    ids=["unidentified", "not theirs", "delivered"],
)
def test_a_denial_reads_well_aloud(proposals: list[Any], told: str, desk: Desk) -> None:
    desk.says(*proposals)

    message = desk.last_result["error"]["message"]
    assert message.startswith(told), message
    assert message.count("othing was") == 1, "what did not happen is said once"
    assert ".." not in message
    assert ". ." not in message


# Where it stands


def test_a_shop_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    with SQLCheckpointer(f"sqlite:///{tmp_path}/desk.db") as checkpointer:
        desk = desks.make_desk(checkpointer)
        open_shop(desk.store)
        ((asked, _),) = desk.says(TOVE, CANCEL).items()
        desk.resumes(Command(resume={asked: {"type": "approve"}}))

        open_shop(checkpointer.database)

        assert status_of(desk, "#W1001") == "cancelled"


def test_limits_of_ones_own_are_taken() -> None:
    assert retail_workflow(limits=Limits(proposals=3)).definition().limits.proposals == 3
    assert retail_workflow().definition().limits.proposals == 1
