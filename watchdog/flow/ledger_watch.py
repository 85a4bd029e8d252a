"""Watches the ledger itself: tries a failing file again, and notifies of its failure and its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from shared.clock import Clock, epoch_ms
from shared.timing import until
from watchdog.domain import notices
from watchdog.domain.states import Notice
from watchdog.ledger import outbox
from watchdog.ledger.outbox import Channels
from watchdog.ledger.sqlite import Ledger

LOOK_S = 1.0
IN_PLACE_EVERY_S = 5.0
CHECK_EVERY_S = 3600.0
# A lock of a moment is no news; a file that fails again within a minute never worked.
NOTIFY_AFTER_S = 10.0
STEADY_S = 60.0
# The end of an older failure is no news after a restart.
REMEMBERED_MS = 86_400_000


class LedgerWatch:
    """``on_notice`` is called after a notice was enqueued, ``on_resumed`` when the file works again."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        channels: Channels,
        clock: Clock,
        on_notice: Callable[[], None],
        on_resumed: Callable[[], Awaitable[None]],
    ) -> None:
        self._ledger, self._channels, self._clock = ledger, channels, clock
        self._on_notice, self._on_resumed = on_notice, on_resumed
        self._since: tuple[int, float] | None = None  # of the failure: wall ms, monotonic s
        self._works_since_s: float | None = None
        self._works_since_ms = 0
        self._notified = False
        self._files = 0
        self._looked_s = self._checked_s = clock.monotonic()

    async def run(self) -> None:
        """Look endlessly; a ledger that works costs a look at its file every few seconds."""
        await self._continue()

        def due() -> bool:
            busy = self._since is not None or self._ledger.gap is not None
            return busy or self._clock.monotonic() - self._looked_s >= IN_PLACE_EVERY_S

        while True:
            await until(self._clock, due, LOOK_S)
            self._looked_s = self._clock.monotonic()
            await self.look()

    async def _continue(self) -> None:
        """An earlier run notified of a failure, and was restarted before it could notify of the end."""
        now_ms = epoch_ms(self._clock)
        since_ms = await self._ledger.read(lambda c: outbox.ledger_failing_since_ms(c, now_ms - REMEMBERED_MS))
        if since_ms is not None and self._since is None:
            self._since, self._notified = (since_ms, self._clock.monotonic()), True
            self._works_since_s, self._works_since_ms = self._clock.monotonic(), now_ms

    async def look(self) -> None:
        """One look, with one try to use the file again."""
        await self._ledger.look()
        if self._clock.monotonic() - self._checked_s >= CHECK_EVERY_S:
            self._checked_s = self._clock.monotonic()
            await self._ledger.look_for_damage()
        now_ms, now_s, gap = epoch_ms(self._clock), self._clock.monotonic(), self._ledger.gap
        if gap is not None:
            self._works_since_s = None
            self._since = self._since or (gap.since_ms, now_s)
            if await self._ledger.resume(self._channels):
                self._works_since_s, self._works_since_ms = now_s, now_ms
                await self._on_resumed()
            elif not self._notified and now_s - self._since[1] >= NOTIFY_AFTER_S:
                self._notified = True
                await self._notify(notices.ledger_failing(self._since[0], gap.why, now_ms))
        elif self._since is not None and self._works_since_s is not None and now_s - self._works_since_s >= STEADY_S:
            if self._notified:
                await self._notify(notices.ledger_over(self._since[0], self._works_since_ms, now_ms))
            self._since, self._notified = None, False
        for file in self._ledger.kept_aside[self._files :]:
            self._files += 1
            await self._notify(notices.ledger_damaged(file, now_ms))

    async def _notify(self, notice: Notice) -> None:
        await self._ledger.write(lambda c: outbox.enqueue(c, notice, self._channels))
        self._on_notice()
