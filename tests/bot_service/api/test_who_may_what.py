"""Every route x key scope x owner with the expected status, made from the routes themselves: a new route must have a row."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot_service.api.access import Scope
from bot_service.api.routes import Route, table
from tests.support.bot_app import Bot, running
from tests.support.processes import API_KEY, WATCHDOG_TOKEN

# Who calls: nobody, an unknown key, one key per scope of each of two owners, administrators, the watchdog.
SCOPES = ("session", "read", "send")
CALLERS = (
    "nobody", "unknown", "revoked", "administrator", "admin key", "watchdog",
    *(f"{owner} {scope}" for owner in ("ann", "bob") for scope in SCOPES),
)  # fmt: skip

# What a call without a body, or with this one, gives to somebody who may make it. Everything belongs to ann.
PASSES: dict[tuple[str, str], tuple[int, Any]] = {
    ("GET", "/health"): (200, None),
    ("GET", "/readyz"): (200, None),
    ("GET", "/livez"): (200, None),
    ("GET", "/metrics"): (200, None),
    ("GET", "/api/heartbeat"): (200, None),
    ("POST", "/api/repair"): (422, {"action": "unknown"}),
    ("GET", "/api/keepalive"): (200, None),
    ("POST", "/api/keepalive"): (422, {}),
    ("GET", "/api/metrics"): (200, None),
    ("GET", "/api/sessions"): (200, None),
    ("POST", "/api/sessions"): (422, {"id": "not a valid id"}),
    ("GET", "/api/sessions/{id}"): (200, None),
    ("PATCH", "/api/sessions/{id}"): (200, {}),
    ("DELETE", "/api/sessions/{id}"): (204, None),
    ("POST", "/api/sessions/{id}/start"): (200, None),
    ("POST", "/api/sessions/{id}/stop"): (200, None),
    ("POST", "/api/sessions/{id}/restart"): (200, None),
    ("POST", "/api/sessions/{id}/logout"): (200, None),
    ("GET", "/api/sessions/{id}/qr"): (409, None),
    ("POST", "/api/sessions/{id}/pairing-code"): (409, {"phone": "33612345678"}),
    ("GET", "/api/sessions/{id}/health"): (200, None),
    ("GET", "/api/sessions/{id}/transitions"): (200, None),
    ("POST", "/api/sessions/{id}/simulate"): (422, {}),
    ("POST", "/api/sessions/{id}/messages"): (409, {"to": "33612345678", "text": "x"}),
    ("GET", "/api/sessions/{id}/messages"): (200, None),
    ("GET", "/api/sessions/{id}/messages/{messageId}"): (404, None),
    ("GET", "/api/sessions/{id}/messages/{messageId}/media"): (404, None),
    ("POST", "/api/sessions/{id}/read"): (422, {}),
    ("POST", "/api/sessions/{id}/typing"): (422, {}),
    ("GET", "/api/events"): (200, None),
    ("GET", "/api/webhooks"): (200, None),
    ("POST", "/api/webhooks"): (422, {"url": "no url"}),
    ("GET", "/api/webhooks/{webhookId}"): (200, None),
    ("PATCH", "/api/webhooks/{webhookId}"): (200, {}),
    ("DELETE", "/api/webhooks/{webhookId}"): (204, None),
    ("POST", "/api/webhooks/{webhookId}/secret"): (200, None),
    ("GET", "/api/deliveries"): (200, None),
    ("POST", "/api/deliveries/replay"): (422, {}),
    ("GET", "/api/deliveries/{webhookId}/{eventId}"): (404, None),
    ("GET", "/api/keys"): (200, None),
    ("POST", "/api/keys"): (422, {}),
    ("DELETE", "/api/keys/{keyId}"): (404, None),
    ("POST", "/api/login-links"): (201, None),
    ("GET", "/api/openapi.json"): (200, None),
}


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Bot]:
    async with running(tmp_path) as started:
        yield started


class World:
    """A running service with two owners, and what belongs to the first of them, made anew for every call."""

    def __init__(self, bot: Bot) -> None:
        self.bot = bot
        self.tokens: dict[str, str | None] = {
            "nobody": None, "unknown": "vk_unknown", "administrator": API_KEY, "watchdog": WATCHDOG_TOKEN,
        }  # fmt: skip

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
        """A session and a webhook of ann's, made again when an earlier call deleted them."""
        await self.bot.call("POST", "/api/sessions", {"id": "of-ann", "owner": "ann", "start": False})
        _, listed = await self.bot.call("GET", "/api/webhooks")
        found = [hook["id"] for hook in listed["webhooks"] if hook["owner"] == "ann"]
        if not found:
            _, hook = await self.bot.call("POST", "/api/webhooks", {"url": "https://example.com", "session": "of-ann"})
            found = [hook["id"]]
        return {"id": "of-ann", "webhookId": found[0], "messageId": "none", "eventId": "none", "keyId": "none"}

    async def status(self, route: Route, caller: str) -> int:
        path = route.path
        names = await self.names()
        for name, value in names.items():
            path = path.replace(f"{{{name}}}", value)
        body = PASSES[route.method, route.path][1]
        headers = {"Authorization": f"Bearer {self.tokens[caller]}"} if self.tokens[caller] else {}
        async with self.bot.client.request(route.method, path, json=body, headers=headers) as response:
            return response.status  # a stream is left as soon as it has begun


def expected(route: Route, caller: str) -> int:
    """The rules of the house, in one place."""
    passes = PASSES[route.method, route.path][0]
    if route.scope in (Scope.PUBLIC, Scope.STATS, Scope.METRICS):
        return passes
    if caller == "nobody":
        return 401
    if route.scope is Scope.WATCHDOG:
        return passes if caller == "watchdog" else 403
    if caller in ("unknown", "revoked", "watchdog"):
        return 403
    if caller in ("administrator", "admin key"):
        return passes
    owner, scope = caller.split()
    if scope != route.scope.value:
        return 403
    # Whose it is comes after what the key may do: what belongs to ann does not exist for bob.
    names_something = "{id}" in route.path or "{webhookId}" in route.path
    return 404 if owner == "bob" and names_something else passes


async def test_every_route_has_a_row(bot: Bot) -> None:
    mounted = {
        (route.method, route.resource.canonical)
        for route in bot.app.router.routes()
        if route.resource is not None
        and route.method != "HEAD"
        and (route.resource.canonical.startswith("/api/") or route.resource.canonical in ("/health", "/metrics"))
    }
    rows = {row for row in PASSES if row[1].startswith("/api/") or row[1] in ("/health", "/metrics")}
    assert rows == mounted, "a route without a row, or a row without a route"


@pytest.mark.timeout(180)
async def test_every_route_gives_every_caller_what_the_table_says(bot: Bot) -> None:
    world = World(bot)
    await world.make_keys()
    wrong = []
    routes = table(bot.app)
    for route in routes:
        for caller in CALLERS:
            got, wanted = await world.status(route, caller), expected(route, caller)
            if got != wanted:
                wrong.append(f"{caller}: {route.method} {route.path} gave {got}, the table says {wanted}")
    assert not wrong, "\n".join(wrong)
    assert len(routes) * len(CALLERS) > 500


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


async def test_a_key_is_stored_as_a_hash_and_shown_once(bot: Bot, tmp_path: Path) -> None:
    status, made = await bot.call("POST", "/api/keys", {"name": "k", "owner": "ann", "scopes": ["read"]})
    assert status == 201
    _, listed = await bot.call("GET", "/api/keys")
    assert made["key"] not in str(listed)
    assert listed["keys"][0]["scopes"] == ["read"]
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("bot.db*"))
    assert made["key"].encode() not in stored
    assert made["id"].encode() in stored
