"""When to reconnect: full jitter under a capped backoff, and a limit over all sessions."""

from __future__ import annotations

import zlib


def jitter(session: str, salt: int) -> float:
    """A number in [0, 1) that depends on the arguments only, so that decisions stay pure."""
    return zlib.crc32(f"{session}:{salt}".encode()) / 2**32


def backoff_ms(session: str, attempt: int, now_ms: int, *, first_ms: int, max_ms: int) -> int:
    """Milliseconds before try ``attempt`` (from 0): uniform below min(max, first x 2^attempt)."""
    ceiling = min(max_ms, first_ms * 2 ** min(attempt, 32))
    return int(jitter(session, now_ms + attempt) * ceiling)


def between_ms(session: str, now_ms: int, low_ms: int, high_ms: int) -> int:
    """Milliseconds, uniform from ``low_ms`` to ``high_ms``."""
    return low_ms + int(jitter(session, now_ms) * (high_ms - low_ms))


class HerdLimit:
    """Spreads the reconnects of all sessions: ``per_minute`` at most, after ``burst`` at once.

    A single lost session never waits; five hundred at once come back over a minute. Replicas divide the limit.
    """

    def __init__(self, per_minute: int, *, burst: int = 8) -> None:
        self._per_minute, self._burst = per_minute, burst
        self._next_ms = 0.0
        self.divide(1)

    def divide(self, replicas: int) -> None:
        """So many have equal parts of the limit from now on."""
        self._gap_ms = 60_000 * replicas / self._per_minute
        self._burst_ms = self._gap_ms * self._burst

    def move(self, by_ms: int) -> None:
        """The clock is set by ``by_ms``."""
        self._next_ms += by_ms

    def wait_ms(self, now_ms: int) -> int:
        """Takes the next slot; returns the milliseconds until it, 0 for at once."""
        self._next_ms = max(self._next_ms, now_ms - self._burst_ms) + self._gap_ms
        return max(0, int(self._next_ms - now_ms))
