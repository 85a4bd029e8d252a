"""What came from a key ends with it: streams, downloads, logins, login links and cached look-ups; a sign-out ends its login."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service import keys
from bot_service.access import ended_logins, open_requests
from bot_service.store import api_keys
from bot_service.store import ended_logins as stored_logins
from tests.support.bot_app import Bot, paired, running
from tests.support.fake_clock import FakeClock
from tests.support.processes import API_KEY
from tests.support.waiting import eventually

HERE = {"Sec-Fetch-Site": "same-origin"}
ADMIN, READ = ["admin"], ["read"]


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Bot]:
    async with running(tmp_path / "data") as started:
        yield started


async def make(bot: Bot, scopes: list[str], **more: Any) -> tuple[str, str]:
    """(id, key)"""
    status, made = await bot.call("POST", "/api/keys", {"name": "k", "owner": "ann", "scopes": scopes, **more})
    assert status == 201
    return made["id"], made["key"]


async def sign_in(bot: Bot, **form: str) -> tuple[int, str]:
    """(status, cookie) of a login."""
    url = bot.client.make_url("/login")
    async with (
        aiohttp.ClientSession() as http,
        http.post(url, data=form, headers=HERE, allow_redirects=False) as answer,
    ):
        return answer.status, answer.cookies["veilleur"].value if "veilleur" in answer.cookies else ""


async def page(bot: Bot, cookie: str, path: str = "/") -> int:
    headers = {"Cookie": f"veilleur={cookie}"}
    async with (
        aiohttp.ClientSession() as http,
        http.get(bot.client.make_url(path), headers=headers, allow_redirects=False) as answer,
    ):
        return answer.status


async def sign_out(bot: Bot, cookie: str) -> None:
    url, headers = bot.client.make_url("/logout"), HERE | {"Cookie": f"veilleur={cookie}"}
    async with aiohttp.ClientSession() as http, http.post(url, headers=headers, allow_redirects=False) as answer:
        assert answer.status == 303


@asynccontextmanager
async def opened(bot: Bot, path: str, **headers: str) -> AsyncIterator[aiohttp.ClientResponse]:
    async with aiohttp.ClientSession() as http, http.get(bot.client.make_url(path), headers=headers) as answer:
        assert answer.status == 200
        await answer.content.readline()
        yield answer


async def ends(stream: aiohttp.ClientResponse) -> bool:
    """Whether the stream, which sends a line every 15 s at least, ends long before that."""
    async with asyncio.timeout(10):
        await stream.content.read()
    return True


async def revoke(bot: Bot, key_id: str) -> None:
    assert (await bot.call("DELETE", f"/api/keys/{key_id}"))[0] == 204


@pytest.mark.parametrize("scopes", [ADMIN, READ])
async def test_a_revoked_keys_streams_end_at_once(bot: Bot, scopes: list[str]) -> None:
    key_id, key = await make(bot, scopes)
    _, cookie = await sign_in(bot, key=key)
    async with (
        opened(bot, "/api/events", Authorization=f"Bearer {key}") as api,
        opened(bot, "/events", Cookie=f"veilleur={cookie}") as dashboard,
    ):
        await revoke(bot, key_id)
        assert await ends(api)
        assert await ends(dashboard)
    assert await page(bot, cookie) == 303


async def test_a_key_that_expires_ends_its_streams_and_its_logins(bot: Bot) -> None:
    _, key = await make(bot, READ, expiresIn=2000)
    _, cookie = await sign_in(bot, key=key)
    async with (
        opened(bot, "/api/events", Authorization=f"Bearer {key}") as api,
        opened(bot, "/events", Cookie=f"veilleur={cookie}") as dashboard,
    ):
        assert await ends(api)
        assert await ends(dashboard)
    assert await page(bot, cookie) == 303
    assert (await bot.call("GET", "/api/sessions", key=key))[0] == 403


async def test_a_login_link_carries_the_key_that_it_was_made_with(bot: Bot) -> None:
    key_id, key = await make(bot, ADMIN)
    codes = [(await bot.call("POST", "/api/login-links", key=key))[1]["url"].partition("code=")[2] for _ in range(3)]
    _, own = await bot.call("POST", "/api/login-links")
    status, cookie = await sign_in(bot, code=codes[0])
    assert (status, await page(bot, cookie, "/keys")) == (303, 200)
    await revoke(bot, key_id)
    assert await page(bot, cookie, "/keys") == 303, "the cookie of a link ends with the key of the link"
    assert [(await sign_in(bot, code=code))[0] for code in codes] == [403, 403, 403]
    assert (await sign_in(bot, code=own["url"].partition("code=")[2]))[0] == 303, "links of other keys go on"


async def test_a_login_link_is_no_longer_good_than_its_key(bot: Bot) -> None:
    _, key = await make(bot, ADMIN, expiresIn=1500)
    code = (await bot.call("POST", "/api/login-links", key=key))[1]["url"].partition("code=")[2]

    async def expired() -> bool:
        return (await bot.call("GET", "/api/keys", key=key))[0] == 403

    await eventually(expired, what="the end of the key")
    _, cookie = await sign_in(bot, code=code)
    assert await page(bot, cookie) == 303


async def test_a_download_ends_with_its_key(bot: Bot, tmp_path: Path) -> None:
    await paired(bot, "one")
    key_id, key = await make(bot, ["admin"])
    form = aiohttp.FormData({"to": "33612345678", "type": "document"})
    form.add_field("file", io.BytesIO(b"x" * 15_000_000), filename="a.bin", content_type="application/octet-stream")
    async with bot.client.post(
        "/api/sessions/one/messages", data=form, headers={"Authorization": f"Bearer {API_KEY}"}
    ) as sent:
        assert sent.status == 202, await sent.text()
        message = (await sent.json())["id"]
    path = f"/api/sessions/one/messages/{message}/media"
    reader, writer = await asyncio.open_connection(bot.client.host, bot.client.port, limit=1024)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
    assert b"200" in await reader.readline()
    await revoke(bot, key_id)
    received = 0
    try:
        while piece := await reader.read(65536):
            received += len(piece)
    except ConnectionResetError:
        pass
    writer.close()
    assert received < 14_000_000


async def test_signing_out_ends_the_login_its_streams_and_nothing_else(bot: Bot) -> None:
    cookies = [(await sign_in(bot, key=API_KEY))[1] for _ in range(3)]
    async with (
        opened(bot, "/events", Cookie=f"veilleur={cookies[0]}") as ended,
        opened(bot, "/events", Cookie=f"veilleur={cookies[1]}") as other,
    ):
        await sign_out(bot, cookies[0])
        assert await ends(ended)
        assert not other.content.at_eof()
    assert [await page(bot, cookie) for cookie in cookies] == [303, 200, 200]


async def test_a_login_that_was_ended_stays_ended_after_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as bot:
        cookies = [(await sign_in(bot, key=API_KEY))[1] for _ in range(2)]
        await sign_out(bot, cookies[0])
    async with running(tmp_path / "data") as bot:
        assert [await page(bot, cookie) for cookie in cookies] == [303, 200]


async def test_many_sign_outs_revive_no_login(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ended_logins, "KEPT", 20)
    logins = bot.app[keys.ACCESS].ended_logins
    until_s = int(bot.app[keys.CLOCK].now().timestamp()) + 1000
    for number in range(100):
        await logins.end(f"login-{number}", until_s + number)
    assert all(logins.includes(f"login-{number}", until_s + number) for number in range(100))
    assert not logins.includes("another", until_s + 200)
    await logins.load()
    assert all(logins.includes(f"login-{number}", until_s + number) for number in range(100))
    async with bot.app[keys.DATABASE].read() as connection:
        assert len(await stored_logins.load(connection)) <= 21


async def test_a_look_up_that_read_before_the_revocation_does_not_keep_the_key(
    bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_id, key = await make(bot, READ)
    keyring, by_token = bot.app[keys.ACCESS].keyring, api_keys.by_token
    read, go_on = asyncio.Event(), asyncio.Event()

    async def slow(connection: AsyncConnection, token: str, now_ms: int) -> api_keys.StoredKey | None:
        found = await by_token(connection, token, now_ms)
        read.set()
        await go_on.wait()
        return found

    monkeypatch.setattr(api_keys, "by_token", slow)
    looking = asyncio.create_task(keyring.by_token(key))
    await read.wait()
    await keyring.revoke(key_id)
    go_on.set()
    assert await looking is None
    assert await keyring.by_token(key) is None
    assert await keyring.by_id(key_id) is None


async def test_the_streams_of_the_api_and_of_the_dashboard_share_the_limit_of_their_key(
    bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_requests, "STREAMS_OF_ONE_KEY", 2)
    _, key = await make(bot, READ)
    _, other = await make(bot, READ)
    _, cookie = await sign_in(bot, key=key)
    async with opened(bot, "/api/events", Authorization=f"Bearer {key}"):
        async with opened(bot, "/events", Cookie=f"veilleur={cookie}"):
            status, problem = await bot.call("GET", "/api/events", key=key)
            assert (status, problem["code"]) == (503, "too_many_readers")
            assert await page(bot, cookie, "/events") == 422
            async with opened(bot, "/api/events", Authorization=f"Bearer {other}"):
                pass
        headers = {"Authorization": f"Bearer {key}"}

        async def opens() -> bool:
            async with (
                aiohttp.ClientSession() as http,
                http.get(bot.client.make_url("/api/events"), headers=headers) as answer,
            ):
                return answer.status == 200

        # The service learns a moment later that the browser closed its page.
        await eventually(opens, what="the place of the closed page")


async def test_other_keys_leave_streams_for_the_administrator(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_requests, "STREAMS", 4)
    monkeypatch.setattr(open_requests, "STREAMS_OF_ONE_KEY", 1)
    made = [(await make(bot, READ))[1] for _ in range(4)]
    async with (
        opened(bot, "/api/events", Authorization=f"Bearer {made[0]}"),
        opened(bot, "/api/events", Authorization=f"Bearer {made[1]}"),
        opened(bot, "/api/events", Authorization=f"Bearer {made[2]}"),
    ):
        assert (await bot.call("GET", "/api/events", key=made[3]))[0] == 503
        async with opened(bot, "/api/events", Authorization=f"Bearer {API_KEY}"):
            pass


async def test_a_login_lasts_two_weeks_at_most(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path / "data", clock=clock) as bot:
        _, cookie = await sign_in(bot, key=API_KEY)
        assert await page(bot, cookie) == 200
        clock.stall(14 * 86_400)
        assert await page(bot, cookie) == 303
