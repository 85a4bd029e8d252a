"""Reports a message that may not reach the journal: in the log and as a signal."""

from __future__ import annotations

from bot_service.domain.signals import SignalKind
from bot_service.engines.port import EngineSink
from shared import logs

log = logs.get(__name__)
# Reasons, besides the results of the rollback.
STORE, DOUBTFUL, UNREADABLE, NOT_REPEATED = "store", "doubtful", "unreadable", "not_repeated"


KEPT = 1000


class Unread:
    """Ids of messages that could not be read, as long as they were not read after all. Callable from any thread."""

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}

    def add(self, message_id: str) -> None:
        self._ids[message_id] = None
        while len(self._ids) > KEPT:
            self._ids.pop(next(iter(self._ids)), None)

    def take(self, message_id: str) -> bool:
        """Whether this message waits to be read; it does not any more."""
        return self._ids.pop(message_id, ...) is None


def report(sink: EngineSink, session: str, message_id: str, reason: str) -> None:
    """``reason`` is one of the above or a ``ratchet_rollback.RollbackResult``."""
    log.error(
        "A message may be lost", event_name="message.lost", session=session, message_id=message_id, outcome=reason
    )
    sink.signal(session, SignalKind.MESSAGE_LOST, {"messageId": message_id, "reason": reason})
