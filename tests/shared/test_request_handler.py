"""No body is unpacked, an answer reaches a client that still sends, the rest is not read."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec
import pytest
from aiohttp import web
from aiohttp.typedefs import Middleware

from shared.clock import SystemClock
from shared.settings import Secret
from shared.web import auth, middleware, ports, request_handler
from tests.support.waiting import PATIENCE_S, eventually

TOKEN = "the-right-token"
KEY = f"Authorization: Bearer {TOKEN}"
PLAIN = b'{"to": "x"}'


@dataclass
class Served:
    """``seen`` has every request that reached the handler, which checks its token."""

    address: tuple[str, int]
    runner: web.AppRunner
    seen: list[web.Request] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.seen.append(request)
        auth.require(request, Secret(TOKEN))
        body = await request.read()
        return web.Response(body=b"x" * int(request.headers.get("X-Size", 0)) or body)

    def unsent(self) -> int:
        """Bytes in the buffers of all transports."""
        assert self.runner.server is not None
        transports = [each.transport for each in self.runner.server.connections]
        return sum(each.get_write_buffer_size() for each in transports if each is not None)

    def open_connections(self) -> int:
        assert self.runner.server is not None
        return len(self.runner.server.connections)


@asynccontextmanager
async def serving(*middlewares: Middleware) -> AsyncIterator[Served]:
    [sock] = ports.listening_sockets("127.0.0.1", 0)
    app = web.Application(middlewares=middlewares, client_max_size=1000)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    found = Served(sock.getsockname(), runner)
    app.router.add_route("*", "/", found.take)
    await runner.setup()
    doors = await request_handler.listen(runner, [sock])
    try:
        yield found
    finally:
        for each in doors:
            each.close()
        await runner.cleanup()


@pytest.fixture
async def served(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    monkeypatch.setattr(request_handler, "DROPPED_S", 10 * PATIENCE_S)  # never over in a test
    async with serving(middleware.problems(SystemClock())) as found:
        yield found


def head(method: str, *lines: str, path: str = "/") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *lines, "", ""]).encode()


def post(body: bytes, *lines: str, path: str = "/") -> bytes:
    return head("POST", f"Content-Length: {len(body)}", *lines, path=path) + body


def chunked(body: bytes, *lines: str) -> bytes:
    return head("POST", *lines) + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        return str(msgspec.json.decode(self.body)["code"])


async def answer(reader: asyncio.StreamReader) -> Answer:
    """The next answer on a connection that may stay open."""
    async with asyncio.timeout(PATIENCE_S):
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        return Answer(int(first.split()[1]), headers, await reader.readexactly(int(headers["content-length"])))


async def only_answer(served: Served, sent: bytes) -> Answer:
    """The answer on a connection of its own."""
    reader, writer = await asyncio.open_connection(*served.address)
    writer.write(sent)
    found = await answer(reader)
    writer.close()
    return found


@pytest.mark.parametrize(
    "value",
    [
        "gzip", "deflate", "br", "zstd", "compress", "aes128gcm", "unknown", "chunked", "GZIP", "x-gzip", "gzip;q=1",
        " gzip ", "gzip, identity", "identity,gzip", ",gzip",
    ],
)  # fmt: skip
async def test_a_body_with_a_content_encoding_is_415_and_not_unpacked(served: Served, value: str) -> None:
    packed = gzip.compress(PLAIN)
    for sent in (
        post(packed, f"Content-Encoding: {value}", KEY),
        post(packed, f"content-encoding: {value}"),
        post(packed, "Content-Encoding: identity", f"Content-Encoding: {value}", KEY),
        post(packed, f"Content-Encoding: {value}", "Content-Encoding: identity", KEY),
        post(packed, f"Content-Encoding: {value}", path="/nowhere"),
        post(b"", f"Content-Encoding: {value}", KEY),
        chunked(packed, f"Content-Encoding: {value}", KEY, "Transfer-Encoding: chunked"),
        head("GET", f"Content-Encoding: {value}"),
    ):
        found = await only_answer(served, sent)
        assert (found.status, found.code) == (415, "unsupported_encoding")
        assert found.headers["accept-encoding"] == "identity"
    assert served.seen == []


@pytest.mark.parametrize("value", ["identity", "Identity", "", " ", "identity, identity", ",identity,"])
async def test_a_body_that_is_not_encoded_may_say_so(served: Served, value: str) -> None:
    assert (await only_answer(served, post(PLAIN, f"Content-Encoding: {value}", KEY))).body == PLAIN
    twice = post(PLAIN, f"Content-Encoding: {value}", "Content-Encoding: identity", KEY)
    assert (await only_answer(served, twice)).body == PLAIN


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["Transfer-Encoding: chunked"], 200),
        (["Transfer-Encoding: Chunked"], 200),
        (["Transfer-Encoding: gzip, chunked"], 415),
        (["Transfer-Encoding: deflate,chunked"], 415),
        (["Transfer-Encoding: GZIP , chunked"], 415),
        (["Transfer-Encoding: x-gzip, chunked"], 415),
        (["Transfer-Encoding: identity, chunked"], 415),
        (["Transfer-Encoding: gzip"], 400),
        (["Transfer-Encoding: chunked, gzip"], 400),
        (["Transfer-Encoding: gzip", "Transfer-Encoding: chunked"], 400),
    ],
)
async def test_a_transfer_coding_but_chunked_is_refused(served: Served, lines: list[str], status: int) -> None:
    found = await only_answer(served, chunked(gzip.compress(PLAIN), *lines, KEY))
    assert found.status == status
    assert len(served.seen) == (status == 200)


async def test_a_connection_itself_unpacks_nothing() -> None:
    packed = gzip.compress(PLAIN)
    async with serving() as bare:
        for value in ("gzip", "GZIP", "deflate", "br", "zstd"):
            assert (await only_answer(bare, post(packed, f"Content-Encoding: {value}", KEY))).body == packed


async def test_a_connection_is_kept_after_every_answer_to_a_whole_request(served: Served) -> None:
    reader, writer = await asyncio.open_connection(*served.address)
    for sent, status in (
        (head("GET"), 401),
        (head("GET", "Authorization: Bearer wrong"), 403),
        (head("GET", path="/nowhere"), 404),
        (post(PLAIN), 401),
        (post(PLAIN, "Content-Encoding: gzip"), 415),
        (post(PLAIN, KEY), 200),
        (chunked(PLAIN, KEY, "Transfer-Encoding: chunked"), 200),
        (head("GET", KEY), 200),
    ):
        writer.write(sent)
        found = await answer(reader)
        assert (found.status, found.headers.get("connection")) == (status, None)
    writer.close()


@pytest.mark.parametrize(
    ("lines", "path", "status"),
    [
        (["Content-Length: 2000"], "/", 401),
        (["Content-Length: 2000", "Authorization: Bearer wrong"], "/", 403),
        (["Content-Length: 2000"], "/nowhere", 404),
        (["Content-Length: 2000", KEY], "/", 413),
        (["Content-Length: 2000", "Content-Encoding: gzip"], "/", 415),
        (["Transfer-Encoding: chunked"], "/", 401),
        (["Transfer-Encoding: chunked", KEY], "/", 413),
    ],
)
async def test_an_answer_before_the_end_of_the_body_closes_the_connection(
    served: Served, lines: list[str], path: str, status: int
) -> None:
    reader, writer = await asyncio.open_connection(*served.address)
    size = b"7d0\r\n" if "Transfer-Encoding: chunked" in lines else b""
    writer.write(head("POST", *lines, path=path) + size + bytes(1500))
    found = await answer(reader)
    assert (found.status, found.headers["connection"]) == (status, "close")
    assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
    writer.close()


async def test_what_comes_after_the_answer_is_not_read(served: Served) -> None:
    reader, writer = await asyncio.open_connection(*served.address)
    writer.write(head("POST", "Content-Length: 100"))
    assert (await answer(reader)).status == 401
    writer.write(bytes(100) + head("GET", KEY))
    assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
    writer.close()
    await eventually(lambda: served.open_connections() == 0, what="the end of the connection")
    [request] = served.seen
    assert request.content.total_bytes == 0


async def test_an_answer_reaches_a_client_that_sends_its_whole_body_first(served: Served) -> None:
    def ask(*lines: str) -> bytes:
        with socket.create_connection(served.address, timeout=PATIENCE_S) as client:
            client.sendall(post(bytes(5 * 2**20), *lines))
            return client.makefile("rb").readline()

    assert b" 403 " in await asyncio.to_thread(ask, "Authorization: Bearer wrong")
    assert b" 413 " in await asyncio.to_thread(ask, KEY)
    assert b" 415 " in await asyncio.to_thread(ask, "Content-Encoding: gzip")


async def test_a_client_that_goes_on_sending_is_cut_off(served: Served) -> None:
    def send_without_end() -> None:
        with socket.create_connection(served.address, timeout=PATIENCE_S) as client:
            client.sendall(head("POST", f"Content-Length: {2**40}"))
            while True:
                client.sendall(bytes(2**20))

    with pytest.raises(ConnectionError):
        await asyncio.wait_for(asyncio.to_thread(send_without_end), PATIENCE_S)
    assert served.open_connections() == 0


async def test_a_client_that_sends_nothing_more_is_not_waited_for(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_handler, "DROPPED_S", 0.01)
    reader, writer = await asyncio.open_connection(*served.address)
    writer.write(head("POST", "Content-Length: 100"))
    assert (await answer(reader)).status == 401
    await eventually(lambda: served.open_connections() == 0, what="the end of the connection")
    writer.close()


@pytest.mark.parametrize("size", [200, 65_536, 65_537, 3_000_000])
async def test_an_answer_is_complete_whatever_its_size(size: int) -> None:
    async with serving() as bare:
        found = await only_answer(bare, head("GET", f"X-Size: {size}", KEY))
        assert found.headers["content-length"] == str(size)
        assert found.body == b"x" * size


async def test_a_large_answer_that_is_not_read_is_not_held_in_memory() -> None:
    async with serving() as bare:
        clients = [socket.create_connection(bare.address) for _ in range(10)]
        for client in clients:
            client.sendall(head("GET", "X-Size: 30000000", KEY))
        await eventually(lambda: len(bare.seen) == 10, what="all requests in the handler")
        for _ in range(50):
            await asyncio.sleep(0.01)
            assert bare.unsent() < 10 * 300_000
        [*_, last] = clients
        last.settimeout(PATIENCE_S)
        received = await asyncio.to_thread(last.recv, 100)
        assert received.startswith(b"HTTP/1.1 200")
        for client in clients:
            client.close()
