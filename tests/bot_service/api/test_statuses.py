"""Statuses over the API: queued once like messages, only of kinds that phones show, and to nobody that a caller chooses."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot_service.domain.addresses import STATUS_CHAT
from bot_service.domain.message import InboundMessage
from tests.support.bot_app import Bot, paired, received, running
from tests.support.waiting import eventually

STATUS, MESSAGES = "/api/sessions/one/status", "/api/sessions/one/messages"
ANN = "33612345678@s.whatsapp.net"
FILE = {"mimeType": "image/png", "data": base64.b64encode(b"png").decode()}


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Bot]:
    async with running(tmp_path, SEND_PER_MINUTE="0", SEND_NEW_CHATS_PER_HOUR="0") as started:
        await paired(started, "one")
        yield started


async def queued(bot: Bot, method: str, path: str, body: Any = None) -> Any:
    """What the engine was asked to send."""
    status, view = await bot.call(method, path, body)
    assert (status, view["chat"]) == (202, STATUS_CHAT), view
    return await eventually(lambda: next((one for _, one in bot.pool.sent if one.id == view["id"]), None), what="send")


async def test_a_text_is_posted_with_its_look_and_taken_back(bot: Bot) -> None:
    posted = await queued(bot, "POST", STATUS, {"text": "Open", "backgroundColor": "#38b42f", "font": 2})
    assert (posted.to, posted.type, posted.text, posted.background, posted.font) == (
        *(STATUS_CHAT, "text", "Open", "#38b42f", 2),
    )
    revoked = await queued(bot, "DELETE", f"{MESSAGES}/{posted.id}")
    assert (revoked.to, revoked.type, revoked.revokes, revoked.refers_to_own) == (
        STATUS_CHAT,
        "revoke",
        posted.id,
        True,
    )
    _, page = await bot.call("GET", f"/api/sessions/one/chats/{STATUS_CHAT}/messages")
    assert [view["id"] for view in page["messages"]] == [revoked.id, posted.id]


async def test_files_are_kept_and_a_sound_is_a_voice_message(bot: Bot) -> None:
    image = await queued(bot, "POST", STATUS, {"type": "image", "text": "New", "media": FILE})
    assert (image.text, Path(image.media.path).read_bytes()) == ("New", b"png")
    sound = {"type": "audio", "media": {**FILE, "mimeType": "audio/ogg"}, "backgroundColor": "#102030"}
    voice = await queued(bot, "POST", STATUS, sound)
    assert (voice.media.voice, voice.background) == (True, "#102030")


async def test_the_same_key_posts_once(bot: Bot) -> None:
    body, headers = {"type": "image", "media": FILE}, {"Idempotency-Key": "one"}
    first, again = [await bot.call("POST", STATUS, body, headers=headers) for _ in range(2)]
    assert (first[0], again[0], first[1]["id"]) == (202, 200, again[1]["id"])
    other = await bot.call("POST", STATUS, {**body, "text": "other"}, headers=headers)
    assert (other[0], other[1]["code"]) == (409, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "text"),
        ({"text": ""}, "text"),
        ({"type": "image"}, "media"),
        ({"type": "poll"}, "type"),
        ({"type": "sticker", "media": FILE}, "type"),
        ({"type": "audio", "media": FILE, "text": "x"}, "text"),
        ({"type": "image", "media": FILE, "font": 1}, "font"),
        ({"type": "image", "media": FILE, "backgroundColor": "#000000"}, "backgroundColor"),
        ({"text": "x", "backgroundColor": "green"}, "backgroundColor"),
        ({"text": "x", "backgroundColor": "#12345\n"}, "backgroundColor"),
        ({"text": "x", "font": 3}, "font"),
        ({"text": "x", "to": ANN}, "to"),
        ({"type": "image", "media": {"mimeType": "image/png"}}, "media"),
    ],
)
async def test_what_phones_would_not_show_is_refused_by_name(bot: Bot, body: dict[str, Any], field: str) -> None:
    status, problem = await bot.call("POST", STATUS, body)
    assert (status, [each["field"] for each in problem["errors"]]) == (422, [field]), problem
    assert bot.pool.sent == []


async def test_no_message_and_no_forward_becomes_a_status_by_its_address(bot: Bot) -> None:
    await received(bot, InboundMessage("one", ANN, "M1", ANN, 1_800_000_000_000, "text", text="private"))
    for path, body in ((MESSAGES, {"text": "x"}), (f"{MESSAGES}/M1/forward", {})):
        status, problem = await bot.call("POST", path, {"to": STATUS_CHAT, **body})
        assert (status, [each["field"] for each in problem["errors"]]) == (422, ["to"])
        assert "POST /api/sessions/{id}/status" in problem["detail"]


async def test_a_status_cannot_be_edited(bot: Bot) -> None:
    posted = await queued(bot, "POST", STATUS, {"text": "Open"})
    status, problem = await bot.call("PUT", f"{MESSAGES}/{posted.id}", {"text": "Closed"})
    assert (status, problem["code"]) == (409, "not_editable")


async def test_a_chat_of_statuses_is_no_group_and_has_no_name_of_a_person(bot: Bot) -> None:
    status = InboundMessage(
        "one", STATUS_CHAT, "M1", ANN, 1_800_000_000_000, "text", text="x", push_name="Ann", lid="9@lid"
    )
    await received(bot, status)
    _, found = await bot.call("GET", "/api/sessions/one/chats")
    (chat,) = found["chats"]
    assert (chat["chat"], chat["isGroup"], chat["name"], chat["last"]["sender"]) == (STATUS_CHAT, False, None, ANN)
