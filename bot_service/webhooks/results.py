"""Stores results of attempts, many in one transaction, and queues the replies of receivers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.domain.ownership import SERVICE
from bot_service.store import deliveries, webhook_health
from bot_service.store.batch_writer import BatchWriter
from bot_service.store.database import Database
from bot_service.store.deliveries import Delivery, DeliveryResult
from bot_service.store.sessions import Fence
from bot_service.store.webhook_health import StoredHealth
from bot_service.webhooks.call import Attempt
from shared.clock import Clock, to_ms

# Queues a reply inside the transaction: (connection, reply_to of the delivery, text).
Replier = Callable[[AsyncConnection, bytes, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Result:
    lease: str
    row: DeliveryResult
    reply_to: bytes | None
    reply: str | None
    ended_ms: int
    then: Callable[[], None] | None


@dataclass(frozen=True, slots=True)
class _Release:
    """The receiver is back: everything that waits for it is due, after the results before this."""

    webhook: str
    then: Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Stored:
    """Everything before it is stored."""

    done: asyncio.Event


class WebhookResults:
    """``unsaved`` holds (webhook, event) of results that are not in the store yet.

    ``fence`` is set with replicas: results of lanes that another one works by now are not written.
    """

    def __init__(self, clock: Clock, database: Database, reply: Replier) -> None:
        self._clock, self._database, self._reply = clock, database, reply
        self.writer: BatchWriter[_Result | _Release | _Stored] = BatchWriter("webhook-results", clock, self._write)
        self.unsaved: set[tuple[str, str]] = set()
        self.fence: Fence | None = None

    async def add(
        self,
        delivery: Delivery,
        attempt: Attempt,
        state: str,
        at_ms: int,
        *,
        lease: str = SERVICE,
        then: Callable[[], None] | None = None,
    ) -> None:
        """``at_ms``: when it ended (delivered, dead) or when the next attempt is due. ``then`` is called once it is
        stored, which ``lease`` allows."""
        row = DeliveryResult(
            webhook=delivery.webhook,
            event=delivery.event,
            state=state,
            attempts=delivery.attempts + 1,
            next_ms=at_ms,
            last_status=attempt.status,
            last_error=attempt.error,
            finished_ms=at_ms if state in ("delivered", "dead") else None,
            tries=delivery.tries,
        )
        self.unsaved.add((delivery.webhook, delivery.event))
        await self.writer.put(_Result(lease, row, delivery.reply_to, attempt.reply, to_ms(self._clock.now()), then))

    async def release(self, webhook: str, then: Callable[[], None]) -> None:
        """Make everything for ``webhook`` due, then call ``then``."""
        await self.writer.put(_Release(webhook, then))

    async def stored(self) -> None:
        """Returns once everything put so far is stored."""
        done = asyncio.Event()
        await self.writer.put(_Stored(done))
        await done.wait()

    async def _write(self, items: list[_Result | _Release | _Stored]) -> None:
        results = ended = [item for item in items if isinstance(item, _Result)]
        releases = [item for item in items if isinstance(item, _Release)]
        async with self._database.write() as connection:
            if self.fence is not None and results:
                here = await self.fence(connection, {result.lease for result in results})
                results = [result for result in results if result.lease in here]
            await deliveries.record(connection, [result.row for result in results])
            await webhook_health.record(connection, *_health(results))
            for item in releases:
                await deliveries.release(connection, item.webhook, to_ms(self._clock.now()))
                self._database.after_commit(item.then)
            for result in results:
                if result.then is not None:
                    self._database.after_commit(result.then)
                if result.reply_to is not None and result.reply is not None:
                    await self._reply(connection, result.reply_to, result.reply)
        self.unsaved.difference_update((result.row.webhook, result.row.event) for result in ended)
        for each in items:
            if isinstance(each, _Stored):
                each.done.set()


def _health(results: Iterable[_Result]) -> tuple[list[StoredHealth], list[StoredHealth]]:
    """The newest success and the newest failure of each webhook."""
    succeeded: dict[str, StoredHealth] = {}
    failed: dict[str, StoredHealth] = {}
    for result in results:
        row = result.row
        if row.last_error is None:
            succeeded[row.webhook] = StoredHealth(row.webhook, succeeded_ms=result.ended_ms)
        else:
            failed[row.webhook] = StoredHealth(
                row.webhook, failed_ms=result.ended_ms, failed_status=row.last_status, failed_error=row.last_error
            )
    return list(succeeded.values()), list(failed.values())
