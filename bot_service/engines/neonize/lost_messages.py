"""A message that will not reach the journal, or perhaps not: named in the log, told, and counted by who hears it."""

from __future__ import annotations

from dataclasses import dataclass

from bot_service.domain.signals import SignalKind
from bot_service.engines.port import EngineSink
from shared import logs

log = logs.get(__name__)
# Why, besides the outcomes of the undo.
STORE, DOUBTFUL, UNREADABLE = "store", "doubtful", "unreadable"


@dataclass(frozen=True, slots=True)
class LostMessage:
    """``reason`` is one of the words above or of :class:`~bot_service.engines.neonize.ratchet_rollback.Undone`."""

    message_id: str
    reason: str


def tell(sink: EngineSink, session: str, lost: LostMessage) -> None:
    """Say it in the log and to the service."""
    log.error(
        "A message may be lost",
        event_name="message.lost",
        session=session,
        message_id=lost.message_id,
        outcome=lost.reason,
    )
    sink.signal(session, SignalKind.MESSAGE_LOST, {"messageId": lost.message_id, "reason": lost.reason})
