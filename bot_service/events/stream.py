"""Gives every reader of the event stream its events in order: from memory when it is near the end, from the store otherwise."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator

from bot_service.events.publisher import Staged
from bot_service.store import events
from bot_service.store.batch_writer import STORE_ERRORS
from bot_service.store.database import Database
from bot_service.store.events import StoredEvent
from shared import logs
from shared.clock import Clock

log = logs.get(__name__)

_PAGE = 500
_KEPT = 2000
# Commits that follow each other this closely are read together, once for all readers.
_GATHER_S = 0.05


class EventStream:
    """The tail is read from the store only while somebody reads."""

    def __init__(self, clock: Clock, database: Database) -> None:
        self._clock, self._database = clock, database
        self._tail: deque[StoredEvent] = deque(maxlen=_KEPT)
        self._base = ""  # everything in the tail is newer than this id
        self._newest = ""
        self._readers = 0
        self._closed = False
        self._committed = asyncio.Event()
        self._grown = asyncio.Condition()

    def wake(self, _staged: Staged | None = None) -> None:
        """Events were committed."""
        self._committed.set()

    @property
    def readers(self) -> int:
        return self._readers

    async def run(self) -> None:
        """The loop that reads the tail."""
        while True:
            await self._committed.wait()
            self._committed.clear()
            if self._readers == 0:
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
        """End every reader; for the end of the program."""
        async with self._grown:
            self._closed = True
            self._grown.notify_all()

    async def newest_id(self) -> str:
        """Where a reader begins that wants only what happens from now on."""
        async with self._database.read() as connection:
            return await events.newest_id(connection) or ""

    async def oldest_id(self) -> str:
        """The oldest event that can still be read."""
        async with self._database.read() as connection:
            return await events.oldest_id(connection) or ""

    async def after(self, event_id: str) -> AsyncGenerator[list[StoredEvent], None]:
        """Pages of events behind ``event_id``, without an end; an empty page says that the reader is at the end."""
        self._readers += 1
        try:
            cursor = event_id
            while not self._closed:
                page = await self._page(cursor)
                if page:
                    cursor = page[-1].id
                    yield page
                else:
                    yield []
                    async with self._grown:
                        if self._newest <= cursor and not self._closed:
                            await self._grown.wait()
        finally:
            self._readers -= 1

    async def _page(self, cursor: str) -> list[StoredEvent]:
        if self._tail and cursor >= self._base:
            return [event for event in self._tail if event.id > cursor][:_PAGE]
        async with self._database.read() as connection:
            return await events.after(connection, cursor, _PAGE)

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
