"""One call to a webhook at the request of a person: signed as always, tried once, not stored."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from bot_service.events.ids import EventIds
from bot_service.events.publisher import Envelope
from bot_service.events.subscriptions import Target
from bot_service.store.deliveries import Webhook
from bot_service.webhooks.call import Attempt
from shared.clock import Clock, iso
from shared.webhook_signing import key_of

# No webhook can subscribe to this type, so no stored event has it.
TYPE = "webhook.test"


@dataclass(frozen=True, slots=True)
class TestCallResult:
    """The id of the event and the result of the attempt."""

    event: str
    attempt: Attempt
    duration_ms: int


class WebhookTestCall:
    """Also calls inactive webhooks: people test those before they activate them."""

    def __init__(self, clock: Clock, ids: EventIds, call: Callable[[Target, str, bytes], Awaitable[Attempt]]) -> None:
        self._clock, self._ids, self._call = clock, ids, call

    async def run(self, webhook: Webhook) -> TestCallResult:
        """Call ``webhook`` within WEBHOOK_TIMEOUT. Never raises for what the receiver does."""
        event, begun = self._ids.next(), self._clock.monotonic()
        body = msgspec.json.encode(
            Envelope(event, TYPE, iso(self._clock.now()), webhook.session, {"webhook": webhook.id})
        )
        attempt = await self._call(Target(webhook.id, webhook.url, key_of(webhook.secret)), event, body)
        return TestCallResult(event, attempt, int((self._clock.monotonic() - begun) * 1000))
