"""The lease to repair: of several watchdogs only its holder repairs, and none while the database is away.

One row in PostgreSQL, by the database's clock (decision 0152). It outlasts the longest action, so a
watchdog that loses the database in the middle of a repair still holds it.
"""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

from shared import logs
from shared.clock import Clock
from shared.settings import Secret

log = logs.get(__name__)

LASTS_S = 180.0
RENEW_S = 30.0
ANSWER_S = 5.0
NAME = "repairs"

_CREATE = (
    "CREATE TABLE IF NOT EXISTS veilleur_lease"
    " (name text PRIMARY KEY, holder text NOT NULL, until timestamptz NOT NULL)"
)
_TAKE = (
    "INSERT INTO veilleur_lease AS l (name, holder, until) VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3))"
    " ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until"
    " WHERE l.holder = excluded.holder OR l.until < clock_timestamp() RETURNING holder"
)


class RepairLease:
    """``url`` is that of the database, ``holder`` a name that only this run has.

    ``away_s`` says since when the database has not answered.
    """

    def __init__(self, url: Secret, holder: str, clock: Clock) -> None:
        self._url, self._holder, self._clock = url, holder, clock
        self._database: Any = None
        self._turn = asyncio.Lock()
        self._away_since_s: float | None = None
        self.held = False

    @property
    def away_s(self) -> float:
        """Seconds since the database first failed to answer; 0 while it answers."""
        return 0.0 if self._away_since_s is None else self._clock.monotonic() - self._away_since_s

    async def take(self) -> bool:
        """Take or renew the lease now. False when another watchdog holds it or the database is away."""
        async with self._turn:
            try:
                async with asyncio.timeout(ANSWER_S):
                    self.held = await self._ask()
            except Exception as error:  # a driver may raise anything; without an answer there is no lease
                self.held = False
                await self._drop()
                if self._away_since_s is None:
                    self._away_since_s = self._clock.monotonic()
                    # The text of the error may hold the address.
                    log.warning(
                        f"The database of REMEDIATION_LOCK does not answer ({type(error).__name__}): nothing is repaired",
                        event_name="lease.away",
                    )
            else:
                if self._away_since_s is not None:
                    log.info("The database of REMEDIATION_LOCK answers again", event_name="lease.back")
                self._away_since_s = None
            return self.held

    async def run(self) -> None:
        """Renew endlessly, so that the same watchdog goes on to repair."""
        try:
            while True:
                await self.take()
                await self._clock.sleep(RENEW_S)
        finally:
            await self._drop()

    async def _ask(self) -> bool:
        if self._database is None or self._database.is_closed():
            driver: Any = importlib.import_module("asyncpg")
            # Without prepared statements it also works through a pool of connections.
            self._database = await driver.connect(
                self._url.reveal(), timeout=ANSWER_S, command_timeout=ANSWER_S, statement_cache_size=0
            )
            await self._database.execute(_CREATE)
        return await self._database.fetchval(_TAKE, NAME, self._holder, LASTS_S) is not None

    async def _drop(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            database.terminate()
