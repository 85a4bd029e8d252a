"""All webhooks in memory, so that no message needs a query to find those that want it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from fnmatch import fnmatchcase
from functools import partial

from bot_service.events.dialects import Spoken, WebhookDialect
from bot_service.store.deliveries import Webhook
from shared.hooks import Hook
from shared.translation import N_
from shared.webhook_signing import key_of

# Event types and their meaning. A webhook names types, or patterns such as ``session.*``.
EVENT_TYPES = {
    "message": N_("a message was received"),
    "message.status": N_("an outgoing message was sent, delivered, read or failed"),
    "call.received": N_("somebody calls"),
    "group.joined": N_("the account belongs to a group from now on"),
    "group.left": N_("the account left a group, or was removed from it"),
    "group.members": N_("members of a group came, went or became administrators"),
    "group.updated": N_("the subject, the description or a setting of a group changed"),
    "presence.update": N_("a person comes online, goes offline or types"),
    "session.state": N_("a session changed its state"),
    "session.qr": N_("a new QR or pairing code can be fetched"),
    "session.attention": N_("a session needs attention"),
    "session.deleted": N_("a session was deleted"),
    "service.alert": N_("the service needs attention"),
    "service.recovered": N_("the service recovered"),
}
_CACHE_SIZE = 50_000


def unknown_patterns(patterns: Iterable[str]) -> list[str]:
    """Those of ``patterns`` that match no event type."""
    return [pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in EVENT_TYPES)]


@dataclass(frozen=True, slots=True)
class Target:
    """Where a webhook goes. ``key`` None: unsigned; ``trusted``: may have a private address.

    ``old_key`` signs too, until ``old_until_ms``. ``own_headers`` go along with every request;
    ``headers(delivery, body, time of the attempt)`` are further headers of its dialect.
    """

    id: str
    url: str
    key: bytes | None
    trusted: bool = False
    headers: Callable[[str, bytes, datetime], dict[str, str]] | None = None
    own_headers: Mapping[str, str] = field(default_factory=dict)
    old_key: bytes | None = None
    old_until_ms: int = 0

    def __repr__(self) -> str:
        return f"Target(id={self.id!r})"


class Subscriptions:
    """Webhooks made by the API, and fixed targets of ALERT_URLS for events about the service.

    ``changed`` notifies of the id of a webhook that was added, changed or removed. ``dialects`` by
    name: the shapes of other APIs.
    """

    def __init__(self, fixed: Iterable[Target] = (), dialects: Mapping[str, WebhookDialect] | None = None) -> None:
        self._fixed = {target.id: target for target in fixed}
        self._dialects = dialects or {}
        self._webhooks: dict[str, Webhook] = {}
        # Messages of one session want the same webhooks again and again.
        self._wanting_cache: dict[tuple[str, str | None, str | None], list[str]] = {}
        self._by_session: dict[str, list[Webhook]] = {}
        self._by_owner: dict[str | None, list[Webhook]] = {}
        self.changed: Hook[[str]] = Hook()

    def load(self, webhooks: Iterable[Webhook]) -> None:
        self._webhooks = {webhook.id: webhook for webhook in webhooks}
        self._reindex()

    def see(self, webhooks: Iterable[Webhook]) -> None:
        """All webhooks as they are stored: another replica may have changed some."""
        before, self._webhooks = self._webhooks, {webhook.id: webhook for webhook in webhooks}
        changed = {
            each for each in before.keys() | self._webhooks.keys() if before.get(each) != self._webhooks.get(each)
        }
        if changed:
            self._reindex()
        for webhook_id in sorted(changed):
            self.changed(webhook_id)

    def put(self, webhook: Webhook) -> None:
        self._webhooks[webhook.id] = webhook
        self._notify(webhook.id)

    def remove(self, webhook_id: str) -> None:
        if self._webhooks.pop(webhook_id, None) is not None:
            self._notify(webhook_id)

    def forget_session(self, session: str) -> None:
        """Remove the webhooks of a deleted session; the store has deleted them."""
        for webhook in [each for each in self._webhooks.values() if each.session == session]:
            self.remove(webhook.id)

    def all(self) -> list[Webhook]:
        return list(self._webhooks.values())

    def fixed(self) -> list[Target]:
        """The targets of ALERT_URLS."""
        return list(self._fixed.values())

    def is_fixed(self, webhook_id: str) -> bool:
        """Whether it is a target of ALERT_URLS."""
        return webhook_id in self._fixed

    def get(self, webhook_id: str) -> Webhook | None:
        return self._webhooks.get(webhook_id)

    def spoken(self, webhook_id: str) -> Spoken | None:
        """The webhook with its dialect; None when it gets the events as they are."""
        webhook = self._webhooks.get(webhook_id)
        dialect = self._dialects.get(webhook.dialect) if webhook is not None and webhook.dialect is not None else None
        return None if webhook is None or dialect is None else Spoken(webhook, dialect)

    def target(self, webhook_id: str, event_type: str) -> Target | None:
        """Where an event of this type goes, or None when the webhook is deleted or inactive."""
        webhook = self._webhooks.get(webhook_id)
        if webhook is not None:
            return self.target_of(webhook, event_type) if webhook.active else None
        return self._fixed.get(webhook_id)

    def target_of(self, webhook: Webhook, event_type: str) -> Target:
        """Where an event of this type goes, also while the webhook is inactive."""
        old, spoken = webhook.old_secret, self.spoken(webhook.id)
        plain = Target(
            webhook.id,
            webhook.url,
            key_of(webhook.secret),
            own_headers=webhook.headers,
            old_key=key_of(old) if old is not None else None,
            old_until_ms=webhook.old_secret_until_ms or 0,
        )
        if spoken is None:
            return plain
        url = spoken.dialect.url(webhook, event_type)
        return replace(plain, url=url, headers=partial(spoken.dialect.headers, webhook))

    def wanting(self, event_type: str, session: str | None, owner: str | None) -> list[str]:
        """Ids of the webhooks that want an event of ``owner``'s ``session``."""
        key = (event_type, session, owner)
        if key not in self._wanting_cache:
            if len(self._wanting_cache) >= _CACHE_SIZE:
                self._wanting_cache.clear()
            self._wanting_cache[key] = self._wanting(event_type, session, owner)
        return self._wanting_cache[key]

    def _wanting(self, event_type: str, session: str | None, owner: str | None) -> list[str]:
        found = [
            webhook.id
            for webhook in self._candidates(session, owner)
            if webhook.active
            and (webhook.owner is None or webhook.owner == owner)
            and any(fnmatchcase(event_type, pattern) for pattern in webhook.events)
        ]
        if event_type.startswith("service."):
            found.extend(self._fixed)
        return found

    def _candidates(self, session: str | None, owner: str | None) -> list[Webhook]:
        own = self._by_session.get(session, []) if session is not None else []
        wide = self._by_owner.get(owner, []) if owner is not None else []
        return [*own, *wide, *self._by_owner.get(None, [])]

    def _reindex(self) -> None:
        self._wanting_cache.clear()
        self._by_session.clear()
        self._by_owner.clear()
        for webhook in self._webhooks.values():
            if webhook.session is not None:
                self._by_session.setdefault(webhook.session, []).append(webhook)
            else:
                self._by_owner.setdefault(webhook.owner, []).append(webhook)

    def _notify(self, webhook_id: str) -> None:
        self._reindex()
        self.changed(webhook_id)
