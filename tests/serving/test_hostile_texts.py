"""The corpus of hostile texts through every form and every page: nothing of it becomes a tag, an attribute or a header, and nothing breaks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote

import pytest
from httpx import Response

from interlock import Workflow
from tests.serving.desk import Served, served
from tests.sinks.hostile import TEXTS, live

EXECUTES = re.compile(r"^(on\w+|style|srcdoc|formaction)$")


class Page(HTMLParser):
    """What a browser makes of a page: its tags, its attributes that could act, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.acting: list[str] = []
        self.text: list[str] = []
        self.inside: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in {"iframe", "object", "embed", "base", "template", "foreignobject"}:
            self.acting.append(tag)
        if tag == "script" and not str(values.get("src")).endswith("/console/static/console.js"):
            self.acting.append("script")
        for name, value in attrs:
            if EXECUTES.match(name):
                self.acting.append(f"{tag} {name}")
            if name in {"href", "src", "action", "xlink:href"} and not re.match(r"(/|\?|#|data:,$|$)", value or ""):
                self.acting.append(f"{tag} {name}={value}")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def check(answer: Response, where: str) -> None:
    """It is a whole page on which nothing acts and nothing is hidden."""
    assert answer.status_code < 500, f"{where}: {answer.status_code} {answer.text[:300]}"
    if "text/html" not in answer.headers.get("content-type", ""):
        return
    assert answer.text.rstrip().endswith("</html>"), where
    page = Page(answer.text)
    assert page.acting == [], where
    assert live("".join(page.text), lines=True) == [], where
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(f"sqlite:///{tmp_path_factory.mktemp('hostile') / 'desk.db'}") as it:
        yield it


def hidden(page: str, action: str) -> dict[str, str]:
    form = re.search(rf'<form[^>]*action="[^"]*{re.escape(action)}"[^>]*>(.*?)</form>', page, re.DOTALL)
    assert form is not None, f"no form goes to {action}"
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form.group(1)))


def ask(at: Served, path: str, body: Any, who: str = "kim", **headers: str) -> Response:
    """A request whose JSON has every character that JSON can have."""
    return at.ask(
        "POST", path, who, content=json.dumps(body).encode(), headers={"content-type": "application/json", **headers}
    )


def encoded(fields: dict[str, str]) -> bytes:
    return "&".join(
        f"{name}={quote(value.encode('utf-8', 'surrogatepass'))}" for name, value in fields.items()
    ).encode()


def send(at: Served, page: str, action: str, who: str, **fields: str) -> Response:
    shown = at.get(page, who)
    check(shown, page)
    body = encoded({**hidden(shown.text, action), **fields})
    kind = {"content-type": "application/x-www-form-urlencoded"}
    return at.ask("POST", action, who, content=body, headers=kind)


@pytest.mark.parametrize("name", TEXTS)
def test_a_hostile_text_stays_a_text_on_every_page(at: Served, name: str) -> None:
    text = TEXTS[name]
    workflow_id = at.started()
    arguments = {"orderId": text, "amount": "4.00", "reason": text}
    path = f"/v1/instances/{workflow_id}/proposals"
    pending = ask(at, path, {"tool": "order.refund", "arguments": arguments}, **{"Idempotency-Key": "k-1"})
    assert pending.status_code in {202, 422}, pending.text
    case = f"/console/instances/{workflow_id}"
    if pending.status_code == 202:
        approval = f"/console/approvals/{pending.json()['pending']['proposalId']}"
        for page in ("/console/attention", "/console/approvals", case):
            check(at.get(page, "sue" if "approvals" in page else "olga"), page)
        wrong = {"argument.orderId": text, "argument.amount": text, "argument.reason": text, "decision": "edit"}
        check(send(at, approval, f"{approval}/decide", "sue", **wrong), "an edit")
        check(send(at, approval, f"{approval}/decide", "sue", decision=text), "a decision")
        check(send(at, approval, f"{approval}/decide", "sue", decision="reject", message=text), "a rejection")
        check(at.get(approval, "sue"), approval)
    ask(at, path, {"tool": text, "arguments": {}})
    ask(at, path, {"tool": "order.get", "arguments": {text: text}})
    check(send(at, case, f"{case}/erase", "olga", what="payloads", reason=text), "an erasure")
    check(at.get(case, "olga"), case)
    check(at.get(f"{case}?verify=1", "olga"), "a verified case")


@pytest.mark.parametrize("name", TEXTS)
def test_a_hostile_text_in_an_address_or_a_field_is_only_a_text(at: Served, name: str) -> None:
    asked = quote(TEXTS[name].encode("utf-8", "surrogatepass"), safe="")[:4000]
    for path in (
        f"attention?find={asked}", f"attention?workflow={asked}&person={asked}", f"instances?state={asked}&workflow={asked}",
        f"instances?after={asked}", f"instances?waiting={asked}", f"instances/{asked}", f"approvals/{asked}", f"events?status={asked}",
        f"events/deliver?event={asked}&instance={asked}", f"learning/{asked}.jsonl", f"attention?done={asked}", f"static/{asked}", asked,
    ):  # fmt: skip
        answer = at.get(f"/console/{path}", "olga")
        check(answer, path)
        assert "\n" not in answer.headers.get("location", "")
    for path in (
        f"instances/{asked}",
        f"approvals/{asked}",
        f"workflows/{asked}",
        f"instances?cursor={asked}",
        f"instances/{asked}/events",
    ):
        answer = at.get(f"/v1/{path}", "olga")
        assert answer.status_code in {200, 400, 404, 422}, f"{path}: {answer.status_code}"
        assert answer.headers["content-type"].startswith(("application/json", "application/problem+json"))


def test_a_workflow_cannot_have_markup_as_its_name() -> None:
    with pytest.raises(Exception, match="name"):
        Workflow("<script>alert(1)</script>")
