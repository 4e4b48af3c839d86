"""Rules of approvals whose deciders and deadlines are functions of the case, and what of them belongs to a binding."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from pydantic import BaseModel

from interlock import Approval, Escalate, Principal
from interlock.rules.case_approvals import apart_from_deadlines, of_the_case
from interlock.rules.view import GuardView
from interlock.tools.errors import RuleError


class Data(BaseModel):
    manager: str = "mia"
    chief: str = "nil"


VIEW = GuardView("wf", "open", Data(), Principal("ann"), 0)
RULE = Approval(
    by=lambda view: view.data.manager,
    within=lambda view: "2h",
    on_expiry=Escalate(by=lambda view: view.data.chief, within=lambda view: dt.timedelta(hours=4)),
)


def test_each_function_of_a_rule_is_asked_with_the_case() -> None:
    given = of_the_case(RULE, VIEW, "order.refund")
    assert "mia" in str(given.to_json()["by"])
    expiry: Any = given.on_expiry
    assert "nil" in str(given.to_json()["onExpiry"])
    assert not callable(expiry.by)
    assert not callable(expiry.within)
    assert given.from_case == {"by", "within", "on_expiry"}


def test_a_function_of_an_escalation_that_breaks_is_named() -> None:
    broken = Approval(within="2h", on_expiry=Escalate(by=lambda view: view.data.nobody, within="4h"))
    with pytest.raises(RuleError, match=r"by= of .*order\.refund"):
        of_the_case(broken, VIEW, "order.refund")


def test_the_deadlines_that_functions_gave_are_no_part_of_a_rule_and_those_who_decide_are() -> None:
    plain = of_the_case(RULE, VIEW, "order.refund").to_json()
    left = apart_from_deadlines(plain)
    assert (left["seconds"], left["until"]) == (None, None)
    assert (left["onExpiry"]["seconds"], left["onExpiry"]["until"]) == (None, None)
    assert {name: value for name, value in left["onExpiry"].items() if name not in {"seconds", "until", "then"}} == {
        name: value for name, value in plain["onExpiry"].items() if name not in {"seconds", "until", "then"}
    }
    assert left["onExpiry"] != {}
    assert {name for name in plain if left[name] != plain[name]} == {"seconds", "onExpiry"}


def test_a_deadline_that_the_definition_gives_stays() -> None:
    plain = Approval(by="mia", within="2h", on_expiry=Escalate("nil", within="4h")).to_json()
    assert apart_from_deadlines(plain) == plain
    assert apart_from_deadlines("reject") == "reject"
