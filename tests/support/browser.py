"""A real Chromium that reports everything a page should not do: console errors, foreign requests, broken policies."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import axe_playwright_python
from playwright.async_api import Browser, BrowserContext, Error, Page, async_playwright, expect

from tests.support.waiting import PATIENCE_S

ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
AXE = next(Path(axe_playwright_python.__path__[0]).rglob("axe.min.js"))
GRAVE = {"serious", "critical"}
expect.set_options(timeout=PATIENCE_S * 1000)
TELEPHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1200, "height": 860}

_LISTEN = """
window.__violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.__violations.push(`${event.violatedDirective} ${event.blockedURI}`));
"""


@dataclass
class Tab:
    """One page and what it did wrong so far. ``expected`` are texts of console errors that a test brings about."""

    page: Page
    context: BrowserContext
    wrong: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    async def faults(self) -> list[str]:
        """Everything wrong, except what is expected."""
        violations = await self.page.evaluate("window.__violations")
        found = self.wrong + [f"policy: {each}" for each in violations]
        return [each for each in found if not any(text in each for text in self.expected)]

    async def axe(self) -> list[str]:
        """Serious and critical faults that axe-core finds on the page as it is now."""
        # Evaluated by the debugger, which the page's policy does not concern.
        await self.page.evaluate(AXE.read_text(encoding="utf-8"))
        result: dict[str, Any] = await self.page.evaluate("axe.run(document)")
        return [
            f"{each['id']}: {each['help']} at {each['nodes'][0]['target']}"
            for each in result["violations"]
            if each["impact"] in GRAVE
        ]


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Debian's Chromium with a profile of its own."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        try:
            yield browser
        finally:
            await browser.close()


async def goto(page: Page, url: str) -> None:
    """Open ``url``; once more when another test adds or removes a network device meanwhile, which breaks off Chromium's loads."""
    try:
        await page.goto(url)
    except Error as error:
        if "ERR_NETWORK_CHANGED" not in str(error):
            raise
        await page.goto(url)


@asynccontextmanager
async def tab(
    browser: Browser,
    *,
    size: dict[str, int] = DESKTOP,
    scheme: Literal["light", "dark"] = "light",
    locale: str = "en-GB",
    script: bool = True,
) -> AsyncIterator[Tab]:
    """A page of a fresh context: no cookie, no cache."""
    context = await browser.new_context(
        viewport={"width": size["width"], "height": size["height"]},
        color_scheme=scheme,
        locale=locale,
        java_script_enabled=script,
        device_scale_factor=2 if size["width"] < 500 else 1,
    )
    try:
        page = await context.new_page()
        page.set_default_timeout(PATIENCE_S * 1000)
        made = Tab(page, context)
        await page.add_init_script(_LISTEN)
        page.on("console", lambda message: _console(made, message.type, message.text))
        page.on("pageerror", lambda error: made.wrong.append(f"error: {error}"))
        page.on("request", lambda request: _request(made, request.url))
        yield made
    finally:
        await context.close()


def _console(tab: Tab, kind: str, text: str) -> None:
    if kind in ("error", "warning"):
        tab.wrong.append(f"console {kind}: {text}")


def _request(tab: Tab, url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("data", "blob", "about") and parts.hostname not in ("127.0.0.1", "localhost"):
        tab.wrong.append(f"foreign request: {url}")


async def screenshot(tab: Tab, name: str, *, full: bool = False) -> None:
    """Into the folder named by SCREENSHOTS (``make screenshots`` gives docs/screenshots); without it, nothing is drawn."""
    if not os.environ.get("SCREENSHOTS"):
        return
    folder = Path(os.environ["SCREENSHOTS"])
    folder.mkdir(parents=True, exist_ok=True)
    await tab.page.screenshot(path=folder / f"{name}.png", full_page=full, animations="disabled")
