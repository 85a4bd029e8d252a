"""``/api/keepalive`` version 1: the watchdog's report (POST) and the public statistics (GET).

The first eight keys of GET, their order and their types are those of the seed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from shared.contract.attention import Attention

SCHEMA_VERSION = 1
PATH = "/api/keepalive"
DEFAULT_PUSH_INTERVAL_MS = 30_000

# Exact in JSON and in every store.
Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Interval = Annotated[int, Meta(ge=1, le=30 * 86_400_000)]
Moment = Annotated[datetime, Meta(tz=True)]
ShortText = Annotated[str, Meta(max_length=200)]


class LastPing(msgspec.Struct, frozen=True, rename="camel"):
    """The newest decided ping. ``latency_ms`` is None without an answer; ``reason`` is a code."""

    at: Moment
    outcome: ShortText
    latency_ms: float | None = None
    reason: ShortText | None = None
    attempts: Count = 1


class OpenIncident(msgspec.Struct, frozen=True, rename="camel"):
    """The incident that is open now."""

    id: ShortText
    state: ShortText
    since: Moment
    reason: ShortText


class Lifetime(msgspec.Struct, frozen=True, rename="camel"):
    """Totals over all runs of the watchdog. ``uptime`` is its running time in ms."""

    uptime: Count
    ping_count: Count
    failed_pings: Count
    success_rate: ShortText
    since: Moment | None = None


class Push(msgspec.Struct, frozen=True, rename="camel"):
    """The watchdog's report, after pings and at least every ``push_interval`` ms.

    Idempotent by (``boot_id``, ``sequence``), which are the watchdog's own, as is ``uptime`` (ms).
    Only identity and the seed's keys are required, so that another watchdog can push too.
    ``attention_known`` is the newest state that it received of the sessions that need a person (None: it asks for none),
    ``attention_taken`` the newest with all of its notices stored.
    """

    boot_id: Annotated[str, Meta(min_length=1, max_length=64)]
    sequence: Count
    is_running: bool
    uptime: Count
    ping_count: Count
    failed_pings: Count
    health_url: Annotated[str, Meta(max_length=2000)]
    ping_interval: Count
    consecutive_failures: Count = 0
    state: ShortText = "UNKNOWN"
    sent_at: Moment | None = None
    started_at: Moment | None = None
    push_interval: Interval = DEFAULT_PUSH_INTERVAL_MS
    last_ping: LastPing | None = None
    open_incident: OpenIncident | None = None
    lifetime: Lifetime | None = None
    cycle: Count = 0
    outbox_depth: Count = 0
    outbox_oldest_ms: Count = 0
    loop_lag_ms: Count = 0
    recent: Annotated[list[Count | None], Meta(max_length=1000)] = []
    uptime_ratio: Annotated[dict[ShortText, float | None], Meta(max_length=20)] = {}
    # Alert channels beside the log: with any, the watchdog sends the notices about sessions that need a person.
    channels: Count = 0
    attention_known: ShortText | None = None
    attention_taken: ShortText = ""
    # Address of the watchdog's pages, for the dashboard's link.
    page: Annotated[str, Meta(max_length=2000)] = ""
    schema_version: int = SCHEMA_VERSION


class PushAccepted(msgspec.Struct, frozen=True, rename="camel"):
    """``accepted`` is false when this report or a newer one of the same boot was stored before, or when
    the store takes nothing.

    ``attention``: the sessions that need a person, unless the report says that they are known.
    """

    accepted: bool
    sequence: int
    attention: Attention | msgspec.UnsetType = msgspec.UNSET


class KeepAlive(msgspec.Struct, frozen=True, rename="camel"):
    """The answer of GET. Durations in ms; ``uptime_hours`` and ``success_rate`` are text."""

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
    watchdog_page: str = ""
    schema_version: int = SCHEMA_VERSION


def hours(milliseconds: int) -> str:
    """``3600000`` as ``"1.0"``."""
    return f"{milliseconds / 3_600_000:.1f}"


def success_rate(ping_count: int, failed_pings: int) -> str:
    """Per cent with one decimal; ``"0.0"`` when nothing was pinged."""
    return f"{100 * (ping_count - failed_pings) / ping_count:.1f}" if ping_count else "0.0"
