"""Evolution's operations over the running application: answers fit Evolution's document, and each send is a queued message."""

from __future__ import annotations

import base64
import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bot_service import keys
from bot_service.access.principals import Scope
from bot_service.dialects.evolution import names, routes
from bot_service.domain import directory as ask
from bot_service.domain.message import Media, Poll
from bot_service.domain.states import State
from bot_service.engines.port import EngineError
from tests.dialects.evolution_scene import FOUND_GROUP, GROUP, JID, NUMBER, OGG, PNG, call, came, every_call, opened
from tests.dialects.reference import EVOLUTION, covered, misfit_of_evolution, specification_of, uncovered
from tests.support.bot_app import Bot, is_in, running
from tests.support.processes import ROOT
from tests.support.waiting import eventually


@pytest.mark.reference
async def test_every_operation_is_one_of_evolution_and_answers_as_its_document_says(bot: Bot) -> None:
    specification_of(EVOLUTION)
    calls = await every_call(bot)
    # The program has them, the document has not.
    apart = {("POST", "/proxy/set/{instance}"), ("GET", "/proxy/find/{instance}")}
    here = [(each[0], each[1]) for each in routes.ROUTES]
    assert await uncovered(calls, partial(call, bot), misfit_of_evolution, here) == apart


@pytest.mark.reference
def test_the_page_counts_and_names_every_operation() -> None:
    specification = specification_of(EVOLUTION)
    page = (ROOT / "docs" / "api-coverage.md").read_text().partition("## Evolution")[2]
    assert re.findall(r"^\| `(\w+) (\S+)` \|$", page, re.M) == [
        (each[0], routes.PREFIX + each[1]) for each in routes.ROUTES
    ]
    named = dict(re.findall(r"^\| `(/\S+)` \| (.+) \|$", page, re.M))
    assert named == routes.NOT_HERE
    of_evolution = [(method.upper(), path) for path, found in specification["paths"].items() for method in found]
    here = {(each[0], each[1]) for each in routes.ROUTES}
    counted = covered(EVOLUTION, routes.ROUTES)
    assert counted is not None
    assert f"{counted[0]} of {counted[1]} operations" in page
    silent = [
        path
        for method, path in of_evolution
        if (method, path) not in here and not path.startswith(tuple(routes.NOT_HERE))
    ]
    assert silent == [], "neither here nor refused by name"


async def test_a_status_goes_to_no_one_that_the_caller_chooses(bot: Bot) -> None:
    await opened(bot)
    body = {"type": "text", "content": "hi", "backgroundColor": "#38b42f", "font": 2, "statusJidList": [JID]}
    status, refused = await call(bot, "POST", "/message/sendStatus/shop", body)
    assert (status, refused["response"]["message"][0].startswith("statusJidList: must be empty")) == (400, True)
    status, posted = await call(bot, "POST", "/message/sendStatus/shop", {**body, "allContacts": True})
    assert (status, posted["key"]["remoteJid"]) == (201, "status@broadcast")
    assert posted["message"]["extendedTextMessage"] == {"text": "hi", "backgroundArgb": 0xFF38B42F}
    image = {"type": "image", "content": PNG, "caption": "see", "statusJidList": []}
    assert (await call(bot, "POST", "/message/sendStatus/shop", image))[0] == 201
    sent = bot.pool.sent[-1][1]
    assert (sent.type, sent.text, sent.media and sent.media.mime_type) == ("image", "see", "image/png")


async def test_a_new_instance_shows_its_code_and_links_a_phone(bot: Bot) -> None:
    body = {"instanceName": "shop", "qrcode": True, "integration": "WHATSAPP-BAILEYS"}
    status, made = await call(bot, "POST", "/instance/create", body)
    assert (status, made["instance"]["instanceName"], made["hash"]) == (201, "shop", {"apikey": ""})
    assert made["qrcode"]["code"]
    assert base64.b64decode(made["qrcode"]["base64"].removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")
    assert (await call(bot, "GET", "/instance/connectionState/shop"))[1]["instance"]["state"] == "connecting"
    _, codes = await call(bot, "GET", f"/instance/connect/shop?number={NUMBER}")
    assert codes["pairingCode"]
    bot.pool.pair("shop")
    await is_in(bot, "shop", State.READY)
    assert (await call(bot, "GET", "/instance/connect/shop"))[1] == {
        "instance": {"instanceName": "shop", "state": "open"}
    }
    status, problem = await call(bot, "POST", "/instance/create", body)
    assert (status, problem["status"], problem["error"]) == (403, 403, "Forbidden")


async def test_an_instance_waits_for_a_code_that_comes_later(bot: Bot) -> None:
    bot.pool.hang.add("start")
    body = {"instanceName": "shop", "integration": "WHATSAPP-BAILEYS"}
    assert "qrcode" not in (await call(bot, "POST", "/instance/create", body))[1]
    assert (await call(bot, "GET", "/instance/connectionState/shop"))[1]["instance"]["state"] == "close"
    import asyncio

    asked = asyncio.create_task(call(bot, "GET", "/instance/connect/shop"))
    await eventually(lambda: ("start", "shop") in bot.pool.calls, what="the start")
    assert not asked.done()
    bot.pool.release()
    assert (await asked)[1]["count"] == 1


async def test_the_proxy_of_an_instance_is_the_one_of_the_session_and_its_password_is_never_shown(bot: Bot) -> None:
    created = {"proxyHost": "one.example.com", "proxyPort": "3128", "proxyUsername": "u@x", "proxyPassword": "s3cret:/"}
    status, made = await call(bot, "POST", "/instance/create", {"instanceName": "shop", **created})
    assert status == 201, made
    assert _proxy_of(bot) == "http://u%40x:s3cret%3A%2F@one.example.com:3128"
    shown = {"enabled": True, "protocol": "http", "username": "", "password": ""}
    shown |= {"host": "one.example.com", "port": "3128"}
    assert (await call(bot, "GET", "/proxy/find/shop"))[1] == shown
    other = {"enabled": True, "host": "two.example.com", "port": 1080, "protocol": "socks5", "username": "u"}
    status, answer = await call(bot, "POST", "/proxy/set/shop", other | {"password": "s3cret"})
    shown |= {"host": "two.example.com", "port": "1080", "protocol": "socks5"}
    assert (status, answer) == (201, {"proxy": {"instanceName": "shop", "proxy": shown}})
    assert _proxy_of(bot) == "socks5://u:s3cret@two.example.com:1080"
    off = {"enabled": False, "host": "", "port": "", "protocol": "", "username": "", "password": ""}
    _, answer = await call(bot, "POST", "/proxy/set/shop", off)
    assert answer["proxy"]["proxy"] == off
    assert (_proxy_of(bot), (await call(bot, "GET", "/proxy/find/shop"))[1]) == (None, None)


def _proxy_of(bot: Bot) -> str | None:
    record = bot.app[keys.SESSIONS].registry.get("shop")
    assert record is not None
    return record.proxy.url if record.proxy is not None else None


async def test_only_an_administrator_sets_a_proxy(bot: Bot) -> None:
    _, made = await bot.call("POST", "/api/keys", {"name": "ann", "owner": "ann", "scopes": ["read", "session"]})
    assert (await call(bot, "POST", "/instance/create", {"instanceName": "shop"}, key=made["key"]))[0] == 201
    proxy = {"enabled": True, "host": "proxy.example.com", "port": "3128", "protocol": "http"}
    assert (await call(bot, "POST", "/proxy/set/shop", proxy, key=made["key"]))[0] == 403
    assert (await call(bot, "GET", "/proxy/find/shop", key=made["key"]))[1] is None
    assert (await call(bot, "POST", "/proxy/set/shop", proxy | {"enabled": False}, key=made["key"]))[0] == 201
    assert (await call(bot, "POST", "/proxy/set/shop", proxy))[0] == 201
    for body in (proxy, proxy | {"enabled": False}):
        status, problem = await call(bot, "POST", "/proxy/set/shop", body, key=made["key"])
        assert (status, problem["error"]) == (403, "Forbidden"), body
    body = {"instanceName": "second", "proxyHost": "proxy.example.com", "proxyPort": "3128"}
    assert (await call(bot, "POST", "/instance/create", body, key=made["key"]))[0] == 403
    assert (await call(bot, "GET", "/proxy/find/shop", key=made["key"]))[1]["host"] == "proxy.example.com"


async def test_a_delete_unlinks_the_phone_first(bot: Bot) -> None:
    await opened(bot)
    assert (await call(bot, "DELETE", "/instance/delete/shop"))[1]["status"] == "SUCCESS"
    assert ("logout", "shop") in bot.pool.calls
    assert (await call(bot, "GET", "/instance/connectionState/shop"))[0] == 404


async def test_a_send_is_a_message_of_this_service(bot: Bot) -> None:
    await opened(bot)
    await came(bot, "AAA")
    body = {"number": "+33 6 12 34 56 78", "text": "hi @33687654321", "quoted": {"key": {"id": "AAA"}}}
    status, answer = await call(bot, "POST", "/message/sendText/shop", body | {"mentioned": ["33687654321"]})
    assert (status, answer["status"]) == (201, "PENDING")
    assert answer["key"] == {"remoteJid": JID, "fromMe": True, "id": bot.pool.sent[0][1].id}
    ((_, sent),) = bot.pool.sent
    assert (sent.to, sent.reply_to, sent.reply_to_sender) == (JID, "AAA", JID)
    assert sent.mentions == ("33687654321@s.whatsapp.net",)
    _, ours = await bot.call("GET", f"/api/sessions/shop/messages/{sent.id}")
    assert ours["state"] == "sent"


async def test_everybody_in_a_group_is_mentioned(bot: Bot) -> None:
    await opened(bot)
    bot.pool.answers[ask.GetGroup] = FOUND_GROUP
    body = {"number": GROUP, "text": "all", "mentionsEveryOne": True}
    assert (await call(bot, "POST", "/message/sendText/shop", body))[0] == 201
    assert bot.pool.sent[0][1].mentions == (JID, "11111@lid")


async def test_a_delay_shows_typing_first(bot: Bot) -> None:
    await opened(bot)
    body = {"number": NUMBER, "audio": OGG, "delay": 20}
    assert (await call(bot, "POST", "/message/sendWhatsAppAudio/shop", body))[0] == 201
    assert [name for name, _ in bot.pool.calls if name in ("typing", "send")] == ["typing", "typing", "send"]
    media = bot.pool.sent[0][1].media
    assert media is not None
    assert (media.mime_type, media.voice) == ("audio/ogg; codecs=opus", True)


async def test_a_send_that_failed_is_an_error(bot: Bot) -> None:
    await opened(bot)
    bot.pool.fail["send"] = EngineError("rejected", "the number does not exist")
    status, problem = await call(bot, "POST", "/message/sendText/shop", {"number": NUMBER, "text": "x"})
    assert (status, problem["status"]) == (400, 400)
    assert "does not exist" in problem["response"]["message"][0]


async def test_a_send_without_a_connection_waits_here(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot_service.dialects.evolution.messages.SENT_WITHIN_S", 0.05)
    await opened(bot)
    bot.pool.unreachable.add("shop")
    bot.pool.drop("shop")
    status, answer = await call(bot, "POST", "/message/sendText/shop", {"number": NUMBER, "text": "later"})
    assert (status, answer["status"], bot.pool.sent) == (201, "PENDING", [])
    bot.pool.unreachable.clear()
    bot.pool.connect("shop")
    await eventually(lambda: bot.pool.sent, what="the message")


async def test_history_has_the_content_under_whatsapps_names(bot: Bot) -> None:
    await opened(bot)
    await came(bot, "A1", text="plain", push_name="Ann")
    await came(bot, "A2", reply_to="A1")
    await came(bot, "A3", type="image", text="see", media=Media("image/png", size=4))
    await came(bot, "A4", type="location", latitude=1.5, longitude=2.5, name="Office")
    await came(bot, "A5", type="poll", poll=Poll("q", ("a", "b"), 1))
    await came(bot, "A6", type="revoke", text=None, revokes="A1")
    await came(bot, "A7", type="reaction", text="x", reaction_to="A1")
    _, found = await call(bot, "POST", "/chat/findMessages/shop", {"where": {"key": {"remoteJid": JID}}, "offset": 3})
    assert [found["messages"][name] for name in ("total", "pages", "currentPage")] == [4, 2, 1]
    rows = found["messages"]["records"]
    page = 2
    while page <= found["messages"]["pages"]:
        body = {"where": {"key": {"remoteJid": JID}}, "offset": 3, "page": page}
        _, found = await call(bot, "POST", "/chat/findMessages/shop", body)
        rows, page = rows + found["messages"]["records"], page + 1
    kinds = {row["id"]: row["messageType"] for row in rows}
    assert list(kinds) == ["A7", "A6", "A5", "A4", "A3", "A2", "A1"]
    assert kinds["A1"] == "conversation"
    assert kinds["A2"] == "extendedTextMessage"
    shown = {row["id"]: row["message"][row["messageType"]] for row in rows}
    assert shown["A2"]["contextInfo"] == {"stanzaId": "A1"}
    assert (shown["A3"]["caption"], shown["A3"]["mimetype"], shown["A3"]["fileLength"]) == ("see", "image/png", "4")
    assert shown["A4"] == {"degreesLatitude": 1.5, "degreesLongitude": 2.5, "name": "Office"}
    assert shown["A5"]["options"] == [{"optionName": "a"}, {"optionName": "b"}]
    assert (shown["A6"]["type"], shown["A6"]["key"]["id"]) == ("REVOKE", "A1")
    assert shown["A7"]["key"]["id"] == "A1"
    _, chats = await call(bot, "POST", "/chat/findChats/shop", {"where": {"remoteJid": JID}})
    assert [(chat["remoteJid"], chat["unreadCount"]) for chat in chats] == [(JID, 7)]
    assert (await call(bot, "POST", "/chat/findChats/shop", {"where": {"remoteJid": GROUP}}))[1] == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "named"),
    [
        ("POST", "/message/sendText/shop", {"number": "0612345678", "text": "x"}, 400, "number"),
        ("POST", "/message/sendText/shop", {"number": NUMBER}, 400, "text"),
        ("POST", "/message/sendText/shop", {"number": NUMBER, "text": "x", "delay": -1}, 400, "delay"),
        ("POST", "/message/sendText/shop", {"number": NUMBER, "text": "x", "delay": 3_600_000}, 400, "delay"),
        ("POST", "/message/sendText/shop", {"number": NUMBER, "text": "x", "mentioned": ["unknown"]}, 400, "mentioned"),
        (
            "POST",
            "/message/sendText/shop",
            {"number": NUMBER, "text": "x", "quoted": {"key": {"id": ""}}},
            400,
            "quoted",
        ),
        ("POST", "/message/sendText/none", {"number": NUMBER, "text": "x"}, 404, "does not exist"),
        ("POST", "/message/sendMedia/shop", {"number": NUMBER, "mediatype": "gif", "media": PNG}, 400, "mediatype"),
        ("POST", "/message/sendMedia/shop", {"number": NUMBER, "mediatype": "image", "media": PNG}, 400, "mimetype"),
        ("POST", "/message/sendMedia/shop", {"number": NUMBER, "mediatype": "image", "media": ""}, 400, "media"),
        ("POST", "/message/sendWhatsAppAudio/shop", {"number": NUMBER, "audio": "?"}, 400, "media"),
        ("POST", "/message/sendWhatsAppAudio/shop", {"number": NUMBER, "audio": "\u202e"}, 400, "media"),
        ("POST", "/message/sendSticker/shop", {"number": NUMBER, "sticker": "\u00e9AAA"}, 400, "media"),
        ("POST", "/chat/updateProfilePicture/shop", {"picture": "\u00e9AAA"}, 400, "picture"),
        ("POST", "/message/sendPoll/shop", {"number": NUMBER, "name": "q", "values": ["a", "a"]}, 400, "values"),
        ("POST", "/message/sendContact/shop", {"number": NUMBER, "contact": [{"fullName": "A"}]}, 400, "contact"),
        ("POST", "/message/sendButtons/shop", {"number": NUMBER}, 501, "business accounts"),
        ("GET", "/typebot/find/shop", None, 501, "webhook"),
        ("POST", "/call/offer/shop", {"number": NUMBER}, 501, "sound"),
        ("POST", "/proxy/set/shop", {"enabled": True, "host": "a.example.com"}, 400, "port"),
        ("POST", "/proxy/set/shop", {"enabled": True, "host": "[a", "port": "1", "protocol": "http"}, 400, "host"),
        ("POST", "/proxy/set/shop", {"enabled": True, "host": "a", "port": "1", "protocol": "gopher"}, 400, "proxy"),
        ("POST", "/instance/create", {"instanceName": "x", "proxyHost": "a.example.com"}, 400, "port"),
        ("GET", "/nothing/shop", None, 404, "no such path"),
        ("POST", "/instance/create", {"instanceName": "a b", "integration": "WHATSAPP-BAILEYS"}, 400, "instanceName"),
        ("POST", "/instance/create", {"instanceName": "x", "integration": "WHATSAPP-BUSINESS"}, 400, "integration"),
        ("POST", "/instance/create", {"instanceName": "x", "token": "secret"}, 400, "token"),
        ("POST", "/instance/create", {"instanceName": "x", "readStatus": True}, 400, "readStatus"),
        ("POST", "/instance/create", {"instanceName": "x", "rabbitmq": {"enabled": True}}, 400, "rabbitmq"),
        ("POST", "/settings/set/shop", {"alwaysOnline": True}, 400, "alwaysOnline"),
        ("POST", "/chat/findMessages/shop", {"where": {"key": {"fromMe": True}}}, 400, "fromMe"),
        ("POST", "/chat/findMessages/shop", {"page": 1_000_000}, 400, "page"),
        ("POST", "/chat/sendPresence/shop", {"number": NUMBER, "presence": "dancing"}, 400, "presence"),
        ("POST", "/chat/fetchProfile/shop", {"number": GROUP}, 400, "number"),
        ("POST", "/chat/updateBlockStatus/shop", {"number": NUMBER, "status": "maybe"}, 400, "status"),
        ("POST", "/chat/updateProfilePicture/shop", {"picture": "https://example.com/a.jpg"}, 400, "picture"),
        ("POST", "/chat/updateProfilePicture/shop", {"picture": PNG}, 400, "picture"),
        ("POST", "/chat/updateProfileName/shop", {"name": ""}, 400, "name"),
        ("GET", "/group/participants/shop", None, 400, "groupJid"),
        ("GET", "/group/participants/shop?groupJid=33612345678@s.whatsapp.net", None, 400, "groupJid"),
        ("GET", "/group/fetchAllGroups/shop", None, 400, "getParticipants"),
        (
            "POST",
            "/group/updateParticipant/shop?groupJid=" + GROUP,
            {"action": "sing", "participants": ["1"]},
            400,
            "action",
        ),
    ],
)
async def test_wrong_input_is_answered_in_the_shape_of_evolution(
    bot: Bot, method: str, path: str, body: Any, status: int, named: str
) -> None:
    await call(bot, "POST", "/instance/create", {"instanceName": "shop"})
    found, problem = await call(bot, method, path, body)
    assert (found, problem["status"]) == (status, status), problem
    assert named in problem["response"]["message"][0]
    assert bot.pool.sent == []
    assert [record.id for record in bot.app[keys.SESSIONS].registry] == ["shop"]


async def test_keys_have_the_same_scopes_and_owners(bot: Bot) -> None:
    await opened(bot)
    keys_of: dict[str, str] = {}
    for name, owner, scopes in (("ann", "ann", ["read", "send", "session"]), ("reader", "main", ["read"])):
        _, made = await bot.call("POST", "/api/keys", {"name": name, "owner": owner, "scopes": scopes})
        keys_of[name] = made["key"]
    for method, path, _, scope in routes.ROUTES:
        filled = path.replace("{instance}", "shop")
        assert (await call(bot, method, filled, key=None))[0] == 401, (method, path)
        if scope in (Scope.SEND, Scope.SESSION):
            assert (await call(bot, method, filled, key=keys_of["reader"]))[0] == 403, (method, path)
    for method, path, body in (
        ("POST", "/message/sendText/shop", {"number": NUMBER, "text": "x"}),
        ("GET", "/instance/connectionState/shop", None),
        ("DELETE", "/instance/delete/shop", None),
        ("POST", "/chat/findMessages/shop", None),
        ("GET", "/group/fetchAllGroups/shop?getParticipants=true", None),
    ):
        assert (await call(bot, method, path, body, key=keys_of["ann"]))[0] == 404, path
    assert (await call(bot, "GET", "/instance/fetchInstances", key=keys_of["ann"]))[1] == []
    status, problem = await call(bot, "GET", "/instance/fetchInstances", key="wrong")
    assert (status, problem["error"]) == (401, "Unauthorized")
    assert "shop" not in json.dumps(problem)


async def test_the_header_of_the_dialect_is_good_under_its_own_paths_only(bot: Bot) -> None:
    from tests.support.processes import API_KEY

    assert (await bot.call("GET", "/api/sessions", key=None, headers={"apikey": API_KEY}))[0] == 401
    assert (await bot.call("GET", "/evolution", key=None, headers={"apikey": API_KEY}))[0] == 200


@pytest.mark.parametrize(
    ("state", "name"),
    [(State.READY, "open"), (State.DEGRADED, "open"), (State.PAIRING, "connecting"), (State.BANNED, "close")],
)
def test_states_have_evolutions_names(state: State, name: str) -> None:
    assert names.state(state) == name


@pytest.mark.parametrize(("dialects", "on"), [("none", False), ("waha", False), ("evolution", True)])
async def test_the_dialect_can_be_turned_off(tmp_path: Path, dialects: str, on: bool) -> None:
    async with running(tmp_path, DIALECTS=dialects) as bot:
        assert ((await call(bot, "GET", "/instance/fetchInstances"))[0] == 200) is on
        assert ((await bot.call("POST", "/message/sendText/x", {}))[0] != 404) is on
