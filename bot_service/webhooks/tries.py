"""The last attempts of a delivery, kept with it for people who look for a cause."""

from __future__ import annotations

import msgspec

from bot_service.store.deliveries import Delivery
from bot_service.webhooks.call import Attempt

KEPT = 10


class Try(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One attempt. ``at_ms``: when it ended, since the epoch; ``answer``: the beginning of the body that came back."""

    at_ms: int
    duration_ms: int
    status: int | None = None
    error: str | None = None
    answer: str | None = None


_DECODER = msgspec.json.Decoder(list[Try])
_ENCODER = msgspec.json.Encoder()


def tries_of(delivery: Delivery) -> list[Try]:
    """The oldest first, at most :data:`KEPT`."""
    return _DECODER.decode(delivery.tries) if delivery.tries is not None else []


def with_try(delivery: Delivery, attempt: Attempt, at_ms: int, duration_ms: int) -> Delivery:
    """``delivery`` after one more attempt, which ended at ``at_ms``."""
    made = Try(at_ms, duration_ms, attempt.status, attempt.error, attempt.answer)
    kept = [*tries_of(delivery), made][-KEPT:]
    return msgspec.structs.replace(delivery, tries=_ENCODER.encode(kept))
