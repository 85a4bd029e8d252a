"""The visible state of the watchdog as one value, for the API, the page and the badge.

Times are milliseconds since the epoch, durations milliseconds. No address, no token, no personal
data.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from watchdog.domain.notices import length
from watchdog.domain.policy import Pause
from watchdog.domain.states import Incident
from watchdog.ledger.history import FlipLine, Latency
from watchdog.ledger.repairs import Repair
from watchdog.ledger.settling import ChannelState
from watchdog.ledger.timeline import NoticeLine, Receipt, Slot, TimelineEvent


class UptimeView(msgspec.Struct, frozen=True, rename="camel"):
    """``ratio`` is up / (up + down), None when both are 0."""

    ratio: float | None
    up_ms: int
    down_ms: int
    unknown_ms: int
    maintenance_ms: int


class DayView(msgspec.Struct, frozen=True, rename="camel"):
    """One day in UTC. ``gap``: nothing is known of it.

    ``filled``: milliseconds that come from the record of another watchdog, by its name.
    """

    day: str
    gap: bool
    uptime: UptimeView
    incidents: int
    filled: dict[str, int] = {}


class LastPingView(msgspec.Struct, frozen=True, rename="camel"):
    at_ms: int
    outcome: str
    reason: str
    latency_ms: float | None


class HeartbeatView(msgspec.Struct, frozen=True, rename="camel"):
    """``age_ms`` since the last beat, None before the first."""

    up: bool
    age_ms: int | None


class LineView(TimelineEvent, frozen=True, rename="camel", omit_defaults=True):
    """An event with an English text."""

    text: str = ""


class IncidentView(msgspec.Struct, frozen=True, rename="camel"):
    """``timeline`` is empty in plain lists."""

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
    timeline: tuple[LineView, ...] = ()


class PauseView(Pause, frozen=True, rename="camel"):
    """``target`` is ``*`` for all. ``open`` is false for a window that is still to come."""

    open: bool = False


class SeenView(msgspec.Struct, frozen=True, rename="camel"):
    """What one watchdog sees. ``age_ms`` since it said so, None when it never did.

    ``counts``: it has a vote now.
    """

    watchdog: str
    view: str
    age_ms: int | None
    counts: bool


class TargetView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``uptime`` by window (24h, 7d, 30d, 90d); ``days`` has 90, oldest first.

    ``sessions_wanted`` should run, ``sessions_ready`` of them are READY. ``curve`` covers the last 24 hours. ``repair_budget`` is None while repairs are off;
    ``repair_refusal`` says why nothing is repaired now.
    """

    name: str
    state: str
    since_ms: int
    reason: str = "not_seen_yet"
    consecutive_failures: int
    sessions_total: int
    sessions_wanted: int
    sessions_ready: int
    sessions_not_ready: int
    sessions_needing_person: int
    heartbeat: HeartbeatView
    last_ping: LastPingView | None
    uptime: dict[str, UptimeView] = {}
    latency: dict[str, Latency] = {}
    days: tuple[DayView, ...] = ()
    curve: tuple[Slot, ...] = ()
    flips: tuple[FlipLine, ...] = ()
    repair_budget: int | None
    repair_refusal: str | None
    seen: tuple[SeenView, ...] = ()


class WatchdogView(msgspec.Struct, frozen=True, rename="camel"):
    """The watchdog itself. ``history_gap_since_ms``: the ledger fails since then, None: it works."""

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
    history_gap_since_ms: int | None
    history_gap_reason: str | None
    outbox_rows: int
    outbox_oldest_ms: int
    remediation: tuple[str, ...]
    dry_run: bool


class StatusView(msgspec.Struct, frozen=True, rename="camel"):
    """``state`` is the most severe one. ``incidents`` are the newest, with timelines."""

    generated_at_ms: int
    state: str
    watchdog: WatchdogView
    targets: tuple[TargetView, ...]
    incidents: tuple[IncidentView, ...]
    pauses: tuple[PauseView, ...]
    channels: tuple[ChannelState, ...]
    repairs: tuple[Repair, ...]
    notices: tuple[NoticeLine, ...] = ()


class NoticeView(msgspec.Struct, frozen=True, rename="camel"):
    """How a notice fares, by channel."""

    id: str
    receipts: tuple[Receipt, ...]


_BY_SEVERITY = ("DOWN", "FLAPPING", "PARTIAL", "BLIND", "DEGRADED", "SUSPECT", "UNKNOWN", "PAUSED", "UP")


def most_severe(states: list[str]) -> str:
    """The most severe state."""
    return min(states, key=_BY_SEVERITY.index, default="UNKNOWN")


def pause_view(pause: Pause, now_ms: int) -> PauseView:
    return PauseView(**msgspec.structs.asdict(pause), open=pause.from_ms <= now_ms)


def incident_view(incident: Incident, now_ms: int, events: Sequence[TimelineEvent] = ()) -> IncidentView:
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
        timeline=tuple(LineView(**msgspec.structs.asdict(event), text=_english(event, incident)) for event in events),
    )


def _english(event: TimelineEvent, incident: Incident) -> str:
    notice, repair = f"{event.notice} by {event.channel}", f"{event.remediator} {event.action}"
    match event.kind:
        case "began" | "ping_failed":
            return event.reason
        case "decided":
            return f"{incident.kind}: {event.reason}"
        case "state":
            return f"{event.old} to {event.new}: {event.reason}"
        case "delivered":
            return f"{notice} delivered"
        case "delivery_failed":
            return f"{notice} failed: {event.reason}"
        case "muted" | "merged" | "expired":
            return f"{notice} {event.kind}: {event.reason}"
        case "repair_started":
            return repair
        case "repair_ended":
            return f"{repair}: {event.result} {event.detail}".rstrip()
        case "acknowledged":
            return f"by {event.author}"
        case "over":
            return f"{event.reason} after {length(event.at_ms - incident.opened_at_ms)}"
    return event.kind.replace("_", " ")
