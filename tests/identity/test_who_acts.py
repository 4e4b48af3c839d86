"""Who acts comes from the server's authentication or the run's context, and from nothing that JSON can carry."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command

from interlock import Principal
from interlock.commands.running.principals import principal_of
from interlock.tools.errors import PrincipalError
from tests.identity.desk import ADA, BEN, EVE, FORMS, REFUND, ROOT, WIPE, Desk, User, config, said

CLAIMS = [ROOT, ROOT.to_json()]
"""What a client's context may say."""
PLAIN: list[Any] = [
    {"identity": "root", "permissions": ["admin"]},
    "root",
    ["root"],
    True,
    7,
    0.5,
    {},
    "",
]
"""What a client's JSON may hold under the key of the server's user."""


@pytest.mark.parametrize("claim", CLAIMS)
def test_the_servers_user_acts_whatever_the_context_says(claim: Any) -> None:
    mallory = User("mallory", ["supervisor"], "acme")
    assert principal_of({"langgraph_auth_user": mallory}, claim) == Principal(
        "mallory", roles={"supervisor"}, tenant="acme"
    )


@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize("user", [None, *PLAIN])
def test_without_a_user_object_nobody_in_particular_acts_whatever_the_context_says(user: Any, claim: Any) -> None:
    assert principal_of({"langgraph_auth_user": user}, claim) == Principal.ANONYMOUS


def test_a_user_that_did_not_authenticate_is_nobody_in_particular() -> None:
    user = User("")
    user.is_authenticated = False
    assert principal_of({"langgraph_auth_user": user}, ROOT) == Principal.ANONYMOUS


def test_elsewhere_the_run_context_says_who_acts() -> None:
    assert principal_of({}, ADA) == ADA
    assert principal_of({"principal": ROOT.to_json(), "langgraph_auth_user_id": "root"}, None) == Principal.ANONYMOUS


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("claim", CLAIMS)
def test_a_role_that_the_clients_context_claims_opens_nothing(form: str, claim: Any) -> None:
    desk = Desk()
    runnable = FORMS[form](desk, WIPE)

    runnable.invoke(said(), config(langgraph_auth_user=User("mallory", [])), context=claim)

    assert desk.ran == []
    assert desk.trail() == [("started", "mallory", None), ("denial", "mallory", "policy_denied")]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("user", [None, *PLAIN])
def test_a_user_that_plain_json_claims_opens_nothing(form: str, user: Any) -> None:
    desk = Desk()
    runnable = FORMS[form](desk, WIPE)

    runnable.invoke(said(), config(langgraph_auth_user=user), context=EVE)

    assert desk.ran == []
    assert desk.trail() == [("started", "anonymous", None), ("denial", "anonymous", "policy_denied")]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("how", ["invoke", "ainvoke"])
def test_nobody_approves_their_own_request_by_naming_somebody_else_in_the_context(form: str, how: str) -> None:
    desk = Desk()
    runnable = FORMS[form](desk, REFUND)
    here = config(langgraph_auth_user=User("mallory", ["supervisor"]))

    def run(given: Any, claimed: Principal) -> Any:
        if how == "invoke":
            return runnable.invoke(given, here, context=claimed)
        return asyncio.run(runnable.ainvoke(given, here, context=claimed))

    asked = run(said(), Principal("ghost"))
    assert asked["__interrupt__"][0].value["requestedBy"] == "mallory"
    with suppress(PrincipalError):  # the agent asks again instead
        run(Command(resume={"decisions": [{"type": "approve"}]}), BEN)

    assert desk.ran == []
    assert desk.trail()[-1][1:] == ("mallory", "not_entitled")


@pytest.mark.parametrize("form", FORMS)
def test_the_tenant_of_an_instance_is_the_users_and_not_the_contexts(form: str) -> None:
    desk = Desk()
    FORMS[form](desk, WIPE).invoke(
        said(), config(langgraph_auth_user=User("mallory", [], "acme")), context=Principal("root", tenant="bank")
    )
    assert [(one.tenant, one.started_by.id) for one in desk.store.instances()] == [("acme", "mallory")]


@pytest.mark.parametrize("form", FORMS)
def test_a_graph_that_a_node_of_a_servers_run_calls_acts_for_the_servers_user(form: str) -> None:
    desk = Desk()
    inner = FORMS[form](desk, WIPE)

    def call_inside(state: Any) -> Any:
        return {"messages": inner.invoke(state, context=ROOT)["messages"]}

    outer = StateGraph(MessagesState).add_node("inside", call_inside).add_edge(START, "inside")
    outer.compile(InMemorySaver()).invoke(said(), config(langgraph_auth_user=User("mallory", [])))

    assert desk.ran == []
    assert desk.trail()[-1] == ("denial", "mallory", "policy_denied")
