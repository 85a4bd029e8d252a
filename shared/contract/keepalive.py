"""``/api/keepalive``: the watchdog's push (POST) and what the world reads (GET), version 1.

The first eight keys of the answer, their order and their types are the original's, word for word.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

SCHEMA_VERSION = 1
PATH = "/api/keepalive"


class LastPing(msgspec.Struct, frozen=True, rename="camel"):
    """The newest decided ping. ``latency_ms`` is None when nothing answered; ``reason`` a short code, never a text."""

    at: datetime
    outcome: str
    latency_ms: float | None = None
    reason: str | None = None
    attempts: int = 1


class OpenIncident(msgspec.Struct, frozen=True, rename="camel"):
    """The incident that is open now."""

    id: str
    state: str
    since: datetime
    reason: str


class Lifetime(msgspec.Struct, frozen=True, rename="camel"):
    """Totals over all restarts of the watchdog. ``uptime`` is the watchdog's running time in milliseconds."""

    uptime: int
    ping_count: int
    failed_pings: int
    success_rate: str
    since: datetime | None = None


class Push(msgspec.Struct, frozen=True, rename="camel"):
    """What the watchdog sends after each ping and at least every ``push_interval`` milliseconds.

    Idempotent by (``boot_id``, ``sequence``); ``boot_id`` and ``uptime`` (ms) are the watchdog's own.
    """

    boot_id: str
    sequence: int
    sent_at: datetime
    started_at: datetime
    push_interval: int
    is_running: bool
    uptime: int
    ping_count: int
    failed_pings: int
    consecutive_failures: int
    health_url: str
    ping_interval: int
    state: str
    last_ping: LastPing | None = None
    open_incident: OpenIncident | None = None
    lifetime: Lifetime | None = None
    cycle: int = 0
    outbox_depth: int = 0
    outbox_oldest_ms: int = 0
    loop_lag_ms: int = 0
    recent: list[int | None] = []
    uptime_ratio: dict[str, float | None] = {}
    schema_version: int = SCHEMA_VERSION


class PushAccepted(msgspec.Struct, frozen=True, rename="camel"):
    """``accepted`` is false when a newer push of the same boot was stored already."""

    accepted: bool
    sequence: int


class KeepAlive(msgspec.Struct, frozen=True, rename="camel"):
    """The answer of GET. Durations in ms; ``uptime_hours`` and ``success_rate`` are strings with one decimal."""

    is_running: bool
    uptime: int
    uptime_hours: str
    ping_count: int
    failed_pings: int
    success_rate: str
    health_url: str
    ping_interval: int
    consecutive_failures: int
    last_ping: LastPing | None
    last_push_at: datetime | None
    stale: bool
    state: str
    open_incident: OpenIncident | None
    lifetime: Lifetime | None = None
    recent: list[int | None] = []
    uptime_ratio: dict[str, float | None] = {}
    schema_version: int = SCHEMA_VERSION


def hours(milliseconds: int) -> str:
    """``3600000`` as ``"1.0"``."""
    return f"{milliseconds / 3_600_000:.1f}"


def success_rate(ping_count: int, failed_pings: int) -> str:
    """Per cent with one decimal; ``"0.0"`` when nothing was pinged."""
    return f"{100 * (ping_count - failed_pings) / ping_count:.1f}" if ping_count else "0.0"
