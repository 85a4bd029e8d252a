"""Keeps over restarts what each session usually receives, so that its silence is noticed on the first day after one too.

Only rates by hour are kept, in slices of a few rows and not at every message: a kill loses the last minutes of learning.
"""

from __future__ import annotations

from sqlalchemy.exc import SQLAlchemyError

from bot_service.domain.readiness import Pattern
from bot_service.sessions.supervisor import Supervisor
from bot_service.store import silence_patterns
from bot_service.store.database import Database
from shared import logs
from shared.clock import Clock, to_ms

log = logs.get(__name__)

SLICE = 100
PAUSE_S = 0.02


class SilencePatterns:
    """``every_s`` seconds between two looks for what was learned."""

    def __init__(self, supervisor: Supervisor, database: Database, clock: Clock, *, every_s: float = 600.0) -> None:
        self._supervisor, self._database, self._clock, self._every_s = supervisor, database, clock, every_s
        self._saved: dict[str, int] = {}

    async def restore(self) -> None:
        """Once, when the sessions are in memory. Rows of sessions that are gone are deleted."""
        gone, after, more = set(), "", True
        while more:
            async with self._database.read() as connection:
                found = await silence_patterns.page(connection, after, SLICE)
            for session, pattern in found.items():
                if self._supervisor.record(session) is None:
                    gone.add(session)
                else:
                    self._supervisor.life.evidence(session).pattern = pattern
                    self._saved[session] = pattern.learned
            after, more = max(found, default=""), len(found) == SLICE
        if gone:
            async with self._database.write() as connection:
                await silence_patterns.forget(connection, gone)

    async def run(self) -> None:
        """The loop."""
        while True:
            await self._clock.sleep(self._every_s)
            await self.save()

    async def save(self, *, pause_s: float = PAUSE_S) -> None:
        """Write what was learned since the last time. A store that refuses gets it the next time."""
        learned = [
            (name, pattern) for name, pattern in self._supervisor.life.patterns() if self._is_news(name, pattern)
        ]
        for begin in range(0, len(learned), SLICE):
            piece = learned[begin : begin + SLICE]
            try:
                async with self._database.write() as connection:
                    await silence_patterns.save(connection, piece, to_ms(self._clock.now()))
            except (SQLAlchemyError, OSError) as error:
                log.warning(
                    "What sessions usually receive could not be kept", event_name="patterns.store", why=str(error)[:200]
                )
                return
            self._saved.update((name, pattern.learned) for name, pattern in piece)
            if pause_s > 0:
                await self._clock.sleep(pause_s)
        self._saved = {name: count for name, count in self._saved.items() if self._supervisor.record(name) is not None}

    def _is_news(self, session: str, pattern: Pattern) -> bool:
        return pattern.learned != self._saved.get(session, 0)
