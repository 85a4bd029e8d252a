"""The use cases of deliveries: what waits, what arrived, dead letters, and trying those again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bot_service.access.principals import Principal
from bot_service.domain.refused import invalid, not_found
from bot_service.events.subscriptions import Subscriptions
from bot_service.store import deliveries
from bot_service.store.database import Database
from bot_service.store.deliveries import Delivery as Delivery
from shared.clock import Clock, to_ms

STATES = ("dead", "pending", "delivered")


class DeliveryCommands:
    """A caller sees deliveries to webhooks of its owner; an administrator sees all."""

    def __init__(
        self, clock: Clock, database: Database, subscriptions: Subscriptions, *, retry: Callable[[str], None]
    ) -> None:
        """``retry(webhook id)`` starts deliveries that were made due."""
        self._clock, self._database, self._subscriptions, self._retry = clock, database, subscriptions, retry

    async def page(
        self, who: Principal, *, state: str, limit: int, webhook: str | None = None, before: str | None = None
    ) -> list[Delivery]:
        """The newest first; ``before`` is the event to go on from. Refused: ``invalid``."""
        if state not in STATES:
            raise invalid("state", "must be one of " + ", ".join(STATES))
        ids = [name for name in self._visible(who) if webhook is None or name == webhook]
        async with self._database.read() as connection:
            return await deliveries.page(connection, ids, state=state, limit=limit, before=before)

    async def get(self, who: Principal, webhook: str, event: str) -> Delivery:
        """One delivery with the body that is sent. Refused: ``not_found``."""
        self._require(who, webhook)
        async with self._database.read() as connection:
            found = await deliveries.get(connection, webhook, event)
        if found is None:
            raise not_found("this delivery")
        return found

    async def replay(self, who: Principal, webhook: str | None, events: Sequence[str] | None = None) -> int:
        """Try dead letters of one ``webhook``, or of all visible ones, again; how many.

        Refused: ``not_found``.
        """
        if webhook is not None:
            self._require(who, webhook)
        chosen, now_ms = self._visible(who) if webhook is None else [webhook], to_ms(self._clock.now())
        async with self._database.write() as connection:
            counts = [await deliveries.replay(connection, each, events, now_ms) for each in chosen]
        for each in chosen:
            self._retry(each)
        return sum(counts)

    def _visible(self, who: Principal) -> list[str]:
        ids = [webhook.id for webhook in self._subscriptions.all() if who.sees(webhook.owner)]
        return ids if who.owner is not None else ids + [target.id for target in self._subscriptions.fixed()]

    def _require(self, who: Principal, webhook: str) -> None:
        if webhook not in self._visible(who):
            raise not_found("this webhook")
