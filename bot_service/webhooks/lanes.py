"""Deliveries that wait for a webhook: lanes that keep their order, with some rows in memory."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.store import deliveries
from bot_service.store.database import Database
from bot_service.store.deliveries import Delivery
from shared.clock import Clock
from shared.service_clock import Move
from shared.wake import Wake

ASIDE = "\0aside"  # the lane without order: deliveries that are retried on their own
LANE_MEMORY = 100
NEVER_MS = 1 << 62
_FETCH = 50
# A result that is not stored yet leaves an old due time in the store: do not read it in a hot loop.
_LOOK_AGAIN_MS = 250


@dataclass(slots=True)
class Lane:
    """Deliveries of one session to one webhook. ``more``: the store holds some after ``rows``."""

    webhook: str
    name: str
    rows: deque[Delivery] = field(default_factory=deque)
    after: str = ""
    more: bool = False
    due_ms: int = 0
    alarm_ms: int = -1  # the time of its alarm, so that none is set twice
    busy: bool = False  # a task works on it, or it waits for a slot
    hastened: bool = False  # since the last read of the store began

    @property
    def is_aside(self) -> bool:
        return self.name == ASIDE

    @property
    def empty(self) -> bool:
        return not self.rows and not self.more

    def offer(self, delivery: Delivery) -> None:
        """Add a new delivery; beyond the limit it stays in the store only."""
        if self.more or len(self.rows) >= LANE_MEMORY:
            self.more = True
        else:
            self.rows.append(delivery)

    async def next(self, database: Database, unsaved: Collection[tuple[str, str]], now_ms: int) -> Delivery | None:
        """Take the next delivery, from the store if memory has none; None when none is left or due.

        ``unsaved`` are keys of deliveries with a result that is not stored yet: they are left out.
        After None, ``due_ms`` is when to look again.
        """
        if not self.rows and self.more:
            self.more = self.hastened = False
            # A result that is stored during the read may be missing in what it finds.
            before = frozenset(unsaved)
            async with database.read() as connection:
                fetch = self._fetch_asides if self.is_aside else self._fetch
                await fetch(connection, now_ms)
            read = len(self.rows)
            self.rows = deque(row for row in self.rows if (row.webhook, row.event) not in before.union(unsaved))
            if self.is_aside and read and not self.rows:
                self.due_ms = now_ms + _LOOK_AGAIN_MS
            if self.hastened:  # the read may have found the times of before
                self.hasten(now_ms)
        if not self.rows:
            return None
        head = self.rows.popleft()
        self.after = max(self.after, head.event)
        return head

    async def _fetch(self, connection: AsyncConnection, _now_ms: int) -> None:
        fetched = await deliveries.in_lane(connection, self.webhook, self.name, self.after, _FETCH)
        if len(fetched) >= _FETCH:
            self.rows = deque(fetched)
            self.more = True
            return
        # Deliveries that were offered during the read may be in both.
        known = {delivery.event for delivery in fetched}
        offered = [delivery for delivery in self.rows if delivery.event not in known]
        self.rows = deque(sorted([*fetched, *offered], key=lambda delivery: delivery.event))

    async def _fetch_asides(self, connection: AsyncConnection, now_ms: int) -> None:
        fetched = await deliveries.asides_due(connection, self.webhook, now_ms, _FETCH)
        self.rows.extend(fetched)
        due_ms = None if fetched else await deliveries.next_aside_ms(connection, self.webhook)
        if due_ms is not None:
            self.due_ms = max(due_ms, now_ms + _LOOK_AGAIN_MS)
        if fetched or due_ms is not None:
            self.more = True

    def move(self, move: Move) -> None:
        """The clock is set: everything waits as long as before."""
        self.rows = deque(
            msgspec.structs.replace(row, created_ms=move.past(row.created_ms), next_ms=move.due(row.next_ms))
            for row in self.rows
        )
        self.alarm_ms = -1
        if 0 < self.due_ms < NEVER_MS:
            self.due_ms = move.due(self.due_ms)

    def hasten(self, now_ms: int) -> None:
        """Make everything due at ``now_ms`` at the latest, unless the webhook is inactive."""
        self.hastened = True
        self.rows = deque(msgspec.structs.replace(row, next_ms=min(row.next_ms, now_ms)) for row in self.rows)
        if self.due_ms < NEVER_MS:
            self.due_ms = 0


@dataclass(slots=True)
class Receiver:
    """The receiver of one webhook.

    ``failures`` counts failed attempts since the last success, ``changes`` those of the webhook.
    """

    webhook: str
    lanes: dict[str, Lane] = field(default_factory=dict)
    line: deque[Lane] = field(default_factory=deque)  # lanes that wait for a free slot
    active: int = 0
    failures: int = 0
    changes: int = 0
    paused_until_ms: int = 0
    alarm_ms: int = -1

    def move(self, move: Move) -> None:
        """The clock is set."""
        self.alarm_ms = -1
        if self.paused_until_ms:
            self.paused_until_ms = move.due(self.paused_until_ms)
        for lane in self.lanes.values():
            lane.move(move)

    def lane(self, name: str) -> Lane:
        if name not in self.lanes:
            self.lanes[name] = Lane(self.webhook, name)
        return self.lanes[name]


class LaneAlarms:
    """When to look at which lane again. An alarm is never removed: its listener checks the lane."""

    def __init__(self, clock: Clock) -> None:
        self._heap: list[tuple[int, int, str, str]] = []
        self._count = 0
        self._wake = Wake(clock)

    def set(self, due_ms: int, lane: Lane) -> None:
        """Set an alarm, unless the webhook of ``lane`` is inactive."""
        if due_ms >= NEVER_MS:
            return
        self._count += 1
        heapq.heappush(self._heap, (due_ms, self._count, lane.webhook, lane.name))
        if self._heap[0][1] == self._count:
            self._wake.set()

    def move(self, move: Move) -> None:
        """The clock is set."""
        self._heap = [(move.due(at_ms), count, webhook, lane) for at_ms, count, webhook, lane in self._heap]
        heapq.heapify(self._heap)
        self._wake.set()

    def due(self, now_ms: int) -> Iterator[tuple[str, str]]:
        """Webhook and lane of each due alarm, with those that are set during the iteration."""
        while self._heap and self._heap[0][0] <= now_ms:
            _, _, webhook, name = heapq.heappop(self._heap)
            yield webhook, name

    async def sleep(self, now_ms: int) -> None:
        """Return when the next alarm is due, or when an earlier one is set."""
        await self._wake.wait((self._heap[0][0] - now_ms) / 1000 if self._heap else None)
