"""Finds out at the start whether an address to watch leads back to this watchdog.

A watchdog that pings itself would be UP for ever. Addresses of this machine are compared at once;
behind a published port or a domain only the answer of ``/health`` shows it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from shared import logs
from shared.boot import Boot
from shared.clock import Clock
from shared.contract.identity import new_challenge
from shared.name_resolver import fresh_addresses
from watchdog.probes import http_get
from watchdog.probes.health_answer import KnownBoots, examine
from watchdog.settings import WatchdogSettings

log = logs.get(__name__)

RESOLVE_S = 2.0
LOOK_S = 5.0
# Later the watchdog goes on and reports the wrong answer: an alert is worth more than an end.
START_S = 60.0


def sentence(variable: str, url: str) -> str:
    """Why the watchdog does not start."""
    return f"{variable} leads to the watchdog itself ({url}): set BOT_URL to the address of the bot service"


def on_this_machine(settings: WatchdogSettings, sockets: list[socket.socket]) -> str | None:
    """The sentence for the first address that is one of ``sockets``; None when there is none.

    Only a name with the port of this watchdog is looked up, for two seconds at most.
    """
    own = [sock.getsockname()[:2] for sock in sockets]
    for url in settings.targets.values():
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        if not any(port == own_port for _, own_port in own):
            continue
        if any(_listens(address, own) for address in asyncio.run(_addresses(parts.hostname or "", port))):
            return sentence(settings.targets_from, url)
    return None


async def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
    try:
        async with asyncio.timeout(RESOLVE_S):
            return [(socket.AddressFamily(found[0]), str(found[4][0])) for found in await fresh_addresses(host, port)]
    except (OSError, TimeoutError):
        return []  # a name that nothing resolves is no address of this machine


def _listens(address: tuple[socket.AddressFamily, str], own: list[tuple[str, int]]) -> bool:
    family, host = address
    wildcard = "::" if family is socket.AF_INET6 else "0.0.0.0"
    if host == wildcard:
        return True  # a connection to it reaches this machine
    if not any(bound in (wildcard, host) for bound, _ in own):
        return False
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True


@dataclass(slots=True)
class OwnAddress:
    """Hears of watchdogs that answer in place of a bot. ``refused`` is the sentence to end with."""

    settings: WatchdogSettings
    boot: Boot
    clock: Clock
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    refused: str | None = None

    def listener(self, url: str) -> Callable[[str], None]:
        """To be called with the boot id of each watchdog that answers at ``url``."""

        def answered(boot_id: str) -> None:
            # Railway sets the variable to the domain of the service that reads it: an earlier
            # deployment of this watchdog may still answer there.
            own = boot_id == self.boot.boot_id or self.settings.targets_from == "RAILWAY_PUBLIC_DOMAIN"
            if own and self.refused is None and self.boot.age_ms(self.clock) < START_S * 1000:
                self.refused = sentence(self.settings.targets_from, url)
                log.error(self.refused, event_name="watchdog.itself")
                self.stop.set()

        return answered

    async def look(self) -> None:
        """Ask every address once, without waiting for its first ping; none when pings are off."""
        if self.settings.enabled:
            await asyncio.gather(*(self._look(url) for url in self.settings.targets.values()))

    async def _look(self, url: str) -> None:
        try:
            async with asyncio.timeout(LOOK_S):
                answer = await http_get.get(f"{url}/health")
        except Exception as error:  # whatever it is, the first ping will name it
            log.debug(f"No look at {url}: {type(error).__name__}", event_name="watchdog.look")
            return
        found = examine(answer, new_challenge(), None, KnownBoots()).watchdog
        if found:
            self.listener(url)(found)
