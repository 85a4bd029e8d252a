"""When to send one notice about several things that begin at about the same time."""

from __future__ import annotations

from collections.abc import Sequence

QUIET_S = 3.0  # nothing new for so long: the wave is over
PATIENCE_S = 15.0  # the first of a wave waits at most so long
GAP_S, LONGEST_GAP_S = 10.0, 30.0


class Gathering:
    """Two notices are at least ten seconds apart, and half a minute when one follows the other."""

    def __init__(self) -> None:
        self._sent_s: float | None = None
        self._gap_s = GAP_S

    def due(self, ages_s: Sequence[float], now_s: float, *, patience_s: float = PATIENCE_S) -> bool:
        """Whether to send now what is known for ``ages_s`` seconds each; there is at least one."""
        if self._sent_s is not None and now_s - self._sent_s < self._gap_s:
            return False
        return min(ages_s) >= QUIET_S or max(ages_s) >= patience_s

    def sent(self, now_s: float) -> None:
        """A notice was sent at ``now_s``."""
        follows = self._sent_s is not None and now_s - self._sent_s < 2 * LONGEST_GAP_S
        self._gap_s = min(self._gap_s * 2, LONGEST_GAP_S) if follows else GAP_S
        self._sent_s = now_s
