"""Asks the other watchdogs what they recorded while this one did not see."""

from __future__ import annotations

import sqlite3

from shared import logs
from shared.clock import Clock, epoch_ms
from shared.settings import Secret
from watchdog.domain.uptime import Span
from watchdog.flow.peers import Peer, Peers
from watchdog.ledger import gaps
from watchdog.ledger.sqlite import Ledger
from watchdog.probes import peer_link
from watchdog.probes.peer_link import PeerUnread

log = logs.get(__name__)

EVERY_S = 15.0
SETTLED_AFTER_S = 120.0  # a decision counts back to the first failed ping


class GapFill:
    """One endless loop, :meth:`run`: each gap is asked about once at each peer that answers."""

    def __init__(self, peers: Peers, token: Secret, ledger: Ledger, clock: Clock, targets: tuple[str, ...]) -> None:
        self._peers, self._token, self._ledger, self._clock = peers, token, ledger, clock
        self._targets = targets

    async def run(self) -> None:
        while True:
            await self._clock.sleep(EVERY_S)
            # What a ledger in memory holds does not outlive the gap in the file.
            if self._ledger.gap is None:
                for peer in self._peers.others:
                    if not peer.absent:
                        await self._ask(peer)

    async def _ask(self, peer: Peer) -> None:
        until_ms = epoch_ms(self._clock) - int(1000 * SETTLED_AFTER_S)
        for target in self._targets:
            found = await self._ledger.read(lambda c, target=target: gaps.unasked(c, target, peer.host, until_ms))  # type: ignore[misc]
            if found and not await self._fill(peer, target, found):
                return

    async def _fill(self, peer: Peer, target: str, found: list[Span]) -> bool:
        """Whether the peer answered."""
        async with peer_link.session(peer.url, self._token) as http:
            for gap in found:
                try:
                    said = (await peer_link.read_record(http, peer.url, target, gap)).spans
                except PeerUnread as error:
                    log.debug(f"Watchdog {peer.name} gave no record: {error}", event_name="peer.no_record")
                    return False

                def write(connection: sqlite3.Connection, gap: Span = gap, said: tuple[Span, ...] = said) -> None:
                    gaps.fill(connection, target, peer.host, peer.name, gap, said)

                await self._ledger.write(write)
        log.info(
            f"The record of watchdog {peer.name} fills {len(found)} gaps of {target}",
            event_name="peer.record",
        )
        return True
