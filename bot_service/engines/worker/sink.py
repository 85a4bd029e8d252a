"""The sink that a worker gives to its engine: journals messages, then reports signals; thread-safe.

It also keeps what an adopting API process must know of each session: its last signal that is not a
passing one.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bot_service.domain.calls import Call
from bot_service.domain.group_changes import GroupChange
from bot_service.domain.message import InboundMessage, JournalRecord, Receipt
from bot_service.domain.signals import SignalKind
from bot_service.engines.port import EngineError, Journal
from bot_service.engines.wire.journal_file import JournalError
from bot_service.engines.wire.protocol import PASSING, SessionSnapshot, SignalFrame
from shared.clock import Clock, to_ms


@dataclass(slots=True)
class _Session:
    incarnation: int
    jid: str | None
    last_kind: str = SignalKind.STARTED
    last_data: dict[str, Any] = field(default_factory=dict)
    last_seq: int = 0
    frame_at: float | None = None
    inbound_at: float | None = None


class WorkerSink:
    """``deliver(signal)`` is called on the event loop's thread, in order per session, and so is ``rows_written``."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        deliver: Callable[[SignalFrame], None],
        rows_written: Callable[[], None] = lambda: None,
    ) -> None:
        self._journal, self._clock, self._deliver, self._rows_written = journal, clock, deliver, rows_written
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._seq = itertools.count(1)
        self._order = threading.Lock()
        self._sessions: dict[str, _Session] = {}
        self._fresh: set[str] = set()
        # Kept when a session ends: what its client still delivers is journaled as its own.
        self._creations: dict[str, str] = {}

    def begin(self, session: str, incarnation: int, jid: str | None, creation: str = "") -> None:
        """``session`` starts: its signals carry ``incarnation``, its records ``creation``."""
        self._sessions[session] = _Session(incarnation, jid)
        self._creations[session] = creation
        self.signal(session, SignalKind.STARTED)

    def end(self, session: str, last: SignalKind | None) -> None:
        """``session`` is over: reports ``last`` and drops later signals of it."""
        if last is not None:
            self.signal(session, last)
        self._sessions.pop(session, None)

    def runs(self, session: str) -> bool:
        return session in self._sessions

    def sessions(self) -> list[str]:
        return list(self._sessions)

    def signal(self, session: str, kind: SignalKind, data: dict[str, Any] | None = None) -> None:
        """Reports a signal of a running session; others are dropped."""
        with self._order:
            known = self._sessions.get(session)
            if known is None:
                return
            frame = SignalFrame(session, known.incarnation, next(self._seq), kind.value, self._now_ms(), data or {})
            if kind not in PASSING:
                known.last_kind, known.last_data, known.last_seq = kind.value, frame.data, frame.seq
            if kind is SignalKind.PAIRED:
                known.jid = frame.data.get("jid")
            # Always through the loop's queue, so that signals of several threads stay in order.
            if threading.get_ident() == self._loop_thread:
                self._loop.call_soon(self._deliver, frame)
            else:
                self._loop.call_soon_threadsafe(self._deliver, frame)

    def inbound(self, message: InboundMessage, into: Journal | None = None) -> None:
        self._keep(message.session, into, message=message)
        known = self._sessions.get(message.session)
        if known is not None:
            known.inbound_at = known.frame_at = self._clock.monotonic()
            self._fresh.add(message.session)

    def receipt(self, receipt: Receipt, into: Journal | None = None) -> None:
        self._keep(receipt.session, into, receipt=receipt)
        self.frame_seen(receipt.session)
        self.signal(
            receipt.session,
            SignalKind.RECEIPT,
            {"messageIds": receipt.message_ids, "chat": receipt.chat, "type": receipt.type},
        )

    def call(self, call: Call, into: Journal | None = None) -> None:
        self._keep(call.session, into, call=call)
        self.frame_seen(call.session)

    def group_change(self, change: GroupChange, into: Journal | None = None) -> None:
        self._keep(change.session, into, group=change)
        self.frame_seen(change.session)

    def wrote_rows(self) -> None:
        self._loop.call_soon_threadsafe(self._rows_written)

    def frame_seen(self, session: str) -> None:
        known = self._sessions.get(session)
        if known is not None:
            known.frame_at = self._clock.monotonic()
            self._fresh.add(session)

    def ages_ms(self, *, everything: bool) -> dict[str, tuple[int | None, int | None]]:
        """Ages of the last frame and inbound; of all sessions, or those with a frame since then."""
        fresh, self._fresh = self._fresh, set()
        now = self._clock.monotonic()
        ages = {}
        for session in self.sessions() if everything else fresh:
            known = self._sessions.get(session)
            if known is not None:
                ages[session] = (_age_ms(known.frame_at, now), _age_ms(known.inbound_at, now))
        return ages

    def snapshots(self) -> list[SessionSnapshot]:
        """The present state of every session."""
        with self._order:
            return [
                SessionSnapshot(
                    session,
                    known.incarnation,
                    known.last_kind,
                    known.last_data,
                    known.last_seq,
                    known.jid,
                    self._creations.get(session, ""),
                )
                for session, known in self._sessions.items()
            ]

    def _keep(
        self,
        session: str,
        into: Journal | None,
        *,
        message: InboundMessage | None = None,
        receipt: Receipt | None = None,
        call: Call | None = None,
        group: GroupChange | None = None,
    ) -> None:
        creation = self._creations.get(session, "")
        record = JournalRecord(message, receipt, call, {"atMs": self._now_ms()}, creation, group)
        try:
            (into or self._journal).append(record)
        except JournalError as error:
            raise EngineError("journal", str(error), retryable=True) from error

    def _now_ms(self) -> int:
        return to_ms(self._clock.now())


def _age_ms(at: float | None, now: float) -> int | None:
    return None if at is None else max(0, int((now - at) * 1000))
