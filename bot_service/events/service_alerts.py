"""Alerts about the service itself: published once when a problem begins and once when it ends.

An alert is an event: stored first, delivered by the durable webhook outbox to every URL of
ALERT_URLS and retried for hours. Other schemes than HTTP need apprise, which only the watchdog has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from urllib.parse import urlsplit

from bot_service.events.publisher import Draft, EventPublisher
from bot_service.events.subscriptions import Target
from bot_service.store.batch_writer import STORE_ERRORS
from shared import logs
from shared.clock import Clock, from_ms, iso
from shared.contract.attention import session_page
from shared.contract.installation import UNNAMED, Installation
from shared.settings import Secret
from shared.webhook_signing import SCHEMES, lenient_key, split_url

log = logs.get(__name__)

WATCHDOG_SILENT = "watchdog_silent"
CLIENT_OUTDATED = "client_outdated"
NOT_RECEIVING = "session_not_receiving"
JOURNAL_DAMAGED = "journal_damaged"


def targets(urls: Iterable[Secret], secret: Secret | None) -> list[Target]:
    """HTTP receivers of ALERT_URLS. ``?secret=whsec_…`` signs the requests and is not sent."""
    found = []
    for url in urls:
        scheme = urlsplit(url.reveal()).scheme
        if scheme not in SCHEMES:
            log.warning(
                f"The bot service cannot send its own alerts to {scheme}:// addresses; the watchdog can",
                event_name="alerts.unsupported",
            )
            continue
        plain, own = split_url(url.reveal())
        signing = own or (secret.reveal() if secret is not None else None)
        name = hashlib.sha256(url.reveal().encode()).hexdigest()[:12]
        found.append(Target(f"alert-{name}", plain, lenient_key(signing) if signing else None, trusted=True))
    return found


class ServiceAlerts:
    """Open alerts by kind and session; ``about`` is the session of an alert about one."""

    def __init__(self, clock: Clock, publisher: EventPublisher, installation: Installation = UNNAMED) -> None:
        self._clock, self._publisher, self._installation = clock, publisher, installation
        self._since: dict[tuple[str, str | None], str] = {}

    @property
    def raised(self) -> frozenset[str]:
        """The kinds of open alerts, without sessions."""
        return frozenset(kind for kind, _ in self._since)

    async def raise_(self, kind: str, text: str, *, about: str | None = None, again: bool = False) -> None:
        """Publish that ``kind`` began, once. ``again``: also while it is open, with a new text."""
        known = self._since.get((kind, about))
        if known is not None and not again:
            return
        since = self._since[kind, about] = known or iso(self._clock.now())
        log.error(f"ALERT: {text}", event_name="service.alert", kind=kind, session=about)
        try:
            await self._publish("service.alert", kind, text, since, about)
        except STORE_ERRORS:
            # Not stored, so not raised: the next check raises it again.
            if known is None:
                del self._since[kind, about]
            raise

    def reopen(self, kind: str, since_ms: int, *, about: str | None = None) -> None:
        """Continue an alert of an earlier run: only its end is published."""
        self._since.setdefault((kind, about), iso(from_ms(since_ms)))

    async def resolve(self, kind: str, text: str, *, about: str | None = None) -> None:
        """Publish that ``kind`` is over, once."""
        since = self._since.get((kind, about))
        if since is None:
            return
        log.info(text, event_name="service.recovered", kind=kind, session=about)
        await self._publish("service.recovered", kind, text, since, about)
        self._since.pop((kind, about), None)

    async def _publish(self, event_type: str, kind: str, text: str, since: str, about: str | None) -> None:
        data = {"kind": kind, "text": text, "since": since} | ({} if about is None else {"session": about})
        page = self._installation.page
        link = page if about is None or not page else session_page(f"{page}/", about)
        data = self._installation.signed(data, link)
        # On ALERT_URLS the notices about sessions that need a person cover this alert.
        draft = Draft(event_type, None, None, self._clock.now(), data, alert_urls=kind != NOT_RECEIVING)
        await self._publisher.publish([draft])
