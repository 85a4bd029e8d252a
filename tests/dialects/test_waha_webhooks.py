"""Webhooks of a session's configuration: WAHA's bodies and headers, over the durable deliveries of this service."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import Any

import pytest

from bot_service import keys
from bot_service.dialects.waha import events
from bot_service.domain.calls import Call
from bot_service.domain.message import Choice, Contact, Media, Poll, PollVote, Receipt
from bot_service.domain.signals import SignalKind
from tests.dialects.arriving import groups_change
from tests.dialects.reference import WAHA, misfit_of_wahas_event, specification_of
from tests.dialects.waha_scene import CHAT, GROUP, JID, call, came, working
from tests.support.bot_app import Bot, received, running
from tests.support.receiver import Receiver
from tests.support.waiting import eventually


def hook(receiver: Receiver, *wanted: str, **more: Any) -> dict[str, Any]:
    return {"url": f"{receiver.url}/waha", "events": list(wanted or ["*"]), **more}


def named(receiver: Receiver, *names: str) -> list[dict[str, Any]]:
    return [got.json for got in receiver.requests if not names or got.json["event"] in names]


async def arrive(receiver: Receiver, *names: str, count: int = 1) -> list[dict[str, Any]]:
    """The bodies of these events, once there are so many."""
    await eventually(lambda: len(named(receiver, *names)) >= count, what=f"{count} of {names}")
    return named(receiver, *names)


def fits(bodies: Iterable[dict[str, Any]]) -> None:
    specification_of(WAHA)
    assert [why for body in bodies if (why := misfit_of_wahas_event(body)) is not None] == []


async def test_a_session_says_each_of_its_states_once_and_a_code_when_there_is_one(
    bot: Bot, receiver: Receiver
) -> None:
    await working(bot, metadata={"user": "7"}, webhooks=[hook(receiver, "session.status")])
    bodies = await arrive(receiver, "session.status", count=4)
    assert [body["payload"]["status"] for body in bodies] == ["STARTING", "SCAN_QR_CODE", "STARTING", "WORKING"]
    last = bodies[-1]
    assert (last["session"], last["metadata"], last["payload"]["name"]) == ("default", {"user": "7"}, "default")
    assert last["me"]["id"].endswith("@c.us")
    assert last["payload"]["data"]["state"] in ("SYNCING", "READY")
    assert last["timestamp"] > 1_600_000_000_000
    ids = [body["id"] for body in bodies]
    assert len(set(ids)) == len(ids)
    assert all(len(each) == 30 and each.startswith("evt_") and each == each.lower() for each in ids)


@pytest.mark.reference
async def test_every_event_fits_wahas_specification(bot: Bot, receiver: Receiver) -> None:
    await working(bot, webhooks=[hook(receiver)])
    image = Media(mime_type="image/png", file_name="a.png", path="default/a.png", size=1)
    own = (await call(bot, "POST", "/api/sendText", {"chatId": CHAT, "text": "own"}))[1]["id"].split("_")[2]
    poll = (await call(bot, "POST", "/api/sendPoll", {"chatId": CHAT, "poll": {"name": "q", "options": ["a", "b"]}}))[1]
    await came(bot, "M1")
    await came(bot, "M2", GROUP, reply_to="M1", mentions=(JID,))
    await came(bot, "M3", type="image", text=None, media=image)
    await came(bot, "M4", type="location", text=None, latitude=1.5, longitude=2.5, live=True)
    await came(bot, "M5", type="contact", text=None, contacts=(Contact("Ann", ("33612345678",)), Contact(None, ())))
    await came(bot, "M6", type="reaction", text="👍", reaction_to=own)
    await came(bot, "M7", type="edit", text="better", edits="M1")
    await came(bot, "M8", type="revoke", text=None, revokes="M1")
    await came(bot, "M9", type="poll_vote", text=None, vote=PollVote(poll["id"].split("_")[2], ("a",)))
    await came(bot, "M10", type="poll_vote", text=None, vote=PollVote("GONE", unreadable=True))
    await came(bot, "M11", type="choice", choice=Choice("Yes", "y"))
    await came(bot, "M12", type="other", text=None, poll=Poll("?", ("a",)))
    await came(bot, "M13", from_me=True, text="from the phone")
    await received(bot, Receipt("default", JID, [own], "read", 1_700_000_000_000))
    await received(bot, Call("default", "C1", JID, 1_700_000_000_000, video=True))
    for state in ("available", "unavailable", "composing", "recording", "paused"):
        bot.pool.emit("default", SignalKind.PRESENCE, **{"chat": JID, "from": JID, "state": state})
        await arrive(receiver, "presence.update", count=len(named(receiver, "presence.update")) or 1)
    await arrive(receiver, "call.received")
    await groups_change("default", bot)
    await arrive(receiver, "group.v2.update", count=2)
    await arrive(receiver, "message.any", count=10)
    await arrive(receiver, "message.ack", count=3)
    fits(named(receiver))
    came_here = {body["event"] for body in named(receiver)}
    assert came_here == set(events.SOURCES), "each event that is offered comes"
    by_id = {body["payload"]["id"]: body["payload"] for body in named(receiver, "message.any")}
    assert by_id[f"false_{CHAT}_M3"]["media"]["url"].endswith("/waha/api/files/default/M3")
    assert "+33612345678" in by_id[f"false_{CHAT}_M5"]["vCards"][0]
    assert by_id[f"true_{CHAT}_{own}"]["source"] == "api"
    assert by_id[f"true_{CHAT}_M13"]["fromMe"] is True
    assert f"true_{CHAT}_M13" not in {body["payload"]["id"] for body in named(receiver, "message")}
    (reaction,) = named(receiver, "message.reaction")
    assert reaction["payload"]["reaction"] == {"text": "👍", "messageId": f"true_{CHAT}_{own}"}
    (edited,) = named(receiver, "message.edited")
    assert (edited["payload"]["editedMessageId"], edited["payload"]["body"]) == ("M1", "better")
    assert named(receiver, "message.revoked")[0]["payload"]["revokedMessageId"] == "M1"
    (vote,) = named(receiver, "poll.vote")
    assert (vote["payload"]["vote"]["selectedOptions"], vote["payload"]["poll"]["id"]) == (["a"], poll["id"])
    assert named(receiver, "presence.update")[-1]["payload"]["id"] == CHAT
    (ring,) = named(receiver, "call.received")
    assert (ring["payload"]["from"], ring["payload"]["isVideo"], ring["payload"]["isGroup"]) == (CHAT, True, False)
    (joined,), (gone,) = named(receiver, "group.v2.join"), named(receiver, "group.v2.leave")
    assert (joined["payload"]["group"]["subject"], gone["payload"]["group"]) == ("Orders", {"id": GROUP})
    assert joined["payload"]["group"]["participants"][0] == {"id": CHAT, "role": "admin"}
    parts = [body["payload"] for body in named(receiver, "group.v2.participants")]
    assert [(each["type"], each["participants"][0]) for each in parts] == [
        ("join", {"id": CHAT, "role": "participant"}),
        ("leave", {"id": CHAT, "role": "left"}),
        ("promote", {"id": CHAT, "role": "admin"}),
        ("demote", {"id": CHAT, "role": "participant"}),
    ]
    joins, leaves = (
        [(body["payload"]["type"], body["payload"]["recipientIds"]) for body in named(receiver, name)]
        for name in ("group.join", "group.leave")
    )
    assert joins == [("add", ["jid-default@c.us"]), ("add", [CHAT])]
    assert leaves == [("remove", [CHAT]), ("remove", ["jid-default@c.us"])]
    updated = [body["payload"]["group"] for body in named(receiver, "group.v2.update")]
    assert updated == [{"id": GROUP, "subject": "New"}, {"id": GROUP, "membersCanSendMessages": False}]
    acks = [body["payload"]["ackName"] for body in named(receiver, "message.ack") if own in body["payload"]["id"]]
    assert acks == ["SERVER", "READ"]


async def test_a_call_is_signed_as_waha_signs_and_repeated_as_the_same_event(bot: Bot, receiver: Receiver) -> None:
    receiver.answer = lambda _got: (503 if len(receiver.requests) == 1 else 200, {"reply": "no"}, {"Retry-After": "0"})
    more = {
        "hmac": {"key": "a key"},
        "customHeaders": [{"name": "X-Tenant", "value": "7"}],
        "retries": {"policy": "constant", "delaySeconds": 2, "attempts": 15},
    }
    await working(bot, webhooks=[hook(receiver, "message", **more)])
    await came(bot, "M1")
    await eventually(lambda: len(receiver.requests) == 2, what="the second attempt")
    first, second = receiver.requests
    assert first.raw == second.raw
    for got in (first, second):
        assert got.headers["X-Webhook-Hmac"] == hmac.new(b"a key", got.raw, hashlib.sha512).hexdigest()
        assert (got.headers["X-Webhook-Hmac-Algorithm"], got.headers["X-Tenant"]) == ("sha512", "7")
        assert abs(int(got.headers["X-Webhook-Timestamp"]) - got.json["timestamp"]) < 600_000
    assert first.headers["X-Webhook-Request-Id"] == second.headers["X-Webhook-Request-Id"]
    assert bot.pool.sent == [], "WAHA has no replies in answers"


async def test_webhooks_show_in_both_apis_and_secrets_in_neither(bot: Bot, receiver: Receiver) -> None:
    secret = {"hmac": {"key": "s3cret-key"}, "customHeaders": [{"name": "Authorization", "value": "Bearer s3cret"}]}
    await working(bot, webhooks=[hook(receiver, "message", **secret)])
    _, session = await call(bot, "GET", "/api/sessions/default")
    (shown,) = session["config"]["webhooks"]
    assert (shown["url"], shown["events"], shown["hmac"]) == (f"{receiver.url}/waha", ["message"], {"key": "***"})
    _, ours = await bot.call("GET", "/api/webhooks?session=default")
    (webhook,) = ours["webhooks"]
    assert (webhook["dialect"], webhook["events"], webhook["active"]) == ("waha", ["message"], True)
    assert "s3cret" not in f"{session}{ours}"
    # What a client reads it may write back: the secrets stay, and so does the webhook.
    status, _ = await call(bot, "PUT", "/api/sessions/default", {"config": session["config"]})
    assert status == 200
    _, again = await bot.call("GET", "/api/webhooks?session=default")
    assert [each["id"] for each in again["webhooks"]] == [webhook["id"]]
    await came(bot, "M1")
    await arrive(receiver, "message")
    (got,) = receiver.requests
    assert got.headers["Authorization"] == "Bearer s3cret"
    assert got.headers["X-Webhook-Hmac"] == hmac.new(b"s3cret-key", got.raw, hashlib.sha512).hexdigest()
    assert (await bot.call("DELETE", f"/api/webhooks/{webhook['id']}"))[0] == 204
    assert (await call(bot, "GET", "/api/sessions/default"))[1]["config"]["webhooks"] == []


async def test_a_configuration_replaces_the_one_before(bot: Bot, receiver: Receiver) -> None:
    await working(bot, metadata={"a": "b"}, webhooks=[hook(receiver, "message")])
    await bot.call("POST", "/api/webhooks", {"url": receiver.url, "session": "default"})
    assert (await call(bot, "PUT", "/api/sessions/default", {}))[1]["config"]["webhooks"] != []
    other = {"url": f"{receiver.url}/other", "events": ["message.any", "session.status"]}
    _, changed = await call(bot, "PUT", "/api/sessions/default", {"config": {"webhooks": [other]}})
    assert changed["config"] == {"metadata": {}, "webhooks": [other]}
    _, ours = await bot.call("GET", "/api/webhooks?session=default")
    assert sorted(str(each["dialect"]) for each in ours["webhooks"]) == ["None", "waha"]


async def test_a_test_of_a_webhook_is_in_wahas_shape(bot: Bot, receiver: Receiver) -> None:
    await working(bot, webhooks=[hook(receiver, "message.ack", hmac={"key": "k"})])
    (webhook,) = (await bot.call("GET", "/api/webhooks"))[1]["webhooks"]
    _, result = await bot.call("POST", f"/api/webhooks/{webhook['id']}/test")
    assert result["delivered"] is True
    (body,) = named(receiver)
    assert (body["event"], body["session"]) == ("webhook.test", "default")
    assert "X-Webhook-Hmac" in receiver.requests[0].headers


async def test_ignored_chats_are_not_heard_of(bot: Bot, receiver: Receiver) -> None:
    ignore = {"status": True, "groups": True, "channels": True}
    await working(bot, ignore=ignore, webhooks=[hook(receiver, "message")])
    for number, chat in enumerate(("status@broadcast", GROUP, "120363@newsletter", "1@broadcast", JID)):
        await came(bot, f"M{number}", chat)
    bodies = await arrive(receiver, "message", count=2)
    assert [body["payload"]["from"] for body in bodies] == ["1@broadcast", CHAT]


async def test_ignored_groups_are_not_heard_of_when_they_change(bot: Bot, receiver: Receiver) -> None:
    await working(bot, ignore={"groups": True}, webhooks=[hook(receiver, "message", "group.v2.update")])
    await groups_change("default", bot)
    await came(bot, "M1")
    await arrive(receiver, "message")
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"webhooks": [{"url": "no address", "events": ["*"]}]}, "config.webhooks[0].url"),
        ({"webhooks": [{"url": "https://a.example.com", "events": []}]}, "config.webhooks[0].events"),
        ({"webhooks": [{"url": "https://a.example.com", "events": ["messages"]}]}, "config.webhooks[0].events"),
        ({"webhooks": [{"url": "https://a.example.com", "events": ["*"]}] * 2}, "config.webhooks[1].url"),
        ({"webhooks": [{"url": "https://a.example.com"}]}, "config.webhooks[0]"),
        ({"proxy": {"server": "http://a:b:c"}}, "config.proxy.server"),
        ({"proxy": {"server": "gopher://proxy:70"}}, "proxy"),
        *(
            ({"webhooks": [{"url": "https://a.example.com", "events": ["*"], **more}]}, f"config.webhooks[0].{field}")
            for more, field in (
                ({"hmac": {"key": "***"}}, "hmac.key"),
                ({"retries": {"policy": "sometimes"}}, "retries.policy"),
                ({"customHeaders": [{"name": "Host", "value": "x"}]}, "customHeaders"),
                ({"customHeaders": [{"name": "X-Webhook-Hmac", "value": "x"}]}, "customHeaders"),
                ({"customHeaders": [{"name": "X-A", "value": "x\r\nHost: y"}]}, "customHeaders[0].value"),
                ({"customHeaders": [{"name": "X A", "value": "x"}]}, "customHeaders[0].name"),
            )
        ),
    ],
)
async def test_a_wrong_configuration_makes_no_session(bot: Bot, config: dict[str, Any], field: str) -> None:
    status, problem = await call(bot, "POST", "/api/sessions", {"name": "default", "config": config})
    assert (status, problem["message"].startswith(field)) == (422, True), problem
    assert bot.app[keys.SESSIONS].registry.get("default") is None


async def test_a_proxy_is_the_one_of_the_session_and_its_password_is_never_shown(bot: Bot) -> None:
    config = {"proxy": {"server": "proxy.example.com:3128", "username": "u@x", "password": "s3cret:/"}}
    await call(bot, "POST", "/api/sessions", {"name": "default", "start": False, "config": config})
    record = bot.app[keys.SESSIONS].registry.get("default")
    assert record is not None
    assert record.proxy is not None
    assert record.proxy.url == "http://u%40x:s3cret%3A%2F@proxy.example.com:3128"
    _, changed = await call(bot, "PUT", "/api/sessions/default", {"config": {"metadata": {}}})
    after = bot.app[keys.SESSIONS].registry.get("default")
    assert after is not None
    assert after.proxy == record.proxy
    assert "s3cret" not in str(changed)


async def test_private_addresses_are_refused_as_for_every_webhook(tmp_path: Any) -> None:
    async with running(tmp_path) as bot:
        config = {"webhooks": [{"url": "http://127.0.0.1:9/x", "events": ["*"]}]}
        status, problem = await call(bot, "POST", "/api/sessions", {"name": "default", "config": config})
    assert (status, "WEBHOOK_ALLOW_PRIVATE" in problem["message"]) == (422, True)


async def test_a_key_changes_no_webhook_of_another_owner(bot: Bot, receiver: Receiver) -> None:
    await working(bot, webhooks=[hook(receiver)])
    _, made = await bot.call("POST", "/api/keys", {"name": "ann", "owner": "ann", "scopes": ["read", "session"]})
    status, _ = await call(bot, "PUT", "/api/sessions/default", {"config": {"webhooks": []}}, key=made["key"])
    assert status == 404
    assert len((await bot.call("GET", "/api/webhooks"))[1]["webhooks"]) == 1
