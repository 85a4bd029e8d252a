"""Gives the next delivery of a lane: from memory, and from the store when memory holds none and the store does."""

from __future__ import annotations

from collections import deque

from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.store import deliveries
from bot_service.store.database import Database
from bot_service.store.deliveries import Delivery
from bot_service.webhooks.lanes import Lane
from bot_service.webhooks.results import WebhookResults
from shared.clock import Clock, to_ms

_FETCH = 50
# Results still being written may make a stored time an old one: no hot loop over them.
_LOOK_AGAIN_MS = 250


class LaneRows:
    """Nothing is read again whose last attempt is not stored yet."""

    def __init__(self, clock: Clock, database: Database, results: WebhookResults) -> None:
        self._clock, self._database, self._results = clock, database, results

    async def next(self, lane: Lane) -> Delivery | None:
        """Taken out of the lane; None when nothing is left or due. Then ``lane.due_ms`` is when to look again for what is not due yet."""
        if not lane.rows and lane.more:
            lane.more = False
            async with self._database.read() as connection:
                if not lane.is_aside:
                    fetched = await deliveries.in_lane(connection, lane.webhook, lane.name, lane.after, _FETCH)
                    lane.merge(fetched, _FETCH)
                elif not await self._asides_are_due(connection, lane):
                    return None
            lane.rows = deque(row for row in lane.rows if (row.webhook, row.event) not in self._results.unsaved)
            if lane.is_aside and not lane.rows:
                lane.due_ms = self._now_ms() + _LOOK_AGAIN_MS
        return lane.pop()

    async def _asides_are_due(self, connection: AsyncConnection, lane: Lane) -> bool:
        now_ms = self._now_ms()
        fetched = await deliveries.asides_due(connection, lane.webhook, now_ms, _FETCH)
        if fetched:
            lane.rows.extend(fetched)
            lane.more = True
            return True
        due_ms = await deliveries.next_aside_ms(connection, lane.webhook)
        if due_ms is not None:
            lane.more, lane.due_ms = True, max(due_ms, now_ms + _LOOK_AGAIN_MS)
        return False

    def _now_ms(self) -> int:
        return to_ms(self._clock.now())
