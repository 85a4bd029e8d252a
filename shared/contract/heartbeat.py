"""``GET /api/heartbeat``: server-sent events ``beat`` and ``stopping``, version 1."""

from __future__ import annotations

import msgspec

SCHEMA_VERSION = 1
PATH = "/api/heartbeat"
BEAT = "beat"
STOPPING = "stopping"
# No announcement excuses a bot for longer: it could be dead.
LONGEST_STOP_MS = 300_000


class SessionShares(msgspec.Struct, frozen=True, rename="camel"):
    """Counts of sessions: ``wanted`` should run, ``ready`` of them are READY.

    ``needs_person``: wanted sessions in a state that only a person can end (logged out, banned,
    pairing). The watchdog never repairs for them.
    """

    total: int
    wanted: int
    ready: int
    needs_person: int
    by_state: dict[str, int]


class ComponentShares(msgspec.Struct, frozen=True, rename="camel"):
    """A group of sessions that the status page shows as one part: ``wanted`` should run, ``ready`` of them are READY."""

    name: str
    wanted: int
    ready: int


class Beat(msgspec.Struct, frozen=True, rename="camel"):
    """One beat; the next follows after ``interval_ms``.

    ``monotonic_ms`` is the age of this boot, ``loop_lag_ms`` the worst lag of the event loop since
    the last beat. ``starting``: some wanted session has not had its first try. ``attention`` changes
    with the sessions that need a person; the answer to the next report holds them.
    ``orderly_stops``: boot ids of earlier runs, newest first, up to the first one that was not
    stopped in order. ``components``: the groups of STATUS_COMPONENTS.
    """

    boot_id: str
    sequence: int
    interval_ms: int
    monotonic_ms: int
    loop_lag_ms: int
    sessions: SessionShares
    draining: bool = False
    starting: bool = False
    upstream_outage: bool = False
    attention: str = ""
    orderly_stops: tuple[str, ...] = ()
    components: tuple[ComponentShares, ...] = ()
    schema_version: int = SCHEMA_VERSION


class Stopping(msgspec.Struct, frozen=True, rename="camel"):
    """A planned stop: no alert within ``deadline_ms`` from the receipt of this event.

    Only the first announcement of a boot counts, for :data:`LONGEST_STOP_MS` at most.
    """

    boot_id: str
    deadline_ms: int
    reason: str = "shutdown"
    schema_version: int = SCHEMA_VERSION

    @property
    def excused_ms(self) -> int:
        """``deadline_ms`` within its bounds."""
        return min(max(self.deadline_ms, 0), LONGEST_STOP_MS)
