"""The page on notifications: its code runs, and its templates make a text of every reason that nothing breaks out of."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any, get_args

import pytest

from interlock.commands.running.needed import Reason, SomebodyNeeded
from interlock.tools.events import EventEnvelope
from tests.docs.blocks import ROOT, blocks_of

PAGE = "docs/notifications.md"


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    names: dict[str, Any] = {}
    for block in blocks_of(PAGE):
        if block.language == "python":
            exec(compile(block.code, f"{PAGE}:{block.line}", "exec"), names)  # noqa: S102 -- the page's own code
    return names


def event(reason: Any, who: str = "kim") -> EventEnvelope:
    about = SomebodyNeeded(
        reason=reason, state="open", tool="order.refund", approval_id="apr_1", role="supervisor", requested_by=who
    )
    return EventEnvelope.wrap(
        about,
        event_id="evt_1",
        occurred_at=dt.datetime.now(dt.UTC),
        trace_id="trace_1",
        workflow_id="wf_1",
        metadata={"workflow": "desk"},
    )  # type: ignore[arg-type]


@pytest.mark.parametrize("reason", get_args(Reason))
def test_slack_and_mail_say_what_it_is_about_and_where_to_look(page: dict[str, Any], reason: str) -> None:
    text = page["slack"](event(reason))["text"]
    assert "desk" in text
    assert "/console/approvals/apr_1" in text
    message = page["mail"](event(reason))
    assert message["To"] == "supervisor@example.com"
    assert "/console/approvals/apr_1" in message.get_content()
    assert json.loads(page["to_slack"].body(event(reason)))["text"] == text


def test_a_name_breaks_out_of_neither(page: dict[str, Any]) -> None:
    hostile = event("approval", "<!channel> <https://evil.example|x>\nBcc: all@example.com")
    assert "<!channel>" not in page["slack"](hostile)["text"]
    assert page["mail"](hostile)["Bcc"] is None


def test_its_table_has_every_reason() -> None:
    text = (ROOT / PAGE).read_text("utf-8")
    for reason in get_args(Reason):
        assert f"| `{reason}` |" in text
