"""How webhooks of another API's dialect get events: its bodies, its headers, its addresses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import msgspec

from bot_service.store.deliveries import Webhook

# A call to a webhook at the request of a person. No webhook can subscribe to this type.
TEST_EVENT = "webhook.test"


class Envelope(msgspec.Struct, frozen=True):
    """An event as webhooks and readers of the event stream receive it."""

    id: str
    type: str
    timestamp: str
    session: str | None
    data: Any


@dataclass(frozen=True, slots=True)
class DialectBody:
    """One call to a webhook. ``type`` is the dialect's name of the event, up to 40 characters."""

    type: str
    body: bytes


class WebhookDialect(Protocol):
    """One per dialect; a webhook with its name in ``dialect`` gets everything from it.

    ``webhook.options`` is JSON that only the dialect reads and writes.
    """

    def bodies(self, webhook: Webhook, event: Envelope) -> list[DialectBody]:
        """What ``webhook`` gets for ``event``: nothing, one call or several.

        Called in the transaction that stores the event, so it only computes. ``event.data`` is
        JSON-ready. For :data:`TEST_EVENT` it returns one body.
        """

    def url(self, webhook: Webhook, event_type: str) -> str:
        """Where a body of ``event_type`` goes."""

    def headers(self, webhook: Webhook, delivery: str, body: bytes, at: datetime) -> dict[str, str]:
        """Those of one attempt at the time ``at``; ``delivery`` is the same at each."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A webhook that has a dialect."""

    webhook: Webhook
    dialect: WebhookDialect
