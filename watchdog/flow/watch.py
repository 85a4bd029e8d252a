"""All that watches one target: its pinger, schedule, heartbeat link, counts, story and pusher."""

from __future__ import annotations

from dataclasses import dataclass

from shared.tasks import TaskGroupOfLoops
from watchdog.bot_report.pusher import Pusher
from watchdog.flow.counts import Counts
from watchdog.flow.heartbeat_facts import HeartbeatFacts
from watchdog.flow.schedule import Schedule
from watchdog.probes.heartbeat_link import HeartbeatLink


@dataclass(frozen=True, slots=True)
class Watch:
    """``url`` is the target's base address. Nothing runs before :meth:`start`."""

    target: str
    url: str
    counts: Counts
    schedule: Schedule
    link: HeartbeatLink
    pusher: Pusher
    facts: HeartbeatFacts

    @property
    def health_url(self) -> str:
        return f"{self.url}/health"

    def start(self, loops: TaskGroupOfLoops, *, pings: bool) -> None:
        """Begin to ping and to follow the heartbeat when ``pings``; statistics are pushed either way."""
        if pings:
            loops.start(f"pings.{self.target}", self.schedule.run)
            loops.start(f"heartbeat.{self.target}", self.link.run)
        loops.start(f"push.{self.target}", self.pusher.run)
