"""Pushes the report of one target to ``POST /api/keepalive``, after pings and periodically."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import msgspec

from shared import http_client, logs
from shared.clock import Clock
from shared.contract.keepalive import PATH, Push, PushAccepted
from shared.retry import retrying
from shared.settings import Secret
from shared.timing import either
from watchdog.probes import reasons
from watchdog.probes.proving import ProvingConnector
from watchdog.probes.reasons import NotProven

log = logs.get(__name__)

ATTEMPTS = 3
TIMEOUT_S = 5.0
# A report may be this old, a change of state may not.
GAP_S = 10.0
ANSWER_LIMIT = 8 * 1024 * 1024  # about fifty thousand sessions that need a person


class _NotTaken(Exception):
    """The bot did not accept the report; a retry may help."""


class Pusher:
    """Pushes to the bot at the base address ``url``, once it has proved that it holds ``token``.

    ``build(sequence)`` makes the report just before the first try.
    """

    def __init__(
        self,
        *,
        url: str,
        token: Secret,
        interval_s: float,
        clock: Clock,
        build: Callable[[int], Awaitable[Push]],
        on_result: Callable[[str], None] = lambda _result: None,
        on_answer: Callable[[PushAccepted], None] = lambda _answer: None,
    ) -> None:
        self._url, self._token, self._interval_s = url, token, interval_s
        self._clock, self._build, self._on_result, self._on_answer = clock, build, on_result, on_answer
        self._wanted = asyncio.Event()
        self._urgent = asyncio.Event()
        self._gap_s = min(GAP_S, interval_s / 3)
        self._sequence = 0
        self._failing: str | None = None
        self.last_ok_at: float | None = None

    def soon(self, *, urgent: bool = False) -> None:
        """Push soon; at once when ``urgent``."""
        self._wanted.set()
        if urgent:
            self._urgent.set()

    async def run(self) -> None:
        """Push endlessly. A bot that was down gets the newest report, not a backlog."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        headers = {"Authorization": f"Bearer {self._token.reveal()}", "Content-Type": "application/json"}
        connector = ProvingConnector(self._url, self._token, limit=1)
        async with http_client.session(connector, timeout=timeout, headers=headers) as session:
            while True:
                await either(self._clock, self._wanted, self._interval_s)
                self._urgent.clear()
                await self._push(session)
                if not self._urgent.is_set():
                    await either(self._clock, self._urgent, self._gap_s)

    async def _push(self, session: aiohttp.ClientSession) -> None:
        self._sequence += 1
        body = msgspec.json.encode(await self._build(self._sequence))

        async def once() -> None:
            try:
                async with session.post(self._url + PATH, data=body, allow_redirects=False) as response:
                    status, raw = response.status, await _body(response)
            except NotProven:
                self._failed("unproven")
                return
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                raise _NotTaken(reasons.of(error).reason) from error
            if status >= 500 or status == 429:
                raise _NotTaken(f"http_{status}")
            if status >= 300:
                self._failed(f"http_{status}")
                return
            self._done()
            self._answered(raw)

        retrier = retrying(
            self._clock, on=_NotTaken, attempts=ATTEMPTS, total_s=self._interval_s / 2, first_s=0.5, cap_s=2.0
        )
        try:
            await retrier(once)
        except _NotTaken as error:
            self._failed(str(error))

    def _done(self) -> None:
        self._on_result("ok")
        self.last_ok_at = self._clock.monotonic()
        if self._failing is not None:
            log.info("Statistics reach the bot again", event_name="push.recovered")
        self._failing = None

    def _answered(self, raw: bytes) -> None:
        try:
            self._on_answer(msgspec.json.decode(raw, type=PushAccepted))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            log.debug(f"The answer to a report cannot be read: {error}", event_name="push.answer")

    def _failed(self, reason: str) -> None:
        self._on_result("failed")
        if reason == "connect_refused" and self._sequence == 1:
            # Both programs were started together, and the watchdog is faster. Its pings find a bot that stays away.
            return
        if reason != self._failing:
            log.warning(f"Statistics do not reach the bot: {reason}", event_name="push.failed", reason=reason)
        self._failing = reason


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """The body, cut off behind the limit: what is longer is no answer that can be read."""
    found = bytearray()
    while len(found) < ANSWER_LIMIT and (part := await response.content.read(65_536)):
        found += part
    return bytes(found)
