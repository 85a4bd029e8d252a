"""Sends open incidents again to channels that forget them: Alertmanager, also one that restarted.

The first sending goes through the outbox like every notice; only what that delivered is repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from shared import logs
from shared.clock import Clock, epoch_ms
from shared.timing import within
from watchdog.domain.ports import Delivered, Notifier
from watchdog.domain.states import Notice
from watchdog.flow.dispatcher import SEND_LIMIT_S
from watchdog.ledger.lasting import lasting
from watchdog.ledger.sqlite import Ledger

log = logs.get(__name__)

EVERY_S = 30.0
ENDS_FOR_MS = 16 * 60_000  # longer than an instance keeps what is not repeated (notifiers/alertmanager.py)


@runtime_checkable
class Repeating(Notifier, Protocol):
    """A channel that wants open incidents again, and their ends for a while."""

    async def repeat(self, notices: Sequence[Notice]) -> Delivered:
        """Never raises for a fault of the receiver or the network."""
        ...


def repeating(notifiers: Sequence[Notifier]) -> list[Repeating]:
    """Those of ``notifiers`` that want to hear open incidents again."""
    return [one for one in notifiers if isinstance(one, Repeating)]


class Repeater:
    """The repetitions to ``notifier``. ``settled`` says of a notice whether it is undisputed now."""

    def __init__(
        self,
        notifier: Repeating,
        ledger: Ledger,
        clock: Clock,
        settled: Callable[[Notice], bool] = lambda _notice: True,
    ) -> None:
        self._notifier, self._ledger, self._clock, self._settled = notifier, ledger, clock, settled
        self._failing = False

    async def run(self) -> None:
        while True:
            await self._clock.sleep(EVERY_S)
            await self.once()

    async def once(self) -> None:
        """One repetition; the next one makes up for one that failed."""
        since_ms = epoch_ms(self._clock) - ENDS_FOR_MS
        found = await self._ledger.read(lambda c: lasting(c, self._notifier.channel, since_ms))
        notices = [notice for notice in found if self._settled(notice)]
        if not notices:
            return
        try:
            sent = await within(self._clock, self._notifier.repeat(notices), SEND_LIMIT_S)
        except TimeoutError:
            sent = Delivered(False, "timeout")
        if not sent.ok and not self._failing:
            log.warning(
                f"Open incidents could not be repeated to {self._notifier.label}: {sent.reason}",
                event_name="alert.not_repeated",
                reason=sent.reason,
                channel=self._notifier.label,
            )
        self._failing = not sent.ok
