"""Who decides: from the application's run context, from LangGraph Server's authentication, or from the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from langgraph.types import Command

from interlock import Principal
from interlock.commands.running.principals import server_principal
from interlock.tools import PrincipalError
from tests.commands.approvals.support import (
    ADA,
    BEN,
    RULE,
    Home,
    Shop,
    asked,
    pending,
    refund,
    refusals,
    said,
    status,
    thread,
)


class WebApp:
    """A web application's two routes: its session middleware knows who sends a request, and the body says what they want."""

    def __init__(self, graph: Any, users: dict[str, Principal]) -> None:
        self._graph = graph
        self._users = users

    def chat(self, cookie: str, body: dict[str, Any]) -> Any:
        config = {"configurable": {"thread_id": body["thread"]}}
        return self._graph.invoke({"messages": [("user", body["text"])]}, config, context=self._users[cookie])

    def decide(self, cookie: str, body: dict[str, Any]) -> str:
        taken = self._graph.instances.decide(body["approvalId"], body["decision"], by=self._users[cookie])
        return str(taken.status)


def test_a_web_application_says_who_sends_a_request(shop: Shop, home: Home) -> None:
    graph = home.compile(shop.workflow([refund()], approval=RULE))
    web = WebApp(graph, {"cookie-a": ADA, "cookie-b": BEN})
    (shown,) = asked(web.chat("cookie-a", {"thread": "t-1", "text": "please"}))
    with pytest.raises(PrincipalError):
        web.decide("cookie-a", {"approvalId": shown["approvalId"], "decision": {"type": "approve"}})
    assert web.decide("cookie-b", {"approvalId": shown["approvalId"], "decision": {"type": "approve"}}) == "approved"


@dataclass
class User:
    """What LangGraph Server puts into the config: its proxy of what the `@auth.authenticate` handler gave."""

    identity: str
    permissions: list[str]
    tenant: str | None = None


def from_server(user: Any, name: str = "t-1") -> Any:
    return {"configurable": {"thread_id": name, "langgraph_auth_user": user}}


class TestLangGraphServer:
    def test_the_authenticated_user_of_langgraph_server_decides(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund()], approval=RULE))
        graph.invoke(said(), from_server(User("ada", [])))
        graph.invoke(Command(resume="approve"), from_server(User("ben", ["supervisor"])))
        assert shop.ran == ["refund 1 5"]
        decision = graph.engine.store.decisions(graph.instances.approvals(status="used").approvals[0].approval_id)[0]
        assert (decision.principal.id, decision.principal.roles) == ("ben", {"supervisor"})

    def test_the_run_context_of_a_request_does_not_count_there_because_the_client_sends_it(
        self, shop: Shop, home: Home
    ) -> None:
        graph = home.compile(shop.workflow([refund()], approval=RULE))
        graph.invoke(said(), from_server(User("ada", [])))
        with pytest.raises(PrincipalError, match="ada may not approve"):
            graph.invoke(
                Command(resume="approve"),
                from_server(User("ada", [])),
                context={"id": "ben", "roles": ["supervisor"]},
            )
        assert refusals(graph, thread()) == ["not_entitled"]

    @pytest.mark.parametrize(
        "user",
        [
            User("ada", ["clerk"], "shop-1"),
            {"identity": "ada", "permissions": ["clerk"], "tenant": "shop-1"},
        ],
    )
    def test_identity_permissions_and_tenant_are_read(self, user: Any) -> None:
        assert server_principal(user) == Principal("ada", roles=frozenset({"clerk"}), tenant="shop-1")

    @pytest.mark.parametrize("user", [{}, {"identity": ""}, User("", []), object()])
    def test_a_user_without_an_identity_is_refused(self, user: Any) -> None:
        with pytest.raises(PrincipalError):
            server_principal(user)


class TestNobodyInParticular:
    def test_a_rule_that_names_a_role_refuses_an_unknown_principal(self, shop: Shop, home: Home) -> None:
        graph = home.compile(shop.workflow([refund()], approval=RULE))
        graph.invoke(said(), thread())
        with pytest.raises(PrincipalError, match="who decides is not known"):
            graph.invoke(Command(resume="approve"), thread())
        assert status(graph, pending(graph, thread())) == "requested"

    def test_without_any_principal_and_any_role_somebody_at_the_screen_decides(self, shop: Shop, home: Home) -> None:
        """A notebook: nobody said who anybody is, and nothing asks for it."""
        graph = home.compile(shop.workflow([refund()], approval=True))
        graph.invoke(said(), thread())
        graph.invoke(Command(resume="approve"), thread())
        assert shop.ran == ["refund 1 5"]

    def test_the_model_cannot_say_who_it_is(self, shop: Shop, home: Home) -> None:
        from interlock.testing import call

        said_so = call("order.refund", orderId="1", amount="5", principal={"id": "ben"})
        graph = home.compile(shop.workflow([said_so], approval=RULE))
        output = graph.invoke(said(), thread(), context=ADA)
        assert output["last_result"]["error"]["code"] == "invalid_arguments"
