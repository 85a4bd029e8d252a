"""Webhooks in Evolution's shape, over the running application and a real receiver."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot_service import keys
from bot_service.dialects.evolution import events
from bot_service.domain import people
from bot_service.domain.calls import Call
from bot_service.domain.message import Media, Receipt
from bot_service.domain.signals import SignalKind
from bot_service.domain.states import State
from bot_service.engines.port import EngineError
from bot_service.messages.inbound import Batch
from shared.clock import to_ms
from tests.dialects.arriving import groups_change
from tests.dialects.evolution_scene import GROUP, JID, NUMBER, call, came
from tests.support.bot_app import Bot, is_in, received, running
from tests.support.processes import API_KEY
from tests.support.receiver import Received, Receiver
from tests.support.waiting import eventually


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as started:
        yield started


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Bot]:
    async with running(tmp_path, WEBHOOK_ALLOW_PRIVATE="true", PUBLIC_URL="http://veilleur.test") as started:
        yield started


async def opened(bot: Bot, receiver: Receiver, *names: str, **options: Any) -> None:
    webhook = {"enabled": True, "url": receiver.url + "/hook", "events": list(names), **options}
    body = {"instanceName": "shop", "integration": "WHATSAPP-BAILEYS", "qrcode": True, "webhook": webhook}
    assert (await call(bot, "POST", "/instance/create", body))[0] == 201
    await is_in(bot, "shop", State.PAIRING)
    bot.pool.pair("shop")
    await is_in(bot, "shop", State.READY)


async def got(receiver: Receiver, name: str, count: int = 1) -> list[Received]:
    """The bodies of this event, as soon as there are ``count``."""

    def found() -> list[Received]:
        return [each for each in receiver.requests if each.json["event"] == name]

    await eventually(lambda: len(found()) >= count, what=f"{count} {name}")
    return found()


async def test_a_phone_links_and_a_message_arrives(bot: Bot, receiver: Receiver) -> None:
    await opened(bot, receiver)
    (code,) = await got(receiver, "qrcode.updated")
    shown = code.json["data"]["qrcode"]
    assert base64.b64decode(shown["base64"].removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")
    assert shown["code"]
    states = [each.json["data"]["state"] for each in await got(receiver, "connection.update", 2)]
    assert states == ["connecting", "open"]
    await came(bot, "AAA", push_name="Ann")
    (message,) = await got(receiver, "messages.upsert")
    assert message.path == "/hook"
    envelope = message.json
    assert {name: envelope[name] for name in ("instance", "destination", "server_url", "apikey")} == {
        "instance": "shop",
        "destination": receiver.url + "/hook",
        "server_url": "http://veilleur.test",
        "apikey": None,
    }
    assert envelope["sender"] == "jid-shop@s.whatsapp.net"
    data = envelope["data"]
    assert data["key"] == {"remoteJid": JID, "fromMe": False, "id": "AAA"}
    assert (data["pushName"], data["message"], data["messageType"]) == (
        "Ann",
        {"conversation": "hello"},
        "conversation",
    )
    assert isinstance(data["messageTimestamp"], int)


async def test_no_body_and_no_header_has_a_key(bot: Bot, receiver: Receiver) -> None:
    await opened(bot, receiver)
    await came(bot, "AAA")
    await call(bot, "POST", "/message/sendText/shop", {"number": NUMBER, "text": "hi"})
    await call(bot, "DELETE", "/instance/logout/shop")
    await got(receiver, "logout.instance")
    for each in receiver.requests:
        assert each.json["apikey"] is None
        assert API_KEY not in each.raw.decode() + json.dumps(each.headers)


async def test_a_sent_message_and_its_receipts(bot: Bot, receiver: Receiver) -> None:
    await opened(bot, receiver, "SEND_MESSAGE", "MESSAGES_UPDATE")
    _, answer = await call(bot, "POST", "/message/sendText/shop", {"number": NUMBER, "text": "hi"})
    (sent,) = await got(receiver, "send.message")
    assert (sent.json["data"]["key"], sent.json["data"]["message"]) == (answer["key"], {"conversation": "hi"})
    record = bot.app[keys.SESSIONS].registry.get("shop")
    assert record is not None
    receipt = Receipt("shop", JID, [answer["key"]["id"]], "read", record.created_ms)
    await received(bot, receipt)
    updates = [each.json["data"] for each in await got(receiver, "messages.update", 2)]
    assert [(each["keyId"], each["status"]) for each in updates] == [
        (answer["key"]["id"], "SERVER_ACK"),
        (answer["key"]["id"], "READ"),
    ]
    assert {each.json["event"] for each in receiver.requests} == {"send.message", "messages.update"}


async def test_presence_and_calls_are_shown(bot: Bot, receiver: Receiver) -> None:
    await opened(bot, receiver, "PRESENCE_UPDATE", "CALL")
    record = bot.app[keys.SESSIONS].registry.get("shop")
    assert record is not None
    bot.pool.emit("shop", SignalKind.PRESENCE, chat=JID, state="composing", lastSeenMs=None, **{"from": JID})
    await received(bot, Call("shop", "CALL1", JID, record.created_ms, video=True))
    (presence,), (rings,) = [await got(receiver, name) for name in ("presence.update", "call")]
    assert presence.json["data"] == {"id": JID, "presences": {JID: {"lastKnownPresence": "composing"}}}
    data = rings.json["data"]
    assert (data["id"], data["from"], data["status"], data["isVideo"]) == ("CALL1", JID, "offer", True)


async def test_changes_of_groups_have_the_shapes_of_evolution(bot: Bot, receiver: Receiver) -> None:
    await opened(bot, receiver, "GROUPS_UPSERT", "GROUP_UPDATE", "GROUP_PARTICIPANTS_UPDATE")
    await groups_change("shop", bot)
    (joined,) = await got(receiver, "groups.upsert")
    (found,) = joined.json["data"]
    assert (found["id"], found["subject"], found["restrict"], found["size"]) == (GROUP, "Orders", True, 1)
    assert found["participants"] == [{"id": JID, "admin": "admin"}]
    updated = [each.json["data"] for each in await got(receiver, "groups.update", 2)]
    assert updated == [
        [{"id": GROUP, "subject": "New", "author": JID}],
        [{"id": GROUP, "announce": True, "author": JID}],
    ]
    members = [each.json["data"] for each in await got(receiver, "group-participants.update", 5)]
    assert [each["action"] for each in members] == ["add", "remove", "promote", "demote", "remove"]
    assert [each["participants"] for each in members] == [*[[JID]] * 4, ["jid-shop@s.whatsapp.net"]]


async def ring(bot: Bot, *calls: Call) -> None:
    """Calls that are stored, as the reader of the journal says it."""
    await received(bot, *calls)
    bot.app[keys.MESSAGES].journal.committed(Batch(calls=list(calls)))


async def test_calls_are_rejected_and_answered_when_the_instance_says_so(bot: Bot, receiver: Receiver) -> None:
    await opened(bot, receiver, "CALL")
    bot.pool.answers[people.RejectCall] = None
    now_ms = to_ms(bot.app[keys.CLOCK].now())
    await ring(bot, Call("shop", "CALL0", JID, now_ms))
    text = "We do not take calls: write to us"
    assert (await call(bot, "POST", "/settings/set/shop", {"rejectCall": True, "msgCall": text}))[0] == 201
    _, found = await call(bot, "GET", "/settings/find/shop")
    assert (found["reject_call"], found["msg_call"]) == (True, text)
    await ring(bot, Call("shop", "OLD", JID, now_ms - 3_600_000), Call("shop", "CALL1", JID, now_ms))
    await ring(bot, Call("shop", "CALL2", JID, now_ms, group=GROUP))
    await eventually(lambda: len(bot.pool.asked) == 2 and len(bot.pool.sent) == 1, what="both refusals and a text")
    assert bot.pool.asked == [("shop", people.RejectCall(each, JID)) for each in ("CALL1", "CALL2")]
    [(_, answer)] = bot.pool.sent
    assert (answer.to, answer.text) == (JID, text)
    bot.pool.fail["ask"] = EngineError("timeout", "no answer")
    await ring(bot, Call("shop", "CALL3", JID, now_ms))
    assert len(await got(receiver, "call", 5)) == 5, "a call that cannot be rejected is an event all the same"
    assert (await call(bot, "POST", "/settings/set/shop", {"rejectCall": False}))[1]["settings"]["settings"][
        "reject_call"
    ] is False


async def test_edits_revocations_and_files_are_what_they_are(bot: Bot, receiver: Receiver) -> None:
    await opened(bot, receiver, "MESSAGES_UPSERT", "MESSAGES_DELETE", "MESSAGES_EDITED")
    await came(bot, "A1", type="image", text="see", media=Media("image/png", path="/kept", size=4))
    await came(bot, "A2", type="revoke", text=None, revokes="A0")
    await came(bot, "A3", type="edit", text="new", edits="A0")
    (image,), (gone,), (edited,) = [
        await got(receiver, name) for name in ("messages.upsert", "messages.delete", "messages.edited")
    ]
    shown = image.json["data"]["message"]["imageMessage"]
    assert shown["url"] == "http://veilleur.test/api/sessions/shop/messages/A1/media"
    assert "/kept" not in image.raw.decode()
    assert (gone.json["data"]["id"], gone.json["data"]["status"]) == ("A0", "DELETED")
    assert (edited.json["data"]["key"]["id"], edited.json["data"]["editedMessage"]) == ("A0", {"conversation": "new"})


async def test_the_name_of_the_event_can_be_in_the_path_and_headers_are_sent(bot: Bot, receiver: Receiver) -> None:
    headers = {"authorization": "Bearer flow", "Content-Type": "application/json"}
    options = {"byEvents": True, "base64": False, "headers": headers}
    await opened(bot, receiver, "MESSAGES_UPSERT", "CONNECTION_UPDATE", **options)
    await came(bot, "AAA")
    (message,) = await got(receiver, "messages.upsert")
    assert message.path == "/hook/messages-upsert"
    assert {name.lower(): value for name, value in message.headers.items()}["authorization"] == "Bearer flow"
    assert {each.path for each in receiver.requests} == {"/hook/messages-upsert", "/hook/connection-update"}
    _, found = await call(bot, "GET", "/webhook/find/shop")
    assert "Bearer flow" not in json.dumps(found)


async def test_groups_can_be_ignored(bot: Bot, receiver: Receiver) -> None:
    await opened(bot, receiver, "MESSAGES_UPSERT")
    assert (await call(bot, "POST", "/settings/set/shop", {"groupsIgnore": True}))[0] == 201
    assert (await call(bot, "GET", "/settings/find/shop"))[1]["groups_ignore"] is True
    await came(bot, "G1", GROUP)
    await came(bot, "A1")
    await call(bot, "POST", "/settings/set/shop", {"groupsIgnore": False})
    await came(bot, "G2", GROUP)
    found = await got(receiver, "messages.upsert", 2)
    assert [each.json["data"]["key"]["id"] for each in found] == ["A1", "G2"]
    assert found[1].json["data"]["key"]["participant"] == JID


async def test_a_webhook_is_one_of_this_service(bot: Bot, receiver: Receiver) -> None:
    await opened(bot, receiver, "MESSAGES_UPSERT")
    _, ours = await bot.call("GET", "/api/webhooks?session=shop")
    (webhook,) = ours["webhooks"]
    assert (webhook["dialect"], webhook["url"], webhook["events"]) == (
        "evolution", receiver.url + "/hook", ["message"],
    )  # fmt: skip
    status, tested = await bot.call("POST", f"/api/webhooks/{webhook['id']}/test")
    assert (status, tested["delivered"]) == (200, True)
    new = {"webhook": {"enabled": True, "url": receiver.url + "/new", "webhookByEvents": False, "events": ["CALL"]}}
    status, made = await call(bot, "POST", "/webhook/set/shop", new)
    assert (status, made["webhook"]["webhook"]["events"]) == (201, ["CALL"])
    flat = {
        "enabled": True,
        "url": receiver.url + "/flat",
        "webhookByEvents": True,
        "webhookBase64": False,
        "events": [],
    }
    assert (await call(bot, "POST", "/webhook/set/shop", flat))[0] == 201
    _, found = await call(bot, "GET", "/webhook/find/shop")
    assert (found["url"], found["webhookByEvents"]) == (receiver.url + "/flat", True)
    assert found["events"] == list(events.SOURCES)
    _, ours = await bot.call("GET", "/api/webhooks?session=shop")
    assert [each["url"] for each in ours["webhooks"]] == [receiver.url + "/flat"]
    await call(bot, "POST", "/webhook/set/shop", {"webhook": {"enabled": False}})
    assert (await call(bot, "GET", "/webhook/find/shop"))[1] == {"enabled": False, "url": "", "events": []}


async def test_a_receiver_that_was_away_gets_everything_later(bot: Bot, receiver: Receiver) -> None:
    receiver.answer = lambda _: (503 if len(receiver.requests) < 3 else 200, None, {})
    await opened(bot, receiver, "MESSAGES_UPSERT")
    await came(bot, "A1")
    found = await got(receiver, "messages.upsert", 3)
    assert {each.raw for each in found} == {found[0].raw}
    assert len({each.headers["webhook-id"] for each in found}) == 1


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"url": "ftp://x"}, "url"),
        ({"events": ["MESSAGE_UPSERT"]}, "events"),
        ({"webhookBase64": True}, "webhookBase64"),
        ({"base64": True}, "webhookBase64"),
        ({"headers": {"Host": "x"}}, "headers"),
        ({"headers": {"webhook-signature": "x"}}, "headers"),
        ({"headers": {"X-A": "a\r\nX-B: b"}}, "headers"),
    ],
)
async def test_a_wrong_webhook_leaves_nothing_behind(bot: Bot, wrong: dict[str, Any], named: str) -> None:
    webhook = {"enabled": True, "url": "http://127.0.0.1:9/hook", "events": ["MESSAGES_UPSERT"]} | wrong
    status, problem = await call(bot, "POST", "/instance/create", {"instanceName": "shop", "webhook": webhook})
    assert (status, named in problem["response"]["message"][0]) == (400, True), problem
    assert list(bot.app[keys.SESSIONS].registry) == []
    await call(bot, "POST", "/instance/create", {"instanceName": "shop"})
    assert (await call(bot, "POST", "/webhook/set/shop", {"webhook": webhook}))[0] == 400
    assert (await bot.call("GET", "/api/webhooks"))[1]["webhooks"] == []


async def test_private_addresses_are_refused_as_everywhere(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        body = {"instanceName": "shop", "webhook": {"url": "http://127.0.0.1:9/", "events": []}}
        status, problem = await call(bot, "POST", "/instance/create", body)
        assert (status, "WEBHOOK_ALLOW_PRIVATE" in problem["response"]["message"][0]) == (400, True)
        assert list(bot.app[keys.SESSIONS].registry) == []


def test_a_closed_connection_says_why() -> None:
    assert {state: events.closed(state) for state in (State.LOGGED_OUT, State.BANNED, State.FENCED, State.STOPPED)} == {
        State.LOGGED_OUT: 401,
        State.BANNED: 403,
        State.FENCED: 440,
        State.STOPPED: 428,
    }
