"""The active receive probe: causes something that must come back, and doubts the session when it does not.

``self`` writes to the own account and waits for its receipt; with ``ring`` another session of the same owner writes to
the one in question, which must get the message. Only sessions that heard nothing else are asked, each at most once in the
interval, and a few a second over all; a session rings for others at most once in the interval too.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from bot_service.domain.message import PROBE_ID, PROBE_TEXT, OutgoingMessage
from bot_service.domain.ports import EnginePool
from bot_service.domain.recovery import TOP
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

AT_ONCE = 20
SEND_TIMEOUT_S = 30.0
# One probe may be lost for a reason of its own; the second one in a row raises suspicion.
MISSES = 2
# After a step of the recovery ladder the question whether it helped must not wait for the next interval.
AFTER_REPAIR_MS = 10_000


@dataclass(frozen=True, slots=True)
class ProbePolicy:
    """``kind`` is ``off``, ``ring`` or ``self``; times in milliseconds."""

    kind: str
    interval_ms: int
    timeout_ms: int


@dataclass(slots=True)
class _Asked:
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
        pool: EnginePool,
        clock: Clock,
        policy: ProbePolicy,
        *,
        round_trip: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self._supervisor, self._registry, self._pool, self._clock = supervisor, registry, pool, clock
        self._policy, self._round_trip = policy, round_trip
        self._asked: dict[str, _Asked] = {}

    async def run(self) -> None:
        """Looks once a second; ends at once when probes are off."""
        while self._policy.kind != "off":
            await self._clock.sleep(1.0)
            await self.once()

    async def once(self) -> None:
        for asked in list(self._asked.values()):
            self._judge(asked)
        room, ringers = AT_ONCE, None
        breath = CooperativeLoop()
        for session in self._registry.ids():
            if breath.spent:
                await breath.take()
            record = self._registry.get(session)
            if record is None or session in self._asked or not self._is_due(record):
                continue
            if self._policy.kind == "ring" and ringers is None:
                ringers = await self._ringers()
            sender = record if ringers is None else _another(ringers.get(record.owner, []), record)
            if sender is None:
                continue
            self._ask(record, sender, 0)
            room -= 1
            if room == 0:
                return

    def _heard_ms(self, record: SessionRecord) -> int:
        """When something last proved that this session receives."""
        evidence = self._supervisor.life.evidence(record.id)
        _, inbound_age = self._pool.frame_ages_ms(record.id)
        told = 0 if inbound_age is None else self._supervisor.now_ms() - inbound_age
        return max(told, record.inbound_ms or 0, evidence.receipt_ms or 0, evidence.probe_returned_ms or 0)

    def _is_due(self, record: SessionRecord) -> bool:
        if record.jid is None or record.linked_ms is None:
            return False
        if record.state is not State.READY and not (record.state is State.DEGRADED and record.suspicion is not None):
            return False
        heard_ms = self._heard_ms(record)
        repaired = 0 < record.rung < TOP and heard_ms < record.rung_ms
        wait_ms = min(AFTER_REPAIR_MS, self._policy.interval_ms) if repaired else self._policy.interval_ms
        # One that could not be sent or did not return is no reason to ask again at once.
        asked_ms = self._supervisor.life.evidence(record.id).probe_sent_ms or 0
        return self._supervisor.now_ms() - max(record.linked_ms, heard_ms, asked_ms) >= wait_ms

    def _ask(self, record: SessionRecord, sender: SessionRecord, misses: int) -> None:
        if record.jid is None:
            return
        now_ms = self._supervisor.now_ms()
        self._supervisor.life.evidence(record.id).probe_sent_ms = now_ms
        self._supervisor.life.evidence(sender.id).rang_ms = now_ms
        self._asked[record.id] = _Asked(record.id, sender.id, now_ms, misses)
        message = OutgoingMessage(PROBE_ID + secrets.token_hex(8).upper(), record.jid, "text", text=PROBE_TEXT)
        spawn(self._send(sender.id, record.id, message), name="probe.send")

    async def _ringers(self) -> dict[str, list[SessionRecord]]:
        """By owner, the sessions that are READY and have not rung within the interval."""
        found: dict[str, list[SessionRecord]] = {}
        now_ms = self._supervisor.now_ms()
        breath = CooperativeLoop()
        for session in self._registry.ids():
            if breath.spent:
                await breath.take()
            record = self._registry.get(session)
            if record is not None and record.state is State.READY:
                rang_ms = self._supervisor.life.evidence(record.id).rang_ms
                if rang_ms is None or now_ms - rang_ms >= self._policy.interval_ms:
                    found.setdefault(record.owner, []).append(record)
        return found

    async def _send(self, sender: str, session: str, message: OutgoingMessage) -> None:
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._pool.send(sender, message)
        except (EngineError, TimeoutError) as error:
            # Trouble with sending says nothing about receiving.
            self._asked.pop(session, None)
            log.info("A receive probe could not be sent", event_name="probe.not_sent", session=session, why=str(error))

    def _judge(self, asked: _Asked) -> None:
        record, now_ms = self._registry.get(asked.session), self._supervisor.now_ms()
        linked_ms = record.linked_ms if record is not None and record.linked else None
        if record is None or linked_ms is None or linked_ms > asked.sent_ms:
            del self._asked[asked.session]  # another link than the one that was asked
        elif self._heard_ms(record) >= asked.sent_ms:
            del self._asked[asked.session]
            self._returned(record, asked, now_ms)
        elif now_ms - asked.sent_ms >= self._policy.timeout_ms:
            del self._asked[asked.session]
            self._missed(record, asked, now_ms)

    def _returned(self, record: SessionRecord, asked: _Asked, now_ms: int) -> None:
        evidence = self._supervisor.life.evidence(record.id)
        took_ms = max(0, self._heard_ms(record) - asked.sent_ms)
        evidence.proven()
        evidence.probe_returned_ms, evidence.probe_round_trip_ms = now_ms, took_ms
        self._supervisor.life.proven(record.id)
        self._round_trip(took_ms / 1000)

    def _missed(self, record: SessionRecord, asked: _Asked, now_ms: int) -> None:
        misses = asked.misses + 1
        sender = self._registry.get(asked.sender)
        if misses < MISSES and sender is not None:
            self._ask(record, sender, misses)
            return
        self._supervisor.life.evidence(record.id).probe_failed_ms = now_ms
        log.warning("A receive probe did not come back", event_name="probe.missed", session=record.id, misses=misses)


def _another(ringers: list[SessionRecord], record: SessionRecord) -> SessionRecord | None:
    """Takes one that is not ``record`` from the end of ``ringers``."""
    for place in range(len(ringers) - 1, max(-1, len(ringers) - 3), -1):
        if ringers[place].id != record.id:
            return ringers.pop(place)
    return None
