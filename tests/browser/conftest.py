"""A service that listens, and Chromium with a window for each person: `make browser`."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn

from interlock import Principal, SQLCheckpointer, WorkflowGraph
from interlock.serving import Development, service
from tests.serving.desk import KIM, LEE, OPERATOR, SUE, Desk
from tests.support import servers

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = os.environ.get("INTERLOCK_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
SAL = Principal("sal", roles=frozenset({"supervisor"}))
PEOPLE = (OPERATOR, SUE, SAL, KIM, LEE)


class Listening:
    """A service that listens on a port of its own."""

    def __init__(self, graph: WorkflowGraph, people: tuple[Principal, ...]) -> None:
        self.app = service(graph, development=Development(people))
        self.app.state.interlock.watch._interval = 0.05
        config = uvicorn.Config(self.app, port=0, log_level="error", timeout_graceful_shutdown=10)
        listening = config.bind_socket()
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, args=([listening],))
        self.thread.start()

    def close(self) -> None:
        self.app.state.interlock.watch.stop()
        self.server.should_exit = True
        self.thread.join(30)


class Site:
    """The service, its desk, and a clock that a test sets."""

    def __init__(self, path: Path) -> None:
        self.desk = Desk()
        self.ahead = 0
        self.saver = SQLCheckpointer(f"sqlite:///{path}")
        self.graph: WorkflowGraph = self.desk.conversing(8).compile(self.saver)
        self.listening = Listening(self.graph, PEOPLE)
        self.url = self.listening.url

    def talk(self, thread: str, who: Principal = KIM) -> str:
        """A conversation that asks for a refund; gives the instance."""
        config: Any = {"configurable": {"thread_id": thread}}
        self.graph.invoke({"messages": [("user", "Refund W-7, please.")]}, config, context=who)
        return self.graph.instances.id_of(config)

    def asked(self, workflow_id: str) -> str:
        (one,) = self.graph.engine.store.pending_approvals(workflow_id)
        return one.approval_id

    def close(self) -> None:
        self.listening.close()
        self.saver.close()


# Playwright keeps an event loop running in this thread: asynchronous tests of other modules would find it there.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    must = servers.CHROMIUM in servers.required()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        if must:
            raise
        pytest.skip("Playwright is not installed: pip install -e '.[browser]'")
    if CHROMIUM is None:
        reason = "Chromium is not on this machine"
        if must:
            pytest.fail(
                f"{reason}; install it, or take {servers.CHROMIUM} out of {servers.REQUIRE}",
                pytrace=False,
            )
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    it = Site(tmp_path / "desk.db")
    yield it
    it.close()


class People:
    """Windows by person; notes every request that leaves the origin, and every error of a page."""

    def __init__(self, browser: Browser, site: Site | Listening) -> None:
        self.browser, self.site = browser, site
        self.contexts: list[Any] = []
        self.away: list[str] = []
        self.errors: list[str] = []
        self.dialogs: list[str] = []

    def window(self, who: str, **options: Any) -> Page:
        """A window in which somebody is signed in."""
        context = self.browser.new_context(base_url=self.site.url, **options)
        self.contexts.append(context)
        page = context.new_page()
        page.on(
            "request", lambda one: None if one.url.startswith((self.site.url, "data:")) else self.away.append(one.url)
        )
        page.on("pageerror", lambda one: self.errors.append(str(one)))
        page.on("dialog", self._asked)
        page.goto("/console/sign-in")
        page.get_by_label("Person").select_option(who)
        page.get_by_role("button", name="Continue").click()
        page.wait_for_url("**/console/attention")
        return page

    def _asked(self, dialog: Any) -> None:
        self.dialogs.append(f"{dialog.type}: {dialog.message}")
        dialog.accept()

    def close(self) -> None:
        for context in self.contexts:
            context.close()
        assert self.away == [], "a page asked for something elsewhere"
        assert self.errors == []


@pytest.fixture
def people(chromium: Browser, site: Site) -> Iterator[People]:
    them = People(chromium, site)
    yield them
    them.close()
