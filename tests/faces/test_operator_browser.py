"""A real Chromium on the pages of a watchdog process: an operator by keyboard, customers in their own time zone, other sites."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Browser, Page, expect

from tests.faces.test_browser import SQUEEZED
from tests.support import processes
from tests.support.browser import TELEPHONE, Tab, chromium, screenshot, tab
from tests.support.fake_bot import FakeBot
from tests.support.operator import signed_in
from tests.support.processes import QUICK, WATCHDOG_TOKEN, Client, Program, free_port
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.browser,
    pytest.mark.system,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
]

# Those of the pages that the documents show.
PICTURES = {
    "operator-wide-light": "operator-light",
    "status-page-wide-light": "status-customers",
}
LOGO = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40"><circle cx="20" cy="20" r="18" fill="#e91e63"/></svg>'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def bot() -> AsyncIterator[FakeBot]:
    async with FakeBot() as running:
        yield running


@asynccontextmanager
async def other_site(pages: dict[str, tuple[str, str]]) -> AsyncIterator[str]:
    """A server of another origin with ``pages``: type and text by path. Its base address."""

    async def answer(request: web.Request) -> web.StreamResponse:
        kind, text = pages[request.path]
        return web.Response(text=text, content_type=kind)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def watching(tmp_path: Path, bot: FakeBot, **env: str) -> AsyncIterator[Program]:
    settings: dict[str, Any] = {"ALERT_URLS": "", **QUICK, **env}
    async with processes.watchdog(tmp_path, bot.url, **settings).running() as dog:
        await is_state(dog, "UP")
        yield dog


async def is_state(dog: Program, state: str) -> None:
    async with Client(dog.url, WATCHDOG_TOKEN) as api:

        async def look() -> bool:
            return bool((await api.get("/api/status"))["targets"][0]["state"] == state)

        await eventually(look, every_s=0.1, what=state)


async def sign_in(page: Page, dog: Program, path: str = "/operator") -> None:
    await page.goto(dog.url + path)
    await page.get_by_label("Token").fill(WATCHDOG_TOKEN)
    await page.get_by_label("Your name").fill("Ann")
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url(dog.url + path)


# Not ":focus": it finds nothing while the picker inside of a field for a day and a time has the focus.
FOCUSED = "[document.activeElement.id, document.activeElement.textContent]"


async def tab_to(seen: Tab, name: str) -> None:
    """Press Tab until the control with this id or text has the focus."""
    for _ in range(60):
        await seen.page.keyboard.press("Tab")
        if name in await seen.page.evaluate(FOCUSED):
            return
    raise AssertionError(f"{name} cannot be reached by Tab")


async def test_an_operator_acknowledges_pauses_and_announces_by_keyboard_alone(
    browser: Browser, bot: FakeBot, tmp_path: Path
) -> None:
    async with watching(tmp_path, bot) as dog, tab(browser) as seen:
        page, keyboard = seen.page, seen.page.keyboard
        await bot.stop()
        await is_state(dog, "DOWN")
        await page.goto(dog.url + "/operator")
        seen.expected += ["401"]
        await tab_to(seen, "token")
        await keyboard.type(WATCHDOG_TOKEN)
        await tab_to(seen, "author")
        await keyboard.type("Ann")
        await keyboard.press("Enter")
        await page.wait_for_url(dog.url + "/operator")
        await expect(page.get_by_role("heading", name="Down for")).to_be_visible()
        # The page refreshes itself several times during the way there; the focus stays.
        await tab_to(seen, f"do-acknowledge-{await page.locator('article.incident').first.get_attribute('id')}")
        await keyboard.press("Enter")
        await expect(page.get_by_text("Acknowledged: no more reminders.")).to_be_visible()
        await expect(page.get_by_text("Acknowledged by Ann").first).to_be_visible()
        await tab_to(seen, "announce-title")
        await keyboard.type("We look into it")
        await keyboard.press("Enter")
        await expect(page.get_by_text("The announcement is on the status page.")).to_be_visible()
        await tab_to(seen, "pause-text")
        await keyboard.type("Back in half an hour.")
        await tab_to(seen, "Pause alerts")
        await keyboard.press("Enter")
        await expect(page.get_by_text("Maintenance has begun")).to_be_visible()
        await page.goto(dog.url + "/")
        await expect(page.get_by_role("heading", name="We look into it")).to_be_visible()
        await expect(page.get_by_text("Back in half an hour.")).to_be_visible()
        assert await seen.faults() == []


async def test_a_press_on_a_button_counts_although_the_page_refreshes_under_it(
    browser: Browser, bot: FakeBot, tmp_path: Path
) -> None:
    async with watching(tmp_path, bot) as dog, tab(browser) as seen:
        await bot.stop()
        await is_state(dog, "DOWN")
        page = seen.page
        seen.expected += ["401"]
        await sign_in(page, dog)
        button = page.get_by_role("button", name="Acknowledge: ")
        box = await button.bounding_box()
        assert box is not None
        await page.mouse.move(box["x"] + 5, box["y"] + 5)
        await page.mouse.down()
        lede = page.locator("[data-live=now-bot] .lede").first
        before = await lede.inner_text()
        await expect(lede).not_to_have_text(before)
        await page.mouse.up()
        await expect(page.get_by_text("Acknowledged: no more reminders.")).to_be_visible()
        assert await seen.faults() == []


@pytest.mark.deep
async def test_moments_are_typed_and_shown_in_the_time_zone_of_the_reader(
    browser: Browser, bot: FakeBot, tmp_path: Path
) -> None:
    async with watching(tmp_path, bot) as dog:
        context = await browser.new_context(timezone_id="Asia/Tokyo", locale="en-GB")
        page = await context.new_page()
        await sign_in(page, dog)
        await expect(page.locator("#plan-from-hint")).to_have_text("Asia/Tokyo")
        day = datetime.fromtimestamp(datetime.now(UTC).timestamp() + 5 * 86_400, UTC).strftime("%Y-%m-%d")
        await page.locator("#plan-from").fill(f"{day}T09:30")
        await page.locator("#plan-until").fill(f"{day}T10:30")
        await page.locator("#plan-text").fill("New disks")
        await page.get_by_role("button", name="Plan", exact=True).click()
        await expect(page.get_by_text("The maintenance is planned.")).to_be_visible()
        async with Client(dog.url, WATCHDOG_TOKEN) as api:
            (window,) = (await api.get("/api/pause"))["pauses"]
        assert datetime.fromtimestamp(window["fromMs"] / 1000, UTC).strftime("%Y-%m-%dT%H:%M") == f"{day}T00:30"
        await page.goto(dog.url + "/")
        shown = page.locator(".notes time").first
        await expect(shown).to_contain_text("09:30")
        # Once more after a refresh of the page by itself.
        await page.evaluate("document.querySelector('.notes time').textContent = 'old'")
        await expect(shown).to_contain_text("09:30")
        await context.close()
        async with tab(browser, script=False) as seen:
            await seen.page.goto(dog.url + "/")
            await expect(seen.page.locator(".notes time").first).to_contain_text("00:30 UTC")


async def in_trouble(dog: Program, bot: FakeBot) -> None:
    """One of everything that the pages can show."""
    await bot.stop()
    await is_state(dog, "DOWN")
    async with signed_in(dog.url) as operator:
        await operator.post("announce", title="Slow deliveries", text="We look into it.", severity="problem")
        await operator.post("announce", title="New prices", text="From January on.\n\nSee the shop.")
        at = datetime.now(UTC).timestamp()
        moments = [datetime.fromtimestamp(at + hours * 3600, UTC).strftime("%Y-%m-%dT%H:%M") for hours in (48, 50)]
        await operator.post(
            "plan", **dict(zip(("from", "until"), moments, strict=True)), text="New disks", reason="RAID"
        )
        await operator.post("test")


@pytest.mark.deep
async def test_every_page_of_the_watchdog_is_clean_in_light_and_dark_and_on_a_telephone(
    browser: Browser, bot: FakeBot, tmp_path: Path
) -> None:
    async with (
        other_site({"/logo.svg": ("image/svg+xml", LOGO)}) as site,
        watching(
            tmp_path,
            bot,
            INSTALLATION_NAME="Boutique Lyon",
            STATUS_PAGE_LOGO=f"{site}/logo.svg",
            STATUS_PAGE_ACCENT="#f7e017",
            REMEDIATION="docker",
            REMEDIATION_DRY_RUN="true",
        ) as dog,
    ):
        await in_trouble(dog, bot)
        for scheme in ("light", "dark"):
            for size, name in (({"width": 1200, "height": 860}, "wide"), (TELEPHONE, "telephone")):
                async with tab(browser, scheme=scheme, size=size) as seen:
                    seen.expected += ["401"]
                    await clean(seen, dog, "/", f"status-page-{name}-{scheme}")
                    await expect(seen.page).to_have_title("Down · Boutique Lyon")
                    assert await seen.page.locator(".logo").evaluate("picture => picture.naturalWidth") > 0
                    await clean(seen, dog, "/embed", f"embed-{name}-{scheme}")
                    await clean(seen, dog, "/operator", f"operator-login-{name}-{scheme}")
                    await sign_in(seen.page, dog)
                    await clean(seen, dog, "/operator", f"operator-{name}-{scheme}")
                    # A form that was refused.
                    await seen.page.locator("#plan-from").fill("2020-01-01T10:00")
                    await seen.page.locator("#plan-until").fill("2020-01-01T11:00")
                    await seen.page.get_by_role("button", name="Plan", exact=True).click()
                    await expect(seen.page.locator("#plan-until-wrong")).to_be_visible()
                    await expect(seen.page.locator("#plan-from")).to_have_value("2020-01-01T10:00")
                    seen.expected += ["422"]
                    assert await seen.axe() == []
                    assert await seen.faults() == []


@pytest.mark.long
async def test_a_channel_that_fails_fits_on_a_telephone(browser: Browser, bot: FakeBot, tmp_path: Path) -> None:
    async with watching(tmp_path, bot, ALERT_URLS=f"json://127.0.0.1:{free_port()}") as dog:
        async with Client(dog.url, WATCHDOG_TOKEN) as api:
            await api.post("/api/test-alert")
        async with tab(browser, size=TELEPHONE, locale="es-MX") as seen:
            seen.expected += ["401"]
            await seen.page.goto(dog.url + "/operator")
            await seen.page.get_by_label("Token").fill(WATCHDOG_TOKEN)
            await seen.page.get_by_role("button", name="Acceder").click()
            await expect(seen.page.get_by_text("falla desde el")).to_be_visible()
            await clean(seen, dog, "/operator", "a channel that fails")


async def clean(seen: Tab, dog: Program, path: str, name: str) -> None:
    await seen.page.goto(dog.url + path)
    await seen.page.wait_for_load_state("load")
    assert await seen.axe() == [], name
    wide = await seen.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= (seen.page.viewport_size or TELEPHONE)["width"], f"{name} is {wide} pixels wide"
    assert await seen.page.evaluate(SQUEEZED) == [], name
    assert await seen.faults() == [], name
    if name in PICTURES:
        await screenshot(seen, PICTURES[name], full=True)


async def test_another_site_may_show_the_small_page_and_no_other(
    browser: Browser, bot: FakeBot, tmp_path: Path
) -> None:
    async with watching(tmp_path, bot) as dog:
        frames = "".join(f'<iframe src="{dog.url}{path}"></iframe>' for path in ("/embed", "/", "/operator"))
        image = f'<img src="{dog.url}/badge.svg" alt="">'
        pages = {"/": ("text/html", f"<!doctype html>{image}{frames}"), "/favicon.ico": ("image/png", "")}
        async with other_site(pages) as site, tab(browser) as seen:
            await seen.page.goto(site.replace("127.0.0.1", "localhost") + "/")
            small, *others = (
                seen.page.frame_locator("iframe").first,
                *(seen.page.frame_locator("iframe").nth(number) for number in (1, 2)),
            )
            await expect(small.get_by_text("The bot service is running.")).to_be_visible()
            for other in others:
                await expect(other.get_by_text("The bot service is running.")).to_have_count(0)
                await expect(other.get_by_label("Token")).to_have_count(0)
            assert await seen.page.locator("img").evaluate("picture => picture.naturalWidth") > 0
            assert await small.locator("form").count() == 0


async def test_the_first_minutes_are_no_ninety_days(browser: Browser, bot: FakeBot, tmp_path: Path) -> None:
    async with watching(tmp_path, bot) as dog, tab(browser) as seen:
        page = seen.page
        await page.goto(dog.url + "/")
        figures = page.locator("dl.figures > div")
        await expect(figures.first.locator("dt")).to_have_text(f"since {await since(page)}")
        await expect(figures.first.locator("dd")).to_have_text("100%")
        assert await page.get_by_text("90 days", exact=True).count() == 1, "the heading of the bars, and no figure"
        titles = await page.locator("svg.bars rect title").all_text_contents()
        assert sum("no data" in each for each in titles) in (88, 89)
        assert "100%" in titles[-1]
        badge = await page.evaluate("fetch('/badge.svg?show=90d').then((answer) => answer.text())")
        assert "since " in badge
        assert "90d" not in badge


async def since(page: Page) -> str:
    return str(await page.locator("dl.figures dt time").first.inner_text())
