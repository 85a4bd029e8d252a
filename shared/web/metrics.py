"""Serves ``GET /metrics`` in the Prometheus text format from one injected registry."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder

from shared.settings import Secret
from shared.web import auth
from shared.web.middleware import Handler, Measure

_VERSIONS = re.compile(r"version\s*=([^;,]*)", re.IGNORECASE)
_VERSION = re.compile(r"0\.0\.[14]|[12]\.0\.0")
LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def new_registry() -> CollectorRegistry:
    """A registry with the metrics of the process (``process_resident_memory_bytes``, …)."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


def handler(registry: CollectorRegistry, token: Secret | None, refresh: Callable[[], None] | None = None) -> Handler:
    """Serves ``registry``. ``refresh`` sets the gauges that are computed at a scrape only."""

    scrapes = Scrapes(registry)

    async def metrics(request: web.Request) -> web.StreamResponse:
        if token is not None:
            auth.require(request, token)
        return await scrapes.answer(request, refresh)

    return metrics


class Scrapes:
    """Renders a registry for all who wait, at most a fifth of the time: without a token anybody may ask.

    Everybody gets what was rendered after they asked.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._waiting: dict[str, asyncio.Future[bytes]] = {}
        self._rest_until = 0.0

    async def answer(self, request: web.Request, refresh: Callable[[], None] | None = None) -> web.Response:
        """The registry in the format that ``request`` accepts; ``refresh`` is called just before."""
        encode, content_type = choose_encoder(_readable(request.headers.get("Accept", "")))
        rendered = self._waiting.get(content_type)
        if rendered is None:
            loop = asyncio.get_running_loop()
            rendered = self._waiting[content_type] = loop.create_future()
            loop.call_at(self._rest_until, self._render, encode, content_type, refresh)
        return web.Response(body=await asyncio.shield(rendered), headers={"Content-Type": content_type})

    def _render(
        self, encode: Callable[[CollectorRegistry], bytes], content_type: str, refresh: Callable[[], None] | None
    ) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        if began < self._rest_until:  # another format was rendered first
            loop.call_at(self._rest_until, self._render, encode, content_type, refresh)
            return
        rendered = self._waiting.pop(content_type)
        try:
            if refresh is not None:
                refresh()
            rendered.set_result(encode(self._registry))
        except Exception as error:
            rendered.set_exception(error)
            rendered.exception()  # the client that asked may be gone
        ended = loop.time()
        self._rest_until = ended + 4 * (ended - began)


def _readable(accept: str) -> str:
    """``accept``, or nothing when it names a version that no format has: the library fails on some."""
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
