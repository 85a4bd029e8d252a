"""How fast a session may send: a bucket for all messages, a lower one for new chats, and freezes that name their reason."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bot_service.domain.signals import SignalKind


class Freeze(StrEnum):
    """Why a session may not send. ``TIMELOCK`` concerns only chats that never wrote to us."""

    BANNED = "banned"
    TEMP_BANNED = "temp_banned"
    TIMELOCK = "timelock"
    LOGGED_OUT = "logged_out"


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
    ban_margin_ms: int = 60_000
    timelock_default_ms: int = 24 * 3_600_000


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at_s: float


@dataclass(frozen=True, slots=True)
class Frozen:
    """``until_ms``: since the epoch, None when a person has to end it."""

    reason: Freeze
    until_ms: int | None


class SendLimits:
    """The buckets and freezes of one session. Times: ``monotonic_s`` for buckets, ``now_ms`` (epoch) for freezes."""

    def __init__(self, policy: SendPolicy) -> None:
        self._policy = policy
        self._all: _Bucket | None = None
        self._new: _Bucket | None = None
        self._frozen: Frozen | None = None

    def wait_s(self, monotonic_s: float, *, new_chat: bool) -> float:
        """Seconds until one more message may go; 0.0 takes the tokens."""
        policy = self._policy
        self._all = _filled(self._all, policy.all_messages, monotonic_s)
        wait = _missing_s(self._all, policy.all_messages)
        if new_chat:
            self._new = _filled(self._new, policy.new_chats, monotonic_s)
            wait = max(wait, _missing_s(self._new, policy.new_chats))
        if wait > 0:
            return wait
        self._all.tokens -= 1
        if new_chat and self._new is not None:
            self._new.tokens -= 1
        return 0.0

    def frozen(self, now_ms: int, *, known_chat: bool) -> Frozen | None:
        """The freeze that stops a message now, or None. ``known_chat``: the other side wrote to us before."""
        frozen = self._frozen
        if frozen is None or (frozen.until_ms is not None and now_ms >= frozen.until_ms):
            return None
        return None if frozen.reason is Freeze.TIMELOCK and known_chat else frozen

    def observe(self, kind: SignalKind, now_ms: int, until_ms: int | None) -> bool:
        """Take a signal of the session into account; True when a freeze began or ended."""
        frozen = _after(kind, now_ms, until_ms, self._policy)
        if frozen is not None:
            changed, self._frozen = frozen != self._frozen, frozen
            return changed
        # A connection proves the end of a ban or a logout; a time-lock ends by its own clock only.
        ended = kind is SignalKind.CONNECTED and self._frozen is not None and self._frozen.reason is not Freeze.TIMELOCK
        if ended:
            self._frozen = None
        return ended


def _after(kind: SignalKind, now_ms: int, until_ms: int | None, policy: SendPolicy) -> Frozen | None:
    match kind:
        case SignalKind.BANNED:
            return Frozen(Freeze.BANNED, None)
        case SignalKind.TEMP_BANNED:
            return Frozen(Freeze.TEMP_BANNED, None if until_ms is None else until_ms + policy.ban_margin_ms)
        case SignalKind.TIMELOCK:
            return Frozen(Freeze.TIMELOCK, until_ms or now_ms + policy.timelock_default_ms)
        case SignalKind.LOGGED_OUT | SignalKind.PRIMARY_GONE | SignalKind.UNLINKED:
            return Frozen(Freeze.LOGGED_OUT, None)
    return None


def _filled(bucket: _Bucket | None, rate: Rate, monotonic_s: float) -> _Bucket:
    if bucket is None:
        return _Bucket(float(rate.burst), monotonic_s)
    elapsed = max(0.0, monotonic_s - bucket.at_s)
    return _Bucket(min(float(rate.burst), bucket.tokens + elapsed * rate.per_s), monotonic_s)


def _missing_s(bucket: _Bucket, rate: Rate) -> float:
    if rate.per_s <= 0 or bucket.tokens >= 1 - 1e-9:
        return 0.0
    return (1 - bucket.tokens) / rate.per_s
