"""Configuration as the decisions use it: thresholds, windows and pauses."""

from __future__ import annotations

import msgspec


class Now(msgspec.Struct, frozen=True):
    """One moment. ``wall_ms`` is for storage and people, ``steady_ms`` for durations.

    Steady time never steps. It starts at the wall time of the program's start, so that the next run
    can use a stored value.
    """

    wall_ms: int
    steady_ms: int


class Pause(msgspec.Struct, frozen=True, rename="camel"):
    """A maintenance window in wall time. It always ends: ``until_ms`` is mandatory.

    ``reason`` is for operators, ``text`` for the readers of the status page.
    """

    id: str
    target: str
    from_ms: int
    until_ms: int
    author: str
    reason: str = ""
    text: str = ""
    created_at_ms: int = 0
    ended_at_ms: int | None = None


class Policy(msgspec.Struct, frozen=True):
    """Counts are pings unless the name says otherwise; times are milliseconds."""

    interval_ms: int = 600_000
    retry_ms: int = 2000
    down_interval_ms: int = 5000
    threshold: int = 3
    recovery: int = 2
    # k of n: a bot that answers every second ping never fails three times in a row.
    window_pings: int = 20
    window_failures: int = 5
    window_ms: int = 3_600_000
    flap_changes: int = 12
    flap_window_ms: int = 900_000
    flap_stable_ms: int = 600_000
    # A flapping target that is down for so long is DOWN.
    flap_down_ms: int = 45_000
    degraded_share: float = 0.5
    degraded_after_ms: int = 60_000
    degraded_recovery_ms: int = 30_000
    # What the bot says of itself excuses it for so long, once for each boot.
    longest_stop_ms: int = 300_000
    longest_start_ms: int = 1_800_000
    # A watchdog that was stopped in order waits so long for a bot that was restarted with it.
    start_grace_ms: int = 15_000
    pauses: tuple[Pause, ...] = ()
    # Other watchdogs of the same bots: how many, how long a lost one keeps its vote, and how long a
    # difference between them lasts before it is reported.
    name: str = "watchdog"
    peers: int = 0
    peer_grace_ms: int = 15_000
    partial_after_ms: int = 120_000

    def paused(self, target: str, now: Now) -> Pause | None:
        """The window that ``target`` is in, or None."""
        for pause in self.pauses:
            if pause.target in (target, "*") and pause.from_ms <= now.wall_ms < pause.until_ms:
                return pause
        return None
