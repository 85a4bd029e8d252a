"""Builds the report to the bot from the counts of this run and the totals of the ledger."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from shared.clock import from_ms, to_ms
from shared.contract.keepalive import Lifetime, OpenIncident, Push, success_rate
from watchdog.base import Base
from watchdog.domain.states import Incident
from watchdog.domain.target import OpenRef
from watchdog.domain.uptime import Uptime
from watchdog.flow.attention import SessionAttention
from watchdog.flow.counts import Counts
from watchdog.flow.cycle import Cycle
from watchdog.flow.dispatcher import Dispatcher
from watchdog.flow.pipeline import Pipeline
from watchdog.ledger import history, incidents, runs


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the ledger held at one moment."""

    open: tuple[OpenRef, ...]
    until_s: float
    total: runs.Totals
    incident: Incident | None
    uptimes: dict[str, Uptime]


@dataclass
class ReportBuilder:
    """``build(sequence)`` for the reports about ``target``."""

    target: str
    health_url: str
    base: Base
    counts: Counts
    cycle: Cycle
    pipeline: Pipeline
    dispatcher: Dispatcher
    attention: SessionAttention
    _reading: _Reading | None = None

    async def build(self, sequence: int) -> Push:
        now, state, counts = self.base.clock.now(), self.pipeline.state(self.target), self.counts
        reading = self._reading
        # Ninety days of history are not read after every ping: only when an incident began or
        # ended, or a push interval has passed.
        if reading is None or reading.open != state.incidents or self.base.clock.monotonic() >= reading.until_s:
            reading = self._reading = await self._read(state.incidents, to_ms(now))
        total = reading.total
        pings = counts.earlier.pings + counts.pings
        failed = counts.earlier.failed_pings + counts.failed
        uptime_ms = self.base.boot.age_ms(self.base.clock)
        return Push(
            boot_id=self.base.boot.boot_id,
            sequence=sequence,
            sent_at=now,
            started_at=self.base.boot.started_at,
            push_interval=self.base.settings.push_interval_ms,
            is_running=self.base.settings.enabled,
            uptime=uptime_ms,
            ping_count=counts.pings,
            failed_pings=counts.failed,
            consecutive_failures=counts.consecutive_failures,
            health_url=self.health_url,
            ping_interval=self.base.settings.interval_ms,
            state=state.state,
            last_ping=counts.last,
            open_incident=_open(reading.incident),
            lifetime=Lifetime(
                uptime=max(total.uptime_ms, uptime_ms),
                ping_count=pings,
                failed_pings=failed,
                success_rate=success_rate(pings, failed),
                since=from_ms(total.first_started_at_ms),
            ),
            cycle=self.cycle.number,
            outbox_depth=self.dispatcher.depth.rows,
            outbox_oldest_ms=self.dispatcher.depth.oldest_ms,
            loop_lag_ms=int(self.base.guard.lag_s * 1000),
            recent=list(counts.recent),
            uptime_ratio={name: uptime.ratio for name, uptime in reading.uptimes.items()},
            channels=self.attention.channels,
            attention_known=self.attention.known,
            attention_taken=self.attention.taken,
            page=_page(self.base),
        )

    async def _read(self, open_now: tuple[OpenRef, ...], now_ms: int) -> _Reading:
        def read(connection: sqlite3.Connection) -> tuple[runs.Totals, Incident | None, dict[str, Uptime]]:
            return (
                runs.totals(connection, self.target),
                next(iter(incidents.open_incidents(connection, self.target)), None),
                history.uptimes(connection, self.target, now_ms),
            )

        found = await self.base.ledger.read(read)
        until_s = self.base.clock.monotonic() + self.base.settings.push_interval_ms / 1000
        return _Reading(open_now, until_s, *found)


def _page(base: Base) -> str:
    """Where people reach this watchdog's pages; on its own machine when nothing says so."""
    if base.settings.status_page_url:
        return base.settings.status_page_url
    return f"http://localhost:{base.own_port}" if base.own_port else ""


def _open(incident: Incident | None) -> OpenIncident | None:
    if incident is None:
        return None
    since = from_ms(incident.opened_at_ms)
    return OpenIncident(id=incident.id, state=incident.kind, since=since, reason=incident.reason)
