"""Turns the heartbeat of one target into facts, and into extra pings when it stops."""

from __future__ import annotations

from shared.contract import heartbeat
from shared.hooks import Hook
from shared.visible import shown
from watchdog.domain.components import LONGEST_NAME, MOST, Component
from watchdog.domain.facts import BeatSeen, BeatsLost, StopAnnounced
from watchdog.flow.pipeline import Pipeline
from watchdog.flow.schedule import Schedule


class HeartbeatFacts:
    """``last`` is the newest beat while the link is up. ``attention`` notifies of its field."""

    def __init__(self, *, target: str, pipeline: Pipeline, schedule: Schedule) -> None:
        self._target, self._pipeline, self._schedule = target, pipeline, schedule
        self.last: BeatSeen | None = None
        # The newest ones, also while the link is down.
        self.components: tuple[Component, ...] = ()
        self.attention: Hook[[str]] = Hook()

    async def beat(self, beat: heartbeat.Beat) -> None:
        shares = beat.sessions
        self.last = BeatSeen(
            boot_id=beat.boot_id,
            wanted=shares.wanted,
            ready=shares.ready,
            needs_person=shares.needs_person,
            total=shares.total,
            starting=beat.starting,
            draining=beat.draining,
            upstream_outage=beat.upstream_outage,
            interval_ms=beat.interval_ms,
            orderly_stops=beat.orderly_stops,
        )
        self.components = tuple(
            Component(shown(each.name)[:LONGEST_NAME], each.wanted, each.ready) for each in beat.components[:MOST]
        )
        await self._pipeline.process(self._target, self.last)
        self.attention(beat.attention)

    async def stopping(self, stopping: heartbeat.Stopping) -> None:
        fact = StopAnnounced(stopping.boot_id, stopping.excused_ms, stopping.reason)
        await self._pipeline.process(self._target, fact)

    async def trouble(self, reason: str, since_ms: int) -> None:
        self.last = None
        await self._pipeline.process(self._target, BeatsLost())
        self._schedule.suspect(since_ms)

    def connected(self) -> None:
        self._schedule.heartbeat_back()
