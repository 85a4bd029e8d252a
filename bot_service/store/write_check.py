"""After a refused write, tries a small one every second, so that health reports the recovery."""

from __future__ import annotations

import sqlalchemy as sa

from bot_service.store.batch_writer import STORE_ERRORS
from bot_service.store.database import Database
from bot_service.store.metadata import metadata
from bot_service.store.upsert import upsert
from shared.clock import Clock, to_ms

EVERY_S = 1.0

# One row, written to see whether the store accepts writes again.
store_checks = sa.Table(
    "store_checks",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
)


class StoreWriteCheck:
    """Writes nothing while the store is well."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def run(self) -> None:
        """The loop."""
        while True:
            await self._clock.sleep(EVERY_S)
            if self._database.failing is not None:
                await self._try()

    async def _try(self) -> None:
        try:
            async with self._database.write() as connection:
                await upsert(connection, store_checks, [{"id": 1, "at_ms": to_ms(self._clock.now())}], key="id")
        except STORE_ERRORS:
            return
        await self._database.works_again()
