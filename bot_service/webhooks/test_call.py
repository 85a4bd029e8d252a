"""One call to a webhook at the request of a person: signed as always, tried once, not stored."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from bot_service.domain.session_ids import without_mark
from bot_service.events.dialects import TEST_EVENT, Envelope
from bot_service.events.ids import EventIds
from bot_service.events.subscriptions import Subscriptions, Target
from bot_service.store.deliveries import Webhook
from bot_service.webhooks.call import Attempt
from shared.clock import Clock, iso


@dataclass(frozen=True, slots=True)
class TestCallResult:
    """The id of the event and the result of the attempt."""

    event: str
    attempt: Attempt
    duration_ms: int


class WebhookTestCall:
    """Also calls inactive webhooks: people test those before they activate them."""

    def __init__(
        self,
        clock: Clock,
        ids: EventIds,
        subscriptions: Subscriptions,
        call: Callable[[Target, str, bytes], Awaitable[Attempt]],
    ) -> None:
        self._clock, self._ids, self._subscriptions, self._call = clock, ids, subscriptions, call

    async def run(self, webhook: Webhook) -> TestCallResult:
        """Call ``webhook`` within WEBHOOK_TIMEOUT. Never raises for what the receiver does."""
        event_id, begun = self._ids.next(), self._clock.monotonic()
        event = Envelope(event_id, TEST_EVENT, iso(self._clock.now()), webhook.session, {"webhook": webhook.id})
        spoken = self._subscriptions.spoken(webhook.id)
        body = msgspec.json.encode(event) if spoken is None else spoken.dialect.bodies(webhook, event)[0].body
        if webhook.owner is not None and webhook.session is not None:
            body = without_mark(body, webhook.session)
        attempt = await self._call(self._subscriptions.target_of(webhook, TEST_EVENT), event_id, body)
        return TestCallResult(event_id, attempt, int((self._clock.monotonic() - begun) * 1000))
