"""Serves ``GET /metrics`` in the Prometheus text format from one injected registry."""

from __future__ import annotations

import re
from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder

from shared.settings import Secret
from shared.web import auth
from shared.web.middleware import Handler, Measure

_VERSIONS = re.compile(r"version\s*=([^;,]*)", re.IGNORECASE)
_VERSION = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){2}")
LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def new_registry() -> CollectorRegistry:
    """A registry with the metrics of the process (``process_resident_memory_bytes``, …)."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


def handler(registry: CollectorRegistry, token: Secret | None, refresh: Callable[[], None] | None = None) -> Handler:
    """Serves ``registry``. ``refresh`` sets the gauges that are computed at a scrape only."""

    async def metrics(request: web.Request) -> web.StreamResponse:
        if token is not None:
            auth.require(request, token)
        if refresh is not None:
            refresh()
        encode, content_type = choose_encoder(_readable(request.headers.get("Accept", "")))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    return metrics


def _readable(accept: str) -> str:
    """``accept``, or nothing when it names a version that the library cannot compare."""
    return accept if all(_VERSION.fullmatch(found) for found in _VERSIONS.findall(accept)) else ""


def http_measure(registry: CollectorRegistry, prefix: str) -> Measure:
    """Counts and times requests by route pattern, method and status."""
    requests = Counter(
        f"{prefix}_http_requests_total", "Requests served", ["route", "method", "status"], registry=registry
    )
    seconds = Histogram(
        f"{prefix}_http_request_seconds",
        "Time to answer a request",
        ["route"],
        buckets=LATENCY_BUCKETS,
        registry=registry,
    )

    known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def measure(route: str, method: str, status: int, took_s: float) -> None:
        if method not in ("GET", "POST", "PATCH", "PUT", "DELETE", "HEAD"):
            method = "other"
        found = known.get((route, method, status))
        if found is None:
            # Cached: to find the child of three labels costs more than to count.
            found = requests.labels(route, method, str(status)), seconds.labels(route)
            known[route, method, status] = found
        found[0].inc()
        found[1].observe(took_s)

    return measure
