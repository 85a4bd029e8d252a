"""How the receivers of webhooks do: last success and failure, what waits, when the next try is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from bot_service.store import deliveries, webhook_health
from bot_service.store.database import Database
from bot_service.store.deliveries import Webhook
from bot_service.store.webhook_health import StoredHealth


class HealthState(StrEnum):
    """``failing``: the last attempt failed. ``down``: five failed in a row, so attempts are rare."""

    NEW = "new"
    OK = "ok"
    FAILING = "failing"
    DOWN = "down"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Health:
    """``waiting`` and ``dead`` count deliveries; ``next_ms`` is None when nothing is tried again."""

    state: HealthState
    last: StoredHealth
    waiting: int
    dead: int
    next_ms: int | None


class WebhookHealth:
    """``is_down(webhook id)`` and ``next_try_ms(webhook id)`` ask the dispatcher."""

    def __init__(
        self, database: Database, *, is_down: Callable[[str], bool], next_try_ms: Callable[[str], int | None]
    ) -> None:
        self._database, self._is_down, self._next_try_ms = database, is_down, next_try_ms

    async def of(self, webhooks: Sequence[Webhook]) -> dict[str, Health]:
        """By id, of all of ``webhooks``."""
        ids = [webhook.id for webhook in webhooks]
        async with self._database.read() as connection:
            counts = await deliveries.counts_of(connection, ids)
            last = await webhook_health.of(connection, ids)
        return {
            webhook.id: self._health(webhook, last.get(webhook.id), counts.get(webhook.id, {})) for webhook in webhooks
        }

    def _health(self, webhook: Webhook, stored: StoredHealth | None, counts: dict[str, int]) -> Health:
        last, waiting = stored or StoredHealth(webhook.id), counts.get("pending", 0)
        next_ms = self._next_try_ms(webhook.id) if waiting and webhook.active else None
        return Health(self._state(webhook, last), last, waiting, counts.get("dead", 0), next_ms)

    def _state(self, webhook: Webhook, last: StoredHealth) -> HealthState:
        if not webhook.active:
            return HealthState.PAUSED
        if self._is_down(webhook.id):
            return HealthState.DOWN
        if last.failed_ms is not None and last.failed_ms >= max(last.succeeded_ms or 0, webhook.updated_ms):
            return HealthState.FAILING
        return HealthState.NEW if last.succeeded_ms is None else HealthState.OK
