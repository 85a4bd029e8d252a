"""Stores what became of messages that were sent, many in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.domain.session_record import SessionRecord
from bot_service.events.publisher import Draft, EventPublisher
from bot_service.messages.inbound import status_draft
from bot_service.store import messages, send_queue
from bot_service.store.batch_writer import BatchWriter
from bot_service.store.database import Database
from bot_service.store.send_queue import Postponement, QueuedMessage
from bot_service.store.sessions import Fence
from shared.clock import Clock, from_ms, to_ms


@dataclass(frozen=True, slots=True)
class Ended:
    """A message that leaves the queue as ``sent`` or ``failed``."""

    queued: QueuedMessage
    state: str
    error: str | None
    at_ms: int


@dataclass(frozen=True, slots=True)
class _Postponed:
    """A message that stays in the queue."""

    queued: QueuedMessage
    next_ms: int
    error: str


_Result = Ended | _Postponed | Callable[[], None]


class SendResults:
    """``unsaved`` holds positions of messages that ended but are still in the store: never sent again.

    ``fence`` is set with replicas: results of sessions that do not run here any more are not written.
    """

    def __init__(
        self,
        clock: Clock,
        database: Database,
        publisher: EventPublisher,
        record_of: Callable[[str], SessionRecord | None],
    ) -> None:
        self._clock, self._database, self._publisher = clock, database, publisher
        self._record_of = record_of
        self.unsaved: set[str] = set()
        self.fence: Fence | None = None
        self.writer: BatchWriter[_Result] = BatchWriter("send-results", clock, self._write)

    async def end(self, row: QueuedMessage, state: str, error: str | None, at_ms: int) -> None:
        self.unsaved.add(row.position)
        await self.writer.put(Ended(row, state, error, at_ms))

    async def postpone(self, row: QueuedMessage, error: str, next_ms: int) -> None:
        await self.writer.put(_Postponed(row, next_ms, error))

    async def stored(self) -> None:
        """Returns once everything put so far is stored."""
        done = asyncio.Event()
        await self.writer.put(done.set)
        await done.wait()

    async def _write(self, results: list[_Result]) -> None:
        found = [result for result in results if isinstance(result, (Ended, _Postponed))]
        drafts: list[Draft] = []
        async with self._database.write() as connection:
            kept = found
            if self.fence is not None and found:
                here = await self.fence(connection, {item.queued.session for item in found})
                kept = [item for item in found if item.queued.session in here]
            ended = [item for item in kept if isinstance(item, Ended)]
            postponed = [item for item in kept if isinstance(item, _Postponed)]
            await send_queue.postpone(connection, [_postponement(item) for item in postponed])
            moved = await self._store_states(connection, ended)
            for item in ended:
                key = (item.queued.session, item.queued.message_id)
                drafts.extend(self._draft(item, chat) for chat in moved.pop(key, ()))
            await send_queue.remove(connection, [item.queued.position for item in ended])
            await self._publisher.stage(connection, drafts)
        # A message that was postponed here may have ended since, which is not stored yet.
        self.unsaved.difference_update(item.queued.position for item in found if isinstance(item, Ended))
        for result in results:
            if callable(result):
                result()

    async def _store_states(
        self, connection: AsyncConnection, ended: Sequence[Ended]
    ) -> dict[tuple[str, str], list[str]]:
        """The chats of each (session, message id) that moved. One statement for all that ended alike."""
        alike: dict[tuple[str, str | None], list[tuple[str, str]]] = {}
        for item in ended:
            alike.setdefault((item.state, item.error), []).append((item.queued.session, item.queued.message_id))
        moved: dict[tuple[str, str], list[str]] = {}
        for (state, error), keys in alike.items():
            now_ms = to_ms(self._clock.now())
            for session, chat, message_id in await messages.set_sent_states(connection, keys, state, now_ms, error):
                moved.setdefault((session, message_id), []).append(chat)
        return moved

    def _draft(self, item: Ended, chat: str) -> Draft:
        session, record = item.queued.session, self._record_of(item.queued.session)
        owner, at = record.owner if record is not None else None, from_ms(item.at_ms)
        body = item.queued.body if item.state == "sent" else None
        return status_draft(session, owner, chat, item.queued.message_id, item.state, at, item.error, body)


def _postponement(item: _Postponed) -> Postponement:
    return Postponement(item.queued.position, item.queued.attempts + 1, item.next_ms, item.error)
