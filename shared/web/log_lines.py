"""``GET /api/logs`` and ``/api/logs/stream``, the same in both programs: the newest lines of the log, and those to come."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC
from typing import Any

import msgspec
from aiohttp import web

from shared import sse
from shared.clock import parse_iso
from shared.recent_log import LEVELS, RECENT, LogLine, Wanted
from shared.web import errors
from shared.web.body import json_response

PATH, STREAM_PATH = "/api/logs", "/api/logs/stream"
MOST, DEFAULT = 1000, 100
KEEP_ALIVE_S = 15.0
# A slow reader loses the oldest of the lines that wait.
_WAITING = 5000

_FOLLOWERS: web.AppKey[set[sse.EventStream]] = web.AppKey("log_followers", set)


class LogPage(msgspec.Struct, frozen=True):
    """The oldest first. Each has ``time``, ``level``, ``message`` and mostly ``event`` and ``program``, and further fields."""

    lines: list[dict[str, Any]]


def prepare(app: web.Application) -> None:
    """Followers end at once when ``app`` stops."""
    app[_FOLLOWERS] = set()

    async def end(app: web.Application) -> None:
        for stream in app[_FOLLOWERS]:
            stream.put(None)

    app.on_shutdown.append(end)


async def show(request: web.Request) -> web.Response:
    """The newest lines."""
    found = RECENT.find(_wanted(request), _limit(request, 1))
    return json_response(LogPage([msgspec.json.decode(line.text) for line in found]))


async def follow(request: web.Request, allowed: AbstractAsyncContextManager[None] | None = None) -> web.StreamResponse:
    """The newest ``limit`` lines, then each line as it is written, as events ``log``; it ends with ``allowed``."""
    wanted, most = _wanted(request), _limit(request, 0)
    loop, stream = asyncio.get_running_loop(), sse.EventStream(_WAITING)

    def on_line(line: LogLine) -> None:
        if wanted.takes(line):
            loop.call_soon_threadsafe(stream.put, _event(line))

    response: web.StreamResponse = errors.forbidden().response()
    async with allowed or nullcontext():
        before, unsubscribe = RECENT.find_and_subscribe(wanted, most, on_line)
        request.app[_FOLLOWERS].add(stream)
        try:
            response = await sse.open_response(request, b"".join([sse.retry(2000), *map(_event, before)]))
            await stream.write_to(response, keep_alive_s=KEEP_ALIVE_S)
        finally:
            unsubscribe()
            request.app[_FOLLOWERS].discard(stream)
    return response


def _event(line: LogLine) -> bytes:
    return sse.event("log", line.text.encode())


def _wanted(request: web.Request) -> Wanted:
    query = request.query
    level = query.get("level", LEVELS[0])
    if level not in LEVELS:
        raise errors.invalid("level", f"must be one of {', '.join(LEVELS)}")
    return Wanted(level, query.get("event", "*"), query.get("session"), _since(query.get("since")))


def _since(text: str | None) -> str:
    if text is None:
        return ""
    try:
        moment = parse_iso(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise errors.invalid("since", "must be a time with its offset, such as 2026-11-23T09:16:02Z") from None
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _limit(request: web.Request, least: int) -> int:
    raw = request.query.get("limit", str(DEFAULT))
    if not (raw.isascii() and raw.isdigit() and len(raw) <= len(str(MOST)) and least <= int(raw) <= MOST):
        raise errors.invalid("limit", f"must be a whole number from {least} to {MOST}")
    return int(raw)
