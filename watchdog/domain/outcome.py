"""The result of one ping. Only TARGET_FAIL may move the failure counter."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Outcome(StrEnum):
    OK = "ok"
    TARGET_FAIL = "target_fail"  # the bot failed, and the watchdog can see
    SELF_FAIL = "self_fail"  # the watchdog cannot see: port, resolver, network, stall
    UNKNOWN = "unknown"  # it failed, and nothing proves a side


class Cause(StrEnum):
    """Why a ping was started."""

    SCHEDULE = "schedule"
    CONFIRM = "confirm"
    HEARTBEAT = "heartbeat"
    RECOVERY = "recovery"
    MANUAL = "manual"


# Something answers but refuses the watchdog: an incident of its own kind, never a repair.
REFUSALS = frozenset({401, 403, 404, 429})


class Attempt(msgspec.Struct, frozen=True):
    """One request. Times in ms; ``reason`` is a stable code."""

    number: int
    started_at_ms: int
    duration_ms: float
    outcome: Outcome
    reason: str
    status: int | None = None


class ProbeResult(msgspec.Struct, frozen=True):
    """One decided ping of one target.

    ``at_ms`` (wall) is its end, ``latency_ms`` that of the last attempt, ``duration_ms`` monotonic.
    ``orderly_stops`` are boots before ``boot_id`` that were stopped in order.
    ``refused`` is the HTTP status of an answer that refuses the watchdog or does not prove that it
    comes from the bot. ``proved``: the answer came with the proof of ``boot_id``. ``by_bot``: the
    bot itself answered, well or not. ``since_ms`` (wall) is an earlier begin of the trouble, known
    from the last heartbeat. ``needs_person``: how many sessions do, None when unknown.
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
    orderly_stops: tuple[str, ...] = ()
    proved: bool = False
    by_bot: bool = False
    detail: str = ""
    duration_ms: int = 0
    since_ms: int | None = None
    needs_person: int | None = None


def counts(result: ProbeResult) -> bool:
    """Whether the ping counts; the others are gaps and stand in no total."""
    return result.outcome in (Outcome.OK, Outcome.TARGET_FAIL) or result.refused is not None
