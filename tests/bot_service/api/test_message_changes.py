"""Edit, revoke, forward and poll over the API: queued once, only where phones accept it, with the file of a forward."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bot_service import keys
from bot_service.domain.message import InboundMessage, Media, Poll
from bot_service.messages.changes import EDIT_WITHIN_MS, REVOKE_WITHIN_MS
from bot_service.store import messages
from bot_service.store.messages import NewMessage
from shared.clock import to_ms
from tests.support.bot_app import Bot, paired, received, running
from tests.support.waiting import eventually

TO = "33612345678"
CHAT = f"{TO}@s.whatsapp.net"
GROUP = "120363041234567890@g.us"
SEND = "/api/sessions/one/messages"


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Bot]:
    async with running(tmp_path, SEND_PER_MINUTE="0", SEND_NEW_CHATS_PER_HOUR="0") as started:
        await paired(started, "one")
        yield started


async def came(bot: Bot, message_id: str, chat: str = CHAT, *, ago_ms: int = 0, **parts: Any) -> None:
    at_ms = to_ms(bot.app[keys.CLOCK].now()) - ago_ms
    await received(bot, InboundMessage("one", chat, message_id, CHAT, at_ms, **{"type": "text", "text": "x", **parts}))


async def queued(bot: Bot, method: str, path: str, body: Any = None, **kwargs: Any) -> Any:
    """What the engine was asked to send."""
    status, view = await bot.call(method, path, body, **kwargs)
    assert status == 202, view
    return await eventually(lambda: next((one for _, one in bot.pool.sent if one.id == view["id"]), None), what="send")


async def sent_text(bot: Bot, text: str = "first", to: str = TO) -> str:
    return str((await queued(bot, "POST", SEND, {"to": to, "text": text})).id)


async def test_an_edit_and_a_revocation_are_messages_that_name_theirs(bot: Bot) -> None:
    first = await sent_text(bot)
    edit = await queued(bot, "PUT", f"{SEND}/{first}", {"text": "second", "mentions": [TO]})
    assert (edit.type, edit.edits, edit.text, edit.to, edit.mentions) == ("edit", first, "second", CHAT, (CHAT,))
    revoke = await queued(bot, "DELETE", f"{SEND}/{first}")
    assert (revoke.type, revoke.revokes, revoke.to, revoke.refers_to_own) == ("revoke", first, CHAT, True)
    _, page = await bot.call("GET", SEND)
    views = {view["id"]: view for view in page["messages"]}
    assert views[edit.id]["edits"] == views[revoke.id]["revokes"] == first
    assert views[first]["text"] == "first"


async def test_the_same_key_changes_once(bot: Bot) -> None:
    first = await sent_text(bot)
    for method, path, body in (
        ("PUT", f"{SEND}/{first}", {"text": "second"}),
        ("POST", f"{SEND}/{first}/forward", {"to": TO}),
        ("DELETE", f"{SEND}/{first}", None),
    ):
        headers = {"Idempotency-Key": method}
        one = await bot.call(method, path, body, headers=headers)
        two = await bot.call(method, path, body, headers=headers)
        assert (one[0], two[0], one[1]["id"]) == (202, 200, two[1]["id"])


async def test_a_caption_can_be_edited_and_the_file_stays(bot: Bot) -> None:
    media = {"mimeType": "image/png", "data": base64.b64encode(b"png").decode()}
    picture = await queued(bot, "POST", SEND, {"to": TO, "type": "image", "text": "a", "media": media})
    edit = await queued(bot, "PUT", f"{SEND}/{picture.id}", {"text": "b"})
    assert (edit.media.mime_type, edit.media.path) == ("image/png", None)
    assert Path(picture.media.path).read_bytes() == b"png"


async def test_what_phones_would_ignore_is_refused_with_the_reason(bot: Bot) -> None:
    await came(bot, "THEIRS")
    await came(bot, "GROUP", GROUP)
    await came(bot, "OLD", from_me=True, ago_ms=EDIT_WITHIN_MS + 60_000)
    await came(bot, "OLDER", from_me=True, ago_ms=REVOKE_WITHIN_MS + 60_000)
    await came(bot, "PLACE", from_me=True, type="location", text=None)
    await came(bot, "LIKE", type="reaction", reaction_to="THEIRS")
    await came(bot, "GONE", type="image", media=Media("image/png"))
    refused = [
        ("PUT", "THEIRS", {"text": "x"}, 409, "not_editable"),
        ("PUT", "PLACE", {"text": "x"}, 409, "not_editable"),
        ("PUT", "OLD", {"text": "x"}, 409, "too_late"),
        ("PUT", "NONE", {"text": "x"}, 404, "not_found"),
        ("PUT", "OLD", {"text": ""}, 422, "invalid"),
        ("DELETE", "THEIRS", None, 409, "not_revocable"),
        ("DELETE", "OLDER", None, 409, "too_late"),
        ("DELETE", "NONE", None, 404, "not_found"),
        ("POST", "LIKE/forward", {"to": TO}, 409, "not_forwardable"),
        ("POST", "GONE/forward", {"to": TO}, 409, "not_forwardable"),
        ("POST", "THEIRS/forward", {"to": "0612345678"}, 422, "invalid"),
    ]
    for method, path, body, status, code in refused:
        answer = await bot.call(method, f"{SEND}/{path}", body)
        assert (answer[0], answer[1]["code"]) == (status, code), (method, path, answer)
    assert bot.pool.sent == []
    revoked = await queued(bot, "DELETE", f"{SEND}/GROUP")
    assert (revoked.refers_to_own, revoked.reply_to_sender) == (False, CHAT)


async def test_forwards_copy_content_and_file(bot: Bot, tmp_path: Path) -> None:
    file = tmp_path / "media" / "one" / "in.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"png")
    await came(bot, "PIC", type="image", media=Media("image/png", "in.png", str(file), size=3))
    await came(bot, "POLL", type="poll", poll=Poll("When?", ("a", "b"), 1))
    await came(bot, "PLACE", type="location", latitude=1.0, longitude=2.0)
    picture = await queued(bot, "POST", f"{SEND}/PIC/forward", {"to": GROUP})
    assert (picture.type, picture.to, picture.forwarded, picture.media.file_name) == ("image", GROUP, True, "in.png")
    file.unlink()
    assert Path(picture.media.path).read_bytes() == b"png"
    assert (await queued(bot, "POST", f"{SEND}/POLL/forward", {"to": TO})).poll == Poll("When?", ("a", "b"), 1)
    assert (await queued(bot, "POST", f"{SEND}/PLACE/forward", {"to": TO})).latitude == 1.0


async def test_files_of_an_older_version_are_found_by_their_key_also_in_a_folder_that_moved(
    bot: Bot, tmp_path: Path
) -> None:
    file = tmp_path / "media" / "one" / "in.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"png")
    for name, path in (("HERE", str(file)), ("MOVED", "/another/place/media/one/in.png")):
        row = InboundMessage("one", CHAT, name, CHAT, 0, "image", media=Media("image/png", "in.png", path, size=3))
        async with bot.app[keys.DATABASE].write() as connection:
            body = msgspec.json.encode(row)
            values = NewMessage("one", CHAT, name, "in", "image", 0, 0, "received", 0, body)
            await messages.insert_unknown(connection, [values])
        assert await bot.call("GET", f"{SEND}/{name}/media") == (200, "png")
        assert (await queued(bot, "POST", f"{SEND}/{name}/forward", {"to": GROUP})).media.file_name == "in.png"
    escaping = Media("image/png", "x", "/media/../bot.db", size=3)
    await came(bot, "ESCAPES", type="image", media=escaping)
    assert (await bot.call("GET", f"{SEND}/ESCAPES/media"))[0] == 404


async def test_polls_and_stickers_are_sent(bot: Bot) -> None:
    poll = {"question": "When?", "options": ["Mon", "Tue"], "selectable": 2}
    message = await queued(bot, "POST", SEND, {"to": TO, "type": "poll", "poll": poll})
    assert message.poll == Poll("When?", ("Mon", "Tue"), 2)
    media = {"mimeType": "image/webp", "data": base64.b64encode(b"webp").decode()}
    assert (await queued(bot, "POST", SEND, {"to": TO, "type": "sticker", "media": media})).type == "sticker"


@pytest.mark.parametrize(
    ("poll", "field"),
    [
        (None, "poll"),
        ({"question": "", "options": ["a", "b"]}, "poll.question"),
        ({"question": "q", "options": ["a"]}, "poll.options"),
        ({"question": "q", "options": ["a", "a "]}, "poll.options"),
        ({"question": "q", "options": ["a", " "]}, "poll.options"),
        ({"question": "q", "options": ["a", "b"], "selectable": 3}, "poll.selectable"),
        ({"question": "q", "options": [str(number) for number in range(13)]}, "poll.options"),
    ],
)
async def test_a_poll_that_phones_refuse_is_422(bot: Bot, poll: Any, field: str) -> None:
    status, problem = await bot.call("POST", SEND, {"to": TO, "type": "poll", "poll": poll})
    assert (status, [error["field"] for error in problem["errors"]]) == (422, [field])
