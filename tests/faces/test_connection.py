"""No page shows a dead or hung service as healthy: real programs, frozen and killed under a real Chromium."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.faces.signing_in import paired, sign_in
from tests.faces.test_browser import PAGES
from tests.support import processes
from tests.support.browser import TELEPHONE, Tab, chromium, tab
from tests.support.history import seed
from tests.support.processes import Client, Program, free_port
from tests.support.waiting import eventually

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
# Within so long no page claims to be healthy.
SAYS_LOST_WITHIN_S = 5.0
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


NOTE_WHEN = """new MutationObserver(() => {
  if (document.documentElement.classList.contains("lost")) window.lostAt ??= Date.now();
}).observe(document.documentElement, { attributes: true }); delete window.lostAt;"""


async def gone_since(pages: Sequence[Page], what: Callable[[], None]) -> list[float]:
    """Seconds from the call of ``what`` until each page said that the connection is lost."""
    for page in pages:
        await page.evaluate(NOTE_WHEN)
    began = time.time()
    what()
    found = []
    for page in pages:
        await says_lost(page)
        found.append(await page.evaluate("window.lostAt") / 1000 - began)
    return found


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

        pages = [each.page for each in tabs]
        took = await gone_since(pages, lambda: bot.signal(signal.SIGSTOP))
        print(f"the pages said it {took} s after SIGSTOP")
        assert max(took) < SAYS_LOST_WITHIN_S
        bot.signal(signal.SIGCONT)
        for each in tabs:
            await is_live(each.page)

        took = await gone_since(pages, bot.kill)
        print(f"the pages said it {took} s after SIGKILL")
        assert max(took) < SAYS_LOST_WITHIN_S
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
        assert max(await gone_since([seen.page], lambda: watchdog.signal(signal.SIGSTOP))) < SAYS_LOST_WITHIN_S
        watchdog.signal(signal.SIGCONT)
        await is_live(seen.page)
        assert max(await gone_since([seen.page], watchdog.kill)) < SAYS_LOST_WITHIN_S
        assert await seen.faults() == []


@pytest.mark.deep
async def test_every_other_page_of_a_hung_bot_says_so_within_5_s(browser: Browser, bot: Program) -> None:
    async with Client(bot.url) as api:
        hook = await api.post("/api/webhooks", {"url": "https://receiver.invalid/hook", "active": False})
    others = [path for path in PAGES if path not in ("/", "/sessions/boutique-lyon", "/keys")]
    paths = [path.replace("boutique-lyon", "boutique").replace("garage", "boutique") for path in others]
    async with contextlib.AsyncExitStack() as stack:
        tabs = []
        # A browser opens six connections to a server.
        for path in [*dict.fromkeys(paths), f"/webhooks/{hook['id']}"]:
            tabs.append(await stack.enter_async_context(tab(browser)))
            await sign_in(tabs[-1], bot)
            await tabs[-1].page.goto(bot.url + path)
            await is_live(tabs[-1].page)
        try:
            took = await gone_since([each.page for each in tabs], lambda: bot.signal(signal.SIGSTOP))
        finally:
            bot.signal(signal.SIGCONT)
        assert max(took) < SAYS_LOST_WITHIN_S, dict(zip(paths, took, strict=False))
        for each in tabs:
            await is_live(each.page)


HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


async def test_pages_that_are_not_looked_at_leave_their_connection_to_others_and_claim_nothing(
    browser: Browser, bot: Program
) -> None:
    async with tab(browser) as seen:
        seen.expected += GONE
        await sign_in(seen, bot)
        pages = [seen.page]
        # A browser opens six connections to a server: without this the seventh page would not load.
        for _ in range(7):
            await pages[-1].evaluate(HIDE, True)
            pages.append(await seen.context.new_page())
            await pages[-1].goto(bot.url + "/sessions/boutique")
        await is_live(pages[-1])
        first = pages[0]
        await expect(first.locator("html")).to_have_class("lost")
        assert (await first.title()).startswith("Not refreshed since ")
        await first.evaluate(HIDE, False)
        await is_live(first)
        assert await first.title() == "Sessions · Veilleur"
        assert await seen.faults() == []


async def test_the_focus_stays_on_a_control_without_an_id_when_its_region_is_swapped(
    browser: Browser, bot: Program
) -> None:
    async with tab(browser) as seen:
        await sign_in(seen, bot)
        page = seen.page
        await page.get_by_role("link", name="Boutique").focus()
        assert await page.evaluate("document.activeElement.id") == ""
        await page.evaluate("document.activeElement.closest('[data-live]').append('of before')")
        async with page.expect_response(bot.url + "/"):
            await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        await expect(page.get_by_text("of before")).to_have_count(0)
        await expect(page.get_by_role("link", name="Boutique")).to_be_focused()


async def test_a_tab_that_is_signed_out_elsewhere_goes_to_the_login_by_itself(browser: Browser, bot: Program) -> None:
    async with tab(browser) as seen:
        await sign_in(seen, bot)
        other = await seen.context.new_page()
        await other.goto(bot.url + "/")
        await seen.page.goto(bot.url + "/sessions/boutique")
        await other.get_by_role("button", name="Sign out").click()
        await expect(seen.page).to_have_url(bot.url + "/login?next=/sessions/boutique")


SHIFTS = """window.shifts = 0;
new PerformanceObserver((list) => { for (const each of list.getEntries()) window.shifts += each.value; })
  .observe({ type: "layout-shift", buffered: true });"""


@pytest.mark.deep
async def test_no_page_moves_while_it_loads_or_its_regions_refresh(
    browser: Browser, bot: Program, tmp_path: Path
) -> None:
    dog = processes.watchdog(tmp_path, bot.url, ALERT_URLS="")
    seed(Path(dog.env["DATA_DIR"]) / "watchdog.db")
    async with dog.running(), tab(browser) as seen, tab(browser, size=TELEPHONE) as small, Client(bot.url) as api:
        # Its first report is news, and may move what stands below it.
        async def reported() -> bool:
            return bool((await api.get("/api/keepalive")).get("state") == "UP")

        await eventually(reported, what="the watchdog's report")
        moved: dict[str, float] = {}
        for each in (seen, small):
            await sign_in(each, bot)
            width = (each.page.viewport_size or TELEPHONE)["width"]
            known = [path.replace("boutique-lyon", "boutique").replace("garage", "boutique") for path in PAGES]
            for address in [*(bot.url + path for path in dict.fromkeys(known)), dog.url + "/"]:
                await each.page.goto(address)
                await each.page.evaluate(SHIFTS)
                for _ in range(2):
                    async with each.page.expect_response(lambda answer, at=address: answer.url == at and answer.ok):  # type: ignore[misc]
                        await each.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
                # A region is swapped and painted after the answer.
                await each.page.evaluate(
                    "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
                )
                moved[f"{address} at {width}"] = await each.page.evaluate("window.shifts")
        print(moved)
        assert {page: value for page, value in moved.items() if value >= 0.01} == {}
