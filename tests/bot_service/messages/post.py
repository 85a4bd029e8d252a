"""Outbox and sender over a real store and a fake engine, on a clock that the test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from bot_service.domain.message import OutgoingMessage, Sent
from bot_service.domain.session_record import SessionRecord
from bot_service.domain.states import State, Wanted
from bot_service.events.ids import EventIds
from bot_service.events.publisher import EventPublisher
from bot_service.events.subscriptions import Subscriptions
from bot_service.messages.outbox import Outbox
from bot_service.messages.rate_limits import Rate
from bot_service.messages.sender import Sender, SenderPolicy
from bot_service.store import messages, send_queue
from bot_service.store.database import Database, open_database
from bot_service.store.messages import StoredMessage
from bot_service.store.send_queue import QueuedMessage
from shared.tasks import TaskGroupOfLoops
from tests.support.fake_clock import FakeClock
from tests.support.fake_pool import FakePool
from tests.support.template import empty_store, store_url
from tests.support.waiting import eventually

EXPIRE_MS = 3_600_000
UNLIMITED = SenderPolicy(Rate(0, 0), Rate(0, 0), EXPIRE_MS)


def ready(session: str = "one", **changes: Any) -> SessionRecord:
    """A paired session that may send."""
    record = SessionRecord(
        id=session,
        owner="ann",
        name=session,
        created_ms=0,
        wanted=Wanted.RUN,
        state=State.READY,
        jid="1@s.whatsapp.net",
    )
    return msgspec.structs.replace(record, **changes)


def text(message_id: str, to: str = "49151", body: str = "hi") -> OutgoingMessage:
    return OutgoingMessage(message_id, to, "text", text=body)


class TimedPool(FakePool):
    """Notes when each message was tried."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock
        self.tries_ms: list[int] = []

    async def send(self, session: str, message: OutgoingMessage) -> Sent:
        self.tries_ms.append(self._clock.now_ms)
        return await super().send(session, message)


@dataclass
class Post:
    """``records`` are the sessions now; ``woken`` the sessions that the outbox announced."""

    clock: FakeClock
    database: Database
    pool: TimedPool
    outbox: Outbox
    sender: Sender
    records: dict[str, SessionRecord]
    woken: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    async def accept(self, *sent: OutgoingMessage, session: str = "one") -> None:
        for message in sent:
            await self.outbox.accept(session, message, key=None, digest=None)

    async def stored(self, message_id: str, session: str = "one") -> StoredMessage:
        async with self.database.read() as connection:
            found = await messages.get(connection, session, message_id)
        assert found is not None
        return found

    async def states(self, *ids: str) -> list[str]:
        return [(await self.stored(message_id)).state for message_id in ids]

    async def waiting(self, session: str = "one") -> list[str]:
        """Ids of the messages in the queue, oldest first."""
        async with self.database.read() as connection:
            return [row.message_id for row in await send_queue.waiting(connection, session, limit=1000)]

    async def until_empty(self, *, pass_s: float = 0) -> None:
        """``pass_s``: how long each look lasts on the clock."""

        async def empty() -> bool:
            await self.clock.advance(pass_s)
            return not await self.waiting()

        await eventually(empty, every_s=0.005, what="an empty queue")

    async def until_tried(self, message_id: str, attempts: int = 1, *, pass_s: float = 0) -> QueuedMessage:
        """Wait until so many tries of a message that goes on waiting are stored."""

        async def look() -> QueuedMessage | None:
            async with self.database.read() as connection:
                rows = await send_queue.waiting(connection, "one", limit=9)
            found = next((row for row in rows if row.message_id == message_id and row.attempts >= attempts), None)
            if found is None:
                await self.clock.advance(pass_s)
            return found

        found: QueuedMessage = await eventually(look, every_s=0.005, what=f"try {attempts} of {message_id}")
        return found

    async def later(self, seconds: float) -> None:
        """Let time pass once the sender waits for it."""
        await eventually(lambda: self.clock.sleeping, every_s=0.005, what="the sender waiting")
        await self.clock.advance(seconds)

    @property
    def tries_ms(self) -> list[int]:
        return self.pool.tries_ms

    def sent(self) -> list[str]:
        return [message.id for _, message in self.pool.sent]


@asynccontextmanager
async def post(
    folder: Path, *, policy: SenderPolicy = UNLIMITED, sending: bool = True, queue_limit: int = 100
) -> AsyncIterator[Post]:
    """With ``sending``, the sender works too; without, everything stays in the queue."""
    clock = FakeClock()
    pool = TimedPool(clock)
    empty_store(folder)
    database = await open_database(store_url(folder))
    ids = EventIds(clock)
    records = {"one": ready()}
    woken: list[str] = []
    ended: list[str] = []
    sender = Sender(
        clock,
        database,
        EventPublisher(clock, database, ids, Subscriptions()),
        pool,
        policy,
        record_of=records.get,
        pick=lambda: 0.5,
    )
    sender.ended.subscribe(lambda _session, _message_id, state: ended.append(state))

    def wake(session: str, message: QueuedMessage) -> None:
        woken.append(session)
        if sending:
            sender.wake(session, message)

    outbox = Outbox(clock, database, ids, record_of=records.get, wake=wake, queue_limit=queue_limit)
    loops = TaskGroupOfLoops(clock)
    if sending:
        loops.start("sends", sender.run)
    try:
        yield Post(clock, database, pool, outbox, sender, records, woken, ended)
    finally:
        await loops.stop()
        await sender.close()
        await database.close()
