"""What one ping says: four outcomes, each attempt kept; only TARGET_FAIL may ever move the failure counter."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Outcome(StrEnum):
    OK = "ok"
    TARGET_FAIL = "target_fail"  # the bot did not answer as it should, and we are sure that we can see
    SELF_FAIL = "self_fail"  # we ourselves cannot see: own port, resolver, network, or our loop stalled
    UNKNOWN = "unknown"  # it failed and nothing proves whose fault it is


class Cause(StrEnum):
    """Why a ping was started."""

    SCHEDULE = "schedule"
    CONFIRM = "confirm"
    HEARTBEAT = "heartbeat"
    RECOVERY = "recovery"
    MANUAL = "manual"


REFUSALS = frozenset({401, 403, 404, 429})  # alive, but refuses us: an alert of its own kind, never a repair


class Attempt(msgspec.Struct, frozen=True):
    """One request. Times in ms; ``reason`` is a stable code."""

    number: int
    started_at_ms: int
    duration_ms: float
    outcome: Outcome
    reason: str
    status: int | None = None


class ProbeResult(msgspec.Struct, frozen=True):
    """One decided ping of one target. ``at_ms`` (wall, epoch) is when it ended, ``latency_ms`` of the last attempt.

    ``refused`` holds the HTTP status when the bot is alive but refuses us. ``duration_ms`` is monotonic.
    ``since_ms`` (wall) is when the trouble began, when something older than this ping told so (the last beat).
    """

    target: str
    cause: Cause
    started_at_ms: int
    at_ms: int
    outcome: Outcome
    reason: str
    latency_ms: float | None = None
    attempts: tuple[Attempt, ...] = ()
    refused: int | None = None
    boot_id: str | None = None
    detail: str = ""
    duration_ms: int = 0
    since_ms: int | None = None


def counts(result: ProbeResult) -> bool:
    """Whether the ping says anything about the target; the others are gaps and stand in no total."""
    return result.outcome in (Outcome.OK, Outcome.TARGET_FAIL) or result.refused is not None
