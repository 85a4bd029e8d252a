"""Facts about a target. A ping's fact is :class:`watchdog.domain.outcome.ProbeResult` itself."""

from __future__ import annotations

import msgspec

from watchdog.domain.joint import PeerHeard
from watchdog.domain.outcome import ProbeResult


class BeatSeen(msgspec.Struct, frozen=True):
    """One beat of the heartbeat: the numbers that decisions use."""

    boot_id: str
    wanted: int = 0
    ready: int = 0
    needs_person: int = 0
    total: int = 0
    starting: bool = False
    draining: bool = False
    upstream_outage: bool = False
    interval_ms: int = 2000
    orderly_stops: tuple[str, ...] = ()


class BeatsLost(msgspec.Struct, frozen=True):
    """The heartbeat has ended or is silent: no sign of life any more."""


class StopAnnounced(msgspec.Struct, frozen=True):
    """The bot stops on purpose and expects no alert for ``deadline_ms`` from now."""

    boot_id: str
    deadline_ms: int
    reason: str = "shutdown"


class PersonNeeded(msgspec.Struct, frozen=True):
    """So many sessions cannot go on, or receive, without a person."""

    sessions: int


class Tick(msgspec.Struct, frozen=True):
    """Time has passed without an observation."""


class WatchdogStarted(msgspec.Struct, frozen=True):
    """The watchdog started with the state of the last run, written at ``last_seen_ms``.

    ``in_order``: that run was stopped in order.
    """

    last_seen_ms: int | None = None
    in_order: bool = False


Fact = ProbeResult | PeerHeard | BeatSeen | BeatsLost | StopAnnounced | PersonNeeded | Tick | WatchdogStarted
