"""One incarnation of a session inside the library: its thread, its state, and its callbacks.

Callbacks run on threads of the library, which waits for them. Their errors are caught here, because
the library ignores them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ParamSpec, TypeVar

from bot_service.domain.message import Media, PollVote
from bot_service.domain.signals import SignalKind
from bot_service.engines.neonize import (
    events,
    jids,
    library,
    log_lines,
    lost_messages,
    receipt_gate_lines,
    stanza_signals,
)
from bot_service.engines.neonize.client_table_lock import ClientTableLock
from bot_service.engines.neonize.connection import Connection
from bot_service.engines.neonize.device_store import DeviceStore
from bot_service.engines.neonize.journal_intake import JournalIntake
from bot_service.engines.neonize.receipt_gate import ReceiptGate
from bot_service.engines.neonize.repeat_turns import RepeatTurns
from bot_service.engines.neonize.sending import Sending
from bot_service.engines.neonize.sent_messages import SentMessages
from bot_service.engines.port import EngineError, EngineSink
from bot_service.engines.wire.login_gate import LoginAttempt, LoginGate, LoginResult
from shared import logs
from shared.clock import Clock, SystemClock, to_ms
from shared.redact import redact_text

log = logs.get(__name__)
P = ParamSpec("P")
Result = TypeVar("Result")
# The library shows the first code of a full round longer.
FULL_ROUND, FIRST_CODE_MS, NEXT_CODE_MS = 6, 60_000, 20_000
MAPPED_S = 5.0
GATE_POLL_S = 0.05
PUMPING_S = 1.5


@dataclass(frozen=True, slots=True)
class ClientContext:
    """What all clients of a process share."""

    library: library.Library
    table_lock: ClientTableLock
    sink: EngineSink
    clock: Clock
    fetch: Callable[[SessionClient, Any, Media, str], Media]
    read_vote: Callable[[SessionClient, Any, PollVote], PollVote]
    number_of: Callable[[SessionClient, Any], Any]
    ended: Callable[[SessionClient], None]
    linked: Callable[[SessionClient], None]
    login_gate: LoginGate | None


class SessionClient:
    """`name` is unique per incarnation, so that an older one cannot affect this one.

    `code_round` numbers the QR codes of a pairing; None: no codes are shown.
    """

    def __init__(
        self,
        session: str,
        name: bytes,
        store: DeviceStore,
        context: ClientContext,
        proxy: str | None,
        code_round: int | None,
        attempt: LoginAttempt | None,
    ) -> None:
        self.session, self.name, self.store = session, name, store
        # Its marks are compared with what triggers in the library's file read from the wall clock.
        self.gate = ReceiptGate(
            store.marks, SystemClock(), store_failed=self._store_failed, wait_until_fenced=store.wait_until_fenced
        )
        self.sent = SentMessages(store.sent)
        self.sending = Sending(self.gate, self.sent)
        self._repeats, self._unread = RepeatTurns(self.gate), lost_messages.Unread()
        self.connection = Connection(self._report)
        self._intake = JournalIntake(
            session,
            self.gate,
            self.sent,
            context.sink,
            fetch=partial(context.fetch, self),
            read_vote=partial(context.read_vote, self),
            number_of=partial(context.number_of, self),
            broken=self._journal_broken,
            journal=store.journal,
        )
        if store.journal is not None:
            store.journal.failed = self.gate.store_failed
        self.paired = self.stopping = self.over = False
        self.showed_code = threading.Event()
        self.last_event_at = context.clock.monotonic()
        self._context = context
        self.proxy, self._code_round = proxy, code_round
        self._codes = self._offered = 0
        self._attempt = attempt
        self._left = threading.Event()
        self._lid: str | None = None
        self._mapped, self._pumping, self._finished = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"session-{name.decode()}", daemon=True)

    # --- called by the engine, on its own threads ---

    def start(self) -> None:
        """Returns when the library has written its tables, or after a timeout."""
        with self._context.table_lock.exclusive():
            self._thread.start()
            self._mapped.wait(MAPPED_S)
            self._pumping.wait(0.0 if self._codes else PUMPING_S)

    def call(self, function: Callable[..., Result], *args: Any) -> Result:
        """Calls the library for this client; raises when the client is not in its tables."""
        if not self._mapped.is_set() or self.over:
            raise EngineError("not_started", "the session is not started", retryable=True)
        self._context.table_lock.before_call()
        return function(self.name, *args)

    def caller(self, call: str, given: str) -> str:
        """The address that a call of this client can be rejected with; ``given`` for an unknown call."""
        return self._intake.callers.get(call, given)

    def disconnect(self) -> None:
        """Closes the socket; messages that were decrypted still arrive."""
        self.stopping = True
        if self._mapped.is_set() and not self.over:
            self.call(self._context.library.disconnect)
        self._left.set()

    def forget(self, wait_s: float) -> bool:
        """Removes the client from the library; True when its thread ended within `wait_s`."""
        self.stopping = True
        with self._context.table_lock.exclusive():
            self._context.library.stop(self.name)
        self.over = True
        self._left.set()
        self.gate.release()
        ended = self._finished.wait(wait_s)
        self._end_attempt()
        self.store.marks.close()
        self.sent.close()
        return ended

    # --- the thread of this client ---

    def _run(self) -> None:
        callbacks = library.Callbacks(
            line=self._guarded(self._line),
            event=self._guarded(self._event),
            code=self._guarded(self._code),
            login=self._guarded(self._login),
        )
        reason = "the event pump ended"
        try:
            jid = (
                jids.to_library(self.store.jid, keep_device=True).SerializeToString()
                if self.store.jid is not None
                else b""
            )
            self._context.library.run(
                self.name, self.store.dsn, self.proxy, callbacks, jid=jid, new=self.store.new_device
            )
        except library.LibraryError as error:
            reason = redact_text(str(error))[:300]
        finally:
            self._finished.set()
            self._mapped.set()
            self._pumping.set()
        if not self.stopping and not self.over:
            self._ended_by_itself(reason)

    def _ended_by_itself(self, reason: str) -> None:
        if self._codes or self.connection.was_online:
            # Without a pump the library stays online and acknowledges messages that are lost.
            self.gate.journal_failed()
            self._report(SignalKind.PUMP_DIED, {"reason": reason})
            self._context.table_lock.before_call()
            self._context.library.disconnect(self.name)
        else:
            self._report(SignalKind.CONNECT_ERROR, {"reason": reason})
        self._context.ended(self)

    def _guarded(self, callback: Callable[P, None]) -> Callable[P, None]:
        def run(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                callback(*args, **kwargs)
            except Exception:
                log.exception("A callback of the engine failed", event_name="engine.callback", session=self.session)

        return run

    # --- callbacks of the library ---

    def _line(self, logger: str, level: str, text: str) -> None:
        if logger.startswith("Client"):
            self._mapped.set()
        if logger == "Client/Recv":
            self._frame_in(text)
        elif logger == "Client/Send":
            receipt_gate_lines.of_frame_out(self.gate, text)
            self.sending.frame_out(text)
        elif logger == "Client":
            self._repeats.line(text)
            receipt_gate_lines.of_client(self.gate, text)
            if (message_id := log_lines.unreadable_message(text)) is not None:
                self._unread.add(message_id)
            elif (message_id := log_lines.ignored_message(text)) is not None and self._unread.take(message_id):
                # It was asked for again, and its sender sealed it with a key that was used before.
                lost_messages.report(self._context.sink, self.session, message_id, lost_messages.UNREADABLE)
            elif (message_id := log_lines.given_up_message(text)) is not None:
                # Unreadable although its sender was asked repeatedly: it will not come again.
                self.gate.asked_again(message_id)
                lost_messages.report(self._context.sink, self.session, message_id, lost_messages.UNREADABLE)
            elif (message_id := log_lines.not_repeated_message(text)) is not None:
                # One device of the receiver will never read it; the others may have.
                lost_messages.report(
                    self._context.sink, self.session, self.sent.own_id(message_id), lost_messages.NOT_REPEATED
                )
            elif text.startswith(log_lines.REDIALING):
                self._wait_at_gate(alone=text == log_lines.REDIALING_AT_ONCE)
        elif logger == "Client/Socket" and text.startswith(log_lines.DIALING):
            self._ask_before_dial()
            self.gate.new_connection()
            self.connection.dialing()
        if level in ("WARN", "ERROR"):
            log.debug("The library warns", event_name="engine.library", session=self.session, text=redact_text(text))

    def _frame_in(self, text: str) -> None:
        self._context.sink.frame_seen(self.session)
        stanza = log_lines.parse(text)
        if stanza is None:
            return
        if stanza.tag == "message" and stanza.envelopes:
            self.gate.received(stanza.id, stanza.envelopes)
        elif stanza.tag == "success":
            self._login_ended(accepted=True)
            self.connection.logged_in()
        elif stanza.tag == "iq" and stanza.offered_codes:
            self._offered = stanza.offered_codes
        elif (proof := stanza_signals.taken(stanza)) is not None:
            now_ms = to_ms(self._context.clock.now())
            for whatsapp_id in proof:
                self.sent.seen_taken(whatsapp_id, now_ms)
        signal = stanza_signals.of_stanza(stanza, pairing=not self.connection.was_online)
        if signal is not None:
            if stanza.tag == "failure" and signal.kind in stanza_signals.DECIDES_BUILD:
                self._login_ended(accepted=signal.kind is not SignalKind.OUTDATED)
            self._report(signal.kind, signal.data)

    # --- the login gate ---

    def _wait_at_gate(self, *, alone: bool) -> None:
        """Holds the library before it dials again; ``alone`` when all may dial at once."""
        if self._context.login_gate is None:
            return
        self._end_attempt()
        attempt = self._attempt = self._context.login_gate.attempt()
        while attempt.ask() is not LoginResult.GO if alone else attempt.is_closed():
            if self._left.wait(GATE_POLL_S):
                break
        if self._left.is_set():
            attempt.end()
            # Its wait of 0 s is over too, and the library may choose that instead of the stop and
            # dial. So this thread never returns to it, and ends with the process.
            threading.Event().wait()

    def _ask_before_dial(self) -> None:
        """The library dials by itself too: a process that stood still may not be the owner of this session any more."""
        if self.store.may_dial is None or self.store.may_dial(self._left.is_set):
            return
        if not self._left.is_set():
            self._store_failed("another client of the session was started")
        threading.Event().wait()  # as above: no connection follows

    def _login_ended(self, *, accepted: bool) -> None:
        attempt, gate = self._attempt, self._context.login_gate
        if attempt is None and gate is not None:
            attempt = gate.attempt()
        if attempt is not None:
            attempt.accepted() if accepted else attempt.refused()

    def _end_attempt(self) -> None:
        if self._attempt is not None:
            self._attempt.end()

    def _code(self, text: str) -> None:
        if self._code_round is None:
            self._report(SignalKind.LOGGED_OUT, {"code": 401, "onConnect": True})
            return
        valid_ms = FIRST_CODE_MS if not self._codes and self._offered == FULL_ROUND else NEXT_CODE_MS
        self._codes += 1
        self._mapped.set()
        self._pumping.set()
        self.showed_code.set()
        self._report(SignalKind.QR, {"code": text, "expiresInMs": valid_ms, "round": self._code_round})

    def _login(self, word: str) -> None:
        if word in events.LOGIN_WORDS:
            self._report(events.LOGIN_WORDS[word], {})

    def _event(self, number: int, event: Any) -> None:
        self.last_event_at = self._context.clock.monotonic()
        if number == library.MESSAGE:
            self._unread.take(event.Info.ID)
            self._intake.message(event)
        elif number == library.RECEIPT:
            self._intake.receipt(event)
        elif number in (library.CALL_OFFER, library.CALL_OFFER_NOTICE):
            self._intake.call(event)
        elif number == library.GROUP_INFO:
            self._intake.group(event)
        elif number == library.JOINED_GROUP:
            self._intake.joined_group(event, to_ms(self._context.clock.now()))
        elif number == library.ME:
            self._lid = jids.to_text(event.LID, with_device=True) or None
            self._intake.own = frozenset((jids.to_text(event.JID), jids.to_text(event.LID)))
            self._pumping.set()
        elif number == library.PAIR_STATUS:
            self._pair_status(event)
        elif number == library.CONNECTED:
            self.connection.connected()
        elif number == library.DISCONNECTED:
            self.connection.disconnected()
        elif (signal := events.plain(number, event, self._context.clock.now().timestamp())) is not None:
            self.connection.report(signal)
            if signal.kind is SignalKind.UNDECRYPTABLE:
                self.gate.part_handled(event.Info.ID, last=True)

    def _pair_status(self, event: Any) -> None:
        if event.Status != 2:
            self._report(SignalKind.PAIR_ERROR, {"reason": redact_text(event.Error)[:300]})
            return
        self.paired = True
        jid = jids.to_text(event.ID, with_device=True)
        self._report(SignalKind.PAIRED, {"jid": jid, "lid": self._lid, "pushName": event.BusinessName or None})
        self._context.linked(self)

    def _journal_broken(self) -> None:
        reason = "a message could not be journalled"
        if self.store.journal is None:
            self._begin_leaving(reason)
        else:
            # Nothing may be decrypted after it: the mark of the next message would hide that this one is unfinished.
            self.gate.store_failed(reason)

    def fenced(self) -> None:
        """The store took something for that of an older client: another one has this session."""
        self.gate.store_failed("another client of the session was started")

    def _store_failed(self, why: str) -> None:
        """Nothing is acknowledged, so the server delivers what came again to the next client."""
        log.error(
            f"The device store failed, the session leaves WhatsApp: {redact_text(why)[:200]}",
            event_name="engine.store_failed",
            session=self.session,
        )
        self._begin_leaving("the device store does not answer")

    def _begin_leaving(self, reason: str) -> None:
        threading.Thread(target=self._leave, args=(reason,), name="session-leave", daemon=True).start()

    def _leave(self, reason: str) -> None:
        self.disconnect()
        if self.store.check_owner is not None:
            self.store.check_owner()
        self.gate.release()
        self._report(SignalKind.PUMP_DIED, {"reason": reason})
        self._context.ended(self)

    def _report(self, kind: SignalKind, data: dict[str, Any]) -> None:
        if self.over:
            return
        self._context.sink.signal(self.session, kind, data)
        if kind in stanza_signals.ENDS:
            self._context.ended(self)
