"""A store, webhooks over real HTTP and a clock of the test's own, without the rest of the service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from bot_service.access import public_addresses
from bot_service.events.dialects import WebhookDialect
from bot_service.events.ids import EventIds
from bot_service.events.publisher import Draft, EventPublisher
from bot_service.events.subscriptions import Subscriptions, Target
from bot_service.store import deliveries, events
from bot_service.store.database import Database, open_database
from bot_service.store.deliveries import Delivery, Webhook
from bot_service.webhooks import call
from bot_service.webhooks.call import Attempt
from bot_service.webhooks.dispatcher import WebhookDispatcher
from bot_service.webhooks.policy import WebhookPolicy
from bot_service.webhooks.results import WebhookResults
from shared import webhook_signing
from shared.tasks import TaskGroupOfLoops
from tests.support.fake_clock import FakeClock
from tests.support.template import store_url
from tests.support.waiting import eventually

HOUR_S = 3600.0
SECRET = webhook_signing.new_secret()


def webhook(url: str, name: str = "wh-1", **fields: object) -> Webhook:
    plain = {
        "id": name, "owner": "ann", "session": None, "url": url, "secret": SECRET, "events": ("*",), "active": True,
        "created_ms": 0, "updated_ms": 0,
    }  # fmt: skip
    return Webhook(**(plain | fields))  # type: ignore[arg-type]


@dataclass
class Bench:
    """``replies`` are the answers that were to be sent to a chat."""

    clock: FakeClock
    database: Database
    subscriptions: Subscriptions
    publisher: EventPublisher
    dispatcher: WebhookDispatcher
    results: WebhookResults
    replies: list[str] = field(default_factory=list)
    counted: list[str] = field(default_factory=list)

    async def publish(self, *texts: str, session: str = "one") -> None:
        now = self.clock.now()
        await self.publisher.publish(
            [Draft("message", session, "ann", now, {"text": text}, reply_to=b"{}") for text in texts]
        )

    async def rows(self, state: str) -> list[Delivery]:
        await self.results.writer.idle()
        ids = [hook.id for hook in self.subscriptions.all()]
        async with self.database.read() as connection:
            return await deliveries.page(connection, ids, deliveries.Filter(state), limit=500)

    async def all_delivered(self, count: int) -> None:
        async def look() -> bool:
            return len(await self.rows("delivered")) == count

        await eventually(look, what=f"{count} deliveries")

    async def arrived(self, count: int) -> None:
        """Until so many are delivered, while time goes on: attempts take turns of the real loop between."""

        async def look() -> bool:
            await self.clock.advance(30)
            return len(await self.rows("delivered")) == count

        await eventually(look, what=f"{count} deliveries")

    async def waited(self, failures: int) -> None:
        """Until so many attempts have failed."""
        await eventually(lambda: self.counted.count("retried") >= failures, what=f"{failures} failed attempts")


@asynccontextmanager
async def bench(
    tmp_path: Path,
    hooks: Sequence[Webhook],
    *,
    allow_private: bool = True,
    timeout_s: float = 60.0,
    pick: float = 1.0,
    clock: FakeClock | None = None,
    early: Sequence[str] = (),
    dialects: Mapping[str, WebhookDialect] | None = None,
    **policy: float,
) -> AsyncIterator[Bench]:
    """``pick`` fixes the jitter: 1.0 waits always to the ceiling. ``early`` is published before the dispatcher runs."""
    clock = clock or FakeClock()
    database = await open_database(store_url(tmp_path))
    subscriptions = Subscriptions(dialects=dialects)
    subscriptions.load(hooks)
    async with database.read() as connection:
        newest = await events.newest_id(connection)
    publisher = EventPublisher(clock, database, EventIds(clock, after=newest), subscriptions)
    connector = public_addresses.connector(allow_private=allow_private, limit=0)
    async with aiohttp.ClientSession(connector=connector) as http:

        async def one_call(target: Target, event: str, body: bytes) -> Attempt:
            return await call.attempt(http, target, event, body, now=clock.now(), timeout_s=timeout_s)

        async def reply(_connection: object, _reply_to: bytes, text: str) -> None:
            built.replies.append(text)

        results = WebhookResults(clock, database, reply)
        dispatcher = WebhookDispatcher(
            clock,
            database,
            subscriptions,
            WebhookPolicy(retry_for_ms=86_400_000, **policy),  # type: ignore[arg-type]
            call=one_call,
            results=results,
            observe=lambda result: built.counted.append(result),
            pick=lambda: pick,
        )
        publisher.committed.subscribe(dispatcher.offer)
        built = Bench(clock, database, subscriptions, publisher, dispatcher, results)
        if early:
            await built.publish(*early)
        loops = TaskGroupOfLoops(clock)
        loops.start("webhooks", dispatcher.run)
        loops.start("results", results.writer.run)
        for _ in range(50):
            await asyncio.sleep(0.002)
        try:
            yield built
        finally:
            await loops.stop()
            await dispatcher.close()
            await database.close()
    await asyncio.sleep(0)
