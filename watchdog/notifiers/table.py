"""Which notifier serves which URL; each is imported only when a URL asks for it.

``webhook://``, ``webhooks://``, ``http://`` and ``https://`` are ours (a test holds that apprise knows none of them);
an ``https://`` address of a chat service that apprise knows by its host, and every other scheme, go to apprise.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import aiohttp

from shared.clock import Clock
from shared.settings import Secret
from watchdog.domain.ports import Notifier

OURS = ("webhook", "webhooks", "http", "https")
# Services whose own web hook addresses people paste as they are; apprise turns them into its form.
_APPRISE_HOSTS = ("discord.com", "discordapp.com", "hooks.slack.com", "chat.googleapis.com", "webhook.office.com")


def serves(url: str) -> str:
    """``webhook`` or ``apprise``."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme.lower() not in OURS:
        return "apprise"
    known = any(host == name or host.endswith("." + name) for name in _APPRISE_HOSTS)
    return "apprise" if known and parts.scheme.lower() == "https" else "webhook"


def build(url: Secret, http: aiohttp.ClientSession, clock: Clock, *, webhook_secret: Secret | None) -> Notifier:
    """The notifier of ``url``. Raises ``ValueError`` when it is not a URL."""
    if serves(url.reveal()) == "webhook":
        from watchdog.notifiers.webhook import WebhookNotifier

        return WebhookNotifier(url, http, clock, secret=webhook_secret)
    from watchdog.notifiers.apprise import AppriseNotifier

    return AppriseNotifier(url)
