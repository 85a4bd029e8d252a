"""Follows the bot's heartbeat stream and reports beats, and its end or silence at once."""

from __future__ import annotations

import asyncio
import socket
from typing import Protocol

import aiohttp
import msgspec
from aiohttp.http_exceptions import HttpProcessingError

from shared import http_client, logs
from shared.clock import Clock, epoch_ms
from shared.contract import heartbeat
from shared.retry import full_jitter
from shared.settings import Secret
from shared.sse import EventReader
from shared.timing import either
from watchdog.probes import reasons
from watchdog.probes.proving import ProvingConnector
from watchdog.probes.reasons import NotProven

log = logs.get(__name__)

SILENT_AFTER_INTERVALS = 2.5
LINE_LIMIT = 65_536
# A beat is some hundred bytes, and comes twice a second at most.
RATE_LIMIT = 65_536
BURST_LIMIT = 262_144
LINE_COST = 64
# Whatever a beat says: a silent link is noticed.
LONGEST_INTERVAL_S = 60.0
UNSUPPORTED_RETRY_S = 300.0
UNPROVEN_RETRY_S = 10.0
RECONNECT_FIRST_S = 0.25
RECONNECT_CAP_S = 2.0


# Whatever a stream does that is no stream of beats.
_BROKEN = (
    aiohttp.ClientError,
    HttpProcessingError,  # a line that is too long
    OSError,
    TimeoutError,
    ValueError,
    RecursionError,
    msgspec.MsgspecError,
)


class LinkListener(Protocol):
    """Listener of the link. ``since_ms`` is the wall time of the last beat."""

    async def beat(self, beat: heartbeat.Beat) -> None: ...
    async def stopping(self, stopping: heartbeat.Stopping) -> None: ...
    async def trouble(self, reason: str, since_ms: int) -> None: ...
    def connected(self) -> None: ...


class _Unsupported(Exception):
    """The bot has no such endpoint or refuses the watchdog (``status``)."""

    def __init__(self, status: int) -> None:
        super().__init__(f"heartbeat answered {status}")
        self.status = status


class _Silence(Exception):
    """No beat for too long."""


class _Flood(Exception):
    """More arrives than any bot sends."""


class _Allowance:
    """Refuses a stream faster than :data:`RATE_LIMIT` bytes a second; lets other tasks run."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._left = clock, BURST_LIMIT
        self._since = clock.monotonic()
        self._lines = 0

    async def take(self, size: int) -> None:
        now = self._clock.monotonic()
        self._left = min(BURST_LIMIT, self._left + int((now - self._since) * RATE_LIMIT)) - size - LINE_COST
        self._since = now
        if self._left < 0:
            raise _Flood
        self._lines += 1
        if self._lines % 100 == 0:  # a read returns at once while lines are buffered
            await asyncio.sleep(0)


def _reason_of(error: Exception) -> str:
    unreadable = isinstance(error, ValueError | msgspec.MsgspecError | RecursionError)
    return "bad_http" if unreadable else reasons.of(error).reason


class HeartbeatLink:
    """Follows the bot at the base address ``url``, once it has proved that it holds ``token``.

    ``interval_s`` applies until the first beat states the bot's own.
    """

    def __init__(self, *, url: str, token: Secret, interval_s: float, clock: Clock, listener: LinkListener) -> None:
        self._url, self._token, self._interval_s = url, token, interval_s
        self._clock, self._listener = clock, listener
        self._last_beat_s: float | None = None
        self._last_beat_ms = 0
        self.up = False
        self._announced = False
        self._interval_changed = asyncio.Event()
        self.state = "connecting"

    @property
    def age_s(self) -> float | None:
        """Seconds since the last beat; None before the first."""
        return None if self._last_beat_s is None else self._clock.monotonic() - self._last_beat_s

    async def run(self) -> None:
        """Connect and listen, endlessly."""
        failures = 0
        async with self._session() as session:
            while True:
                pause_s = 0.0
                try:
                    await self._follow(session)
                    reason = "stream_end"
                except _Unsupported as error:
                    reason, pause_s = f"http_{error.status}", UNSUPPORTED_RETRY_S if error.status == 404 else 10.0
                    self._set_state(f"http_{error.status}")
                except _Silence:
                    reason = "silent"
                except NotProven:
                    reason, pause_s = "unproven", UNPROVEN_RETRY_S
                    self._set_state("unproven")
                except _Flood:
                    reason, pause_s = "too_much", 10.0
                except _BROKEN as error:
                    reason = _reason_of(error)
                failures = 0 if self.up else failures + 1
                await self._report_loss(reason)
                await self._clock.sleep(
                    pause_s or full_jitter(min(failures, 6), first_s=RECONNECT_FIRST_S, cap_s=RECONNECT_CAP_S)
                )

    def _session(self) -> aiohttp.ClientSession:
        connector = ProvingConnector(self._url, self._token, force_close=True, family=socket.AF_UNSPEC)
        timeout = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)
        headers = {
            "Accept": "text/event-stream",
            "Authorization": f"Bearer {self._token.reveal()}",
            "User-Agent": "veilleur-watchdog",
        }
        return http_client.session(connector, timeout=timeout, headers=headers, read_bufsize=LINE_LIMIT)

    async def _follow(self, session: aiohttp.ClientSession) -> None:
        async with asyncio.timeout(SILENT_AFTER_INTERVALS * self._interval_s + 1.0):
            response = await session.get(self._url + heartbeat.PATH, allow_redirects=False)
        async with response:
            if response.status != 200:
                raise _Unsupported(response.status)
            reader = asyncio.create_task(self._read(response.content), name="heartbeat.reader")
            silence = asyncio.create_task(self._silence(), name="heartbeat.silence")
            try:
                done, _ = await asyncio.wait({reader, silence}, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                reader.cancel()
                silence.cancel()
                await asyncio.gather(reader, silence, return_exceptions=True)

    async def _read(self, content: aiohttp.StreamReader) -> None:
        reader, allowance = EventReader(LINE_LIMIT), _Allowance(self._clock)
        while line := await content.readline():
            await allowance.take(len(line))
            event = reader.feed(line)
            if event is not None:
                await self._event(*event)

    async def _event(self, name: str, data: str) -> None:
        if name == heartbeat.BEAT:
            beat = msgspec.json.decode(data, type=heartbeat.Beat)
            self._set_interval(min(max(0.05, beat.interval_ms / 1000), LONGEST_INTERVAL_S))
            self._record_beat()
            if not self.up:
                self.up = True
                self._set_state("up")
                self._listener.connected()
            await self._listener.beat(beat)
        elif name == heartbeat.STOPPING:
            self._record_beat()
            self._announced = True
            await self._listener.stopping(msgspec.json.decode(data, type=heartbeat.Stopping))

    def _set_interval(self, interval_s: float) -> None:
        if interval_s != self._interval_s:
            self._interval_s = interval_s
            self._interval_changed.set()

    def _record_beat(self) -> None:
        self._last_beat_s = self._clock.monotonic()
        self._last_beat_ms = epoch_ms(self._clock)

    async def _silence(self) -> None:
        """Raise :class:`_Silence` after 2.5 intervals without a beat, if this program was awake."""
        grace_from = self._clock.monotonic()
        while True:
            limit_s = SILENT_AFTER_INTERVALS * self._interval_s
            heard = max(grace_from, self._last_beat_s or grace_from)
            due = heard + limit_s
            now = self._clock.monotonic()
            if now >= due:
                raise _Silence
            await either(self._clock, self._interval_changed, due - now)
            # A late wake-up means that this program stood still, and unread beats may wait in the
            # socket: the bot gets a full period from now.
            if self._clock.monotonic() - due > self._interval_s / 2:
                grace_from = self._clock.monotonic()

    async def _report_loss(self, reason: str) -> None:
        if self.up:
            self.up = False
            self._set_state(reason)
            await self._listener.trouble(reason, self._last_beat_ms)

    def _set_state(self, state: str) -> None:
        if state == self.state:
            return
        self.state = state
        if state == "up":
            self._announced = False
            log.info("Heartbeat link is up", event_name="heartbeat.up")
        elif state == "http_404":
            log.info("This bot has no heartbeat: it is watched by pings alone", event_name="heartbeat.unsupported")
        elif state == "unproven":
            log.warning(
                "The bot does not prove that it holds this WATCHDOG_TOKEN: the token is not sent, and pings alone watch it",
                event_name="heartbeat.unproven",
            )
        else:
            # The end of the stream belongs to an announced stop.
            write = log.info if self._announced else log.warning
            write(f"Heartbeat link lost: {state}", event_name="heartbeat.lost", reason=state)
