"""Figures that statistics and metrics read from memory: ages of the queues, and message rates."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from bot_service.events.ids import at_ms
from bot_service.store import deliveries, send_queue
from bot_service.store.batch_writer import every
from bot_service.store.database import Database
from shared import logs
from shared.clock import Clock, to_ms

log = logs.get(__name__)

_RATE_WINDOW_S = 60.0


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """Ages in seconds, as of the last read."""

    webhook_oldest_s: float = 0.0
    send_oldest_s: float = 0.0
    dead_letters: int = 0


class QueueReader:
    """Reads the queues every few seconds, so that a scrape never waits for a query."""

    def __init__(self, clock: Clock, database: Database, *, every_s: float = 5.0) -> None:
        self._clock, self._database, self._every_s = clock, database, every_s
        self.figures = QueueFigures()

    async def run(self) -> None:
        """The loop."""
        await every(
            self._clock, self._every_s, self._read, failed="The queues could not be read", event_name="queues.store"
        )

    async def _read(self) -> None:
        async with self._database.read() as connection:
            dead, event = await deliveries.counts(connection)
            position = await send_queue.oldest(connection)
        now_ms = to_ms(self._clock.now())
        self.figures = QueueFigures(_age_s(event, now_ms), _age_s(position, now_ms), dead)


def _age_s(event_id: str | None, now_ms: int) -> float:
    return 0.0 if event_id is None else max(0.0, (now_ms - at_ms(event_id)) / 1000)


class MessageRates:
    """Rates per minute, from the totals of the last minute that callers noted."""

    def __init__(self) -> None:
        self._noted: deque[tuple[float, int, int]] = deque(maxlen=600)

    def note(self, now_s: float, received: int, sent: int) -> None:
        """Keep the totals of this moment, at most once a second."""
        if not self._noted or now_s - self._noted[-1][0] >= 1.0:
            self._noted.append((now_s, received, sent))
        while len(self._noted) > 1 and now_s - self._noted[1][0] >= _RATE_WINDOW_S:
            self._noted.popleft()

    def per_minute(self, now_s: float, received: int, sent: int) -> tuple[float, float]:
        """(received, sent) a minute since the oldest noted totals; zeros before there are any."""
        if not self._noted or now_s - self._noted[0][0] < 0.5:
            return 0.0, 0.0
        at_s, received_then, sent_then = self._noted[0]
        scale = 60.0 / (now_s - at_s)
        return round((received - received_then) * scale, 1), round((sent - sent_then) * scale, 1)
