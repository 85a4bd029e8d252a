"""No page shows a dead or hung service as healthy: real programs, frozen and killed under a real Chromium."""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.faces.signing_in import paired, sign_in
from tests.support import processes
from tests.support.browser import TELEPHONE, Tab, chromium, tab
from tests.support.processes import Program, free_port

pytestmark = [
    pytest.mark.browser,
    pytest.mark.system,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
]
# What the browser says of a service that ends under it.
GONE = [
    "ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE",
    "ERR_CONTENT_LENGTH_MISMATCH",
]  # fmt: skip
# What it says of requests that a hung loop left waiting for 5 s: a thread answers them (shared/web/livez.py).
HUNG = "the server responded with a status of 503"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Program]:
    folder = tmp_path_factory.mktemp("connection")
    async with processes.bot(folder, port=free_port()).running() as program:
        await paired(program, "Boutique")
        yield program


async def says_lost(page: Page) -> None:
    banner = page.get_by_role("alert")
    await expect(banner).to_contain_text("Connection lost, showing data from ")
    await expect(page.locator("html")).to_have_class("lost")
    assert await page.title() == await banner.inner_text()


async def is_live(page: Page) -> None:
    await expect(page.get_by_role("alert")).to_be_hidden()
    await expect(page.locator("html")).not_to_have_class("lost")
    assert "Connection lost" not in await page.title()


async def test_every_page_of_a_hung_or_killed_bot_says_so_and_comes_back(browser: Browser, bot: Program) -> None:
    tabs: list[Tab] = []
    async with tab(browser) as first, tab(browser) as second, tab(browser, size=TELEPHONE) as third:
        tabs += [first, second, third]
        for each, path in zip(tabs, ("/", "/sessions/boutique", "/keys"), strict=True):
            each.expected += [*GONE, HUNG]
            await sign_in(each, bot)
            await each.page.goto(bot.url + path)
            await is_live(each.page)

        frozen = time.monotonic()
        bot.signal(signal.SIGSTOP)
        for each in tabs:
            await says_lost(each.page)
        print(f"all pages said it {time.monotonic() - frozen:.1f} s after SIGSTOP")
        bot.signal(signal.SIGCONT)
        for each in tabs:
            await is_live(each.page)

        killed = time.monotonic()
        bot.kill()
        for each in tabs:
            await says_lost(each.page)
        print(f"all pages said it {time.monotonic() - killed:.1f} s after SIGKILL")
        bot.start()
        await bot.ready()
        for each in tabs:
            await is_live(each.page)
            assert await each.faults() == []


@pytest.mark.deep
async def test_the_status_page_of_a_hung_watchdog_says_so(browser: Browser, bot: Program, tmp_path: Path) -> None:
    async with processes.watchdog(tmp_path, bot.url, ALERT_URLS="").running() as watchdog, tab(browser) as seen:
        seen.expected += [*GONE, HUNG]
        await seen.page.goto(watchdog.url + "/")
        await is_live(seen.page)
        watchdog.signal(signal.SIGSTOP)
        await says_lost(seen.page)
        watchdog.signal(signal.SIGCONT)
        await is_live(seen.page)
        watchdog.kill()
        await says_lost(seen.page)
        assert await seen.faults() == []


async def test_a_tab_that_is_signed_out_elsewhere_goes_to_the_login_by_itself(browser: Browser, bot: Program) -> None:
    async with tab(browser) as seen:
        await sign_in(seen, bot)
        other = await seen.context.new_page()
        await other.goto(bot.url + "/")
        await seen.page.goto(bot.url + "/sessions/boutique")
        await other.get_by_role("button", name="Sign out").click()
        await expect(seen.page).to_have_url(bot.url + "/login?next=/sessions/boutique")


@pytest.mark.deep
async def test_regions_refresh_without_moving_the_page(browser: Browser, bot: Program) -> None:
    async with tab(browser) as seen:
        await sign_in(seen, bot)
        for path in ("/", "/sessions/boutique"):
            await seen.page.goto(bot.url + path)
            await seen.page.evaluate(
                """window.shifts = 0;
                new PerformanceObserver((list) => { for (const each of list.getEntries()) window.shifts += each.value; })
                  .observe({ type: "layout-shift" });"""
            )
            async with seen.page.expect_response(bot.url + path):
                await seen.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
            assert await seen.page.evaluate("window.shifts") < 0.01, path
