"""The page on events: its code runs, and its commands, statuses and headers are those that there are."""

import re

import pytest
from typer.testing import CliRunner

from interlock.checkpointing.store.inbox import InboxStatus
from interlock.cli import app
from interlock.events import RelayOptions, WireFormat
from interlock.events.brokers import open_bus
from tests.docs.blocks import ROOT, blocks_of
from tests.events.support import eventually

PAGE = "docs/events.md"
TEXT = (ROOT / PAGE).read_text("utf-8")


def test_its_code_runs_from_the_top() -> None:
    names: dict[str, object] = {"__name__": "events_page", "until": eventually}
    blocks = [block for block in blocks_of(PAGE) if block.language == "python"]
    assert len(blocks) == 2
    for block in blocks:
        exec(compile("\n" * (block.line - 1) + block.code, str(ROOT / PAGE), "exec"), names)  # noqa: S102


@pytest.mark.parametrize(
    "named", sorted(set(re.findall(r"(?:^|`)interlock ((?:events )?[a-z]+)(?= )", TEXT, re.MULTILINE)))
)
def test_the_commands_that_it_names_are_there(named: str) -> None:
    assert CliRunner().invoke(app, [*named.split(), "--help"]).exit_code == 0


def test_it_names_what_may_become_of_an_event_and_every_form_on_the_wire() -> None:
    for status in (InboxStatus.KEPT, InboxStatus.LATE, InboxStatus.UNMATCHED):
        assert f"*{status.value}*" in TEXT
    assert all(f"`--wire {form.value}`" in TEXT for form in WireFormat)
    assert f"({RelayOptions().lease:.0f} s)" in TEXT


@pytest.mark.parametrize("url", re.findall(r"^\|[^|]+\| `([a-z]+://[^`]+)`", TEXT, re.MULTILINE))
def test_the_addresses_that_it_shows_are_understood(url: str) -> None:
    assert open_bus(url) is not None
