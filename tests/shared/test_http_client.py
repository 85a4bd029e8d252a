"""Whatever a server answers, a client takes a bounded amount of it, and remembers nothing."""

from __future__ import annotations

import asyncio
import gzip
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from shared import http_client
from tests.support.hostile_server import Call, answers, hostile
from tests.support.memory import Peak
from tests.support.waiting import eventually

LIMIT = aiohttp.ClientTimeout(total=3.0)


@asynccontextmanager
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with http_client.session(http_client.Connector(), timeout=LIMIT) as http:
        yield http


async def _endless_head(call: Call) -> None:
    await call.send(b"HTTP/1.1 500 Broken\r\n")
    await call.send_for_ever(b"X-%d: y\r\n" * 1000)


async def _one_endless_field(call: Call) -> None:
    await call.send(b"HTTP/1.1 500 Broken\r\nX: ")
    await call.send_for_ever(b"y" * 100_000)


async def _endless_interim(call: Call) -> None:
    await call.send_for_ever(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


async def _endless_early_hints(call: Call) -> None:
    await call.send_for_ever(b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" * 1000)


async def _endless_status_line(call: Call) -> None:
    await call.send(b"HTTP/1.1 500 ")
    await call.send_for_ever(b"a" * 100_000)


@pytest.mark.parametrize(
    "script", [_endless_head, _one_endless_field, _endless_interim, _endless_early_hints, _endless_status_line]
)
async def test_a_head_without_an_end_is_given_up_at_once(script: object) -> None:
    async with hostile(script) as server, client() as http:  # type: ignore[arg-type]
        begun, peak = time.monotonic(), Peak()
        with pytest.raises(aiohttp.ClientError):
            await http.get(server.url)
        assert time.monotonic() - begun < 2.5, "given up because of its size, not of the time"
        assert peak.grown_bytes() < 30 * 2**20


async def _a_byte_at_a_time(call: Call) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"a" * 100:
        await call.send(bytes([byte]))
        await asyncio.sleep(0.3)


async def test_an_answer_of_a_few_bytes_a_second_ends_with_the_time_limit() -> None:
    async with hostile(_a_byte_at_a_time) as server, client() as http:
        begun = time.monotonic()
        with pytest.raises((aiohttp.ClientError, TimeoutError)):
            async with http.get(server.url) as answer:
                await http_client.read(answer)
        assert time.monotonic() - begun < 20


async def _endless_body(call: Call) -> None:
    await call.send(b"HTTP/1.1 200 OK\r\n\r\n")
    await call.send_for_ever(b"a" * 100_000)


async def _endless_chunks(call: Call) -> None:
    await call.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    await call.send_for_ever(b"1\r\na\r\n" * 1000)


@pytest.mark.parametrize("script", [_endless_body, _endless_chunks])
async def test_a_body_without_an_end_is_read_to_its_limit(script: object) -> None:
    peak = Peak()
    async with hostile(script) as server, client() as http, http.get(server.url) as answer:  # type: ignore[arg-type]
        with pytest.raises(http_client.AnswerTooLarge):
            await http_client.read(answer, 10_000)
    assert peak.grown_bytes() < 30 * 2**20


@pytest.mark.parametrize("coding", [b"gzip", b"deflate", b"br"])
async def test_no_answer_is_unpacked(coding: bytes) -> None:
    bomb = gzip.compress(b"\0" * 40_000_000)
    raw = b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (coding, len(bomb))
    async with hostile(answers(raw + bomb)) as server, client() as http, http.get(server.url) as answer:
        assert await http_client.read(answer, len(bomb)) == bomb


async def test_a_cookie_reaches_no_other_request() -> None:
    raw = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n"
    async with hostile(answers(raw)) as server, client() as http:
        for path in ("/one", "/two"):
            async with http.get(server.url + path):
                pass
        assert len(server.calls) == 2
        assert not any(b"cookie" in call.head.lower() for call in server.calls)


def _closes_a_kept_connection(call: Call) -> None:
    # A reset, as from a server that closed the connection while the request was on its way.
    sock = call.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    call.writer.transport.abort()


async def _serves_one(call: Call) -> None:
    if call.number:
        _closes_a_kept_connection(call)
    else:
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


async def test_a_request_on_a_connection_that_the_receiver_closed_is_repeated_on_a_fresh_one() -> None:
    async with hostile(_serves_one) as server, client() as http:
        for number in range(5):
            async with http.post(server.url, data=b"x", headers={"webhook-id": str(number)}) as answer:
                assert answer.status == 200
        delivered = [call.number for call in server.calls].count(0)
        assert delivered == 5


async def test_a_command_without_an_id_is_not_sent_twice() -> None:
    async with hostile(_serves_one) as server, client() as http:
        async with http.post(server.url, data=b"x"):
            pass
        with pytest.raises(aiohttp.ClientError):
            await http.post(server.url, data=b"x")
        assert len(server.calls) == 2


async def _goes_on_after_the_answer(call: Call) -> None:
    await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    await asyncio.sleep(0.1)
    await call.send_for_ever(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno" * 1000)


async def test_what_comes_without_a_request_ends_the_connection() -> None:
    async with hostile(_goes_on_after_the_answer) as server, client() as http:
        for _ in range(3):
            async with http.get(server.url) as answer:
                assert await http_client.read(answer) == b"ok"
            await eventually(lambda: server.ended == server.connections, what="the end of the connection")
        assert server.connections == 3


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 204 No Content\r\nContent-Length: abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 201 Created\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 202 Accepted\r\nX: y\r\n",
    ],
)
async def test_the_status_of_a_broken_head_is_known(head: bytes) -> None:
    async with hostile(answers(head, close=True)) as server, client() as http:
        with pytest.raises(http_client.UnfinishedHead) as found:
            await http.get(server.url)
        assert found.value.status == int(head[9:12])


@pytest.mark.parametrize(
    "body", [b"", b"[" * 100_000, b"\xff", b"{", b"NaN", b"[" + b"9" * 5000 + b"]", b'{"a":"\\ud800"}']
)
def test_what_is_no_json_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match="not the expected JSON"):
        http_client.decoded(body, dict[str, str])


def test_a_byte_order_mark_before_json_is_skipped() -> None:
    assert http_client.decoded(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


async def _redirects(call: Call) -> None:
    path = call.head.split(b" ")[1]
    onward = {
        b"/once": b"/end",
        b"/loop": b"/loop",
        b"/file": b"file:///etc/passwd",
        b"/bad": b"http://[",
        b"/x": b"//xn--/",
    }
    where = onward.get(path)
    if where is None:
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    else:
        await call.send(b"HTTP/1.1 302 Found\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % where)


@pytest.mark.parametrize(
    ("path", "status", "requests"),
    [("/once", 200, 2), ("/loop", 302, 4), ("/file", 302, 1), ("/bad", 302, 1), ("/x", 302, 1)],
)
async def test_redirects_are_followed_by_rule(path: str, status: int, requests: int) -> None:
    async with hostile(_redirects) as server, client() as http:
        async with http_client.get_with_redirects(http, server.url + path, LIMIT) as answer:
            assert answer.status == status
        assert len(server.calls) == requests
