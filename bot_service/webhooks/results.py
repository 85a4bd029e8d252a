"""Writes what came of deliveries, many in one transaction, with the answers that are to be sent back to chats."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.store import deliveries
from bot_service.store.batch_writer import BatchWriter
from bot_service.store.database import Database
from bot_service.store.deliveries import Delivery
from bot_service.webhooks.call import Attempt
from shared.clock import Clock, to_ms

# Queues an answer inside the transaction: (connection, reply_to of the delivery, text).
Replier = Callable[[AsyncConnection, bytes, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Result:
    row: dict[str, Any]
    reply_to: bytes | None
    reply: str | None


@dataclass(frozen=True, slots=True)
class _Release:
    """The receiver is back: what waits for it is due now. Takes its place in line behind results already known."""

    webhook: str
    then: Callable[[], None]


class WebhookResults:
    """``unsaved`` holds (webhook, event) of results that the store does not show yet."""

    def __init__(self, clock: Clock, database: Database, reply: Replier) -> None:
        self._clock, self._database, self._reply = clock, database, reply
        self._writer: BatchWriter[_Result | _Release] = BatchWriter("webhook-results", clock, self._write)
        self.unsaved: set[tuple[str, str]] = set()

    async def add(self, delivery: Delivery, attempt: Attempt, state: str, at_ms: int) -> None:
        """``at_ms``: when it ended (delivered, dead) or when the next attempt is due."""
        final = state in ("delivered", "dead")
        row = {
            "w": delivery.webhook,
            "e": delivery.event,
            "s": state,
            "a": delivery.attempts + 1,
            "n": at_ms,
            "st": attempt.status,
            "er": attempt.error,
            "f": at_ms if final else None,
        }
        self.unsaved.add((delivery.webhook, delivery.event))
        answered = attempt.reply is not None and delivery.reply_to is not None
        await self._writer.put(_Result(row, delivery.reply_to if answered else None, attempt.reply))

    async def release(self, webhook: str, then: Callable[[], None]) -> None:
        await self._writer.put(_Release(webhook, then))

    async def idle(self) -> None:
        """Return once every result so far is stored."""
        await self._writer.idle()

    async def flush(self) -> None:
        """Store what is left, once the loop has ended."""
        await self._writer.flush()

    async def run(self) -> None:
        """The loop."""
        await self._writer.run()

    async def _write(self, items: list[_Result | _Release]) -> None:
        results = [item for item in items if isinstance(item, _Result)]
        releases = [item for item in items if isinstance(item, _Release)]
        async with self._database.write() as connection:
            await deliveries.record(connection, [result.row for result in results])
            for item in releases:
                await deliveries.release(connection, item.webhook, to_ms(self._clock.now()))
                self._database.after_commit(item.then)
            for result in results:
                if result.reply_to is not None and result.reply is not None:
                    await self._reply(connection, result.reply_to, result.reply)
        self.unsaved.difference_update((result.row["w"], result.row["e"]) for result in results)
