"""``/api/logs``, for administrators; handler and routes."""

from __future__ import annotations

from aiohttp import web

from bot_service import keys
from bot_service.access.principals import Scope
from bot_service.api.server.access import principal
from bot_service.api.server.route import TEXT, Parameter, Response, Route
from shared.recent_log import LEVELS
from shared.web import log_lines
from shared.web.log_lines import DEFAULT, MOST, LogPage


async def follow(request: web.Request) -> web.StreamResponse:
    # It ends when its key is revoked or expires.
    return await log_lines.follow(request, request.app[keys.ACCESS].requests.stream(principal(request)))


_NARROWED = (
    Parameter("session", "Only lines about this session.", TEXT),
    Parameter("level", "Lines of this level and those above it.", {**TEXT, "enum": list(LEVELS), "default": LEVELS[0]}),
    Parameter("event", "Only lines of this name, or pattern such as `session.*`.", {**TEXT, "default": "*"}),
    Parameter("since", "Only lines since then.", {**TEXT, "format": "date-time"}),
)


def _most(least: int) -> Parameter:
    return Parameter(
        "limit", "How many of the newest lines.",
        {"type": "integer", "minimum": least, "maximum": MOST, "default": DEFAULT},
    )  # fmt: skip


_EXAMPLE = {
    "lines": [
        {
            "message": "Session READY: connected", "level": "info", "time": "2026-11-28T09:12:44.310482Z",
            "event": "session.state", "program": "bot", "session": "alice", "state": "READY",
        }
    ]
}  # fmt: skip

ROUTES = [
    Route(
        "GET", log_lines.PATH, log_lines.show, Scope.ADMIN,
        "Service", "Newest lines of the log",
        "The newest lines of the log of this service and its engine workers, redacted as in its output. They are kept in"
        " memory, up to 2 MB, and a restart forgets them. With replicas: of the one that answers.",
        {200: Response("The lines.", LogPage, example=_EXAMPLE)},
        parameters=(*_NARROWED, _most(1)),
    ),
    Route(
        "GET", log_lines.STREAM_PATH, follow, Scope.ADMIN,
        "Service", "Follow the log",
        "Server-sent events `log`: the newest lines, then each line as it is written. A slow reader loses lines.",
        {200: Response("The stream; it has no end.", str, media=("text/event-stream",))},
        parameters=(*_NARROWED, _most(0)),
        problems=(503,),
        stream=True,
    ),
]  # fmt: skip
