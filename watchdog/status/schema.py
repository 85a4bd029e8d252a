"""Everything that people may see of the watchdog, as one value: the API, the page and the badge render this and no more.

Times are milliseconds since the epoch, durations milliseconds. No address, no token, no name or number of a person.
"""

from __future__ import annotations

import msgspec

from watchdog.domain.states import Incident
from watchdog.ledger.timeline import Line, NoticeLine, Receipt, Slot


class UptimeView(msgspec.Struct, frozen=True, rename="camel"):
    """``ratio`` is up / (up + down), None when neither was seen; what is unknown or maintenance is kept apart."""

    ratio: float | None
    up_ms: int
    down_ms: int
    unknown_ms: int
    maintenance_ms: int


class DayView(msgspec.Struct, frozen=True, rename="camel"):
    """One day in UTC. ``gap``: nothing is known of it."""

    day: str
    gap: bool
    uptime: UptimeView
    incidents: int


class LatencyView(msgspec.Struct, frozen=True, rename="camel"):
    """Of the answered pings; None when there were none."""

    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    pings: int


class LastPingView(msgspec.Struct, frozen=True, rename="camel"):
    at_ms: int
    outcome: str
    reason: str
    latency_ms: float | None


class HeartbeatView(msgspec.Struct, frozen=True, rename="camel"):
    """``age_ms`` since the last beat, None before the first."""

    up: bool
    age_ms: int | None


class IncidentView(msgspec.Struct, frozen=True, rename="camel"):
    """``timeline`` is empty where only the list is wanted."""

    id: str
    target: str
    kind: str
    reason: str
    opened_at_ms: int
    decided_at_ms: int
    closed_at_ms: int | None
    close_reason: str | None
    lasted_ms: int
    acknowledged_at_ms: int | None
    acknowledged_by: str | None
    reminders: int
    timeline: tuple[Line, ...] = ()


class PauseView(msgspec.Struct, frozen=True, rename="camel"):
    """``target`` is ``*`` for all. ``open`` is false for a window that is still to come."""

    id: str
    target: str
    from_ms: int
    until_ms: int
    author: str
    reason: str
    open: bool


class ChannelView(msgspec.Struct, frozen=True, rename="camel"):
    """``failing_since_ms`` None: it works, or was never used."""

    name: str
    role: str
    failures: int
    failing_since_ms: int | None
    last_ok_at_ms: int | None
    last_reason: str
    waiting: int


class RepairView(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    target: str
    incident_id: str
    remediator: str
    action: str
    at_ms: int
    ended_at_ms: int | None
    result: str
    detail: str


class FlipView(msgspec.Struct, frozen=True, rename="camel"):
    at_ms: int
    since_ms: int
    old: str
    new: str
    reason: str


class TargetView(msgspec.Struct, frozen=True, rename="camel"):
    """``uptime`` by window (24h, 7d, 30d, 90d), ``days`` 90 oldest first, ``curve`` of the last 24 hours.

    ``repair_budget`` None: repairs are off. ``repair_refusal``: why nothing is repaired now.
    """

    name: str
    state: str
    since_ms: int
    reason: str
    consecutive_failures: int
    sessions_wanted: int
    sessions_not_ready: int
    heartbeat: HeartbeatView
    last_ping: LastPingView | None
    uptime: dict[str, UptimeView]
    latency: dict[str, LatencyView]
    days: tuple[DayView, ...]
    curve: tuple[Slot, ...]
    flips: tuple[FlipView, ...]
    repair_budget: int | None
    repair_refusal: str | None


class WatchdogView(msgspec.Struct, frozen=True, rename="camel"):
    """The watchdog itself."""

    version: str
    boot_id: str
    started_at_ms: int
    uptime_ms: int
    enabled: bool
    ping_interval_ms: int
    failure_threshold: int
    cycle: int
    last_cycle_age_ms: int | None
    loop_lag_ms: int
    ledger_ok: bool
    outbox_rows: int
    outbox_oldest_ms: int
    remediation: tuple[str, ...]
    dry_run: bool


class StatusView(msgspec.Struct, frozen=True, rename="camel"):
    """``state`` is the gravest of all targets. ``incidents`` are the newest, with their timelines."""

    generated_at_ms: int
    state: str
    watchdog: WatchdogView
    targets: tuple[TargetView, ...]
    incidents: tuple[IncidentView, ...]
    pauses: tuple[PauseView, ...]
    channels: tuple[ChannelView, ...]
    repairs: tuple[RepairView, ...]
    notices: tuple[NoticeLine, ...] = ()


class NoticeView(msgspec.Struct, frozen=True, rename="camel"):
    """How a notice fares, by channel."""

    id: str
    receipts: tuple[Receipt, ...]


_GRAVITY = ("DOWN", "FLAPPING", "BLIND", "DEGRADED", "SUSPECT", "UNKNOWN", "PAUSED", "UP")


def gravest(states: list[str]) -> str:
    """The state that a person must hear of first."""
    return min(states, key=_GRAVITY.index, default="UNKNOWN")


def incident_view(incident: Incident, now_ms: int, lines: list[Line] | None = None) -> IncidentView:
    until_ms = incident.closed_at_ms if incident.closed_at_ms is not None else now_ms
    return IncidentView(
        id=incident.id,
        target=incident.target,
        kind=incident.kind,
        reason=incident.reason,
        opened_at_ms=incident.opened_at_ms,
        decided_at_ms=incident.decided_at_ms,
        closed_at_ms=incident.closed_at_ms,
        close_reason=incident.close_reason,
        lasted_ms=max(0, until_ms - incident.opened_at_ms),
        acknowledged_at_ms=incident.acknowledged_at_ms,
        acknowledged_by=incident.acknowledged_by,
        reminders=incident.reminders,
        timeline=tuple(lines or ()),
    )
