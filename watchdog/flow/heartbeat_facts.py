"""Turns what the heartbeat link tells into facts for the pipeline and wishes for the schedule."""

from __future__ import annotations

from shared.contract import heartbeat
from watchdog.domain.facts import BeatSeen, StopAnnounced
from watchdog.flow.pipeline import Pipeline
from watchdog.flow.schedule import Schedule


class HeartbeatFacts:
    """The listener of one target's link. ``since_ms`` is when the trouble began, until the link is up again."""

    def __init__(self, *, target: str, pipeline: Pipeline, schedule: Schedule) -> None:
        self._target, self._pipeline, self._schedule = target, pipeline, schedule
        self.since_ms: int | None = None
        self.beat_interval_ms: int | None = None
        self.last: BeatSeen | None = None

    async def beat(self, beat: heartbeat.Beat) -> None:
        self.beat_interval_ms = beat.interval_ms
        shares = beat.sessions
        self.last = BeatSeen(
            boot_id=beat.boot_id,
            wanted=shares.wanted,
            ready=shares.ready,
            needs_person=shares.needs_person,
            starting=beat.starting,
            draining=beat.draining,
            upstream_outage=beat.upstream_outage,
        )
        await self._pipeline.take(self._target, self.last)

    async def stopping(self, stopping: heartbeat.Stopping) -> None:
        await self._pipeline.take(self._target, StopAnnounced(stopping.boot_id, stopping.deadline_ms, stopping.reason))

    def trouble(self, reason: str, since_ms: int) -> None:
        self.since_ms = since_ms
        self._schedule.suspect()

    def connected(self) -> None:
        self.since_ms = None
        self._schedule.look_again()
