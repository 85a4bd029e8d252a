"""Requests that last (event streams, downloads): they end with the key or login they came with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bot_service.access.principals import Principal
from bot_service.domain.refused import Refused
from shared.clock import Clock, to_ms

STREAMS = 500
STREAMS_OF_ONE_KEY = 50
_ADMINISTRATOR = "administrator"


class OpenRequests:
    """One per process. The streams of the API and of the dashboard share their limits."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[str, set[asyncio.Timeout]] = {}
        self._streams: dict[str, int] = {}

    @asynccontextmanager
    async def stream(self, who: Principal, *, login: str = "", lasts_s: float | None = None) -> AsyncIterator[None]:
        """:meth:`until_ended` for an event stream. Raises :class:`Refused` ``too_many_readers``.

        A key has its own share, and administrators have a reserve that no other key uses up.
        """
        key = who.key_id or _ADMINISTRATOR
        all_streams = STREAMS if who.owner is None else STREAMS - STREAMS_OF_ONE_KEY
        if self._streams.get(key, 0) >= STREAMS_OF_ONE_KEY:
            raise Refused("too_many_readers", f"this key has {STREAMS_OF_ONE_KEY} event streams open already")
        if sum(self._streams.values()) >= all_streams:
            raise Refused("too_many_readers", "so many readers of events are connected already")
        self._streams[key] = self._streams.get(key, 0) + 1
        try:
            async with self.until_ended(who, login=login, lasts_s=lasts_s):
                yield
        finally:
            self._streams[key] -= 1
            if not self._streams[key]:
                del self._streams[key]

    @asynccontextmanager
    async def until_ended(
        self, who: Principal, *, login: str = "", lasts_s: float | None = None
    ) -> AsyncIterator[None]:
        """The block ends early, without an error, when the key or ``login`` ends or ``lasts_s`` is over."""
        if who.expires_ms is not None:
            left_s = (who.expires_ms - to_ms(self._clock.now())) / 1000
            lasts_s = left_s if lasts_s is None else min(lasts_s, left_s)
        names = [name for name in (who.key_id, login) if name]
        limit = asyncio.timeout(lasts_s)
        try:
            async with limit:
                for name in names:
                    self._open.setdefault(name, set()).add(limit)
                yield
        except TimeoutError:
            if not limit.expired():
                raise
        finally:
            for name in names:
                same = self._open.get(name, set())
                same.discard(limit)
                if not same:
                    self._open.pop(name, None)

    def end(self, name: str) -> None:
        """End all requests of the key or login ``name`` at once."""
        now = asyncio.get_running_loop().time()
        for limit in self._open.get(name, ()):
            if not limit.expired():
                limit.reschedule(now)
