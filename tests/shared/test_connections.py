"""Caps, time-outs and turns of connections: strangers are closed first, reserved routes always answer."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest
from aiohttp import web

from shared.clock import SystemClock
from shared.settings import Secret
from shared.web import acceptor, auth, body, connections, middleware, ports, request_handler
from shared.web.connections import Limits, network_of
from shared.web.turns import PIPELINED_EVERY_S, Turns
from tests.support.waiting import PATIENCE_S, eventually

# Time-outs that end in no test unless it shortens them.
LIMITS = Limits(head_s=10 * PATIENCE_S, idle_s=10 * PATIENCE_S, body_grace_s=10 * PATIENCE_S)
HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
TOKEN = "the-right-token"
WAIT = f"GET /wait HTTP/1.1\r\nHost: x\r\nX-Api-Key: {TOKEN}\r\n\r\n".encode()


@dataclass
class Served:
    address: tuple[str, int]
    hold: asyncio.Event
    held: list[web.Request]

    async def open(self, sent: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(*self.address)
        writer.write(sent)
        return reader, writer

    async def ask(self, sent: bytes) -> bytes:
        """Everything that comes back until the end of the connection."""
        reader, writer = await self.open(sent)
        answer = await asyncio.wait_for(reader.read(), PATIENCE_S)
        writer.close()
        return answer

    async def status(self, path: str = "/health") -> int:
        answer = await self.ask(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        return int(answer.split()[1])


@asynccontextmanager
async def serving(limits: Limits) -> AsyncIterator[Served]:
    [sock] = ports.listening_sockets("127.0.0.1", 0)
    app = web.Application(middlewares=[middleware.problems(SystemClock())], client_max_size=50_000)
    app.on_response_prepare.append(middleware.add_headers)
    served = Served(sock.getsockname(), asyncio.Event(), [])

    async def quick(_request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def wait(request: web.Request) -> web.Response:
        if request.headers.get("X-Api-Key"):
            auth.require(request, Secret(TOKEN))
        served.held.append(request)
        await served.hold.wait()
        return web.Response(text="ok")

    async def take(request: web.Request) -> web.Response:
        return body.json_response(await body.read(request, dict[str, str]))

    async def login(request: web.Request) -> web.Response:
        await body.read_form(request, limit=body.LOGIN_BYTES)
        return web.Response(text="ok")

    app.router.add_get("/health", quick)
    app.router.add_get("/quick", quick)
    app.router.add_get("/wait", wait)
    app.router.add_post("/take", take)
    app.router.add_post("/login", login)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    acceptors = await request_handler.listen(runner, [sock], limits)
    try:
        yield served
    finally:
        for each in acceptors:
            each.close()
        await runner.cleanup()


async def ended(reader: asyncio.StreamReader) -> bool:
    """Whether the server has closed the connection, by a reset or in order."""
    try:
        return await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize("sent", [b"", b"GET /", b"GET /health HTTP/1.1\r\nHost: x\r\nX-More: ", HEALTH[:-2]])
async def test_the_oldest_connection_without_a_whole_head_is_closed_for_a_newer_one(sent: bytes) -> None:
    async with serving(replace(LIMITS, in_all=10, reserved=2)) as served:
        waiting = [await served.open(sent) for _ in range(30)]
        assert await served.status() == 200
        assert all([await ended(reader) for reader, _ in waiting[:20]])
        assert not waiting[-1][0].at_eof()
        for _, writer in waiting:
            writer.close()


async def test_connections_kept_alive_are_closed_for_newer_ones_and_not_kept_when_half_are_open() -> None:
    async with serving(replace(LIMITS, in_all=10, reserved=2)) as served:
        kept = [await served.open(HEALTH) for _ in range(4)]
        for reader, _ in kept:
            assert b"Connection: close" not in await reader.readuntil(b"\r\n\r\n")
        silent = [await served.open() for _ in range(4)]
        answer = await served.ask(b"GET /quick HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"Connection: close" in answer
        reader, writer = await served.open(HEALTH * 2)  # a health check may use its connection again
        for _ in range(2):
            assert (await asyncio.wait_for(reader.readuntil(b"ok"), PATIENCE_S)).startswith(b"HTTP/1.1 200")
        writer.close()
        more = [await served.open() for _ in range(20)]
        assert await served.status() == 200
        for _, writer in kept + silent + more:
            writer.close()


@pytest.mark.parametrize("path", sorted(connections.RESERVED_PATHS))
async def test_reserved_routes_answer_while_every_other_place_is_taken(path: str) -> None:
    async with serving(replace(LIMITS, in_all=16, reserved=2)) as served:
        waiting = [await served.open(WAIT) for _ in range(14)]
        await eventually(lambda: len(served.held) == 14, what="all of them in their handler")
        assert await served.status("/quick") == 503
        assert await served.status(path) in (200, 404)
        served.hold.set()
        for reader, writer in waiting:
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            writer.close()
        await eventually(lambda: served.status("/quick"), what="an answer")
        assert await served.status("/quick") == 200


async def test_connections_that_were_kept_do_not_take_the_places_of_reserved_routes() -> None:
    async with serving(replace(LIMITS, in_all=16, reserved=4)) as served:
        kept = [await served.open(HEALTH) for _ in range(15)]
        for reader, _ in kept:
            await reader.readuntil(b"ok")
        for _, writer in kept:
            writer.write(WAIT)
        await eventually(lambda: len(served.held) == 12, what="as many in their handler as may be")
        refused = [reader for reader, _ in kept[12:]]
        assert all([(await reader.readline()).startswith(b"HTTP/1.1 503") for reader in refused])
        assert await served.status() == 200
        served.hold.set()
        for reader, writer in kept:
            await reader.read(1)
            writer.close()


async def test_a_caller_without_a_key_gives_way_while_served_and_one_with_a_key_does_not() -> None:
    async with serving(replace(LIMITS, in_all=10, reserved=2)) as served:
        known = await served.open(WAIT)
        await eventually(lambda: len(served.held) == 1, what="the known caller in the handler")
        unknown = [await served.open(WAIT.replace(TOKEN.encode(), b"")) for _ in range(8)]
        await eventually(lambda: len(served.held) == 9, what="the others too")
        newer = [await served.open(b"GET /") for _ in range(12)]
        assert await served.status() == 200
        assert all([await ended(reader) for reader, _ in unknown])
        served.hold.set()
        assert (await known[0].readline()).startswith(b"HTTP/1.1 200")
        for _, writer in [known, *unknown, *newer]:
            writer.close()


async def test_one_public_address_takes_its_share_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "network_of", lambda _address: "203.0.113.7")
    async with serving(replace(LIMITS, per_address=3)) as served:
        waiting = [await served.open(b"GET /") for _ in range(3)]
        reader, writer = await served.open(HEALTH)
        assert await ended(reader)
        writer.close()
        waiting.pop()[1].close()
        await eventually(lambda: _answers(served), what="a place after one has left")
        for _, writer in waiting:
            writer.close()


async def _answers(served: Served) -> bool:
    try:
        return await served.status() == 200
    except (ConnectionError, IndexError):
        return False


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("127.0.0.1", None),
        ("10.1.2.3", None),
        ("172.18.0.1", None),
        ("100.64.0.9", None),
        ("::1", None),
        ("fd00::1", None),
        ("fe80::1%eth0", None),
        ("8.8.8.8", "8.8.8.8"),
        ("2a00:1450:4007:80e::200e", "2a00:1450:4007:80e::/64"),
    ],
)
def test_private_addresses_may_be_proxies_and_have_no_share(address: str, network: str | None) -> None:
    assert network_of(address) == network


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET",
        b"GET /health HTTP/1.1\r\nX: ",
        HEALTH + b"GET /health",  # the second head of a connection
    ],
)
async def test_a_head_that_does_not_end_in_time_closes_the_connection(
    sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "SWEEP_S", 0.05)
    async with serving(replace(LIMITS, head_s=0.2, idle_s=0.3)) as served:
        reader, writer = await served.open(sent)
        rest = await asyncio.wait_for(reader.read(), PATIENCE_S)
        assert rest.count(b"HTTP/1.1 ") == sent.count(b"\r\n\r\n")
        writer.close()


async def test_a_byte_a_second_does_not_hold_a_head_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SWEEP_S", 0.05)
    async with serving(replace(LIMITS, head_s=0.3)) as served:
        reader, writer = await served.open(b"GET /health HTTP/1.1\r\n")

        async def drip() -> None:
            while True:
                writer.write(b"X: y\r\n")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        assert await ended(reader)
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)
        writer.close()


@pytest.mark.parametrize("line", [b"X-%d: y\r\n", b"Cookie: a%d=b\r\n", b"X-%d: " + b"z" * 8000 + b"\r\n"])
async def test_a_head_without_end_is_refused(line: bytes) -> None:
    async with serving(LIMITS) as served:
        reader, writer = await served.open(b"GET /health HTTP/1.1\r\nHost: x\r\n")

        async def send_on() -> None:
            number = 0
            while True:
                writer.write(line % number)
                number += 1
                await writer.drain()

        sending = asyncio.create_task(send_on())
        answer = await asyncio.wait_for(reader.readline(), PATIENCE_S)
        assert answer.startswith(b"HTTP/1.1 400 ")
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(sending, PATIENCE_S)
        writer.close()
        assert await served.status() == 200


@pytest.mark.parametrize("length", [b"Content-Length: 40000", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize("path", [b"/take", b"/login"])
async def test_a_body_that_arrives_too_slowly_is_408(
    path: bytes, length: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "SWEEP_S", 0.05)
    kind = b"application/x-www-form-urlencoded"
    if path == b"/login" and length.startswith(b"Content"):
        length = b"Content-Length: 4000"
    async with serving(replace(LIMITS, body_grace_s=0.3)) as served:
        head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\n%s\r\n\r\n" % (path, kind, length)
        answer = await served.ask(head + b"1\r\na\r\n")
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"too_slow" in answer


@pytest.mark.parametrize("begun", [b"1000\r\n" + bytes(4096), b"20000\r\n" + bytes(0x20000), b"1\r\na\r\n" * 5000])
async def test_a_login_is_read_up_to_its_limit_whatever_its_coding(begun: bytes) -> None:
    head = b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    async with serving(LIMITS) as served:
        answer = await served.ask(head + b"Transfer-Encoding: chunked\r\n\r\n" + begun + b"\r\n1\r\na\r\n")
        assert answer.startswith(b"HTTP/1.1 413 ")
        answer = await served.ask(head + b"Content-Length: 4097\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 413 ")
        answer = await served.ask(head + b"Connection: close\r\nContent-Length: 3\r\n\r\na=b")
        assert answer.startswith(b"HTTP/1.1 200 ")


async def test_a_body_of_an_unknown_caller_gives_way_to_newer_connections() -> None:
    head = b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    async with serving(replace(LIMITS, in_all=10, reserved=2)) as served:
        waiting = [await served.open(head + b"Content-Length: 100\r\n\r\na") for _ in range(30)]
        assert await served.status("/quick") == 200
        assert await ended(waiting[0][0])
        for _, writer in waiting:
            writer.close()


async def test_requests_that_wait_for_no_answer_begin_at_a_fixed_rate_and_delay_no_one() -> None:
    one = b"GET /quick HTTP/1.1\r\nHost: x\r\n\r\n"
    async with serving(LIMITS) as served:
        count, begun = 40, time.monotonic()
        senders = [await served.open(one * count) for _ in range(5)]
        others = 0
        done = asyncio.gather(*(_heads(reader, count) for reader, _ in senders))
        while not done.done():
            assert await served.status("/quick") == 200
            others += 1
        await done
        # The first of each connection is not one of them.
        assert time.monotonic() - begun >= len(senders) * (count - 1) * PIPELINED_EVERY_S
        assert others > 50
        for _, writer in senders:
            writer.close()


async def test_a_connection_that_ends_leaves_no_gap_in_the_rate() -> None:
    one = b"GET /quick HTTP/1.1\r\nHost: x\r\n\r\n"
    async with serving(LIMITS) as served:
        for _ in range(100):
            _, writer = await served.open(one * 3)
            writer.transport.abort()
        reader, writer = await served.open(one * 3)
        await _heads(reader, 3)
        writer.close()


async def _heads(reader: asyncio.StreamReader, count: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        for _ in range(count):
            await reader.readuntil(b"\r\n\r\n")


async def test_one_request_of_each_queue_begins_at_a_turn_in_order() -> None:
    turns, seen = Turns(), []
    begun: list[int] = []

    def begin(number: int) -> Callable[[], None]:
        return lambda: begun.append(number)

    for number in range(6):
        turns.add(begin(number), first=number % 3 == 2)
    for _ in range(5):
        await asyncio.sleep(0)
        seen.append(list(begun))
    assert seen == [[2, 0], [2, 0, 5, 1], [2, 0, 5, 1, 3], [2, 0, 5, 1, 3, 4], [2, 0, 5, 1, 3, 4]]


async def test_refused_connections_are_one_line_of_the_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(connections, "network_of", lambda _address: "203.0.113.7")
    monkeypatch.setattr(request_handler.Refusals, "EVERY_S", 0.2)
    async with serving(replace(LIMITS, per_address=1)) as served:
        _, kept = await served.open()
        for _ in range(100):
            reader, writer = await served.open(HEALTH)
            assert await ended(reader)
            writer.close()
        lines: list[str] = []

        def summed_up() -> bool:
            lines.extend(capsys.readouterr().out.splitlines())
            return any("more connections were refused" in line for line in lines)

        await eventually(summed_up, what="the line that counts the others")
        assert len([line for line in lines if "server.refused" in line]) < 20
        kept.close()


async def test_without_descriptors_accepting_goes_on_when_there_are_some_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor, "RETRY_S", 0.02)
    left = 20

    class Exhausted(socket.socket):
        def accept(self) -> tuple[socket.socket, object]:
            nonlocal left
            if left:
                left -= 1
                raise OSError(24, "Too many open files")
            return super().accept()

    [plain] = ports.listening_sockets("127.0.0.1", 0)
    with Exhausted(fileno=plain.detach()) as listener:
        refused: list[str] = []
        table = connections.Connections(LIMITS, refused=refused.append)
        accepted: list[connections.Connection] = []
        gone = asyncio.Event()

        class Accepted(asyncio.Protocol):
            def connection_lost(self, exc: Exception | None) -> None:
                gone.set()

        def make(connection: connections.Connection) -> asyncio.Protocol:
            accepted.append(connection)
            return Accepted()

        taking = acceptor.Acceptor(listener, table, make, refused=refused.append)
        _, writer = await asyncio.open_connection(*listener.getsockname())
        await eventually(lambda: len(accepted) == 1, what="the connection after descriptors are free again")
        assert refused == ["Too many open files"] * 20
        taking.close()
        writer.close()
        table.close()
        await asyncio.wait_for(gone.wait(), PATIENCE_S)  # else its socket is open when the test ends


async def test_a_connection_that_was_just_accepted_ends_with_the_listener() -> None:
    [listener] = ports.listening_sockets("127.0.0.1", 0)
    table = connections.Connections(LIMITS, refused=lambda _why: None)
    taking = acceptor.Acceptor(listener, table, lambda _connection: asyncio.Protocol(), refused=lambda _why: None)
    with socket.create_connection(listener.getsockname()) as client:
        taking._accept()  # as the loop does; nothing else runs before the end
        taking.close()
        client.setblocking(False)
        assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 1), PATIENCE_S) == b""
    assert not taking._opening
