"""The receive probe: sends something that must come back, and suspects the session otherwise.

With ``self`` a session writes to its own account and waits for the receipt. With ``ring`` another
session of the same owner writes to it. Only sessions without other evidence are probed, each at
most once per interval, and a few per second over all; each sends for others at most once per
interval.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from bot_service.domain.message import PROBE_ID, PROBE_TEXT, OutgoingMessage
from bot_service.domain.ports import ProbePool
from bot_service.domain.recovery import LAST_STEP
from bot_service.domain.session_record import SessionRecord
from bot_service.domain.states import State
from bot_service.engines.port import EngineError
from bot_service.sessions.registry import SessionRegistry
from bot_service.sessions.supervisor import Supervisor
from shared import logs
from shared.clock import Clock
from shared.cooperative import CooperativeLoop
from shared.tasks import spawn

log = logs.get(__name__)

PROBES_PER_CHECK = 20
SEND_TIMEOUT_S = 30.0
# One probe may be lost by accident; the second one in a row raises suspicion.
MISSES = 2
# Whether a recovery step helped must be known before the next interval.
AFTER_REPAIR_MS = 10_000


@dataclass(frozen=True, slots=True)
class ProbePolicy:
    """``kind`` is ``off``, ``ring`` or ``self``; times in milliseconds."""

    kind: str
    interval_ms: int
    timeout_ms: int


@dataclass(slots=True)
class _Probe:
    """A probe on its way to ``session``."""

    session: str
    sender: str
    sent_ms: int
    misses: int = 0


class ReceiveProbe:
    """``round_trip(seconds)`` is called for every probe that came back."""

    def __init__(
        self,
        supervisor: Supervisor,
        registry: SessionRegistry,
        pool: ProbePool,
        clock: Clock,
        policy: ProbePolicy,
        *,
        round_trip: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self._supervisor, self._registry, self._pool, self._clock = supervisor, registry, pool, clock
        self._policy, self._round_trip = policy, round_trip
        self._probes: dict[str, _Probe] = {}

    async def run(self) -> None:
        """Checks once a second; ends at once when probes are off."""
        while self._policy.kind != "off":
            await self._clock.sleep(1.0)
            await self.once()

    async def once(self) -> None:
        for probe in list(self._probes.values()):
            self._check(probe)
        room, senders = PROBES_PER_CHECK, None
        slices = CooperativeLoop()
        for session in self._registry.ids():
            if slices.spent:
                await slices.take()
            record = self._registry.get(session)
            if record is None or session in self._probes or not self._is_due(record):
                continue
            if self._policy.kind == "ring" and senders is None:
                senders = await self._senders()
            sender = record if senders is None else _another(senders.get(record.owner, []), record)
            if sender is None:
                continue
            self._send(record, sender, 0)
            room -= 1
            if room == 0:
                return

    def forget(self) -> None:
        """The clock is set: probes on their way are neither returned nor missed."""
        self._probes.clear()

    def _evidence_ms(self, record: SessionRecord) -> int:
        """When something last proved that this session receives."""
        evidence = self._supervisor.activity.evidence(record.id)
        _, inbound_age = self._pool.frame_ages_ms(record.id)
        inbound_ms = 0 if inbound_age is None else self._supervisor.now_ms() - inbound_age
        return max(inbound_ms, record.inbound_ms or 0, evidence.receipt_ms or 0, evidence.probe_returned_ms or 0)

    def _is_due(self, record: SessionRecord) -> bool:
        if record.jid is None or record.linked_ms is None:
            return False
        if record.state is not State.READY and not (record.state is State.DEGRADED and record.suspicion is not None):
            return False
        received_ms = self._evidence_ms(record)
        repaired = 0 < record.recovery_step < LAST_STEP and received_ms < record.recovery_step_ms
        wait_ms = min(AFTER_REPAIR_MS, self._policy.interval_ms) if repaired else self._policy.interval_ms
        # A probe that could not be sent or did not return is not repeated at once.
        sent_ms = self._supervisor.activity.evidence(record.id).probe_sent_ms or 0
        return self._supervisor.now_ms() - max(record.linked_ms, received_ms, sent_ms) >= wait_ms

    def _send(self, record: SessionRecord, sender: SessionRecord, misses: int) -> None:
        if record.jid is None:
            return
        now_ms = self._supervisor.now_ms()
        self._supervisor.activity.evidence(record.id).probe_sent_ms = now_ms
        self._supervisor.activity.evidence(sender.id).probed_for_ms = now_ms
        self._probes[record.id] = _Probe(record.id, sender.id, now_ms, misses)
        message = OutgoingMessage(PROBE_ID + secrets.token_hex(8).upper(), record.jid, "text", text=PROBE_TEXT)
        spawn(self._deliver(sender.id, record.id, message), name="probe.send")

    async def _senders(self) -> dict[str, list[SessionRecord]]:
        """By owner, the READY sessions that sent no probe for others within the interval."""
        found: dict[str, list[SessionRecord]] = {}
        now_ms = self._supervisor.now_ms()
        slices = CooperativeLoop()
        for session in self._registry.ids():
            if slices.spent:
                await slices.take()
            record = self._registry.get(session)
            if record is not None and record.state is State.READY:
                sent_ms = self._supervisor.activity.evidence(record.id).probed_for_ms
                if sent_ms is None or now_ms - sent_ms >= self._policy.interval_ms:
                    found.setdefault(record.owner, []).append(record)
        return found

    async def _deliver(self, sender: str, session: str, message: OutgoingMessage) -> None:
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._pool.send(sender, message)
        except (EngineError, TimeoutError) as error:
            # Trouble with sending says nothing about receiving.
            self._probes.pop(session, None)
            log.info("A receive probe could not be sent", event_name="probe.not_sent", session=session, why=str(error))

    def _check(self, probe: _Probe) -> None:
        record, now_ms = self._registry.get(probe.session), self._supervisor.now_ms()
        linked_ms = record.linked_ms if record is not None and record.linked else None
        if record is None or linked_ms is None or linked_ms > probe.sent_ms:
            del self._probes[probe.session]  # another link than the one that was probed
        elif self._evidence_ms(record) >= probe.sent_ms:
            del self._probes[probe.session]
            self._returned(record, probe, now_ms)
        elif now_ms - probe.sent_ms >= self._policy.timeout_ms:
            del self._probes[probe.session]
            self._missed(record, probe, now_ms)

    def _returned(self, record: SessionRecord, probe: _Probe, now_ms: int) -> None:
        evidence = self._supervisor.activity.evidence(record.id)
        took_ms = max(0, self._evidence_ms(record) - probe.sent_ms)
        evidence.proven()
        evidence.probe_returned_ms, evidence.probe_round_trip_ms = now_ms, took_ms
        self._supervisor.activity.receiving_proven(record.id)
        self._round_trip(took_ms / 1000)

    def _missed(self, record: SessionRecord, probe: _Probe, now_ms: int) -> None:
        misses = probe.misses + 1
        sender = self._registry.get(probe.sender)
        if misses < MISSES and sender is not None:
            self._send(record, sender, misses)
            return
        self._supervisor.activity.evidence(record.id).probe_failed_ms = now_ms
        log.warning("A receive probe did not come back", event_name="probe.missed", session=record.id, misses=misses)


def _another(senders: list[SessionRecord], record: SessionRecord) -> SessionRecord | None:
    """Takes one that is not ``record`` from the end of ``senders``."""
    for place in range(len(senders) - 1, max(-1, len(senders) - 3), -1):
        if senders[place].id != record.id:
            return senders.pop(place)
    return None
