"""Files to send that are named by an address: fetched within bounds, from public addresses only, stored before the answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot_service.messages import media_fetch
from tests.support.bot_app import Bot, paired, running
from tests.support.waiting import eventually

SEND = "/api/sessions/one/messages"
TO = "33612345678"
LIMIT = 1000


async def _file(request: web.Request) -> web.StreamResponse:
    name = request.match_info["name"]
    if name == "slow":
        await asyncio.Event().wait()
    if name == "endless":
        answer = web.StreamResponse()
        await answer.prepare(request)
        for _ in range(10_000):
            await answer.write(bytes(1000))
        return answer
    if name == "away":
        raise web.HTTPFound("/a.png")
    if name == "round":
        raise web.HTTPFound("/round")
    if name == "gone":
        raise web.HTTPNotFound
    headers = {"named": {"Content-Disposition": 'attachment; filename="../invoice.pdf"'}}.get(name, {})
    kind = {"a.png": "image/png", "named": "application/pdf; version=1.7"}.get(name, "application/octet-stream")
    return web.Response(body=b"content", headers={**headers, "Content-Type": kind})


@asynccontextmanager
async def _started(tmp_path: Path, *, private: str = "false") -> AsyncIterator[tuple[Bot, str]]:
    app = web.Application()
    app.router.add_get("/{name}", _file)
    async with (
        TestServer(app) as server,
        running(tmp_path, MEDIA_MAX_BYTES=str(LIMIT), WEBHOOK_ALLOW_PRIVATE=private) as bot,
    ):
        await paired(bot, "one")
        yield bot, str(server.make_url("/"))


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[tuple[Bot, str]]:
    async with _started(tmp_path, private="true") as started:
        yield started


async def sent(bot: Bot, media: dict[str, Any]) -> Any:
    status, view = await bot.call("POST", SEND, {"to": TO, "type": "document", "media": media})
    assert status == 202, view
    return (
        await eventually(lambda: next((one for _, one in bot.pool.sent if one.id == view["id"]), None), what="send")
    ).media


@pytest.mark.parametrize(
    ("path", "given", "mime_type", "file_name"),
    [
        ("a.png", {}, "image/png", "a.png"),
        ("away", {}, "image/png", "away"),
        ("named", {}, "application/pdf; version=1.7", "_invoice.pdf"),
        ("b.jpg", {}, "image/jpeg", "b.jpg"),
        ("unknown", {}, "application/octet-stream", "unknown"),
        ("a.png", {"mimeType": "image/webp", "fileName": "mine"}, "image/webp", "mine"),
    ],
)
async def test_a_file_is_fetched_and_kept(
    at: tuple[Bot, str], path: str, given: dict[str, str], mime_type: str, file_name: str
) -> None:
    bot, url = at
    media = await sent(bot, {"url": url + path, **given})
    assert (media.mime_type, media.file_name) == (mime_type, file_name)
    assert Path(media.path).read_bytes() == b"content"


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [("gone", 502, "media_not_fetched"), ("round", 502, "media_not_fetched"), ("endless", 413, "too_large")],
)
async def test_what_cannot_be_fetched_is_refused_and_nothing_is_kept(
    at: tuple[Bot, str], tmp_path: Path, path: str, status: int, code: str
) -> None:
    bot, url = at
    answer = await bot.call("POST", SEND, {"to": TO, "type": "document", "media": {"url": url + path}})
    assert (answer[0], answer[1]["code"]) == (status, code)
    assert bot.pool.sent == []
    assert not [found for found in (tmp_path / "media").rglob("*") if found.is_file()]


async def test_a_slow_server_costs_a_bounded_time(at: tuple[Bot, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_fetch, "FETCH_S", 0.2)
    bot, url = at
    answer = await bot.call("POST", SEND, {"to": TO, "type": "document", "media": {"url": f"{url}slow"}})
    assert (answer[0], answer[1]["code"]) == (502, "media_not_fetched")


@pytest.mark.parametrize(
    "media",
    [
        {},
        {"url": "ftp://example.com/a"},
        {"url": "file:///etc/passwd"},
        {"url": "http://user:word@example.com/a"},
        {"url": "http://xn--/a"},
        {"url": "https://example.com/a", "data": "AAAA"},
        {"url": ""},
        {"data": "AAAA"},
        {"url": "https://example.com/a", "mimeType": "no type"},
    ],
)
async def test_wrong_input_is_422(at: tuple[Bot, str], media: dict[str, str]) -> None:
    bot, _ = at
    status, problem = await bot.call("POST", SEND, {"to": TO, "type": "document", "media": media})
    assert status == 422, problem
    assert problem["errors"][0]["field"].startswith("media")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "10.0.0.1", "169.254.169.254", "[::ffff:127.0.0.1]"]
)
async def test_private_addresses_are_refused(tmp_path: Path, host: str) -> None:
    async with _started(tmp_path) as (bot, url):
        port = url.rstrip("/").rpartition(":")[2]
        media = {"url": f"http://{host}:{port}/a.png"}
        status, problem = await bot.call("POST", SEND, {"to": TO, "type": "document", "media": media})
        assert (status, problem["errors"][0]["field"]) == (422, "media.url"), problem
        assert "public" in problem["errors"][0]["message"]


async def test_the_same_key_fetches_once(at: tuple[Bot, str]) -> None:
    bot, url = at
    body = {"to": TO, "type": "document", "media": {"url": f"{url}a.png"}}
    one = await bot.call("POST", SEND, body, headers={"Idempotency-Key": "k"})
    two = await bot.call("POST", SEND, body, headers={"Idempotency-Key": "k"})
    other = {**body, "media": {"url": f"{url}b.jpg"}}
    three = await bot.call("POST", SEND, other, headers={"Idempotency-Key": "k"})
    assert (one[0], two[0], three[0]) == (202, 200, 409)
