"""Deletes old rows: messages with their files, delivered and dead deliveries, old events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from bot_service.domain.message import Media
from bot_service.messages.media import MediaStore
from bot_service.store import deliveries, events, messages
from bot_service.store.batch_writer import every
from bot_service.store.database import Database
from shared import logs
from shared.clock import Clock, epoch_ms
from shared.service_clock import ago_ms, steady

log = logs.get(__name__)

# Rows of one transaction: few enough that no writer waits long.
_SLICE = 500
_PAUSE_S = 0.05


class _WithMedia(msgspec.Struct, rename="camel"):
    media: Media | None = None


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """Ages in milliseconds; ``events`` is the number of events to keep."""

    messages_ms: int
    events: int
    retry_for_ms: int
    delivered_ms: int = 3_600_000
    dead_ms: int = 30 * 86_400_000
    every_s: float = 60.0


class Retention:
    """One loop for all tables. It runs on the replica that ``leads``."""

    def __init__(
        self,
        clock: Clock,
        database: Database,
        media: MediaStore,
        policy: RetentionPolicy,
        *,
        receivers_down: Callable[[], list[str]],
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        self._leads = leads
        self._clock, self._database, self._media, self._policy = clock, database, media, policy
        self._receivers_down = receivers_down

    async def run(self) -> None:
        """The loop."""
        await every(
            self._clock,
            self._policy.every_s,
            self.sweep,
            failed="Old rows could not be deleted",
            event_name="retention.store",
        )

    async def sweep(self) -> int:
        """Delete in slices until nothing is too old. Returns the number of rows."""
        gone = 0
        await self._give_up()
        while self._leads():
            count = await self._slice()
            gone += count
            if count < _SLICE:
                break
            await self._clock.sleep(_PAUSE_S)
        return gone

    async def _give_up(self) -> None:
        """Give up old deliveries to receivers that are down, where attempts are rare."""
        if not steady(self._clock):
            return
        now_ms = epoch_ms(self._clock)
        for webhook in self._receivers_down():
            async with self._database.write() as connection:
                count = await deliveries.give_up(connection, webhook, now_ms - self._policy.retry_for_ms, now_ms)
            if count:
                log.error("Deliveries were given up", event_name="webhook.dead", webhook=webhook, count=count)

    async def _slice(self) -> int:
        clock, policy = self._clock, self._policy
        bodies: list[bytes] = []
        async with self._database.write() as connection:
            count = await events.prune(connection, policy.events, _SLICE)
            # After a step of the wall clock no age is certain for a while.
            if steady(clock):
                delivered_ms, dead_ms = ago_ms(clock, policy.delivered_ms), ago_ms(clock, policy.dead_ms)
                bodies = await messages.prune(connection, ago_ms(clock, policy.messages_ms), _SLICE)
                count = max(count, await deliveries.prune(connection, delivered_ms, dead_ms, _SLICE))
        for body in bodies:
            media = msgspec.json.decode(body, type=_WithMedia).media
            if media is not None:
                await self._media.delete(media)
        return max(count, len(bodies))
