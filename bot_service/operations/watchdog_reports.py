"""The watchdog's last report and whether it is silent: answered from memory, kept in the store."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from bot_service.store import watchdog_reports
from bot_service.store.batch_writer import UNAVAILABLE
from bot_service.store.database import Database
from bot_service.store.watchdog_reports import StoredReport
from shared import logs
from shared.clock import Clock, from_ms, to_ms
from shared.contract.keepalive import DEFAULT_PUSH_INTERVAL_MS, KeepAlive, Push, hours, success_rate

SILENT_AFTER_INTERVALS = 3

_ENCODER = msgspec.json.Encoder()

log = logs.get(__name__)


class WatchdogReports:
    """Shows the newest push of the newest run of the watchdog; once that is silent, of any run."""

    def __init__(self, clock: Clock, database: Database) -> None:
        self._clock, self._database = clock, database
        self._sequences: dict[str, int] = {}
        self._push: Push | None = None
        self._started_ms = 0
        self._received_at: datetime | None = None
        self._started_s = clock.monotonic()
        self._heard_s: float | None = None

    async def load(self) -> None:
        """Continue with what an earlier run of this program received."""
        async with self._database.read() as connection:
            stored = await watchdog_reports.all_boots(connection)
        self._sequences = {push.boot_id: push.sequence for push in stored}
        if stored:
            newest = max(stored, key=lambda push: (push.started_ms, push.received_ms))
            try:
                self._push = msgspec.json.decode(newest.body, type=Push)
            except msgspec.ValidationError as error:
                # Old statistics must not prevent the start: the next push arrives soon.
                log.warning(f"The last push cannot be read: {error}", event_name="push.unreadable")
                return
            self._started_ms, self._received_at = newest.started_ms, from_ms(newest.received_ms)

    async def refresh(self) -> None:
        """See what other replicas received since."""
        async with self._database.read() as connection:
            stored = await watchdog_reports.all_boots(connection)
        for row in stored:
            if self._sequences.get(row.boot_id, -1) >= row.sequence:
                continue
            self._sequences[row.boot_id] = row.sequence
            try:
                push = msgspec.json.decode(row.body, type=Push)
            except msgspec.ValidationError:
                continue  # of a newer version: the replica that received it shows it
            if self._replaces(push, row.started_ms):
                self._show(push, row.started_ms, from_ms(row.received_ms))

    def _show(self, push: Push, started_ms: int, received_at: datetime) -> None:
        self._push, self._started_ms = push, started_ms
        self._received_at, self._heard_s = received_at, self._clock.monotonic()

    async def accept(self, push: Push) -> bool:
        """Store ``push``; False when the same or a newer one of its run is stored already.

        False also when the store takes nothing: the watchdog gets the sessions that need a person all
        the same. For another watchdog, which does not ask for them, the error of the store is raised.
        """
        if self._sequences.get(push.boot_id, -1) >= push.sequence:
            if self._push is not None and push.boot_id == self._push.boot_id:
                self._heard_s = self._clock.monotonic()
            return False
        now = self._clock.now()
        started_ms = to_ms(push.started_at) if push.started_at is not None else max(0, to_ms(now) - push.uptime)
        row = StoredReport(push.boot_id, push.sequence, started_ms, to_ms(now), _ENCODER.encode(push))
        # Set before the write, so that a repeat during the write is refused.
        before, self._sequences[push.boot_id] = self._sequences.get(push.boot_id), push.sequence
        try:
            async with self._database.write() as connection:
                await watchdog_reports.save(connection, row)
        except BaseException as error:
            if before is None:
                del self._sequences[push.boot_id]
            else:
                self._sequences[push.boot_id] = before
            if self._push is not None and push.boot_id == self._push.boot_id:
                self._heard_s = self._clock.monotonic()  # it is not silent: the store is at fault
            if isinstance(error, UNAVAILABLE) and push.attention_known is not None:
                return False
            raise
        if self._replaces(push, started_ms):
            self._show(push, started_ms, now)
        return True

    def _replaces(self, push: Push, started_ms: int) -> bool:
        """Whether ``push`` replaces the one that is shown."""
        shown = self._push
        if shown is None or push.boot_id == shown.boot_id:
            return shown is None or push.sequence > shown.sequence
        # A run that started under a clock that was ahead must not hide its successors.
        return started_ms >= self._started_ms or self.stale()

    @property
    def limit_s(self) -> float:
        """Seconds of silence after which the watchdog counts as silent."""
        interval_ms = self._push.push_interval if self._push is not None else DEFAULT_PUSH_INTERVAL_MS
        return SILENT_AFTER_INTERVALS * interval_ms / 1000

    def age_s(self) -> float | None:
        """Seconds since the last push; None before the first."""
        if self._heard_s is not None:
            return self._clock.monotonic() - self._heard_s
        if self._received_at is not None:
            return max(0.0, (self._clock.now() - self._received_at) / timedelta(seconds=1))
        return None

    def stale(self) -> bool:
        """Whether the last push is too old or missing."""
        age = self.age_s()
        return age is None or age > self.limit_s

    def silent(self) -> bool:
        """Whether to alert: stale, and this program has run for the whole period."""
        return self.stale() and self._clock.monotonic() - self._started_s > self.limit_s

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
            watchdog_page=push.page if push.page.startswith(("http://", "https://")) else "",
        )
