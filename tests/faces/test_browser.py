"""Both programs as processes and a real Chromium: first run, pairing, READY, a dead bot, recovery; French; a telephone."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.faces.signing_in import paired, sign_in
from tests.support import processes
from tests.support.browser import TELEPHONE, Tab, chromium, screenshot, tab
from tests.support.history import seed
from tests.support.processes import API_KEY, Client, Program, free_port
from tests.support.sessions import reaches

# One Chromium for all of them: it belongs to the loop of the module.
pytestmark = [
    pytest.mark.browser,
    pytest.mark.system,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
]

# What is promised of the page; a busy machine gets its second try alone.
STATUS_TURNS_WITHIN_S = 5.0
STATUS_SAYS_DOWN_WITHIN_S = 8.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Program]:
    """A bot service that several tests share: each has sessions, webhooks and keys of its own, and removes what others count."""
    async with processes.bot(tmp_path_factory.mktemp("shared")).running() as program:
        yield program


@pytest_asyncio.fixture(loop_scope="module")
async def both(tmp_path: Path) -> AsyncIterator[tuple[Program, Program]]:
    """The bot service with the simulator, and its watchdog at the defaults but for the start delay."""
    bot = processes.bot(tmp_path, port=free_port(), WEBHOOK_ALLOW_PRIVATE="true")
    watchdog = processes.watchdog(tmp_path, bot.url, ALERT_URLS="")
    seed(Path(watchdog.env["DATA_DIR"]) / "watchdog.db")
    bot.start()
    await bot.ready()
    watchdog.start()
    await watchdog.ready()
    try:
        yield bot, watchdog
    finally:
        watchdog.close()
        bot.close()


def login_link(bot: Program) -> str:
    """The address that the first start printed, on the port that this test can reach."""
    found = re.search(r"http://localhost:\d+(/login\?code=\S+)", bot.output())
    assert found, bot.output()
    return bot.url + found[1]


async def simulate(bot: Program, session: str, action: str) -> None:
    async with Client(bot.url) as api:
        await api.post(f"/api/sessions/{session}/simulate", {"action": action})


@pytest.mark.long
async def test_from_the_first_run_to_a_recovered_bot(browser: Browser, both: tuple[Program, Program]) -> None:
    bot, watchdog = both
    async with tab(browser) as seen, tab(browser) as status:
        page = seen.page
        # First run: the printed link signs in.
        await page.goto(login_link(bot))
        await page.get_by_role("button", name="Open the dashboard").click()
        await expect(page.get_by_role("heading", name="No session yet")).to_be_visible()

        # Create, and the QR code comes by itself.
        await page.get_by_role("link", name="New session").click()
        await page.get_by_label("Name").fill("Boutique")
        await page.get_by_role("button", name="Create and show the QR code").click()
        code = page.get_by_role("img", name="QR code to scan with WhatsApp")
        await expect(code).to_be_visible()
        await screenshot(seen, "pairing-light")
        session = page.url.rpartition("/")[2].split("?")[0]

        # Scan: the code goes away and READY comes without a reload of the page.
        await page.evaluate("window.__same_page = true")
        await simulate(bot, session, "scan")
        await expect(code).to_be_hidden()
        await expect(page.locator("[data-live=facts] .state")).to_have_text("Ready")
        assert await page.evaluate("window.__same_page") is True
        assert await seen.axe() == []

        # Send: the message is on the page, and its marks come without a reload.
        await page.get_by_label("To", exact=True).fill("+33 6 12 34 56 78")
        await page.get_by_label("Text").fill("Your order is ready.")
        await page.get_by_role("button", name="Send").click()
        await expect(page.locator(".message-text")).to_have_text("Your order is ready.")
        await expect(page.locator(".message-state")).to_have_text("read")
        await screenshot(seen, "session-light")
        await page.evaluate("window.__same_page = true")

        # The watchdog sees it running.
        await status.page.goto(watchdog.url + "/")
        await expect(status.page.get_by_role("status")).to_have_text("The bot service is running.")

        # Kill: the status page turns by itself.
        killed = time.monotonic()
        bot.kill()
        running = "The bot service is running."
        await expect(status.page.get_by_role("status")).not_to_have_text(running)
        turned = time.monotonic() - killed
        await expect(status.page.get_by_role("status")).to_have_text("The bot service is down.")
        down = time.monotonic() - killed
        print(f"after kill -9 the status page left {running!r} in {turned:.1f} s and said down in {down:.1f} s")
        assert turned < STATUS_TURNS_WITHIN_S
        # Three pings KEEP_ALIVE_RETRY_INTERVAL apart, at the defaults: decided in 4.5 s, and the page asks 4 times a second.
        assert down < STATUS_SAYS_DOWN_WITHIN_S
        await expect(status.page.get_by_text("Confirmed: down").first).to_be_visible()
        assert await status.axe() == []
        await screenshot(status, "status-incident", full=True)

        # Recovery: the page turns back, the incident is in the list, the session is READY without a new code.
        bot.start()
        await bot.ready()
        await expect(status.page.get_by_role("status")).to_have_text("The bot service is running.")
        newest = status.page.locator(".incident").first
        await expect(newest.locator("h3")).to_contain_text("Down for")
        await expect(newest.get_by_text("Ended: ")).to_be_attached()
        await expect(page.locator("[data-live=facts] .state")).to_have_text("Ready")
        assert await page.evaluate("window.__same_page") is True

        # What the browser says of the bot that was killed under it is expected; anything else is a fault.
        seen.expected += ["ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET"]
        seen.expected += ["ERR_EMPTY_RESPONSE"]
        assert await seen.faults() == []
        assert await status.faults() == []


@pytest.mark.long
@pytest.mark.deep
async def test_every_page_is_clean_in_light_and_dark_for_every_reader(
    browser: Browser, both: tuple[Program, Program]
) -> None:
    bot, watchdog = both
    await paired(bot, "Boutique Lyon", "Support", "Newsletter")
    async with Client(bot.url) as api:
        await api.post("/api/sessions", {"id": "garage", "name": "Garage Martin"})
        await api.post("/api/keys", {"name": "Shop", "owner": "shop", "scopes": ["read", "send"]})
        await api.post("/api/sessions/newsletter/stop")
        await reaches(api, "garage", "PAIRING")
        await api.post("/api/sessions/boutique-lyon/simulate", {"action": "message", "text": "Are you open tomorrow?"})
        # Of nothing that still happens: names like these must not be called.
        await api.post("/api/webhooks", {"url": "https://shop.example.com/hook", "session": "newsletter"})
        events = ["message", "session.*"]
        await api.post("/api/webhooks", {"url": "https://crm.example.com/in", "events": events, "active": False})
    for scheme in ("light", "dark"):
        async with tab(browser, scheme=scheme) as seen:
            await seen.page.goto(bot.url + "/login")
            assert await seen.axe() == []
            await sign_in(seen, bot)
            for path, name in PAGES.items():
                await seen.page.goto(bot.url + path)
                await seen.page.wait_for_load_state("load")
                assert await seen.axe() == [], f"{path} {scheme}"
                await screenshot(seen, f"{name}-{scheme}")
                assert await seen.faults() == [], f"{path} {scheme}"
            # Not found, in the browser's words and in the service's.
            seen.expected += ["404"]
            for path in ("/nothing", "/sessions/unknown"):
                await seen.page.goto(bot.url + path)
                assert await seen.axe() == [], f"{path} {scheme}"
            await seen.page.goto(watchdog.url + "/")
            assert await seen.axe() == [], f"status {scheme}"
            await screenshot(seen, f"status-{scheme}")
            assert await seen.faults() == []


# Cells so narrow that their words stand letter under letter.
SQUEEZED = """[...document.querySelectorAll("table.stack td")]
  .filter((cell) => cell.textContent.trim() && cell.getBoundingClientRect().width < 48).map((cell) => cell.textContent)"""
PAGES = {
    "/": "sessions",
    "/sessions/boutique-lyon": "one-session",
    "/sessions/garage": "pairing",
    "/sessions/boutique-lyon/chats": "chats",
    "/sessions/boutique-lyon/chats/4915100000001@s.whatsapp.net": "chat",
    "/deliveries": "deliveries",
    "/webhooks": "webhooks",
    "/keys": "keys",
    "/replicas": "replicas",
    "/new": "new",
    "/live": "live",
}


@pytest.mark.deep
async def test_the_api_page_shows_every_operation_and_breaks_no_policy(browser: Browser, bot: Program) -> None:
    async with tab(browser) as seen, Client(bot.url) as api:
        await seen.page.goto(bot.url + "/docs")
        document = await api.get("/api/openapi.json")
        shown = [*document["paths"].values(), *document["webhooks"].values()]
        count = sum(len(operations) for operations in shown)
        await expect(seen.page.locator(".opblock")).to_have_count(count)
        # One is Swagger UI's own: its rows are buttons with links in them.
        assert [fault for fault in await seen.axe() if not fault.startswith("nested-interactive")] == []
        assert await seen.faults() == []


@pytest.mark.deep
@pytest.mark.parametrize(
    ("locale", "ready", "runs"),
    [
        ("fr-FR", "2 sessions prêtes sur 2 en marche", "Le service fonctionne."),
        ("es-MX", "2 de 2 sesiones en marcha están listas", "El servicio del bot está en funcionamiento."),
    ],
)
async def test_a_telephone_and_a_reader_of_another_language(
    browser: Browser, both: tuple[Program, Program], locale: str, ready: str, runs: str
) -> None:
    bot, watchdog = both
    await paired(bot, "Boutique Lyon", "Support")
    async with Client(bot.url) as api:
        await api.post("/api/sessions/boutique-lyon/simulate", {"action": "message", "text": "Are you open tomorrow?"})
        await api.post("/api/webhooks", {"url": "http://127.0.0.1:9/a/long/address/with/many/parts?tenant=lyon-3"})
        await api.post("/api/sessions/support/restart")
        await reaches(api, "support", "READY")
    async with tab(browser, size=TELEPHONE, locale=locale) as seen:
        await sign_in(seen, bot)
        await expect(seen.page.get_by_role("heading", name=ready)).to_be_visible()
        for address, name in (
            (f"{bot.url}/", "telephone"),
            (f"{bot.url}/sessions/support", "telephone-session"),
            (f"{bot.url}/new", "telephone-new"),
            (f"{bot.url}/webhooks", "telephone-webhooks"),
            (f"{bot.url}/keys", "telephone-keys"),
            (f"{bot.url}/deliveries?state=pending", "telephone-deliveries"),
            *((bot.url + path.replace("garage", "support"), "") for path in PAGES),
            (f"{watchdog.url}/", "telephone-status"),
        ):
            await seen.page.goto(address)
            wide = await seen.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= TELEPHONE["width"], f"{address} is {wide} pixels wide"
            assert await seen.page.evaluate(SQUEEZED) == [], address
            assert await seen.axe() == [], address
            assert await seen.faults() == [], address
            if name and locale == "fr-FR":
                await screenshot(seen, name)
        await expect(seen.page.get_by_role("status")).to_have_text(runs)


async def tab_to(seen: Tab, name: str) -> None:
    """Press Tab until the control with this name has the focus."""
    for _ in range(60):
        await seen.page.keyboard.press("Tab")
        here = seen.page.locator(":focus")
        if name in (await here.inner_text(), await here.get_attribute("aria-label"), await here.get_attribute("id")):
            return
    raise AssertionError(f"{name} cannot be reached by Tab")


async def test_a_phone_is_linked_by_keyboard_alone(browser: Browser, bot: Program) -> None:
    async with tab(browser) as seen:
        page, keyboard = seen.page, seen.page.keyboard
        await page.goto(bot.url + "/login")
        await tab_to(seen, "key")
        await keyboard.type(API_KEY)
        await keyboard.press("Enter")
        await page.wait_for_url(bot.url + "/")
        await tab_to(seen, "New session")
        await keyboard.press("Enter")
        await page.wait_for_url(bot.url + "/new")
        await keyboard.type("By keyboard")  # the field has the focus
        await keyboard.press("Enter")
        await expect(page.get_by_role("img", name="QR code to scan with WhatsApp")).to_be_visible()
        # A code for a wrong number: the browser asks for another one, and the focus is there.
        await tab_to(seen, "phone")
        await keyboard.type("abc")
        await keyboard.press("Enter")
        assert await page.locator("#phone").evaluate("field => field.validity.patternMismatch")
        await expect(page.locator("#phone")).to_be_focused()
        await page.locator("#phone").press("ControlOrMeta+a")
        await keyboard.type("+49 (151) 123-4567")
        await keyboard.press("Enter")
        await expect(page.locator(".pairing-code")).to_be_visible()
        await tab_to(seen, "Scan the QR code")
        await keyboard.press("Enter")
        await expect(page.locator("[data-live=facts] .state")).to_have_text("Ready")
        # It was deleted by keyboard too, after a question.
        await tab_to(seen, "Unlink or delete")
        await keyboard.press("Enter")
        await tab_to(seen, "Delete By keyboard")
        await keyboard.press("Enter")
        await tab_to(seen, "Yes, delete it")
        await keyboard.press("Enter")
        await expect(page.get_by_text("The session is deleted.")).to_be_visible()
        # Said once: a reload does not repeat it.
        await expect(page).to_have_url(bot.url + "/")
        await page.reload()
        await expect(page.get_by_text("The session is deleted.")).to_have_count(0)
        assert await seen.faults() == []


async def test_the_dashboard_works_by_keyboard_and_without_script(browser: Browser, bot: Program) -> None:
    async with tab(browser, script=False) as seen:
        page = seen.page
        await sign_in(seen, bot)
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        await page.goto(bot.url + "/new")
        await page.get_by_label("Name").fill("By hand")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="By hand")).to_be_visible()
        await page.get_by_role("button", name="Stop").press("Enter")
        await expect(page.get_by_text("The session is stopped.")).to_be_visible()
        await expect(page.locator("[data-live=facts] .state")).to_have_text("Stopped")


async def test_a_webhook_and_a_key_by_keyboard_their_secrets_shown_once(browser: Browser, bot: Program) -> None:
    async with tab(browser) as seen:
        page = seen.page
        await sign_in(seen, bot)
        await page.get_by_role("link", name="Webhooks").press("Enter")
        await page.get_by_label("Address").fill("https://receiver.invalid/hook")
        await page.get_by_label("session.qr").press("Space")
        await page.get_by_label("Address").press("Enter")
        secret = page.get_by_label("Secret", exact=True)
        await expect(secret).to_have_value(re.compile("^whsec_"))
        assert await seen.axe() == []
        row = page.get_by_role("row").filter(has_text="receiver.invalid")
        await expect(row).not_to_contain_text("session.qr")
        await page.reload()
        await expect(secret).to_have_count(0)
        await page.get_by_label("Edit https://receiver.invalid/hook").press("Enter")
        await page.get_by_label("Delete https://receiver.invalid/hook").press("Enter")
        await page.get_by_role("button", name="Delete permanently").press("Enter")
        await expect(page.get_by_text("No webhooks yet")).to_be_visible()

        await page.get_by_role("link", name="Keys").press("Enter")
        await page.get_by_label("Name").fill("Shop")
        await page.get_by_label("send messages").press("Space")
        await page.get_by_role("button", name="Create key").press("Enter")
        await expect(page.get_by_label("Key", exact=True)).to_have_value(re.compile("^vk_"))
        assert await seen.axe() == []
        await page.get_by_label("Revoke Shop").press("Enter")
        await page.get_by_role("button", name="Revoke permanently").press("Enter")
        await expect(page.get_by_role("row").filter(has_text="Shop")).to_contain_text("revoked")
        assert await seen.faults() == []
