"""The attacks: each runs on one program until it is cancelled, over and over, from many connections at once."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache

# Long enough for any answer, short enough to keep the pressure.
ANSWER_S = 5.0
FORM = "Content-Type: application/x-www-form-urlencoded"
HERE = "Sec-Fetch-Site: same-origin"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Target:
    """One program: ``guarded`` is a path with a body that needs a key."""

    port: int
    guarded: str


Once = Callable[[Target], Awaitable[None]]


@dataclass(frozen=True)
class Attack:
    """``once`` is repeated by ``at_once`` tasks, with ``pause_s`` between two turns of one task."""

    once: Once
    at_once: int
    pause_s: float
    about: str

    async def run(self, target: Target) -> None:
        async def again_and_again() -> None:
            while True:
                # Refused, reset or closed: what the program should do.
                with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                    await self.once(target)
                await asyncio.sleep(self.pause_s)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(self.at_once):
                tasks.create_task(again_and_again())
                await asyncio.sleep(0.001)


@asynccontextmanager
async def opened(target: Target, sent: bytes = b"") -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    try:
        writer.write(sent)
        yield reader, writer
    finally:
        writer.transport.abort()


def request(method: str, path: str, *lines: str, body: bytes = b"") -> bytes:
    length = [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *length, *lines, "", ""]).encode() + body


async def ask(target: Target, sent: bytes, *, answers: int = 1) -> None:
    """Send and read that many answers' heads, then leave."""
    async with opened(target, sent) as (reader, _), asyncio.timeout(ANSWER_S):
        for _ in range(answers):
            await reader.readuntil(b"\r\n\r\n")


async def hold(target: Target, sent: bytes, seconds: float = 60.0) -> None:
    """Send and wait until the program closes the connection."""
    async with opened(target, sent) as (reader, _):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while await reader.read(65_536):
                    pass


async def send_on(target: Target, sent: bytes, piece: bytes, pause_s: float, most_s: float = 60.0) -> None:
    """Send ``sent`` and then ``piece`` again and again, until the program closes the connection."""
    async with opened(target, sent) as (reader, writer):
        closed = asyncio.create_task(reader.read())
        try:
            async with asyncio.timeout(most_s):
                while not closed.done():
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(pause_s)
        finally:
            closed.cancel()
            await asyncio.gather(closed, return_exceptions=True)


@cache
def bomb() -> bytes:
    """500 MB of zeros as 0.5 MB of gzip."""
    packer, block = zlib.compressobj(9, zlib.DEFLATED, 31), bytes(2**20)
    return b"".join(packer.compress(block) for _ in range(500)) + packer.flush()


async def packed(target: Target) -> None:
    await ask(target, request("POST", target.guarded, "Content-Encoding: gzip", body=bomb()))
    await ask(target, request("POST", "/login", "Content-Encoding: gzip", FORM, HERE, body=bomb()))


async def chunked_login(target: Target) -> None:
    head = request("POST", "/login", FORM, HERE, "Transfer-Encoding: chunked")
    await send_on(target, head, b"10000\r\n" + bytes(0x10000) + b"\r\n", 0.01)


async def unread_bodies(target: Target) -> None:
    head = request("POST", target.guarded, "Authorization: Bearer wrong", "Content-Length: 33000000")
    await send_on(target, head, bytes(0x10000), 0.01)


async def idle(target: Target) -> None:
    await hold(target, b"")


async def half_requests(target: Target) -> None:
    await hold(target, b"GET /health HTTP/1.1\r\nHost: x\r\nX-Half: " + b"x" * 4000)


async def endless_headers(target: Target) -> None:
    await send_on(target, b"GET / HTTP/1.1\r\nHost: x\r\n", b"X-More: " + b"y" * 500 + b"\r\n", 0.01)


async def slow_heads(target: Target) -> None:
    await send_on(target, b"GET / HTTP/1.1\r\nHost: x\r\n", b"X: y\r\n", 1.0)


async def slow_bodies(target: Target) -> None:
    await send_on(target, request("POST", "/login", FORM, HERE, "Content-Length: 4000"), b"a", 1.0)


async def pipelining(target: Target) -> None:
    one = request("GET", target.guarded)
    await ask(target, one * 500, answers=200)


async def wrong_keys(target: Target) -> None:
    login = request("POST", "/login", FORM, HERE, body=b"key=vk_" + b"0" * 40 + b"&token=" + b"0" * 40)
    bearer = request("GET", target.guarded, "Authorization: Bearer vk_" + "0" * 40)
    async with opened(target) as (reader, writer), asyncio.timeout(ANSWER_S):
        for sent in (login, bearer, bearer):
            writer.write(sent)
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]))


async def big_cookies(target: Target) -> None:
    for cookie in ("a=" + "b" * 8000, "; ".join(f"c{n}=v" for n in range(1000))):
        await ask(target, request("GET", "/", f"Cookie: {cookie}"))
        await ask(target, request("GET", "/login", *(f"Cookie: {cookie}" for _ in range(3))))


async def streams(target: Target) -> None:
    upgrade = (
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {'A' * 22}==",
    )
    for path in ("/api/events", "/events", "/api/heartbeat"):
        await ask(target, request("GET", path, "Accept: text/event-stream"))
        await ask(target, request("GET", path, *upgrade) + bytes(4000))


async def public_pages(target: Target) -> None:
    async with opened(target) as (reader, writer), asyncio.timeout(ANSWER_S):
        for path in ("/login", "/", "/api/keepalive", "/docs", "/badge.svg?label=x", "/nowhere"):
            writer.write(request("GET", path))
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))


async def no_http(target: Target) -> None:
    for sent in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), b"SSH-2.0-x\r\n", b"\0" * 100_000):
        await hold(target, sent, 3.0)


async def unread_answers(target: Target) -> None:
    """Ask for pages and read nothing of them."""
    async with opened(target) as (reader, writer):
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(request("GET", "/login") * 200)
        await asyncio.sleep(10)


async def broken_off(target: Target) -> None:
    """Connect and leave at once, in order or by a reset, with or without a request."""
    for sent in (b"", request("GET", "/login"), request("POST", target.guarded, "Content-Length: 9") + b"x"):
        async with opened(target, sent):
            await asyncio.sleep(0)


async def reserved_routes(target: Target) -> None:
    """The routes that are served first, over and over."""
    await ask(target, request("GET", "/metrics", "Accept: text/plain;version=0.0.4") * 3, answers=3)
    async with opened(target) as (reader, writer), asyncio.timeout(ANSWER_S):
        for path in ("/health", "/livez", "/api/heartbeat", "/metrics"):
            writer.write(request("GET", path))
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))


async def large_files(target: Target) -> None:
    """Ask for the largest answers that need no key, and read nothing of them."""
    for path in ("/docs/files/swagger-ui-bundle.js", "/api/openapi.json", "/metrics"):
        async with opened(target) as (reader, writer):
            reader._transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(request("GET", path) * 4)
            await asyncio.sleep(3)


async def nothing(_target: Target) -> None:
    """For comparison."""


ATTACKS: dict[str, Attack] = {
    "nothing": Attack(nothing, 1, 1.0, "no attack, for comparison"),
    "packed": Attack(packed, 100, 0.2, "gzip bodies of 0.5 MB that hold 500 MB"),
    "chunked-login": Attack(chunked_login, 40, 0.05, "bodies without end for /login"),
    "unread-bodies": Attack(unread_bodies, 40, 0.05, "33 MB with a wrong key"),
    "idle": Attack(idle, 1000, 0.2, "connections that send nothing"),
    "half-requests": Attack(half_requests, 1000, 0.2, "heads of 4 kB without an end"),
    "endless-headers": Attack(endless_headers, 50, 0.05, "header after header"),
    "slow-heads": Attack(slow_heads, 600, 0.2, "a header line a second"),
    "slow-bodies": Attack(slow_bodies, 600, 0.2, "a byte a second for /login"),
    "pipelining": Attack(pipelining, 20, 0.1, "500 requests at once on each connection"),
    "wrong-keys": Attack(wrong_keys, 20, 0.02, "guesses at /login and the API"),
    "big-cookies": Attack(big_cookies, 20, 0.05, "cookies of 8 to 24 kB"),
    "streams": Attack(streams, 50, 0.05, "event streams and websockets without a key"),
    "public-pages": Attack(public_pages, 10, 0.02, "every public page, again and again"),
    "reserved-routes": Attack(reserved_routes, 20, 0.02, "/health, /livez, /metrics and the heartbeat"),
    "large-files": Attack(large_files, 300, 0.1, "large answers asked for and not read"),
    "no-http": Attack(no_http, 50, 0.05, "TLS, SSH and zeros"),
    "unread-answers": Attack(unread_answers, 200, 0.1, "200 pages asked for and not read"),
    "broken-off": Attack(broken_off, 20, 0.01, "connections that are left at once"),
}
