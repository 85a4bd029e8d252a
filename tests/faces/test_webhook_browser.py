"""Webhooks and deliveries in a real Chromium: edit, rotate, copy, pause; a failure that shows by itself; axe; a telephone."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, expect

from tests.faces.signing_in import sign_in
from tests.faces.test_browser import SQUEEZED
from tests.support import processes
from tests.support.browser import TELEPHONE, Tab, chromium, screenshot, tab
from tests.support.processes import Client, Program
from tests.support.receiver import Receiver
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.browser,
    pytest.mark.system,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.deep,
]


PICTURES = {
    "webhook-light",
    "webhook-dark",
    "delivery-light",
    "delivery-dark",
    "webhook-telephone",
    "delivery-telephone",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Program]:
    folder = tmp_path_factory.mktemp("webhooks")
    async with processes.bot(folder, WEBHOOK_ALLOW_PRIVATE="true").running() as program:
        yield program


@pytest_asyncio.fixture(loop_scope="module")
async def shop() -> AsyncIterator[Receiver]:
    async with Receiver() as started:
        yield started


async def event(bot: Program, session: str) -> None:
    async with Client(bot.url) as api:
        await api.post("/api/sessions", {"id": session, "start": False})
        await api.call("DELETE", f"/api/sessions/{session}")


async def copied(page: Page) -> str:
    return str(await page.evaluate("navigator.clipboard.readText()"))


async def test_a_webhook_is_made_edited_paused_rotated_and_deleted_and_its_secret_copied(
    browser: Browser, bot: Program, shop: Receiver
) -> None:
    async with tab(browser) as seen:
        await seen.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = seen.page
        await sign_in(seen, bot)
        await page.goto(bot.url + "/webhooks")
        await page.get_by_label("Address").fill(f"{shop.url}/made")
        await page.get_by_role("button", name="Add webhook").click()
        secret = await page.get_by_label("Secret", exact=True).input_value()
        await page.get_by_role("button", name="Copy Secret").click()
        await expect(page.get_by_role("button", name="Copy Secret")).to_have_text("Copied")
        assert await copied(page) == secret
        assert await seen.axe() == []

        await page.get_by_label(f"Edit {shop.url}/made").click()
        await expect(page.get_by_text("not called yet")).to_be_visible()
        await page.get_by_label("Address").fill(f"{shop.url}/edited")
        await page.get_by_label("Headers of its own").fill("Authorization: Bearer abc")
        await page.get_by_label("presence.update").uncheck()
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_text("The webhook is changed.")).to_be_visible()
        await expect(page.get_by_label("Headers of its own")).to_have_value("Authorization: ***")
        await expect(page.get_by_label("presence.update")).not_to_be_checked()
        await page.get_by_role("button", name="Test").click()
        await expect(page.get_by_text("edited: test passed, answered 200")).to_be_visible()
        assert shop.requests[-1].headers["Authorization"] == "Bearer abc"

        await page.get_by_role("button", name="Pause").click()
        await expect(page.locator("[data-live=health] .state")).to_have_text("paused")
        await page.get_by_role("button", name="Resume").click()
        await page.get_by_text("Rotate the secret").click()
        await page.get_by_label("The old secret signs too for").select_option("1h")
        await page.get_by_role("button", name="Rotate now").click()
        await expect(page.get_by_label("Secret", exact=True)).not_to_have_value(secret)
        await expect(page.get_by_text("signs too, until")).to_be_visible()
        assert await seen.axe() == []

        await page.get_by_label(f"Delete {shop.url}/edited").click()
        await page.get_by_role("button", name="Delete permanently").click()
        await expect(page.get_by_text("The webhook is deleted.")).to_be_visible()
        assert await seen.faults() == []


REFRESHES = """async () => {
  const found = performance.getEntriesByType("resource").find((each) => each.name.includes("/regions"));
  const { refresh } = await import(found.name);
  setInterval(refresh, 100);
}"""


async def test_a_webhook_that_is_deleted_leads_to_the_list_although_its_page_refreshes_meanwhile(
    browser: Browser, bot: Program, shop: Receiver
) -> None:
    async with Client(bot.url) as api:
        made = await api.post("/api/webhooks", {"url": shop.url, "events": ["message"]})
    async with tab(browser) as seen:
        page = seen.page
        await sign_in(seen, bot)
        await page.goto(f"{bot.url}/webhooks/{made['id']}")
        gone: list[str] = []
        page.on("response", lambda answer: gone.append(answer.url) if answer.status == 404 else None)

        async def late(route: Route) -> None:
            headers = {**await route.request.all_headers(), "Sec-Fetch-Site": "same-origin"}
            answer = await route.fetch(max_redirects=0, headers=headers)
            await eventually(lambda: len(gone) >= 3, what="refreshes that find no webhook")
            await route.fulfill(response=answer)

        await page.route("**/delete", late)
        await page.evaluate(REFRESHES)
        await page.get_by_label(f"Delete {shop.url}").press("Enter")
        await page.get_by_role("button", name="Delete permanently").press("Enter")
        await expect(page.get_by_text("The webhook is deleted")).to_be_visible()


async def test_a_failure_shows_by_itself_its_delivery_is_opened_and_sent_again(
    browser: Browser, bot: Program, shop: Receiver
) -> None:
    shop.answer = lambda _got: (500, {"why": "the till is closed"}, {})
    async with Client(bot.url) as api:
        hook = await api.post("/api/webhooks", {"url": f"{shop.url}/fails", "events": ["session.deleted"]})
    async with tab(browser) as seen:
        await seen.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = seen.page
        await sign_in(seen, bot)
        await page.goto(f"{bot.url}/webhooks/{hook['id']}")
        await page.evaluate("window.__same_page = true")
        await event(bot, "one")
        await expect(page.locator("[data-live=health] .now")).to_contain_text("answered 500")
        await expect(page.get_by_text("Next try")).to_be_visible()
        assert await page.evaluate("window.__same_page") is True
        assert await seen.axe() == []

        await page.get_by_role("link", name="All deliveries to this webhook").click()
        await page.get_by_role("link", name="session.deleted").click()
        await expect(page.locator(".answer").first).to_contain_text("the till is closed")
        await expect(page.locator(".request-headers")).to_contain_text("v1,***")
        await page.get_by_role("button", name="Copy the body").click()
        assert '"type": "session.deleted"' in await eventually(lambda: copied(page), what="the body that was copied")
        assert await seen.axe() == []

        shop.answer = None
        await page.get_by_role("button", name="Try now").click()
        await page.evaluate("window.__same_page = true")
        await expect(page.locator("[data-live=state] .now")).to_have_text("answered 200")
        assert await page.evaluate("window.__same_page") is True
        before = len(shop.requests)
        await page.get_by_role("button", name="Resend").click()
        await expect(page.get_by_text("The deliveries are sent again.")).to_be_visible()
        await eventually(lambda: len(shop.requests) > before, what="the delivery that is sent again")
        assert await seen.faults() == []


@pytest.mark.deep
async def test_the_pages_are_clean_in_light_and_dark_and_fit_a_telephone(
    browser: Browser, bot: Program, shop: Receiver
) -> None:
    shop.answer = lambda _got: (500, {"why": "x" * 200}, {})
    async with Client(bot.url) as api:
        hook = await api.post(
            "/api/webhooks", {"url": f"{shop.url}/a/rather/long/path/of/a/receiver/that/wraps", "headers": {"X-A": "1"}}
        )
        await event(bot, "two")

        async def tried() -> Any:
            rows = (await api.get("/api/deliveries?state=pending"))["deliveries"]
            return next((row for row in rows if row["attempts"] and row["webhook"] == hook["id"]), None)

        row = await eventually(tried, what="an attempt")
    paths = {
        f"/webhooks/{hook['id']}": "webhook",
        f"/deliveries/{hook['id']}/{row['event']}": "delivery",
        "/deliveries?state=all": "deliveries-all",
        "/webhooks": "webhooks-failing",
    }
    for scheme in ("light", "dark"):
        async with tab(browser, scheme=scheme) as seen:
            await sign_in(seen, bot)
            for path, name in paths.items():
                await clean(seen, bot.url + path, f"{name}-{scheme}")
    async with tab(browser, size=TELEPHONE, locale="fr-FR") as seen:
        await sign_in(seen, bot)
        for path, name in paths.items():
            await clean(seen, bot.url + path, f"{name}-telephone")
            width = await seen.page.evaluate("document.documentElement.scrollWidth")
            assert width <= TELEPHONE["width"], path
            assert await seen.page.evaluate(SQUEEZED) == [], path
        await expect(seen.page.get_by_text(re.compile("la dernière tentative a échoué|en panne")).first).to_be_visible()


async def clean(seen: Tab, url: str, name: str) -> None:
    await seen.page.goto(url)
    await seen.page.wait_for_load_state("load")
    assert await seen.axe() == [], url
    if name in PICTURES:
        await screenshot(seen, name, full=True)
    assert await seen.faults() == [], url
