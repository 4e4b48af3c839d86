"""What is tried against services: forged forms, sessions chosen by another page, bodies without an end, numbers without a bound, caches."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient

from interlock import Principal
from interlock.serving import Development, service
from interlock.serving.guarding import Guard
from interlock.serving.identity.callers import Caller, Callers
from interlock.tools import InputError
from tests.serving.desk import Desk, Served, served


@pytest.fixture
def at() -> Iterator[Served]:
    with served() as it:
        yield it


def test_another_page_cannot_choose_as_whom_somebody_works(tmp_path: Any) -> None:
    people = (Principal("ann", roles=frozenset({"operator"})), Principal("bob"))
    with served(principal=None, development=Development(people)) as at:
        for headers in (
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
        ):
            answer = at.client.post("/console/sign-in", data={"who": "bob"}, headers=headers, follow_redirects=False)
            assert answer.status_code == 403
            assert "set-cookie" not in answer.headers or "interlock_session=" not in answer.headers["set-cookie"]


def test_cookies_are_out_of_reach_of_scripts_of_other_sites_and_of_plain_connections() -> None:
    app = service(Desk().workflow().compile(), development=Development())
    for scheme, secure in (("http", False), ("https", True)):
        with TestClient(app, base_url=f"{scheme}://testserver") as client:
            answer = client.post("/console/sign-in", data={"who": "operator"}, follow_redirects=False)
            cookies = answer.headers.get_list("set-cookie") + client.get("/console/sign-in").headers.get_list(
                "set-cookie"
            )
            assert cookies
            for one in cookies:
                assert "HttpOnly" in one
                assert "SameSite=lax" in one
                assert ("Secure" in one) is secure


@pytest.mark.parametrize("token", ["", "\u00e9", "\u4e2d" * 50, "a" * 10_000, "\x00"])
def test_a_forged_token_of_a_form_is_refused_whatever_it_is(at: Served, token: str) -> None:
    workflow_id = at.started()
    at.get(f"/console/instances/{workflow_id}")
    answer = at.ask("POST", f"/console/instances/{workflow_id}/resume", data={"form_token": token})
    assert answer.status_code == 403


def test_no_other_page_signs_somebody_out(at: Served) -> None:
    at.get("/console/attention", "sue")
    for token in ("", "forged"):
        answer = at.ask("POST", "/console/sign-out", "sue", data={"form_token": token})
        assert (answer.status_code, answer.headers.get("set-cookie")) == (403, None)


def test_the_token_of_a_form_is_of_one_person_of_one_tenant_at_one_browser() -> None:
    callers = Callers(development=Development(), secret="sixteen bytes....")
    people = [Principal("sue"), Principal("sue", tenant="other"), Principal("kim")]
    made = {callers.form_token(Caller(one, False), browser) for one in people for browser in ("one", "two")}
    assert len(made) == 6


@pytest.mark.parametrize("size", ["announced", "not announced"])
def test_a_body_without_an_end_is_refused(size: str) -> None:
    with served(largest_body=1000) as at:
        workflow_id = at.started()
        body: Any = b"x" * 5000 if size == "announced" else iter([b"x" * 500] * 10)
        for path in (
            f"/v1/instances/{workflow_id}/proposals",
            f"/console/instances/{workflow_id}/resume",
            "/console/sign-in",
            "/console/approvals",
        ):
            kind = "application/json" if path.startswith("/v1") else "application/x-www-form-urlencoded"
            answer = at.ask("POST", path, content=body, headers={"content-type": kind})
            assert answer.status_code == 413, path
            assert answer.json()["code"] == "http_413"
            body = b"x" * 5000 if size == "announced" else iter([b"x" * 500] * 10)


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    app = service(Desk().workflow().compile(), principal=lambda request: Principal("kim"))
    sent: list[Any] = []

    async def receive() -> Any:
        if not sent:
            import asyncio

            await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/v1/workflows/desk/instances", "raw_path": b"", "query_string": b"", "root_path": "",
        "headers": [(b"content-type", b"application/json"), (b"host", b"testserver")], "scheme": "http", "server": ("testserver", 80),
        "client": ("127.0.0.1", 1), "http_version": "1.1", "asgi": {"version": "3.0"},
    }  # fmt: skip
    await Guard(app, slowest=0.01)(scope, receive, send)
    assert sent[0]["status"] == 408


@pytest.mark.parametrize("number", ["9007199254740992", "9" * 40, "-1", "1e9", "0x10"])
def test_numbers_have_bounds_wherever_they_are_given(at: Served, number: str) -> None:
    workflow_id = at.started()
    for path in (
        f"/v1/instances/{workflow_id}/audit?after={number}", f"/v1/instances/{workflow_id}/audit?limit={number}", f"/v1/instances?limit={number}",
        f"/v1/instances/{workflow_id}/events?after={number}", f"/v1/approvals?limit={number}", f"/v1/events?limit={number}",
        f"/v1/attempts?limit={number}", f"/console/instances/{workflow_id}?before={number}",
    ):  # fmt: skip
        assert at.get(path, "olga").status_code in {400, 422}, path
    for cursor in (f"{number}.wf_1", f"{'9' * 18}.wf_1"):
        assert at.get(f"/v1/instances?cursor={cursor}", "olga").status_code in {200, 400}
        assert at.get(f"/v1/approvals?cursor={cursor}", "olga").status_code in {200, 400}
    answer = at.propose(workflow_id, "order.get", key=None, orderId="W", headers=None)
    assert answer.status_code in {200, 422}
    for etag in (number, f'"{number}"', "*", '"1", "2"', 'W/"x"'):
        called = at.post(
            f"/v1/instances/{workflow_id}/proposals",
            {"tool": "order.get", "arguments": {"orderId": "W"}},
            headers={"If-Match": etag},
        )
        assert called.status_code in {200, 400, 412}, etag


def test_only_the_first_of_many_calls_with_one_revision_runs(tmp_path: Any) -> None:
    with served(f"sqlite:///{tmp_path / 'desk.db'}") as at:
        workflow_id = at.started()
        etag = at.get(f"/v1/instances/{workflow_id}").headers["etag"]
        body = {"tool": "mail.send", "arguments": {"text": "once"}}

        def send(number: int) -> int:
            del number
            return at.post(f"/v1/instances/{workflow_id}/proposals", body, headers={"If-Match": etag}).status_code

        with ThreadPoolExecutor(8) as pool:
            statuses = sorted(pool.map(send, range(8)))
        assert statuses.count(200) >= 1
        assert set(statuses) <= {200, 409, 412}
        assert at.desk.ran == ["mail once"]


def test_nothing_is_kept_by_a_cache_or_run_by_a_browser(at: Served) -> None:
    workflow_id = at.started()
    for path in (
        "/v1/instances", f"/v1/instances/{workflow_id}", f"/v1/instances/{workflow_id}/picture", f"/v1/instances/{workflow_id}/audit/export",
        "/v1/workflows/desk/diagram", "/v1/instances/none", "/console/attention", "/console/none", "/metrics", "/nowhere",
    ):  # fmt: skip
        headers = at.get(path, "olga").headers
        assert headers["cache-control"] == "no-store", path
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["content-security-policy"].startswith("default-src 'none'"), path
        assert headers.get_list("content-security-policy") == [headers["content-security-policy"]], path


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example/",
        "/console//evil.example",
        "/\\evil.example",
        "/v1/instances/",
        "/console/static/..%2fconsole.css",
        "/%2e%2e/x",
    ],
)
def test_no_path_redirects_to_another_host(at: Served, path: str) -> None:
    answer = at.ask("GET", path, "olga", headers={"Host": "evil.example"})
    assert "evil.example" not in answer.headers.get("location", "")
    assert answer.status_code in {200, 303, 400, 404}


def test_a_forwarded_header_is_believed_from_no_stranger(at: Served) -> None:
    forwarded = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Prefix": "/evil",
        "X-Forwarded-For": "1.2.3.4",
    }
    answer = at.get("/console/attention", "sue", headers=forwarded)
    assert "evil" not in answer.text
    assert "Secure" not in answer.headers.get("set-cookie", "")


def test_headers_that_name_somebody_are_one_line(at: Served) -> None:
    workflow_id = at.started()
    answer = at.get(f"/v1/instances/{workflow_id}/audit/export", "olga")
    assert re.fullmatch(r"attachment; filename\*=UTF-8''[\w.%-]+", answer.headers["content-disposition"])


def test_links_of_the_application_run_nothing() -> None:
    graph = Desk().workflow().compile()
    for options in ({"links": {"x": "javascript:alert(1)"}}, {"trace_url": "javascript:alert(1)//{trace_id}"}):
        with pytest.raises(InputError):
            service(graph, development=Development(), **options)  # type: ignore[arg-type]


def test_a_client_that_says_nothing_holds_up_nobody(tmp_path: Any) -> None:
    from tests.serving.killable import desk, running

    url = f"sqlite:///{tmp_path / 'desk.db'}"
    desk(url).checkpointer.close()  # type: ignore[union-attr]
    with running(url) as (child, client):
        silent = [socket.create_connection((client.base_url.host, client.base_url.port or 0)) for _ in range(50)]
        for one in silent:
            one.sendall(b"POST /v1/workflows/desk/instances HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
        assert client.get("/healthz").status_code == 200
        assert client.get("/v1/instances", headers={"x-test-user": "kim"}).status_code == 200
        for one in silent:
            one.close()
        child.kill()
