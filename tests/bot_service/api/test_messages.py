"""Messages out over the whole application: queued once, sent in order and within limits, and never while frozen."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot_service.domain.signals import SignalKind
from bot_service.domain.states import ENDS, State, Wanted
from bot_service.engines.port import EngineError
from bot_service.messages.rate_limits import FROZEN, Freeze, frozen
from tests.bot_service.domain.sessions import NOW, session
from tests.support.bot_app import Bot, running
from tests.support.processes import API_KEY
from tests.support.waiting import eventually

TO = "33612345678"
CHAT = f"{TO}@s.whatsapp.net"


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Bot]:
    async with running(tmp_path, SEND_PER_MINUTE="0", SEND_NEW_CHATS_PER_HOUR="0") as started:
        await ready(started)
        yield started


async def ready(bot: Bot) -> None:
    await bot.call("POST", "/api/sessions", {"id": "one"})
    await in_state(bot, "PAIRING")
    bot.pool.pair("one")
    await in_state(bot, "READY")


async def in_state(bot: Bot, state: str) -> None:
    async def look() -> bool:
        return bool((await bot.call("GET", "/api/sessions/one"))[1]["state"] == state)

    await eventually(look, what=state)


async def message_in_state(bot: Bot, message: str, state: str) -> dict[str, Any]:
    async def look() -> Any:
        _, found = await bot.call("GET", f"/api/sessions/one/messages/{message}")
        return found if found.get("state") == state else None

    return dict(await eventually(look, what=f"a message being {state}"))


def sent_by(bot: Bot) -> list[Any]:
    return [message for _, message in bot.pool.sent]


async def test_a_message_is_queued_then_sent_under_the_id_that_was_answered(bot: Bot) -> None:
    status, queued = await bot.call("POST", "/api/sessions/one/messages", {"to": f"+{TO}", "text": "Bonjour"})
    assert status == 202
    assert queued["state"] == "queued"
    assert queued["chat"] == CHAT
    await message_in_state(bot, queued["id"], "sent")
    assert [(message.id, message.to, message.text) for message in sent_by(bot)] == [(queued["id"], CHAT, "Bonjour")]


async def test_the_same_idempotency_key_sends_once_and_another_message_under_it_is_refused(bot: Bot) -> None:
    headers = {"Idempotency-Key": "order-1"}
    body = {"to": TO, "text": "once"}
    first = await bot.call("POST", "/api/sessions/one/messages", body, headers=headers)
    second = await bot.call("POST", "/api/sessions/one/messages", body, headers=headers)
    assert (first[0], second[0]) == (202, 200)
    assert first[1]["id"] == second[1]["id"]
    status, problem = await bot.call("POST", "/api/sessions/one/messages", {"to": TO, "text": "x"}, headers=headers)
    assert (status, problem["code"]) == (409, "idempotency_key_reused")
    await message_in_state(bot, first[1]["id"], "sent")
    assert len(sent_by(bot)) == 1


async def test_a_message_that_waits_says_why(bot: Bot) -> None:
    bot.pool.emit("one", SignalKind.DISCONNECTED)
    await in_state(bot, "RECONNECTING")
    _, queued = await bot.call("POST", "/api/sessions/one/messages", {"to": TO, "text": "x"})

    async def why() -> tuple[Any, bool]:
        _, found = await bot.call("GET", f"/api/sessions/one/messages/{queued['id']}")
        return found["waitsFor"]["reason"], found["waitsFor"]["until"] is not None

    assert (await why())[0] == "not_connected"
    bot.pool.emit("one", SignalKind.TEMP_BANNED, code=101, expiresInMs=3_600_000)
    await in_state(bot, "TEMP_BANNED")
    assert await why() == ("temp_banned", True)


async def test_a_message_that_the_engine_could_not_send_says_what_it_was(bot: Bot) -> None:
    bot.pool.fail["send"] = EngineError("timeout", "the server did not answer", retryable=True)
    _, queued = await bot.call("POST", "/api/sessions/one/messages", {"to": TO, "text": "x"})

    async def answered() -> bool:
        _, found = await bot.call("GET", f"/api/sessions/one/messages/{queued['id']}")
        return bool(found.get("waitsFor", {}).get("reason") == "timeout")

    await eventually(answered, what="the reason")
    del bot.pool.fail["send"]
    assert "waitsFor" not in await message_in_state(bot, queued["id"], "sent")


async def test_a_lost_connection_delays_a_message_and_sends_it_once_it_is_back(bot: Bot) -> None:
    bot.pool.emit("one", SignalKind.DISCONNECTED)
    await in_state(bot, "RECONNECTING")
    status, queued = await bot.call("POST", "/api/sessions/one/messages", {"to": TO, "text": "later"})
    assert status == 202
    assert sent_by(bot) == []
    bot.pool.connect("one")
    await message_in_state(bot, queued["id"], "sent")


async def test_what_the_engine_refuses_has_failed_and_says_why(bot: Bot) -> None:
    bot.pool.fail["send"] = EngineError("rejected", "the server refused it")
    _, queued = await bot.call("POST", "/api/sessions/one/messages", {"to": TO, "text": "no"})
    failed = await message_in_state(bot, queued["id"], "failed")
    assert failed["error"] == "rejected: the server refused it"


@pytest.mark.parametrize(
    ("kind", "data", "reason"),
    [
        (SignalKind.BANNED, {}, "banned"),
        (SignalKind.TEMP_BANNED, {"code": 101, "expiresInMs": 60_000}, "temp_banned"),
        (SignalKind.TIMELOCK, {"untilMs": 9_999_999_999_999}, "timelocked"),
        (SignalKind.LOGGED_OUT, {"code": 401, "onConnect": False}, "logged_out"),
    ],
)
async def test_a_freeze_is_told_with_its_reason(bot: Bot, kind: SignalKind, data: Any, reason: str) -> None:
    bot.pool.emit("one", kind, **data)

    async def refused() -> Any:
        status, problem = await bot.call("POST", "/api/sessions/one/messages", {"to": TO, "text": "x"})
        return problem if status == 409 else None

    problem = await eventually(refused, what="the refusal")
    assert (problem["code"], problem["reason"]) == ("sending_frozen", reason)
    assert (problem["until"] is not None) == (reason in ("temp_banned", "timelocked"))
    _, view = await bot.call("GET", "/api/sessions/one")
    assert problem["state"] == view["state"]


async def test_files_come_as_base64_or_as_a_form_and_can_be_fetched(bot: Bot) -> None:
    content = b"\x89PNG" + bytes(100)
    media = {"mimeType": "image/png", "data": base64.b64encode(content).decode(), "fileName": "a.png"}
    status, one = await bot.call(
        "POST", "/api/sessions/one/messages", {"to": TO, "type": "image", "text": "see", "media": media}
    )
    assert status == 202, one
    form = aiohttp.FormData()
    form.add_field("to", TO)
    form.add_field("type", "document")
    form.add_field("file", content, filename="b.bin", content_type="application/pdf")
    status, two = await bot.call("POST", "/api/sessions/one/messages", data=form)
    assert status == 202, two
    for view in (one, two):
        assert "path" not in view["media"]
        await message_in_state(bot, view["id"], "sent")
        headers = {"Authorization": f"Bearer {API_KEY}"}
        async with bot.client.get(view["media"]["url"], headers=headers) as response:
            assert (response.status, await response.read()) == (200, content)
            assert response.headers["Content-Disposition"] == f'attachment; filename="{view["media"]["fileName"]}"'
    assert all(Path(message.media.path).read_bytes() == content for message in sent_by(bot))


async def test_a_file_that_is_too_large_is_413(tmp_path: Path) -> None:
    async with running(tmp_path, MEDIA_MAX_BYTES="100") as bot:
        await ready(bot)
        media = {"mimeType": "image/png", "data": base64.b64encode(bytes(101)).decode()}
        status, _ = await bot.call("POST", "/api/sessions/one/messages", {"to": TO, "type": "image", "media": media})
        assert status == 413
        form = aiohttp.FormData({"to": TO, "type": "image"})
        form.add_field("file", bytes(101), filename="b", content_type="image/png")
        assert (await bot.call("POST", "/api/sessions/one/messages", data=form))[0] == 413


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"to": "nobody", "text": "x"}, "to"),
        ({"to": TO}, "text"),
        ({"to": TO, "type": "image"}, "media"),
        ({"to": TO, "type": "location", "latitude": 1}, "longitude"),
        ({"to": TO, "type": "reaction", "text": "x"}, "reactionTo"),
        *(
            ({"to": TO, "type": "image", "media": {"mimeType": "image/png", "data": data}}, "media.data")
            for data in ("%%", "AAA", "=", "\u00e9AAA", "\u202e", "AAAA\U0001f44d")
        ),
        ({"to": TO, "text": 3}, "text"),
        ({"to": TO, "text": "x", "replyTo": "A1\n"}, "replyTo"),
        ({"to": TO, "text": "x", "colour": 1}, "colour"),
    ],
)
async def test_a_message_that_cannot_be_sent_names_the_field(bot: Bot, body: Any, field: str) -> None:
    status, problem = await bot.call("POST", "/api/sessions/one/messages", body)
    assert (status, problem["errors"][0]["field"]) == (422, field)


_PART = b'--x\r\nContent-Disposition: form-data; name="'


@pytest.mark.parametrize(
    ("raw", "boundary"),
    [
        (b"no form", "x"),
        (_PART + b'to"\r\n\r\n4915112345678', "x"),
        (_PART + b'file"; filename="a\x00"\r\n\r\nDATA\r\n--x--\r\n', "x"),
        (_PART + b'to"\r\nContent-Transfer-Encoding: rot13\r\n\r\nabc\r\n--x--\r\n', "x"),
        (b"--", "b" * 100),
    ],
)
async def test_a_broken_form_is_400(bot: Bot, raw: bytes, boundary: str) -> None:
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    status, problem = await bot.call("POST", "/api/sessions/one/messages", data=raw, headers=headers)
    assert (status, problem["code"]) == (400, "bad_request"), problem


@pytest.mark.parametrize("before", ["-1", "x", "9" * 20, "0" * 12 + "9" * 20])
async def test_a_page_out_of_bounds_is_named(bot: Bot, before: str) -> None:
    status, problem = await bot.call("GET", f"/api/sessions/one/messages?before={before}")
    assert (status, problem["errors"][0]["field"]) == (422, "before")


async def test_new_chats_wait_longer_than_others(tmp_path: Path) -> None:
    async with running(tmp_path, SEND_PER_MINUTE="0", SEND_NEW_CHATS_PER_HOUR="1", SEND_NEW_CHATS_BURST="2") as bot:
        await ready(bot)
        for number in range(4):
            await bot.call("POST", "/api/sessions/one/messages", {"to": f"3361234567{number}", "text": "new"})
        _, known = await bot.call("POST", "/api/sessions/one/messages", {"to": "33612345670", "text": "again"})
        await message_in_state(bot, known["id"], "sent")
        assert [message.text for message in sent_by(bot)] == ["new", "new", "again"]


async def test_read_and_typing_reach_the_engine(bot: Bot) -> None:
    status, _ = await bot.call("POST", "/api/sessions/one/read", {"chat": TO, "messageIds": ["A1"]})
    assert status == 204
    status, _ = await bot.call("POST", "/api/sessions/one/typing", {"chat": TO, "state": "recording"})
    assert status == 204


async def test_events_resume_where_a_reader_left(bot: Bot) -> None:
    _, queued = await bot.call("POST", "/api/sessions/one/messages", {"to": TO, "text": "1"})
    await message_in_state(bot, queued["id"], "sent")
    headers = {"Authorization": f"Bearer {API_KEY}"}

    async def read(after: str, count: int) -> list[tuple[str, str]]:
        got: list[tuple[str, str]] = []
        async with bot.client.get("/api/events", headers=headers | {"Last-Event-ID": after}) as response:
            assert response.content_type == "text/event-stream"
            name = ""
            async for line in response.content:
                if line.startswith(b"id: "):
                    name = line[4:].strip().decode()
                elif line.startswith(b"event: "):
                    got.append((name, line[7:].strip().decode()))
                    if len(got) == count:
                        return got
        return got

    everything = await read("0", 4)
    assert everything[-1][1] in ("session.state", "message.status", "session.qr")
    again = await read(everything[1][0], 2)
    assert again == everything[2:]
    status, problem = await bot.call("GET", "/api/events", headers={"Last-Event-ID": "nonsense"})
    assert (status, problem["code"]) == (422, "invalid")


def test_every_freeze_has_words_and_every_state_that_cannot_send_has_a_freeze() -> None:
    assert set(FROZEN) == set(Freeze)
    for state in ENDS | {State.STOPPED}:
        wanted = Wanted.STOP if state in (State.STOPPED, State.CLOSED) else Wanted.RUN
        found = frozen(session(state, wanted=wanted), NOW, known_chat=True)
        assert found is not None, state
        assert found.reason.value == ("not_running" if state is State.STOPPED else state.value.lower())
