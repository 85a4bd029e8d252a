"""GET over real connections: names, families, redirects, TLS, and targets that break off in every way."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fake_whatsapp import tls
from tests.support.processes import free_port
from tests.support.waiting import eventually
from watchdog.probes import http_get, reasons
from watchdog.probes.http1 import Answer, BadHttp, CutShort

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Scripted:
    """Answers request after request with the bytes of ``answers``, keeps what was asked, and then ends the connection."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.answers: list[bytes] = []
        self.ended = 0
        self.port = 0
        self._servers: list[asyncio.Server] = []

    async def listen(self, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None, port: int = 0) -> int:
        server = await asyncio.start_server(self._serve, host, port, ssl=tls)
        self._servers.append(server)
        self.port = server.sockets[0].getsockname()[1]
        return self.port

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.asked.append(await reader.readuntil(b"\r\n\r\n"))
            answer = self.answers.pop(0) if self.answers else OK
            if answer == b"RESET":
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                writer.transport.abort()
                return
            writer.write(answer)
            if answer.endswith(b"OPEN"):
                await reader.read()  # until the other side goes
            else:
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.ended += 1
            writer.close()

    def close(self) -> None:
        for server in self._servers:
            server.close()


@pytest.fixture
async def server() -> AsyncIterator[Scripted]:
    scripted = Scripted()
    yield scripted
    scripted.close()


async def test_the_request_says_what_a_ping_has_to_say(server: Scripted) -> None:
    port = await server.listen()
    assert await http_get.get(f"http://127.0.0.1:{port}/health?full=1") == Answer(200, None, b"ok")
    lines = server.asked[0].decode().split("\r\n")
    assert lines[0] == "GET /health?full=1 HTTP/1.1"
    assert f"Host: 127.0.0.1:{port}" in lines
    assert {"Connection: close", "Accept: application/json", "Cache-Control: no-cache"} <= set(lines)


async def test_a_name_and_a_password_of_a_redirect_are_not_sent(server: Scripted) -> None:
    port = await server.listen()
    await http_get.get(f"http://ann:p%40ss@127.0.0.1:{port}/")
    assert b"Authorization" not in server.asked[0]
    assert b"ann" not in server.asked[0]


async def test_a_name_is_looked_up_and_both_families_are_tried(server: Scripted) -> None:
    port = await server.listen("127.0.0.1")  # localhost is ::1 as well, where nothing listens
    assert (await http_get.get(f"http://localhost:{port}/")).status == 200
    assert b"\r\nHost: localhost:%d\r\n" % port in server.asked[0]


async def test_an_ipv6_address_is_asked_as_it_stands(server: Scripted) -> None:
    port = await server.listen("::1")
    assert (await http_get.get(f"http://[::1]:{port}/")).status == 200
    assert b"\r\nHost: [::1]:%d\r\n" % port in server.asked[0]


async def test_nobody_on_either_family_is_refused() -> None:
    with pytest.raises(OSError) as raised:
        await http_get.get(f"http://localhost:{free_port()}/")
    assert reasons.of(raised.value).reason == "connect_refused"


async def test_redirects_are_followed_and_counted(server: Scripted) -> None:
    port = await server.listen()
    server.answers = [
        b"HTTP/1.1 302 Found\r\nLocation: /caf\xc3\xa9 1\r\n\r\n",
        b"HTTP/1.1 308 Permanent\r\nLocation: http://localhost:%d/there\r\n\r\n" % port,
    ]
    assert (await http_get.get(f"http://127.0.0.1:{port}/")).status == 200
    assert [asked.split(b" ")[1] for asked in server.asked][0::2] == [b"/", b"/there"]
    server.answers = [b"HTTP/1.1 301 Moved\r\nLocation: /again\r\n\r\n"] * 9
    with pytest.raises(http_get.RedirectLoop) as raised:
        await http_get.get(f"http://127.0.0.1:{port}/")
    assert reasons.of(raised.value).reason == "redirect_loop"
    assert len(server.asked) == 3 + 1 + http_get.MAX_REDIRECTS


@pytest.mark.parametrize("location", ["ftp://127.0.0.1/", "http://127.0.0.1:99999/", "http://[::1/"])
async def test_a_redirect_to_nowhere_is_bad_http(server: Scripted, location: str) -> None:
    port = await server.listen()
    server.answers = [f"HTTP/1.1 302 Found\r\nLocation: {location}\r\n\r\n".encode()]
    with pytest.raises(BadHttp) as raised:
        await http_get.get(f"http://127.0.0.1:{port}/")
    assert reasons.of(raised.value).reason == "bad_http"


async def test_a_redirect_without_an_address_is_an_answer(server: Scripted) -> None:
    port = await server.listen()
    server.answers = [b"HTTP/1.1 304 Not Modified\r\n\r\n"]
    assert (await http_get.get(f"http://127.0.0.1:{port}/")).status == 304


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "disconnected"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "disconnected"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "disconnected"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok", "disconnected"),
        (b"SMTP ready\r\n", "bad_http"),
        (b"RESET", "connect_reset"),
    ],
)
async def test_an_answer_that_breaks_off_has_its_name(server: Scripted, answer: bytes, reason: str) -> None:
    port = await server.listen()
    server.answers = [answer]
    with pytest.raises((CutShort, BadHttp, OSError)) as raised:
        await http_get.get(f"http://127.0.0.1:{port}/")
    assert reasons.of(raised.value).reason == reason


async def test_a_wait_that_is_given_up_ends_the_connection(server: Scripted) -> None:
    port = await server.listen()
    server.answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nOPEN"]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await http_get.get(f"http://127.0.0.1:{port}/")
    await eventually(lambda: server.ended == 1, what="the end of the connection")


async def test_tls_is_spoken_and_certificates_are_judged(
    server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, context = tls.make(tmp_path, ["localhost"])
    port = await server.listen(tls=context)
    with pytest.raises(ssl.SSLError) as raised:
        await http_get.get(f"https://localhost:{port}/")
    assert reasons.of(raised.value).reason == "tls"
    trusting = ssl.create_default_context(cafile=str(authority))
    monkeypatch.setattr(http_get, "_tls", lambda: trusting)
    assert (await http_get.get(f"https://localhost:{port}/")).body == b"ok"
    with pytest.raises(ssl.SSLError) as raised:
        await http_get.get(f"https://127.0.0.1:{port}/")  # a name that the certificate does not hold
    assert reasons.of(raised.value).reason == "tls"


async def test_plain_text_where_tls_is_expected_is_a_fault_of_tls() -> None:
    ended = asyncio.Event()

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        await reader.read()
        writer.close()
        ended.set()

    plain = await asyncio.start_server(greet, "127.0.0.1", 0)
    with pytest.raises(ssl.SSLError) as raised:
        await http_get.get(f"https://localhost:{plain.sockets[0].getsockname()[1]}/")
    assert reasons.of(raised.value).reason == "tls"
    await ended.wait()
    plain.close()
