"""Watches the wall clock: keeps the service clock over restarts, and follows a step of the wall.

A step larger than a minute is followed only after the wall clock was steady for some minutes.
Until then every wait and age goes on as before, and nothing expires or is deleted.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from bot_service.engines.wire import clock_file
from bot_service.sessions.clock_moves import moved_record
from bot_service.sessions.registry import SessionRegistry
from bot_service.store import clock as clock_store
from bot_service.store.batch_writer import STORE_ERRORS, every
from bot_service.store.database import Database
from bot_service.store.sessions import SessionStore
from shared import logs
from shared.hooks import Hook
from shared.service_clock import SLEWED_MS, Move, SavedClock, ServiceClock

log = logs.get(__name__)

CHECK_EVERY_S = 1.0
SAVE_EVERY_S = 30.0


async def resume(clock: ServiceClock, database: Database, run_dir: Path) -> None:
    """At the start: go on with the time of the last run."""
    async with database.read() as connection:
        clock.resume(await clock_store.load(connection))
    with contextlib.suppress(*STORE_ERRORS):  # a full disk must not prevent the start
        async with database.write() as connection:
            await clock_store.cut_waits(connection, clock.now_ms())
    ahead_ms = clock.ahead_ms()
    if abs(ahead_ms) > SLEWED_MS:
        _log_step(ahead_ms, clock)
    _share(clock, run_dir)


class ClockWatch:
    """``stepped`` gets the ms of each step, ``moved`` is called once the store has moved."""

    def __init__(
        self, clock: ServiceClock, database: Database, registry: SessionRegistry, store: SessionStore, *, run_dir: Path
    ) -> None:
        self._clock, self._database, self._run_dir = clock, database, run_dir
        self._registry, self._store = registry, store
        self._save_at_s = clock.monotonic()
        self.stepped: Hook[[int]] = Hook()
        self.moved: Hook[[Move]] = Hook()

    async def run(self) -> None:
        """The loop."""
        await every(
            self._clock,
            CHECK_EVERY_S,
            self.check,
            failed="The time could not be stored",
            event_name="clock.store",
        )

    async def close(self) -> None:
        """Store the time at the end."""
        try:
            await _save(self._clock, self._database, self._run_dir)
        except STORE_ERRORS as error:
            log.warning("The time could not be stored", event_name="clock.store", error=type(error).__name__)

    async def check(self) -> None:
        """Notice a step, follow the wall clock when it is time, store the time now and then."""
        step_ms = self._clock.check()
        if step_ms:
            _log_step(step_ms, self._clock)
            self.stepped(step_ms)
        move = self._clock.next_move()
        if move is not None:
            await self._follow(move)
        if self._clock.monotonic() >= self._save_at_s:
            self._save_at_s = self._clock.monotonic() + SAVE_EVERY_S
            await _save(self._clock, self._database, self._run_dir)

    async def _follow(self, move: Move) -> None:
        saved = self._clock.moved(move)
        async with self._database.write() as connection:
            await clock_store.move(connection, move)
            await self._store.write_all(connection, [moved_record(record, move) for record in self._registry.here()])
            await clock_store.save(connection, saved)
            # In one turn of the loop with the commit: nothing reads a moved time on the old clock.
            self._database.after_commit(lambda: self._followed(move, saved))
        _share(self._clock, self._run_dir)

    def _followed(self, move: Move, saved: SavedClock) -> None:
        self._clock.follow(move, saved)
        self.moved(move)
        log.warning(
            f"The time follows the wall clock, which was set by {move.by_ms / 1000:.0f} s",
            event_name="clock.followed",
            by_ms=move.by_ms,
        )


def _log_step(step_ms: int, clock: ServiceClock) -> None:
    ahead_s = clock.ahead_ms() / 1000
    log.warning(
        f"The wall clock was set by {step_ms / 1000:.0f} s",
        event_name="clock.step",
        step_ms=step_ms,
        ahead_s=round(ahead_s),
        steady=clock.steady,
    )


async def _save(clock: ServiceClock, database: Database, run_dir: Path) -> None:
    _share(clock, run_dir)
    async with database.write() as connection:
        await clock_store.save(connection, clock.saved())


def _share(clock: ServiceClock, run_dir: Path) -> None:
    """Workers read the time from a file; without it they go on with the one they have."""
    with contextlib.suppress(OSError):
        clock_file.write(run_dir, clock.saved())
