"""Reports a damaged store once: log, /health, and ALERT_URLS directly, because nothing can be stored."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from bot_service.events.dialects import Envelope
from bot_service.events.ids import EventIds
from bot_service.events.subscriptions import Subscriptions, Target
from bot_service.store.database import Database
from bot_service.webhooks.call import Attempt
from shared import logs
from shared.clock import Clock, iso
from shared.contract.installation import UNNAMED, Installation
from shared.retry import full_jitter

log = logs.get(__name__)

CHECK_EVERY_S = 1.0
LOOK_EVERY_S = 3600.0
KIND = "store_damaged"
TEXT = (
    "The database of the bot service is damaged ({reason}). Sessions stay connected and incoming messages wait in the "
    "journals; nothing is stored or sent until the service is restarted with a backup of the database."
)


class StoreDamage:
    """``call`` sends one event to one receiver."""

    def __init__(
        self,
        clock: Clock,
        database: Database,
        subscriptions: Subscriptions,
        ids: EventIds,
        call: Callable[[Target, str, bytes], Awaitable[Attempt]],
        installation: Installation = UNNAMED,
    ) -> None:
        self._installation = installation
        self._clock, self._database, self._subscriptions = clock, database, subscriptions
        self._ids, self._call = ids, call
        self._looked_s = clock.monotonic()

    async def run(self) -> None:
        """The loop: it ends its work with the first damage, which only a restart mends."""
        while self._database.damaged is None:
            await self._clock.sleep(CHECK_EVERY_S)
            if self._clock.monotonic() - self._looked_s >= LOOK_EVERY_S:
                self._looked_s = self._clock.monotonic()
                await self._database.look_for_damage()
        await self._report(self._database.damaged)

    async def _report(self, reason: str) -> None:
        text, since = TEXT.format(reason=reason), iso(self._clock.now())
        log.error(f"ALERT: {text}", event_name="service.alert", kind=KIND)
        event_id = self._ids.next()
        link = self._installation.page
        data = self._installation.signed({"kind": KIND, "text": text, "since": since}, link)
        body = msgspec.json.encode(Envelope(event_id, "service.alert", since, None, data))
        await asyncio.gather(*(self._send(target, event_id, body) for target in self._subscriptions.fixed()))
        await asyncio.Event().wait()

    async def _send(self, target: Target, event_id: str, body: bytes) -> None:
        number = 0
        while (await self._call(target, event_id, body)).error is not None:
            await self._clock.sleep(1.0 + full_jitter(number, first_s=1.0, cap_s=300.0))
            number += 1
