"""What strangers and proxies send: HEAD, headers that come twice, origins and URLs that are none; and `interlock serve` with odd options."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from interlock.cli.doctor import _broker
from interlock.cli.support.output import ExitCode
from interlock.events.brokers import open_bus
from interlock.events.webhooks import Webhook
from interlock.mcp.client.targets import target_of
from interlock.serving import Tokens, metrics
from interlock.serving.identity import Callers
from interlock.tools.errors import CommitUnknown, ContractError, InputError, StoreError, StoreUnavailable
from tests.cli.support import run
from tests.serving.desk import Served, by_header, served


@pytest.fixture
def at() -> Iterator[Served]:
    with served() as it:
        yield it


@pytest.mark.parametrize(
    "path",
    ["/healthz", "/readyz", "/metrics", "/v1/instances", "/v1/instances/{id}", "/console/attention", "/openapi.json"],
)
def test_head_answers_as_get_does_without_the_body(at: Served, path: str) -> None:
    path = path.format(id=at.started())
    get, head = at.get(path), at.ask("HEAD", path)
    assert head.status_code == get.status_code == 200
    assert head.content == b""
    assert get.content != b""
    kept = ("content-type", "etag", "cache-control")
    assert [head.headers.get(name) for name in kept] == [get.headers.get(name) for name in kept]


def test_head_of_what_is_not_there_and_of_what_is_only_posted(at: Served) -> None:
    assert at.ask("HEAD", "/v1/instances/none").status_code == 404
    answer = at.ask("HEAD", f"/v1/instances/{at.started()}/proposals")
    assert (answer.status_code, answer.content) == (405, b"")


@pytest.mark.parametrize(
    "name", ["Idempotency-Key", "If-Match", "Authorization", "Content-Type", "Last-Event-ID", "Origin"]
)
def test_a_header_that_says_one_thing_is_refused_when_it_comes_twice(at: Served, name: str) -> None:
    path = f"/v1/instances/{at.started()}/proposals"
    headers = [("x-test-user", "kim"), ("idempotency-key", "k-1"), (name, "one"), (name, "two")]
    answer = at.client.post(path, content=b'{"tool": "desk.close"}', headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert answer.headers["content-type"] == "application/problem+json"
    assert name.lower() in answer.json()["detail"]
    assert at.desk.ran == []


@pytest.mark.parametrize(
    "path",
    [
        "/v1/instances/%00",
        "/v1/instances/a%00b/audit",
        "/v1/instances?state=%00",
        "/v1/approvals?cursor=1.%00",
        "/console/instances?person=a%00",
    ],
)
def test_an_address_with_a_nul_is_refused(at: Served, path: str) -> None:
    answer = at.get(path, "olga")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_a_delegate_with_a_nul_is_refused(at: Served) -> None:
    answer = at.post("/v1/delegations", {"delegate": "a\0", "until": "2999-01-01T00:00:00Z"}, "sue")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StoreError("The database postgresql://db.inside/x refused it."), 500),
        (StoreUnavailable("The database postgresql://db.inside/x did not answer."), 503),
        (CommitUnknown("The database postgresql://db.inside/x lost it."), 503),
    ],
)
@pytest.mark.parametrize("path", ["/v1/instances", "/console/instances"])
def test_the_databases_address_is_shown_to_no_caller(
    at: Served, monkeypatch: pytest.MonkeyPatch, path: str, error: StoreError, status: int
) -> None:
    def read(*_: Any) -> None:
        raise error

    monkeypatch.setattr(type(at.graph.engine.store), "read", read)
    at.client._transport.raise_server_exceptions = False  # type: ignore[attr-defined]
    answer = at.get(path, "olga")
    assert answer.status_code == status
    assert "The database" in answer.text
    assert "db.inside" not in answer.text


@pytest.mark.parametrize("origin", ["http://[", "null", "http://testserver@elsewhere", "//", "http://testserver:port"])
def test_an_origin_that_is_none_is_another_origin(at: Served, origin: str) -> None:
    answer = at.post("/v1/workflows/desk/instances", {}, headers={"Origin": origin})
    assert (answer.status_code, answer.json()["code"]) == (403, "other_origin")


NO_URL = ("http://[", "nats://host:port", "https://host:99999999/x")


def _linked(url: str) -> None:
    with served(trace_url=url):
        pass


@pytest.mark.parametrize("url", NO_URL)
@pytest.mark.parametrize(
    "takes",
    [
        open_bus,
        lambda url: Webhook(url, "whsec_" + "A" * 44),
        lambda url: Tokens(issuer="i", audience="a", keys=url.replace("nats", "https")),
        _linked,
    ],
    ids=["broker", "webhook", "keys", "link"],
)
def test_a_setting_that_is_no_url_is_refused_and_said(takes: Any, url: str) -> None:
    with pytest.raises(InputError, match="is not a URL"):
        takes(url)


def test_an_mcp_server_whose_url_is_none_is_refused() -> None:
    with pytest.raises(ContractError, match="is none"):
        target_of("files", "http://[")


@pytest.mark.parametrize("url", NO_URL)
def test_the_doctor_says_that_a_broker_has_no_url(url: str) -> None:
    (finding,) = _broker(url)
    assert "is not the URL of a broker" in finding.told


@pytest.mark.parametrize("secret", ["", "short", b"fifteen bytes.."])
def test_a_secret_that_could_be_guessed_signs_no_form(secret: Any) -> None:
    with pytest.raises(InputError, match="could be guessed"):
        Callers(principal=by_header, secret=secret)
    assert Callers(principal=by_header, secret="sixteen bytes....")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Filled when the command switches the metrics of its process on."""
    found: list[bool] = []
    monkeypatch.setattr(metrics, "collect", lambda: found.append(True))
    return found


DEVELOPMENT = ("serve", "--app", "case", "--development", "--port", "0")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--private-key", "key.pem"), "without a certificate"),
        (("--certificate", "none.pem"), "TLS cannot be served"),
        (("--certificate", "{junk}"), "TLS cannot be served"),
        (("--trusted-proxy", "*"), "is not the address of a proxy"),
        (("--trusted-proxy", "0.0.0.0/0"), "is not the address of a proxy"),
        (("--trusted-proxy", "proxy.example"), "is not the address of a proxy"),
        (("--root-path", "interlock"), "is not a path"),
        (("--root-path", "//elsewhere.example"), "is not a path"),
        (("--root-path", "/a?b"), "is not a path"),
        (("--subscribe",), "--subscribe works with a broker"),
        (("--relay",), "--relay works with a broker"),
        (("--webhook", "https://x.example", "--webhook-secret", "whsec_" + "A" * 44), "nothing is"),
        (("--bus", "nats://["), "is not a URL"),
        (("--secret", "short"), "could be guessed"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused_before_anything_is_served(
    tmp_path: Path, measured: list[bool], options: tuple[str, ...], said: str
) -> None:
    junk = tmp_path / "junk.pem"
    junk.write_text("no certificate")
    given = [one.format(junk=junk) for one in options]
    refused = run(*DEVELOPMENT, "--db", f"sqlite:///{tmp_path / 'case.db'}", *given)
    assert refused.exit_code == ExitCode.ERROR
    assert said in " ".join(refused.output.split())
    assert measured == [], "a service that is refused must not measure the steps of its process"


def test_a_port_that_is_taken_is_named(tmp_path: Path, measured: list[bool]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = run(*DEVELOPMENT[:-1], port, "--db", f"sqlite:///{tmp_path / 'case.db'}")
    assert refused.exit_code == ExitCode.ERROR
    assert f"Nothing can listen on 127.0.0.1:{port}" in " ".join(refused.output.split())
    assert measured == []
