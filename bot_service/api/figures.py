"""``GET /api/metrics``: the figures of the bot service as JSON for people; and the gauges that are set at a scrape."""

from __future__ import annotations

import os
import resource
from collections import deque
from pathlib import Path

from aiohttp import web

from bot_service import keys
from bot_service.domain.states import State
from shared.web.body import json_response

_RATE_WINDOW_S = 60.0


async def read(request: web.Request) -> web.Response:
    """From memory only. Durations in milliseconds, memory in bytes, rates a minute."""
    app = request.app
    boot, registry, metrics = app[keys.BOOT], app[keys.REGISTRY], app[keys.FIGURES]
    built, clock = app[keys.DELIVERY], app[keys.CLOCK]
    queues = built.queues.figures
    received, sent = metrics.received_total, metrics.sent_total
    rate = app[keys.RATES]
    rate.note(clock.monotonic(), received, sent)
    per_minute = rate.per_minute(clock.monotonic(), received, sent)
    return json_response(
        {
            "version": boot.version,
            "bootId": boot.boot_id,
            "uptime": boot.age_ms(clock),
            "memory": {"rssBytes": resident_bytes(), "peakRssBytes": _peak_bytes()},
            "loopLagMs": int(app[keys.GUARD].lag_s * 1000),
            "sessions": {
                "total": len(registry),
                "wanted": registry.wanted,
                "ready": registry.ready,
                "needPerson": registry.waiting_for_people,
                "byState": {state.value: count for state, count in registry.by_state.items() if count},
            },
            "messages": {
                "received": received,
                "duplicates": metrics.duplicates_total,
                "sent": sent,
                "failed": metrics.failed_total,
                "receivedPerMinute": per_minute[0],
                "sentPerMinute": per_minute[1],
                "waitingToBeStoredBytes": built.journal.behind_bytes(),
                "oldestToSendMs": int(queues.send_oldest_s * 1000),
            },
            "webhooks": {
                "count": len(built.directory.all()),
                "receiversDown": len(built.dispatcher.paused()),
                "deadLetters": queues.dead_letters,
                "oldestWaitingMs": int(queues.webhook_oldest_s * 1000),
            },
            "alerts": sorted(built.alerts.raised),
        }
    )


class Rates:
    """Totals seen lately, so that a rate can be told without a thread that counts."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int, int]] = deque(maxlen=600)

    def note(self, now_s: float, received: int, sent: int) -> None:
        """Remember the totals of this moment; at most one a second."""
        if not self._seen or now_s - self._seen[-1][0] >= 1.0:
            self._seen.append((now_s, received, sent))
        while len(self._seen) > 1 and now_s - self._seen[1][0] >= _RATE_WINDOW_S:
            self._seen.popleft()

    def per_minute(self, now_s: float, received: int, sent: int) -> tuple[float, float]:
        """Since the oldest totals of the last minute; zeros before there are any."""
        if not self._seen or now_s - self._seen[0][0] < 0.5:
            return 0.0, 0.0
        at_s, received_then, sent_then = self._seen[0]
        scale = 60.0 / (now_s - at_s)
        return round((received - received_then) * scale, 1), round((sent - sent_then) * scale, 1)


def resident_bytes() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return _peak_bytes()


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def refresh(app: web.Application) -> None:
    """Set the gauges that are looked at only when somebody scrapes."""
    metrics, registry, built = app[keys.FIGURES], app[keys.REGISTRY], app[keys.DELIVERY]
    counts = registry.by_state
    for state in State:
        metrics.sessions.labels(state.value).set(counts.get(state, 0))
    metrics.sessions_wanted.set(registry.wanted)
    metrics.sessions_ready.set(registry.ready)
    metrics.silence_suspected.set(registry.suspected)
    queues = built.queues.figures
    metrics.webhook_oldest.set(queues.webhook_oldest_s)
    metrics.outbox_oldest.set(queues.send_oldest_s)
    metrics.dead_letters.set(queues.dead_letters)
    metrics.journal_behind.set(built.journal.behind_bytes())
    if built.journal.behind_bytes() == 0:
        # Nothing waits: an old figure would look like a lag.
        metrics.journal_lag.set(0.0)
    metrics.loop_lag.set(app[keys.GUARD].lag_s)
    age_s = built.pushes.age_s()
    metrics.push_age.set(-1.0 if age_s is None else age_s)
    metrics.watchdog_silent.set(built.pushes.silent())
