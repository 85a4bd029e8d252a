"""``Expect: 100-continue``: only a caller who may send a body is asked for it."""

from __future__ import annotations

import asyncio

import pytest

from tests.security.conftest import Running
from tests.support.processes import API_KEY, WATCHDOG_TOKEN
from tests.support.waiting import PATIENCE_S

JSON = "Content-Type: application/json"
FORM = "Content-Type: application/x-www-form-urlencoded"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def head(method: str, path: str, length: int, *lines: str) -> bytes:
    fixed = ["Host: 127.0.0.1", "Expect: 100-Continue", f"Content-Length: {length}"]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *fixed, *lines, "", ""]).encode()


async def first_answer(port: int, raw: bytes, body: bytes = b"") -> tuple[bytes, bytes]:
    """What arrives before ``body`` is sent, up to a blank line, and after it when it is asked for."""
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(raw)
            before, after = await reader.readuntil(b"\r\n\r\n"), b""
            if before == CONTINUE:
                writer.write(body)
                after = await reader.readuntil(b"\r\n\r\n")
            return before, after
        finally:
            writer.close()
            await writer.wait_closed()


@pytest.mark.parametrize(
    ("program", "method", "path", "lines", "status"),
    [
        ("bot", "POST", "/api/sessions", (JSON,), 401),
        ("bot", "POST", "/api/sessions", (JSON, "Authorization: Bearer wrong-key"), 403),
        ("bot", "PATCH", "/api/sessions/one", (JSON,), 401),
        ("bot", "POST", "/api/sessions/one/messages", ("Content-Type: multipart/form-data; boundary=x",), 401),
        ("bot", "POST", "/waha/api/sendText", (JSON,), 401),
        ("bot", "POST", "/api/keepalive", (JSON,), 401),
        ("bot", "POST", "/nowhere", (JSON,), 404),
        ("bot", "PUT", "/health", (JSON,), 405),
        ("bot", "POST", "/login", (FORM, "Origin: http://elsewhere.example"), 403),
        ("watchdog", "POST", "/api/pause", (JSON,), 401),
        ("watchdog", "POST", "/nowhere", (JSON,), 404),
    ],
)
async def test_a_stranger_is_never_asked_for_a_body(
    running: Running, program: str, method: str, path: str, lines: tuple[str, ...], status: int
) -> None:
    port = {"bot": running.bot, "watchdog": running.watchdog}[program].port
    before, _ = await first_answer(port, head(method, path, 1_000_000, *lines))
    assert before.startswith(b"HTTP/1.1 %d " % status), before[:200]
    assert b"Connection: close" in before, "the body is not read, so the connection ends"


@pytest.mark.parametrize(
    ("program", "path", "lines", "body", "status"),
    [
        ("bot", "/api/sessions", (JSON, f"Authorization: Bearer {API_KEY}"), b'{"start": false}', 201),
        ("bot", "/login", (FORM, "Sec-Fetch-Site: same-origin"), b"key=no", 403),
        ("watchdog", "/api/pause", (JSON, f"Authorization: Bearer {WATCHDOG_TOKEN}"), b"{}", 422),
    ],
)
async def test_who_may_send_a_body_is_asked_for_it(
    running: Running, program: str, path: str, lines: tuple[str, ...], body: bytes, status: int
) -> None:
    port = {"bot": running.bot, "watchdog": running.watchdog}[program].port
    before, after = await first_answer(port, head("POST", path, len(body), *lines), body)
    assert before == CONTINUE, before[:300]
    assert after.startswith(b"HTTP/1.1 %d " % status), after[:300]


async def test_a_file_of_a_form_is_asked_for_once(running: Running) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="to"\r\n\r\nnot a number\r\n--x--\r\n'
    key = f"Authorization: Bearer {API_KEY}"
    made = b'{"id": "expect", "start": false}'
    await first_answer(running.bot.port, head("POST", "/api/sessions", len(made), JSON, key), made)
    kind = "Content-Type: multipart/form-data; boundary=x"
    before, after = await first_answer(
        running.bot.port, head("POST", "/api/sessions/expect/messages", len(body), kind, key), body
    )
    assert before == CONTINUE
    assert after.startswith(b"HTTP/1.1 4"), after[:300]
