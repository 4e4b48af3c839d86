"""The console in a real browser: the story of a case from the sides of those who take part in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from interlock.checkpointing.tables.workflow import approvals, instances, outbox
from tests.browser.conftest import People, Site
from tests.serving.desk import KIM

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_a_case_from_both_sides(people: People, site: Site) -> None:
    workflow_id = site.talk("t-1")
    kim, sue = people.window("kim"), people.window("sue")
    kim.goto(f"/console/instances/{workflow_id}")
    assert kim.get_by_text("A decision on order.refund, for kim.").is_visible()
    assert kim.get_by_text("somebody with the role 'supervisor'").is_visible()

    sue.goto("/console/attention")
    sue.get_by_role("link", name="order.refund").click()
    assert sue.locator("ins").inner_text() == "96.00"
    sue.get_by_role("button", name="Approve").click()
    sue.get_by_text("Approved.").wait_for()
    assert site.desk.ran == ["refund W-7 4.00"]

    kim.get_by_text("Something changed since this page was made.").wait_for()
    kim.get_by_role("link", name="Load it again").click()
    kim.get_by_text("transition: order.refund").wait_for()
    kim.get_by_role("link", name="Verify the record").click()
    kim.locator(".badge.good", has_text="whole").wait_for()


def test_somebody_without_the_role_sees_no_button_and_is_refused(people: People, site: Site) -> None:
    path = f"/console/approvals/{site.asked(site.talk('t-1'))}"
    kim, sue = people.window("kim"), people.window("sue")
    kim.goto(path)
    assert kim.get_by_role("button", name="Approve").count() == 0
    assert kim.get_by_text("You cannot decide on this").is_visible()
    sue.goto(path)
    token = sue.locator('form[action$="/decide"] input[name="form_token"]').first.get_attribute("value")
    digest = sue.locator('input[name="digest"]').first.get_attribute("value")
    forged = kim.evaluate(
        """async ([path, token, digest]) => {
            const body = new URLSearchParams({form_token: token, digest, decision: "approve"});
            return (await fetch(path + "/decide", {method: "POST", body})).status;
        }""",
        [path, token, digest],
    )
    assert forged == 403
    assert site.desk.ran == []


def test_an_edit_with_an_error_is_shown_at_its_field(people: People, site: Site) -> None:
    sue = people.window("sue")
    sue.goto(f"/console/approvals/{site.asked(site.talk('t-1'))}")
    sue.get_by_text("Change the arguments").click()
    amount = sue.get_by_label("amount")
    amount.fill("1000")
    sue.get_by_role("button", name="Run it as changed").click()
    sue.get_by_role("alert").first.wait_for()
    assert sue.get_by_label("amount").get_attribute("aria-invalid") == "true"
    assert site.desk.ran == []
    sue.get_by_label("amount").fill("2.50")
    sue.get_by_role("button", name="Run it as changed").click()
    sue.get_by_text("Approved with your changes.").wait_for()
    assert site.desk.ran == ["refund W-7 2.50"]


def test_an_approval_that_expires_while_the_page_is_open(people: People, site: Site) -> None:
    approval_id = site.asked(site.talk("t-1"))
    sue = people.window("sue")
    sue.goto(f"/console/approvals/{approval_id}")
    with site.graph.engine.store.write() as connection:
        connection.execute(approvals.update().where(approvals.c.approval_id == approval_id).values(expires_at=1))
    sue.get_by_role("button", name="Approve").click()
    sue.get_by_role("heading", level=1).wait_for()
    assert site.desk.ran == []
    assert "over" in sue.locator("main").inner_text() or "expired" in sue.locator("main").inner_text()


def test_a_race_of_two_approvers(people: People, site: Site) -> None:
    path = f"/console/approvals/{site.asked(site.talk('t-1'))}"
    sue, sal = people.window("sue"), people.window("sal")
    sue.goto(path)
    sal.goto(path)
    sue.get_by_role("button", name="Approve").click()
    sue.get_by_text("Approved.").wait_for()
    sal.get_by_role("button", name="Approve").click()
    sal.get_by_role("heading", name="Somebody else was faster, or it changed meanwhile").wait_for()
    assert site.desk.ran == ["refund W-7 4.00"]


def test_erasing_a_conversation(people: People, site: Site) -> None:
    workflow_id = site.talk("t-1")
    olga = people.window("olga")
    olga.goto(f"/console/instances/{workflow_id}")
    assert olga.get_by_text("Refund W-7, please.").is_visible()
    olga.locator("summary", has_text="Erase").click()
    olga.get_by_label(re.compile("^Why")).fill("The customer asked for it.")
    olga.get_by_role("button", name="Erase").click()
    olga.get_by_text("Erased.").wait_for()
    assert olga.get_by_text("Refund W-7, please.").count() == 0


def test_an_unknown_outcome_is_resolved(people: People, site: Site) -> None:
    workflow_id = site.graph.instances.start(principal=KIM).workflow_id
    site.desk.breaks = True
    with pytest.raises(KeyboardInterrupt):
        site.graph.instances.propose(workflow_id, "mail.send", {"text": "hello"}, principal=KIM, key="k-1")
    with (
        site.graph.engine.store.write() as connection
    ):  # whoever began it is gone for longer than the instance is held for them
        connection.execute(instances.update().values(lease_until=1))
    olga = people.window("olga")
    olga.goto("/console/attention")
    olga.get_by_role("link", name="mail.send").click()
    olga.get_by_role("heading", name="Nobody knows whether mail.send happened").wait_for()
    olga.get_by_label(re.compile("^What the tool would have returned")).fill('"sent"')
    olga.get_by_label(re.compile("^How you know")).fill("It is in the log.")
    olga.get_by_role("button", name="Record it").click()
    olga.get_by_text("Recorded.").wait_for()
    assert site.graph.engine.store.unsettled() == []


def test_a_dead_letter_is_tried_again(people: People, site: Site) -> None:
    workflow_id = site.graph.instances.start(principal=KIM).workflow_id
    row = {
        "event_id": "evt_dead", "workflow_id": workflow_id, "tenant": "default", "event_name": "mail.bounced.v1", "trace_id": "trace_1",
        "envelope": "{}", "status": "dead", "attempts": 9, "next_attempt_at": 1, "error": "the broker refused it", "created_at": 1,
    }  # fmt: skip
    with site.graph.engine.store.write() as connection:
        connection.execute(outbox.insert().values(**row))
    olga = people.window("olga")
    olga.goto("/console/events")
    assert olga.get_by_text("the broker refused it").is_visible()
    olga.get_by_role("button", name="Try again").click()
    olga.get_by_text("It will be retried.").wait_for()
    assert olga.locator(".badge", has_text="pending").is_visible()


def test_a_page_is_used_with_the_keyboard_alone(people: People, site: Site) -> None:
    site.talk("t-1")
    sue = people.window("sue")
    sue.goto("/console/attention")
    sue.keyboard.press("Tab")
    assert sue.evaluate("document.activeElement.textContent") == "Skip to the content"
    sue.keyboard.press("Enter")
    for _ in range(20):
        sue.keyboard.press("Tab")
        if sue.evaluate("document.activeElement.textContent") == "order.refund":
            break
    sue.keyboard.press("Enter")
    sue.get_by_role("heading", name="order.refund").wait_for()


PAGES = (
    "attention",
    "instances",
    "events",
    "events/deliver",
    "fleet",
    "learning",
    "approvals",
    "instances/{workflow_id}",
    "approvals/{approval_id}",
    "none",
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_passes_axe_and_fits_its_window(people: People, site: Site, scheme: Any, width: int) -> None:
    from axe_playwright_python.sync_playwright import Axe

    axe = Axe()
    workflow_id = site.talk("t-1")
    named = {"workflow_id": workflow_id, "approval_id": site.asked(workflow_id)}
    sue: Page = people.window("olga", color_scheme=scheme, viewport={"width": width, "height": 900})
    folder = Path(__file__).parents[2] / ".screenshots"
    folder.mkdir(exist_ok=True)
    for page in PAGES:
        sue.goto(f"/console/{page.format(**named)}")
        found = axe.run(sue)
        assert found.violations_count == 0, f"{page}: {found.generate_report()}"
        across = sue.evaluate("document.documentElement.scrollWidth")
        assert across <= width, f"{page} is {across} wide"
        link, whole = sue.locator("header nav a").first.bounding_box(), sue.locator("header nav ul").bounding_box()
        assert link is not None
        assert whole is not None
        assert whole["height"] < 1.5 * link["height"], f"the navigation of {page} takes several lines"
        name = page.split("/", maxsplit=1)[0] + ("-one" if "/" in page else "")
        sue.screenshot(path=folder / f"{name}-{scheme}-{width}.png", full_page=True)
