"""Notifies people of a loop of the watchdog that crashes again and again, and of its end.

The loops that deliver alerts may be the ones that crash: their channels get the notice directly.
A program that has not watched or alerted for ten minutes ends, so that its supervisor starts it
again.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from shared import logs
from shared.clock import Clock, epoch_ms
from shared.tasks import TaskGroupOfLoops
from watchdog.domain import notices
from watchdog.domain.states import Notice
from watchdog.flow.dispatcher import DELIVER, Dispatcher
from watchdog.ledger import outbox
from watchdog.ledger.sqlite import Ledger

log = logs.get(__name__)

CRASHES = 3
WITHIN_S = 900.0
CALM_S = 120.0
END_AFTER_S = 600.0
EXIT_CODE = 70
# Without these nothing is watched, decided or sent.
VITAL = ("pings.", DELIVER, "outbox-keeper", "upkeep")


class LoopWatch:
    """Listens to ``loops``; it is no loop itself, so that it cannot be the one that crashes."""

    def __init__(
        self,
        *,
        loops: TaskGroupOfLoops,
        ledger: Ledger,
        dispatcher: Dispatcher,
        clock: Clock,
        end: Callable[[int], object] = os._exit,
    ) -> None:
        self._loops, self._ledger, self._dispatcher, self._clock, self._end = loops, ledger, dispatcher, clock, end
        self._crashes: dict[str, list[float]] = {}
        # Loops that were reported: since when, in wall ms and monotonic s.
        self._failing: dict[str, tuple[int, float]] = {}
        loops.crashed.subscribe(self._on_crash)

    def _on_crash(self, name: str, error: str) -> None:
        now_s = self._clock.monotonic()
        crashes = [at for at in self._crashes.get(name, []) if now_s - at < WITHIN_S]
        self._crashes[name] = crashes = [*crashes, now_s][-CRASHES:]
        if name in self._failing:
            if name.startswith(VITAL) and now_s - self._failing[name][1] >= END_AFTER_S:
                log.critical(
                    f"Loop {name} has crashed for {END_AFTER_S / 60:.0f} minutes: the watchdog ends to be started again",
                    event_name="loop.given_up",
                    loop=name,
                )
                self._end(EXIT_CODE)
        elif len(crashes) >= CRASHES:
            now_ms = epoch_ms(self._clock)
            self._failing[name] = (now_ms - int((now_s - crashes[0]) * 1000), crashes[0])
            self._loops.helpers.start(self._until_calm(name, error), name=f"loop-watch.{name}")

    async def _until_calm(self, name: str, error: str) -> None:
        since_ms, _ = self._failing[name]
        await self._notify(notices.loop_failing(name, error, since_ms, epoch_ms(self._clock)))
        while (left_s := self._crashes[name][-1] + CALM_S - self._clock.monotonic()) > 0:
            await self._clock.sleep(left_s)
        del self._failing[name], self._crashes[name]
        await self._notify(notices.loop_over(name, since_ms, epoch_ms(self._clock)))

    async def _notify(self, notice: Notice) -> None:
        try:
            await self._ledger.write(lambda c: outbox.enqueue(c, notice, self._dispatcher.channels))
            self._dispatcher.wake()
        finally:
            await self._dispatcher.send_past_dead_loops(notice, self._loops.dead())
