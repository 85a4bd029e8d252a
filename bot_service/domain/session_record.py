"""A session as one frozen value, what can happen to it, what follows, and the limits by which that is decided.

All times are milliseconds: ``…_ms`` of a moment counts since the epoch, of a duration it is its length.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from bot_service.domain.signals import SignalKind
from bot_service.domain.states import Actor, State, Wanted

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS


class DueKind(StrEnum):
    """What a session waits for; a session waits for at most one thing."""

    RETRY = "retry"  # start the engine's client again
    START = "start"  # the start command was not answered
    CONNECT = "connect"  # started, and no connection
    PAIRED = "paired"  # paired, and no connection
    SYNC = "sync"  # connected, and no end of the offline messages
    TAKE_OVER = "take_over"  # the engine reconnects by itself and does not succeed
    CODES = "codes"  # codes are shown, and nothing is heard of them any more
    LADDER = "ladder"  # receiving is suspected: the next step of the recovery ladder
    LINK = "link"  # keepalive or frames are missing, and the engine says nothing
    BAN_OVER = "ban_over"  # the one try after a temporary ban
    FLEET_PROBE = "fleet_probe"  # the one session that asks whether this client is still too old


class Due(msgspec.Struct, frozen=True, gc=False):
    kind: DueKind
    at_ms: int


class Seen(msgspec.Struct, frozen=True, gc=False):
    """One stream error: errors of the same signature are counted."""

    signature: str
    at_ms: int


# Nothing in it can lead back to it, so the collector of cycles need not walk ten thousand of them.
class SessionRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    id: str
    owner: str
    name: str
    created_ms: int
    metadata: dict[str, str] = {}

    wanted: Wanted = Wanted.STOP
    state: State = State.STOPPED
    reason: str = "created"
    detail: str | None = None
    actor: Actor = Actor.NOBODY
    since_ms: int = 0
    due: Due | None = None

    # The pairing
    jid: str | None = None
    lid: str | None = None
    push_name: str | None = None
    qr_rounds: int = 0

    # The link
    engaged: bool = False  # the engine may hold a client of this session
    linked: bool = False  # connected and authenticated
    linked_ms: int | None = None
    attempt: int = 0  # reconnects since the link was last stable
    careful: int = 0  # careful tries after a refused connect
    replaced_ms: int | None = None
    errors: tuple[Seen, ...] = ()
    missed: int = 0  # messages that the server announced as waiting

    # Receiving
    suspicion: str | None = None
    rung: int = 0  # the last step of the recovery ladder that was taken
    rung_ms: int = 0

    # Limits set by WhatsApp
    banned_until_ms: int | None = None
    ban_tries: int = 0
    timelocked_until_ms: int | None = None

    # Life
    active_ms: int = 0  # last sign of life: message, receipt, presence, call of the API
    aged_from_ms: int = 0  # the age counts from here
    inbound_ms: int | None = None


class Transition(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """One change of state or of its reason, as it is kept and told."""

    session: str
    at_ms: int
    from_state: State
    to_state: State
    reason: str
    detail: str | None
    actor: Actor


def transition(before: SessionRecord, after: SessionRecord, now_ms: int) -> Transition | None:
    """What is to be told of the step from ``before`` to ``after``; None when a person would see no difference."""
    if before.state is after.state and before.reason == after.reason and before.actor is after.actor:
        return None
    return Transition(
        session=after.id,
        at_ms=now_ms,
        from_state=before.state,
        to_state=after.state,
        reason=after.reason,
        detail=after.detail,
        actor=after.actor,
    )


@dataclass(frozen=True, slots=True)
class SessionPolicy:
    """Limits, and the two facts about the fleet that a single session must know."""

    start_timeout_ms: int = 60_000
    connect_timeout_ms: int = 60_000
    sync_timeout_ms: int = 30_000
    paired_timeout_ms: int = 60_000
    take_over_ms: int = 5 * MINUTE_MS
    link_timeout_ms: int = 75_000
    first_delay_ms: int = 2000
    max_delay_ms: int = 5 * MINUTE_MS
    stable_ms: int = 2 * MINUTE_MS
    careful_ms: tuple[int, ...] = (5 * MINUTE_MS, 15 * MINUTE_MS, HOUR_MS)
    qr_rounds: int = 3
    ban_margin_ms: int = 5 * MINUTE_MS
    replaced_ms: tuple[int, int] = (30_000, 60_000)
    replaced_window_ms: int = 10 * MINUTE_MS
    signature_window_ms: int = 2 * HOUR_MS
    signature_limit: int = 3
    timelock_default_ms: int = HOUR_MS
    fleet_probe_ms: int = 30 * MINUTE_MS
    frame_fresh_ms: int = 60_000
    ladder_delay_ms: int = 5000
    ladder_rest_ms: int = HOUR_MS
    codes_margin_ms: int = MINUTE_MS

    fleet_outdated: bool = False
    canary: str | None = None


# --- what can happen ---


@dataclass(frozen=True, slots=True)
class Signal:
    """Something the engine said. ``lease_ours`` is whether this service still owns the session; ``others_accepted``, for a
    refused client version, whether WhatsApp accepts the same version from other accounts."""

    kind: SignalKind
    data: dict[str, Any] = field(default_factory=dict)
    lease_ours: bool = True
    others_accepted: bool = False


class CommandKind(StrEnum):
    START = "start"
    STOP = "stop"
    RESTART = "restart"
    LOGGED_OUT = "logged_out"  # our own logout has been done
    CLOSE = "close"
    RECYCLE = "recycle"  # a fresh connection; the pairing stays and the age counts anew
    RESTORE = "restore"  # this service has just started
    ASK_FOR_FLEET = (
        "ask_for_fleet"  # this session is the canary: it tries, at ``at_ms``, whether the client is still refused
    )
    RECONNECT = "reconnect"  # a repair asks for a fresh connection


@dataclass(frozen=True, slots=True)
class Command:
    """``at_ms`` is when the start that follows may begin; only RESTORE and ASK_FOR_FLEET look at it."""

    kind: CommandKind
    reason: str = ""
    at_ms: int = 0


@dataclass(frozen=True, slots=True)
class Fired:
    """The time of ``record.due`` has come. ``may_recycle``: the budget of the session's worker allows to replace it."""

    kind: DueKind
    may_recycle: bool = True


@dataclass(frozen=True, slots=True)
class Look:
    """A regular look at the link: how old its last frame is, and whether receiving is suspected to be broken."""

    frame_age_ms: int
    suspicion: str | None = None


@dataclass(frozen=True, slots=True)
class FleetOutdated:
    """WhatsApp refuses the client version: a session that is not connected waits until another version is accepted."""


@dataclass(frozen=True, slots=True)
class FleetRecovered:
    """WhatsApp accepts the client version that is announced now: sessions that waited for that log in again."""


Fact = Signal | Command | Fired | Look | FleetOutdated | FleetRecovered


# --- what follows ---


class EffectKind(StrEnum):
    START = "start"  # stop what runs of it, then start the engine's client
    STOP = "stop"
    REBUILD = "rebuild"  # like START, in another worker
    RECYCLE_WORKER = "recycle_worker"
    ATTENTION = "attention"  # tell people; ``reason`` says what, the record says who must act
    FLEET_OUTDATED = "fleet_outdated"


@dataclass(frozen=True, slots=True)
class Effect:
    kind: EffectKind
    reason: str = ""


Step = tuple[SessionRecord, tuple[Effect, ...]]
