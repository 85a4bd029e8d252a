"""Encoded bodies: refused on every route of both programs, and many of them at once cost next to nothing."""

from __future__ import annotations

import asyncio
import gzip
import re
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from aiohttp import web

from bot_service.dialects.evolution import routes as evolution
from bot_service.dialects.waha import routes as waha
from tests.security.conftest import Running
from tests.support.bot_app import running as running_bot
from tests.support.members import members
from tests.support.memory import Peak
from tests.support.processes import API_KEY, WATCHDOG_TOKEN, Program
from tests.support.waiting import PATIENCE_S
from tests.support.watchdog_app import running_watchdog

Send = Callable[..., Awaitable[aiohttp.ClientResponse]]
Started = Callable[[Path], AbstractAsyncContextManager[tuple[web.Application, Send]]]
FORM = "Content-Type: application/x-www-form-urlencoded"
# Refusals there have the form of another API.
OF_DIALECTS = (*waha.EDGE.prefixes, *evolution.EDGE.prefixes)
HERE = "Sec-Fetch-Site: same-origin"


@asynccontextmanager
async def _bot(folder: Path) -> AsyncIterator[tuple[web.Application, Send]]:
    async with running_bot(folder) as started:
        yield started.app, started.client.request


@asynccontextmanager
async def _watchdog(folder: Path) -> AsyncIterator[tuple[web.Application, Send]]:
    async with running_watchdog(folder, "http://127.0.0.1:9") as started:

        async def send(method: str, path: str, **kwargs: Any) -> aiohttp.ClientResponse:
            return await started.http.request(method, started.url + path, **kwargs)

        yield started.app, send


@pytest.mark.parametrize("started", [_bot, _watchdog])
async def test_an_encoded_body_is_415_on_every_route(started: Started, tmp_path: Path) -> None:
    packed = gzip.compress(b"{}")
    async with started(tmp_path) as (app, send):
        for method, path in sorted(_routes(app) | {("POST", "/nowhere"), ("POST", "/api/nowhere"), ("PUT", "/health")}):
            for key in ({}, {"Authorization": f"Bearer {API_KEY}"}, {"Authorization": f"Bearer {WATCHDOG_TOKEN}"}):
                headers = {"Content-Encoding": "gzip", "Content-Type": "application/json", **key}
                async with await send(method, path, data=packed, headers=headers) as response:
                    assert response.status == 415, (method, path)
                    of_dialect = path.startswith(OF_DIALECTS)
                    assert response.content_type == f"application/{'json' if of_dialect else 'problem+json'}", path
                    if method != "HEAD":
                        assert (await response.json(content_type=None))["code"] == "unsupported_encoding"


def _routes(app: web.Application) -> set[tuple[str, str]]:
    found = {
        (route.method, re.sub(r"\{[^}]+\}", "one", route.resource.canonical))
        for route in app.router.routes()
        if route.resource is not None and route.method != "*"
    }
    assert len(found) > 15
    return found


def _bomb() -> bytes:
    """500 MB of zeros as 0.5 MB of gzip."""
    packer, block = zlib.compressobj(9, zlib.DEFLATED, 31), bytes(2**20)
    return b"".join(packer.compress(block) for _ in range(500)) + packer.flush()


def _request(path: str, body: bytes, *lines: str) -> bytes:
    head = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *lines, "", ""]
    return "\r\n".join(head).encode() + body


def _chunked(path: str, body: bytes, *lines: str) -> bytes:
    head = [f"POST {path} HTTP/1.1", "Host: x", *lines, "", ""]
    return "\r\n".join(head).encode() + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


def _of_strangers(path: str) -> list[bytes]:
    """What anybody can send: no request holds a key. ``path`` needs one."""
    bomb = _bomb()
    part = (
        b'--x\r\nContent-Disposition: form-data; name="token"; filename="x"\r\nContent-Encoding: gzip\r\n\r\n%s\r\n--x--\r\n'
        % bomb
    )
    return [
        _request(path, bomb, "Content-Encoding: gzip"),
        _request(path, bomb[10:-8], "Content-Encoding: deflate"),
        _request(path, bomb, "Content-Encoding: identity", "Content-Encoding: GZIP", "Authorization: Bearer wrong"),
        _request("/login", bomb, "Content-Encoding: gzip", FORM, HERE),
        _request("/login", part, "Content-Type: multipart/form-data; boundary=x", HERE),
        _request("/nowhere", bomb, "Content-Encoding: gzip"),
        _request("/health", bomb, "Content-Encoding: gzip"),
        _chunked(path, bomb, "Content-Encoding: gzip", "Transfer-Encoding: chunked"),
        _chunked(path, bomb, "Transfer-Encoding: gzip, chunked"),
    ]


async def _send(program: Program, request: bytes) -> int:
    """The status; returns when the program has closed the connection, or kept it for another request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", program.port)
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    if b"connection: close" in head.lower():
        await reader.read()
    writer.close()
    return int(head.split()[1])


@pytest.mark.system
@pytest.mark.long
@pytest.mark.parametrize(("name", "path"), members([("bot", "/api/sessions"), ("watchdog", "/api/pause")]))
async def test_packed_bodies_of_strangers_stop_neither_program(running: Running, name: str, path: str) -> None:
    program = getattr(running, name)
    requests = _of_strangers(path)
    process = psutil.Process(program.pid)
    seconds, peak = sum(process.cpu_times()[:2]), Peak(program.pid)
    sent = asyncio.gather(*(_send(program, requests[n % len(requests)]) for n in range(250)))
    patience = aiohttp.ClientTimeout(total=PATIENCE_S)
    async with aiohttp.ClientSession(timeout=patience) as http:
        while not sent.done():
            async with http.get(f"{program.url}/health") as response:
                assert response.status == 200
    assert set(await asyncio.wait_for(sent, PATIENCE_S)) <= {403, 415}
    # Unpacking what was sent takes a minute of processor time, and 125 GB to hold or discard.
    assert sum(process.cpu_times()[:2]) - seconds < 5
    assert peak.grown_bytes() < 150 * 2**20
    assert program.process.poll() is None
