"""``GET /api/heartbeat``: server-sent events ``beat`` and ``stopping``, version 1."""

from __future__ import annotations

import msgspec

SCHEMA_VERSION = 1
PATH = "/api/heartbeat"
BEAT = "beat"
STOPPING = "stopping"


class SessionShares(msgspec.Struct, frozen=True, rename="camel"):
    """Counts of sessions. ``wanted`` are those that should run; ``ready`` those of them that are READY.

    ``needs_person`` are wanted sessions in a state that only a person can end (logged out, banned, pairing):
    the watchdog never repairs for them.
    """

    total: int
    wanted: int
    ready: int
    needs_person: int
    by_state: dict[str, int]


class Beat(msgspec.Struct, frozen=True, rename="camel"):
    """One beat. ``interval_ms`` until the next; ``monotonic_ms`` the age of this boot; ``loop_lag_ms`` the worst lag
    of the event loop since the last beat. ``starting`` is true until every wanted session had its first try."""

    boot_id: str
    sequence: int
    interval_ms: int
    monotonic_ms: int
    loop_lag_ms: int
    sessions: SessionShares
    draining: bool = False
    starting: bool = False
    upstream_outage: bool = False
    schema_version: int = SCHEMA_VERSION


class Stopping(msgspec.Struct, frozen=True, rename="camel"):
    """A planned stop: no alert until ``deadline_ms`` milliseconds from the receipt of this event have passed."""

    boot_id: str
    deadline_ms: int
    reason: str = "shutdown"
    schema_version: int = SCHEMA_VERSION
