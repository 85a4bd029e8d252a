"""Every route of both programs with hostile requests: never a 5xx, never a traceback in the log."""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from bot_service.app import build_app as build_bot
from shared.settings import load
from tests.security.conftest import Running
from tests.support import bot_app
from tests.support.examples import examples
from tests.support.fake_pool import FakePool
from tests.support.members import members
from tests.support.operator import signed_in
from tests.support.processes import API_KEY, WATCHDOG_TOKEN, Client, Program
from watchdog.app import build_app as build_watchdog
from watchdog.ledger.sqlite import open_ledger
from watchdog.settings import WatchdogSettings

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

# Bytes as they go over the wire.
HEADERS = [
    b"Accept: application/openmetrics-text; version=x",
    b"Accept: ;;;,,,q=\xff",
    b"Accept: " + b"a/b," * 1500,
    b"Accept-Language: \xff\xfe, fr;q=nan, " + b"x" * 500,
    b"Accept-Encoding: gzip;q=x, \x80",
    b"Cookie: " + b"a=b; " * 1000 + b"lang=\xff; theme=\x80; veilleur=%00",
    b"Cookie: =; ;;; \xc3\x28=1; lang=xx; session=" + b"A" * 3000,
    b"Content-Type: \xff/\xfe; charset=\xfd",
    b"Content-Type: multipart/form-data",
    b"Content-Type: application/json; charset=utf-999",
    b"Content-Length: 0",
    b"Range: bytes=-9999999999999999999999",
    b"If-None-Match: \xff\xff",
    b"If-Modified-Since: Sun, 31 Feb 99999 99:99:99 GMT",
    b"Last-Event-ID: \xff" + b"9" * 5000,
    b"Last-Event-ID: -1",
    b"Idempotency-Key: \xff\xfe",
    b"Origin: http://[",
    b"Origin: http://xn--/\xff",
    b"Sec-Fetch-Site: \xff",
    b"X-Forwarded-Proto: \xff,\xfe",
    b"X-Forwarded-For: " + b"1," * 2000,
    b'Forwarded: for="[',
    b"Expect: 100-continue",
    b"Expect: 200-maybe",
    b"Authorization: Basic \xff",
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 99\r\nSec-WebSocket-Key: \xff",
    b"Connection: \xff, close, keep-alive",
    b"Referer: \xff\xfe",
    b"User-Agent: \x01\x1b[31m",
]
NAMES = (
    "limit", "after", "before", "offset", "page", "q", "search", "state", "session", "types", "format", "chat", "lang", "theme",
    "target", "label", "show", "lastEventId", "since", "until", "next", "code", "once", "problem", "done", "kind", "days", "hours",
)  # fmt: skip
VALUES = [
    b"%ff%fe", b"%ed%a0%80", b"%00", b"9" * 5000, b"-1", b"1e400", b"NaN", b"%EF%BC%91", b"http://xn--/", b"%0d%0aX: y", b"[" * 50, b"",
    b"../../..", b"%E2%80%AE", b"0x10", b"%", b"%zz", b"2026-99-99T99:99:99Z",
]  # fmt: skip
PATHS = [
    b"%ff%fe", b"%00", b"..", b"%2e%2e%2f%2e%2e", b"a" * 3000, b"%ed%a0%80", b"-", b"%20", b"a%0d%0ab", b"%E2%80%AE", b"9" * 400, b"%",
    b"one",
]  # fmt: skip
_ADDRESSES = [
    "http://xn--/", "https://xn--a.xn--/", "http://[fe80::1%25eth0]/", "http://[::1%]/", "http://a:0/", "http://a:99999/", "http://a:b/",
    "http://user:word@a.example/", "http:// a /", "http://a\tb/", "http://a\u202eb/", "http://[", "http://%00/", "http://..", "http:///",
    "HTTP://A.example", "http://" + "a." * 500, "http://\u2488com/", "https://\ud800/", "http://1.2.3.4.5/", "//a", "file:///etc/passwd",
]  # fmt: skip
FIELDS = (
    "id", "name", "owner", "metadata", "url", "events", "secret", "active", "to", "type", "text", "media", "location", "contact",
    "poll", "reply", "quote", "reaction", "mentions", "phone", "scopes", "expiresIn", "minutes", "durationMs", "until", "author",
    "reason", "target", "action", "webhook", "emoji", "messageId", "messageIds", "members", "subject", "numbers", "chat", "state",
    "token", "key", "start", "sessions", "bootId", "sequence", "schemaVersion",
)  # fmt: skip
ODD: list[object] = [
    None, True, -1, 2**63, 2**64, 10**400, 1.5e308, "", "\x00", "\u202e", "\U0001f468" * 50, "a" * 5000, [], [[]], [None], {}, {"": ""},
    {"a": {"b": {"c": []}}}, "9" * 5000, *_ADDRESSES,
]  # fmt: skip
RAW_JSON = [
    b"", b"null", b"[]", b"1", b'"x"', b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 20_000, b'{"name": NaN}', b'{"name": Infinity}',
    b'{"name": 1e999}', b'{"name": ' + b"9" * 6000 + b"}", b'{"name": "\\ud800"}', b'{"name": "\\udfff\\ud800"}', b'{"url": "\\ud800"}',
    b'{"name": "a", "name": "b"}', b'{"id": 1, "id": "x"}', b"\xef\xbb\xbf{}", '{"name": "x"}'.encode("utf-16"), b'{"name": "\x00"}',
    b'{"minutes": -0.0}', b'{"minutes": 1e308}', b'{"minutes": NaN}', b'{"durationMs": 99999999999999999999}', b'{"until": "0000-00-00"}',
    b'{"until": "9999-12-31T23:59:59+23:59"}', b'{"until": "0001-01-01T00:00:00+23:59"}',
]  # fmt: skip
FORM = b"application/x-www-form-urlencoded"
PARTS = b"multipart/form-data; boundary=x"
RAW_FORMS = [
    (FORM, b"name=%ff&id=%fe"), (FORM, b"\xff=\xff"), (FORM, b"a=1&" * 2000), (FORM, b"=&=&&&"), (FORM, b"token=%00&key=%ed%a0%80"),
    (FORM + b"; charset=utf-7", b"a=b"), (FORM, b"next=http://[&name=%E2%80%AE"),
    (b"multipart/form-data", b"x"), (PARTS, b"--x"), (PARTS, b"--x\r\n\r\n"), (PARTS, b"--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--"),
    (PARTS, b'--x\r\nContent-Disposition: form-data; name="\xff\xfe"\r\n\r\na\r\n--x--\r\n'),
    (PARTS, b'--x\r\nContent-Disposition: form-data; name="file"; filename="\xff/../a\x00"\r\nContent-Type: \xff\r\n\r\na\r\n--x--\r\n'),
    (PARTS, b'--x\r\nContent-Disposition: form-data; name="to"\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!\r\n--x--\r\n'),
    (PARTS, b'--x\r\nContent-Type: multipart/mixed; boundary=y\r\nContent-Disposition: form-data; name="a"\r\n\r\n--y\r\n\r\n--y--\r\n--x--\r\n'),
    (PARTS, b"--x\r\n" + b"X: y\r\n" * 2000 + b"\r\na\r\n--x--\r\n"), (b"multipart/form-data; boundary=" + b"b" * 300, b"--" + b"b" * 300),
    (b"multipart/mixed; boundary=\"", b"--\""), (b"application/msgpack", b"\xc1"), (b"text/plain; charset=\xff", b"a"),
]  # fmt: skip


def _routes(app: web.Application) -> list[tuple[str, str]]:
    found = {(route.method, route.resource.canonical) for route in app.router.routes() if route.resource is not None}
    return sorted((method, path) for method, path in found if method not in ("HEAD", "*"))


def _of_bot() -> list[tuple[str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        return _routes(build_bot(bot_app.settings(Path(folder)), pool=FakePool(online=True)))


def _of_watchdog() -> list[tuple[str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        given = {"DATA_DIR": folder, "BOT_URL": "http://127.0.0.1:9", "WATCHDOG_TOKEN": WATCHDOG_TOKEN}
        ledger = open_ledger(Path(folder) / "watchdog.db")
        try:
            return _routes(build_watchdog(load(WatchdogSettings, given), ledger))
        finally:
            ledger.close()


def _requests(method: str, path: str) -> Iterator[tuple[bytes, list[bytes], bytes]]:
    """(target, header lines, body) of every hostile request to one route."""
    plain = re.sub(r"\{[^}]*\}", "one", path).encode()
    if "{" in path:
        for each in PATHS:
            yield re.sub(rb"\{[^}]*\}", lambda _, each=each: each, path.encode()), [], b""  # type: ignore[misc]
    for header in HEADERS:
        yield plain, [header], b""
    if method == "GET":
        for value in VALUES:
            yield plain + b"?" + b"&".join(name.encode() + b"=" + value[:600] for name in NAMES), [], b""
        for name in NAMES:
            yield plain + b"?" + name.encode() + b"=" + VALUES[len(name) % len(VALUES)], [], b""
        return
    for body in RAW_JSON:
        yield plain, [b"Content-Type: application/json"], body
    for odd in ODD:
        yield plain, [b"Content-Type: application/json"], json.dumps(dict.fromkeys(FIELDS, odd)).encode()
    for field in FIELDS:
        for odd in ODD[len(field) % 3 :: 3]:
            yield plain, [b"Content-Type: application/json"], json.dumps({field: odd}).encode()
    for kind, body in RAW_FORMS:
        yield plain, [b"Content-Type: " + kind], body


async def _status(program: Program, method: str, target: bytes, lines: list[bytes], body: bytes) -> int:
    """The status of one request; 0 when the connection is closed without one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", program.port)
    length = (
        [] if any(line.lower().startswith(b"content-length") for line in lines) else [b"Content-Length: %d" % len(body)]
    )
    head = [method.encode() + b" " + target + b" HTTP/1.1", b"Host: 127.0.0.1", *length, *lines]
    try:
        writer.write(b"\r\n".join([*head, b"", body]))
        line = await asyncio.wait_for(reader.readline(), 60)
        while line.startswith(b"HTTP/1.1 100"):
            while (line := await asyncio.wait_for(reader.readline(), 60)) not in (b"\r\n", b""):
                pass
            line = await asyncio.wait_for(reader.readline(), 60)
        return int(line.split()[1]) if line else 0
    except ConnectionError:
        return 0
    finally:
        writer.close()


async def _crashes(program: Program, routes: list[tuple[str, str]], key_of: Callable[[str], bytes]) -> list[str]:
    """The requests that were answered with a fault. Asserts that most others got past the key."""
    found: list[str] = []
    statuses: Counter[int] = Counter()
    # `make test` sends every fifth, `make test-deep` all of them.
    number, stride = 0, 5 if examples(1) == 1 else 1
    # What ends logins and sessions comes last, so that the others still have them.
    for method, path in sorted(routes, key=lambda route: (route[0] == "DELETE" or "log" in route[1], route)):
        for target, lines, body in _requests(method, path):
            number += 1
            if number % stride:
                continue
            own = [] if any(line.startswith(b"Authorization") for line in lines) else [key_of(path)]
            status = await _status(program, method, target, lines + own, body)
            statuses[status] += 1
            # 501 and 503 with a reason are answers; 500 and 502 are faults.
            if status >= 500 and status not in (501, 503):
                found.append(f"{method} {target[:80]!r} {lines[:1]!r} {body[:80]!r}: {status}")
    assert statuses[401] < sum(statuses.values()) / 3, statuses
    assert sum(statuses[status] for status in (400, 422, 415)) > 20, statuses
    return found


def _tracebacks(program: Program) -> list[str]:
    return [
        f"{line.get('event')}: {line.get('message')} {str(line.get('exception', ''))[-500:]}"
        for line in program.events()
        if line.get("exception") or line.get("event") == "http.crash"
    ]


@pytest.mark.properties
@pytest.mark.parametrize("part", members(range(12)))
async def test_no_route_of_the_bot_service_answers_hostile_input_with_a_crash(running: Running, part: int) -> None:
    async with Client(running.bot.url) as client:
        status, _ = await client.call("POST", "/api/sessions", {"id": "one"})
        assert status in (201, 409)
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
        http.post(
            running.bot.url + "/login", data={"key": API_KEY}, headers={"Sec-Fetch-Site": "same-origin"},
            allow_redirects=False,
        ) as answer,
    ):  # fmt: skip
        assert answer.status == 303
        login = "; ".join(f"{name}={morsel.value}" for name, morsel in answer.cookies.items())

    def key_of(path: str) -> bytes:
        if path in ("/api/keepalive", "/api/heartbeat", "/api/repair"):
            return f"Authorization: Bearer {WATCHDOG_TOKEN}".encode()
        if path.startswith(("/api", "/waha", "/evolution", "/message", "/mcp", "/metrics", "/health", "/livez")):
            return f"Authorization: Bearer {API_KEY}".encode()
        return f"Cookie: {login}\r\nSec-Fetch-Site: same-origin".encode()

    routes = _of_bot()
    assert len(routes) > 60
    before = len(_tracebacks(running.bot))
    assert await _crashes(running.bot, routes[part::12], key_of) == []
    assert _tracebacks(running.bot)[before:] == []


@pytest.mark.properties
async def test_no_route_of_the_watchdog_answers_hostile_input_with_a_crash(running: Running) -> None:
    routes, token = _of_watchdog(), f"Authorization: Bearer {WATCHDOG_TOKEN}".encode()
    assert len(routes) > 10
    async with signed_in(running.watchdog.url) as operator:
        cookies = operator.http.cookie_jar.filter_cookies(URL(running.watchdog.url))
        login = "; ".join(f"{name}={morsel.value}" for name, morsel in cookies.items())

    def key_of(path: str) -> bytes:
        return f"Cookie: {login}\r\nSec-Fetch-Site: same-origin".encode() if path.startswith("/operator") else token

    before = len(_tracebacks(running.watchdog))
    assert await _crashes(running.watchdog, routes, key_of) == []
    assert _tracebacks(running.watchdog)[before:] == []
