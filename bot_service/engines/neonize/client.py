"""One incarnation of one session inside the library: its thread, its state, and everything it tells.

All callbacks come on threads of the library, which waits for them; an error in one is caught here, because the library would not
notice it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from bot_service.domain.message import Media
from bot_service.domain.signals import SignalKind
from bot_service.engines.base import EngineError, EngineSink
from bot_service.engines.neonize import events, inbound, jids, library, lines, signs
from bot_service.engines.neonize.files import DeviceFiles
from bot_service.engines.neonize.gate import ReceiptGate
from bot_service.engines.neonize.maps import MapRule
from bot_service.engines.neonize.marks import Marks
from bot_service.engines.neonize.sent import SentMessage, SentMessages
from bot_service.engines.neonize.turns import SendTurn
from shared import logs
from shared.clock import Clock, to_ms
from shared.redact import redact_text

log = logs.get(__name__)
P = ParamSpec("P")
Answer = TypeVar("Answer")
# The library shows the first code of a full round longer.
FULL_ROUND, FIRST_CODE_MS, NEXT_CODE_MS = 6, 60_000, 20_000
MAPPED_S = 5.0
PUMPING_S = 1.5


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all clients of a process share."""

    library: library.Library
    maps: MapRule
    sink: EngineSink
    clock: Clock
    fetch: Callable[[Client, Any, Media, str], Media]
    ended: Callable[[Client], None]
    linked: Callable[[Client], None]


class Client:
    """`name` is unique per incarnation, so that nothing of an older one can touch this one."""

    def __init__(
        self,
        session: str,
        name: bytes,
        files: DeviceFiles,
        around: Surroundings,
        *,
        proxy: str | None,
        pairing: bool,
        code_round: int,
    ) -> None:
        self.session, self.name, self.files = session, name, files
        self.marks = Marks(files.marks)
        self.gate = ReceiptGate(self.marks, around.clock)
        self.sent = SentMessages(files.sent)
        self.paired = self.connected = self.stopping = self.over = False
        self.dials = 0
        self.showed_code = threading.Event()
        # Everything that waited at the server has come: a mark on an older message of ours would have been seen.
        self.caught_up = threading.Event()
        self.sending: SentMessage | None = None
        # Also those whose caller waits no more: the library sends on.
        self.in_flight: set[str] = set()
        self._send_turn: SendTurn | None = None
        self.last_event_at = around.clock.monotonic()
        self._around = around
        self.proxy, self._pairing = proxy, pairing
        self._code_round, self._codes, self._offered = code_round, 0, 0
        self._was_online = self._loss_told = False
        self._lid: str | None = None
        self._mapped, self._pumping, self._finished = threading.Event(), threading.Event(), threading.Event()
        self._held_back: list[tuple[SignalKind, dict[str, Any]]] = []
        self._journal_broken = False
        self._thread = threading.Thread(target=self._run, name=f"session-{name.decode()}", daemon=True)

    # --- driven by the engine, on threads of its own ---

    def start(self) -> None:
        """Begin to connect. Returns when the library's tables have been written (or it gave up waiting for that)."""
        with self._around.maps.alone():
            self._thread.start()
            self._mapped.wait(MAPPED_S)
            self._pumping.wait(0.0 if self._codes else PUMPING_S)

    def call(self, deed: Callable[..., Answer], *args: Any) -> Answer:
        """One call of the library for this client; never for one that is not in its tables."""
        if not self._mapped.is_set() or self.over:
            raise EngineError("not_started", "the session is not started", retryable=True)
        self._around.maps.before_call()
        return deed(self.name, *args)

    def disconnect(self) -> None:
        """Close the socket; what was decrypted already still arrives."""
        self.stopping = True
        if self._mapped.is_set() and not self.over:
            self.call(self._around.library.disconnect)

    def forget(self, wait_s: float) -> bool:
        """Take the client out of the library; True when its thread ended within `wait_s`."""
        self.stopping = True
        with self._around.maps.alone():
            self._around.library.stop(self.name)
        self.over = True
        self.gate.let_go()
        ended = self._finished.wait(wait_s)
        self.marks.close()
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
            self._around.library.run(self.name, self.files.dsn, self.proxy, callbacks)
        except library.LibraryError as error:
            reason = redact_text(str(error))[:300]
        finally:
            self._finished.set()
            self._mapped.set()
            self._pumping.set()
        if not self.stopping and not self.over:
            self._ended_by_itself(reason)

    def _ended_by_itself(self, reason: str) -> None:
        if self._codes or self._was_online:
            # The library stays online without a pump and would acknowledge what nobody gets: leave at once.
            self.gate.journal_failed()
            self._tell(SignalKind.PUMP_DIED, {"reason": reason})
            self._around.maps.before_call()
            self._around.library.disconnect(self.name)
        else:
            self._tell(SignalKind.CONNECT_ERROR, {"reason": reason})
        self._around.ended(self)

    def _guarded(self, callback: Callable[P, None]) -> Callable[P, None]:
        def run(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                callback(*args, **kwargs)
            except Exception:
                log.exception("A callback of the engine failed", event_name="engine.callback", session=self.session)

        return run

    # --- what the library tells ---

    def _line(self, logger: str, level: str, text: str) -> None:
        if logger.startswith("Client"):
            self._mapped.set()
        if logger == "Client/Recv":
            self._frame_in(text)
        elif logger == "Client/Send":
            self._frame_out(text)
        elif logger == "Client":
            if text.startswith(lines.DECRYPTING):
                self.gate.before_decrypt()
            elif (ignored := lines.ignored_message(text)) is not None:
                self.gate.part_handled(ignored)
            elif (unreadable := lines.unreadable_message(text)) is not None:
                self.gate.unreadable(unreadable)
            elif lines.is_passed_over(text):
                self.gate.passed_over()
        elif logger == "Client/Socket" and text.startswith(lines.DIALING):
            self._dials()
        if level in ("WARN", "ERROR"):
            log.debug("The library warns", event_name="engine.library", session=self.session, text=redact_text(text))

    def _frame_in(self, text: str) -> None:
        self._around.sink.frame_seen(self.session)
        stanza = lines.parse(text)
        if stanza is None:
            return
        if stanza.tag == "message" and stanza.envelopes:
            self.gate.received(stanza.id, stanza.envelopes)
        elif stanza.tag == "success":
            self._was_online = True
        elif stanza.tag == "iq" and stanza.offered_codes:
            self._offered = stanza.offered_codes
        elif (proof := signs.taken(stanza)) is not None:
            for whatsapp_id in proof:
                self.sent.seen_taken(whatsapp_id, to_ms(self._around.clock.now()))
        sign = signs.of_stanza(stanza, pairing=not self._was_online)
        if sign is not None:
            self._tell(*sign)

    def _frame_out(self, text: str) -> None:
        if text.startswith("<receipt "):
            stanza = lines.parse(text)
            kind = stanza.attrs.get("type") if stanza is not None else None
            if stanza is not None and kind == "retry":
                self.gate.asked_again(stanza.id)
            elif stanza is not None and kind not in ("read", "played"):
                self.gate.before_receipt(stanza.ids)
        elif text.startswith('<ack class="message"'):
            stanza = lines.parse(text)
            if stanza is not None and "error" not in stanza.attrs:
                self.gate.before_ack(stanza.id)
        elif text.startswith("<message ") and self.sending is not None and not self.sending.whatsapp_id:
            stanza = lines.parse(text)
            if stanza is not None and self.sent.theirs(stanza.id) is None:
                self.sending = SentMessage(self.sending.id, stanza.id, self.sending.chat)
                self.sent.note(self.sending)
                if self._send_turn is not None:
                    self.gate.end_send(self._send_turn)

    @contextmanager
    def sends(self, message: SentMessage) -> Iterator[None]:
        """Inside, this message of ours is sent: no message is decrypted until its frame is seen to leave, or the send ends."""
        self.in_flight.add(message.id)
        turn = self.gate.begin_send()
        self.sending, self._send_turn = message, turn
        try:
            yield
        finally:
            if self._send_turn is turn:
                self.sending = self._send_turn = None
            self.gate.end_send(turn)
            self.in_flight.discard(message.id)

    def _code(self, text: str) -> None:
        if not self._pairing:
            self._tell(SignalKind.LOGGED_OUT, {"code": 401, "onConnect": True})
            return
        lives_ms = FIRST_CODE_MS if not self._codes and self._offered == FULL_ROUND else NEXT_CODE_MS
        self._codes += 1
        self._mapped.set()
        self._pumping.set()
        self.showed_code.set()
        self._tell(SignalKind.QR, {"code": text, "expiresInMs": lives_ms, "round": self._code_round})

    def _login(self, word: str) -> None:
        if word in events.LOGIN_WORDS:
            self._tell(events.LOGIN_WORDS[word], {})

    def _event(self, number: int, event: Any) -> None:
        self.last_event_at = self._around.clock.monotonic()
        if number == library.MESSAGE:
            self._message(event)
        elif number == library.RECEIPT:
            self._receipt(event)
        elif number == library.ME:
            self._lid = jids.to_text(event.LID, with_device=True) or None
            self._pumping.set()
        elif number == library.PAIR_STATUS:
            self._pair_status(event)
        elif number == library.CONNECTED:
            self._is_connected()
        elif number == library.DISCONNECTED:
            self._is_disconnected()
        elif (sign := events.plain(number, event, self._around.clock.now().timestamp())) is not None:
            if sign[0] in events.AFTER_CONNECTED and not self.connected:
                self._held_back.append(sign)
            else:
                self._tell(*sign)
            if sign[0] is SignalKind.OFFLINE_SYNC_COMPLETED:
                self.caught_up.set()
            if sign[0] is SignalKind.UNDECRYPTABLE:
                self.gate.part_handled(event.Info.ID, last=True)

    def _dials(self) -> None:
        self.dials += 1
        self._held_back.clear()
        self.caught_up.clear()
        self.gate.new_connection()
        if self.connected:
            # The event of the loss is still on its way through the pump; told now, the order is right.
            self.connected, self._loss_told = False, True
            self._tell(SignalKind.DISCONNECTED, {})
        self._tell(SignalKind.CONNECTING, {})

    def _is_disconnected(self) -> None:
        self.connected = False
        if self._loss_told:
            self._loss_told = False
        else:
            self._tell(SignalKind.DISCONNECTED, {})

    def _is_connected(self) -> None:
        self.connected = True
        self._was_online = True
        self._tell(SignalKind.CONNECTED, {})
        held, self._held_back = self._held_back, []
        for kind, data in held:
            self._tell(kind, data)

    def _pair_status(self, event: Any) -> None:
        if event.Status != 2:
            self._tell(SignalKind.PAIR_ERROR, {"reason": redact_text(event.Error)[:300]})
            return
        self.paired = True
        jid = jids.to_text(event.ID, with_device=True)
        self._tell(SignalKind.PAIRED, {"jid": jid, "lid": self._lid, "pushName": event.BusinessName or None})
        self._around.linked(self)

    def _message(self, event: Any) -> None:
        message_id = event.Info.ID
        self.gate.reading(message_id)
        try:
            found = inbound.message(self.session, event, own_id=self.sent.own_id, fetch=self._fetch)
            if found is not None:
                self._around.sink.inbound(found)
        except EngineError as error:
            # Not journalled: hold its receipt and leave the connection, so that the server sends it again.
            self.gate.journal_failed()
            if not self._journal_broken:
                self._journal_broken = True
                log.error("A message cannot be journalled", event_name="engine.journal", reason=error.detail)
                threading.Thread(target=self._leave, name="session-leave", daemon=True).start()
            return
        self.gate.part_handled(message_id)

    def _leave(self) -> None:
        self.disconnect()
        self.gate.let_go()
        self._tell(SignalKind.PUMP_DIED, {"reason": "a message could not be journalled"})
        self._around.ended(self)

    def _fetch(self, body: Any, media: Media, message_id: str) -> Media:
        return self._around.fetch(self, body, media, message_id)

    def _receipt(self, event: Any) -> None:
        def chat_of(whatsapp_id: str) -> str | None:
            known = self.sent.theirs(whatsapp_id)
            return known.chat if known else None

        found = inbound.receipt(self.session, event, own_id=self.sent.own_id, chat_of=chat_of)
        if found is not None:
            self._around.sink.receipt(found)

    def _tell(self, kind: SignalKind, data: dict[str, Any]) -> None:
        if self.over:
            return
        self._around.sink.signal(self.session, kind, data)
        if kind in signs.ENDS:
            self._around.ended(self)
