"""Sends heartbeats to every open stream at each interval, and ``stopping`` before a stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from bot_service.domain.components import Component, counted
from bot_service.sessions.registry import SessionRegistry
from shared.boot import Boot
from shared.clock import Clock
from shared.contract.heartbeat import BEAT, STOPPING, Beat, ComponentShares, SessionShares, Stopping
from shared.loop_guard import LoopGuard
from shared.sse import EventStream, event

# A container needs up to ten seconds to stop, and some more to start.
STOP_DEADLINE_MS = 30_000
COUNT_EVERY_S = 2.0


class HeartbeatPublisher:
    """``draining`` is true from the announcement of a stop on."""

    def __init__(
        self,
        clock: Clock,
        boot: Boot,
        guard: LoopGuard,
        registry: SessionRegistry,
        *,
        interval_ms: int,
        starting: Callable[[], bool],
        upstream_outage: Callable[[], bool],
        attention: Callable[[], str],
        listening: Callable[[int], None],
        orderly_stops: Callable[[], tuple[str, ...]],
        components: Sequence[Component] = (),
    ) -> None:
        self._clock, self._boot, self._guard, self._registry = clock, boot, guard, registry
        self.interval_ms, self._starting, self._upstream_outage = interval_ms, starting, upstream_outage
        self._attention, self._listening = attention, listening
        self._orderly_stops, self._components = orderly_stops, components
        self._component_shares: tuple[ComponentShares, ...] = ()
        self._counted_s = float("-inf")
        self._streams: set[EventStream] = set()
        self._sequence = 0
        self.draining = False

    async def run(self) -> None:
        """The loop that beats; its ticks do not drift."""
        clock = self._clock
        next_s = clock.monotonic()
        while True:
            self._send(sse_event(BEAT, self.beat()))
            next_s += self.interval_ms / 1000
            behind = clock.monotonic() - next_s
            if behind > 0:
                next_s = clock.monotonic()
            await clock.sleep(max(0.0, -behind))

    def beat(self) -> Beat:
        self._sequence += 1
        return Beat(
            boot_id=self._boot.boot_id,
            sequence=self._sequence,
            interval_ms=self.interval_ms,
            monotonic_ms=self._boot.age_ms(self._clock),
            loop_lag_ms=int(self._guard.take_worst_lag_s() * 1000),
            sessions=shares(self._registry),
            draining=self.draining,
            starting=self._starting(),
            upstream_outage=self._upstream_outage(),
            attention=self._attention(),
            orderly_stops=self._orderly_stops(),
            components=self._counted(),
        )

    def _counted(self) -> tuple[ComponentShares, ...]:
        """The components' shares; all sessions are walked for them, so not for every beat."""
        now_s = self._clock.monotonic()
        if self._components and now_s - self._counted_s >= COUNT_EVERY_S:
            self._counted_s = now_s
            counts = counted(self._components, self._registry)
            self._component_shares = tuple(
                ComponentShares(component.name, count.wanted, count.ready)
                for component, count in zip(self._components, counts, strict=True)
            )
        return self._component_shares

    @property
    def listeners(self) -> int:
        """Open streams."""
        return len(self._streams)

    def open(self) -> EventStream:
        stream = EventStream(16)
        self._streams.add(stream)
        self._listening(1)
        return stream

    def close(self, stream: EventStream) -> None:
        if stream in self._streams:
            self._streams.discard(stream)
            self._listening(-1)

    def announce_stop(self) -> None:
        """Announce a planned stop to every stream, then end the streams."""
        self.draining = True
        self._send(sse_event(STOPPING, Stopping(self._boot.boot_id, STOP_DEADLINE_MS)))
        self._send(None)

    def _send(self, data: bytes | None) -> None:
        for stream in self._streams:
            stream.put(data)


def sse_event(name: str, value: msgspec.Struct) -> bytes:
    return event(name, msgspec.json.encode(value))


def shares(registry: SessionRegistry) -> SessionShares:
    return SessionShares(
        total=len(registry),
        wanted=registry.wanted,
        ready=registry.wanted_ready,
        needs_person=registry.waiting_for_people,
        by_state={state.value: count for state, count in registry.by_state.items() if count},
    )
