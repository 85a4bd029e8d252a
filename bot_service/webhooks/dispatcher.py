"""Delivers events to webhooks at least once: durable, signed, in order per session, and no receiver waits for another.

Order: deliveries of one session to one webhook go out one after another. One that the receiver answers and refuses three
times steps aside, is retried by itself, and its lane goes on. A receiver that is down holds its lanes back: after five
failures in a row it is asked by single attempts, ever further apart, until one succeeds; then everything that waits is due.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Awaitable, Callable

from bot_service.events.publisher import Staged
from bot_service.events.subscriptions import Subscriptions, Target
from bot_service.store import deliveries
from bot_service.store.batch_writer import STORE_ERRORS
from bot_service.store.database import Database
from bot_service.store.deliveries import Delivery
from bot_service.webhooks.call import Attempt
from bot_service.webhooks.lane_alarms import LaneAlarms
from bot_service.webhooks.lane_rows import LaneRows
from bot_service.webhooks.lane_tasks import LaneTasks
from bot_service.webhooks.lanes import ASIDE, NEVER_MS, Lane, ReceiverState
from bot_service.webhooks.policy import Next, WebhookPolicy, judge
from bot_service.webhooks.results import WebhookResults
from shared import logs
from shared.clock import Clock, to_ms

log = logs.get(__name__)

_TURN = 20  # deliveries of one lane before others of the same webhook get the slot


Caller = Callable[[Target, str, bytes], Awaitable[Attempt]]


class WebhookDispatcher:
    """``call`` makes one attempt; ``observe(result)`` counts delivered, retried and dead."""

    def __init__(
        self,
        clock: Clock,
        database: Database,
        directory: Subscriptions,
        policy: WebhookPolicy,
        *,
        call: Caller,
        results: WebhookResults,
        observe: Callable[[str], None] = lambda _result: None,
        pick: Callable[[], float] = random.random,
    ) -> None:
        self._clock, self._database, self._directory, self._policy = clock, database, directory, policy
        self._call, self._results, self._observe, self._pick = call, results, observe, pick
        self._tasks = LaneTasks()
        self._receivers: dict[str, ReceiverState] = {}
        self._alarms = LaneAlarms(clock)
        self._rows = LaneRows(clock, database, results)
        self._loaded = False
        self._early: list[Staged] = []
        directory.on_change(self._webhook_changed)

    # --- what others call ---

    def offer(self, staged: Staged) -> None:
        """Take what was committed. Until the store was read, it is kept: the reading may have come too early for it."""
        if not self._loaded:
            self._early.append(staged)
            return
        for delivery in staged.deliveries:
            receiver = self._receiver(delivery.webhook)
            lane = receiver.lane(delivery.lane)
            lane.offer(delivery)
            self._ready(receiver, lane)

    def retry_asides(self, webhook: str) -> None:
        """Look at once for deliveries that are due by themselves, after a replay."""
        receiver = self._receiver(webhook)
        lane = receiver.lane(ASIDE)
        lane.due_ms, lane.more = 0, True
        self._ready(receiver, lane)

    def paused(self) -> list[str]:
        """Webhooks whose receiver is taken to be down."""
        return [item.webhook for item in self._receivers.values() if self._is_down(item)]

    async def close(self) -> None:
        """Stop delivering and store what is known; the loops have ended before."""
        await self._tasks.close()
        await self._results.flush()

    async def run(self) -> None:
        """The loop of alarms; attempts run in tasks of their own."""
        if not self._loaded:
            await self._load()
        while True:
            now_ms = self._now_ms()
            for webhook, name in self._alarms.ringing(now_ms):
                receiver = self._receivers.get(webhook)
                if receiver is not None:
                    if name in receiver.lanes:
                        self._ready(receiver, receiver.lanes[name])
                    self._pump(receiver)
            await self._alarms.sleep(now_ms)

    # --- lanes and slots ---

    async def _load(self) -> None:
        async with self._database.read() as connection:
            waiting = await deliveries.lanes_waiting(connection)
            asides = await deliveries.asides_waiting(connection)
        self._loaded = True
        for webhook, name in waiting:
            receiver = self._receiver(webhook)
            lane = receiver.lane(name)
            lane.more = True
            self._ready(receiver, lane)
        for webhook, due_ms in asides.items():
            receiver = self._receiver(webhook)
            lane = receiver.lane(ASIDE)
            lane.more, lane.due_ms = True, due_ms
            self._ready(receiver, lane)
        early, self._early = self._early, []
        for staged in early:
            self.offer(staged)

    def _receiver(self, webhook: str) -> ReceiverState:
        if webhook not in self._receivers:
            self._receivers[webhook] = ReceiverState(webhook)
        return self._receivers[webhook]

    def _ready(self, receiver: ReceiverState, lane: Lane) -> None:
        if lane.busy or lane.empty:
            return
        if lane.due_ms > self._now_ms():
            if lane.alarm_ms != lane.due_ms:
                lane.alarm_ms = lane.due_ms
                self._alarms.set(lane.due_ms, lane)
            return
        lane.busy = True
        receiver.line.append(lane)
        self._pump(receiver)

    def _pump(self, receiver: ReceiverState) -> None:
        if receiver.line and receiver.paused_until_ms > self._now_ms():
            if receiver.alarm_ms != receiver.paused_until_ms:
                receiver.alarm_ms = receiver.paused_until_ms
                self._alarms.set(receiver.paused_until_ms, receiver.line[0])
            return
        # A receiver that failed again and again is asked by one attempt at a time.
        limit = 1 if self._is_down(receiver) else self._policy.concurrency
        while receiver.line and receiver.active < limit:
            receiver.active += 1
            self._tasks.start(self._work(receiver, receiver.line.popleft()), name="webhook-lane")

    async def _work(self, receiver: ReceiverState, lane: Lane) -> None:
        try:
            await self._take_turn(receiver, lane)
        except STORE_ERRORS as error:
            log.warning("Deliveries could not be read", event_name="webhook.store", error=type(error).__name__)
            lane.more, lane.due_ms = True, self._now_ms() + 1000
        except Exception:
            log.exception("A delivery failed for a reason of ours", event_name="webhook.crash")
            # The one in hand is read again from the store.
            lane.rows.clear()
            lane.after, lane.more, lane.due_ms = "", True, self._now_ms() + 10_000
        finally:
            receiver.active -= 1
            lane.busy = False
            if lane.empty and receiver.lanes.get(lane.name) is lane:
                del receiver.lanes[lane.name]
            self._ready(receiver, lane)
            self._pump(receiver)

    async def _take_turn(self, receiver: ReceiverState, lane: Lane) -> None:
        lane.due_ms = 0
        for _ in range(_TURN):
            delivery = await self._rows.next(lane)
            if delivery is None:
                return
            if delivery.next_ms > self._now_ms() and not lane.is_aside:
                lane.rows.appendleft(delivery)
                lane.due_ms = delivery.next_ms
                return
            target = self._directory.target(lane.webhook)
            if target is None:
                self._park(receiver, lane, delivery)
                return
            attempt = await self._call(target, delivery.event, delivery.body)
            if not await self._settle(receiver, lane, delivery, attempt):
                return

    def _park(self, receiver: ReceiverState, lane: Lane, delivery: Delivery) -> None:
        """The webhook is switched off (its lanes wait) or gone (they are dropped with it)."""
        if self._directory.get(lane.webhook) is None:
            receiver.lanes.pop(lane.name, None)
            lane.rows.clear()
            lane.more = False
            return
        lane.rows.appendleft(delivery)
        lane.due_ms = NEVER_MS

    def _webhook_changed(self, webhook: str) -> None:
        receiver = self._receivers.get(webhook)
        if receiver is None:
            return
        receiver.failures = receiver.paused_until_ms = 0
        for lane in list(receiver.lanes.values()):
            lane.due_ms = 0
            self._ready(receiver, lane)
        self._pump(receiver)

    # --- results ---

    async def _settle(self, receiver: ReceiverState, lane: Lane, delivery: Delivery, attempt: Attempt) -> bool:
        """Record what came of an attempt; whether the lane may go on."""
        now_ms = self._now_ms()
        if attempt.error is None:
            was_down = self._is_down(receiver)
            receiver.failures = receiver.paused_until_ms = 0
            self._observe("delivered")
            await self._results.add(delivery, attempt, "delivered", now_ms)
            if was_down:
                log.info("A webhook's receiver is back", event_name="webhook.back", webhook=receiver.webhook)
                await self._results.release(receiver.webhook, lambda: self._all_due(receiver, now_ms))
            return True
        receiver.failures += 1
        verdict = judge(
            delivery,
            attempt,
            self._policy,
            failures=receiver.failures,
            aside=lane.is_aside,
            now_ms=now_ms,
            pick=self._pick,
        )
        receiver.paused_until_ms = max(receiver.paused_until_ms, verdict.pause_until_ms)
        self._tell_of_failure(receiver, attempt, verdict.next)
        await self._results.add(delivery, attempt, verdict.next.value, verdict.next_ms)
        if verdict.next is Next.HOLD:
            lane.rows.appendleft(dataclasses.replace(delivery, attempts=delivery.attempts + 1, next_ms=verdict.next_ms))
            lane.due_ms = verdict.next_ms
            return False
        if verdict.next is Next.ASIDE and not lane.is_aside:
            self._expect_aside(receiver, verdict.next_ms)
        return receiver.paused_until_ms <= now_ms

    def _tell_of_failure(self, receiver: ReceiverState, attempt: Attempt, following: Next) -> None:
        self._observe("dead" if following is Next.DEAD else "retried")
        fields = {"webhook": receiver.webhook, "error": attempt.error}
        if following is Next.DEAD:
            log.warning("A delivery was given up", event_name="webhook.dead", **fields)
        if receiver.failures == self._policy.pause_after:
            log.warning("A webhook's receiver takes no deliveries; they wait", event_name="webhook.down", **fields)

    def _expect_aside(self, receiver: ReceiverState, due_ms: int) -> None:
        lane = receiver.lane(ASIDE)
        lane.due_ms = min(lane.due_ms, due_ms) if lane.more else due_ms
        lane.more = True
        self._ready(receiver, lane)

    def _all_due(self, receiver: ReceiverState, now_ms: int) -> None:
        for lane in list(receiver.lanes.values()):
            lane.hasten(now_ms)
            self._ready(receiver, lane)

    def _is_down(self, receiver: ReceiverState) -> bool:
        return receiver.failures >= self._policy.pause_after

    def _now_ms(self) -> int:
        return to_ms(self._clock.now())
