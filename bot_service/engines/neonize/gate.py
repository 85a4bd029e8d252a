"""Holds the library back so that no receipt leaves before its message is journalled, and at most one message is in between.

The library logs every frame and waits for the log. So a frame in tells what comes, the line before a decryption is held until the
message before is finished, and the line of a receipt is held until its message is finished. Every wait is bounded, because a message
may also end in ways that are not seen here; a wait that ran out is counted in `overdue`.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from bot_service.engines.neonize.marks import Mark, Marks
from shared.clock import Clock

HOLD_S = 2.0
STUCK_HOLD_S = 60.0
REST_S = 0.2
TICK_S = 0.005
# The library queues 2,048 stanzas in order; what comes beyond is handled in any order.
MAX_WAITING = 256
BACK_PRESSURE_S = 1.0


@dataclass(slots=True)
class _Message:
    id: str
    parts_left: int
    touched: bool = False


class ReceiptGate:
    """One per client. `received` and `before_…` are called on the library's threads, `part_handled` on its event pump."""

    def __init__(self, marks: Marks, clock: Clock, *, hold_s: float = HOLD_S, rest_s: float = REST_S) -> None:
        self._marks = marks
        self._clock = clock
        self._hold_s = hold_s
        self._rest_s = rest_s
        self._changed = threading.Condition()
        # Every message that came and is not finished; `_order` is how they came, `_begun` the one that may be decrypted now.
        self._open: dict[str, _Message] = {}
        self._order: deque[str] = deque()
        self._begun: _Message | None = None
        self._begun_mark: Mark | None = None
        self._last_done_ms = 0
        self._broken = False
        self._over = False
        self.overdue = 0

    def received(self, message_id: str, parts: int) -> None:
        """A message with so many encrypted parts came in and waits to be decrypted. Holds while too many wait: past its own queue the
        library would decrypt in any order."""
        with self._changed:
            self._open[message_id] = _Message(message_id, parts)
            self._order.append(message_id)
            if len(self._order) > MAX_WAITING and not self._over:
                self._changed.wait_for(lambda: len(self._order) <= MAX_WAITING or self._over, BACK_PRESSURE_S)

    def before_decrypt(self) -> None:
        """Hold until the message before is finished, then mark the next one as begun."""
        with self._changed:
            if self._begun is not None:
                self._wait_for(self._begun)
            self._begun = self._next()
            if self._begun is not None:
                self._begun_mark = Mark(self._begun.id, self._later_than_last())
                self._marks.begin(self._begun_mark)
            self._changed.notify_all()

    def before_receipt(self, message_ids: list[str]) -> None:
        """Hold until all these messages are finished."""
        with self._changed:
            for message_id in message_ids:
                message = self._open.get(message_id)
                if message is not None:
                    self._wait_for(message)

    def part_handled(self, message_id: str) -> None:
        """One part of the message is journalled, or there is nothing to journal in it."""
        with self._changed:
            message = self._open.get(message_id)
            if message is not None:
                message.touched = True
                message.parts_left -= 1
                if message.parts_left <= 0:
                    self._finish(message)
            elif self._begun_mark is not None and self._begun_mark.message_id == message_id:
                self._mark_done(message_id)  # it came after its wait had run out
            self._changed.notify_all()

    def journal_failed(self) -> None:
        """A message could not be journalled: hold its receipt until the connection is closed (`let_go`)."""
        with self._changed:
            self._broken = True

    def new_connection(self) -> None:
        """What came on an older socket and was not begun will come again."""
        with self._changed:
            self._order.clear()
            self._open = (
                {self._begun.id: self._begun} if self._begun is not None and self._begun.id in self._open else {}
            )
            self._changed.notify_all()

    def let_go(self) -> None:
        """The client is over: hold nothing any more."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    @property
    def is_idle(self) -> bool:
        """No message is between its decryption and its journal entry."""
        with self._changed:
            return self._begun is None or self._begun.id not in self._open

    def _next(self) -> _Message | None:
        while self._order:
            message = self._open.get(self._order.popleft())
            if message is not None:
                return message
        return None

    def _wait_for(self, message: _Message) -> None:
        begin = self._clock.monotonic()
        rest_until = None
        while self._open.get(message.id) is message and not self._over:
            now = self._clock.monotonic()
            if message.touched:
                # The parts of one message are decrypted before its receipt is tried, so the rest comes at once or never.
                rest_until = rest_until or now + self._rest_s
                if now >= rest_until and not self._broken:
                    self._finish(message)
                    return
            if now - begin >= (STUCK_HOLD_S if self._broken else self._hold_s):
                # Not marked as done: if it was read after all, its end will still be seen; if not, it comes again.
                self.overdue += 1
                self._open.pop(message.id, None)
                return
            self._changed.wait(TICK_S if message.touched else self._hold_s / 8)

    def _finish(self, message: _Message) -> None:
        del self._open[message.id]
        begun, mark = self._begun, self._begun_mark
        if begun is not None and mark is not None and begun is not message and begun.id in self._open:
            # Only one is decrypted at a time, so it was this one and not the one that the order told.
            self._order.appendleft(begun.id)
            self._begun = None
            self._marks.begin(Mark(message.id, mark.at_ms))
        self._mark_done(message.id)
        self._changed.notify_all()

    def _mark_done(self, message_id: str) -> None:
        if not self._broken:
            self._last_done_ms = self._now_ms()
            self._marks.done(Mark(message_id, self._last_done_ms))

    def _later_than_last(self) -> int:
        # What the ratchet writes for this message must be younger than the mark, and what it wrote for the last one older.
        for _ in range(20):
            now = self._now_ms()
            if now > self._last_done_ms:
                return now
            self._changed.wait(0.0005)
        return self._now_ms()

    def _now_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)
