"""The states of a session, who must act in each, and the legal moves between them."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """The observed state of a session; the desired one is :class:`Wanted`."""

    STOPPED = "STOPPED"
    STARTING = "STARTING"
    PAIRING = "PAIRING"
    CONNECTING = "CONNECTING"
    SYNCING = "SYNCING"
    READY = "READY"
    DEGRADED = "DEGRADED"
    RECONNECTING = "RECONNECTING"
    # Ends
    LOGGED_OUT = "LOGGED_OUT"
    BANNED = "BANNED"
    TEMP_BANNED = "TEMP_BANNED"
    OUTDATED = "OUTDATED"
    FENCED = "FENCED"
    FAILED = "FAILED"
    CLOSED = "CLOSED"


class Wanted(StrEnum):
    """What was asked for last; a session event never changes it."""

    RUN = "run"
    STOP = "stop"


class Actor(StrEnum):
    """Who must act before a session can go on. The values are part of the API."""

    NONE = "nobody"  # it goes on by itself
    USER = "user"  # the holder of the phone: scan, confirm, look at the phone
    OWNER = "owner"  # the owner of the account: bans, other programs on the same account
    OPERATOR = "operator"  # runs this service: upgrade, look at a worker


LIVE = frozenset(
    {
        State.STARTING,
        State.PAIRING,
        State.CONNECTING,
        State.SYNCING,
        State.READY,
        State.DEGRADED,
        State.RECONNECTING,
    }
)
ENDS = frozenset(State) - LIVE - {State.STOPPED}
# Ends that only a command can leave. The two others have one timed try each.
FINAL = ENDS - {State.TEMP_BANNED, State.OUTDATED}
LINKED = frozenset({State.SYNCING, State.READY, State.DEGRADED})

_S = State
_ANYWHERE = ENDS | {State.STOPPED, State.RECONNECTING}
LEGAL: dict[State, frozenset[State]] = {
    _S.STOPPED: frozenset({_S.STARTING, _S.LOGGED_OUT, _S.FENCED}),
    _S.STARTING: _ANYWHERE | {_S.PAIRING, _S.CONNECTING, _S.SYNCING},
    _S.PAIRING: _ANYWHERE | {_S.STARTING, _S.CONNECTING, _S.SYNCING},
    _S.CONNECTING: _ANYWHERE | {_S.STARTING, _S.PAIRING, _S.SYNCING},
    _S.SYNCING: _ANYWHERE | {_S.STARTING, _S.READY, _S.DEGRADED},
    _S.READY: _ANYWHERE | {_S.STARTING, _S.SYNCING, _S.DEGRADED},
    _S.DEGRADED: _ANYWHERE | {_S.STARTING, _S.SYNCING, _S.READY},
    _S.RECONNECTING: _ANYWHERE | {_S.STARTING, _S.PAIRING, _S.CONNECTING, _S.SYNCING},
    _S.LOGGED_OUT: frozenset({_S.STARTING, _S.STOPPED, _S.FENCED}),
    _S.BANNED: frozenset({_S.STARTING, _S.STOPPED, _S.FENCED}),
    _S.TEMP_BANNED: frozenset({_S.STARTING, _S.STOPPED, _S.LOGGED_OUT, _S.FENCED}),
    _S.OUTDATED: frozenset({_S.STARTING, _S.STOPPED, _S.RECONNECTING, _S.LOGGED_OUT, _S.FENCED}),
    _S.FENCED: frozenset({_S.STARTING, _S.STOPPED, _S.LOGGED_OUT}),
    _S.FAILED: frozenset({_S.STARTING, _S.STOPPED, _S.LOGGED_OUT, _S.RECONNECTING, _S.FENCED}),
    _S.CLOSED: frozenset({_S.STARTING, _S.LOGGED_OUT, _S.FENCED}),
}
