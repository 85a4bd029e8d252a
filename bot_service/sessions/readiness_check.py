"""Periodically checks linked sessions for stale frames and suspected receive failure, in slices."""

from __future__ import annotations

from bot_service.domain.ports import FrameAges
from bot_service.domain.readiness import DoubtPolicy, doubt
from bot_service.domain.session_record import LinkCheck, SessionRecord
from bot_service.domain.states import State
from bot_service.sessions.registry import SessionRegistry
from bot_service.sessions.supervisor import Supervisor
from shared.clock import Clock
from shared.cooperative import CooperativeLoop


class ReadinessCheck:
    """``interval_s`` seconds between two checks."""

    def __init__(
        self,
        supervisor: Supervisor,
        registry: SessionRegistry,
        pool: FrameAges,
        clock: Clock,
        policy: DoubtPolicy,
        *,
        interval_s: float = 5.0,
    ) -> None:
        self._supervisor, self._registry, self._pool, self._clock = supervisor, registry, pool, clock
        self.policy, self._interval_s = policy, interval_s

    async def run(self) -> None:
        while True:
            await self._clock.sleep(self._interval_s)
            await self.once()

    async def once(self) -> None:
        self._supervisor.refusals.check_canary()
        slices = CooperativeLoop()
        for session in self._registry.ids():
            if slices.spent:
                await slices.take()
            record = self._registry.get(session)
            if record is not None and record.state in (State.READY, State.DEGRADED):
                self._check(record)

    def frame_age_ms(self, record: SessionRecord) -> int:
        """Milliseconds since the last frame; the connect counts as one."""
        since_link = self._supervisor.now_ms() - (record.linked_ms or 0)
        age, _ = self._pool.frame_ages_ms(record.id)
        return since_link if age is None else min(age, since_link)

    def _check(self, record: SessionRecord) -> None:
        evidence = self._supervisor.activity.evidence(record.id)
        suspicion = doubt(record, evidence, self.policy, self._supervisor.now_ms())
        self._supervisor.apply(record.id, LinkCheck(self.frame_age_ms(record), suspicion.value if suspicion else None))
