"""All webhooks in memory: who wants an event is asked for every message and must not cost a query."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from bot_service.store.deliveries import Webhook
from bot_service.webhooks.signing import key_of

# Every type of event, with what it tells. A webhook names some of them, or patterns such as ``session.*``, or ``*``.
EVENT_TYPES = {
    "message": "a message arrived",
    "message.status": "a message of ours was sent, delivered, read or failed",
    "session.state": "a session changed its state",
    "session.qr": "a new QR or pairing code can be fetched",
    "session.attention": "a session needs a person",
    "session.deleted": "a session was deleted",
    "service.alert": "the service itself needs a person",
    "service.recovered": "what the service needed a person for is over",
}
# Those are for administrators: they concern every owner.
_ANSWERS_KEPT = 50_000


def unknown_patterns(patterns: Iterable[str]) -> list[str]:
    """Those of ``patterns`` that match no event there is."""
    return [pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in EVENT_TYPES)]


@dataclass(frozen=True, slots=True)
class Target:
    """Where one webhook goes. ``key`` None sends unsigned; ``trusted`` ones may be at private addresses."""

    id: str
    url: str
    key: bytes | None
    trusted: bool = False

    def __repr__(self) -> str:
        return f"Target(id={self.id!r})"


class Subscriptions:
    """Webhooks made by the API, and fixed targets of the operator (ALERT_URLS) that hear of the service itself."""

    def __init__(self, fixed: Iterable[Target] = ()) -> None:
        self._fixed = {target.id: target for target in fixed}
        self._webhooks: dict[str, Webhook] = {}
        # Asked for every message, and nearly always the same questions.
        self._answers: dict[tuple[str, str | None, str | None], list[str]] = {}
        self._by_session: dict[str, list[Webhook]] = {}
        self._by_owner: dict[str | None, list[Webhook]] = {}
        self._changed: list[Callable[[str], None]] = []

    def on_change(self, listener: Callable[[str], None]) -> None:
        """``listener(webhook id)`` whenever one was added, changed or removed."""
        self._changed.append(listener)

    def load(self, webhooks: Iterable[Webhook]) -> None:
        self._webhooks = {webhook.id: webhook for webhook in webhooks}
        self._reindex()

    def put(self, webhook: Webhook) -> None:
        self._webhooks[webhook.id] = webhook
        self._tell(webhook.id)

    def remove(self, webhook_id: str) -> None:
        if self._webhooks.pop(webhook_id, None) is not None:
            self._tell(webhook_id)

    def forget_session(self, session: str) -> None:
        """The webhooks of a deleted session are gone from the store."""
        for webhook in [each for each in self._webhooks.values() if each.session == session]:
            self.remove(webhook.id)

    def all(self) -> list[Webhook]:
        return list(self._webhooks.values())

    def fixed_ids(self) -> list[str]:
        """Ids under which deliveries to ALERT_URLS are kept."""
        return list(self._fixed)

    def get(self, webhook_id: str) -> Webhook | None:
        return self._webhooks.get(webhook_id)

    def target(self, webhook_id: str) -> Target | None:
        """Where to send, or None when the webhook is gone or switched off."""
        webhook = self._webhooks.get(webhook_id)
        if webhook is not None:
            return Target(webhook.id, webhook.url, key_of(webhook.secret)) if webhook.active else None
        return self._fixed.get(webhook_id)

    def wanting(self, event_type: str, session: str | None, owner: str | None) -> list[str]:
        """Ids of the webhooks that an event of ``owner``'s ``session`` goes to."""
        question = (event_type, session, owner)
        if question not in self._answers:
            if len(self._answers) >= _ANSWERS_KEPT:
                self._answers.clear()
            self._answers[question] = self._wanting(event_type, session, owner)
        return self._answers[question]

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
        self._answers.clear()
        self._by_session.clear()
        self._by_owner.clear()
        for webhook in self._webhooks.values():
            if webhook.session is not None:
                self._by_session.setdefault(webhook.session, []).append(webhook)
            else:
                self._by_owner.setdefault(webhook.owner, []).append(webhook)

    def _tell(self, webhook_id: str) -> None:
        self._reindex()
        for listener in self._changed:
            listener(webhook_id)
