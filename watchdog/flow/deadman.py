"""Calls DEADMAN_URL only at the end of a whole cycle: ping decided, ledger committed, nothing waiting for a minute.

A bare timer would only prove that the timer lives. The other side tells a person when the calls stop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp

from shared import logs
from shared.clock import Clock
from shared.retry import retrying
from shared.settings import Secret
from watchdog.ledger.outbox import Depth
from watchdog.metrics.delivery_meter import DeliveryMeter
from watchdog.net import reason_of

log = logs.get(__name__)

OLDEST_ALLOWED_MS = 60_000
# healthchecks.io takes five calls a minute; a bot that is down is pinged more often than that.
LEAST_GAP_S = 15.0


class _NotTaken(Exception):
    """The call failed; another try may help. The text is a stable code."""


class Deadman:
    """``depth()`` reads from the ledger how long the oldest notice has waited."""

    def __init__(
        self,
        url: Secret,
        http: aiohttp.ClientSession,
        clock: Clock,
        depth: Callable[[], Awaitable[Depth]],
        meter: DeliveryMeter,
        *,
        timeout_s: float = 10.0,
    ) -> None:
        self._url, self._http, self._clock, self._depth, self._meter = url, http, clock, depth, meter
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._due = asyncio.Event()
        self._called_at_s: float | None = None
        self._withheld = False

    def cycle_ended(self) -> None:
        """A whole cycle has ended. Does not block."""
        self._due.set()

    async def run(self) -> None:
        """Call after cycles, for ever."""
        while True:
            await self._due.wait()
            self._due.clear()
            await self.call()

    async def call(self) -> None:
        """One call, unless alerts wait or the last call was only just made."""
        now_s = self._clock.monotonic()
        if self._called_at_s is not None and now_s - self._called_at_s < LEAST_GAP_S:
            return
        depth = await self._depth()
        if depth.oldest_ms >= OLDEST_ALLOWED_MS:
            self._meter.deadman("withheld")
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
            self._meter.deadman("failed")
            log.warning(f"DEADMAN_URL could not be called: {error}", event_name="deadman.failed", reason=str(error))
        else:
            self._meter.deadman("ok")

    async def _get(self) -> None:
        try:
            async with self._http.get(self._url.reveal(), timeout=self._timeout) as answer:
                if answer.status >= 300:
                    raise _NotTaken(f"http_{answer.status}")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _NotTaken(reason_of(error)) from None
