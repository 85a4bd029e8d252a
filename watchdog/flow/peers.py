"""The other watchdogs of the same bots: reads what they see, and notices one that is silent.

Each reading becomes a fact for every target (:mod:`watchdog.domain.joint`). A peer that has not
answered for a minute is an incident, unless this watchdog itself cannot see.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import urlsplit

import aiohttp

from shared import logs
from shared.clock import Clock, epoch_ms
from shared.settings import Secret
from shared.tasks import TaskGroupOfLoops
from shared.timing import either
from watchdog.domain import notices
from watchdog.domain.decision import Decided
from watchdog.domain.joint import PeerHeard, Verdicts, undecided
from watchdog.domain.states import Incident, IncidentKind
from watchdog.flow.pipeline import Pipeline
from watchdog.flow.steady_time import SteadyTime
from watchdog.ledger import incidents, outbox
from watchdog.ledger.outbox import Channels
from watchdog.ledger.sqlite import Ledger
from watchdog.probes import peer_link
from watchdog.probes.peer_link import PeerUnread

log = logs.get(__name__)

EVERY_S = 2.0
IN_DOUBT_S = 0.5  # while the watchdogs may be deciding
ABSENT_AFTER_S = 3 * EVERY_S
SILENT_AFTER_S = 60.0
SILENT_AFTER_READS = 3


class Peer:
    """One other watchdog at the base address ``url``. ``name`` is its own, its host before that is known.

    ``reason`` says why the last reading failed, "" for one that succeeded.
    """

    def __init__(self, url: str, boot_id: str, clock: Clock, names: Callable[[str, str], str]) -> None:
        self.url, self._boot_id, self._clock, self._names = url, boot_id, clock, names
        self.name = self.host = urlsplit(url).netloc
        self.last: Verdicts | None = None
        self.reason = "not_seen_yet"
        self.itself = False  # the address leads to this very watchdog
        self._heard_s: float | None = None
        self._began_s = clock.monotonic()
        self._failed = 0
        self.silent: Incident | None = None

    @property
    def age_s(self) -> float | None:
        """Seconds since the last reading; None before the first."""
        return None if self._heard_s is None else self._clock.monotonic() - self._heard_s

    @property
    def absent(self) -> bool:
        age_s = self.age_s
        return age_s is None or age_s > ABSENT_AFTER_S

    async def read(self, http: aiohttp.ClientSession) -> bool:
        """One reading. Returns whether it succeeded."""
        asked_s = self._clock.monotonic()
        try:
            verdicts = await peer_link.read(http, self.url)
        except PeerUnread as error:
            self._failed += 1
            if str(error) != self.reason:
                log.warning(
                    f"Watchdog {self.name} cannot be read: {error}", event_name="peer.unread", reason=str(error)
                )
            self.reason = str(error)
            return False
        if self.reason:
            log.info(f"Watchdog {self.name} answers", event_name="peer.heard", peer=verdicts.name)
        self.last, self.reason, self._failed, self._heard_s = verdicts, "", 0, asked_s
        self.itself = verdicts.boot_id == self._boot_id
        self.name = self._names(verdicts.name, self.host)
        return True

    @property
    def is_silent(self) -> bool:
        """Whether it has given no sign for so long that people should know."""
        since_s = self._began_s if self._heard_s is None else self._heard_s
        return self._failed >= SILENT_AFTER_READS and self._clock.monotonic() - since_s >= SILENT_AFTER_S


class Peers:
    """All other watchdogs of WATCHDOG_PEERS, one loop for each.

    ``name`` and ``boot_id`` are this watchdog's own.
    """

    def __init__(
        self,
        urls: tuple[str, ...],
        token: Secret,
        *,
        name: str,
        boot_id: str,
        ledger: Ledger,
        clock: Clock,
        pipeline: Pipeline,
        steady_time: SteadyTime,
        channels: Channels,
        on_notice: Callable[[], None],
    ) -> None:
        self._token, self._name, self._ledger, self._clock = token, name, ledger, clock
        self._pipeline, self._steady_time = pipeline, steady_time
        self._channels, self._on_notice = channels, on_notice
        self.all = [Peer(url, boot_id, clock, self._unique) for url in urls]
        self._wakes = {peer.url: asyncio.Event() for peer in self.all}

    def _unique(self, name: str, host: str) -> str:
        """The name of the peer at ``host``: two watchdogs without a name must not share a vote."""
        taken = {self._name, *(peer.name for peer in self.all if peer.host != host)}
        return host if name in taken else name

    @property
    def others(self) -> list[Peer]:
        """Without the address of this watchdog itself: all of them may have the same list."""
        return [peer for peer in self.all if not peer.itself]

    def on_decided(self, decided: Decided) -> None:
        """A change here: what the others see matters now."""
        if decided.step.flip is not None:
            for wake in self._wakes.values():
                wake.set()

    async def start(self, loops: TaskGroupOfLoops) -> None:
        known = {peer.url: peer for peer in self.all}
        for incident in await self._ledger.read(incidents.open_incidents):
            if incident.kind is IncidentKind.SILENT:
                peer = next((one for one in known.values() if incident.reason == one.host), None)
                if peer is None:
                    await self._close(incident, "removed")
                else:
                    peer.silent = incident
        for number, peer in enumerate(self.all, 1):
            loops.start(f"peer-{number}", lambda peer=peer: self._follow(peer))  # type: ignore[misc]

    def agreed(self, target: str, kind: IncidentKind, *, is_open: bool) -> bool:
        """Whether no peer that answers sees it otherwise: what is disputed is not repeated."""
        if kind is not IncidentKind.DOWN:
            return True
        said = [peer.last.targets.get(target) for peer in self.others if peer.last is not None and not peer.absent]
        return not any(one is not None and (one.opened_at_ms is not None) is not is_open for one in said)

    async def _follow(self, peer: Peer) -> None:
        clock = self._clock
        async with peer_link.session(peer.url, self._token) as http:
            while True:
                began_s = clock.monotonic()
                asked_steady = self._steady_time.now().steady_ms
                if await peer.read(http) and peer.last is not None and not peer.itself:
                    await self._take(peer, peer.last, asked_steady)
                await self._watch(peer)
                if peer.itself:
                    log.info(f"{peer.host} of WATCHDOG_PEERS is this watchdog itself", event_name="peer.itself")
                    await clock.sleep(3600.0)
                pause_s = (IN_DOUBT_S if self._in_doubt else EVERY_S) - (clock.monotonic() - began_s)
                await either(clock, self._wakes[peer.url], max(0.1, pause_s))

    @property
    def _in_doubt(self) -> bool:
        policy, now = self._pipeline.policy, self._steady_time.now()
        return any(undecided(state, policy, now) for state in self._pipeline.states.values())

    async def _take(self, peer: Peer, verdicts: Verdicts, asked_steady: int) -> None:
        for target, verdict in verdicts.targets.items():
            if target in self._pipeline.states:
                await self._pipeline.process(target, PeerHeard(peer.name, verdict, asked_steady))

    async def _watch(self, peer: Peer) -> None:
        if peer.silent is None and peer.is_silent and not self._blind:
            now_ms = epoch_ms(self._clock)
            since_ms = now_ms - int(1000 * (peer.age_s if peer.age_s is not None else SILENT_AFTER_S))
            stamp = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y%m%dT%H%M%S")
            target = f"watchdog {peer.name}"
            opened = Incident(f"{target}-silent-{stamp}", target, IncidentKind.SILENT, since_ms, now_ms, peer.host)
            peer.silent = opened
            notice = notices.opened(opened)

            def write(connection: sqlite3.Connection) -> None:
                incidents.open_incident(connection, opened)
                outbox.enqueue(connection, notice, self._channels)

            await self._ledger.write(write)
            log.error(notice.text, event_name="peer.silent", peer=peer.name)
            self._on_notice()
        elif peer.silent is not None and not peer.reason:
            silent, peer.silent = peer.silent, None
            await self._close(silent, "answered_again")

    @property
    def _blind(self) -> bool:
        return any(state.blind or state.blind_run for state in self._pipeline.states.values())

    async def _close(self, incident: Incident, reason: str) -> None:
        now_ms = epoch_ms(self._clock)

        def write(connection: sqlite3.Connection) -> None:
            closed = incidents.close_incident(connection, incident.id, now_ms, reason)
            if closed is not None:
                outbox.enqueue(connection, notices.closed(closed), self._channels)

        await self._ledger.write(write)
        log.info(f"{incident.target} answers again", event_name="peer.back")
        self._on_notice()
