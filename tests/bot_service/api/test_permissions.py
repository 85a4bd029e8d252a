"""Every route x key scope x owner with the expected answer; a route of the running application without a row fails.

The scope of a route stands here a second time on purpose: one that was opened by mistake must not open the table with it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import make_mocked_request

from bot_service.access.principals import Scope
from bot_service.dashboard.context import DASHBOARD
from bot_service.dashboard.login import COOKIE
from bot_service.dashboard.wording import PROBLEM
from tests.support.bot_app import Bot, running
from tests.support.processes import API_KEY, WATCHDOG_TOKEN

# Callers: without a key, an unknown key, one key per scope of each of two owners, administrators, the watchdog.
SCOPES = ("session", "read", "send")
PUBLIC, STATS, METRICS, WATCHDOG = Scope.PUBLIC, Scope.STATS, Scope.METRICS, Scope.WATCHDOG
ADMIN, SESSION, READ, SEND = Scope.ADMIN, Scope.SESSION, Scope.READ, Scope.SEND
CALLERS = (
    "nobody", "unknown", "revoked", "administrator", "admin key", "watchdog",
    *(f"{owner} {scope}" for owner in ("ann", "bob") for scope in SCOPES),
)  # fmt: skip
WRONG_KEYS = ("unknown", "revoked", "watchdog")  # the last is right on a few routes

# What a call without a body, or with this one, gives to somebody who may make it. Everything belongs to ann.
API: dict[tuple[str, str], tuple[Scope, int, Any]] = {
    ("GET", "/health"): (PUBLIC, 200, None),
    ("GET", "/readyz"): (PUBLIC, 200, None),
    ("GET", "/livez"): (PUBLIC, 200, None),
    ("GET", "/metrics"): (METRICS, 200, None),
    ("GET", "/api/heartbeat"): (WATCHDOG, 200, None),
    ("POST", "/api/repair"): (WATCHDOG, 422, {"action": "unknown"}),
    ("GET", "/api/keepalive"): (STATS, 200, None),
    ("POST", "/api/keepalive"): (WATCHDOG, 422, {}),
    ("GET", "/api/metrics"): (STATS, 200, None),
    ("GET", "/api/attention"): (READ, 200, None),
    ("GET", "/api/logs"): (ADMIN, 200, None),
    ("GET", "/api/logs/stream"): (ADMIN, 200, None),
    ("GET", "/api/replicas"): (ADMIN, 200, None),
    ("GET", "/api/replicas/{replicaId}/sessions"): (ADMIN, 404, None),
    ("GET", "/api/sessions"): (READ, 200, None),
    ("POST", "/api/sessions"): (SESSION, 422, {"id": "not a valid id"}),
    ("GET", "/api/sessions/{id}"): (READ, 200, None),
    ("PATCH", "/api/sessions/{id}"): (SESSION, 200, {}),
    ("DELETE", "/api/sessions/{id}"): (SESSION, 204, None),
    ("POST", "/api/sessions/{id}/start"): (SESSION, 200, None),
    ("POST", "/api/sessions/{id}/stop"): (SESSION, 200, None),
    ("POST", "/api/sessions/{id}/restart"): (SESSION, 200, None),
    ("POST", "/api/sessions/{id}/logout"): (SESSION, 200, None),
    ("POST", "/api/sessions/{id}/export"): (ADMIN, 409, {"passphrase": "twelve letters"}),
    ("POST", "/api/sessions/import"): (ADMIN, 422, {"file": "", "passphrase": "twelve letters"}),
    ("POST", "/api/sessions/{id}/take-back"): (ADMIN, 409, None),
    ("GET", "/api/sessions/{id}/qr"): (SESSION, 409, None),
    ("POST", "/api/sessions/{id}/pairing-code"): (SESSION, 409, {"phone": "33612345678"}),
    ("GET", "/api/sessions/{id}/health"): (READ, 200, None),
    ("GET", "/api/sessions/{id}/transitions"): (READ, 200, None),
    ("POST", "/api/sessions/{id}/simulate"): (SESSION, 422, {}),
    ("POST", "/api/sessions/{id}/messages"): (SEND, 409, {"to": "33612345678", "text": "x"}),
    ("GET", "/api/sessions/{id}/messages"): (READ, 200, None),
    ("GET", "/api/sessions/{id}/chats"): (READ, 200, None),
    ("GET", "/api/sessions/{id}/chats/{chatId}/messages"): (READ, 422, None),
    ("GET", "/api/sessions/{id}/messages/{messageId}"): (READ, 404, None),
    ("PUT", "/api/sessions/{id}/messages/{messageId}"): (SEND, 404, {"text": "x"}),
    ("DELETE", "/api/sessions/{id}/messages/{messageId}"): (SEND, 404, None),
    ("POST", "/api/sessions/{id}/messages/{messageId}/forward"): (SEND, 404, {"to": "33612345678"}),
    ("GET", "/api/sessions/{id}/messages/{messageId}/media"): (READ, 404, None),
    ("POST", "/api/sessions/{id}/status"): (SEND, 409, {"text": "x"}),
    ("GET", "/api/sessions/{id}/channels"): (READ, 409, None),
    ("POST", "/api/sessions/{id}/channels"): (SEND, 409, {"name": "x"}),
    ("GET", "/api/sessions/{id}/channels/{channelId}"): (SEND, 422, None),
    ("PUT", "/api/sessions/{id}/channels/{channelId}/follow"): (SEND, 422, None),
    ("DELETE", "/api/sessions/{id}/channels/{channelId}/follow"): (SEND, 422, None),
    ("PUT", "/api/sessions/{id}/channels/{channelId}/mute"): (SEND, 422, None),
    ("DELETE", "/api/sessions/{id}/channels/{channelId}/mute"): (SEND, 422, None),
    ("PUT", "/api/sessions/{id}/groups/{groupId}/picture"): (SEND, 422, {"data": "/9j/4AAQSkZJRgABAQAAAQABAAD/2Q=="}),
    ("GET", "/api/sessions/{id}/invitations/{code}"): (SEND, 409, None),
    ("POST", "/api/sessions/{id}/numbers"): (SEND, 409, {"numbers": ["33612345678"]}),
    ("GET", "/api/sessions/{id}/picture"): (SEND, 422, None),
    ("GET", "/api/sessions/{id}/groups"): (READ, 409, None),
    ("POST", "/api/sessions/{id}/groups"): (SEND, 409, {"subject": "x", "members": ["33612345678"]}),
    ("GET", "/api/sessions/{id}/groups/{groupId}"): (READ, 422, None),
    ("PATCH", "/api/sessions/{id}/groups/{groupId}"): (SEND, 422, {"subject": "x"}),
    ("DELETE", "/api/sessions/{id}/groups/{groupId}"): (SEND, 422, None),
    ("POST", "/api/sessions/{id}/groups/{groupId}/members"): (SEND, 422, {"action": "add", "members": ["33612345678"]}),
    ("GET", "/api/sessions/{id}/groups/{groupId}/invite"): (SEND, 422, None),
    ("DELETE", "/api/sessions/{id}/groups/{groupId}/invite"): (SEND, 422, None),
    ("GET", "/api/sessions/{id}/groups/{groupId}/requests"): (SEND, 422, None),
    ("POST", "/api/sessions/{id}/groups/{groupId}/requests"): (
        SEND,
        422,
        {"action": "approve", "members": ["33612345678"]},
    ),
    ("GET", "/api/sessions/{id}/contacts"): (READ, 409, None),
    ("GET", "/api/sessions/{id}/contacts/{contactId}"): (SEND, 422, None),
    ("GET", "/api/sessions/{id}/lids/{contactId}"): (SEND, 422, None),
    ("GET", "/api/sessions/{id}/blocklist"): (READ, 409, None),
    ("PUT", "/api/sessions/{id}/blocklist/{contactId}"): (SEND, 422, None),
    ("DELETE", "/api/sessions/{id}/blocklist/{contactId}"): (SEND, 422, None),
    ("GET", "/api/sessions/{id}/profile"): (READ, 409, None),
    ("PATCH", "/api/sessions/{id}/profile"): (SESSION, 422, {}),
    ("PUT", "/api/sessions/{id}/profile/picture"): (SESSION, 422, {"data": "x"}),
    ("PUT", "/api/sessions/{id}/presence"): (SEND, 409, {"state": "available"}),
    ("POST", "/api/sessions/{id}/presence/follow"): (SEND, 409, {"chat": "33612345678"}),
    ("POST", "/api/sessions/{id}/calls/{callId}/reject"): (SEND, 409, {"from": "33612345678"}),
    ("PUT", "/api/sessions/{id}/messages/{messageId}/star"): (SEND, 404, None),
    ("DELETE", "/api/sessions/{id}/messages/{messageId}/star"): (SEND, 404, None),
    ("POST", "/api/sessions/{id}/groups/join"): (SEND, 409, {"code": "abc"}),
    ("POST", "/api/sessions/{id}/read"): (SEND, 422, {}),
    ("POST", "/api/sessions/{id}/typing"): (SEND, 422, {}),
    ("GET", "/api/events"): (READ, 200, None),
    ("GET", "/api/webhooks"): (READ, 200, None),
    ("POST", "/api/webhooks"): (SESSION, 422, {"url": "no url"}),
    ("GET", "/api/webhooks/{webhookId}"): (READ, 200, None),
    ("PATCH", "/api/webhooks/{webhookId}"): (SESSION, 200, {}),
    ("DELETE", "/api/webhooks/{webhookId}"): (SESSION, 204, None),
    ("POST", "/api/webhooks/{webhookId}/test"): (SESSION, 200, None),
    ("POST", "/api/webhooks/{webhookId}/secret"): (SESSION, 200, None),
    ("GET", "/api/deliveries"): (READ, 200, None),
    ("POST", "/api/deliveries/replay"): (SESSION, 422, {"events": ["none"]}),
    ("GET", "/api/deliveries/{webhookId}/{eventId}"): (READ, 404, None),
    ("GET", "/api/keys"): (ADMIN, 200, None),
    ("POST", "/api/keys"): (ADMIN, 422, {}),
    ("DELETE", "/api/keys/{keyId}"): (ADMIN, 404, None),
    ("POST", "/api/login-links"): (ADMIN, 201, None),
    ("GET", "/api/openapi.json"): (PUBLIC, 200, None),
}

# The dashboard's pages look at the cookie of a login. A page answers with a status, a form leads on: ``done=…`` in the
# address, ``problem=…`` for a message with the words of that code, or the page of what was made. None: open to everybody.
FORMS: dict[tuple[str, str], tuple[Scope | None, int | str, dict[str, str]]] = {
    ("GET", "/"): (READ, 200, {}),
    ("GET", "/new"): (SESSION, 200, {}),
    ("POST", "/new"): (SESSION, "problem=invalid", {"id": "not a valid id"}),
    ("GET", "/sessions/{id}"): (READ, 200, {}),
    ("GET", "/sessions/{id}/chats"): (READ, 200, {}),
    ("GET", "/sessions/{id}/chats/{chat}"): (READ, 200, {}),
    ("GET", "/sessions/{id}/messages/{messageId}/file"): (READ, 404, {}),
    ("POST", "/sessions"): (SESSION, "problem=invalid", {"command": "none"}),
    ("POST", "/sessions/{id}/simulate"): (SESSION, "problem=invalid", {"action": "none"}),
    ("POST", "/sessions/{id}/start"): (SESSION, "done=start", {}),
    ("POST", "/sessions/{id}/stop"): (SESSION, "done=stop", {}),
    ("POST", "/sessions/{id}/restart"): (SESSION, "done=restart", {}),
    ("POST", "/sessions/{id}/logout"): (SESSION, "done=logout", {}),
    ("POST", "/sessions/{id}/delete"): (SESSION, "done=delete", {}),
    ("POST", "/sessions/{id}/pairing-code"): (SESSION, "problem=not_pairing", {"phone": "33612345678"}),
    ("POST", "/sessions/{id}/messages"): (SEND, "problem=sending_frozen", {"to": "33612345678", "text": "x"}),
    ("POST", "/sessions/{id}/messages/{messageId}/revoke"): (SEND, "problem=not_found", {}),
    ("GET", "/deliveries"): (READ, 200, {}),
    ("GET", "/deliveries/{webhookId}/{eventId}"): (READ, 404, {}),
    ("POST", "/deliveries/replay"): (SESSION, "problem=not_found", {"delivery": "none/none"}),
    ("GET", "/webhooks"): (READ, 200, {}),
    ("POST", "/webhooks"): (SESSION, "problem=invalid", {"url": "no url"}),
    ("GET", "/webhooks/{webhookId}"): (READ, 200, {}),
    ("POST", "/webhooks/{webhookId}"): (SESSION, "problem=invalid", {"url": "no url"}),
    ("POST", "/webhooks/{webhookId}/pause"): (SESSION, "done=webhook-paused", {}),
    ("POST", "/webhooks/{webhookId}/resume"): (SESSION, "done=webhook-resumed", {}),
    ("POST", "/webhooks/{webhookId}/secret"): (SESSION, "problem=invalid", {"overlap": "none"}),
    ("POST", "/webhooks/{webhookId}/test"): (SESSION, "/webhooks", {}),
    ("POST", "/webhooks/{webhookId}/delete"): (SESSION, "done=webhook-deleted", {}),
    ("GET", "/replicas"): (ADMIN, 200, {}),
    ("GET", "/keys"): (ADMIN, 200, {}),
    ("POST", "/keys"): (ADMIN, "problem=invalid", {"name": ""}),
    ("POST", "/keys/{keyId}/revoke"): (ADMIN, "problem=not_found", {}),
    ("GET", "/live"): (READ, 200, {}),
    ("GET", "/events"): (READ, 200, {}),
    ("GET", "/login"): (None, 200, {}),
    ("POST", "/login"): (None, 403, {"key": "wrong"}),
    ("POST", "/logout"): (None, "/login", {}),
    ("GET", "/docs"): (None, 200, {}),
    ("GET", "/docs/files/{name}"): (None, 404, {}),
    ("GET", "/static/{digest}/{name}"): (None, 404, {}),
}


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Bot]:
    async with running(tmp_path, WEBHOOK_ALLOW_PRIVATE="true") as started:
        yield started


class World:
    """A running service with two owners, and what belongs to the first of them, made again when it is gone."""

    def __init__(self, bot: Bot) -> None:
        self.bot = bot
        self.tokens: dict[str, str | None] = {
            "nobody": None, "unknown": "vk_unknown", "administrator": API_KEY, "watchdog": WATCHDOG_TOKEN,
        }  # fmt: skip
        self._cannot_sign_in: set[str] = set()
        self._machines = 0
        self._names: dict[str, str] | None = None

    async def make_keys(self) -> None:
        for owner in ("ann", "bob"):
            for scope in SCOPES:
                self.tokens[f"{owner} {scope}"] = (await self._key(owner, scope))["key"]
        self.tokens["admin key"] = (await self._key("ops", "admin"))["key"]
        revoked = await self._key("ann", "read")
        status, _ = await self.bot.call("DELETE", f"/api/keys/{revoked['id']}")
        assert status == 204
        self.tokens["revoked"] = revoked["key"]

    async def _key(self, owner: str, scope: str) -> dict[str, Any]:
        status, made = await self.bot.call("POST", "/api/keys", {"name": scope, "owner": owner, "scopes": [scope]})
        assert status == 201
        return dict(made)

    async def names(self) -> dict[str, str]:
        """A session and a webhook of ann's, made again when an earlier call may have deleted them."""
        if self._names is None:
            self._names = await self._make()
        return self._names

    async def _make(self) -> dict[str, str]:
        await self.bot.call("POST", "/api/sessions", {"id": "of-ann", "owner": "ann", "start": False})
        _, listed = await self.bot.call("GET", "/api/webhooks")
        found = [hook["id"] for hook in listed["webhooks"] if hook["owner"] == "ann"]
        if not found:
            _, hook = await self.bot.call("POST", "/api/webhooks", {"url": "http://127.0.0.1:9", "session": "of-ann"})
            found = [hook["id"]]
        return {
            "id": "of-ann",
            "webhookId": found[0],
            "messageId": "none",
            "groupId": "none",
            "channelId": "-.-",
            "code": "none",
            "chatId": "none",
            "contactId": "none",
            "callId": "none",
            "eventId": "none",
            "keyId": "none",
            "replicaId": "none",
        }

    async def call(self, method: str, path: str, caller: str) -> int:
        """The status of one call of the API with the caller's key."""
        body = API[method, path][2]
        headers = {"Authorization": f"Bearer {self.tokens[caller]}"} if self.tokens[caller] else {}
        names = await self.names()
        if caller not in WRONG_KEYS:
            async with self.bot.client.request(method, filled(path, names), json=body, headers=headers) as response:
                if method != "GET" and response.ok:
                    self._names = None
                return response.status  # a stream is left as soon as it has begun
        # Wrong keys from one address are answered late, so each comes from another.
        self._machines += 1
        own = aiohttp.TCPConnector(local_addr=(f"127.1.{self._machines // 250}.{self._machines % 250 + 1}", 0))
        url = self.bot.client.make_url(filled(path, names))
        async with (
            aiohttp.ClientSession(connector=own) as http,
            http.request(method, url, json=body, headers=headers) as response,
        ):
            return response.status

    async def open_page(self, method: str, path: str, caller: str) -> int | str:
        """The status of a page, or where a form led, for a browser in which the caller has signed in if that is possible."""
        fields = dict(FORMS[method, path][2])
        names = await self.names()
        cookie, login = await self._signed_in(caller), None
        headers = {"Sec-Fetch-Site": "same-origin"} | ({"Cookie": f"{COOKIE}={cookie}"} if cookie else {})
        if cookie:
            request = make_mocked_request("GET", "/", headers=headers, app=self.bot.app)
            login = await self.bot.app[DASHBOARD].logins.read(request)
            assert login is not None
            fields["token"] = login.form_token
        self.bot.client.session.cookie_jar.clear()
        async with self.bot.client.request(
            method,
            filled(path, {**names, "name": "none", "digest": "none", "chat": "33612345678"}),
            data=fields if method == "POST" else None,
            headers=headers,
            allow_redirects=False,
        ) as response:
            if response.status != 303:
                return response.status
            self._names = None
            address, _, query = response.headers["Location"].partition("?")
            once = query.partition("once=")[2]
            shown = self.bot.app[DASHBOARD].flash.take(login, once) if login and once else None
            code = None if shown is None else code_of(shown.text)
            return query if "done=" in query else address if code is None else f"problem={code}"

    async def _signed_in(self, caller: str) -> str | None:
        if caller in self._cannot_sign_in:
            return None  # a refusal is late by design; one is enough
        token = self.tokens[caller]
        self.bot.client.session.cookie_jar.clear()
        async with self.bot.client.post(
            "/login", data={"key": token or ""}, headers={"Sec-Fetch-Site": "same-origin"}, allow_redirects=False
        ) as response:
            if response.status == 303:
                return response.cookies[COOKIE].value
        self._cannot_sign_in.add(caller)
        return None


def filled(path: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        path = path.replace(f"{{{name}}}", value)
    return path


def code_of(text: str) -> str | None:
    """The first code of a problem with these words."""
    return next((code for code, words in PROBLEM.items() if text.startswith(words)), None)


def expected(method: str, path: str, caller: str) -> int:
    """The rules of the house for a call of the API, in one place."""
    scope, passes, _ = API[method, path]
    if scope in (PUBLIC, STATS, METRICS):
        return passes
    if caller == "nobody":
        return 401
    if scope is WATCHDOG:
        return passes if caller == "watchdog" else 403
    if caller in ("unknown", "revoked", "watchdog"):
        return 403
    if caller in ("administrator", "admin key"):
        return passes
    owner, held = caller.split()
    if held != scope.value:
        return 403
    # The owner is checked after the scope: what belongs to ann does not exist for bob.
    names_something = "{id}" in path or "{webhookId}" in path
    return 404 if owner == "bob" and names_something else passes


def expected_page(method: str, path: str, caller: str) -> int | str:
    """The rules of the house for a page or a form."""
    scope, passes, _ = FORMS[method, path]
    if isinstance(passes, str) and passes.startswith("problem="):
        passes = f"problem={code_of(PROBLEM[passes.removeprefix('problem=')])}"
    if scope is None:
        return passes
    if caller in ("nobody", "unknown", "revoked", "watchdog"):
        return "/login"
    if caller in ("administrator", "admin key"):
        return passes
    owner, held = caller.split()
    if held != scope.value:
        return 403 if method == "GET" else "problem=forbidden"
    if owner == "bob" and ("{id}" in path or "{webhookId}" in path):
        return 404 if method == "GET" else "problem=not_found"
    return passes


def mounted(bot: Bot) -> set[tuple[str, str]]:
    """Every (method, path) that the running application answers."""
    return {
        (route.method, route.resource.canonical)
        for route in bot.app.router.routes()
        if route.resource is not None and route.method != "HEAD"
        # The dialects have tables of their own (tests/dialects).
        if not route.resource.canonical.startswith(("/waha/", "/evolution", "/message/", "/mcp"))
    }


async def test_every_route_has_a_row(bot: Bot) -> None:
    assert {*API, *FORMS} == mounted(bot), "a route without a row, or a row without a route"
    assert not {*API} & {*FORMS}


def wrong(got: dict[tuple[str, str, str], Any], wanted: Callable[[str, str, str], Any]) -> list[str]:
    """What differs from the table."""
    return [
        f"{caller}: {method} {path} gave {found}, the table says {wanted(method, path, caller)}"
        for (method, path, caller), found in got.items()
        if found != wanted(method, path, caller)
    ]


@pytest.mark.timeout(300)
async def test_every_route_gives_every_caller_what_the_table_says(bot: Bot) -> None:
    world = World(bot)
    await world.make_keys()
    got = {(*route, caller): await world.call(*route, caller) for route in API for caller in CALLERS}
    assert not wrong(got, expected)
    assert len(got) > 500


@pytest.mark.timeout(300)
async def test_every_page_gives_every_caller_what_the_table_says(bot: Bot) -> None:
    world = World(bot)
    await world.make_keys()
    got = {(*route, caller): await world.open_page(*route, caller) for route in FORMS for caller in CALLERS}
    assert not wrong(got, expected_page)


async def test_public_statistics_can_be_closed(tmp_path: Path) -> None:
    async with running(tmp_path, PUBLIC_STATS="false") as bot:
        for path in ("/api/keepalive", "/api/metrics"):
            assert (await bot.call("GET", path, key=None))[0] == 401
            assert (await bot.call("GET", path))[0] == 200


async def test_one_owner_sees_nothing_of_another_in_lists(bot: Bot) -> None:
    world = World(bot)
    await world.make_keys()
    await world.names()
    for caller, count in (("ann read", 1), ("bob read", 0), ("administrator", 1)):
        key = world.tokens[caller]
        _, sessions = await bot.call("GET", "/api/sessions", key=key)
        _, webhooks = await bot.call("GET", "/api/webhooks", key=key)
        assert (len(sessions["sessions"]), len(webhooks["webhooks"])) == (count, count), caller


@pytest.mark.sqlite
async def test_a_key_is_stored_as_a_hash_and_shown_once(bot: Bot, tmp_path: Path) -> None:
    status, made = await bot.call("POST", "/api/keys", {"name": "k", "owner": "ann", "scopes": ["read"]})
    assert status == 201
    _, listed = await bot.call("GET", "/api/keys")
    assert made["key"] not in str(listed)
    assert listed["keys"][0]["scopes"] == ["read"]
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("bot.db*"))
    assert made["key"].encode() not in stored
    assert made["id"].encode() in stored
