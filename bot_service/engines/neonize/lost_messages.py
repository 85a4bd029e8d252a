"""Reports a message that may not reach the journal: in the log and as a signal."""

from __future__ import annotations

from dataclasses import dataclass

from bot_service.domain.signals import SignalKind
from bot_service.engines.port import EngineSink
from shared import logs

log = logs.get(__name__)
# Reasons, besides the results of the rollback.
STORE, DOUBTFUL, UNREADABLE = "store", "doubtful", "unreadable"


@dataclass(frozen=True, slots=True)
class LostMessage:
    """``reason`` is one of the above or a ``ratchet_rollback.RollbackResult``."""

    message_id: str
    reason: str


def report(sink: EngineSink, session: str, lost: LostMessage) -> None:
    log.error(
        "A message may be lost",
        event_name="message.lost",
        session=session,
        message_id=lost.message_id,
        outcome=lost.reason,
    )
    sink.signal(session, SignalKind.MESSAGE_LOST, {"messageId": lost.message_id, "reason": lost.reason})
