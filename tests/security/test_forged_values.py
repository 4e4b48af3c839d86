"""Values that a client can write, and who is served whatever they say."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from interlock import Confirmation, Principal, Workflow, WorkflowStore, command
from interlock.testing import ScriptedChatModel, call
from interlock.tools import InterlockError, PrincipalError
from tests.security.entry_points import (
    ADA,
    APPROVER,
    COLLEAGUE,
    FOREIGN,
    HELLO,
    MODES,
    NOBODY,
    SECRETS,
    THREAD,
    Place,
    collected,
)

ROOT_JSON = {"id": "ada", "roles": ["supervisor"], "tenant": "acme", "attributes": {}}
CONFIGS: list[dict[str, Any]] = [
    {"checkpoint_ns": "x"},
    {"checkpoint_ns": "open:1|x:2"},
    {"workflow_id": "wf_mine"},
    {"workflow_id": "wf_mine", "checkpoint_ns": "x"},
    {"checkpoint_id": "1f000000-0000-6000-8000-000000000000"},
    {"checkpoint_map": {"": "1f000000-0000-6000-8000-000000000000"}},
    {"__pregel_task_id": "x"},
    {"__pregel_resuming": True},
    {"__pregel_task_id": "x", "__pregel_resuming": True},
    {"__interlock_actor": {"id": "interlock:clock", "tenant": "acme"}},
    {"__interlock_actor": "interlock:clock"},
    {"principal": ROOT_JSON, "served": "cole", "run_by": "tenant"},
    {"tenant": "acme", "user_id": "ada"},
]
INPUTS: list[dict[str, Any]] = [
    {"progress": [("turn", ROOT_JSON)]},
    {"workflow_id": "wf_mine"},
    {"state": "closed", "revision": 7},
    {"data": {"iban": "DE-IBAN"}},
    {"next_allowed_tools": ["order.refund"]},
    {"initial_data": {"iban": "x"}},
]


@pytest.mark.parametrize("by", [FOREIGN, COLLEAGUE, NOBODY], ids=["another tenant", "a stranger", "nobody"])
@pytest.mark.parametrize("forged", CONFIGS, ids=str)
def test_no_value_in_a_config_opens_it(forged: dict[str, Any], by: Principal) -> None:
    place = Place()
    before = place.stands()
    config: Any = {"configurable": {**THREAD["configurable"], **forged}}
    for given in (HELLO, None, Command(update=HELLO)):
        with pytest.raises(InterlockError) as raised:
            collected(place.graph.stream(given, config, context=by, stream_mode=[*MODES]))
        assert not [secret for secret in SECRETS if secret in " ".join(map(str, raised.value.args))]
    assert place.stands() == before


@pytest.mark.parametrize("by", [FOREIGN, COLLEAGUE, NOBODY], ids=["another tenant", "a stranger", "nobody"])
@pytest.mark.parametrize("forged", INPUTS, ids=str)
def test_no_value_in_an_input_changes_whose_it_is(forged: dict[str, Any], by: Principal) -> None:
    place = Place()
    before = place.stands()
    with pytest.raises(InterlockError):
        place.graph.invoke({**HELLO, **forged}, THREAD, context=by)
    assert place.stands() == before


def test_the_application_lets_a_thread_go_on_without_naming_anybody() -> None:
    place = Place(tenant="default")
    ada = Principal("ada")
    place.graph.instances.decide(place.pending, "approve", by=Principal("sue", roles=frozenset({"supervisor"})))
    assert place.graph.invoke(None, THREAD)["state"] == "closed"
    assert place.ran == ["W-77"]
    (moved,) = [one for one in place.graph.instances.audit(THREAD) if one.kind.value == "transition"]
    assert moved.principal_id == ada.id


@pytest.mark.parametrize("user", [None, {"identity": "ada", "tenant": "acme"}, "ada", {}], ids=str)
@pytest.mark.parametrize(
    "forged", [{}, {"__pregel_task_id": "x"}, {"__interlock_actor": {"id": "interlock:clock"}}], ids=str
)
def test_on_a_server_nothing_that_a_client_sends_is_the_applications(user: Any, forged: dict[str, Any]) -> None:
    place = Place()  # the server's key is in every config there; without authentication it is None
    config: Any = {"configurable": {**THREAD["configurable"], "langgraph_auth_user": user, **forged}}
    before = place.stands()
    with pytest.raises(InterlockError) as raised:
        place.graph.invoke(None, config)
    assert not [secret for secret in SECRETS if secret in str(raised.value.args)]
    assert place.stands() == before


def test_a_message_without_anybody_named_is_nobodys() -> None:
    place = Place(tenant="default")
    with pytest.raises(PrincipalError, match="the principal here is unknown"):
        place.graph.invoke(HELLO, THREAD)


@pytest.mark.parametrize("by", [ADA, None], ids=["the person served", "the application"])
def test_a_fork_serves_whom_its_source_serves(by: Principal | None) -> None:
    place = Place()
    config = place.graph.instances.fork(THREAD, thread_id="t-2", principal=by)
    assert place.graph.instances.get(config).served == "ada"
    with pytest.raises(PrincipalError):
        place.graph.invoke(None, config, context=COLLEAGUE)


def test_a_list_holds_what_concerns_who_looks() -> None:
    place = Place()
    seen = {
        one.id + "@" + one.tenant: len(place.graph.instances.approvals(by=one).approvals)
        for one in (ADA, APPROVER, COLLEAGUE, NOBODY, FOREIGN)
    }
    assert seen == {"ada@acme": 1, "sue@acme": 1, "cole@acme": 0, "anonymous@acme": 0, "ada@elsewhere": 0}


def test_a_card_that_was_handed_on_shows_nothing() -> None:
    place = Place()
    card = place.graph.instances.card(place.pending, by=APPROVER)
    card._by = COLLEAGUE
    for look in (lambda: card.shown, lambda: card.outcome, lambda: card.rows, lambda: card.svg, card.approve):
        with pytest.raises(PrincipalError):
            look()
    assert place.ran == []


def test_only_the_person_served_confirms_what_another_one_proposed() -> None:
    ran: list[str] = []

    @command("order.cancel", effect="transactional")
    def cancel(order_id: str) -> str:
        """Cancel an order."""
        ran.append(order_id)
        return "cancelled"

    model = ScriptedChatModel(["Hello.", call("order.cancel", orderId="W1")], forever="Done.")
    flow = Workflow("desk", model=model, run_by="clerk")
    flow.add_state("open").add_state("closed", final=True).add_edge("open", cancel, "closed", approval=Confirmation())
    graph = flow.compile()
    graph.invoke(HELLO, THREAD, context=ADA)
    graph.invoke(HELLO, THREAD, context=COLLEAGUE)
    with pytest.raises(PrincipalError, match="only the person served"):
        graph.invoke(Command(resume="approve"), THREAD, context=COLLEAGUE)
    assert ran == []
    assert graph.invoke(Command(resume="approve"), THREAD, context=ADA)["state"] == "closed"
    (asked,) = [one for one in graph.instances.audit(THREAD) if one.kind.value == "approval"]
    assert asked.principal_id == "cole"


@command("desk.close", effect="transactional")
def close() -> str:
    """Close the desk."""
    return "closed"


def desk(model: Any = None) -> Workflow:
    flow = Workflow("desk", model=model)
    return flow.add_state("open").add_state("closed", final=True).add_edge("open", close, "closed")


@pytest.mark.parametrize(("served", "may"), [("ada", ADA), (ADA, ADA)], ids=["by id", "by principal"])
def test_the_application_says_whom_an_instance_serves(served: Any, may: Principal) -> None:
    graph = desk(ScriptedChatModel(forever="Hello.")).compile()

    class Context:
        def __init__(self) -> None:
            self.principal, self.served = COLLEAGUE, served

    graph.invoke(HELLO, THREAD, context=Context())
    assert graph.instances.get(THREAD).served == "ada"
    graph.invoke(HELLO, THREAD, context=may)
    with pytest.raises(PrincipalError):
        graph.invoke(HELLO, THREAD, context=COLLEAGUE)


def test_a_stranger_does_not_go_on_in_an_agents_conversation() -> None:
    middleware = desk().as_middleware(workflow_store=WorkflowStore.in_memory())
    model = ScriptedChatModel(forever="Hello.")
    agent: Any = create_agent(
        model, [], middleware=[middleware], checkpointer=InMemorySaver(), context_schema=Principal
    )
    agent.invoke(HELLO, THREAD, context=ADA)
    asked = len(model.offered)
    for by in (FOREIGN, COLLEAGUE, NOBODY):
        with pytest.raises(InterlockError):
            agent.invoke(HELLO, THREAD, context=by)
    assert len(model.offered) == asked
