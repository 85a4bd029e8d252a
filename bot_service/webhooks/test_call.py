"""One call to a webhook because a person asks for it: signed like every other, tried once, kept nowhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from bot_service.events.ids import EventIds
from bot_service.events.publisher import Envelope
from bot_service.events.subscriptions import Target
from bot_service.store.deliveries import Webhook
from bot_service.webhooks.call import Attempt
from bot_service.webhooks.signing import key_of
from shared.clock import Clock, iso

# No webhook can ask for this type, so nothing else is ever of it.
TYPE = "webhook.test"


@dataclass(frozen=True, slots=True)
class TestCallResult:
    """What came of it."""

    event: str
    attempt: Attempt
    duration_ms: int


class WebhookTestCall:
    """Calls also a webhook that is switched off: that is when somebody wants to know whether it would work."""

    def __init__(self, clock: Clock, ids: EventIds, call: Callable[[Target, str, bytes], Awaitable[Attempt]]) -> None:
        self._clock, self._ids, self._call = clock, ids, call

    async def run(self, webhook: Webhook) -> TestCallResult:
        """Never raises for what the receiver does; takes at most WEBHOOK_TIMEOUT."""
        event, begun = self._ids.next(), self._clock.monotonic()
        body = msgspec.json.encode(
            Envelope(event, TYPE, iso(self._clock.now()), webhook.session, {"webhook": webhook.id})
        )
        attempt = await self._call(Target(webhook.id, webhook.url, key_of(webhook.secret)), event, body)
        return TestCallResult(event, attempt, int((self._clock.monotonic() - begun) * 1000))
