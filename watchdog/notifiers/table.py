"""Maps a URL to its notifier, which is imported only when needed.

``webhook://``, ``webhooks://``, ``http://`` and ``https://`` go to the webhook notifier (a test
checks that apprise knows none of them). Chat services that apprise knows by their host, and every
other scheme, go to apprise.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

import aiohttp

from shared.clock import Clock
from shared.settings import Fault, Secret
from watchdog.domain.ports import Notifier

OURS = ("webhook", "webhooks", "http", "https")
# Services with webhook addresses of their own; apprise converts them.
_APPRISE_HOSTS = ("discord.com", "discordapp.com", "hooks.slack.com", "chat.googleapis.com", "webhook.office.com")


def serves(url: str) -> str:
    """``webhook`` or ``apprise``."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme.lower() not in OURS:
        return "apprise"
    known = any(host == name or host.endswith("." + name) for name in _APPRISE_HOSTS)
    return "apprise" if known and parts.scheme.lower() == "https" else "webhook"


def faults(**lists: Sequence[Secret]) -> list[Fault]:
    """The addresses of each variable that apprise cannot use, by position and scheme.

    It blocks for a second when there is one for apprise, which is imported then.
    """
    found = []
    for name, urls in lists.items():
        for number, url in enumerate(urls, 1):
            why = _unusable(url.reveal())
            if why:
                scheme = url.reveal().partition("://")[0].lower()
                found.append(Fault(name, None, "addresses that apprise can use", f"entry {number} ({scheme}://) {why}"))
    return found


def _unusable(url: str) -> str:
    if serves(url) != "apprise":
        return ""
    from watchdog.notifiers.apprise import unusable

    return unusable(url)


def build(url: Secret, http: aiohttp.ClientSession, clock: Clock, *, webhook_secret: Secret | None) -> Notifier:
    """The notifier of ``url``. Raises ``ValueError`` for an invalid URL."""
    if serves(url.reveal()) == "webhook":
        from watchdog.notifiers.webhook import WebhookNotifier

        return WebhookNotifier(url, http, clock, secret=webhook_secret)
    from watchdog.notifiers.apprise import AppriseNotifier

    return AppriseNotifier(url)
