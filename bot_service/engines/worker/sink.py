"""The sink a worker gives to its engine: journals first, then tells; callable from any thread.

It also remembers what an adopting API process must know of each session: the last signal that says where it stands.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bot_service.domain.message import InboundMessage, JournalRecord, Receipt
from bot_service.domain.signals import SignalKind
from bot_service.engines.port import EngineError
from bot_service.engines.wire.journal_file import JournalError, JournalWriter
from bot_service.engines.wire.protocol import SessionSnapshot, Signal
from shared.clock import Clock, to_ms

# Signals that say nothing about where the session stands.
PASSING = frozenset(
    {
        SignalKind.RECEIPT,
        SignalKind.PRESENCE,
        SignalKind.UNDECRYPTABLE,
        SignalKind.MESSAGE_LOST,
        SignalKind.TIMELOCK,
        SignalKind.PAIRING_CODE,
        SignalKind.OFFLINE_SYNC_PREVIEW,
    }
)


@dataclass(slots=True)
class _Known:
    incarnation: int
    jid: str | None
    last_kind: str = SignalKind.STARTED
    last_data: dict[str, Any] = field(default_factory=dict)
    last_seq: int = 0
    frame_at: float | None = None
    inbound_at: float | None = None


class WorkerSink:
    """``deliver(signal)`` is called on the event loop's thread, in the order of each session's signals."""

    def __init__(self, journal: JournalWriter, clock: Clock, deliver: Callable[[Signal], None]) -> None:
        self._journal, self._clock, self._deliver = journal, clock, deliver
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._seq = itertools.count(1)
        self._order = threading.Lock()
        self._known: dict[str, _Known] = {}
        self._fresh: set[str] = set()

    def begin(self, session: str, incarnation: int, jid: str | None) -> None:
        """``session`` starts: its signals carry ``incarnation`` from here on."""
        self._known[session] = _Known(incarnation, jid)
        self.signal(session, SignalKind.STARTED)

    def end(self, session: str, last: SignalKind | None) -> None:
        """``session`` is over: tell ``last``, then drop whatever the engine still says of it."""
        if last is not None:
            self.signal(session, last)
        self._known.pop(session, None)

    def runs(self, session: str) -> bool:
        return session in self._known

    def sessions(self) -> list[str]:
        return list(self._known)

    def signal(self, session: str, kind: SignalKind, data: dict[str, Any] | None = None) -> None:
        """Tell one signal of a session that runs; of any other nothing is told."""
        with self._order:
            known = self._known.get(session)
            if known is None:
                return
            told = Signal(session, known.incarnation, next(self._seq), kind.value, self._now_ms(), data or {})
            if kind not in PASSING:
                known.last_kind, known.last_data, known.last_seq = kind.value, told.data, told.seq
            if kind is SignalKind.PAIRED:
                known.jid = told.data.get("jid")
            # Always through the loop's queue, so that signals of several threads keep the order of their numbers.
            if threading.get_ident() == self._loop_thread:
                self._loop.call_soon(self._deliver, told)
            else:
                self._loop.call_soon_threadsafe(self._deliver, told)

    def inbound(self, message: InboundMessage) -> None:
        self._keep(JournalRecord(message=message, meta={"atMs": self._now_ms()}))
        known = self._known.get(message.session)
        if known is not None:
            known.inbound_at = known.frame_at = self._clock.monotonic()
            self._fresh.add(message.session)

    def receipt(self, receipt: Receipt) -> None:
        self._keep(JournalRecord(receipt=receipt, meta={"atMs": self._now_ms()}))
        self.frame_seen(receipt.session)
        self.signal(
            receipt.session,
            SignalKind.RECEIPT,
            {"messageIds": receipt.message_ids, "chat": receipt.chat, "type": receipt.type},
        )

    def frame_seen(self, session: str) -> None:
        known = self._known.get(session)
        if known is not None:
            known.frame_at = self._clock.monotonic()
            self._fresh.add(session)

    def ages_ms(self, *, everything: bool) -> dict[str, tuple[int | None, int | None]]:
        """Ages of the last frame and the last inbound; only of sessions with news since the last call, or of all."""
        fresh, self._fresh = self._fresh, set()
        now = self._clock.monotonic()
        ages = {}
        for session in self.sessions() if everything else fresh:
            known = self._known.get(session)
            if known is not None:
                ages[session] = (_age_ms(known.frame_at, now), _age_ms(known.inbound_at, now))
        return ages

    def snapshots(self) -> list[SessionSnapshot]:
        """Every session as it stands now."""
        with self._order:
            return [
                SessionSnapshot(session, known.incarnation, known.last_kind, known.last_data, known.last_seq, known.jid)
                for session, known in self._known.items()
            ]

    def _keep(self, record: JournalRecord) -> None:
        try:
            self._journal.append(record)
        except JournalError as error:
            raise EngineError("journal", str(error), retryable=True) from error

    def _now_ms(self) -> int:
        return to_ms(self._clock.now())


def _age_ms(at: float | None, now: float) -> int | None:
    return None if at is None else max(0, int((now - at) * 1000))
