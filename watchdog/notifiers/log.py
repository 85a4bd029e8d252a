"""The log as a channel; the level depends on the notice."""

from __future__ import annotations

from shared import logs
from watchdog.domain.ports import Delivered
from watchdog.domain.states import Notice, NoticeKind

log = logs.get(__name__)

_CALM = frozenset(
    {
        NoticeKind.UP,
        NoticeKind.FLAPPING_OVER,
        NoticeKind.DEGRADED_OVER,
        NoticeKind.BLIND_OVER,
        NoticeKind.REFUSED_OVER,
        NoticeKind.ATTENTION_OVER,
        NoticeKind.TEST,
        NoticeKind.LEDGER_OVER,
        NoticeKind.LOOP_OVER,
    }
)
_WARN = frozenset({NoticeKind.RESTARTED, NoticeKind.DEGRADED, NoticeKind.FLAPPING, NoticeKind.WAS_DOWN})


class LogNotifier:
    """Writes each notice as one line."""

    channel = "log"
    label = "log"

    async def send(self, notice: Notice) -> Delivered:
        write = log.info if notice.kind in _CALM else log.warning if notice.kind in _WARN else log.critical
        if notice.kind is NoticeKind.ATTENTION:
            write = log.error
        write(
            notice.text,
            event_name=f"alert.{notice.kind}",
            notice=notice.id,
            target=notice.target,
            incident=notice.incident_id,
        )
        return Delivered(True, "ok")
