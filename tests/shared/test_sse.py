"""Server-sent events: what is written is what is read, and a slow reader loses old events only."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from shared import sse
from shared.sse import EventReader, EventStream


def read(raw: bytes) -> list[tuple[str, str]]:
    reader = EventReader()
    return [event for line in raw.splitlines(keepends=True) if (event := reader.feed(line)) is not None]


def test_what_is_formatted_is_read_back() -> None:
    raw = sse.retry(1000) + sse.event("beat", b'{"n":1}') + sse.KEEP_ALIVE + sse.event("message", b"{}", "42")
    assert read(raw) == [("beat", '{"n":1}'), ("message", "{}")]
    assert b"id: 42\n" in raw


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"data: x\r\n\r\n", [("message", "x")]),
        (b"data:x\n\n", [("message", "x")]),
        (b"event: a\n\n", []),
        (b"event: a\n\ndata: x\n\n", [("message", "x")]),
        (b": comment\nid: 1\nunknown: y\ndata: x\n\n", [("message", "x")]),
        (b"data: cut", []),
        (b"data: \xff\n\n", [("message", "\ufffd")]),
    ],
)
def test_other_servers_streams_are_read_too(raw: bytes, expected: list[tuple[str, str]]) -> None:
    assert read(raw) == expected


async def served(stream: EventStream, keep_alive_s: float | None = None) -> bytes:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = await sse.open_response(request, sse.retry(1))
        await stream.write_to(response, keep_alive_s=keep_alive_s)
        return response

    app = web.Application()
    app.router.add_get("/", handler)
    async with TestServer(app) as server, aiohttp.ClientSession() as client, client.get(server.make_url("/")) as got:
        assert (got.content_type, got.headers["Cache-Control"]) == ("text/event-stream", "no-store")
        return await got.read()


async def test_a_full_stream_keeps_the_newest_events_and_ends_when_asked() -> None:
    stream = EventStream(3)
    for number in range(4):
        stream.put(sse.event("n", b"%d" % number))
    stream.put(None)
    assert read(await served(stream)) == [("n", "2"), ("n", "3")]


async def test_a_quiet_stream_is_kept_alive() -> None:
    stream = EventStream(3)
    asyncio.get_running_loop().call_later(0.2, stream.put, None)
    assert sse.KEEP_ALIVE in await served(stream, keep_alive_s=0.02)
