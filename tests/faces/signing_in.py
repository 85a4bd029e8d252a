"""A person at a page of the dashboard, and the sessions they find there."""

from __future__ import annotations

from tests.support.browser import Tab
from tests.support.processes import API_KEY, Client, Program
from tests.support.sessions import scanned


async def sign_in(seen: Tab, bot: Program, key: str = API_KEY) -> None:
    await seen.page.goto(bot.url + "/login")
    await seen.page.locator("#key").fill(key)
    await seen.page.keyboard.press("Enter")
    await seen.page.wait_for_url(bot.url + "/")


async def paired(bot: Program, *names: str) -> None:
    """Sessions with these names that are READY."""
    async with Client(bot.url) as api:
        for name in names:
            session = name.lower().replace(" ", "-")
            await api.post("/api/sessions", {"id": session, "name": name})
            await scanned(api, session)
