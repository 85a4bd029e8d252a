"""Ids of sessions that other owners use: nothing that an owner can see depends on them (decision 0119).

Each test does the same things in two services: in one of them another owner has these ids already.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from bot_service import keys
from bot_service.domain.states import State
from bot_service.events.publisher import Draft
from tests.support.bot_app import Bot, is_in, running
from tests.support.processes import API_KEY
from tests.support.waiting import eventually

ALL = ["read", "session", "send"]
HERE = {"Sec-Fetch-Site": "same-origin"}
# What differs between any two runs: moments, random and counted ids, ports, spans of time.
VOLATILE = re.compile(
    r"\d{4}-\d\d-\d\dT[0-9:.]+Z|\b[0-9A-Z]{18}\b|\b[0-9a-f]{12,}\b|\b[0-9A-F]{16,}\b|wh-\w+|whsec_\S+|127\.0\.0\.1:\d+"
    r'|\\?"(?:durationMs|ageMs|sinceMs|activity)\\?":\s*\d+|\b\d{13}\b|\b\d{10}\b|"health":\{[^}]*\}|name="(?:token|idempotency)" value="[^"]*"'
    r'|(?<=once=)[\w-]+|datetime="[^"]*"|<time[^<]*</time>|\d+\s(?:ms|s)\b|<svg.*?</svg>',
    re.DOTALL,
)


@dataclass
class Owner:
    """An owner's view of a service: every answer is kept, with what differs in any case taken out."""

    bot: Bot
    key: str
    cookie: str = ""
    seen: list[str] = field(default_factory=list)

    def keep(self, what: str, text: str) -> None:
        mark = re.search(r".{0,60}~(?!0123456789ab)[0-9a-f]{12}.{0,60}", text)
        assert mark is None, f"a mark is shown: {what}: {mark[0]}"
        self.seen.append(VOLATILE.sub("*", f"{what}: {text}"))

    async def does(self, method: str, path: str, body: Any = None) -> Any:
        """The answer, parsed where it is JSON."""
        headers = {"Authorization": f"Bearer {self.key}"}
        async with self.bot.client.request(method, path, json=body, headers=headers) as answer:
            raw = await answer.read()
            binary = answer.content_type.startswith("image/")
            self.keep(
                f"{method} {path}", f"{answer.status} {answer.headers.get('Location')} {'' if binary else raw.decode()}"
            )
            return msgspec.json.decode(raw) if "json" in answer.content_type else answer.status

    async def is_sent(self, path: str) -> bool:
        return bool((await self.bot.call("GET", path, key=self.key))[1]["state"] == "sent")

    async def opens(self, path: str) -> None:
        """A page, or an address that leads to another one, of the dashboard."""
        await self._page("GET", path)

    async def submits(self, path: str, **form: str) -> None:
        text = await self._page("GET", "/", keep=False)
        found = re.search(r'name="token" value="([^"]+)"', text)
        assert found is not None
        await self._page("POST", path, data={"token": found[1], **form})

    async def _page(self, method: str, path: str, *, keep: bool = True, **kwargs: Any) -> str:
        url, headers = self.bot.client.make_url(path), HERE | {"Cookie": f"veilleur={self.cookie}"}
        async with (
            aiohttp.ClientSession() as http,
            http.request(method, url, headers=headers, allow_redirects=False, **kwargs) as answer,
        ):
            text = await answer.text()
            if keep:
                self.keep(f"page {method} {path}", f"{answer.status} {answer.headers.get('Location')} {text}")
            return text

    async def stored_id(self, session: str) -> str:
        record = self.bot.app[keys.SESSIONS].registry.of_owner("bob", session)
        assert record is not None
        return record.id

    async def is_in(self, session: str, state: State) -> None:
        await is_in(self.bot, await self.stored_id(session), state)

    async def pairs(self, session: str) -> None:
        await self.is_in(session, State.PAIRING)
        self.bot.pool.pair(await self.stored_id(session))
        await self.is_in(session, State.READY)


@asynccontextmanager
async def service(folder: Path) -> AsyncIterator[tuple[Bot, Owner]]:
    async with running(folder, WEBHOOK_ALLOW_PRIVATE="true") as bot:
        _, made = await bot.call("POST", "/api/keys", {"name": "bob", "owner": "bob", "scopes": ALL})
        bob = Owner(bot, made["key"])
        async with (
            aiohttp.ClientSession() as http,
            http.post(
                bot.client.make_url("/login"), data={"key": bob.key}, headers=HERE, allow_redirects=False
            ) as answer,
        ):
            bob.cookie = answer.cookies["veilleur"].value
        yield bot, bob


async def told_apart(folder: Path, taken: list[str], script: Callable[[Owner], Awaitable[None]]) -> None:
    """Run ``script`` where ann has sessions with the ids ``taken``, and where she has none: the answers are equal."""
    seen = []
    for name, ids in (("alone", []), ("beside", taken)):
        async with service(folder / name) as (bot, bob):
            _, ann = await bot.call("POST", "/api/keys", {"name": "ann", "owner": "ann", "scopes": ALL})
            for session in ids:
                assert (await bot.call("POST", "/api/sessions", {"id": session}, key=ann["key"]))[0] == 201
                await is_in(bot, session, State.PAIRING)
            await script(bob)
            for session in ids:
                status, view = await bot.call("GET", f"/api/sessions/{session}", key=ann["key"])
                assert (status, view["owner"], view["state"]) == (200, "ann", "PAIRING"), "ann's session was touched"
            seen.append(bob.seen)
    alone, beside = seen
    for one, other in zip(alone, beside, strict=True):
        assert one == other


@pytest.mark.parametrize("session", ["shop", "S-1_x", "a" * 64])
async def test_every_answer_about_a_session_is_the_same(tmp_path: Path, session: str) -> None:
    async def script(bob: Owner) -> None:
        at = f"/api/sessions/{session}"
        for look in (at, f"{at}/health", f"{at}/qr", f"{at}/messages", f"{at}/transitions", f"{at}~0123456789ab"):
            await bob.does("GET", look)
        await bob.does("PATCH", at, {"name": "x"})
        await bob.does("DELETE", at)
        await bob.does("POST", f"{at}/start")
        made = await bob.does("POST", "/api/sessions", {"id": session})
        assert (made["id"], made["name"]) == (session, session)
        assert (await bob.does("POST", "/api/sessions", {"id": session}))["code"] == "exists"
        await bob.does("POST", "/api/sessions", {"id": session, "start": False})
        await bob.pairs(session)
        for look in (at, f"{at}/health", f"{at}/qr", f"{at}/transitions", "/api/attention"):
            await bob.does("GET", look)
        await bob.does("PATCH", at, {"name": "Shop", "metadata": {"a": "b"}})
        await bob.does("PATCH", at, {"owner": "ann"})
        await bob.does("POST", f"{at}/pairing-code", {"phone": "33612345678"})
        for query in ("", "?limit=1", f"?after={session}", "?q=~", f"?q={session[:2]}", "?owner=ann", "?after=none"):
            await bob.does("GET", f"/api/sessions{query}")
        sent = await bob.does("POST", f"{at}/messages", {"to": "33612345678", "text": "hello"})
        one = f"{at}/messages/{sent['id']}"
        await eventually(lambda: bob.is_sent(one), what="the message being sent")
        await bob.does("GET", one)
        for verb in ("stop", "start", "restart", "logout"):
            await bob.does("POST", f"{at}/{verb}")
        await bob.does("DELETE", at)
        await bob.does("GET", at)
        assert (await bob.does("POST", "/api/sessions", {"id": session, "start": False}))["id"] == session
        await bob.does("GET", "/api/sessions")

    await told_apart(tmp_path, [session], script)


async def test_webhooks_deliveries_and_the_event_stream_are_the_same(tmp_path: Path) -> None:
    async def script(bob: Owner) -> None:
        bodies: list[str] = []

        async def take(request: web.Request) -> web.Response:
            bodies.append(await request.text())
            return web.Response()

        app = web.Application()
        app.router.add_post("/hook", take)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
            await bob.does("POST", "/api/webhooks", {"url": url, "session": "shop"})
            await bob.does("POST", "/api/sessions", {"id": "shop"})
            hook = await bob.does("POST", "/api/webhooks", {"url": url, "session": "shop"})
            wide = await bob.does("POST", "/api/webhooks", {"url": url})
            for look in ("?session=shop", "?session=shop~0123456789ab", "?session=other", ""):
                await bob.does("GET", f"/api/webhooks{look}")
            await bob.does("POST", f"/api/webhooks/{hook['id']}/test")
            await bob.pairs("shop")
            stored = await bob.stored_id("shop")
            data = {"session": stored, "id": "M1", "media": {"url": f"/api/sessions/{stored}/messages/M1/media"}}
            draft = Draft("message", stored, "bob", bob.bot.app[keys.CLOCK].now(), data)
            await bob.bot.app[keys.EVENTS].publisher.publish([draft])
            await bob.does("POST", "/api/sessions/shop/messages", {"to": "33612345678", "text": "hello"})
            await eventually(lambda: any('"type":"message"' in body for body in bodies), what="the message")
            await bob.does("DELETE", "/api/sessions/shop")
            await eventually(lambda: any('"type":"session.deleted"' in body for body in bodies), what="the deletion")
            for body in bodies:
                assert "~" not in body
                assert msgspec.json.decode(body)["session"] in ("shop", None)

            async def reported() -> Any:
                path = f"/api/deliveries?state=delivered&webhook={wide['id']}&limit=100"
                _, found = await bob.bot.call("GET", path, key=bob.key)
                return next((each for each in found["deliveries"] if each["type"] == "session.deleted"), None)

            # Not simply the newest: the lanes of a session and of its end go out in any order.
            last = await eventually(reported, what="the delivery of the deletion")
            bob.keep("a delivery", msgspec.json.encode(last).decode())
            await bob.does("GET", f"/api/deliveries/{last['webhook']}/{last['event']}")
            of_type = f"state=all&type=session.deleted&webhook={wide['id']}"
            for session in ("shop", "shop~", "shop~0123456789ab", "other"):
                await bob.does("GET", f"/api/deliveries?{of_type}&session={session}")
            await bob.opens(f"/deliveries/{last['webhook']}/{last['event']}")
            await bob.opens(f"/deliveries?{of_type}&session=shop")
            await bob.opens(f"/webhooks/{wide['id']}")
            await bob.opens("/deliveries?state=delivered")
            bob.seen.pop()  # the order of two webhooks is not fixed
            bob.keep("events", "\n".join(sorted(await stream(bob, "?session=shop"))))
            bob.keep("other events", "\n".join(await stream(bob, "?session=shop~0123456789ab")))
        finally:
            await runner.cleanup()

    await told_apart(tmp_path, ["shop"], script)


async def stream(bob: Owner, query: str) -> list[str]:
    """The types and sessions of all events up to now, read from the beginning."""
    headers = {"Authorization": f"Bearer {bob.key}", "Last-Event-ID": "0"}
    found: list[str] = []
    url = f"/api/events{query}&types=session.state,session.deleted"
    async with bob.bot.client.get(url, headers=headers) as answer:
        while True:
            try:
                line = await asyncio.wait_for(answer.content.readline(), 1.0)
            except TimeoutError:
                return found
            if line.startswith(b"data: "):
                assert b"~" not in line
                event = msgspec.json.decode(line[6:])
                found.append(f"{event['type']} {event['session']} {event['data']['session']}")


async def test_the_pages_of_the_dashboard_are_the_same(tmp_path: Path) -> None:
    async def script(bob: Owner) -> None:
        await bob.opens("/sessions/shop")
        await bob.submits("/sessions/shop/start")
        await bob.submits("/new", id="shop", name="Shop")
        await bob.submits("/new", id="shop", name="Shop")
        await bob.pairs("shop")
        await bob.submits("/webhooks", url="http://192.0.2.7/x", session="shop", events="message")
        for page in (
            "/",
            "/sessions/shop",
            "/?q=shop",
            "/?q=~",
            "/webhooks?session=shop",
            "/sessions/shop~0123456789ab",
        ):
            await bob.opens(page)
        await bob.submits("/sessions/shop/stop")
        await bob.submits("/sessions/shop/delete")
        await bob.opens("/sessions/shop")

    await told_apart(tmp_path, ["shop"], script)


@pytest.mark.parametrize("session", ["default", "shop"])
async def test_names_of_another_dialect_are_the_same(tmp_path: Path, session: str) -> None:
    async def script(bob: Owner) -> None:
        at = f"/waha/api/sessions/{session}"
        for method, look in (("GET", at), ("GET", f"{at}/me"), ("DELETE", at), ("POST", f"{at}/start"), ("PUT", at)):
            await bob.does(method, look, {} if method == "PUT" else None)
        await bob.does("POST", "/waha/api/sessions/stop", {"name": session})
        await bob.does("POST", "/waha/api/sessions/start", {"name": session})
        await bob.does("POST", "/waha/api/sessions/start", {"name": session})
        made = await bob.does("POST", "/waha/api/sessions", {"name": session})
        assert made["statusCode"] == 409
        await bob.pairs(session)
        await bob.does("GET", at)
        await bob.does("GET", "/waha/api/sessions?all=true")
        hooks = [{"url": "http://192.0.2.7/x", "events": ["message", "session.status"]}]
        changed = await bob.does("PUT", at, {"config": {"metadata": {"a": "b"}, "webhooks": hooks}})
        assert changed["config"]["webhooks"][0]["url"] == "http://192.0.2.7/x"
        await bob.does("GET", at)
        await bob.does("POST", "/waha/api/startTyping", {"session": session, "chatId": "33612345678@c.us"})
        await bob.does("DELETE", at)
        await bob.does("GET", "/waha/api/sessions?all=true")
        config = {"webhooks": hooks}
        made = await bob.does("POST", "/waha/api/sessions", {"name": session, "start": False, "config": config})
        assert made["name"] == session

    await told_apart(tmp_path, [session], script)


@pytest.mark.parametrize("session", ["shop", "a" * 64])
async def test_instances_of_evolution_are_the_same(tmp_path: Path, session: str) -> None:
    async def script(bob: Owner) -> None:
        async def does(method: str, path: str, body: Any = None) -> Any:
            return await bob.does(method, f"/evolution{path}", body)

        for method, path, body in (
            ("GET", f"/instance/connectionState/{session}", None),
            ("GET", f"/instance/fetchInstances?instanceName={session}", None),
            ("DELETE", f"/instance/delete/{session}", None),
            ("DELETE", f"/instance/logout/{session}", None),
            ("POST", f"/settings/set/{session}", {"groupsIgnore": True}),
            ("POST", f"/webhook/set/{session}", {"webhook": {"url": "http://192.0.2.7/x", "enabled": True}}),
            ("POST", f"/message/sendText/{session}", {"number": "33612345678", "text": "x"}),
        ):
            await does(method, path, body)
        made = await does("POST", "/instance/create", {"instanceName": session})
        assert made["instance"]["instanceName"] == session
        assert (await does("POST", "/instance/create", {"instanceName": session}))["status"] == 403
        await does("GET", f"/instance/connect/{session}")
        bob.seen.pop()  # the code of this engine contains the stored id, as that of WhatsApp does not
        await bob.pairs(session)
        hook = {"webhook": {"url": "http://192.0.2.7/x", "enabled": True, "events": ["MESSAGES_UPSERT"]}}
        assert (await does("POST", f"/webhook/set/{session}", hook))["url"] == "http://192.0.2.7/x"
        for path in ("/webhook/find/", "/settings/find/", "/instance/connectionState/"):
            await does("GET", path + session)
        await does("GET", "/instance/fetchInstances")
        await does("POST", f"/chat/findMessages/{session}", {})
        await does("PUT", f"/instance/restart/{session}")
        await does("DELETE", f"/instance/delete/{session}")
        await does("GET", "/instance/fetchInstances")

    await told_apart(tmp_path, [session], script)


async def test_the_stream_of_the_pages_and_the_tools_of_models_are_the_same(tmp_path: Path) -> None:
    async def script(bob: Owner) -> None:
        url, headers = bob.bot.client.make_url("/events"), HERE | {"Cookie": f"veilleur={bob.cookie}"}
        async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as stream:
            assert stream.status == 200
            await bob.does("POST", "/api/sessions", {"id": "shop"})
            await bob.pairs("shop")
            await bob.does("POST", "/api/sessions/shop/stop")
            seen: set[str] = set()
            async with asyncio.timeout(30):
                while not any("STOPPED" in line or "stopped" in line.lower() for line in seen):
                    line = (await stream.content.readline()).decode()
                    if line.startswith("data: {") and '"session"' in line:
                        assert "~" not in line
                        seen.add(line)
        bob.keep("the stream of the pages", "".join(sorted(VOLATILE.sub("*", line) for line in seen)))
        for name, arguments in (
            ("list_sessions", {}),
            ("session_health", {"session": "shop"}),
            ("list_chats", {"session": "shop"}),
            ("session_health", {"session": "other"}),
        ):
            call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
            found = await bob.does("POST", "/mcp", call)
            assert found["result"]["content"][0]["text"], name

    await told_apart(tmp_path, ["shop"], script)


async def test_two_owners_who_create_one_id_at_once_both_get_it(tmp_path: Path) -> None:
    async with service(tmp_path) as (bot, bob):
        _, ann = await bot.call("POST", "/api/keys", {"name": "ann", "owner": "ann", "scopes": ALL})
        made = await asyncio.gather(
            *(bot.call("POST", "/api/sessions", {"id": "shop"}, key=key) for key in (ann["key"], bob.key) * 5)
        )
        assert sorted(status for status, _ in made) == [201, 201] + [409] * 8
        _, listed = await bot.call("GET", "/api/sessions")
        assert sorted(each["owner"] for each in listed["sessions"]) == ["ann", "bob"]


async def test_an_administrator_sees_stored_ids_and_keeps_them_apart(tmp_path: Path) -> None:
    async with service(tmp_path) as (bot, bob):
        await bot.call("POST", "/api/sessions", {"id": "shop", "owner": "ann", "start": False})
        await bob.does("POST", "/api/sessions", {"id": "shop", "start": False})
        stored = await bob.stored_id("shop")
        assert re.fullmatch(r"shop~[0-9a-f]{12}", stored)
        _, listed = await bot.call("GET", "/api/sessions")
        assert [(each["id"], each["owner"]) for each in listed["sessions"]] == [("shop", "ann"), (stored, "bob")]
        assert (await bot.call("GET", f"/api/sessions/{stored}"))[1]["id"] == stored
        hook = {"url": "http://192.0.2.7/x", "session": stored}
        assert (await bot.call("POST", "/api/webhooks", hook))[1]["session"] == stored
        for owner in ("ann", "bob"):
            status, problem = await bot.call("POST", "/api/sessions", {"id": "shop", "owner": owner})
            assert (status, problem["code"]) == (409, "exists")
        status, problem = await bot.call("PATCH", "/api/sessions/shop", {"owner": "bob"})
        assert (status, problem["code"]) == (409, "exists"), "bob would have two sessions of one id"
        assert (await bot.call("PATCH", f"/api/sessions/{stored}", {"owner": "carl"}, key=API_KEY))[0] == 200
        assert (await bob.does("GET", "/api/sessions/shop"))["code"] == "not_found"
        assert (await bob.does("POST", "/api/sessions", {"id": "shop", "start": False}))["id"] == "shop"


async def test_an_owner_keeps_its_ids_over_a_restart(tmp_path: Path) -> None:
    async with service(tmp_path) as (bot, bob):
        await bot.call("POST", "/api/sessions", {"id": "shop", "owner": "ann", "start": False})
        await bob.does("POST", "/api/sessions", {"id": "shop", "name": "Bob's", "start": False})
    async with running(tmp_path) as bot:
        again = Owner(bot, bob.key)
        assert (await again.does("GET", "/api/sessions/shop"))["name"] == "Bob's"
        assert (await again.does("POST", "/api/sessions", {"id": "shop"}))["code"] == "exists"
