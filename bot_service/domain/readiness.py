"""Readiness of a session: each part with its age, and reasons to suspect receive failure.

A link that is up proves nothing about receiving: a frequent complaint about gateways is a session
that reports "connected" and receives nothing. Suspicion comes from the session's own pattern of
silence, sends without receipts, repeated stream errors and a probe that does not return.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from enum import StrEnum

from bot_service.domain.session_record import HOUR_MS, SessionRecord
from bot_service.domain.states import LINKED

SLOTS = 24  # one for each hour of the day, UTC
FRESH_MS = 5 * 60_000
LEAST_LISTENED_MS = 10 * 60_000  # less time is too short to estimate the rate of an hour


class Suspicion(StrEnum):
    SILENCE = "silence_pattern"
    NO_RECEIPTS = "sends_without_receipts"
    PROBE = "probe_not_returned"
    SIGNATURE = "repeated_stream_errors"


@dataclass(frozen=True, slots=True)
class DoubtPolicy:
    """``silence_expected``: missing messages that raise suspicion; by chance with e^-8.

    Silence has other reasons too, such as a Sunday or a holiday. So it leads to ``silence_steps``
    recovery steps at most, which disturb no other session and alert no person.
    """

    silence_expected: float = 8.0
    silence_learned: int = 50
    silence_least_ms: int = 120_000
    silence_steps: int = 2
    sends_unanswered: int = 3
    sends_wait_ms: int = 150_000
    signature_limit: int = 3
    signature_window_ms: int = 2 * HOUR_MS


@dataclass(slots=True)
class Pattern:
    """What this session usually receives by hour of the day, as a moving average."""

    rates: array[float] = field(default_factory=lambda: array("f", [0.0]) * SLOTS)  # per hour
    learned: int = 0
    slot: int = -1
    slot_began_ms: int = 0
    counted: int = 0

    def count(self, now_ms: int) -> None:
        """One inbound message."""
        self._turn(now_ms)
        self.counted += 1
        self.learned += 1

    def expected(self, since_ms: int, now_ms: int) -> float:
        """Messages that usually come in this time, of which at most 24 hours count."""
        total, at = 0.0, max(since_ms, now_ms - SLOTS * HOUR_MS)
        while at < now_ms:
            until = min(now_ms, (at // HOUR_MS + 1) * HOUR_MS)
            total += self._rate(at, now_ms) * (until - at) / HOUR_MS
            at = until
        return total

    def _rate(self, at_ms: int, now_ms: int) -> float:
        slot = at_ms // HOUR_MS % SLOTS
        if self.rates[slot] or not self.counted or slot not in (self.slot, (self.slot + 1) % SLOTS):
            return self.rates[slot]
        # An hour without data: use the rate of the newest hour so far.
        seen_ms = min(now_ms - self.slot_began_ms, HOUR_MS)
        return self.counted * HOUR_MS / max(seen_ms, LEAST_LISTENED_MS)

    def _turn(self, now_ms: int) -> None:
        hour, began_hour = now_ms // HOUR_MS, self.slot_began_ms // HOUR_MS
        if self.slot >= 0 and hour == began_hour:
            return
        if self.slot < 0:
            began_ms = now_ms  # the service has just started
        else:
            began_ms = hour * HOUR_MS
            listened_ms = (began_hour + 1) * HOUR_MS - self.slot_began_ms
            if listened_ms >= LEAST_LISTENED_MS:
                self._learn(self.slot, self.counted * HOUR_MS / listened_ms)
            for silent in range(began_hour + 1, min(hour, began_hour + SLOTS)):
                self._learn(silent % SLOTS, 0.0)
        self.slot, self.slot_began_ms, self.counted = hour % SLOTS, began_ms, 0

    def _learn(self, slot: int, rate: float) -> None:
        known = self.rates[slot]
        self.rates[slot] = rate if not known else 0.7 * known + 0.3 * rate


@dataclass(slots=True)
class Evidence:
    """What was observed of one session since its link came up. Times in ms since the epoch."""

    pattern: Pattern = field(default_factory=Pattern)
    # Chats written to since the last receipt, and when first.
    sent_to: dict[str, int] = field(default_factory=dict)
    probe_sent_ms: int | None = None
    probe_failed_ms: int | None = None
    probe_returned_ms: int | None = None
    probe_round_trip_ms: int | None = None
    probed_for_ms: int | None = None  # when it last sent the probe of another session
    receipt_ms: int | None = None

    def linked(self) -> None:
        """A new link: what was missing on the old one does not count."""
        self.sent_to.clear()
        self.probe_failed_ms = None

    def inbound(self, now_ms: int, sent_ms: int | None = None) -> None:
        """An inbound message proves receiving. An old one teaches nothing about this hour."""
        if sent_ms is None or now_ms - sent_ms < FRESH_MS:
            self.pattern.count(now_ms)
        self.proven()

    def proven(self) -> None:
        self.sent_to.clear()
        self.probe_failed_ms = None

    def sent(self, chat: str, now_ms: int) -> None:
        if len(self.sent_to) < 32:
            self.sent_to.setdefault(chat, now_ms)


def doubt(record: SessionRecord, evidence: Evidence, policy: DoubtPolicy, now_ms: int) -> Suspicion | None:
    """The strongest reason to suspect that nothing would arrive.

    None for a session without link.
    """
    if record.linked_ms is None:
        return None
    if evidence.probe_failed_ms is not None:
        return Suspicion.PROBE
    old = sum(1 for at_ms in evidence.sent_to.values() if now_ms - at_ms >= policy.sends_wait_ms)
    if old >= policy.sends_unanswered:
        return Suspicion.NO_RECEIPTS
    since = max(record.linked_ms, record.inbound_ms or 0, evidence.receipt_ms or 0, evidence.probe_returned_ms or 0)
    inbound_ms = max(record.inbound_ms or 0, evidence.probe_returned_ms or 0)
    # Old errors count against a new link only after it had time to receive something.
    if now_ms - record.linked_ms >= policy.silence_least_ms and _poisoned(record, inbound_ms, policy, now_ms):
        return Suspicion.SIGNATURE
    # After two new links in two workers the session is quiet, not deaf: a new link gets what was
    # held back.
    in_question = record.recovery_step < policy.silence_steps and now_ms - since >= policy.silence_least_ms
    learned = evidence.pattern.learned >= policy.silence_learned
    silent = in_question and learned and evidence.pattern.expected(since, now_ms) >= policy.silence_expected
    return Suspicion.SILENCE if silent else None


def _poisoned(record: SessionRecord, inbound_ms: int, policy: DoubtPolicy, now_ms: int) -> bool:
    """One repeated signature and no inbound since: a stanza that blocks all behind it."""
    recent = [seen for seen in record.errors if now_ms - seen.at_ms < policy.signature_window_ms]
    if not recent or inbound_ms > recent[-1].at_ms:
        return False
    return sum(seen.signature == recent[-1].signature for seen in recent) >= policy.signature_limit


@dataclass(frozen=True, slots=True)
class Part:
    """One part of readiness. ``age_ms`` since it was last observed; None when it never was."""

    ok: bool
    age_ms: int | None
    detail: str | None = None


def parts(
    record: SessionRecord,
    evidence: Evidence,
    suspicion: Suspicion | None,
    frame_age_ms: int | None,
    fresh_ms: int,
    now_ms: int,
) -> dict[str, Part]:
    """Ready means all of: connected, authenticated, frames, receiving."""

    def age(at_ms: int | None) -> int | None:
        return None if at_ms is None else max(0, now_ms - at_ms)

    linked = record.state in LINKED
    heard = [at for at in (record.inbound_ms, evidence.receipt_ms, evidence.probe_returned_ms) if at is not None]
    return {
        "connected": Part(linked and record.linked, age(record.linked_ms)),
        "authenticated": Part(record.jid is not None and record.linked, age(record.linked_ms)),
        "frames": Part(linked and frame_age_ms is not None and frame_age_ms < fresh_ms, frame_age_ms),
        "receiving": Part(
            linked and suspicion is None and record.suspicion is None,
            age(max(heard)) if heard else None,
            (suspicion.value if suspicion else None) or record.suspicion,
        ),
    }
