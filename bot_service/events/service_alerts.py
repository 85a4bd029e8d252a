"""What the service itself has to say to its operator: told once when it begins and once when it is over.

A notice is an event like any other: stored first, delivered by the durable webhook outbox to every URL of ALERT_URLS,
retried for hours. Other schemes than HTTP need apprise, which this program does not carry: they are named in the log.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from bot_service.events.publisher import Draft, EventPublisher
from bot_service.events.subscriptions import Target
from bot_service.store.batch_writer import STORE_ERRORS
from bot_service.webhooks.signing import lenient_key
from shared import logs
from shared.clock import Clock, from_ms, iso
from shared.settings import Secret

log = logs.get(__name__)

WATCHDOG_SILENT = "watchdog_silent"
CLIENT_OUTDATED = "client_outdated"
NOT_RECEIVING = "session_not_receiving"

_SCHEMES = {"http": "http", "https": "https", "webhook": "http", "webhooks": "https"}


def targets(urls: Iterable[Secret], secret: Secret | None) -> list[Target]:
    """Receivers of ALERT_URLS that speak HTTP. ``?secret=whsec_…`` signs that URL's requests and is not sent."""
    found = []
    for url in urls:
        parts = urlsplit(url.reveal())
        scheme = _SCHEMES.get(parts.scheme)
        if scheme is None:
            log.warning(
                f"The bot service cannot tell {parts.scheme}:// of its own alerts; the watchdog does",
                event_name="alerts.unsupported",
            )
            continue
        query = parse_qsl(parts.query, keep_blank_values=True)
        own = next((value.replace(" ", "+") for name, value in query if name == "secret"), None)
        rest = urlencode([(name, value) for name, value in query if name != "secret"])
        plain = urlunsplit((scheme, parts.netloc, parts.path, rest, ""))
        signing = own or (secret.reveal() if secret is not None else None)
        name = hashlib.sha256(url.reveal().encode()).hexdigest()[:12]
        found.append(Target(f"alert-{name}", plain, lenient_key(signing) if signing else None, trusted=True))
    return found


class ServiceAlerts:
    """``raised`` names what is open now. An alert of one session carries it as ``about``, and is told for each once."""

    def __init__(self, clock: Clock, announcer: EventPublisher) -> None:
        self._clock, self._announcer = clock, announcer
        self._since: dict[tuple[str, str | None], str] = {}

    @property
    def raised(self) -> frozenset[str]:
        """Kinds only: no session is named."""
        return frozenset(kind for kind, _ in self._since)

    async def raise_(self, kind: str, text: str, *, about: str | None = None, again: bool = False) -> None:
        """Alert once that ``kind`` began. ``again``: also when it is raised already, because what is to be done has changed."""
        known = self._since.get((kind, about))
        if known is not None and not again:
            return
        since = self._since[kind, about] = known or iso(self._clock.now())
        log.error(f"ALERT: {text}", event_name="service.alert", kind=kind, session=about)
        try:
            await self._announcer.tell([_draft(self._clock, "service.alert", kind, text, since, about)])
        except STORE_ERRORS:
            # Not stored, so not raised: the next look raises it again.
            if known is None:
                del self._since[kind, about]
            raise

    def reopen(self, kind: str, since_ms: int, *, about: str | None = None) -> None:
        """What was told before this start, and is not over: not told again, but its end will be."""
        self._since.setdefault((kind, about), iso(from_ms(since_ms)))

    async def resolve(self, kind: str, text: str, *, about: str | None = None) -> None:
        """Tell once that ``kind`` is over."""
        since = self._since.get((kind, about))
        if since is None:
            return
        log.info(text, event_name="service.recovered", kind=kind, session=about)
        await self._announcer.tell([_draft(self._clock, "service.recovered", kind, text, since, about)])
        self._since.pop((kind, about), None)


def _draft(clock: Clock, type_: str, kind: str, text: str, since: str, about: str | None) -> Draft:
    data = {"kind": kind, "text": text, "since": since}
    return Draft(type_, None, None, clock.now(), data if about is None else data | {"session": about})
