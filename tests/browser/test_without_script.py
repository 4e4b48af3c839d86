"""The console without its script: everything can be done, and what cannot be undone is asked once more, by a box that has to be ticked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from interlock import Event, SQLCheckpointer, Workflow
from interlock.checkpointing.tables.workflow import instances
from tests.browser.conftest import PEOPLE, Listening, People, Site
from tests.serving.desk import KIM

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

OFF: Any = {"java_script_enabled": False}


class PaymentArrived(Event, name="payment.arrived_without_script"):
    """A payment arrived at the bank."""

    amount: int


def press_twice(page: Page, button: str, question: str) -> None:
    """Press a button: nothing is sent before the box above it is ticked."""
    here, form = page.url, page.locator("form", has=page.get_by_role("button", name=button, exact=True))
    box = form.get_by_label(question, exact=True)
    form.get_by_role("button", name=button, exact=True).click()
    assert page.url == here
    assert box.evaluate("box => box.matches(':invalid')")
    box.check()
    form.get_by_role("button", name=button, exact=True).click()


def test_an_approval_is_granted(people: People, site: Site) -> None:
    sue = people.window("sue", **OFF)
    sue.goto(f"/console/approvals/{site.asked(site.talk('t-1'))}")
    press_twice(sue, "Approve", "Approve exactly this")
    sue.get_by_text("Approved.").wait_for()
    assert site.desk.ran == ["refund W-7 4.00"]


def test_the_arguments_of_a_call_are_changed(people: People, site: Site) -> None:
    sue = people.window("sue", **OFF)
    sue.goto(f"/console/approvals/{site.asked(site.talk('t-1'))}")
    sue.get_by_text("Change the arguments").click()
    sue.get_by_label("amount").fill("2.50")
    press_twice(sue, "Run it as changed", "Run it with these arguments")
    sue.get_by_text("Approved with your changes.").wait_for()
    assert site.desk.ran == ["refund W-7 2.50"]


def test_an_unknown_outcome_is_resolved(people: People, site: Site) -> None:
    workflow_id = site.graph.instances.start(principal=KIM).workflow_id
    site.desk.breaks = True
    with pytest.raises(KeyboardInterrupt):
        site.graph.instances.propose(workflow_id, "mail.send", {"text": "hello"}, principal=KIM, key="k-1")
    with site.graph.engine.store.write() as connection:  # whoever began it is gone
        connection.execute(instances.update().values(lease_until=1))
    olga = people.window("olga", **OFF)
    olga.goto(f"/console/instances/{workflow_id}")
    olga.get_by_label(re.compile("^What the tool would have returned")).fill('"sent"')
    press_twice(olga, "Record it", "Record this as what became of the attempt")
    olga.get_by_text("Recorded.").wait_for()
    assert site.graph.engine.store.unsettled() == []


def test_several_are_decided_together(people: People, site: Site) -> None:
    for number in range(3):
        site.talk(f"t-{number}")
    sue = people.window("sue", **OFF)
    sue.goto("/console/approvals")
    boxes = sue.locator("input[name=which]")
    boxes.nth(0).check()
    boxes.nth(2).check()
    press_twice(sue, "Approve those ticked", "Decide on all that are ticked")
    sue.get_by_text("2 decided.").wait_for()
    assert len(site.desk.ran) == 2


def test_an_event_is_delivered(chromium: Browser, tmp_path: Path) -> None:
    flow = Workflow("orders")
    flow.add_wait("unpaid", for_event=PaymentArrived, then="paid").add_state("paid", final=True)
    with SQLCheckpointer(f"sqlite:///{tmp_path / 'orders.db'}") as saver:
        graph = flow.compile(saver)
        workflow_id = graph.instances.start(principal=KIM).workflow_id
        listening = Listening(graph, PEOPLE)
        people = People(chromium, listening)
        try:
            olga = people.window("olga", **OFF)
            olga.goto(f"/console/instances/{workflow_id}")
            olga.get_by_role("link", name="Deliver the event").click()
            olga.get_by_label("amount").fill("7")
            press_twice(olga, "Deliver it", "Deliver it")
            olga.get_by_text("Delivered.").wait_for()
            assert graph.instances.get(workflow_id).state == "paid"
        finally:
            people.close()
            listening.close()
