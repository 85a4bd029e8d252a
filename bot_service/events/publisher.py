"""Stores events: one row for the event stream and one delivery for every webhook that wants it.

:meth:`EventPublisher.stage` writes the rows in the caller's transaction, together with the change
itself. Listeners of ``committed`` send them after the commit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.domain.session_ids import MARK, without_mark
from bot_service.events.dialects import Envelope, Spoken
from bot_service.events.ids import EventIds
from bot_service.events.subscriptions import Subscriptions
from bot_service.store import deliveries, events
from bot_service.store.database import Database
from bot_service.store.deliveries import Delivery
from bot_service.store.events import StoredEvent
from shared import logs
from shared.clock import Clock, iso, to_ms
from shared.hooks import Hook

log = logs.get(__name__)


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


class EventPublisher:
    """One per process. ``committed`` notifies of the deliveries of every commit.

    ``shared``: other replicas publish in the same store.
    """

    def __init__(
        self, clock: Clock, database: Database, ids: EventIds, subscriptions: Subscriptions, *, shared: bool = False
    ) -> None:
        self._shared = shared
        self._clock, self._database, self._ids, self._subscriptions = clock, database, ids, subscriptions
        self._encode = msgspec.json.Encoder().encode
        self.committed: Hook[[list[Delivery]]] = Hook()

    async def stage(self, connection: AsyncConnection, drafts: Sequence[Draft]) -> None:
        """Write the rows of ``drafts``. Ids are made here, so that they commit in order."""
        if not drafts:
            return
        await events.keep_order(connection)
        if self._shared:
            self._ids.follow(await events.newest_id(connection))
        now_ms = to_ms(self._clock.now())
        rows: list[StoredEvent] = []
        outbox: list[Delivery] = []
        for draft in drafts:
            event_id = self._ids.next()
            body = self._encode(Envelope(event_id, draft.type, iso(draft.at), draft.session, draft.data))
            rows.append(StoredEvent(event_id, draft.owner, draft.session, draft.type, body))
            begin = len(outbox)
            for webhook in self._subscriptions.wanting(draft.type, draft.session, draft.owner):
                plain = Delivery(
                    webhook, event_id, draft.session or "", draft.type, draft.reply_to, now_ms, now_ms, body
                )
                if (spoken := self._subscriptions.spoken(webhook)) is not None:
                    outbox.extend(self._translated(spoken, plain))
                elif draft.alert_urls or not self._subscriptions.is_fixed(webhook):
                    outbox.append(plain)
            if MARK in (draft.session or ""):
                outbox[begin:] = map(self._as_known, outbox[begin:])
        await events.insert(connection, rows)
        await deliveries.insert(connection, outbox)
        pending = [delivery for delivery in outbox if delivery.state == "pending"]
        self._database.after_commit(partial(self.committed, pending))

    def _translated(self, spoken: Spoken, plain: Delivery) -> Iterator[Delivery]:
        """What a webhook with a dialect gets. Each delivery after the first needs an id of its own.

        Other APIs have no reply in the answer of a webhook.
        """
        try:
            found = spoken.dialect.bodies(spoken.webhook, msgspec.json.decode(plain.body, type=Envelope))
        except Exception:
            # An event that a dialect cannot show must not hold up what is stored with it.
            log.exception("A dialect failed", event_name="webhook.dialect", webhook=plain.webhook, type=plain.type)
            yield msgspec.structs.replace(plain, state="dead", last_error="dialect", finished_ms=plain.created_ms)
            return
        for number, each in enumerate(found):
            delivery = self._ids.next() if number else plain.event
            yield msgspec.structs.replace(plain, event=delivery, type=each.type, reply_to=None, body=each.body)

    def _as_known(self, delivery: Delivery) -> Delivery:
        """A webhook of an owner gets the id that the owner knows."""
        webhook = self._subscriptions.get(delivery.webhook)
        if webhook is None or webhook.owner is None:
            return delivery
        return msgspec.structs.replace(delivery, body=without_mark(delivery.body, delivery.lane))

    async def publish(self, drafts: Sequence[Draft]) -> None:
        """:meth:`stage` in its own transaction, for events without a change of the store."""
        async with self._database.write() as connection:
            await self.stage(connection, drafts)
