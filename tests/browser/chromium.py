"""A headless Chromium that reaches this machine only, and people who look at pages in it."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Page,
    Request,
    Response,
    sync_playwright,
)

ARGUMENTS: Final = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)
PHONE: Final = {"width": 360, "height": 740}
DESK: Final = {"width": 1280, "height": 800}
SCREENSHOTS: Final = "EXTPROC_SCREENSHOTS"
"""The environment variable with the folder that screenshots go to; without it none are made."""


@contextmanager
def start_chromium() -> Iterator[Browser]:
    """Debian's, with an empty profile. Raises when it is not installed: `make servers` does that."""
    path = shutil.which("chromium")
    assert path is not None, "chromium is not installed: tests/servers/install_chromium.sh does it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS), chromium_sandbox=False)
        yield browser
        browser.close()


@dataclass
class Visitor:
    """Somebody in a browser of their own. Whatever the browser complains of while they look is in `trouble`."""

    context: BrowserContext
    page: Page
    console: str
    """The console's address."""
    expected: re.Pattern[str] | None = None
    """Complaints that a test provokes."""
    trouble: list[str] = field(default_factory=list)
    statuses: list[tuple[int, str]] = field(default_factory=list)

    def watch(self) -> None:
        self.page.set_default_timeout(15_000)
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.trouble.append(f"an error in a script: {error}"))
        self.page.on("dialog", self._asked)
        self.page.on("requestfailed", self._failed)
        self.page.on("response", self._answered)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self._complain(f"{message.type}: {message.text}")

    def _asked(self, dialog: Dialog) -> None:
        self._complain(f"a dialog: {dialog.message}")
        dialog.dismiss()

    def _failed(self, request: Request) -> None:
        if "/live/" not in request.url and request.failure != "net::ERR_ABORTED":
            self._complain(f"a request failed: {request.method} {request.url} {request.failure}")

    def _answered(self, response: Response) -> None:
        self.statuses.append((response.status, response.url))

    def _complain(self, sentence: str) -> None:
        if self.expected is None or not self.expected.search(sentence):
            self.trouble.append(sentence)

    def open(self, path: str) -> Response:
        """A page of the console."""
        response = self.page.goto(self.console + path)
        assert response is not None
        return response

    def log_in(self, who: str, path: str = "/") -> None:
        """By the development issuer, as the person of that name; ends at `path`."""
        self.open(f"/login?{urlencode({'to': path})}")
        self.page.get_by_role("link", name="Log in", exact=True).click()
        self.page.get_by_role("button", name=who, exact=True).click()
        self.page.wait_for_url(lambda url: url == self.console + path)

    def leave(self) -> None:
        """Ends what the pages do, then closes them. Raises `Error` where a page is still on its way.

        A test waits for the page that its last press brings: Chromium may wait for ever for a context that is closed
        while a page comes.
        """
        for page in self.context.pages:
            page.goto("about:blank")
        self.context.close()

    def headings(self) -> list[str]:
        return self.page.get_by_role("heading", level=1).all_inner_texts()

    def keep(self, name: str) -> None:
        """A screenshot of the whole page, for people, where they asked for it."""
        if folder := os.environ.get(SCREENSHOTS):
            self.page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


AXE: Final = Axe()


def violations(page: Page, only: list[str] | None = None) -> list[str]:
    """What axe-core finds wrong, one line each: the rule, where, why. By all its rules, or by some."""
    options: dict[str, Any] = {"resultTypes": ["violations"]} | ({"runOnly": only} if only else {})
    found: dict[str, Any] = AXE.run(page, options=options).response
    return [
        f"{each['id']}: {node['target']} {node['failureSummary']}"
        for each in found["violations"]
        for node in each["nodes"]
    ]


def overflow(page: Page) -> int:
    """By how many pixels the page, or its navigation, is wider than there is room for."""
    wider: int = page.evaluate(
        """Math.max(...[document.documentElement, ...document.querySelectorAll("nav, .tabs")]
        .map((each) => each.scrollWidth - each.clientWidth))"""
    )
    return wider
