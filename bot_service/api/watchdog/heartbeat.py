"""``GET /api/heartbeat``: a beat every interval over server-sent events, and ``stopping`` before a planned stop."""

from __future__ import annotations

import asyncio

import msgspec
from aiohttp import web

from bot_service import keys
from shared.clock import Clock
from shared.contract.heartbeat import BEAT, STOPPING, Beat, SessionShares, Stopping

STOP_DEADLINE_MS = 10_000


class HeartbeatPublisher:
    """Wakes every open stream at each beat and at the end."""

    def __init__(self, app: web.Application, *, interval_ms: int) -> None:
        self._app, self.interval_ms = app, interval_ms
        self._streams: set[asyncio.Queue[bytes | None]] = set()
        self._sequence = 0
        self.draining = False

    async def run(self) -> None:
        """The loop that beats; its ticks do not drift."""
        clock: Clock = self._app[keys.CLOCK]
        next_s = clock.monotonic()
        while True:
            self._send(_event(BEAT, self.beat()))
            next_s += self.interval_ms / 1000
            behind = clock.monotonic() - next_s
            if behind > 0:
                next_s = clock.monotonic()
            await clock.sleep(max(0.0, -behind))

    def beat(self) -> Beat:
        app = self._app
        self._sequence += 1
        boot = app[keys.BOOT]
        return Beat(
            boot_id=boot.boot_id,
            sequence=self._sequence,
            interval_ms=self.interval_ms,
            monotonic_ms=boot.age_ms(app[keys.CLOCK]),
            loop_lag_ms=int(app[keys.GUARD].take_worst_lag_s() * 1000),
            sessions=shares(app),
            draining=self.draining,
            starting=not app[keys.RESTORE].done,
            upstream_outage=app[keys.OUTAGE](),
        )

    @property
    def listeners(self) -> int:
        """Open streams."""
        return len(self._streams)

    def open(self) -> asyncio.Queue[bytes | None]:
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=16)
        self._streams.add(queue)
        return queue

    def close(self, queue: asyncio.Queue[bytes | None]) -> None:
        self._streams.discard(queue)

    def say_goodbye(self) -> None:
        """Tell every listener that this stop is planned, then end the streams."""
        self.draining = True
        boot = self._app[keys.BOOT]
        self._send(_event(STOPPING, Stopping(boot.boot_id, STOP_DEADLINE_MS)))
        for queue in self._streams:
            _put(queue, None)

    def _send(self, data: bytes) -> None:
        for queue in self._streams:
            _put(queue, data)


def _put(queue: asyncio.Queue[bytes | None], data: bytes | None) -> None:
    if queue.full():
        # A listener that does not read misses old beats, never the newest word.
        queue.get_nowait()
    queue.put_nowait(data)


def _event(name: str, value: msgspec.Struct) -> bytes:
    return f"event: {name}\ndata: {msgspec.json.encode(value).decode()}\n\n".encode()


def shares(app: web.Application) -> SessionShares:
    registry = app[keys.REGISTRY]
    return SessionShares(
        total=len(registry),
        wanted=registry.wanted,
        ready=registry.wanted_ready,
        needs_person=registry.waiting_for_people,
        by_state={state.value: count for state, count in registry.by_state.items() if count},
    )


async def heartbeat(request: web.Request) -> web.StreamResponse:
    pulse = request.app[keys.PULSE]
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    queue = pulse.open()
    try:
        await response.prepare(request)
        await response.write(_event(BEAT, pulse.beat()))
        while (data := await queue.get()) is not None:
            await response.write(data)
    except ConnectionResetError:
        pass
    finally:
        pulse.close(queue)
    return response
