"""How fast a session may send: one token bucket for all messages, one for new chats; freezes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bot_service.domain.session_record import SessionRecord
from bot_service.domain.states import State, Wanted
from shared.translation import N_


class Freeze(StrEnum):
    """Why a session may not send. ``TIMELOCKED`` is only for chats that never wrote to it."""

    BANNED = "banned"
    TEMP_BANNED = "temp_banned"
    TIMELOCKED = "timelocked"
    LOGGED_OUT = "logged_out"
    NOT_PAIRED = "not_paired"
    OUTDATED = "outdated"
    EXPORTED = "exported"
    FENCED = "fenced"
    FAILED = "failed"
    CLOSED = "closed"
    NOT_RUNNING = "not_running"


FROZEN = {
    Freeze.BANNED: N_("WhatsApp has banned this account"),
    Freeze.TEMP_BANNED: N_("WhatsApp has banned this account for a time"),
    Freeze.TIMELOCKED: N_("WhatsApp lets this account write only to chats that wrote to it, for a time"),
    Freeze.LOGGED_OUT: N_("the phone is not linked any more"),
    Freeze.NOT_PAIRED: N_("no phone is linked yet"),
    Freeze.OUTDATED: N_(
        "WhatsApp refuses this version of the client: Veilleur looks by itself for one that is accepted"
    ),
    Freeze.EXPORTED: N_("the session was exported: its pairing may run elsewhere"),
    Freeze.FENCED: N_("another client has taken this account over"),
    Freeze.FAILED: N_("the session has failed and waits for a person"),
    Freeze.CLOSED: N_("the session was closed because it was not used or had its age"),
    Freeze.NOT_RUNNING: N_("the session does not run"),
}

_ENDED = {
    State.OUTDATED: Freeze.OUTDATED,
    State.FENCED: Freeze.FENCED,
    State.FAILED: Freeze.FAILED,
    State.CLOSED: Freeze.CLOSED,
}


@dataclass(frozen=True, slots=True)
class Frozen:
    """``until_ms``: ms since the epoch; None when a person has to end the freeze."""

    reason: Freeze
    until_ms: int | None


def frozen(record: SessionRecord, now_ms: int, *, known_chat: bool) -> Frozen | None:
    """The freeze of a message now, or None. A reconnecting session is not frozen."""
    if record.state is State.BANNED:
        return Frozen(Freeze.BANNED, None)
    if record.state is State.TEMP_BANNED:
        return Frozen(Freeze.TEMP_BANNED, record.banned_until_ms)
    if record.state is State.LOGGED_OUT:
        return Frozen(Freeze.LOGGED_OUT, None)
    if record.jid is None:
        return Frozen(Freeze.NOT_PAIRED, None)
    if record.exported_ms is not None:
        return Frozen(Freeze.EXPORTED, None)
    if record.state in _ENDED:
        return Frozen(_ENDED[record.state], None)
    if record.wanted is Wanted.STOP:
        return Frozen(Freeze.NOT_RUNNING, None)
    until = record.timelocked_until_ms
    if until is not None and now_ms < until and not known_chat:
        return Frozen(Freeze.TIMELOCKED, until)
    return None


@dataclass(frozen=True, slots=True)
class Rate:
    """``per_s`` tokens a second, at most ``burst`` at once. ``per_s`` 0 means no limit."""

    per_s: float
    burst: int


class Bucket:
    """A token bucket; full at first."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._tokens = float(rate.burst)
        self._at_s: float | None = None

    def wait_s(self, monotonic_s: float) -> float:
        """Seconds until a token is available; 0.0 when one is."""
        if self._rate.per_s <= 0:
            return 0.0
        elapsed = 0.0 if self._at_s is None else max(0.0, monotonic_s - self._at_s)
        self._at_s = monotonic_s
        self._tokens = min(float(self._rate.burst), self._tokens + elapsed * self._rate.per_s)
        return 0.0 if self._tokens >= 1 - 1e-9 else (1 - self._tokens) / self._rate.per_s

    def take(self) -> None:
        """Count one message; the wait must be 0.0."""
        self._tokens -= 1
