"""The use cases of deliveries: what waits, what arrived, dead letters, and sending them again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bot_service.access.principals import Principal
from bot_service.access.public_addresses import shown_url
from bot_service.domain.refused import invalid, not_found
from bot_service.domain.session_ids import MARK
from bot_service.events import ids
from bot_service.events.subscriptions import Subscriptions
from bot_service.store import deliveries
from bot_service.store.database import Database
from bot_service.store.deliveries import Delivery as Delivery
from bot_service.store.deliveries import Filter
from bot_service.webhooks import call
from bot_service.webhooks.custom_headers import HIDDEN
from bot_service.webhooks.tries import tries_of
from shared.clock import Clock, from_ms, to_ms

ALL = "all"
STATES = ("dead", "pending", "delivered", ALL)
# The values of these headers are shown; those of all others may be secrets.
_PLAIN = frozenset({"content-type", "accept-encoding", "user-agent", "webhook-id", "webhook-timestamp"})


@dataclass(frozen=True, slots=True)
class DeliverySearch:
    """``state`` is one of :data:`STATES`; ``session`` as the caller knows it; ``since_ms`` since the epoch.

    ``before`` is the cursor of the page before.
    """

    state: str = "dead"
    webhook: str | None = None
    type: str | None = None
    session: str | None = None
    since_ms: int | None = None
    before: str | None = None


@dataclass(frozen=True, slots=True)
class SentRequest:
    """What a delivery sends, with ``***`` for what may be a secret. ``url`` is None for ALERT_URLS."""

    url: str | None
    headers: dict[str, str]


class DeliveryCommands:
    """A caller sees deliveries to webhooks of its owner; an administrator sees all."""

    def __init__(
        self,
        clock: Clock,
        database: Database,
        subscriptions: Subscriptions,
        *,
        retry: Callable[[str], None],
        try_now: Callable[[str], None],
        next_try_ms: Callable[[str], int | None],
    ) -> None:
        """``retry(webhook id)`` starts deliveries that were made due, ``try_now(webhook id)`` all that wait.

        ``next_try_ms(webhook id)`` is when one of those that wait is tried.
        """
        self._clock, self._database, self._subscriptions = clock, database, subscriptions
        self._retry, self._try_now, self._next_of = retry, try_now, next_try_ms

    async def page(self, who: Principal, search: DeliverySearch, *, limit: int) -> tuple[list[Delivery], str | None]:
        """The newest first, and the cursor of the page that follows. Refused: ``invalid``."""
        if search.state not in STATES:
            raise invalid("state", "must be one of " + ", ".join(STATES))
        visible = [name for name in self._visible(who) if search.webhook is None or name == search.webhook]
        wanted = Filter(
            state=None if search.state == ALL else search.state,
            type=search.type,
            lane=search.session,
            # Owners do not know the mark that an id may have in the store.
            lane_prefix=None if who.owner is None or search.session is None else search.session + MARK,
            since="" if search.since_ms is None else ids.first_at(search.since_ms),
            before=None if search.before is None else _cursor(search.before),
        )
        async with self._database.read() as connection:
            rows = await deliveries.page(connection, visible, wanted, limit=limit)
        return rows, f"{rows[-1].event}.{rows[-1].webhook}" if len(rows) == limit else None

    async def get(self, who: Principal, webhook: str, event: str) -> Delivery:
        """One delivery with the body that is sent. Refused: ``not_found``."""
        self._require(who, webhook)
        async with self._database.read() as connection:
            found = await deliveries.get(connection, webhook, event)
        if found is None:
            raise not_found("this delivery")
        return found

    def request_of(self, delivery: Delivery) -> SentRequest:
        """The request as the last attempt made it, or as the next one will; by the webhook as it is now."""
        webhook, tries = self._subscriptions.get(delivery.webhook), tries_of(delivery)
        target = (
            self._subscriptions.target_of(webhook, delivery.type)
            if webhook is not None
            else self._subscriptions.target(delivery.webhook, delivery.type)
        )
        if target is None:
            return SentRequest(None, {})
        at = from_ms(tries[-1].at_ms - tries[-1].duration_ms) if tries else self._clock.now()
        headers = call.headers_of(target, delivery.event, delivery.body, at)
        return SentRequest(
            None if webhook is None else shown_url(target.url), {name: _shown(name, headers[name]) for name in headers}
        )

    def next_try_ms(self, delivery: Delivery) -> int | None:
        """When ``delivery`` is tried next, at the earliest; None when it has ended or its webhook is paused."""
        target = self._subscriptions.target(delivery.webhook, delivery.type)
        if delivery.finished_ms is not None or target is None:
            return None
        return max(delivery.next_ms, self._next_of(delivery.webhook) or 0)

    async def replay(
        self,
        who: Principal,
        webhook: str | None,
        *,
        events: Sequence[str] | None = None,
        since_ms: int | None = None,
    ) -> int:
        """Send again: the dead letters of one ``webhook`` or of all visible ones, from ``since_ms`` on;
        or the ``events`` of one, whether they arrived or not. One that waits in its lane is tried now, with
        what stands before it. Returns how many.

        Refused: ``not_found``, ``invalid``.
        """
        if webhook is not None:
            self._require(who, webhook)
        elif events is not None:
            raise invalid("webhook", "is needed with events")
        chosen, now_ms = self._visible(who) if webhook is None else [webhook], to_ms(self._clock.now())
        since = "" if since_ms is None else ids.first_at(since_ms)
        async with self._database.write() as connection:
            counts = [await deliveries.replay(connection, each, now_ms, events=events, since=since) for each in chosen]
            waiting = await deliveries.in_lanes(connection, chosen[0], events) if events is not None else 0
        for each in chosen:
            self._retry(each)
            if waiting:
                self._try_now(each)
        return sum(counts) + waiting

    def _visible(self, who: Principal) -> list[str]:
        found = [webhook.id for webhook in self._subscriptions.all() if who.sees(webhook.owner)]
        return found if who.owner is not None else found + [target.id for target in self._subscriptions.fixed()]

    def _require(self, who: Principal, webhook: str) -> None:
        if webhook not in self._visible(who):
            raise not_found("this webhook")


def _cursor(text: str) -> tuple[str, str]:
    """An event alone is a cursor too."""
    event, _, webhook = text.partition(".")
    return event, webhook


def _shown(name: str, value: str) -> str:
    if name.lower() == "webhook-signature":
        return " ".join(f"v1,{HIDDEN}" for _ in value.split())
    return value if name.lower() in _PLAIN else HIDDEN
