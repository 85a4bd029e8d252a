"""Holds receipts back until their messages are journaled, with at most one message in between.

The library logs every frame and waits for the log. So the line before a decryption is held until
the last message is finished, and the line of a receipt until its message is. A send begins only
between two messages, so that a message can always be rolled back. Every wait is bounded, because a
message may end unseen. A timeout is counted in `overdue` (a message, marked as doubtful on disk) or
`crowded` (a send or a decryption out of turn).
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from bot_service.engines.neonize.decrypt_marks import DecryptMark
from bot_service.engines.neonize.device_store import Marks, StoreFailed
from bot_service.engines.neonize.open_messages import OpenMessage, OpenMessages
from bot_service.engines.neonize.turn_taking import SendTurn, TurnTaking
from shared.clock import Clock, to_ms

HOLD_S = 10.0
# While a message is being read (its file may have to be fetched first), or cannot be journalled.
STUCK_HOLD_S = 60.0
REST_S = 2.0
TURN_S = 5.0
SET_BACK_MS = 1000
TICK_S = 0.005
# The library queues 2,048 stanzas in order; what comes beyond is handled in any order.
MAX_WAITING = 256
BACK_PRESSURE_S = 1.0
ASK_S = 2.0
UNKNOWN = "?"


class ReceiptGate:
    """One per client.

    `received`, `passed_over` and `before_…` are called on the library's threads, `reading` and
    `part_handled` on its event pump, `begin_send` and `end_send` on the thread of a send, also of one of the library's own.
    """

    def __init__(
        self,
        marks: Marks,
        clock: Clock,
        *,
        hold_s: float = HOLD_S,
        rest_s: float = REST_S,
        turn_s: float = TURN_S,
        store_failed: Callable[[str], None] | None = None,
        wait_until_fenced: Callable[[], None] | None = None,
    ) -> None:
        self._marks = marks
        self._clock = clock
        self._hold_s, self._rest_s, self._turn_s = hold_s, rest_s, turn_s
        self._on_store_failed, self._wait_until_fenced = store_failed, wait_until_fenced
        self._changed = threading.Condition()
        self._turns = TurnTaking()
        self._messages = OpenMessages()
        # The one that may be decrypted now, or was decrypted last.
        self._begun: OpenMessage | None = None
        self._begun_mark: DecryptMark | None = None
        self._doubtful = ""
        self._to_ask: set[str] = set()
        # When the ratchet moved last for something that is finished.
        self._moved_ms = 0
        self._broken = False
        self._store_failing = False
        self._over = False
        self.overdue = self.crowded = 0

    def received(self, message_id: str, parts: int) -> None:
        """A message with ``parts`` encrypted parts waits to be decrypted.

        Holds while too many wait: beyond its own queue the library decrypts in any order.
        """
        with self._changed:
            self._messages.add(OpenMessage(message_id, parts))
            if self._messages.waiting > MAX_WAITING:
                self._changed.wait_for(self._has_room, BACK_PRESSURE_S)

    def before_decrypt(self) -> None:
        """Holds until the last message is finished and no send runs; marks the next as begun."""
        with self._changed:
            if self._begun is not None:
                self._wait_for(self._begun)
            self._turns.decryptions_waiting += 1
            self._changed.notify_all()
            if not self._changed.wait_for(lambda: self._over or self._turns.decryption_may_begin(), self._turn_s):
                self.crowded += 1
            self._turns.decryptions_waiting -= 1
            self._turns.begin_decryption()
            self._begun = self._messages.take_next()
            # An unseen message is marked too: it can be rolled back without its id.
            self._begun_mark = DecryptMark(self._begun.id if self._begun else UNKNOWN, self._later_than_last())
            begun = self._mark_begun(self._begun_mark)
            self._changed.notify_all()
        if not begun and self._wait_until_fenced is not None:
            # Decrypted now, its ratchet would step without a mark.
            self._wait_until_fenced()

    def _mark_begun(self, mark: DecryptMark) -> bool:
        """False when the device store failed: the message must not be decrypted."""
        if not self._store_failing:
            try:
                self._marks.begin(mark)
            except StoreFailed as error:
                self._store_has_failed(str(error))
        return not self._store_failing

    def store_failed(self, why: str) -> None:
        """The library could not read or write its store: nothing may be acknowledged or requested again.

        Only a store that other clients can take over is left; a file is repaired by the next start.
        """
        if self._wait_until_fenced is not None:
            with self._changed:
                self._store_has_failed(why)

    def _store_has_failed(self, why: str) -> None:
        first, self._store_failing, self._broken = not self._store_failing, True, True
        if first and not self._over and self._on_store_failed is not None:
            self._on_store_failed(why)

    def before_other_frame(self) -> None:
        """Holds what answers an unreadable message while the device store fails: it may be readable later."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or not self._store_failing)

    def begin_send(self) -> SendTurn:
        """Holds until no message is unfinished; none is begun until :meth:`end_send`."""
        turn = SendTurn()
        with self._changed:
            until = self._clock.monotonic() + self._turn_s
            self._turns.sends_waiting += 1
            if self._begun is not None:
                self._wait_for(self._begun, self._turn_s)
            left = max(0.0, until - self._clock.monotonic())
            in_time = self._changed.wait_for(lambda: self._over or self._may_send(), left)
            if not in_time:
                self.crowded += 1
            if in_time or self._turns.is_sending:
                # A send that did not end in time loses its turn.
                self._turns.begin_send(turn)
            self._turns.sends_waiting -= 1
            self._changed.notify_all()
        return turn

    def end_send(self, turn: SendTurn) -> None:
        """The send is committed in the store, or failed. Idempotent."""
        with self._changed:
            if self._turns.end_send(turn):
                self._moved_ms = self._now_ms()
                self._changed.notify_all()

    def before_receipt(self, message_ids: list[str]) -> None:
        """Holds until all these messages are finished."""
        with self._changed:
            for message_id in message_ids:
                message = self._messages.oldest(message_id)
                if message is not None:
                    self._wait_for(message)

    def before_ack(self, message_id: str) -> None:
        """Holds until the sender of an unreadable message is asked again."""
        with self._changed:
            self._changed.wait_for(lambda: message_id not in self._to_ask or self._over, ASK_S)
            self._to_ask.discard(message_id)

    def unreadable(self, message_id: str) -> None:
        """The message cannot be decrypted; its sender is asked again next."""
        with self._changed:
            self._to_ask.add(message_id)

    def asked_again(self, message_id: str) -> None:
        """The frame that asks the sender for this message leaves."""
        with self._changed:
            self._to_ask.discard(message_id)
            self._changed.notify_all()

    def reading(self, message_id: str) -> None:
        """A part of the message is being read; wait longer for it."""
        with self._changed:
            message = self._messages.oldest(message_id)
            if message is not None:
                message.reading = True

    def passed_over(self) -> None:
        """The library drops a part of the message that it decrypts now, without an event."""
        with self._changed:
            if self._is_decrypting() and self._begun is not None:
                self._part_handled(self._begun.id)

    def part_handled(self, message_id: str, *, last: bool = False) -> None:
        """One part is journaled, or has nothing to journal. `last`: no other part follows."""
        with self._changed:
            self._part_handled(message_id, last)

    def _part_handled(self, message_id: str, last: bool = False) -> None:
        message = self._messages.oldest(message_id)
        if message is not None:
            message.touched, message.reading = True, False
            message.parts_left = 0 if last else message.parts_left - 1
            if message.parts_left <= 0:
                self._finish(message)
        elif self._begun_mark is not None and self._begun_mark.message_id in (message_id, UNKNOWN):
            self._mark_done(self._begun_mark.message_id)  # after its timeout, or unseen
        if message_id == self._doubtful and not self._broken:
            self._doubtful = ""
            self._marks.doubt(None)
        self._changed.notify_all()

    def is_last_part(self, message_id: str) -> bool:
        """Whether the message that was decrypted last is done once its next part is journaled."""
        with self._changed:
            message = self._messages.oldest(message_id)
            return message is not None and message is self._begun and message.parts_left <= 1 and not self._broken

    def journal_failed(self) -> None:
        """A message could not be journaled: hold its receipt until :meth:`release`."""
        with self._changed:
            self._broken = True

    def new_connection(self) -> None:
        """Messages of an older socket that were not begun will come again."""
        with self._changed:
            self._to_ask.clear()
            self._messages.close_all_but(self._begun)
            self._changed.notify_all()

    def release(self) -> None:
        """The client is over: holds nothing any more."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    @property
    def is_idle(self) -> bool:
        """No message is between its decryption and its journal entry."""
        with self._changed:
            return not self._is_decrypting()

    def _is_decrypting(self) -> bool:
        return self._begun is not None and self._begun.is_open

    def _may_send(self) -> bool:
        return not self._is_decrypting() and self._turns.send_may_begin()

    def _has_room(self) -> bool:
        # A send waits for answers of the server, which come the same way as these messages.
        return self._messages.waiting <= MAX_WAITING or self._turns.is_sending or self._over

    def _wait_for(self, message: OpenMessage, patience_s: float = STUCK_HOLD_S) -> None:
        begin = self._clock.monotonic()
        rest_until = None
        while message.is_open and not self._over:
            now = self._clock.monotonic()
            if message.touched:
                # All parts are decrypted before the receipt, so the rest comes at once or never.
                rest_until = rest_until or now + self._rest_s
                if now >= rest_until and not self._broken:
                    self._finish(message)
                    return
            if now - begin >= (STUCK_HOLD_S if self._broken or message.reading else self._hold_s):
                self._give_up(message)
                return
            if now - begin >= patience_s:
                return
            self._changed.wait(TICK_S if message.touched else min(self._hold_s, patience_s) / 8)

    def _give_up(self, message: OpenMessage) -> None:
        # Not marked as done: its end may still be seen. Until then a kill may lose it.
        self.overdue += 1
        self._messages.close(message)
        self._doubtful = message.id
        self._marks.doubt(DecryptMark(message.id, self._now_ms()))
        self._changed.notify_all()

    def _finish(self, message: OpenMessage) -> None:
        self._messages.close(message)
        begun, mark = self._begun, self._begun_mark
        if begun is not None and mark is not None and begun is not message and begun.is_open:
            # Only one is decrypted at a time, so it was this one and not the next in order.
            self._messages.put_back(begun)
            self._begun = None
            self._marks.begin(DecryptMark(message.id, mark.at_ms))
        self._mark_done(message.id)
        self._changed.notify_all()

    def _mark_done(self, message_id: str) -> None:
        if not self._broken:
            self._moved_ms = self._now_ms()
            self._marks.done(DecryptMark(message_id, self._moved_ms))

    def _later_than_last(self) -> int:
        # The ratchet's writes for this message must be younger than the mark, earlier writes older.
        for _ in range(20):
            now = self._now_ms()
            if now < self._moved_ms - SET_BACK_MS:
                self._moved_ms = 0  # the wall clock was set back: do not wait until it has caught up
            if now > self._moved_ms:
                return now
            self._changed.wait(0.0005)
        return self._now_ms()

    def _now_ms(self) -> int:
        return to_ms(self._clock.now())
