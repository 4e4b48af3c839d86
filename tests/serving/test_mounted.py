"""The service mounted in FastAPI, in Starlette and beside Django: pages, forms, the API and the lifespan work below a path."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from interlock import WorkflowGraph
from interlock.serving import service
from tests.docs.blocks import blocks_of
from tests.serving.desk import KIM, Desk, by_header

BELOW = "/workflows"


@pytest.fixture
def graph() -> WorkflowGraph:
    return Desk().workflow().compile()


def in_fastapi(graph: WorkflowGraph) -> Any:
    console = service(graph, principal=by_header, deadlines=True)
    app = FastAPI(lifespan=console.router.lifespan_context)
    app.mount(BELOW, console)
    app.add_api_route("/", lambda: "mine")
    return app


def in_starlette(graph: WorkflowGraph) -> Any:
    console = service(graph, principal=by_header, deadlines=True)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> Any:
        async with console.router.lifespan_context(console):
            yield

    routes = [Mount(BELOW, app=console), Route("/", lambda request: PlainTextResponse("mine"))]
    return Starlette(routes=routes, lifespan=lifespan)


@pytest.fixture(params=[in_fastapi, in_starlette])
def client(request: pytest.FixtureRequest, graph: WorkflowGraph) -> Iterator[TestClient]:
    with TestClient(request.param(graph), base_url="http://testserver") as client:
        yield client


def goes_through_a_case(
    client: TestClient, graph: WorkflowGraph, headers: dict[str, str], supervisor: dict[str, str]
) -> None:
    """A customer asks below the path; a supervisor finds it in the console and approves."""
    begun = client.post(f"{BELOW}/v1/workflows/desk/instances", json={}, headers=headers)
    assert begun.status_code == 201, begun.text
    workflow_id = begun.json()["workflowId"]
    call = {"tool": "order.refund", "arguments": {"orderId": "W-7", "amount": "4.00"}}
    asked = client.post(
        f"{BELOW}/v1/instances/{workflow_id}/proposals", json=call, headers={**headers, "Idempotency-Key": "k-1"}
    )
    assert asked.status_code == 202, asked.text
    page = client.get(f"{BELOW}/console/attention", headers=supervisor)
    links = re.findall(r'(?:href|src|action)="(/[^"]*)"', page.text)
    assert links
    assert all(link.startswith(f"{BELOW}/") for link in links), links
    assert client.get(next(link for link in links if link.endswith(".css"))).status_code == 200
    approval = next(link for link in links if "/approvals/" in link)
    shown = client.get(approval, headers=supervisor)
    fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', shown.text))
    done = client.post(
        f"{approval}/decide", data={**fields, "decision": "approve"}, headers=supervisor, follow_redirects=False
    )
    assert done.headers["location"] == f"{approval}?done=approve"
    assert str(graph.instances.get(workflow_id).data["refunded"]) == "4.00"


def test_a_case_goes_its_way_below_a_path(client: TestClient, graph: WorkflowGraph) -> None:
    goes_through_a_case(client, graph, {"x-test-user": "kim"}, {"x-test-user": "sue"})
    assert "mine" in client.get("/").text
    nobody = client.get(f"{BELOW}/console", follow_redirects=False)
    assert nobody.headers["location"] == f"{BELOW}/console/sign-in"


def test_a_case_goes_its_way_beside_django_for_whom_django_signed_in(graph: WorkflowGraph) -> None:
    import django
    from django.conf import settings
    from django.http import HttpRequest, HttpResponse
    from django.urls import path

    def sign_in(request: HttpRequest, who: str, role: str) -> HttpResponse:
        request.session["user"], request.session["roles"] = who, [role]
        return HttpResponse("signed in")

    settings.configure(
        SECRET_KEY="for a test",
        ALLOWED_HOSTS=["testserver"],
        ROOT_URLCONF=(path("sign-in/<str:who>/<str:role>", sign_in),),
        MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
        SESSION_SERIALIZER="django.contrib.sessions.serializers.JSONSerializer",
    )
    django.setup()
    code = next(block.code for block in blocks_of("docs/service.md") if "get_asgi_application" in block.code)
    names: dict[str, Any] = {"graph": graph, "service": service, "Principal": type(KIM), "Request": Any}
    exec(code, names)  # noqa: S102 -- the page's own code
    app = names["beside_django"]()
    with TestClient(app, base_url="http://testserver") as kim, TestClient(app, base_url="http://testserver") as sue:
        assert kim.get(f"{BELOW}/v1/instances").status_code == 401
        assert kim.get("/sign-in/kim/customer").text == "signed in"
        assert sue.get("/sign-in/sue/supervisor").text == "signed in"
        goes_through_a_case_of(kim, sue, graph)


def goes_through_a_case_of(kim: TestClient, sue: TestClient, graph: WorkflowGraph) -> None:
    """The same, where the browser's cookies say who it is."""

    class Both:
        """Whose cookies go with a request, by a mark in its headers."""

        def __getattr__(self, name: str) -> Any:
            def ask(path: str, headers: dict[str, str] | None = None, **options: Any) -> Any:
                marked = dict(headers or {})
                return getattr(sue if marked.pop("who", "") == "sue" else kim, name)(path, headers=marked, **options)

            return ask

    goes_through_a_case(Both(), graph, {}, {"who": "sue"})  # type: ignore[arg-type]
