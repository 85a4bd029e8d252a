"""What people and programs write, on every page of both programs: shown as it is, and nothing of it acts."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bot_service.domain.message import InboundMessage, Media
from bot_service.domain.signals import SignalKind
from shared.contract.heartbeat import ComponentShares
from tests.bot_service.api.test_permissions import FORMS
from tests.faces.test_dashboard import Browser
from tests.support.bot_app import Bot, paired, received, running
from tests.support.fake_bot import FakeBot
from tests.support.operator import signed_in
from tests.support.waiting import eventually
from tests.support.watchdog_app import running_watchdog

MARKUP = "<script>alert(1)</script><img src=x onerror=alert(2)>'\"><svg onload=alert(3)>{{ 7*7 }}"
# Turns text around, commands a terminal, hides what follows.
ACTING = "\u202egpj\u2066x\x1b[31m\x9b2J\u2028\ufeff"
CHAT, GROUP = "33612345678@s.whatsapp.net", "120363000000000001@g.us"
NO_PAGES = {"/events", "/sessions/{id}/messages/{messageId}/file", "/docs/files/{name}", "/static/{digest}/{name}"}
PAGES = sorted(path for method, path in FORMS if method == "GET" and path not in NO_PAGES)


class Parsed(HTMLParser):
    """What a browser would run or load from elsewhere: ``found``."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        addresses = [given[name].strip().lower() for name in ("src", "href", "action", "formaction") if name in given]
        foreign = [each for each in addresses if each.startswith(("//", "javascript:", "data:")) or "://" in each]
        runs = [name for name in given if name.startswith("on") or name == "style"]
        inline = tag in ("style", "base", "iframe", "object", "embed") or (tag == "script" and "src" not in given)
        if inline or runs or foreign:
            self.found.append(self.get_starttag_text() or tag)

    handle_startendtag = handle_starttag


def acts(page: str) -> list[str]:
    """The parts of a page that would act."""
    parsed = Parsed()
    parsed.feed(page)
    parsed.close()
    hidden = sorted(set(page) & set("\u202e\u2066\x1b\x9b\u2028\ufeff"))
    return parsed.found + [repr(each) for each in hidden] + (["7*7"] if ">49<" in page or " 49 " in page else [])


async def fill(bot: Bot) -> dict[str, str]:
    """Markup wherever something can be written; what stands for the variables of paths."""
    await paired(bot, "odd")
    assert (
        await bot.call("PATCH", "/api/sessions/odd", {"name": MARKUP[:200], "metadata": {MARKUP[:60]: MARKUP + ACTING}})
    )[0] == 200
    text = MARKUP + ACTING
    media = Media("text/html", file_name=text, size=1)
    await received(
        bot,
        InboundMessage("odd", CHAT, "T1", CHAT, 1, "text", text, push_name=text),
        InboundMessage("odd", GROUP, "T2", CHAT, 2, "document", text, push_name=text, media=media, is_group=True),
        InboundMessage("odd", CHAT, "T3", CHAT, 3, "location", text, latitude=1.0, longitude=1.0, name=text),
        InboundMessage("odd", CHAT, "T4", CHAT, 4, "contact", text, contact_phone=text, name=text),
    )
    # Braces and spaces make no address; this one is shown with what follows the host.
    address = MARKUP.replace("{", "").replace("}", "").replace(" ", "")
    status, made = await bot.call(
        "POST", "/api/webhooks", {"url": f"https://shop.example.com/{address}", "session": "odd"}
    )
    assert status == 201, made
    await bot.call("POST", "/api/keys", {"name": MARKUP[:200], "owner": "ann", "scopes": ["read"]})
    await bot.call("POST", "/api/sessions/odd/messages", {"to": "33612345678", "text": text})
    bot.pool.emit("odd", SignalKind.BANNED, reason=text, code=403)

    async def delivery() -> Any:
        return (await bot.call("GET", f"/api/deliveries?state=pending&webhook={made['id']}"))[1]["deliveries"]

    [first, *_] = await eventually(delivery, what="a delivery of the webhook")
    return {"{id}": "odd", "{chat}": CHAT, "{webhookId}": made["id"], "{eventId}": first["event"]}


@pytest.mark.parametrize("language", ["en", "es", "fr"])
async def test_nothing_that_anybody_writes_acts_on_any_page_of_the_dashboard(tmp_path: Path, language: str) -> None:
    shown = set()
    async with running(tmp_path / "data") as bot:
        names = await fill(bot)
        browser = Browser(bot)
        await browser.sign_in()
        query = f"?search={MARKUP}&q={MARKUP}&done={MARKUP}&once={MARKUP}&name={MARKUP}&id={MARKUP}&next={MARKUP}&code={MARKUP}"
        query = query.replace("#", "%23").replace("{", "%7B")
        for path in PAGES:
            filled = path
            for name, value in names.items():
                filled = filled.replace(name, value)
            for each in (filled, filled + query, filled + "?state=dead", filled + "?state=delivered"):
                status, page = await browser.get(each, **{"Accept-Language": language})
                assert status == 200, (each, status)
                assert (found := acts(page)) == [], (each, found)
                if "&lt;script&gt;alert(1)" in page and each == filled:
                    shown.add(path)
        for unknown in (f"/{MARKUP}", f"/sessions/{MARKUP}", f"/sessions/odd/chats/{MARKUP}"):
            _, page = await browser.get(unknown.replace("{", "%7B"), Accept="text/html")
            assert (found := acts(page)) == [], (unknown, found)
    # Where it is shown at all: an empty page proves nothing.
    assert shown >= {
        "/",
        "/sessions/{id}",
        "/sessions/{id}/chats",
        "/sessions/{id}/chats/{chat}",
        "/keys",
        "/webhooks",
    }, shown


async def test_nothing_that_anybody_writes_acts_on_the_status_page(tmp_path: Path) -> None:
    words = "<script>alert(1)</script><img src=x>"
    given = {"INSTALLATION_NAME": "<script>alert(1)</script>", "KEEP_ALIVE_INTERVAL": "200"}
    async with FakeBot() as bot, running_watchdog(tmp_path, bot.url, **given) as watchdog:
        bot.components = (ComponentShares(words, 1, 1),)
        body = {"minutes": 5, "reason": words, "author": words, "text": words}
        assert (await watchdog.call("POST", "/api/pause", body))[0] in (200, 201)
        news = {"title": words, "text": f"{words}\n\n{words}", "author": words}
        assert (await watchdog.call("POST", "/api/announcements", news))[0] == 201

        async def says() -> str | None:
            _, page = await watchdog.call("GET", "/", token=None)
            return page if "&lt;script&gt;" in page else None

        page = await eventually(says, what="the pause on the page")
        assert acts(page) == []
        for path in (
            "/?lang=<script>",
            "/?target=<script>alert(1)</script>",
            "/badge.svg?label=<script>alert(1)</script>",
            "/embed",
            "/feed.atom",
            "/operator?incident=<script>alert(1)</script>",
        ):
            _, page = await watchdog.call("GET", path, token=None)
            assert "<script>alert" not in page, path
        async with signed_in(watchdog.url, author="<script>alert(1)</script>") as operator:
            for path in ("/operator", "/operator?incident=<script>alert(1)</script>&done=<script>alert(1)</script>"):
                page = await operator.page(path)
                assert "&lt;script&gt;" in page
                assert acts(page) == []
            status, page = await operator.post("plan", text=words, reason=words, **{"from": words, "until": words})
            assert status == 422
            assert acts(page) == []
