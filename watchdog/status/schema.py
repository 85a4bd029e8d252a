"""The visible state of the watchdog as one value, for the API, the page and the badge.

Times are milliseconds since the epoch, durations milliseconds. No address, no token, no personal
data.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from watchdog.domain.announcements import Announcement
from watchdog.domain.notices import length
from watchdog.domain.policy import Pause
from watchdog.domain.states import Incident, IncidentKind
from watchdog.ledger.history import FlipLine, Latency
from watchdog.ledger.repairs import Repair
from watchdog.ledger.settling import ChannelState
from watchdog.ledger.timeline import NoticeLine, Receipt, Slot, TimelineEvent


class UptimeView(msgspec.Struct, frozen=True, rename="camel"):
    """``ratio`` is up / (up + down), None when both are 0. ``degraded_ms`` is the part of ``up_ms`` in which the service
    answered and was DEGRADED.

    It covers the time since ``since_ms``: a window is longer than what the watchdog has recorded when
    it was started less than that ago. None without any record.
    """

    ratio: float | None
    up_ms: int
    down_ms: int
    unknown_ms: int
    maintenance_ms: int
    since_ms: int | None = None
    degraded_ms: int = 0


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


class AnnouncementView(Announcement, frozen=True, rename="camel"):
    """One that is shown now."""


class SeenView(msgspec.Struct, frozen=True, rename="camel"):
    """What one watchdog sees. ``age_ms`` since it said so, None when it never did.

    ``counts``: it has a vote now.
    """

    watchdog: str
    view: str
    age_ms: int | None
    counts: bool


class ComponentView(msgspec.Struct, frozen=True, rename="camel"):
    """A group of sessions of STATUS_COMPONENTS. ``state`` is up, partly, down, maintenance, idle or unknown."""

    name: str
    state: str
    sessions_wanted: int
    sessions_ready: int


class TargetView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``uptime`` by window (24h, 7d, 30d, 90d); ``days`` has 90, oldest first.

    ``sessions_wanted`` should run, ``sessions_ready`` of them are READY. ``curve`` covers the last 24 hours. ``repair_budget`` is None while repairs are off;
    ``repair_refusal`` says why nothing is repaired since
    ``repair_refused_at_ms``.
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
    repair_refused_at_ms: int | None = None
    seen: tuple[SeenView, ...] = ()
    components: tuple[ComponentView, ...] = ()


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
    announcements: tuple[AnnouncementView, ...] = ()


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


def announcement_view(announcement: Announcement) -> AnnouncementView:
    return AnnouncementView(**msgspec.structs.asdict(announcement))


# What is wrong with the service. The other kinds are about the watchdogs themselves.
PUBLIC_INCIDENTS = frozenset({IncidentKind.DOWN, IncidentKind.FLAPPING, IncidentKind.DEGRADED, IncidentKind.UNANSWERED})
# What happened to the service; the other lines say how operators were alerted and what they did.
_FOR_ALL = frozenset(
    {
        *("began", "decided", "ping_failed", "state", "over", "acknowledged"),
        *("restarted", "planned_stop", "stop_announced", "watchdog_gap", "ledger_gap"),
    }
)


def for_everybody(view: StatusView) -> StatusView:
    """Without what only operators may see: channels, notices, repairs, and names of people."""
    return msgspec.structs.replace(
        view,
        watchdog=msgspec.structs.replace(view.watchdog, history_gap_reason=None, remediation=(), dry_run=False),
        targets=tuple(
            msgspec.structs.replace(each, repair_budget=None, repair_refusal=None, repair_refused_at_ms=None)
            for each in view.targets
        ),
        incidents=tuple(incident_for_everybody(each) for each in view.incidents),
        pauses=tuple(pause_for_everybody(each) for each in view.pauses),
        announcements=tuple(msgspec.structs.replace(each, author="") for each in view.announcements),
        channels=(),
        repairs=(),
        notices=(),
    )


def incident_for_everybody(incident: IncidentView) -> IncidentView:
    lines = (
        msgspec.structs.replace(line, author="", text="") if line.kind == "acknowledged" else line
        for line in incident.timeline
        if line.kind in _FOR_ALL
    )
    return msgspec.structs.replace(incident, acknowledged_by=None, timeline=tuple(lines))


def pause_for_everybody(pause: PauseView) -> PauseView:
    return msgspec.structs.replace(pause, author="", reason="")


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
