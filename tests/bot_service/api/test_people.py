"""Contacts, profile, presence, calls, stars, blocks: what is asked of the engine, what a caller gets, what events say."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bot_service import keys
from bot_service.domain import directory
from bot_service.domain import people as ask
from bot_service.domain.calls import Call
from bot_service.domain.message import InboundMessage, JournalRecord
from bot_service.domain.signals import SignalKind
from bot_service.engines.port import EngineError
from bot_service.messages.inbound import ingest
from bot_service.store import events
from tests.support.bot_app import Bot, paired, received, running
from tests.support.waiting import eventually

ONE = "/api/sessions/one"
ANN, ANN_LID = "33612345678@s.whatsapp.net", "84123456789012@lid"
GROUP = "120363041234567890@g.us"
NOW = 1_800_000_000_000
JPEG = b"\xff\xd8\xff\xe0 picture"
PROFILE = ask.Profile(ANN, ANN_LID, "Shop", None, "7")
PROFILE_VIEW = {"jid": ANN, "lid": ANN_LID, "name": "Shop", "about": None, "pictureId": "7"}


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Bot]:
    async with running(tmp_path) as started:
        await paired(started, "one")
        yield started


async def test_each_question_reaches_the_engine_and_its_answer_the_caller(bot: Bot) -> None:
    await received(bot, InboundMessage("one", ANN, "M1", ANN, 0, "text", "hello"))
    await received(bot, InboundMessage("one", GROUP, "M2", ANN, 0, "text", "own", from_me=True, is_group=True))
    details = ask.PersonDetails(ANN, ANN_LID, push_name="Ann", about="Hi")
    cases: list[tuple[str, str, Any, Any, Any, int, Any]] = [
        ("GET", "/contacts/+33 6 12 34 56 78", None, ask.GetContact(ANN), details, 200,
         {"jid": ANN, "lid": ANN_LID, "pushName": "Ann", "about": "Hi"}),
        ("GET", f"/lids/{ANN_LID}", None, ask.FindAddress(ANN_LID), ask.Person(ANN, ANN_LID), 200,
         {"jid": ANN, "lid": ANN_LID}),
        ("GET", "/lids/33612345678", None, ask.FindAddress(ANN), ask.Person(ANN), 200, {"jid": ANN, "lid": None}),
        ("GET", "/profile", None, ask.GetProfile(), PROFILE, 200, PROFILE_VIEW),
        ("PATCH", "/profile", {"name": "Shop"}, ask.ChangeProfile("Shop"), PROFILE, 200, PROFILE_VIEW),
        ("PATCH", "/profile", {"about": ""}, ask.ChangeProfile(about=""), PROFILE, 200, PROFILE_VIEW),
        ("PUT", "/profile/picture", {"data": base64.b64encode(JPEG).decode()}, ask.SetPicture(JPEG), "8", 200, {"id": "8"}),
        ("PUT", "/presence", {"state": "unavailable"}, ask.SetPresence(False), None, 204, ""),
        ("POST", "/presence/follow", {"chat": "0033612345678"}, ask.FollowPresence(ANN), None, 204, ""),
        ("POST", "/calls/C-1/reject", {"from": ANN_LID}, ask.RejectCall("C-1", ANN_LID), None, 204, ""),
        ("PUT", "/messages/M1/star", None, ask.StarMessage(ANN, "M1", ANN, False, True, NOW), None, 204, ""),
        ("DELETE", "/messages/M2/star", None, ask.StarMessage(GROUP, "M2", ANN, True, False, NOW), None, 204, ""),
        ("GET", "/blocklist", None, ask.GetBlocklist(), [ANN], 200, {"blocked": [ANN]}),
        ("PUT", "/blocklist/33612345678", None, ask.Block(ANN, True), [ANN], 200, {"blocked": [ANN]}),
        ("DELETE", f"/blocklist/{ANN}", None, ask.Block(ANN, False), [], 200, {"blocked": []}),
        ("GET", f"/groups/{GROUP}/requests", None, directory.ListJoinRequests(GROUP),
         [directory.JoinRequest(ANN, 1_800_000_000_000)], 200, {"requests": [{"jid": ANN, "at": "2027-01-15T08:00:00.000Z"}]}),
    ]  # fmt: skip
    for method, path, body, question, answer, status, view in cases:
        bot.pool.asked.clear()
        bot.pool.answers[type(question)] = answer
        assert await bot.call(method, ONE + path, body) == (status, view), path
        [(session, asked)] = bot.pool.asked
        if isinstance(asked, ask.StarMessage):
            asked = msgspec.structs.replace(asked, at_ms=NOW)
        assert (session, asked) == ("one", question), path


async def test_contacts_come_in_pages_and_can_be_searched(bot: Bot) -> None:
    people = [ask.Person(f"3361234567{n}@s.whatsapp.net", name=f"Émile {n}" if n % 2 else None) for n in range(7)]
    bot.pool.answers[ask.ListContacts] = people
    found: list[str] = []
    after: dict[str, str] = {}
    while True:
        status, page = await bot.call("GET", f"{ONE}/contacts", params={"limit": "3", **after})
        assert status == 200
        found += [each["jid"] for each in page["contacts"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert found == [person.jid for person in people]
    _, page = await bot.call("GET", f"{ONE}/contacts", params={"search": "émile"})
    assert [each["jid"][10] for each in page["contacts"]] == ["1", "3", "5"]
    _, page = await bot.call("GET", f"{ONE}/contacts", params={"search": "33612345674"})
    assert len(page["contacts"]) == 1


WRONG: list[tuple[str, str, Any, str]] = [
    ("GET", f"/contacts/{GROUP}", None, "contact"),
    ("GET", "/contacts/0612345678", None, "contact"),
    ("GET", "/lids/ann", None, "contact"),
    ("PUT", "/blocklist/status@broadcast", None, "contact"),
    ("PATCH", "/profile", {}, "name"),
    ("PATCH", "/profile", {"name": " "}, "name"),
    ("PATCH", "/profile", {"name": "x" * 26}, "name"),
    ("PATCH", "/profile", {"about": "x" * 140}, "about"),
    ("PUT", "/profile/picture", {"data": "no base64"}, "data"),
    ("PUT", "/profile/picture", {"data": base64.b64encode(b"\x89PNG").decode()}, "data"),
    ("PUT", "/presence", {"state": "busy"}, "state"),
    ("POST", "/presence/follow", {"chat": GROUP}, "chat"),
    ("POST", "/calls/C-1/reject", {}, "from"),
    ("POST", f"/groups/{GROUP}/requests", {"action": "ban", "members": [ANN]}, "action"),
]


async def test_wrong_input_is_422_and_names_its_field(bot: Bot) -> None:
    for method, path, body, field in WRONG:
        status, problem = await bot.call(method, ONE + path, body)
        assert status == 422, problem
        assert field in str(problem["errors"][0]), path
    assert bot.pool.asked == []


async def test_what_the_library_cannot_do_is_named(bot: Bot) -> None:
    bot.pool.fail["ask"] = EngineError("not_supported", "the WhatsApp library has no call for it")
    body = {"action": "approve", "members": [ANN]}
    status, problem = await bot.call("POST", f"{ONE}/groups/{GROUP}/requests", body)
    assert (status, problem["code"], problem["detail"]) == (
        409, "unsupported_by_engine", "the WhatsApp library has no call for it",
    )  # fmt: skip


async def published(bot: Bot, kind: str, count: int) -> list[Any]:
    """The data of the events of this type, once there are ``count``."""
    found: list[Any] = []

    async def look() -> bool:
        async with bot.app[keys.DATABASE].read() as connection:
            rows = await events.after(connection, "", 1000)
        found[:] = [msgspec.json.decode(row.body)["data"] for row in rows if row.type == kind]
        return len(found) >= count

    await eventually(look, what=f"{count} events {kind}")
    return found


async def test_a_presence_is_an_event_and_only_its_newest_state_waits(bot: Bot) -> None:
    for state, last_seen_ms in (("available", None), ("unavailable", 1_800_000_000_000)):
        for chat in (ANN, GROUP):
            data = {"chat": chat, "from": ANN, "state": state, "lastSeenMs": last_seen_ms}
            bot.pool.emit("one", SignalKind.PRESENCE, **data)
    bot.pool.emit("one", SignalKind.PRESENCE)  # of a worker of an earlier version
    found = await published(bot, "presence.update", 2)
    assert [(each["chat"], each["from"], each["state"], each["lastSeen"]) for each in found] == [
        (ANN, ANN, "unavailable", "2027-01-15T08:00:00.000Z"),
        (GROUP, ANN, "unavailable", "2027-01-15T08:00:00.000Z"),
    ]


async def test_a_call_is_an_event_of_its_session_and_dropped_with_it(bot: Bot) -> None:
    registry = bot.app[keys.SESSIONS].registry
    record = registry.get("one")
    assert record is not None
    calls = [
        JournalRecord(call=Call("one", "C1", ANN, 1_800_000_000_000, True), creation=record.creation),
        JournalRecord(call=Call("one", "C2", ANN, 1_800_000_000_000, group=GROUP), creation="an earlier one"),
    ]
    async with bot.app[keys.DATABASE].write() as connection:
        batch = await ingest(connection, calls, bot.app[keys.CLOCK].now(), registry.get)
        await bot.app[keys.EVENTS].publisher.stage(connection, batch.drafts)
    assert (len(batch.calls), batch.dropped) == (1, {"one": 1})
    assert await published(bot, "call.received", 1) == [
        {"id": "C1", "session": "one", "from": ANN, "video": True, "group": None, "at": "2027-01-15T08:00:00.000Z"}
    ]
