"""The history of a chat and the search in what was received and sent: matches, bounds, pages, owners."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot_service.domain.message import InboundMessage, Media, Poll
from bot_service.messages import commands
from tests.support.bot_app import Bot, paired, received, running

ANN, BEN = "33612345678@s.whatsapp.net", "49151000000@s.whatsapp.net"


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Bot]:
    async with running(tmp_path, SEND_PER_MINUTE="0", SEND_NEW_CHATS_PER_HOUR="0") as started:
        await paired(started, "one", "two")
        yield started


async def came(bot: Bot, message_id: str, chat: str = ANN, session: str = "one", **parts: Any) -> None:
    await received(bot, InboundMessage(session, chat, message_id, chat, 0, parts.pop("type", "text"), **parts))


async def ids(bot: Bot, path: str = "/messages", **query: str) -> list[str]:
    status, found = await bot.call("GET", f"/api/sessions/one{path}", params=query)
    assert status == 200, found
    return [message["id"] for message in found["messages"]]


async def test_a_search_finds_what_a_person_sees_and_nothing_else(bot: Bot) -> None:
    await came(bot, "TEXT", text='He said "Größe 42"\n100 % sure_thing \\o/ 😀')
    await came(bot, "CAPTION", type="image", text="the ÉTÉ menu", media=Media("image/png", path="/x/y.png"))
    await came(bot, "FILE", type="document", media=Media("application/pdf", "Invoice-2027.pdf"))
    await came(bot, "PLACE", type="location", name="Café Noir", latitude=1.0, longitude=2.0)
    await came(bot, "POLL", type="poll", poll=Poll("Which day?", ("Monday", "Tuesday")))
    await came(bot, "OTHER", BEN, text="nothing", push_name="Größe")
    await came(bot, "FOREIGN", ANN, "two", text="Größe 42")
    expected = {
        "größe": ["TEXT"],
        "GRÖßE 42": ["TEXT"],
        'said "gr': ["TEXT"],
        '42"\n100': ["TEXT"],
        "100 %": ["TEXT"],
        "sure_t": ["TEXT"],
        "sureXt": [],
        "\\o/": ["TEXT"],
        "😀": ["TEXT"],
        "été": ["CAPTION"],
        "invoice-2027": ["FILE"],
        "café": ["PLACE"],
        "WHICH": ["POLL"],
        "text": [],  # a word of the stored form, not of the message
        "pushName": [],
        "image/png": [],
        "nothing": ["OTHER"],
    }
    for text, found in expected.items():
        assert await ids(bot, search=text) == found, text


async def test_an_own_message_is_found_too(bot: Bot) -> None:
    _, made = await bot.call("POST", "/api/sessions/one/messages", {"to": ANN, "text": "Your order is ready."})
    assert await ids(bot, search="ORDER is") == [made["id"]]
    assert await ids(bot, search="order", direction="in") == []


async def test_the_history_of_a_chat_holds_no_other_chat(bot: Bot) -> None:
    for message_id, chat in (("A1", ANN), ("B1", BEN), ("A2", ANN)):
        await came(bot, message_id, chat, text="hello")
    for name in (ANN, "33612345678", "+33 6 12 34 56 78", "33612345678@c.us"):
        assert await ids(bot, f"/chats/{name}/messages") == ["A2", "A1"]
    assert await ids(bot, f"/chats/{BEN}/messages", search="hello") == ["B1"]
    status, problem = await bot.call("GET", "/api/sessions/one/chats/unknown/messages")
    assert (status, problem["errors"][0]["field"]) == (422, "chat")


async def test_a_search_goes_on_page_by_page_to_the_end(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "SEARCH_SLICE", 3)
    monkeypatch.setattr(commands, "SEARCH_SLICES", 2)
    for number in range(20):
        await came(bot, f"M{number}", text="needle" if number % 5 == 0 else "hay")
    found, before, pages = [], "0", 0
    while True:
        status, page = await bot.call(
            "GET", "/api/sessions/one/messages", params={"search": "needle", "limit": "2", "before": before}
        )
        assert status == 200
        found += [message["id"] for message in page["messages"]]
        pages += 1
        if page["next"] is None:
            break
        before = str(page["next"])
    assert found == ["M15", "M10", "M5", "M0"]
    assert pages > 2


@pytest.mark.parametrize("text", ["", "x" * 201])
async def test_a_search_for_nothing_or_too_much_is_refused(bot: Bot, text: str) -> None:
    status, problem = await bot.call("GET", "/api/sessions/one/messages", params={"search": text})
    assert (status, problem["errors"][0]["field"]) == (422, "search")


async def test_a_search_sees_nothing_of_an_earlier_owner(bot: Bot) -> None:
    await came(bot, "OLD", text="secret")
    _, made = await bot.call("POST", "/api/keys", {"name": "ann", "scopes": ["read"], "owner": "ann"})
    await bot.call("PATCH", "/api/sessions/one", {"owner": "ann"})
    await came(bot, "NEW", text="secret too")
    status, found = await bot.call("GET", "/api/sessions/one/messages", key=made["key"], params={"search": "secret"})
    assert (status, [message["id"] for message in found["messages"]]) == (200, ["NEW"])
