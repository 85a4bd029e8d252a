"""Message rates per minute, computed from totals when somebody asks."""

from __future__ import annotations

from collections import deque

_RATE_WINDOW_S = 60.0


class Rates:
    """Totals of the last minute, from which rates are computed without a background thread."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int, int]] = deque(maxlen=600)

    def note(self, now_s: float, received: int, sent: int) -> None:
        """Remember the totals of this moment; at most one a second."""
        if not self._seen or now_s - self._seen[-1][0] >= 1.0:
            self._seen.append((now_s, received, sent))
        while len(self._seen) > 1 and now_s - self._seen[1][0] >= _RATE_WINDOW_S:
            self._seen.popleft()

    def per_minute(self, now_s: float, received: int, sent: int) -> tuple[float, float]:
        """Since the oldest totals of the last minute; zeros before there are any."""
        if not self._seen or now_s - self._seen[0][0] < 0.5:
            return 0.0, 0.0
        at_s, received_then, sent_then = self._seen[0]
        scale = 60.0 / (now_s - at_s)
        return round((received - received_then) * scale, 1), round((sent - sent_then) * scale, 1)
