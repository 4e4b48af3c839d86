"""Hostile texts in a real browser: no dialog opens, nothing is asked for elsewhere, and the page stays whole."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import People, Site
from tests.serving.desk import KIM
from tests.sinks.hostile import TEXTS


def test_every_text_of_the_corpus_at_once(people: People, site: Site) -> None:
    instances = site.graph.instances
    shown = 0
    for number, text in enumerate(TEXTS.values()):
        begun = instances.start(principal=KIM)
        arguments: Any = {"orderId": text, "amount": "4.00", "reason": text}
        pending = instances.propose(begun.workflow_id, "order.refund", arguments, principal=KIM, key=f"k-{number}")
        shown += pending.ok is None
    assert shown > 30
    sue = people.window("sue")
    sue.goto("/console/approvals")
    assert sue.locator("input[name=which]").count() == shown
    links = [one.get_attribute("href") or "" for one in sue.get_by_role("link", name="open").all()]
    for link in links[::6]:
        sue.goto(link)
        assert sue.get_by_role("button", name="Approve").is_visible()
        assert sue.evaluate("document.documentElement.scrollWidth") <= 1280
    sue.goto("/console/attention?find=" + "%3Cscript%3Ealert(1)%3C/script%3E")
    assert sue.get_by_label("Instance, thread, person or data").input_value() == "<script>alert(1)</script>"
    assert people.dialogs == []
    assert sue.evaluate("[...document.scripts].map(one => one.src).filter(src => !src.endsWith('/console.js'))") == []


@pytest.mark.parametrize("text", ["<img src=x onerror=alert(1)>", "javascript:alert(1)"])
def test_a_hostile_state_or_person_in_a_filter(people: People, site: Site, text: str) -> None:
    olga = people.window("olga")
    for field in ("state", "person"):
        olga.goto("/console/instances")
        olga.locator(f"input[name={field}]").fill(text)
        olga.get_by_role("button", name="Filter").click()
        assert olga.locator(f"input[name={field}]").input_value() == text
    assert people.dialogs == []
