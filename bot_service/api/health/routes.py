"""The routes that say how this process is, described."""

from __future__ import annotations

from bot_service.access.principals import Scope
from bot_service.api.health import handlers, statistics
from bot_service.api.health.handlers import Liveness, Status
from bot_service.api.server.route import Response, Route
from shared.contract.health import Healthy, Unhealthy
from shared.version import installed_version

_EXAMPLE = {
    "status": "ok",
    "uptime": 962000,
    "version": installed_version(),
    "bootId": "06E9ZQ4WJ0000008K3",
    "sessions": {"total": 20, "wanted": 12, "ready": 11, "needPerson": 1},
    "clientVersion": {"version": "2.3000.1047769893", "source": "published", "ageDays": 12.3, "outdated": False},
}

ROUTES = [
    Route(
        "GET", "/health", handlers.health, Scope.PUBLIC,
        "Service", "Health",
        "From memory. 200 with zero sessions connected, and while WhatsApp refuses the client version.",
        {200: Response("Well.", Healthy, example=_EXAMPLE), 503: Response("Not well, with every reason.", Unhealthy)},
    ),
    Route(
        "GET", "/readyz", handlers.readyz, Scope.PUBLIC,
        "Service", "Readiness", "`/health` without details.",
        {200: Response("Well.", Status), 503: Response("Not well.", Status)},
    ),
    Route(
        "GET", "/livez", handlers.livez, Scope.PUBLIC,
        "Service", "Liveness",
        "Whether the event loop turned lately; answered by a thread when it did not.",
        {200: Response("It turns.", Liveness), 503: Response("It is stalled.", Liveness)},
    ),
    Route(
        "GET", "/metrics", handlers.prometheus, Scope.METRICS,
        "Service", "Prometheus metrics", "The text format of Prometheus.",
        {200: Response("The metrics.", str, media=("text/plain", "application/openmetrics-text"))},
    ),
    Route("GET", "/api/metrics", statistics.read, Scope.STATS,
        "Service", "Statistics (JSON)", "As JSON; Prometheus reads `/metrics`.",
              {200: Response("The figures.", statistics.Statistics)}),
]  # fmt: skip
