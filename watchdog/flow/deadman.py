"""Calls DEADMAN_URL at the end of whole cycles, unless a notice has waited for a minute.

A timer alone would prove only that the timer runs. The receiver alerts a person when calls stop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp

from shared import logs
from shared.clock import Clock
from shared.http_client import UnfinishedHead, get_with_redirects
from shared.network_errors import reason_of
from shared.retry import retrying
from shared.settings import Secret
from watchdog.ledger.outbox import Depth
from watchdog.metrics.delivery import DeliveryMetrics

log = logs.get(__name__)

OLDEST_ALLOWED_MS = 60_000
# healthchecks.io accepts five calls a minute; a bot that is down is pinged more often.
LEAST_GAP_S = 15.0


class _NotTaken(Exception):
    """The call failed; another try may help. The text is a stable code."""


class Deadman:
    """``depth()`` reads the age of the oldest waiting notice from the ledger."""

    def __init__(
        self,
        url: Secret,
        http: aiohttp.ClientSession,
        clock: Clock,
        depth: Callable[[], Awaitable[Depth]],
        metrics: DeliveryMetrics,
        *,
        timeout_s: float = 10.0,
    ) -> None:
        self._url, self._http, self._clock, self._depth, self._metrics = url, http, clock, depth, metrics
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._due = asyncio.Event()
        self._called_at_s: float | None = None
        self._withheld = False

    def cycle_ended(self) -> None:
        """Request a call. Does not block."""
        self._due.set()

    async def run(self) -> None:
        """Call after cycles, endlessly."""
        while True:
            await self._due.wait()
            self._due.clear()
            await self.call()

    async def call(self) -> None:
        """One call, unless notices wait or the last call was less than :data:`LEAST_GAP_S` ago."""
        now_s = self._clock.monotonic()
        if self._called_at_s is not None and now_s - self._called_at_s < LEAST_GAP_S:
            return
        depth = await self._depth()
        if depth.oldest_ms >= OLDEST_ALLOWED_MS:
            self._metrics.deadman.labels("withheld").inc()
            if not self._withheld:
                log.warning(
                    f"DEADMAN_URL is not called: an alert has waited for {depth.oldest_ms // 1000} s",
                    event_name="deadman.withheld",
                    oldest_ms=depth.oldest_ms,
                )
            self._withheld = True
            return
        self._withheld = False
        self._called_at_s = now_s
        try:
            async for attempt in retrying(self._clock, on=_NotTaken, attempts=3, total_s=30, first_s=1, cap_s=5):
                with attempt:
                    await self._get()
        except _NotTaken as error:
            self._metrics.deadman.labels("failed").inc()
            log.warning(f"DEADMAN_URL could not be called: {error}", event_name="deadman.failed", reason=str(error))
        else:
            self._metrics.deadman.labels("ok").inc()

    async def _get(self) -> None:
        try:
            async with get_with_redirects(self._http, self._url.reveal(), self._timeout) as answer:
                if answer.status >= 300:
                    raise _NotTaken(f"http_{answer.status}")
        except UnfinishedHead as error:
            if error.status >= 300:
                raise _NotTaken(f"http_{error.status}") from None
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise _NotTaken(reason_of(error)) from None
