"""The event stream: each reader gets its events in order, from memory or from the store."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator

from bot_service.events.replay_turns import ReplayTurns
from bot_service.store import events
from bot_service.store.batch_writer import STORE_ERRORS
from bot_service.store.database import Database
from bot_service.store.events import StoredEvent as StoredEvent
from shared import logs
from shared.clock import Clock

log = logs.get(__name__)

_PAGE = 500
_KEPT = 2000
# Commits within this time are read together, once for all readers.
_GATHER_S = 0.05


class EventStream:
    """The newest events are kept in memory only while there are readers."""

    def __init__(self, clock: Clock, database: Database) -> None:
        self._clock, self._database = clock, database
        self._tail: deque[StoredEvent] = deque(maxlen=_KEPT)
        self._base = ""  # everything in the tail is newer than this id
        self._newest = ""
        self.readers = 0
        self._closed = False
        self._committed = asyncio.Event()
        self._turns = ReplayTurns(clock)
        self._grown = asyncio.Condition()

    def wake(self, _committed: object) -> None:
        """Read the events that were committed."""
        self._committed.set()

    async def run(self) -> None:
        """The loop that reads the newest events."""
        while True:
            await self._committed.wait()
            self._committed.clear()
            if self.readers == 0:
                self._tail.clear()
                continue
            try:
                await self._read_tail()
            except STORE_ERRORS as error:
                log.warning("Events could not be read", event_name="feed.store", error=type(error).__name__)
                self._committed.set()
                await self._clock.sleep(1.0)
            await self._clock.sleep(_GATHER_S)

    async def close(self) -> None:
        """End every reader; for the shutdown."""
        async with self._grown:
            self._closed = True
            self._grown.notify_all()

    async def newest(self, count: int, owner: str | None) -> list[StoredEvent]:
        """The newest ``count`` events, the oldest of them first; with ``owner`` only theirs."""
        async with self._database.read() as connection:
            return await events.newest(connection, count, owner=owner)

    async def newest_id(self) -> str:
        """The start of a reader that wants only events from now on."""
        async with self._database.read() as connection:
            return await events.newest_id(connection) or ""

    async def oldest_id(self) -> str:
        """The oldest stored event."""
        async with self._database.read() as connection:
            return await events.oldest_id(connection) or ""

    async def after(
        self, event_id: str, *, owner: str | None = None, key: str = "", idle_s: float | None = None
    ) -> AsyncGenerator[list[StoredEvent], None]:
        """Endless pages of events after ``event_id``; an empty page after ``idle_s`` without one.

        ``owner``: only their events. Streams of one ``key`` take turns while they read the store.
        """
        self.readers += 1
        try:
            cursor, told_at = event_id, self._clock.monotonic()
            while not self._closed:
                page, cursor = await self._page(cursor, owner, key)
                now = self._clock.monotonic()
                if page or (idle_s is not None and now - told_at >= idle_s):
                    told_at = now
                    yield page
                if page:
                    continue
                left_s = None if idle_s is None else max(0.0, told_at + idle_s - self._clock.monotonic())
                await self._grew(cursor, left_s)
        finally:
            self.readers -= 1

    async def _grew(self, cursor: str, timeout_s: float | None) -> bool:
        """Wait for events after ``cursor`` or the end of the program; False after ``timeout_s``."""
        try:
            async with asyncio.timeout(timeout_s), self._grown:
                if self._newest <= cursor and not self._closed:
                    await self._grown.wait()
                return True
        except TimeoutError:
            return False

    async def _page(self, cursor: str, owner: str | None, key: str) -> tuple[list[StoredEvent], str]:
        """The next events of ``owner`` and the id up to which nothing else is theirs."""
        if self._tail and cursor >= self._base:
            page = []
            for event in reversed(self._tail):
                if event.id <= cursor:
                    break
                page.append(event)
            page.reverse()
            page = page[:_PAGE]
            newest = page[-1].id if page else cursor
            return [event for event in page if owner is None or event.owner == owner], newest
        async with self._turns.turn(key), self._database.read() as connection:
            newest = await events.newest_id(connection) or ""
            page = await events.after(connection, cursor, _PAGE, owner=owner)
        # Without the newest one, a reader that owns few events would read the same rows again.
        return page, page[-1].id if len(page) == _PAGE else max(cursor, newest, page[-1].id if page else "")

    async def _read_tail(self) -> None:
        if not self._tail:
            async with self._database.read() as connection:
                self._base = self._newest = await events.before_newest(connection, _KEPT // 4)
        while True:
            async with self._database.read() as connection:
                page = await events.after(connection, self._newest, _PAGE)
            if page:
                if len(self._tail) + len(page) > _KEPT:
                    dropped = len(self._tail) + len(page) - _KEPT
                    self._base = ([*self._tail, *page])[dropped - 1].id
                self._tail.extend(page)
                async with self._grown:
                    self._newest = page[-1].id
                    self._grown.notify_all()
            if len(page) < _PAGE:
                return
