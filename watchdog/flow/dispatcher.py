"""Sends what the outbox holds, at least once: one loop a channel, so that a hanging channel delays no other, nor a ping.

A row is claimed in one transaction, sent, and marked done in another only after the receiver took it. A crash between
the two sends it again with the same id.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping

from shared import logs
from shared.clock import Clock
from shared.tasks import TaskGroupOfLoops
from watchdog.domain.alert import AlertPolicy
from watchdog.domain.ports import Delivered, Notifier
from watchdog.domain.states import Notice
from watchdog.flow.timing import StepWatch, either, epoch_ms, until, within
from watchdog.ledger import claiming, outbox, settling
from watchdog.ledger.claiming import Claim
from watchdog.ledger.outbox import Channels, Depth
from watchdog.ledger.sqlite import Ledger
from watchdog.metrics.delivery_meter import DeliveryMeter

log = logs.get(__name__)

SEND_LIMIT_S = 15.0
_LEASE_MS = 60_000  # longer than a send may take
_IDLE_S = 60.0  # a look at an empty outbox even when nobody called
_WAIT_S = 5.0  # and at one that holds something, whatever it says: the wall clock may have been set
_KEEP_S = 1.0


class Dispatcher:
    """``primary`` and ``fallback`` in the order they are configured; a channel in both counts as primary."""

    def __init__(
        self,
        ledger: Ledger,
        primary: list[Notifier],
        fallback: list[Notifier],
        clock: Clock,
        meter: DeliveryMeter,
        *,
        policy: AlertPolicy | None = None,
        send_limit_s: float = SEND_LIMIT_S,
        pick: Callable[[], float] = random.random,
    ) -> None:
        self._ledger, self._clock, self._meter = ledger, clock, meter
        self._policy = policy or AlertPolicy()
        self._send_limit_s, self._pick = send_limit_s, pick
        self._notifiers = {notifier.channel: notifier for notifier in [*fallback, *primary]}
        first = tuple(dict.fromkeys(notifier.channel for notifier in primary))
        second = tuple(dict.fromkeys(notifier.channel for notifier in fallback))
        self.channels = Channels(first, tuple(channel for channel in second if channel not in first))
        self._calls = {channel: asyncio.Event() for channel in self.channels.all}
        self._keeper_call = asyncio.Event()
        self.depth = Depth(0, 0)

    @property
    def labels(self) -> Mapping[str, str]:
        """A printable name for each channel."""
        return {channel: notifier.label for channel, notifier in self._notifiers.items()}

    def kick(self) -> None:
        """Something was enqueued: look at once."""
        for call in self._calls.values():
            call.set()
        self._keeper_call.set()

    async def mend(self) -> None:
        """Once, before :meth:`start`: take up what an earlier run left."""
        now_ms = epoch_ms(self._clock)
        waiting = await self._ledger.write(lambda c: settling.mend(c, self.channels, now_ms, self._policy))
        if waiting:
            log.info(f"{waiting} alerts wait from an earlier run", event_name="outbox.restored", waiting=waiting)

    def start(self, loops: TaskGroupOfLoops) -> None:
        """Run one loop a channel and the keeper."""
        for number, channel in enumerate(self.channels.all, 1):
            loops.start(f"deliver-{number}", lambda channel=channel: self._deliver(channel))  # type: ignore[misc]
        loops.start("outbox-keeper", self._keep)

    async def _deliver(self, channel: str) -> None:
        while True:
            look_again_at_ms = await self.deliver_next(channel)
            now_ms = epoch_ms(self._clock)
            if look_again_at_ms is None or look_again_at_ms > now_ms:
                wait_s = _IDLE_S if look_again_at_ms is None else min(_WAIT_S, (look_again_at_ms - now_ms) / 1000)
                await either(self._clock, self._calls[channel], wait_s)

    async def deliver_next(self, channel: str) -> int | None:
        """Send at most one notice by ``channel``; when to look again (ms since the epoch), None when nothing waits."""
        now_ms = epoch_ms(self._clock)
        claimed = await self._ledger.write(
            lambda c: claiming.claim(c, channel, now_ms, self._policy, lease_ms=_LEASE_MS)
        )
        for notice, judged in claimed.decided:
            self._meter.withheld(judged.why)
            log.info(
                f"Alert not sent: {notice.title} ({judged.why})",
                event_name="alert.withheld",
                notice=notice.id,
                verdict=judged.verdict,
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
        delivered = await self._try(notifier, claim.notice)
        took_ms = (self._clock.monotonic() - began_s) * 1000
        now_ms = epoch_ms(self._clock)
        tried = settling.Try(claim, notifier.label, delivered, took_ms, self._pick())
        settled = await self._ledger.write(lambda c: settling.settle(c, tried, self.channels, now_ms, self._policy))
        self._tell(claim, notifier.label, delivered, settled, now_ms)
        self._keeper_call.set()  # what waits has changed
        if settled.escalated or settled.reported is not None:
            self.kick()

    async def _try(self, notifier: Notifier, notice: Notice) -> Delivered:
        try:
            return await within(self._clock, notifier.send(notice), self._send_limit_s)
        except TimeoutError:
            return Delivered(False, "timeout")
        except Exception as error:
            # A defect of one notifier must neither lose the notice nor stop the channel.
            log.exception("Notifier failed", event_name="notifier.crashed", channel=notifier.label)
            return Delivered(False, f"crash_{type(error).__name__}")

    def _tell(self, claim: Claim, label: str, delivered: Delivered, settled: settling.Settled, now_ms: int) -> None:
        fields = {"notice": claim.notice.id, "channel": label, "tries": claim.tries}
        if delivered.ok:
            self._meter.sent(claim.notice.kind, now_ms - claim.created_at_ms)
            say = log.debug if label == "log" else log.info
            say(f"Alert sent by {label}: {claim.notice.title}", event_name="alert.sent", **fields)
            return
        self._meter.failed(delivered.reason)
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
        steps = StepWatch(self._clock)
        while True:
            step_ms = steps.take_ms()
            busy = await self.keep(step_ms)
            looked_s = self._clock.monotonic()

            def due(busy: bool = busy, looked_s: float = looked_s) -> bool:
                # Whatever makes work for this loop comes with a call: a notice is enqueued with the incident it tells of.
                # Without one only the clocks are looked at: a step noticed late would move what came after it too.
                return busy or steps.seen() or self._clock.monotonic() - looked_s >= _IDLE_S

            await until(self._clock, due, _KEEP_S, self._keeper_call)

    async def keep(self, step_ms: int = 0) -> bool:
        """Reminders, overdue rows to the fallback channels, a step of the wall clock, the figures.

        Whether there is anything that time alone may make due: a notice that waits, an incident that is open.
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
            self.kick()
        self.depth = depth
        self._meter.outbox(depth.rows, depth.oldest_ms)
        return busy
