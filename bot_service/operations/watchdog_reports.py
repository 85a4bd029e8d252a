"""What the watchdog pushed last, and whether it has gone silent: answered from memory, kept in the store."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from bot_service.store import watchdog_reports
from bot_service.store.database import Database
from bot_service.store.watchdog_reports import StoredReport
from shared import logs
from shared.clock import Clock, from_ms, to_ms
from shared.contract.keepalive import DEFAULT_PUSH_INTERVAL_MS, KeepAlive, Push, hours, success_rate

SILENT_AFTER_INTERVALS = 3

_ENCODER = msgspec.json.Encoder()

log = logs.get(__name__)


class WatchdogReports:
    """The newest push of the newest boot of the watchdog counts; once that boot is silent, of any that still pushes."""

    def __init__(self, clock: Clock, database: Database) -> None:
        self._clock, self._database = clock, database
        self._sequences: dict[str, int] = {}
        self._push: Push | None = None
        self._started_ms = 0
        self._received_at: datetime | None = None
        self._started = clock.monotonic()
        self._heard: float | None = None

    async def load(self) -> None:
        """Take up what an earlier run of this program heard."""
        async with self._database.read() as connection:
            stored = await watchdog_reports.all_boots(connection)
        self._sequences = {push.boot_id: push.sequence for push in stored}
        if stored:
            newest = max(stored, key=lambda push: (push.started_ms, push.received_ms))
            try:
                self._push = msgspec.json.decode(newest.body, type=Push)
            except msgspec.ValidationError as error:
                # Statistics of the past are no reason not to serve: the next push is at most an interval away.
                log.warning(f"The last push cannot be read: {error}", event_name="push.unreadable")
                return
            self._started_ms, self._received_at = newest.started_ms, from_ms(newest.received_ms)

    async def accept(self, push: Push) -> bool:
        """Store ``push``; False when a newer one, or the same, of that boot was stored before."""
        if self._sequences.get(push.boot_id, -1) >= push.sequence:
            if self._push is not None and push.boot_id == self._push.boot_id:
                self._heard = self._clock.monotonic()
            return False
        now = self._clock.now()
        started_ms = to_ms(push.started_at) if push.started_at is not None else max(0, to_ms(now) - push.uptime)
        row = StoredReport(push.boot_id, push.sequence, started_ms, to_ms(now), _ENCODER.encode(push))
        # Taken before the write is awaited: a repeat that comes meanwhile must find it.
        before, self._sequences[push.boot_id] = self._sequences.get(push.boot_id), push.sequence
        try:
            async with self._database.write() as connection:
                await watchdog_reports.save(connection, row)
        except BaseException:
            if before is None:
                del self._sequences[push.boot_id]
            else:
                self._sequences[push.boot_id] = before
            raise
        if self._counts(push, started_ms):
            self._push, self._started_ms = push, started_ms
            self._received_at, self._heard = now, self._clock.monotonic()
        return True

    def _counts(self, push: Push, started_ms: int) -> bool:
        """Whether ``push`` is what the world reads from now on."""
        shown = self._push
        if shown is None or push.boot_id == shown.boot_id:
            return shown is None or push.sequence > shown.sequence
        # A boot that began under a clock that went ahead must not hide its successors for ever.
        return started_ms >= self._started_ms or self.stale()

    @property
    def limit_s(self) -> float:
        """Seconds of silence after which the watchdog counts as silent."""
        interval_ms = self._push.push_interval if self._push is not None else DEFAULT_PUSH_INTERVAL_MS
        return SILENT_AFTER_INTERVALS * interval_ms / 1000

    def age_s(self) -> float | None:
        """Seconds since the last push; None when there never was one."""
        if self._heard is not None:
            return self._clock.monotonic() - self._heard
        if self._received_at is not None:
            return max(0.0, (self._clock.now() - self._received_at) / timedelta(seconds=1))
        return None

    def stale(self) -> bool:
        """Whether the last push is too old, or there never was one."""
        age = self.age_s()
        return age is None or age > self.limit_s

    def silent(self) -> bool:
        """Whether to raise "watchdog silent": stale, and this program has itself been up for the whole period."""
        return self.stale() and self._clock.monotonic() - self._started > self.limit_s

    def view(self) -> KeepAlive:
        """The answer of ``GET /api/keepalive``."""
        push, stale = self._push, self.stale()
        if push is None:
            return KeepAlive(False, 0, "0.0", 0, 0, "0.0", "", 0, 0, None, None, True, "UNKNOWN", None)
        return KeepAlive(
            is_running=push.is_running and not stale,
            uptime=push.uptime,
            uptime_hours=hours(push.uptime),
            ping_count=push.ping_count,
            failed_pings=push.failed_pings,
            success_rate=success_rate(push.ping_count, push.failed_pings),
            health_url=push.health_url,
            ping_interval=push.ping_interval,
            consecutive_failures=push.consecutive_failures,
            last_ping=push.last_ping,
            last_push_at=self._received_at,
            stale=stale,
            state=push.state,
            open_incident=push.open_incident,
            lifetime=push.lifetime,
            recent=push.recent,
            uptime_ratio=push.uptime_ratio,
        )
