"""The reaction table: for every signal of an engine, the new state and what follows.

A row holds for a session that is wanted and not at an end; the rest is decided by
:func:`bot_service.domain.session_rules.advance`.
"""

from __future__ import annotations

from dataclasses import dataclass

from bot_service.domain import end_reactions as ends
from bot_service.domain import link_reactions as link
from bot_service.domain import pairing_reactions as pairing
from bot_service.domain.moves import detail_of, replace, retry_soon
from bot_service.domain.reasons import Reason as R
from bot_service.domain.session_record import (
    Decision,
    React,
    SessionPolicy,
    SessionRecord,
    Signal,
)
from bot_service.domain.signals import SignalKind as K
from bot_service.domain.states import Actor, State


@dataclass(frozen=True, slots=True)
class Reaction:
    """``retry`` and ``acts`` are for people who read the table; ``react`` is what happens."""

    react: React
    retry: str
    acts: Actor = Actor.NONE


def _stay(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    return record, ()


def _active(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    return replace(record, active_ms=max(record.active_ms, now_ms)), ()


def _backoff(reason: R) -> React:
    def react(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
        return retry_soon(record, reason, policy, now_ms, detail=detail_of(signal)), ()

    return react


REACTIONS: dict[K, Reaction] = {
    K.QR: Reaction(pairing.shown(R.QR_SHOWN), "no: a person scans", Actor.USER),
    K.QR_EXHAUSTED: Reaction(pairing.codes_ran_out, "a new round, three in all, then FAILED", Actor.USER),
    K.PAIRING_CODE: Reaction(pairing.shown(R.PAIRING_CODE_SHOWN), "no: a person types", Actor.USER),
    K.PAIRED: Reaction(pairing.paired, "the engine connects; a new start after 60 s"),
    K.PAIR_ERROR: Reaction(pairing.pair_error, "a new code, three rounds in all", Actor.USER),
    K.PAIR_RESTART: Reaction(pairing.pair_restart, "expected; a new start after 60 s"),
    K.PASSKEY_REQUIRED: Reaction(
        pairing.shown(R.PASSKEY_REQUIRED, pairing.PASSKEY_ADVICE), "no: a person removes it", Actor.USER
    ),
    K.MULTIDEVICE_OFF: Reaction(pairing.shown(R.MULTIDEVICE_OFF), "no: the same code stays valid", Actor.USER),
    K.CONNECTING: Reaction(link.dialing(R.CONNECTING, R.CLIENT_CONNECTING), "a new start, when it takes too long"),
    K.CONNECTED: Reaction(link.connected, "none"),
    K.OFFLINE_SYNC_PREVIEW: Reaction(link.sync_announced, "none"),
    K.OFFLINE_SYNC_COMPLETED: Reaction(link.synced, "none"),
    K.DISCONNECTED: Reaction(link.disconnected, "the engine's; a new start after 5 min"),
    K.CONNECT_ERROR: Reaction(_backoff(R.CONNECT_ERROR), "backoff"),
    K.KEEPALIVE_TIMEOUT: Reaction(link.keepalive_missed, "a new start after 75 s"),
    K.KEEPALIVE_RESTORED: Reaction(link.keepalive_restored, "none"),
    K.SERVER_UNAVAILABLE: Reaction(link.engine_dials(R.SERVER_UNAVAILABLE), "the engine's; a new start after 5 min"),
    K.STREAM_ERROR: Reaction(link.stream_error, "backoff; an alert after the same three times in 2 h", Actor.OPERATOR),
    K.LOGGED_OUT: Reaction(ends.end_at(State.LOGGED_OUT, R.LOGGED_OUT, Actor.USER), "never", Actor.USER),
    K.PRIMARY_GONE: Reaction(ends.end_at(State.LOGGED_OUT, R.PRIMARY_GONE, Actor.USER), "never", Actor.USER),
    K.BANNED: Reaction(ends.end_at(State.BANNED, R.BANNED, Actor.OWNER), "never", Actor.OWNER),
    K.TEMP_BANNED: Reaction(ends.temp_banned, "one, after the ban and a margin", Actor.OWNER),
    K.OUTDATED: Reaction(ends.outdated, "the canary, for all sessions; with another version first", Actor.OPERATOR),
    K.CONNECT_REFUSED: Reaction(ends.carefully(R.CONNECT_REFUSED), "after 5, 15, 60 min, then FAILED", Actor.OPERATOR),
    K.REPLACED: Reaction(ends.replaced, "once after 30-60 s when this service holds the lease", Actor.OWNER),
    K.TIMELOCK: Reaction(ends.timelocked, "none: still connected, new chats wait", Actor.OWNER),
    K.UNDECRYPTABLE: Reaction(_stay, "none: counted, the sender is asked again"),
    K.MESSAGE_LOST: Reaction(_stay, "none: named in the log and counted"),
    K.STARTED: Reaction(link.dialing(R.STARTED, R.CLIENT_STARTED), "a new start, when no connection follows"),
    K.STOPPED: Reaction(link.stopped, "a new start, when the pool starts none"),
    K.UNLINKED: Reaction(ends.unlinked, "never", Actor.USER),
    K.PUMP_DIED: Reaction(_backoff(R.PUMP_DIED), "backoff"),
    K.WORKER_LOST: Reaction(link.worker_lost, "the pool's, in a new worker; a new start after 60 s"),
    K.START_TIMEOUT: Reaction(_backoff(R.START_TIMEOUT), "backoff"),
    K.RECEIPT: Reaction(_active, "none"),
    K.PRESENCE: Reaction(_active, "none"),
}
