"""Periodically closes unused sessions and reconnects old ones."""

from __future__ import annotations

from dataclasses import dataclass

from bot_service.domain.expiry import ExpiryPolicy, decide_expiry
from bot_service.domain.session_record import Command, CommandKind
from bot_service.sessions.registry import SessionRegistry
from bot_service.sessions.supervisor import Supervisor
from shared import logs
from shared.clock import Clock
from shared.cooperative import CooperativeLoop
from shared.service_clock import steady

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """Of ``sessions`` checked, ``closed`` and ``recycled`` ones."""

    sessions: int
    closed: int
    recycled: int


class Cleanup:
    def __init__(
        self,
        supervisor: Supervisor,
        registry: SessionRegistry,
        clock: Clock,
        policy: ExpiryPolicy,
        *,
        interval_ms: int,
    ) -> None:
        self._supervisor, self._registry, self._clock = supervisor, registry, clock
        self._policy, self._interval_ms = policy, interval_ms

    async def run(self) -> None:
        seconds = f"{self._interval_ms / 1000:g}"
        log.info(f"Session cleanup started (checking every {seconds}s)", event_name="cleanup.started")
        while True:
            await self._clock.sleep(self._interval_ms / 1000)
            await self.once()

    async def once(self) -> Cleaned:
        closed = recycled = 0
        ids = self._registry.ids()
        certain = steady(self._clock)
        slices = CooperativeLoop()
        for session in ids:
            if slices.spent:
                await slices.take()
            record = self._registry.get(session)
            expiry = decide_expiry(record, self._policy, self._supervisor.now_ms()) if record is not None else None
            # After a step of the wall clock no age is certain for a while.
            if expiry is None or not certain:
                continue
            closed += expiry.closes
            recycled += not expiry.closes
            kind = CommandKind.CLOSE if expiry.closes else CommandKind.RECYCLE
            self._supervisor.apply(session, Command(kind, expiry.reason))
        log.info(
            f"Session cleanup complete: {closed}/{len(ids)} sessions removed",
            event_name="cleanup.complete",
            closed=closed,
            recycled=recycled,
            sessions=len(ids),
        )
        return Cleaned(len(ids), closed, recycled)
