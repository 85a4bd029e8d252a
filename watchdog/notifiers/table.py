"""Maps a URL to its notifier.

``webhook://``, ``webhooks://``, ``http://`` and ``https://`` go to the webhook notifier,
``alertmanager://`` and ``alertmanagers://`` to Alertmanager (a test checks that apprise knows none
of them). Chat services that apprise knows by their host, and every other scheme, go to apprise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

import aiohttp

from shared.alert_addresses import alertmanagers, is_alertmanager
from shared.clock import Clock
from shared.contract.installation import UNNAMED, Installation
from shared.settings import Fault, Secret
from shared.webhook_signing import SCHEMES
from watchdog.domain.ports import Notifier
from watchdog.notifiers import apprise
from watchdog.notifiers.alertmanager import AlertmanagerNotifier
from watchdog.notifiers.signed import SignedAlertmanager, SignedNotifier
from watchdog.notifiers.webhook import WebhookNotifier

# Services with webhook addresses of their own; apprise converts them.
_APPRISE_HOSTS = ("discord.com", "discordapp.com", "hooks.slack.com", "chat.googleapis.com", "webhook.office.com")


def serves(url: str) -> str:
    """``webhook``, ``alertmanager`` or ``apprise``."""
    if is_alertmanager(url):
        return "alertmanager"
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme.lower() not in SCHEMES:
        return "apprise"
    known = any(host == name or host.endswith("." + name) for name in _APPRISE_HOSTS)
    return "apprise" if known and parts.scheme.lower() == "https" else "webhook"


def faults(**lists: Sequence[Secret]) -> list[Fault]:
    """The addresses of each variable that apprise cannot use, by position and scheme.

    It blocks for a second when there is one for apprise.
    """
    asked = [
        (name, number, url.reveal())
        for name, urls in lists.items()
        for number, url in enumerate(urls, 1)
        if serves(url.reveal()) == "apprise"
    ]
    if not asked:
        return []
    found = []
    for (name, number, url), why in zip(asked, apprise.unusable([url for _, _, url in asked]), strict=True):
        if why:
            scheme = url.partition("://")[0].lower()
            found.append(Fault(name, None, "addresses that apprise can use", f"entry {number} ({scheme}://) {why}"))
    return found


def hosts(urls: Sequence[Secret]) -> tuple[str, ...]:
    """Where the alerts go, as base addresses; none when one of the channels does not say so.

    A watchdog that reaches none of them may be the one that is cut off, and an alert could not leave.
    """
    found: list[str] = []
    for url in urls:
        kind = serves(url.reveal())
        if kind == "apprise":
            return ()
        if kind == "alertmanager":
            found += [f"{base}/" for base in alertmanagers(url.reveal())[0]]
        else:
            parts = urlsplit(url.reveal())
            found.append(f"{SCHEMES[parts.scheme.lower()]}://{parts.netloc.rpartition('@')[2]}/")
    return tuple(found)


@contextmanager
def builder(
    http: aiohttp.ClientSession,
    clock: Clock,
    *,
    webhook_secret: Secret | None,
    name: str = "watchdog",
    installation: Installation = UNNAMED,
) -> Iterator[Callable[[Secret], Notifier]]:
    """Makes the notifier of an address, for the watchdog ``name`` of ``installation``.

    The process for apprise starts with the first that needs it.
    """
    process = apprise.AppriseProcess()

    def build(url: Secret) -> Notifier:
        """Raises ``ValueError`` for an invalid address."""
        kind = serves(url.reveal())
        if kind == "alertmanager":
            alertmanager = AlertmanagerNotifier(url, http, clock, name=name, page=installation.page)
            return alertmanager if installation == UNNAMED else SignedAlertmanager(alertmanager, installation)
        notifier: Notifier
        if kind == "webhook":
            notifier = WebhookNotifier(url, http, clock, secret=webhook_secret)
        else:
            process.start()
            notifier = apprise.AppriseNotifier(url, process)
        return notifier if installation == UNNAMED else SignedNotifier(notifier, installation)

    try:
        yield build
    finally:
        process.close()
