"""The schemas of events against the events of a running service: every type, with every part that messages may have."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, get_args

import msgspec
from jsonschema import Draft202012Validator

from bot_service import keys
from bot_service.api.server.routes import _document
from bot_service.api.webhooks.event_types import WEBHOOK_CALLS
from bot_service.domain.calls import Call
from bot_service.domain.message import (
    Album,
    Choice,
    Contact,
    GroupInvite,
    InboundMessage,
    Media,
    MessageDetails,
    MessageType,
    Poll,
    PollVote,
    Receipt,
)
from bot_service.domain.signals import SignalKind
from bot_service.engines.port import EngineError
from bot_service.events.dialects import TEST_EVENT
from bot_service.events.subscriptions import EVENT_TYPES
from tests.dialects.arriving import groups_change
from tests.support.bot_app import Bot, paired, received, running
from tests.support.fast_clock import FastClock
from tests.support.receiver import Receiver
from tests.support.waiting import eventually

ANN, GROUP = "33612345678@s.whatsapp.net", "120363041234567890@g.us"
BODIES = {event.type: event.body for event in WEBHOOK_CALLS.events}
DETAILS: dict[str, Any] = {
    "mentions": (ANN,), "forwarded": True, "view_once": True, "live": True, "edits": "M1", "revokes": "M1",
    "poll": Poll("Which day?", ("Monday", "Tuesday"), 1), "vote": PollVote("M9", ("Monday",), ("ab",), True),
    "choice": Choice("Yes", "y"), "choices": (Choice("Yes", "y"), Choice("No")),
    "contacts": (Contact("Ann", ("33612345678",)),), "album": Album(2, 1), "album_id": "M2", "refers_to_own": True,
    "invite": GroupInvite(GROUP, "abc", "Orders", 1_800_000_000_000),
}  # fmt: skip
PARTS: dict[str, Any] = {
    "text": "Hello", "push_name": "Ann", "from_me": True, "is_group": True, "reply_to": "M1", "reaction_to": "M1",
    "latitude": 45.7, "longitude": 4.8, "name": "Ann", "contact_phone": "33612345678", "lid": "84@lid",
    "media": Media("image/jpeg", "a.jpg", "media/one/a.jpg", None, 9, 3, True, True),
}  # fmt: skip
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0 a picture").decode()
OUTGOING: list[dict[str, Any]] = [
    {"text": "Hello", "mentions": ["33612345678"]},
    {"type": "image", "text": "Look", "media": {"data": JPEG, "mimeType": "image/jpeg"}},
    {"type": "location", "latitude": 45.7, "longitude": 4.8, "name": "Shop"},
    {"type": "contact", "name": "Ann", "contactPhone": "33612345678"},
    {"type": "poll", "poll": {"question": "Which day?", "options": ["Monday", "Tuesday"]}},
]


def test_the_parts_above_are_all_that_a_message_may_have() -> None:
    fixed = {"session", "chat", "id", "sender", "at_ms", "type"}
    assert set(DETAILS) == set(MessageDetails.__struct_fields__)
    assert set(PARTS) | set(DETAILS) | fixed == set(InboundMessage.__struct_fields__)


async def test_every_event_that_is_sent_is_as_its_schema_says(tmp_path: Path, receiver: Receiver) -> None:
    env: dict[str, Any] = {"ALERT_URLS": f"{receiver.url}/alerts", "WEBHOOK_ALLOW_PRIVATE": "true"}
    async with running(tmp_path, clock=FastClock(20.0), **env) as bot:
        _, webhook = await bot.call("POST", "/api/webhooks", {"url": f"{receiver.url}/hook"})
        await paired(bot, "one", "two")
        await messages_arrive(bot)
        await messages_leave(bot)
        await received(bot, Call("one", "C-1", ANN, 1_800_000_000_000, True, GROUP), Call("one", "C-2", ANN, 0))
        await groups_change("one", bot)
        for state in ("available", "unavailable", "composing", "recording", "paused"):
            data = {"chat": ANN, "from": ANN, "state": state, "lastSeenMs": 1_800_000_000_000}
            bot.pool.emit("one", SignalKind.PRESENCE, **data)
            await arrives(receiver, "presence.update", state=state)
        await bot.call("POST", f"/api/webhooks/{webhook['id']}/test")
        bot.pool.emit("one", SignalKind.BANNED)
        await arrives(receiver, "service.alert", kind="sessions_need_person")
        await bot.call("DELETE", "/api/sessions/one")
        await arrives(receiver, "session.deleted", session="one")
        await arrives(receiver, "session.attention", session="one")
        # Nothing has arrived from the watchdog, and then it does.
        alerts = bot.app[keys.EVENTS].service_alerts
        await alerts.raise_("watchdog_silent", "The watchdog is silent", about="two")
        await alerts.resolve("watchdog_silent", "The watchdog is back", about="two")
        await arrives(receiver, "service.recovered", kind="watchdog_silent")
    seen = {got.json["type"] for got in receiver.requests}
    assert seen == {*EVENT_TYPES, TEST_EVENT}
    document = msgspec.json.decode(_document("test"))
    for got in receiver.requests:
        check(got.raw, document)


async def arrives(receiver: Receiver, type_: str, **data: str) -> None:
    def fits(event: Any) -> bool:
        return event["type"] == type_ and all(event["data"].get(name) == value for name, value in data.items())

    await receiver.wait_for(fits)


async def messages_arrive(bot: Bot) -> None:
    """One of every type, and each part that a message may have, alone and together."""
    plain = [InboundMessage("one", ANN, f"T-{type_}", ANN, 0, type_) for type_ in get_args(MessageType)]
    parts = [
        InboundMessage("one", ANN, f"P-{name}", ANN, 0, "other", **{name: value})
        for name, value in (PARTS | DETAILS).items()
    ]
    whole = InboundMessage("one", GROUP, "W", ANN, 0, "other", **(PARTS | DETAILS))
    await received(bot, *plain, *parts, whole)


async def messages_leave(bot: Bot) -> None:
    """Every state: sent, delivered, read, refused by the engine, refused by WhatsApp."""
    path = "/api/sessions/two/messages"
    made = []
    for body in OUTGOING:
        status, message = await bot.call("POST", path, {"to": "33612345678", **body})
        assert status == 202, message
        made.append(message["id"])

    async def sent() -> bool:
        _, page = await bot.call("GET", path)
        return all(message["state"] != "queued" for message in page["messages"])

    await eventually(sent, what="messages that have left")
    for kind in ("delivered", "read"):
        await received(bot, Receipt("two", ANN, made[:1], kind, 0))
    await received(bot, Receipt("two", ANN, made[1:2], "failed", 0))
    bot.pool.fail["send"] = EngineError("rejected", "refused", retryable=False)
    status, message = await bot.call("POST", path, {"to": "33612345678", "text": "refused"})
    assert status == 202, message
    await eventually(sent, what="a message that has failed")
    del bot.pool.fail["send"]


def check(raw: bytes, document: dict[str, Any]) -> None:
    """Valid by the published schema, and without a member that the schema does not name."""
    event = msgspec.json.decode(raw)
    [content] = document["webhooks"][event["type"]]["post"]["requestBody"]["content"].values()
    schema = {**content["schema"], "components": document["components"]}
    assert [str(fault) for fault in Draft202012Validator(schema).iter_errors(event)] == [], event
    typed = msgspec.to_builtins(msgspec.convert(event, BODIES[event["type"]]))
    assert unnamed(event, typed) == [], event


def unnamed(given: Any, known: Any, path: str = "") -> list[str]:
    """Members of ``given`` that ``known``, the same value read by its type, has lost."""
    if isinstance(given, dict):
        return [
            found
            for name, value in given.items()
            for found in (unnamed(value, known[name], f"{path}.{name}") if name in known else [f"{path}.{name}"])
        ]
    if isinstance(given, list):
        return [found for at, value in enumerate(given) for found in unnamed(value, known[at], f"{path}[{at}]")]
    return []
