"""The routes between the watchdog and this service, described."""

from __future__ import annotations

from bot_service.access.principals import Scope
from bot_service.api.server.route import Response, Route
from bot_service.api.watchdog import handlers
from bot_service.api.watchdog.handlers import Repair, RepairView
from shared.contract import heartbeat, keepalive

ROUTES = [
    Route(
        "GET", heartbeat.PATH, handlers.heartbeat, Scope.WATCHDOG,
        "Watchdog", "Heartbeat",
        "Server-sent events `beat` at every interval (`shared/contract/heartbeat.py`), and `stopping` before a planned stop.",
        {200: Response("The stream; it has no end.", str, media=("text/event-stream",))},
        stream=True,
    ),
    Route(
        "POST", "/api/repair", handlers.repair, Scope.WATCHDOG,
        "Watchdog", "Repair sessions",
        "What the watchdog may ask for. It never undoes what a person wants.",
        {202: Response("It begins.", RepairView, example={"action": "reconnect_session", "sessions": 3})},
        body=Repair, problems=(404, 409, 502, 504), example={"action": "reconnect_session"},
    ),
    Route(
        "GET", keepalive.PATH, handlers.keepalive, Scope.STATS,
        "Watchdog", "Keep-alive statistics",
        "What the watchdog pushed last. The first eight keys count since its start; `lifetime` over restarts.",
        {200: Response("The statistics.", keepalive.KeepAlive)},
    ),
    Route(
        "POST", keepalive.PATH, handlers.accept_report, Scope.WATCHDOG,
        "Watchdog", "Push statistics",
        "The watchdog's own call. Idempotent by (`bootId`, `sequence`).",
        {200: Response("Taken, or older than what is known.", keepalive.PushAccepted)}, body=keepalive.Push,
        example={
            "bootId": "w1", "sequence": 1, "sentAt": "2026-11-23T09:16:02Z", "startedAt": "2026-11-23T09:00:00Z",
            "pushInterval": 30000, "isRunning": True, "uptime": 962000, "pingCount": 2, "failedPings": 0,
            "consecutiveFailures": 0, "healthUrl": "http://bot:3000/health", "pingInterval": 600000, "state": "UP",
        },
    ),
]  # fmt: skip
