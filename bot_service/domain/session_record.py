"""A session as one frozen value, what can happen to it, what follows, and the limits of both.

All times are milliseconds: ``…_ms`` of a moment counts since the epoch, of a duration it is its
length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from bot_service.domain.need import Need
from bot_service.domain.proxy import Proxy
from bot_service.domain.reasons import Reason
from bot_service.domain.signals import SignalKind
from bot_service.domain.states import Actor, State, Wanted

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
OWNERS_KEPT = 10


class DueKind(StrEnum):
    """What a session waits for; a session waits for at most one thing. The values are stored."""

    RETRY = "retry"  # start the engine's client again
    START = "start"  # the start command was not answered
    CONNECT = "connect"  # started, and no connection
    PAIRED = "paired"  # paired, and no connection
    SYNC = "sync"  # connected, and no end of the offline messages
    TAKE_OVER = "take_over"  # the engine reconnects by itself and does not succeed
    CODES = "codes"  # codes are shown, and the engine reports nothing more of them
    RECOVERY = "ladder"  # receiving is suspected: the next recovery step
    LINK = "link"  # keepalive or frames are missing, and the engine reports nothing
    BAN_OVER = "ban_over"  # the one try after a temporary ban
    CANARY_LOGIN = "fleet_probe"  # the canary tries whether the client version is still refused


class Due(msgspec.Struct, frozen=True, gc=False):
    kind: DueKind
    at_ms: int


class StreamError(msgspec.Struct, frozen=True, gc=False):
    """Errors of the same signature are counted."""

    signature: str
    at_ms: int


# Stored as JSON: these fields keep the names under which older versions wrote them.
_STORED_NAMES = {"recovery_step": "rung", "recovery_step_ms": "rung_ms"}


class EarlierOwner(msgspec.Struct, frozen=True, gc=False):
    """``owner`` had the session until ``until_ms``; None: an owner that is not remembered."""

    owner: str | None
    until_ms: int


# Without cycles, so the garbage collector need not walk ten thousand of them.
class SessionRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename=_STORED_NAMES):
    id: str
    owner: str
    name: str
    created_ms: int
    metadata: dict[str, str] = {}
    # Distinguishes this session from a deleted one with the same id; empty before version 0.3.
    creation: str = ""
    earlier_owners: tuple[EarlierOwner, ...] = ()
    proxy: Proxy | None = None  # None: that of the settings

    wanted: Wanted = Wanted.STOP
    state: State = State.STOPPED
    # A Reason; a row of another version may hold a word that is not one.
    reason: str = Reason.CREATED.value
    detail: str | None = None
    actor: Actor = Actor.NONE
    since_ms: int = 0
    due: Due | None = None

    # The pairing
    jid: str | None = None
    lid: str | None = None
    push_name: str | None = None
    qr_rounds: int = 0
    # When the pairing left for another service: this one never logs in with it until it is taken back.
    exported_ms: int | None = None

    # The link
    engaged: bool = False  # the engine may hold a client of this session
    linked: bool = False  # connected and authenticated
    linked_ms: int | None = None
    attempt: int = 0  # reconnects since the link was last stable
    careful: int = 0  # careful tries after a refused connect
    replaced_ms: int | None = None
    errors: tuple[StreamError, ...] = ()
    missed: int = 0  # messages that the server announced as waiting

    # Receiving
    suspicion: str | None = None
    recovery_step: int = 0  # the number of the last recovery step that was taken
    recovery_step_ms: int = 0

    # Limits set by WhatsApp
    banned_until_ms: int | None = None
    ban_tries: int = 0
    timelocked_until_ms: int | None = None

    # Why it needs a person, until the end of that is reported
    need: Need | None = None

    # Activity
    active_ms: int = 0  # last message, receipt, presence or API call
    aged_from_ms: int = 0  # the age counts from here
    inbound_ms: int | None = None

    def owner_at(self, at_ms: int) -> str | None:
        """The owner of this session at ``at_ms``."""
        for earlier in self.earlier_owners:
            if at_ms <= earlier.until_ms:
                return earlier.owner
        return self.owner

    @property
    def owned_from_ms(self) -> int:
        """What came before is not the present owner's."""
        return self.earlier_owners[-1].until_ms + 1 if self.earlier_owners else 0

    def handed_over(self, owner: str, now_ms: int) -> SessionRecord:
        """The session with another owner."""
        earlier = (*self.earlier_owners, EarlierOwner(self.owner, now_ms))
        if len(earlier) > OWNERS_KEPT:
            forgotten, *rest = earlier[-OWNERS_KEPT:]
            earlier = (EarlierOwner(None, forgotten.until_ms), *rest)
        return msgspec.structs.replace(self, owner=owner, earlier_owners=earlier)


class Transition(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """One change of state, reason or actor, as it is stored and published."""

    session: str
    at_ms: int
    from_state: State
    to_state: State
    reason: str
    detail: str | None
    actor: Actor


def transition(before: SessionRecord, after: SessionRecord, now_ms: int) -> Transition | None:
    """The step from ``before`` to ``after``; None when a person would see no difference."""
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
    """Limits, and the two facts about all sessions that each must know."""

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
    canary_login_ms: int = 30 * MINUTE_MS
    frame_fresh_ms: int = 60_000
    recovery_delay_ms: int = 5000
    recovery_rest_ms: int = HOUR_MS
    codes_margin_ms: int = MINUTE_MS

    client_outdated: bool = False
    canary: str | None = None


# --- facts: what can happen ---


@dataclass(frozen=True, slots=True)
class Signal:
    """Something the engine reported.

    ``lease_held`` is whether this service still owns the session. ``others_accepted``, for a
    refused client version, is whether WhatsApp accepts the same version from other accounts.
    """

    kind: SignalKind
    data: dict[str, Any] = field(default_factory=dict)
    lease_held: bool = True
    others_accepted: bool = False


class CommandKind(StrEnum):
    START = "start"
    STOP = "stop"
    RESTART = "restart"
    LOGGED_OUT = "logged_out"  # the logout at the server was done
    CLOSE = "close"
    RECYCLE = "recycle"  # a fresh connection; the pairing stays and the age starts at zero
    RESTORE = "restore"  # this service has just started
    TRY_AS_CANARY = "ask_for_fleet"  # log in, at ``at_ms``, to see whether the version is refused
    RECONNECT = "reconnect"  # a repair asks for a fresh connection
    EXPORT = "export"  # the pairing leaves for another service
    TAKE_BACK = "take_back"  # a person says that no other service uses an exported pairing


@dataclass(frozen=True, slots=True)
class Command:
    """``reason`` None is the usual one of ``kind``.

    ``at_ms`` is when the start that follows may begin; for RESTORE and TRY_AS_CANARY only.
    """

    kind: CommandKind
    reason: Reason | None = None
    at_ms: int = 0


@dataclass(frozen=True, slots=True)
class TimerFired:
    """The time of ``record.due`` has come.

    ``may_recycle``: the session's worker may be replaced.
    """

    kind: DueKind
    may_recycle: bool = True


@dataclass(frozen=True, slots=True)
class LinkCheck:
    """A periodic check: the age of the last frame, and why receiving is suspected, if it is."""

    frame_age_ms: int
    suspicion: str | None = None


@dataclass(frozen=True, slots=True)
class ClientOutdated:
    """WhatsApp refuses the client version: sessions without a connection wait for another one."""


@dataclass(frozen=True, slots=True)
class ClientAccepted:
    """WhatsApp accepts the announced client version: sessions that waited for that log in again."""


Fact = Signal | Command | TimerFired | LinkCheck | ClientOutdated | ClientAccepted


# --- effects: what follows ---


class EffectKind(StrEnum):
    START = "start"  # stop the session's client, then start one
    STOP = "stop"
    REBUILD = "rebuild"  # like START, in another worker
    RECYCLE_WORKER = "recycle_worker"
    ATTENTION = "attention"  # alert people: ``reason`` says why, the record says who must act
    CLIENT_OUTDATED = "fleet_outdated"


@dataclass(frozen=True, slots=True)
class Effect:
    kind: EffectKind
    reason: str = ""


Decision = tuple[SessionRecord, tuple[Effect, ...]]

React = Callable[[SessionRecord, Signal, SessionPolicy, int], Decision]
