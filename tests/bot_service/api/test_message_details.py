"""Messages over the API in every detail: addresses, MIME types, forms, downloads, mentions, authors of quotes."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bot_service.domain.message import Album, Choice, Contact, InboundMessage, LinkPreview, Media, Poll, PollVote
from tests.support.bot_app import Bot, paired, received, running
from tests.support.processes import API_KEY
from tests.support.waiting import eventually

TO = "33612345678"
GROUP = "120363041234567890@g.us"
ANN = f"{TO}@s.whatsapp.net"
SEND = "/api/sessions/one/messages"


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Bot]:
    async with running(tmp_path, SEND_PER_MINUTE="0", SEND_NEW_CHATS_PER_HOUR="0") as started:
        await paired(started, "one")
        yield started


async def sent(bot: Bot, body: dict[str, Any]) -> Any:
    """What the engine was asked to send."""
    status, view = await bot.call("POST", SEND, body)
    assert status == 202, view

    def look() -> Any:
        return next((message for _, message in bot.pool.sent if message.id == view["id"]), None)

    return await eventually(look, what="the message being sent")


@pytest.mark.parametrize("to", ["+33 6 12 34 56 78", "0033612345678", f"{TO}@c.us"])
async def test_addresses_are_normalised(bot: Bot, to: str) -> None:
    assert (await sent(bot, {"to": to, "text": "x", "mentions": [to]})).mentions == (ANN,)


@pytest.mark.parametrize("to", ["0612345678", "٣٣٦١٢٣٤٥٦٧٨", "my friend", "12345@example.com", "🎉🎉🎉🎉🎉🎉"])
async def test_what_is_no_address_is_422_and_says_the_form(bot: Bot, to: str) -> None:
    person = {"to": TO, "type": "contact", "name": "A", "contactPhone": to}
    for path, body, field in (
        (SEND, {"to": to, "text": "x"}, "to"),
        (SEND, {"to": TO, "text": "x", "mentions": [to]}, "mentions"),
        (SEND, person, "contactPhone"),
        ("/api/sessions/one/typing", {"chat": to}, "chat"),
        ("/api/sessions/one/pairing-code", {"phone": to}, "phone"),
    ):
        status, problem = await bot.call("POST", path, body)
        assert status == 422, problem
        (error,) = problem["errors"]
        assert error["field"] == field
        assert "international form, for example 33612345678" in error["message"]


async def test_mime_types_with_parameters_are_passed_on(bot: Bot) -> None:
    media = {"mimeType": "audio/ogg; codecs=opus", "data": base64.b64encode(b"OggS").decode(), "voice": True}
    message = await sent(bot, {"to": TO, "type": "audio", "media": media})
    assert message.media.mime_type == "audio/ogg; codecs=opus"


@pytest.mark.parametrize("mime_type", ["audio", "audio/ogg\r\nX: y", "audio/ogg; codecs", "audio/ögg", ""])
async def test_what_is_no_mime_type_is_422(bot: Bot, mime_type: str) -> None:
    media = {"mimeType": mime_type, "data": "AAAA"}
    status, problem = await bot.call("POST", SEND, {"to": TO, "type": "audio", "media": media})
    assert (status, [error["field"] for error in problem["errors"]]) == (422, ["media.mimeType"])


def _form(*parts: tuple[bytes, bytes]) -> bytes:
    return b"".join(b"--x\r\n" + head + b"\r\n\r\n" + body + b"\r\n" for head, body in parts) + b"--x--\r\n"


BROKEN = b"\xff\xfe\xe9"


@pytest.mark.parametrize(
    "form",
    [
        _form((b'Content-Disposition: form-data; name="file"; filename="' + BROKEN + b'.png"', b"data")),
        _form((b'Content-Disposition: form-data; name="' + BROKEN + b'"', b"data")),
        _form((b'Content-Disposition: form-data; name="text"', BROKEN)),
        _form((b'Content-Disposition: form-data; name="file"\r\nContent-Type: image/' + BROKEN, b"data")),
        _form(
            (b'Content-Disposition: form-data; name="file"; filename="a.png"', b"data"),
            (b'Content-Disposition: form-data; name="text"', BROKEN),
        ),
    ],
)
async def test_a_form_that_is_not_utf_8_is_4xx_and_leaves_no_file(bot: Bot, tmp_path: Path, form: bytes) -> None:
    whole = _form(
        (b'Content-Disposition: form-data; name="to"', TO.encode()),
        (b'Content-Disposition: form-data; name="type"', b"image"),
    ).removesuffix(b"--x--\r\n")
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    status, problem = await bot.call("POST", SEND, data=whole + form, headers=headers)
    assert 400 <= status < 500, problem
    assert [path for path in (tmp_path / "media").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("mime_type", "file_name", "type_header", "disposition"),
    [
        ("image/png", "a.png", "image/png", 'attachment; filename="a.png"'),
        ("image/png\r\nX-Evil: 1", "a\r\nX-Evil: 1", "application/octet-stream", 'attachment; filename="a__X-Evil_ 1"'),
        (
            "text/html\x00",
            "a\x00b",
            "application/octet-stream",
            "attachment; filename=\"a_b\"; filename*=UTF-8''a%E2%90%80b",
        ),
        (
            "imäge/png",
            "é.png",
            "application/octet-stream",
            "attachment; filename=\"_.png\"; filename*=UTF-8''%C3%A9.png",
        ),
        ("audio/ogg; codecs=opus", "../x", "audio/ogg; codecs=opus", 'attachment; filename="_x"'),
    ],
)
async def test_downloads_are_safe_whatever_the_sender_called_his_file(
    bot: Bot, tmp_path: Path, mime_type: str, file_name: str, type_header: str, disposition: str
) -> None:
    file = tmp_path / "media" / "one" / "file"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"content")
    media = Media(mime_type, file_name, str(file), size=7)
    await received(bot, InboundMessage("one", ANN, "M1", ANN, 0, "document", media=media))
    headers = {"Authorization": f"Bearer {API_KEY}"}
    async with bot.client.get(f"{SEND}/M1/media", headers=headers) as response:
        assert (response.status, await response.read()) == (200, b"content")
        assert response.headers["Content-Type"] == type_header
        assert response.headers["Content-Disposition"] == disposition
        assert "X-Evil" not in response.headers


async def test_a_preview_belongs_to_a_link_in_the_text(bot: Bot) -> None:
    preview = {"url": "https://example.com/a", "title": "A page"}
    body = {"to": "33612345678", "text": "See https://example.com/a now", "linkPreview": preview}
    status, view = await bot.call("POST", "/api/sessions/one/messages", body)
    assert status == 202, view
    sent = await eventually(lambda: next((one for _, one in bot.pool.sent if one.id == view["id"]), None), what="send")
    assert sent.link_preview == LinkPreview("https://example.com/a", "A page")
    for wrong, field in (
        ({**body, "text": "See http://example.com/a"}, "linkPreview.url"),
        ({**body, "type": "location", "latitude": 1, "longitude": 2}, "linkPreview"),
        ({**body, "linkPreview": {"url": "https://example.com/a"}}, "linkPreview.title"),
    ):
        status, problem = await bot.call("POST", "/api/sessions/one/messages", wrong)
        assert (status, problem["errors"][0]["field"]) == (422, field), problem


async def test_quotes_and_reactions_carry_the_author_of_their_message(bot: Bot) -> None:
    own = (await bot.call("GET", "/api/sessions/one"))[1]["jid"].partition("@")[0].partition(":")[0] + "@s.whatsapp.net"
    theirs = InboundMessage("one", GROUP, "THEIRS", ANN, 0, "text", "a", is_group=True)
    phone = InboundMessage("one", GROUP, "PHONE", "777@lid", 0, "text", "b", is_group=True, from_me=True)
    await received(bot, theirs, phone)
    api = (await sent(bot, {"to": GROUP, "text": "mine"})).id
    for field, body in (("replyTo", {"text": "x"}), ("reactionTo", {"type": "reaction", "text": "👍"})):
        for target, author, from_us in (
            ("THEIRS", ANN, False),
            ("PHONE", own, True),
            (api, own, True),
            ("UNKNOWN", None, False),
        ):
            message = await sent(bot, {"to": GROUP, **body, field: target})
            assert (message.reply_to_sender, message.refers_to_own) == (author, from_us), (field, target)


async def test_the_parts_of_a_message_are_in_the_api_and_in_the_events(bot: Bot) -> None:
    parts: list[dict[str, Any]] = [
        {"type": "poll", "poll": Poll("When?", ("a", "b"), 1)},
        {"type": "poll_vote", "vote": PollVote("M0", ("a",))},
        {"type": "edit", "edits": "M0", "text": "new"},
        {"type": "revoke", "revokes": "M0"},
        {"type": "choice", "choice": Choice("Yes", "y"), "text": "Yes"},
        {"type": "contact", "contacts": (Contact("Ann", ("1", "2")),)},
        {"type": "album", "album": Album(2, 1)},
        {"type": "text", "text": "@1", "mentions": (ANN,), "forwarded": True, "view_once": True},
    ]
    for number, given in enumerate(parts):
        message = InboundMessage("one", ANN, f"M{number}", ANN, 0, **given)
        await received(bot, message)
        status, view = await bot.call("GET", f"{SEND}/M{number}")
        assert status == 200
        wanted = {key: value for key, value in msgspec.to_builtins(message).items() if key not in ("atMs",)}
        assert {key: view[key] for key in wanted} == msgspec.json.decode(msgspec.json.encode(wanted))
