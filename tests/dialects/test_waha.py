"""WAHA's operations over the running application: each answer fits WAHA's own specification, and each send is a queued message."""

from __future__ import annotations

import base64
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bot_service.access.principals import Scope
from bot_service.dialects.waha import events, names, not_here, routes
from bot_service.dialects.waha.paths import PREFIX
from bot_service.domain import people
from bot_service.domain.signals import SignalKind
from bot_service.domain.states import State
from tests.dialects.reference import WAHA, covered, misfit_of_waha, specification_of, uncovered
from tests.dialects.waha_scene import CHAT, GROUP, JID, call, came, every_call, working
from tests.support.bot_app import Bot, is_in, running
from tests.support.processes import ROOT


@pytest.mark.reference
async def test_every_operation_is_one_of_waha_and_answers_as_its_specification_says(bot: Bot) -> None:
    specification_of(WAHA)
    calls = await every_call(bot)
    apart = {
        ("POST", "/api/sessions/logout"),
        ("GET", "/api/{session}/auth/qr"),
        ("POST", "/api/{session}/auth/request-code"),
    }

    here = [(each[0], each[1]) for each in routes.ROUTES]
    assert await uncovered(calls, partial(call, bot), misfit_of_waha, here) == apart


async def test_pairing_shows_a_code_in_every_form(bot: Bot) -> None:
    await call(bot, "POST", "/api/sessions", {"name": "default"})
    await is_in(bot, "default", State.PAIRING)
    status, found = await call(bot, "GET", "/api/sessions/default")
    assert (status, found["status"]) == (200, "SCAN_QR_CODE")
    assert (await call(bot, "GET", "/api/default/auth/qr?format=raw"))[1]["value"]
    _, picture = await call(bot, "GET", "/api/default/auth/qr", headers={"Accept": "application/json"})
    assert base64.b64decode(picture["data"]).startswith(b"\x89PNG")
    assert (await call(bot, "POST", "/api/default/auth/request-code", {"phoneNumber": "33612345678"}))[0] == 201
    assert (await call(bot, "GET", "/api/sessions/default/me"))[1] is None
    bot.pool.pair("default")
    await is_in(bot, "default", State.READY)
    assert (await call(bot, "GET", "/api/default/auth/qr"))[0] == 404
    assert (await call(bot, "GET", "/api/sessions/default"))[1]["status"] == "WORKING"
    assert (await call(bot, "POST", "/api/sessions/logout", {"name": "default"}))[0] == 201


async def test_a_send_waits_for_the_server_and_is_the_same_message_here(bot: Bot) -> None:
    await working(bot)
    body = {"session": "default", "chatId": CHAT, "text": "hi", "reply_to": f"true_{CHAT}_AAA"}
    status, answer = await call(bot, "POST", "/api/sendText", body)
    assert (status, answer["ackName"], answer["to"], answer["fromMe"]) == (201, "SERVER", CHAT, True)
    ((_, sent),) = bot.pool.sent
    assert (sent.to, sent.text, sent.reply_to) == (JID, "hi", "AAA")
    assert names.plain_id(answer["id"]) == sent.id
    _, ours = await bot.call("GET", f"/api/sessions/default/messages/{sent.id}")
    assert ours["state"] == "sent"
    _, history = await call(bot, "GET", f"/api/default/chats/{CHAT}/messages?limit=5")
    assert [message["id"] for message in history] == [answer["id"]]


async def test_the_overview_has_the_chats_that_are_named(bot: Bot) -> None:
    await working(bot)
    for number, chat in enumerate((JID, GROUP, "49151@s.whatsapp.net")):
        await came(bot, f"M{number}", chat)
    ids = [CHAT, GROUP, JID, "49152@c.us"]  # one twice, and one without a message

    async def overview(pagination: dict[str, int], wanted: list[str] | None) -> list[str]:
        body = {"pagination": pagination} | ({} if wanted is None else {"filter": {"ids": wanted}})
        status, found = await call(bot, "POST", "/api/default/chats/overview", body)
        assert status == 201, found
        return [chat["id"] for chat in found]

    assert await overview({}, ids) == [GROUP, CHAT]
    assert await overview({"limit": 1, "offset": 1}, ids) == [CHAT]
    assert await overview({"limit": 2}, None) == ["49151@c.us", GROUP]
    _, found = await call(bot, "GET", f"/api/default/chats/overview?ids={GROUP}&ids={CHAT}&limit=1")
    assert [chat["id"] for chat in found] == [GROUP]


async def test_presences_are_those_that_were_heard_last(bot: Bot) -> None:
    await working(bot)
    bot.pool.answers[people.FollowPresence] = None
    assert (await call(bot, "GET", "/api/default/presence"))[1] == []
    assert (await call(bot, "GET", f"/api/default/presence/{CHAT}"))[1] == {"id": CHAT, "presences": []}
    assert bot.pool.asked == [("default", people.FollowPresence(JID))]
    for who, state in ((JID, "available"), ("49151@s.whatsapp.net", "recording"), (JID, "composing")):
        chat = JID if who == JID else GROUP
        bot.pool.emit("default", SignalKind.PRESENCE, **{"chat": chat, "from": who, "state": state})
    status, found = await call(bot, "GET", "/api/default/presence")
    assert (status, {each["id"]: each["presences"] for each in found}) == (200, {
        CHAT: [{"participant": CHAT, "lastKnownPresence": "typing"}],
        GROUP: [{"participant": "49151@c.us", "lastKnownPresence": "recording"}],
    })  # fmt: skip
    assert (await call(bot, "GET", f"/api/default/presence/{CHAT}"))[1]["presences"][0]["lastKnownPresence"] == "typing"
    assert len(bot.pool.asked) == 1, "who was heard is followed already"
    await bot.call("PATCH", "/api/sessions/default", {"owner": "ann"})
    assert (await call(bot, "GET", "/api/default/presence"))[1] == []


async def test_hidden_addresses_are_listed_where_the_number_is_known(bot: Bot) -> None:
    await working(bot)
    bot.pool.answers[people.ListContacts] = [
        people.Person("9@lid", "9@lid", "Unknown"),
        people.Person(JID, "1@lid"),
        people.Person("49151@s.whatsapp.net", "2@lid"),
        people.Person("49152@s.whatsapp.net", None, "No LID"),
    ]
    assert (await call(bot, "GET", "/api/default/lids/count"))[1] == {"count": 2}
    assert (await call(bot, "GET", "/api/default/lids"))[1][0] == {"lid": "1@lid", "pn": CHAT}
    assert (await call(bot, "GET", "/api/default/lids?offset=1&limit=1"))[1] == [{"lid": "2@lid", "pn": "49151@c.us"}]


async def test_a_session_that_cannot_send_says_so_at_once(bot: Bot) -> None:
    await call(bot, "POST", "/api/sessions", {"name": "default", "start": False})
    status, problem = await call(bot, "POST", "/api/sendText", {"session": "default", "chatId": CHAT, "text": "x"})
    assert (status, problem["statusCode"], problem["code"]) == (409, 409, "sending_frozen")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/default/labels"),
        ("POST", "/api/sendList"),
        ("DELETE", f"/api/default/groups/{GROUP}"),
        ("PUT", "/api/apps/one"),
        ("POST", "/mcp"),
    ],
)
async def test_what_is_not_there_is_said_by_name(bot: Bot, method: str, path: str) -> None:
    status, problem = await call(bot, method, path)
    assert (status, problem["code"]) == (501, "not_implemented")
    assert f"{method} /waha{path}" in problem["message"]
    assert not_here.reason(path) in problem["message"]
    assert (await call(bot, method, path, key=None))[0] == 401


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/default/presence", {"presence": "typing"}, 422),
        ("POST", "/api/default/presence", {"presence": "busy"}, 422),
        (
            "PUT",
            "/api/default/profile/picture",
            {"file": {"mimetype": "image/png", "url": "https://a.example.com"}},
            422,
        ),
        ("GET", "/api/messages?chatId=33612345678&filter.fromMe=true", None, 422),
        ("POST", "/api/sendText", {"session": "default", "chatId": "0612345678", "text": "x"}, 422),
        ("POST", "/api/sendText", {"session": "default", "text": "x"}, 422),
        ("POST", "/api/sendText", {"session": "unknown", "chatId": CHAT, "text": "x"}, 404),
        ("POST", "/api/sendText", None, 400),
        ("POST", "/api/sendImage", {"session": "default", "chatId": CHAT, "file": {}}, 422),
        *(
            (method, path, {"session": "default", "chatId": CHAT, "file": {"mimetype": "image/png", "data": data}}, 422)
            for data in ("%%", "\u00e9AAA", "\u202e")
            for method, path in (
                ("POST", "/api/sendImage"),
                ("POST", "/api/sendVoice"),
                ("PUT", "/api/default/profile/picture"),
            )
        ),
        ("PUT", "/api/reaction", {"messageId": f"false_{CHAT}_NONE", "reaction": "x"}, 404),
        ("GET", "/api/sessions/unknown", None, 404),
        ("GET", "/api/contacts/check-exists", None, 422),
        ("GET", "/api/default/chats?limit=0", None, 422),
        ("POST", "/api/default/chats/overview", {"pagination": {"limit": 0}}, 422),
        ("POST", "/api/default/chats/overview", {"filter": {"ids": ["unknown"]}}, 422),
        ("POST", "/api/default/chats/overview", {"filter": {"ids": [CHAT] * 101}}, 422),
        ("GET", "/api/default/chats/overview?ids=unknown", None, 422),
        ("GET", "/api/default/lids?limit=0", None, 422),
        ("POST", "/api/sessions", {"name": "../x"}, 422),
    ],
)
async def test_wrong_input_is_answered_in_the_shape_of_waha(
    bot: Bot, method: str, path: str, body: Any, status: int
) -> None:
    await call(bot, "POST", "/api/sessions", {"name": "default", "start": False})
    found, problem = await call(bot, method, path, body)
    assert (found, problem["statusCode"]) == (status, status), problem
    assert problem["message"]
    assert bot.pool.sent == []


async def test_keys_have_the_same_scopes_and_owners(bot: Bot) -> None:
    await working(bot)
    keys_of: dict[str, str] = {}
    for name, owner, scopes in (("ann", "ann", ["read", "send", "session"]), ("reader", "main", ["read"])):
        _, made = await bot.call("POST", "/api/keys", {"name": name, "owner": owner, "scopes": scopes})
        keys_of[name] = made["key"]
    for method, path, _, scope in routes.ROUTES:
        filled = (
            path.replace("{session}", "default")
            .replace("{chatId}", CHAT)
            .replace("{messageId}", "AAA")
            .replace("{id}", GROUP)
            .replace("{lid}", "9")
            .replace("{phoneNumber}", "33612345678")
        )
        status = (await call(bot, method, filled, key=None))[0]
        assert status == (200 if scope is Scope.PUBLIC else 401), (method, path)
        if scope in (Scope.SEND, Scope.SESSION):
            assert (await call(bot, method, filled, key=keys_of["reader"]))[0] == 403, (method, path)
        if "{session}" in path:
            body = {"text": "x", "phoneNumber": "33612345678"} if method in ("PUT", "POST") else None
            assert (await call(bot, method, filled, body, key=keys_of["ann"]))[0] == 404, (method, path)


async def test_a_key_in_the_query_is_the_same_key_and_appears_in_no_log(
    bot: Bot, capsys: pytest.CaptureFixture[str]
) -> None:
    _, made = await bot.call("POST", "/api/keys", {"name": "q", "owner": "main", "scopes": ["read"]})
    for given, status in ((made["key"], 200), ("vk_wrong", 403), ("", 401)):
        path = f"/api/sessions?x-api-key={given}"
        assert (await call(bot, "GET", path, key=None))[0] == status
        assert (await bot.call("GET", path, key=None))[0] == 401, "only WAHA's clients have it there"
    assert (await call(bot, "POST", f"/api/sendText?x-api-key={made['key']}", {}, key=None))[0] == 403
    assert made["key"] not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("state", "status"),
    [(State.READY, "WORKING"), (State.BANNED, "FAILED"), (State.CLOSED, "STOPPED"), (State.RECONNECTING, "STARTING")],
)
def test_states_have_wahas_names(state: State, status: str) -> None:
    assert names.status(state) == status


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        (f"true_{CHAT}_AAA", "AAA"),
        (f"false_{GROUP}_AAA_{CHAT}", "AAA"),
        (f"false_{GROUP}_AA_BB_{CHAT}", "AA_BB"),
        ("AAA", "AAA"),
        ("true_story", "true_story"),
    ],
)
def test_ids_are_read_in_every_form(given: str, plain: str) -> None:
    assert names.plain_id(given) == plain


async def test_the_dialect_can_be_turned_off(tmp_path: Path) -> None:
    async with running(tmp_path, DIALECTS="none") as bot:
        assert (await call(bot, "GET", "/ping"))[0] == 404


async def test_a_status_goes_to_no_one_that_the_caller_chooses(bot: Bot) -> None:
    await working(bot)
    look = {"text": "hi", "backgroundColor": "#38b42f", "font": 3}
    status, refused = await call(bot, "POST", "/api/default/status/text", {**look, "contacts": [CHAT]})
    assert (status, refused["message"].startswith("contacts: must be empty")) == (422, True)
    assert bot.pool.sent == []
    status, posted = await call(bot, "POST", "/api/default/status/text", look)
    assert (status, posted["to"], posted["body"]) == (201, "status@broadcast", "hi")
    assert bot.pool.sent[0][1].font == 0, "phones do not know the third one"
    assert (await call(bot, "POST", "/api/default/status/delete", {"id": posted["id"]}))[0] == 201
    assert bot.pool.sent[1][1].revokes == bot.pool.sent[0][1].id
    assert (await call(bot, "POST", "/api/default/status/delete", {"id": "none"}))[0] == 404
    assert (await call(bot, "POST", "/api/default/status/delete", {}))[0] == 422


def test_the_page_names_every_operation() -> None:
    page = (ROOT / "docs" / "api-coverage.md").read_text().partition("## Evolution")[0]
    assert re.findall(r"^\| `(\w+) (\S+)` \|$", page, re.M) == [(each[0], PREFIX + each[1]) for each in routes.ROUTES]
    assert f"{len(routes.ROUTES)} of the 162 operations" in page


@pytest.mark.reference
def test_every_route_counts_as_an_operation_of_wahas_document() -> None:
    specification_of(WAHA)
    assert covered(WAHA, routes.ROUTES) == (len(routes.ROUTES), 162)
    here = {(each[0], each[1]) for each in routes.ROUTES}
    paths = specification_of(WAHA)["paths"].items()
    rest = [(method.upper(), path) for path, found in paths for method in found if (method.upper(), path) not in here]
    assert [each for each in rest if not_here.reason(each[1]) is None] == [], "neither here nor refused by name"


def test_the_page_names_what_is_not_there_and_why() -> None:
    page = (ROOT / "docs" / "api-coverage.md").read_text().partition("## Evolution")[0].partition("## WAHA")[2]
    assert dict(re.findall(r"^\| `(/\S+)` \| (.+) \|$", page, re.M)) == not_here.NOT_HERE


def test_the_page_names_every_event() -> None:
    page = (
        (ROOT / "docs" / "api-coverage.md")
        .read_text()
        .partition("### Webhooks of WAHA")[2]
        .partition("## Evolution")[0]
    )
    come, never = (
        re.findall(r"`([a-z0-9.]+)`", part) for part in page.partition("These events come")[2].split("never come")
    )
    assert come[: len(events.SOURCES)] == list(events.SOURCES)
    assert never == list(events.NEVER)
