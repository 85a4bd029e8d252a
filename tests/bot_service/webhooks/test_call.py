"""Any 2xx is a delivery, whatever follows it; what cannot be read is no reply."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest

from bot_service.access import public_addresses
from bot_service.events.subscriptions import Target
from bot_service.webhooks.call import Attempt, attempt
from shared import http_client
from tests.support.hostile_server import Call, answers, hostile

NOW = datetime(2026, 11, 29, 12, 0, 0, tzinfo=UTC)


async def _attempt(script: Callable[[Call], Awaitable[None]], timeout_s: float = 3.0) -> Attempt:
    pool = public_addresses.connector(allow_private=True, limit=0)
    async with hostile(script) as server, http_client.session(pool) as http:
        return await attempt(http, Target("w", server.url, None), "e1", b"{}", now=NOW, timeout_s=timeout_s)


def _ok(body: bytes, head: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\n" + head + b"Content-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize(
    "raw",
    [
        b'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"reply": "half',
        b"HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 202 Accepted\r\nX: " + b"y" * 300_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20_000 + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 40_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: unfinished",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 299 Odd\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        _ok(gzip.compress(b'{"reply": "packed"}'), b"Content-Encoding: gzip\r\n"),
        _ok(b"not gzip", b"Content-Encoding: gzip\r\n"),
        _ok("{}".encode("utf-16")),
        _ok(b"[" * 60_000),
        _ok(b"{" + b'"a":{' * 5_000),
        _ok(b'{"reply": ' + b"9" * 5_000 + b"}"),
        _ok(b"x" * 70_000),
        _ok(b"\xff\xfe\xfd"),
        _ok(b""),
    ],
    ids=lambda raw: f"{raw[9:40]!r} {len(raw)}",
)
async def test_any_2xx_is_a_delivery(raw: bytes) -> None:
    found = await _attempt(answers(raw, close=True))
    assert (found.error, found.reply) == (None, None)
    assert found.status is not None
    assert 200 <= found.status < 300


async def _slow_body(call: Call) -> None:
    await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
    await call.send_for_ever(b"a", 0.2)


async def _slow_head(call: Call) -> None:
    await call.send(b"HTTP/1.1 200 OK\r\nX: ")
    await call.send_for_ever(b"a", 0.2)


async def _endless_body(call: Call) -> None:
    await call.send(b"HTTP/1.1 200 OK\r\n\r\n")
    await call.send_for_ever(b"a" * 50_000)


@pytest.mark.parametrize("script", [_slow_body, _slow_head, _endless_body])
async def test_a_2xx_that_never_ends_is_a_delivery_within_the_time_limit(
    script: Callable[[Call], Awaitable[None]],
) -> None:
    async with asyncio.timeout(30):
        found = await _attempt(script, timeout_s=2.0)
    assert (found.status, found.error, found.reply) == (200, None, None)


async def _slow_status(call: Call) -> None:
    await call.send_for_ever(b"H", 0.2)


async def _endless_interim(call: Call) -> None:
    await call.send_for_ever(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


async def _nothing(call: Call) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("script", [_slow_status, _endless_interim, _nothing])
async def test_what_never_says_a_status_is_no_delivery(script: Callable[[Call], Awaitable[None]]) -> None:
    async with asyncio.timeout(30):
        found = await _attempt(script, timeout_s=2.0)
    assert found.error is not None
    assert found.down


@pytest.mark.parametrize("value", ["9" * 400, "Sun, 31 Feb 2026 12:00:00 GMT", "-5", "\xff\xfe"])
async def test_an_unusable_retry_after_counts_as_absent(value: str) -> None:
    raw = b"HTTP/1.1 503 Busy\r\nRetry-After: " + value.encode("latin-1") + b"\r\nContent-Length: 0\r\n\r\n"
    found = await _attempt(answers(raw))
    assert (found.status, found.error, found.retry_after_s) == (503, "http_503", None)


@pytest.mark.parametrize(
    ("body", "reply"),
    [
        (b'\xef\xbb\xbf{"reply": "hello"}', "hello"),
        (json.dumps({"reply": "hello", "more": [1]}).encode(), "hello"),
        (b'{"reply": " hello "}', " hello "),
        (b'{"reply": ""}', None),
        (b'{"reply": " \\n\\t "}', None),
        (b'{"reply": "\\u200b\\u200d\\ufeff"}', None),
        (b'{"reply": "\\u2800\\u3164"}', None),
        (b'{"reply": null}', None),
        (b'{"reply": ["a"]}', None),
        (b'"hello"', None),
    ],
)
async def test_only_a_text_that_can_be_seen_is_a_reply(body: bytes, reply: str | None) -> None:
    assert (await _attempt(answers(_ok(body)))).reply == reply
