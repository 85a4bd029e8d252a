"""Delivers events to webhooks: at least once, signed, in order per session.

Deliveries of one session to one webhook are sent one after another. A delivery that an available
receiver refuses three times steps aside and is retried on its own, while its lane goes on. After
five failures in a row the receiver counts as down: single attempts, with growing pauses, until one
succeeds; then everything that waits is due. So it is when the webhook changes.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import Any

import msgspec

from bot_service.events.subscriptions import Subscriptions, Target
from bot_service.sessions.lanes import Lanes
from bot_service.sessions.registry import SessionRegistry
from bot_service.store import deliveries
from bot_service.store.batch_writer import STORE_ERRORS
from bot_service.store.database import Database
from bot_service.store.deliveries import Delivery
from bot_service.webhooks.call import Attempt
from bot_service.webhooks.lanes import ASIDE, NEVER_MS, Lane, LaneAlarms, Receiver
from bot_service.webhooks.policy import AfterFailure, WebhookPolicy, after_failure
from bot_service.webhooks.results import WebhookResults
from bot_service.webhooks.tries import with_try
from shared import logs
from shared.clock import Clock, to_ms
from shared.service_clock import Move, steady
from shared.tasks import TaskSet

log = logs.get(__name__)

# How long an attempt may last when its lane goes to another replica.
LEAVE_WITHIN_S = 0.5
_REST_S = 0.01
_TURN = 20  # deliveries of one lane before other lanes of the webhook get the slot


class WebhookDispatcher:
    """``call`` makes one attempt; ``observe(result)`` counts delivered, retried and dead. With ``lanes`` other
    replicas work those lanes that are not here."""

    def __init__(
        self,
        clock: Clock,
        database: Database,
        subscriptions: Subscriptions,
        policy: WebhookPolicy,
        *,
        call: Callable[[Target, str, bytes], Awaitable[Attempt]],
        results: WebhookResults,
        observe: Callable[[str], None] = lambda _result: None,
        pick: Callable[[], float] = random.random,
        lanes: Lanes | None = None,
    ) -> None:
        self._lanes = lanes or Lanes(SessionRegistry())
        self._clock, self._database, self._subscriptions, self._policy = clock, database, subscriptions, policy
        self._call, self._results, self._observe, self._pick = call, results, observe, pick
        self._tasks = TaskSet()
        # Those that work a lane now, by webhook and lane.
        self._working: dict[tuple[str, str], asyncio.Task[Any]] = {}
        self._receivers: dict[str, Receiver] = {}
        self._alarms = LaneAlarms(clock)
        self._loaded = False
        self._early: list[Delivery] = []
        subscriptions.changed.subscribe(self._webhook_changed)

    def offer(self, committed: list[Delivery]) -> None:
        """Send new deliveries. Until :meth:`run` has read the store they are kept."""
        if not self._loaded:
            self._early.extend(committed)
            return
        for delivery in committed:
            receiver = self._receiver(delivery.webhook)
            lane = receiver.lane(delivery.lane)
            lane.offer(delivery)
            self._ready(receiver, lane)

    def retry_asides(self, webhook: str) -> None:
        """Look now for deliveries that are retried on their own, after a replay."""
        self._expect_asides(self._receiver(webhook), 0)

    def try_now(self, webhook: str) -> None:
        """Try everything that waits for ``webhook`` now, as after a change of it."""
        self._webhook_changed(webhook)

    def paused(self) -> list[str]:
        """Webhooks with a receiver that counts as down."""
        return [item.webhook for item in self._receivers.values() if self._is_down(item)]

    def is_down(self, webhook: str) -> bool:
        """Whether the receiver of ``webhook`` counts as down."""
        receiver = self._receivers.get(webhook)
        return receiver is not None and self._is_down(receiver)

    def next_try_ms(self, webhook: str) -> int | None:
        """When something that waits for ``webhook`` is tried next, at the earliest now; None when nothing waits."""
        receiver = self._receivers.get(webhook)
        dues = [lane.due_ms for lane in receiver.lanes.values() if not lane.empty or lane.busy] if receiver else []
        waiting = [due_ms for due_ms in dues if due_ms < NEVER_MS]
        if receiver is None or not waiting:
            return None
        return max(min(waiting), receiver.paused_until_ms, self._now_ms())

    def move(self, move: Move) -> None:
        """The clock is set: every delivery waits as long as before."""
        self._early = [
            msgspec.structs.replace(row, created_ms=move.past(row.created_ms), next_ms=move.due(row.next_ms))
            for row in self._early
        ]
        self._alarms.move(move)
        for receiver in self._receivers.values():
            receiver.move(move)
            for lane in list(receiver.lanes.values()):
                self._ready(receiver, lane)
            self._fill_slots(receiver)

    async def close(self) -> None:
        """Stop delivering and store the last results; the loops have ended before."""
        await self._tasks.close()
        await self._results.writer.flush()

    async def run(self) -> None:
        """The loop of alarms; attempts run in their own tasks."""
        if not self._loaded:
            await self._load()
        while True:
            now_ms = self._now_ms()
            for webhook, name in self._alarms.due(now_ms):
                receiver = self._receivers.get(webhook)
                if receiver is not None:
                    if name in receiver.lanes:
                        self._ready(receiver, receiver.lanes[name])
                    self._fill_slots(receiver)
            await self._alarms.sleep(now_ms)

    async def look(self, sessions: Collection[str]) -> None:
        """These run here from now on: deliver what waits for them."""
        async with self._database.read() as connection:
            waiting = await deliveries.lanes_waiting(connection)
        self._begin([(webhook, name) for webhook, name in waiting if name in sessions])

    async def look_without_session(self) -> None:
        """While this replica leads: deliver what waits and belongs to no session. Others stored some of it."""
        if not self._lanes.leads():
            return
        async with self._database.read() as connection:
            waiting = await deliveries.lanes_waiting(connection, without_session=True)
            asides = await deliveries.asides_waiting(connection)
        self._begin(waiting)
        self._begin_asides(asides)

    async def leave(self, leases: Collection[str]) -> None:
        """What these leases stand for goes to another replica: nothing of it is under way here any more, and all
        results are stored. Attempts that last too long are given up: the other one repeats them."""
        ends_s = self._clock.monotonic() + LEAVE_WITHIN_S
        while working := self._working_for(leases):
            if self._clock.monotonic() >= ends_s:
                await self._cancel(working)
                break
            await self._clock.sleep(_REST_S)
        await self._results.stored()

    async def abandon(self, leases: Collection[str]) -> None:
        """:meth:`leave` at once: another replica may work there already."""
        await self._cancel(self._working_for(leases))

    def _working_for(self, leases: Collection[str]) -> list[asyncio.Task[None]]:
        return [
            task for (_, lane), task in self._working.items() if lane in leases or self._lanes.lease_of(lane) in leases
        ]

    async def _cancel(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, waiting: list[tuple[str, str]]) -> None:
        for webhook, name in waiting:
            receiver = self._receiver(webhook)
            lane = receiver.lane(name)
            # What another replica stored may sort before what was delivered here.
            lane.after, lane.more = "", True
            self._ready(receiver, lane)

    def _begin_asides(self, asides: Mapping[str, int]) -> None:
        for webhook, due_ms in asides.items():
            self._expect_asides(self._receiver(webhook), due_ms)

    async def _load(self) -> None:
        async with self._database.read() as connection:
            waiting = await deliveries.lanes_waiting(connection)
            asides = await deliveries.asides_waiting(connection)
        self._loaded = True
        self._begin([(webhook, name) for webhook, name in waiting if self._lanes.here(name)])
        self._begin_asides(asides)
        # Commits during the read may be missing in what it found.
        self.offer(self._early)
        self._early = []

    def _receiver(self, webhook: str) -> Receiver:
        if webhook not in self._receivers:
            self._receivers[webhook] = Receiver(webhook)
        return self._receivers[webhook]

    def _expect_asides(self, receiver: Receiver, due_ms: int) -> None:
        lane = receiver.lane(ASIDE)
        lane.due_ms = min(lane.due_ms, due_ms) if lane.more else due_ms
        lane.more = True
        self._ready(receiver, lane)

    def _ready(self, receiver: Receiver, lane: Lane) -> None:
        """Put a lane with due deliveries in line for a slot, or set its alarm."""
        if lane.busy or lane.empty:
            return
        if lane.due_ms > self._now_ms():
            if lane.alarm_ms != lane.due_ms:
                lane.alarm_ms = lane.due_ms
                self._alarms.set(lane.due_ms, lane)
            return
        lane.busy = True
        receiver.line.append(lane)
        self._fill_slots(receiver)

    def _fill_slots(self, receiver: Receiver) -> None:
        if receiver.line and receiver.paused_until_ms > self._now_ms():
            if receiver.alarm_ms != receiver.paused_until_ms:
                receiver.alarm_ms = receiver.paused_until_ms
                self._alarms.set(receiver.paused_until_ms, receiver.line[0])
            return
        limit = 1 if self._is_down(receiver) else self._policy.concurrency
        while receiver.line and receiver.active < limit:
            receiver.active += 1
            self._tasks.start(self._work(receiver, receiver.line.popleft()), name="webhook-lane")

    async def _work(self, receiver: Receiver, lane: Lane) -> None:
        if (task := asyncio.current_task()) is not None:
            self._working[receiver.webhook, lane.name] = task
        try:
            await self._take_turn(receiver, lane)
        except STORE_ERRORS as error:
            log.warning("Deliveries could not be read", event_name="webhook.store", error=type(error).__name__)
            lane.more, lane.due_ms = True, self._now_ms() + 1000
        except Exception:
            log.exception("A delivery failed by an error of this program", event_name="webhook.crash")
            # The delivery that failed is read again from the store.
            lane.rows.clear()
            lane.after, lane.more, lane.due_ms = "", True, self._now_ms() + 10_000
        finally:
            receiver.active -= 1
            lane.busy = False
            self._working.pop((receiver.webhook, lane.name), None)
            if lane.empty and receiver.lanes.get(lane.name) is lane:
                del receiver.lanes[lane.name]
            self._ready(receiver, lane)
            self._fill_slots(receiver)

    async def _take_turn(self, receiver: Receiver, lane: Lane) -> None:
        lane.due_ms = 0
        for _ in range(_TURN):
            if not self._lanes.here(lane.name):
                lane.rows.clear()
                lane.after, lane.more = "", False
                return
            lease = self._lanes.lease_of(lane.name)
            delivery = await lane.next(self._database, self._results.unsaved, self._now_ms())
            if delivery is None:
                return
            if delivery.next_ms > self._now_ms() and not lane.is_aside:
                lane.rows.appendleft(delivery)
                lane.due_ms = delivery.next_ms
                return
            target = self._subscriptions.target(lane.webhook, delivery.type)
            if target is None:
                self._park(receiver, lane, delivery)
                return
            changes, begun = receiver.changes, self._clock.monotonic()
            attempt = await self._call(target, delivery.event, delivery.body)
            took_ms = int((self._clock.monotonic() - begun) * 1000)
            delivery = with_try(delivery, attempt, self._now_ms(), took_ms)
            if attempt.error is None:
                await self._succeeded(receiver, lease, delivery, attempt)
            elif changes != receiver.changes:
                # This failure says nothing about the webhook as it is now.
                lane.rows.appendleft(delivery)
            elif not await self._failed(receiver, lane, lease, delivery, attempt):
                return

    def _park(self, receiver: Receiver, lane: Lane, delivery: Delivery) -> None:
        """The webhook is inactive (its lanes wait) or deleted (its lanes are dropped)."""
        if self._subscriptions.get(lane.webhook) is None:
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
        receiver.changes += 1
        receiver.failures = receiver.paused_until_ms = 0
        for lane in receiver.lanes.values():
            lane.due_ms = 0  # also where the webhook was inactive
        self._all_due(receiver)
        self._fill_slots(receiver)
        # What only the store knows is due too.
        release = self._results.release(webhook, lambda: self._all_due(receiver))
        self._tasks.start(release, name="webhook-release")

    async def _succeeded(self, receiver: Receiver, lease: str, delivery: Delivery, attempt: Attempt) -> None:
        was_down = self._is_down(receiver)
        receiver.failures = receiver.paused_until_ms = 0
        self._observe("delivered")
        await self._results.add(delivery, attempt, "delivered", self._now_ms(), lease=lease)
        if was_down:
            log.info("A webhook's receiver is back", event_name="webhook.back", webhook=receiver.webhook)
            await self._results.release(receiver.webhook, lambda: self._all_due(receiver))

    async def _failed(self, receiver: Receiver, lane: Lane, lease: str, delivery: Delivery, attempt: Attempt) -> bool:
        """Store a failed attempt; whether the lane may go on."""
        now_ms = self._now_ms()
        receiver.failures += 1
        decision = after_failure(
            delivery,
            attempt,
            self._policy,
            failures=receiver.failures,
            aside=lane.is_aside,
            now_ms=now_ms,
            pick=self._pick,
            may_give_up=steady(self._clock),
        )
        receiver.paused_until_ms = max(receiver.paused_until_ms, decision.pause_until_ms)
        self._report_failure(receiver, attempt, decision.state)
        if decision.state is AfterFailure.HOLD:
            attempts, next_ms = delivery.attempts + 1, decision.next_ms
            lane.rows.appendleft(msgspec.structs.replace(delivery, attempts=attempts, next_ms=next_ms))
            lane.due_ms = next_ms
        # Last: a change of the webhook during this wait finds the delivery in its lane.
        # A delivery that steps aside is found in the store once its result is there, and not before.
        steps_aside = decision.state is AfterFailure.ASIDE and not lane.is_aside
        then = partial(self._expect_asides, receiver, 0) if steps_aside else None
        await self._results.add(delivery, attempt, decision.state.value, decision.next_ms, lease=lease, then=then)
        return decision.state is not AfterFailure.HOLD and receiver.paused_until_ms <= now_ms

    def _report_failure(self, receiver: Receiver, attempt: Attempt, state: AfterFailure) -> None:
        self._observe("dead" if state is AfterFailure.DEAD else "retried")
        fields = {"webhook": receiver.webhook, "error": attempt.error}
        if state is AfterFailure.DEAD:
            log.error("A delivery was given up", event_name="webhook.dead", **fields)
        if receiver.failures == self._policy.pause_after:
            log.warning("A webhook's receiver takes no deliveries; they wait", event_name="webhook.down", **fields)

    def _all_due(self, receiver: Receiver) -> None:
        now_ms = self._now_ms()
        for lane in list(receiver.lanes.values()):
            lane.hasten(now_ms)
            self._ready(receiver, lane)

    def _is_down(self, receiver: Receiver) -> bool:
        return receiver.failures >= self._policy.pause_after

    def _now_ms(self) -> int:
        return to_ms(self._clock.now())
