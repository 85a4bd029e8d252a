"""The look at the version page: one request, bounded in time and size, through each kind of proxy."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot_service.engines import version_page
from bot_service.engines.version_page import PageError, VersionPage

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def served(handler: Handler) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/sw.js", handler)
    async with TestServer(app) as server:
        yield str(server.make_url("/sw.js"))


async def test_the_page_is_asked_for_as_a_browser_asks_and_read_whole() -> None:
    seen: dict[str, str] = {}

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.update(request.headers)
        return web.Response(text="é" * 300_000 + '"client_revision":1052000000,')

    async with served(answer) as url:
        assert (await VersionPage(url, None).read()).endswith('"client_revision":1052000000,')
    assert seen["Sec-Fetch-Mode"] == "navigate"
    assert seen["User-Agent"].startswith("Mozilla/5.0")
    assert "Cookie" not in seen


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    try:
        for _ in range(1000):
            await response.write(b"x" * 65_536)
    except ConnectionError:
        pass
    return response


async def silent(request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    return web.Response()


async def drip(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    try:
        for _ in range(600):
            await response.write(b"x")
            await asyncio.sleep(0.05)
    except ConnectionError:
        pass
    return response


async def bomb(request: web.Request) -> web.StreamResponse:
    body = gzip.compress(b"0" * 50_000_000)
    return web.Response(body=body, headers={"Content-Encoding": "gzip"})


def status(code: int, **headers: str) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=code, text='"client_revision":1052000000', headers=headers)

    return answer


@pytest.mark.parametrize(
    ("handler", "result"),
    [
        (endless, "bad_answer"),
        (silent, "timeout"),
        (drip, "timeout"),
        (bomb, "bad_answer"),
        (status(404), "bad_answer"),
        (status(429), "bad_answer"),
        (status(500), "bad_answer"),
        (status(302, Location="http://127.0.0.1:1/"), "bad_answer"),
    ],
)
async def test_an_answer_that_cannot_be_used_ends_the_look_with_a_reason(
    monkeypatch: pytest.MonkeyPatch, handler: Handler, result: str
) -> None:
    monkeypatch.setattr(version_page, "TIMEOUT_S", 0.5 if result == "timeout" else 10.0)
    async with served(handler) as url:
        with pytest.raises(PageError) as caught:
            await VersionPage(url, None).read()
    assert caught.value.result == result


@pytest.mark.parametrize(
    "proxy", [None, "http://user:pass-word@127.0.0.1:9", "https://127.0.0.1:9", "socks5://user:pass-word@127.0.0.1:9"]
)
async def test_a_page_that_cannot_be_reached_names_no_address(proxy: str | None) -> None:
    with pytest.raises(PageError) as caught:
        await VersionPage("https://127.0.0.1:9/sw.js", proxy).read()
    assert caught.value.result == "unreachable"
    assert "pass-word" not in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)


class Socks:
    """A SOCKS5 proxy without a password that connects to loopback; ``asked`` are the targets."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        writer.write(b"\x05\x00")
        _, _, _, kind = await reader.readexactly(4)
        host = await reader.readexactly(4 if kind == 1 else (await reader.readexactly(1))[0])
        port = int.from_bytes(await reader.readexactly(2), "big")
        self.asked.append((".".join(map(str, host)) if kind == 1 else host.decode(), port))
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x05\x00\x00\x01\x7f\x00\x00\x01" + port.to_bytes(2, "big"))
        await asyncio.gather(self._pump(reader, inner_writer), self._pump(inner_reader, writer))

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                sink.write(data)
        except ConnectionError:
            pass
        finally:
            sink.close()


async def test_a_socks_proxy_carries_the_look() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(text="the page")

    socks = Socks()
    server = await asyncio.start_server(socks.serve, "127.0.0.1", 0)
    port: Any = server.sockets[0].getsockname()[1]
    async with server, served(answer) as url:
        assert await VersionPage(url, f"socks5://127.0.0.1:{port}").read() == "the page"
    assert [port for _, port in socks.asked] == [int(url.split(":")[2].split("/")[0])]
