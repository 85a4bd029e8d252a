"""How fast a session may send: a bucket for all messages, a lower one for new chats; and freezes that name their reason."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bot_service.domain.session_record import SessionRecord
from bot_service.domain.states import State, Wanted


class Freeze(StrEnum):
    """Why a session may not send. ``TIMELOCKED`` concerns only chats that never wrote to us."""

    BANNED = "banned"
    TEMP_BANNED = "temp_banned"
    TIMELOCKED = "timelocked"
    LOGGED_OUT = "logged_out"
    NOT_PAIRED = "not_paired"
    OUTDATED = "outdated"
    FENCED = "fenced"
    FAILED = "failed"
    CLOSED = "closed"
    NOT_RUNNING = "not_running"


_ENDED = {
    State.OUTDATED: Freeze.OUTDATED,
    State.FENCED: Freeze.FENCED,
    State.FAILED: Freeze.FAILED,
    State.CLOSED: Freeze.CLOSED,
}


@dataclass(frozen=True, slots=True)
class Frozen:
    """``until_ms``: since the epoch, None when a person has to end it."""

    reason: Freeze
    until_ms: int | None


def frozen(record: SessionRecord, now_ms: int, *, known_chat: bool) -> Frozen | None:
    """The freeze that stops a message of ``record``'s session now, or None. A session that reconnects is not frozen."""
    if record.state is State.BANNED:
        return Frozen(Freeze.BANNED, None)
    if record.state is State.TEMP_BANNED:
        return Frozen(Freeze.TEMP_BANNED, record.banned_until_ms)
    if record.state is State.LOGGED_OUT:
        return Frozen(Freeze.LOGGED_OUT, None)
    if record.jid is None:
        return Frozen(Freeze.NOT_PAIRED, None)
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


@dataclass(frozen=True, slots=True)
class SendPolicy:
    """What holds for every session."""

    all_messages: Rate
    new_chats: Rate


class _Bucket:
    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._tokens = float(rate.burst)
        self._at_s: float | None = None

    def wait_s(self, monotonic_s: float) -> float:
        """Seconds until a token is there; 0.0 when one is there now."""
        if self._rate.per_s <= 0:
            return 0.0
        elapsed = 0.0 if self._at_s is None else max(0.0, monotonic_s - self._at_s)
        self._at_s = monotonic_s
        self._tokens = min(float(self._rate.burst), self._tokens + elapsed * self._rate.per_s)
        return 0.0 if self._tokens >= 1 - 1e-9 else (1 - self._tokens) / self._rate.per_s

    def take(self) -> None:
        self._tokens -= 1


class SendLimits:
    """The two buckets of one session; full when the service starts."""

    def __init__(self, policy: SendPolicy) -> None:
        self._all, self._new = _Bucket(policy.all_messages), _Bucket(policy.new_chats)

    def wait_s(self, monotonic_s: float) -> float:
        """Seconds until any message may go."""
        return self._all.wait_s(monotonic_s)

    def new_chat_wait_s(self, monotonic_s: float) -> float:
        """Seconds until a first message to a new chat may go, as far as new chats are concerned."""
        return self._new.wait_s(monotonic_s)

    def take(self, *, new_chat: bool) -> None:
        """One message goes. Both waits must be 0.0."""
        self._all.take()
        if new_chat:
            self._new.take()
