"""Sign-outs, kept over a restart: a cookie is signed and would stay good for two weeks."""

from __future__ import annotations

from collections.abc import Callable

from bot_service.store import ended_logins
from bot_service.store.database import Database
from shared.clock import Clock, to_ms
from shared.hooks import Hook

KEPT = 5000
# Longer than a login lasts: the clock may be ahead now, and right again later.
REMEMBERED_S = 90 * 86_400
# This row stands for all logins that were made no later than one that is no longer listed.
_OLDER = "older"


class EndedLogins:
    """Bounded: when too many are listed, the oldest ones are replaced by a time that ends all older logins."""

    def __init__(self, clock: Clock, database: Callable[[], Database]) -> None:
        self._clock, self._database = clock, database
        self._until_s: dict[str, int] = {}
        self.ended: Hook[[str]] = Hook()

    async def load(self) -> None:
        """Read what earlier runs stored."""
        async with self._database().read() as connection:
            self._until_s = await ended_logins.load(connection)

    async def refresh(self) -> None:
        """Read what other replicas stored since then."""
        async with self._database().read() as connection:
            found = await ended_logins.load(connection)
        new = found.keys() - self._until_s.keys()
        both = {**self._until_s, **found}
        # What is only here was stored a moment ago, or deleted by a replica that had too many.
        self._until_s = both if len(both) <= KEPT else found
        for login in new:
            self.ended(login)

    def includes(self, login: str, until_s: int) -> bool:
        """Whether ``login``, which ends by itself at ``until_s``, was ended before."""
        return login in self._until_s or until_s <= self._until_s.get(_OLDER, 0)

    async def end(self, login: str, until_s: int) -> None:
        """End ``login`` at once and for good. Idempotent."""
        now_s = to_ms(self._clock.now()) // 1000
        self._until_s[login] = until_s
        self.ended(login)
        kept = {name: ends_s for name, ends_s in self._until_s.items() if ends_s > now_s - REMEMBERED_S}
        if len(kept) > KEPT:
            oldest = sorted(kept.items(), key=lambda item: item[1])[: KEPT // 10]
            for name, _ in oldest:
                del kept[name]
            kept[_OLDER] = max(until for _, until in oldest)
        forget = [name for name in self._until_s if name not in kept]
        self._until_s = kept
        rows = {name: kept[name] for name in (login, _OLDER) if name in kept}
        async with self._database().write() as connection:
            await ended_logins.replace(connection, rows, forget=forget)
