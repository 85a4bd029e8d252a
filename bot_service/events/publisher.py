"""Stores events: one row for the event stream and one delivery for every webhook that wants it.

:meth:`EventPublisher.stage` writes the rows in the caller's transaction, together with the change
itself. Listeners of ``committed`` send them after the commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.events.ids import EventIds
from bot_service.events.subscriptions import Subscriptions
from bot_service.store import deliveries, events
from bot_service.store.database import Database
from bot_service.store.deliveries import Delivery
from bot_service.store.events import StoredEvent
from shared.clock import Clock, iso, to_ms
from shared.hooks import Hook


@dataclass(frozen=True, slots=True)
class Draft:
    """An event without an id. ``data`` is JSON-ready or JSON.

    ``reply_to`` is set for messages that a webhook may reply to. ``alert_urls``: an event about the
    service goes to ALERT_URLS too.
    """

    type: str
    session: str | None
    owner: str | None
    at: datetime
    data: dict[str, Any] | msgspec.Raw
    reply_to: bytes | None = None
    alert_urls: bool = True


class Envelope(msgspec.Struct, frozen=True):
    """An event as webhooks and readers of the event stream receive it."""

    id: str
    type: str
    timestamp: str
    session: str | None
    data: Any


class EventPublisher:
    """One per process. ``committed`` notifies of the deliveries of every commit."""

    def __init__(self, clock: Clock, database: Database, ids: EventIds, subscriptions: Subscriptions) -> None:
        self._clock, self._database, self._ids, self._subscriptions = clock, database, ids, subscriptions
        self._encode = msgspec.json.Encoder().encode
        self.committed: Hook[[list[Delivery]]] = Hook()

    async def stage(self, connection: AsyncConnection, drafts: Sequence[Draft]) -> None:
        """Write the rows of ``drafts``. Ids are made here, so that they commit in order."""
        if not drafts:
            return
        now_ms = to_ms(self._clock.now())
        rows: list[StoredEvent] = []
        outbox: list[Delivery] = []
        for draft in drafts:
            event_id = self._ids.next()
            body = self._encode(Envelope(event_id, draft.type, iso(draft.at), draft.session, draft.data))
            rows.append(StoredEvent(event_id, draft.owner, draft.session, draft.type, body))
            outbox.extend(
                Delivery(webhook, event_id, draft.session or "", draft.type, draft.reply_to, now_ms, now_ms, body)
                for webhook in self._subscriptions.wanting(draft.type, draft.session, draft.owner)
                if draft.alert_urls or not self._subscriptions.is_fixed(webhook)
            )
        await events.insert(connection, rows)
        await deliveries.insert(connection, outbox)
        self._database.after_commit(partial(self.committed, outbox))

    async def publish(self, drafts: Sequence[Draft]) -> None:
        """:meth:`stage` in its own transaction, for events without a change of the store."""
        async with self._database.write() as connection:
            await self.stage(connection, drafts)
