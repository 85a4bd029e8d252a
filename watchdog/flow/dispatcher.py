"""Delivers the outbox at least once, with one loop per channel: a slow channel delays nothing else.

A row is claimed in one transaction, sent, and marked done in another. A crash between the two sends
it again with the same id.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Mapping

from shared import logs
from shared.clock import Clock, epoch_ms
from shared.tasks import TaskGroupOfLoops
from shared.timing import StepWatch, either, until, within
from watchdog.domain.alert import AlertPolicy
from watchdog.domain.ports import Delivered, Notifier
from watchdog.domain.states import Notice
from watchdog.ledger import claiming, outbox, settling
from watchdog.ledger.claiming import Claim
from watchdog.ledger.outbox import Channels, Depth
from watchdog.ledger.sqlite import Ledger
from watchdog.metrics.delivery import DeliveryMetrics

log = logs.get(__name__)

DELIVER = "deliver-"  # and the number of the channel: the name of its loop
SEND_LIMIT_S = 15.0
_LEASE_MS = 60_000  # longer than a send may take
_IDLE_S = 60.0  # check of an empty outbox without a wake-up
_WAIT_S = 5.0  # check of a waiting outbox: the wall clock may have been set
_KEEP_S = 1.0


class Dispatcher:
    """A channel in both ``primary`` and ``fallback`` counts as primary."""

    def __init__(
        self,
        ledger: Ledger,
        primary: list[Notifier],
        fallback: list[Notifier],
        clock: Clock,
        metrics: DeliveryMetrics,
        *,
        policy: AlertPolicy | None = None,
        send_limit_s: float = SEND_LIMIT_S,
        pick: Callable[[], float] = random.random,
    ) -> None:
        self._ledger, self._clock, self._metrics = ledger, clock, metrics
        self._policy = policy or AlertPolicy()
        self._send_limit_s, self._pick = send_limit_s, pick
        self._notifiers = {notifier.channel: notifier for notifier in [*fallback, *primary]}
        first = tuple(dict.fromkeys(notifier.channel for notifier in primary))
        second = tuple(dict.fromkeys(notifier.channel for notifier in fallback))
        self.channels = Channels(first, tuple(channel for channel in second if channel not in first))
        self._wakes = {channel: asyncio.Event() for channel in self.channels.all}
        self._keeper_wake = asyncio.Event()
        self.depth = Depth(0, 0)

    @property
    def notifiers(self) -> list[Notifier]:
        return list(self._notifiers.values())

    @property
    def labels(self) -> Mapping[str, str]:
        """A printable name for each channel."""
        return {channel: notifier.label for channel, notifier in self._notifiers.items()}

    def wake(self) -> None:
        """Deliver at once: a notice was enqueued."""
        for wake in self._wakes.values():
            wake.set()
        self._keeper_wake.set()

    async def recover(self) -> None:
        """Call once before :meth:`start`: recover what an earlier run left."""
        now_ms = epoch_ms(self._clock)
        waiting = await self._ledger.write(lambda c: settling.recover(c, self.channels, now_ms, self._policy))
        if waiting:
            log.info(f"{waiting} alerts wait from an earlier run", event_name="outbox.restored", waiting=waiting)

    def start(self, loops: TaskGroupOfLoops) -> None:
        """Start one loop per channel and the keeper."""
        for number, channel in enumerate(self.channels.all, 1):
            loops.start(f"{DELIVER}{number}", lambda channel=channel: self._deliver(channel))  # type: ignore[misc]
        loops.start("outbox-keeper", self._keep)

    async def send_past_dead_loops(self, notice: Notice, dead: Collection[str]) -> None:
        """Send ``notice`` once, without its row, on each channel with a loop that is ``dead``."""
        for number, channel in enumerate(self.channels.all, 1):
            if f"{DELIVER}{number}" in dead:
                notifier = self._notifiers[channel]
                try:
                    await within(self._clock, notifier.send(notice), self._send_limit_s)
                except Exception:
                    log.exception("Notifier failed", event_name="notifier.crashed", channel=notifier.label)

    async def _deliver(self, channel: str) -> None:
        while True:
            look_again_at_ms = await self.deliver_next(channel)
            now_ms = epoch_ms(self._clock)
            if look_again_at_ms is None or look_again_at_ms > now_ms:
                wait_s = _IDLE_S if look_again_at_ms is None else min(_WAIT_S, (look_again_at_ms - now_ms) / 1000)
                await either(self._clock, self._wakes[channel], wait_s)

    async def deliver_next(self, channel: str) -> int | None:
        """Send at most one notice. Returns when to check again (epoch ms), or None."""
        now_ms = epoch_ms(self._clock)
        claimed = await self._ledger.write(
            lambda c: claiming.claim(c, channel, now_ms, self._policy, lease_ms=_LEASE_MS)
        )
        for notice, judged in claimed.decided:
            self._metrics.withheld.labels(judged.why).inc()
            log.info(
                f"Alert not sent: {notice.title} ({judged.why})",
                event_name="alert.withheld",
                notice=notice.id,
                verdict=judged.decision,
                reason=judged.why,
                channel=self._notifiers[channel].label,
            )
        if claimed.claim is None:
            return claimed.look_again_at_ms
        await self._send(claimed.claim)
        return epoch_ms(self._clock)

    async def _send(self, claim: Claim) -> None:
        notifier = self._notifiers[claim.channel]
        began_s = self._clock.monotonic()
        try:
            delivered = await within(self._clock, notifier.send(claim.notice), self._send_limit_s)
        except TimeoutError:
            delivered = Delivered(False, "timeout")
        except Exception as error:
            # A defect of a notifier must neither lose the notice nor stop the channel.
            log.exception("Notifier failed", event_name="notifier.crashed", channel=notifier.label)
            delivered = Delivered(False, f"crash_{type(error).__name__}")
        took_ms = (self._clock.monotonic() - began_s) * 1000
        now_ms = epoch_ms(self._clock)
        tried = settling.Try(claim, notifier.label, delivered, took_ms, self._pick())
        settled = await self._ledger.write(lambda c: settling.settle(c, tried, self.channels, now_ms, self._policy))
        self._report(claim, notifier.label, delivered, settled, now_ms)
        self._keeper_wake.set()  # the queue has changed
        if settled.escalated or settled.reported is not None:
            self.wake()

    def _report(self, claim: Claim, label: str, delivered: Delivered, settled: settling.Settled, now_ms: int) -> None:
        fields = {"notice": claim.notice.id, "channel": label, "tries": claim.tries}
        if delivered.ok:
            self._metrics.sent.labels(claim.notice.kind).inc()
            self._metrics.latency.observe(max(0, now_ms - claim.created_at_ms) / 1000)
            write = log.debug if label == "log" else log.info
            write(f"Alert sent by {label}: {claim.notice.title}", event_name="alert.sent", **fields)
            return
        self._metrics.failed.labels(delivered.reason).inc()
        log.warning(
            f"Alert not delivered by {label}: {claim.notice.title} ({delivered.reason})",
            event_name="alert.failed",
            reason=delivered.reason,
            retry_in_ms=settled.retry_in_ms,
            **fields,
        )
        if settled.reported is not None:
            log.error(settled.reported.text, event_name="channel.failing", channel=label)

    async def _keep(self) -> None:
        # Less than that is a clock that approaches the wall clock slowly: no wait changes by much.
        steps = StepWatch(self._clock, least_ms=5000)
        while True:
            step_ms = steps.take_ms()
            busy = await self.keep(step_ms)
            looked_s = self._clock.monotonic()

            def due(busy: bool = busy, looked_s: float = looked_s) -> bool:
                # Work for this loop always comes with a wake-up. Without one it checks only the
                # clocks: a step noticed late would also move rows that came after it.
                return busy or steps.seen() or self._clock.monotonic() - looked_s >= _IDLE_S

            await until(self._clock, due, _KEEP_S, self._keeper_wake)

    async def keep(self, step_ms: int = 0) -> bool:
        """Reminders, overdue rows, a step of the wall clock, metrics.

        Returns whether time alone may make something due: a waiting notice or an open incident.
        """
        if step_ms:
            log.info("Waiting alerts move with the wall clock", event_name="outbox.shifted", step_ms=step_ms)
            await self._ledger.write(lambda c: settling.shift(c, step_ms))
        now_ms = epoch_ms(self._clock)
        policy, channels = self._policy, self.channels
        reminders, overdue, depth, busy = await self._ledger.read(
            lambda c: (
                outbox.reminders_due(c, now_ms, policy),
                bool(channels.fallback) and outbox.overdue(c, now_ms, policy) != [],
                outbox.depth(c, now_ms),
                outbox.busy(c),
            )
        )
        if reminders:
            await self._ledger.write(lambda c: outbox.remind(c, channels, now_ms, policy))
        if overdue:
            await self._ledger.write(lambda c: outbox.escalate_overdue(c, channels, now_ms, policy))
        if reminders or overdue or step_ms:
            self.wake()
        self.depth = depth
        self._metrics.depth.set(depth.rows)
        self._metrics.oldest.set(depth.oldest_ms / 1000)
        return busy
