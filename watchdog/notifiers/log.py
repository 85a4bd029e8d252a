"""The log as a channel; the level depends on the notice."""

from __future__ import annotations

from collections.abc import Callable

from shared import logs
from watchdog.domain.ports import Delivered
from watchdog.domain.states import Notice, NoticeKind

log = logs.get(__name__)

# Ends of trouble, and a test.
_CALM = frozenset(kind for kind in NoticeKind if kind.endswith("_over")) | {
    NoticeKind.UP,
    NoticeKind.TEST,
    NoticeKind.REPAIRS_UNLOCKED,
}
_WARN = frozenset(
    {NoticeKind.RESTARTED, NoticeKind.DEGRADED, NoticeKind.FLAPPING, NoticeKind.WAS_DOWN, NoticeKind.PARTIAL}
)
_GRAVE = frozenset({NoticeKind.ATTENTION})  # the service itself is well


class LogNotifier:
    """Writes each notice as one line."""

    channel = "log"
    label = "log"

    async def send(self, notice: Notice) -> Delivered:
        _writer(notice.kind)(
            notice.text,
            event_name=f"alert.{notice.kind}",
            notice=notice.id,
            target=notice.target,
            incident=notice.incident_id,
        )
        return Delivered(True, "ok")


def _writer(kind: NoticeKind) -> Callable[..., object]:
    if kind in _CALM:
        return log.info
    if kind in _WARN:
        return log.warning
    return log.error if kind in _GRAVE else log.critical
