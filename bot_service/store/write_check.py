"""After a write that the store refused: tries a small one every second, so that health tells of the end of the trouble too."""

from __future__ import annotations

from sqlalchemy.exc import SQLAlchemyError

from bot_service.store.database import Database
from bot_service.store.session_tables import store_checks
from bot_service.store.sessions import upsert
from shared.clock import Clock, to_ms

EVERY_S = 1.0


class StoreWriteCheck:
    """Writes nothing while all is well."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._upsert = upsert(database.dialect, store_checks, ["id"])

    async def run(self) -> None:
        """The loop."""
        while True:
            await self._clock.sleep(EVERY_S)
            if self._database.failing is not None:
                await self._try()

    async def _try(self) -> None:
        try:
            async with self._database.write() as connection:
                await connection.execute(self._upsert, [{"id": 1, "at_ms": to_ms(self._clock.now())}])
        except (SQLAlchemyError, OSError):
            return
        self._database.failing = None
