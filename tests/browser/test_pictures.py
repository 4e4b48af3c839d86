"""The pictures of the README, made from the demo: `make pictures` writes them where the README finds them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interlock.cli.demo.served import open_demo
from tests.browser.conftest import Listening, People

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ("docs/pictures" if os.environ.get("INTERLOCK_PICTURES") else ".screenshots")
WINDOW: Any = {"width": 1120, "height": 760}


def test_the_demo_in_the_console(chromium: Browser, tmp_path: Path) -> None:
    FOLDER.mkdir(exist_ok=True)
    with open_demo(f"sqlite:///{tmp_path / 'demo.db'}") as demo:
        listening = Listening(demo.graph, demo.people)
        people = People(chromium, listening)
        try:
            mei = people.window("mei_castellano", viewport=WINDOW, color_scheme="light")
            mei.get_by_role("link", name="order.exchange_items").click()
            mei.get_by_role("button", name="Approve").wait_for()
            assert mei.locator("ins").count() >= 1
            mei.evaluate("document.querySelector('.development').remove()")
            mei.screenshot(path=FOLDER / "console-approval.png", full_page=True)

            operator = people.window("operator", viewport=WINDOW, color_scheme="dark")
            operator.goto("/console/attention?find=idris_balogun")
            operator.locator("td a.id").first.click()
            operator.get_by_role("heading", name="What happened").wait_for()
            assert operator.locator("li.denied").count() == 6
            operator.evaluate("document.querySelector('.development').remove()")
            operator.screenshot(
                path=FOLDER / "console-case.png", clip={"x": 0, "y": 0, "width": 1120, "height": 1000}, full_page=True
            )
        finally:
            people.close()
            listening.close()
