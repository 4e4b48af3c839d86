"""How often a rule that breaks is reported."""

from __future__ import annotations

import logging
from collections import OrderedDict

import pytest

from interlock import Principal
from interlock.commands.running import broken_rules
from interlock.rules.view import GuardView
from interlock.tools.errors import RuleError

ANN = Principal("ann")


def test_each_rule_that_breaks_is_reported_once_at_a_revision(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broken_rules, "_REMEMBERED", 2)
    monkeypatch.setattr(broken_rules, "_told", OrderedDict())

    def told(rule: str, revision: int = 1) -> int:
        caplog.clear()
        broken_rules.report_once(RuleError(f"{rule} broke", rule=rule), GuardView("wf_1", "open", None, ANN, revision))
        return len(caplog.records)

    with caplog.at_level(logging.ERROR, "interlock"):
        assert [told("a guard"), told("a policy"), told("a guard"), told("a policy")] == [1, 1, 0, 0]
        assert told("a guard", revision=2) == 1
        assert told("a guard", revision=2) == 0, "the newest is remembered"
        assert told("a guard") == 1, "the oldest was forgotten"
