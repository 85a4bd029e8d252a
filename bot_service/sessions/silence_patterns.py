"""Stores what each session usually receives, to notice its silence after a restart.

Only hourly rates are stored, at intervals and in slices: a kill loses the last minutes of learning.
"""

from __future__ import annotations

from sqlalchemy.exc import SQLAlchemyError

from bot_service.sessions.registry import SessionRegistry
from bot_service.sessions.supervisor import Supervisor
from bot_service.store import silence_patterns
from bot_service.store.database import Database
from shared import logs
from shared.clock import Clock, to_ms

log = logs.get(__name__)

SLICE = 100
PAUSE_S = 0.02


class SilencePatterns:
    """``every_s`` seconds between two saves."""

    def __init__(
        self,
        supervisor: Supervisor,
        registry: SessionRegistry,
        database: Database,
        clock: Clock,
        *,
        every_s: float = 600.0,
    ) -> None:
        self._supervisor, self._registry, self._database = supervisor, registry, database
        self._clock, self._every_s = clock, every_s
        self._saved: dict[str, int] = {}

    async def restore(self) -> None:
        """Once, when the sessions are in memory. Rows of deleted sessions are removed."""
        gone, after, more = set(), "", True
        while more:
            async with self._database.read() as connection:
                found = await silence_patterns.page(connection, after, SLICE)
            for session, pattern in found.items():
                if self._supervisor.record(session) is None:
                    gone.add(session)
                else:
                    self._supervisor.activity.evidence(session).pattern = pattern
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
        """Stores what was learned since the last save; after a failure the next save retries."""
        patterns = self._supervisor.activity.patterns()
        learned = [
            (name, pattern)
            for name, pattern in patterns
            if pattern.learned != self._saved.get(name, 0) and self._registry.runs_here(name)
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
