"""Journals the messages and receipts that the library has read. Others are not acknowledged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bot_service.engines.neonize import group_changes, inbound
from bot_service.engines.neonize.device_store import ClientJournal
from bot_service.engines.neonize.receipt_gate import ReceiptGate
from bot_service.engines.neonize.sent_messages import SentMessages
from bot_service.engines.port import EngineError, EngineSink, Journal
from shared import logs

log = logs.get(__name__)
KEPT_CALLS = 100


class JournalIntake:
    """`broken` is called once, at the first refused message: the connection must end, so that the
    server sends the message again. `journal`: None for that of the worker."""

    def __init__(
        self,
        session: str,
        gate: ReceiptGate,
        sent: SentMessages,
        sink: EngineSink,
        *,
        fetch: inbound.Fetch,
        read_vote: inbound.ReadVote,
        number_of: inbound.NumberOf,
        broken: Callable[[], None],
        journal: ClientJournal | None = None,
    ) -> None:
        self._session, self._gate, self._sent, self._sink = session, gate, sent, sink
        self._fetch, self._read_vote, self._number_of, self._broken = fetch, read_vote, number_of, broken
        self._journal = journal
        self._is_broken = False
        # The addresses of the account.
        self.own: frozenset[str] = frozenset()
        # Who called, as WhatsApp names him, by the id of the call.
        self.callers: dict[str, str] = {}

    def message(self, event: Any) -> None:
        """A decrypted message."""
        message_id = event.Info.ID
        self._gate.reading(message_id)
        try:
            found = inbound.message(
                self._session,
                event,
                own_id=self._sent.own_id,
                fetch=self._fetch,
                read_vote=self._read_vote,
                number_of=self._number_of,
            )
            if found is not None:
                self._sink.inbound(found, self._into(message_id))
        except EngineError as error:
            # Hold its receipt until the connection is closed.
            self._gate.journal_failed()
            if not self._is_broken:
                self._is_broken = True
                log.error("A message cannot be journalled", event_name="engine.journal", reason=error.detail)
                self._broken()
            return
        self._gate.part_handled(message_id)

    def receipt(self, event: Any) -> None:
        """A receipt for sent messages."""
        found = inbound.receipt(self._session, event, own_id=self._sent.own_id, chat_of=self._chat_of)
        if found is not None:
            self._sink.receipt(found, self._into())

    def call(self, event: Any) -> None:
        """A call that is offered; WhatsApp may say so more than once."""
        found, caller = inbound.call(self._session, event)
        if found.id in self.callers:
            return
        self.callers[found.id] = caller
        while len(self.callers) > KEPT_CALLS:
            del self.callers[next(iter(self.callers))]
        self._sink.call(found, self._into())

    def joined_group(self, event: Any, now_ms: int) -> None:
        """The account is in a group from now on."""
        self._sink.group_change(group_changes.joined(self._session, event, now_ms), self._into())

    def group(self, event: Any) -> None:
        """Somebody changed a group of the account."""
        for change in group_changes.changes(self._session, event, self.own, self._number_of):
            self._sink.group_change(change, self._into())

    def _into(self, message_id: str | None = None) -> Journal | None:
        if self._journal is None:
            return None
        is_last = message_id is not None and self._gate.is_last_part(message_id)
        return self._journal.journal(message_id if is_last else None)

    def _chat_of(self, whatsapp_id: str) -> str | None:
        known = self._sent.by_whatsapp_id(whatsapp_id)
        return known.chat if known else None
