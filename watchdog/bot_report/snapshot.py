"""Gathers what one push says, from the counts of this run and the totals of the ledger."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.clock import Clock
from shared.contract.keepalive import Lifetime, OpenIncident, Push, success_rate
from shared.loop_guard import LoopGuard
from watchdog.boot import Boot
from watchdog.domain.states import Incident
from watchdog.domain.target import OpenRef
from watchdog.domain.uptime import Uptime
from watchdog.flow.counts import Counts
from watchdog.flow.cycle import Cycle
from watchdog.flow.dispatcher import Dispatcher
from watchdog.flow.pipeline import Pipeline
from watchdog.ledger import history, runs
from watchdog.ledger import incidents as rows
from watchdog.ledger.sqlite import Ledger
from watchdog.settings import WatchdogSettings


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the ledger said, with the counts of this run at that moment; good while nothing but pings happens."""

    incidents: tuple[OpenRef, ...]
    until: float
    pings: int
    failed: int
    total: runs.Totals
    incident: Incident | None
    uptimes: dict[str, Uptime]


def builder(
    *,
    target: str,
    health_url: str,
    settings: WatchdogSettings,
    boot: Boot,
    clock: Clock,
    counts: Counts,
    cycle: Cycle,
    pipeline: Pipeline,
    dispatcher: Dispatcher,
    ledger: Ledger,
    guard: LoopGuard,
) -> Callable[[int], Awaitable[Push]]:
    """A function of the push's sequence number."""

    kept: _Reading | None = None

    async def build(sequence: int) -> Push:
        nonlocal kept
        now, state = clock.now(), pipeline.state(target)
        # Ninety days of history are not read after every ping: only when an incident began or ended, or time has passed.
        if kept is None or kept.incidents != state.incidents or clock.monotonic() >= kept.until:
            now_ms = int(now.timestamp() * 1000)
            pings, failed = counts.pings, counts.failed
            total, incident, uptimes = await ledger.read(lambda c: _read(c, target, now_ms))
            until = clock.monotonic() + settings.push_interval_ms / 1000
            kept = _Reading(state.incidents, until, pings, failed, total, incident, uptimes)
        total, incident, uptimes = kept.total, kept.incident, kept.uptimes
        pings = total.pings + counts.pings - kept.pings
        failed = total.failed_pings + counts.failed - kept.failed
        uptime_ms = boot.age_ms(clock)
        return Push(
            boot_id=boot.boot_id,
            sequence=sequence,
            sent_at=now,
            started_at=boot.started_at,
            push_interval=settings.push_interval_ms,
            is_running=settings.enabled,
            uptime=uptime_ms,
            ping_count=counts.pings,
            failed_pings=counts.failed,
            consecutive_failures=counts.consecutive_failures,
            health_url=health_url,
            ping_interval=settings.interval_ms,
            state=state.state,
            last_ping=counts.last,
            open_incident=_open(incident),
            lifetime=Lifetime(
                uptime=max(total.uptime_ms, uptime_ms),
                ping_count=pings,
                failed_pings=failed,
                success_rate=success_rate(pings, failed),
                since=datetime.fromtimestamp(total.first_started_at_ms / 1000, UTC),
            ),
            cycle=cycle.number,
            outbox_depth=dispatcher.depth.rows,
            outbox_oldest_ms=dispatcher.depth.oldest_ms,
            loop_lag_ms=int(guard.lag_s * 1000),
            recent=list(counts.recent),
            uptime_ratio={name: uptime.ratio for name, uptime in uptimes.items()},
        )

    return build


def _read(
    connection: sqlite3.Connection, target: str, now_ms: int
) -> tuple[runs.Totals, Incident | None, dict[str, Uptime]]:
    open_now = rows.open_incidents(connection, target)
    return (
        runs.totals(connection, target),
        open_now[0] if open_now else None,
        history.uptimes(connection, target, now_ms),
    )


def _open(incident: Incident | None) -> OpenIncident | None:
    if incident is None:
        return None
    since = datetime.fromtimestamp(incident.opened_at_ms / 1000, UTC)
    return OpenIncident(id=incident.id, state=incident.kind, since=since, reason=incident.reason)
