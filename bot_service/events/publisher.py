"""Turns what happened into events: one row for the event stream and one for every webhook that wants it.

:meth:`EventPublisher.stage` writes the rows inside the caller's transaction, next to the change itself, so that neither exists
without the other. Those that send are woken once the transaction is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.events.ids import EventIds
from bot_service.events.subscriptions import Subscriptions
from bot_service.store import deliveries, events
from bot_service.store.database import Database
from bot_service.store.deliveries import Delivery
from shared.clock import Clock, iso, to_ms


@dataclass(frozen=True, slots=True)
class Draft:
    """One thing to tell. ``data`` is JSON-ready or already JSON; ``reply_to`` is set for messages that may be answered."""

    type: str
    session: str | None
    owner: str | None
    at: datetime
    data: dict[str, Any] | msgspec.Raw
    reply_to: bytes | None = None


class Envelope(msgspec.Struct, frozen=True):
    """What receivers get, by webhook and by event stream alike."""

    id: str
    type: str
    timestamp: str
    session: str | None
    data: Any


@dataclass(frozen=True, slots=True)
class Staged:
    """What was committed."""

    deliveries: list[Delivery]


class EventPublisher:
    """One per process. ``on_commit`` listeners are told of every committed batch."""

    def __init__(self, clock: Clock, database: Database, ids: EventIds, directory: Subscriptions) -> None:
        self._clock, self._database, self._ids, self._directory = clock, database, ids, directory
        self._encoder = msgspec.json.Encoder()
        self._listeners: list[Callable[[Staged], None]] = []

    def on_commit(self, listener: Callable[[Staged], None]) -> None:
        self._listeners.append(listener)

    async def stage(self, connection: AsyncConnection, drafts: Sequence[Draft]) -> None:
        """Write the rows of ``drafts``. Ids are made here, inside the writer's turn, so that they commit in order."""
        if not drafts:
            return
        now_ms = to_ms(self._clock.now())
        rows: list[dict[str, Any]] = []
        outbox: list[Delivery] = []
        for draft in drafts:
            event_id = self._ids.next()
            body = self._encoder.encode(Envelope(event_id, draft.type, iso(draft.at), draft.session, draft.data))
            rows.append(
                {"id": event_id, "owner": draft.owner, "session": draft.session, "type": draft.type, "body": body}
            )
            wanting = self._directory.wanting(draft.type, draft.session, draft.owner)
            outbox.extend(_pending(webhook, event_id, draft, now_ms, body) for webhook in wanting)
        await events.insert(connection, rows)
        await deliveries.insert(connection, [_row(delivery) for delivery in outbox])
        staged = Staged(outbox)
        self._database.after_commit(lambda: self._announce(staged))

    async def tell(self, drafts: Sequence[Draft]) -> None:
        """:meth:`stage` in a transaction of its own, for what is no change of the store."""
        async with self._database.write() as connection:
            await self.stage(connection, drafts)

    def _announce(self, staged: Staged) -> None:
        for listener in self._listeners:
            listener(staged)


def _pending(webhook: str, event_id: str, draft: Draft, now_ms: int, body: bytes) -> Delivery:
    return Delivery(
        webhook=webhook,
        event=event_id,
        lane=draft.session or "",
        type=draft.type,
        reply_to=draft.reply_to,
        state="pending",
        created_ms=now_ms,
        attempts=0,
        next_ms=now_ms,
        last_status=None,
        last_error=None,
        finished_ms=None,
        body=body,
    )


def _row(delivery: Delivery) -> dict[str, Any]:
    return {
        "webhook": delivery.webhook,
        "event": delivery.event,
        "lane": delivery.lane,
        "type": delivery.type,
        "reply_to": delivery.reply_to,
        "state": delivery.state,
        "created_ms": delivery.created_ms,
        "attempts": 0,
        "next_ms": delivery.next_ms,
        "body": delivery.body,
    }
