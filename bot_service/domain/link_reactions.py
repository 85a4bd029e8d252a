"""Reactions to signals about the connection: dialing, connected, synced, lost."""

from __future__ import annotations

from bot_service.domain.moves import attempts, detail_of, move, replace, retry_soon
from bot_service.domain.pairing_reactions import codes_ran_out
from bot_service.domain.reasons import Reason as R
from bot_service.domain.session_record import (
    Decision,
    Due,
    DueKind,
    Effect,
    EffectKind,
    React,
    SessionPolicy,
    SessionRecord,
    Signal,
    StreamError,
)
from bot_service.domain.states import LINKED, Actor, State


def _lost(
    record: SessionRecord,
    reason: R,
    next_due: Due | None,
    policy: SessionPolicy,
    now_ms: int,
    detail: str | None = None,
) -> Decision:
    """RECONNECTING without a start: engine or pool connect, until ``next_due``."""
    attempt = attempts(record, policy, now_ms)
    return move(
        record, State.RECONNECTING, reason, now_ms, linked=False, attempt=attempt, due=next_due, detail=detail
    ), ()


def worker_lost(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    # The pool starts a new worker with the sessions of the lost one. A start follows when it does
    # not.
    connect = Due(DueKind.CONNECT, now_ms + policy.connect_timeout_ms)
    return _lost(record, R.WORKER_LOST, connect, policy, now_ms, detail_of(signal))


def engine_dials(reason: R) -> React:
    """The engine reconnects by itself; a new start takes over when it does not succeed."""

    def react(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
        if record.due is not None and record.due.kind in (DueKind.RETRY, DueKind.PAIRED):
            return record, ()  # a start follows already, or the reconnect after pairing is expected
        waiting = record.due is not None and record.due.kind is DueKind.TAKE_OVER
        take_over = record.due if waiting else Due(DueKind.TAKE_OVER, now_ms + policy.take_over_ms)
        return _lost(record, reason, take_over, policy, now_ms, detail_of(signal))

    return react


def dialing(reason: R, of_linked: R) -> React:
    def react(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
        connect = Due(DueKind.CONNECT, now_ms + policy.connect_timeout_ms)
        if record.linked:
            # A linked client dials again: its worker was replaced, or another start took its place.
            return _lost(record, of_linked, connect, policy, now_ms)
        if record.state is State.PAIRING:
            return record, ()
        if record.due is not None and record.due.kind in (DueKind.RETRY, DueKind.TAKE_OVER, DueKind.PAIRED):
            return record, ()
        if record.state is State.RECONNECTING:
            return replace(record, due=connect), ()
        return move(record, State.CONNECTING, reason, now_ms, due=connect, detail=detail_of(signal)), ()

    return react


def connected(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    if record.linked and record.reason not in (R.KEEPALIVE_TIMEOUT, R.FRAMES_STALE):
        return record, ()
    sync = Due(DueKind.SYNC, now_ms + policy.sync_timeout_ms)
    after = move(
        record, State.SYNCING, R.CONNECTED, now_ms, linked=True, linked_ms=now_ms, due=sync, careful=0, suspicion=None
    )
    return after, ()


def sync_announced(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    announced = signal.data.get("messages")
    return replace(record, missed=announced if isinstance(announced, int) else record.missed), ()


def synced(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    if record.state is not State.SYNCING:
        return record, ()
    return move(record, State.READY, R.SYNCED, now_ms, ban_tries=0), ()


def disconnected(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    if record.jid is None and record.state is State.PAIRING:
        # The server hangs up when the codes have expired, or while pairing: a new round shows new
        # codes.
        return codes_ran_out(record, signal, policy, now_ms)
    return engine_dials(R.DISCONNECTED)(record, signal, policy, now_ms)


def keepalive_missed(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    if record.state not in LINKED or record.reason == R.KEEPALIVE_TIMEOUT:
        return record, ()
    reconnect = Due(DueKind.LINK, now_ms + policy.link_timeout_ms)
    return move(record, State.DEGRADED, R.KEEPALIVE_TIMEOUT, now_ms, due=reconnect), ()


def keepalive_restored(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    if record.state is State.DEGRADED and record.reason in (R.KEEPALIVE_TIMEOUT, R.FRAMES_STALE):
        return move(record, State.READY, R.KEEPALIVE_RESTORED, now_ms), ()
    return record, ()


def stream_error(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    signature = str(signal.data.get("signature") or "unknown").replace("\x00", "")[:100]
    recent = [seen for seen in record.errors if now_ms - seen.at_ms < policy.signature_window_ms][-19:]
    recent.append(StreamError(signature, now_ms))
    after = retry_soon(replace(record, errors=tuple(recent)), R.STREAM_ERROR, policy, now_ms, detail=signature)
    same = sum(seen.signature == signature for seen in recent)
    if same < policy.signature_limit:
        return after, ()
    # Repeated, this error is a stanza that the client cannot parse. An upgrade cures it, no pairing
    # does.
    after = replace(after, reason=R.POISON_STANZA.value, actor=Actor.OPERATOR)
    return after, (Effect(EffectKind.ATTENTION, R.POISON_STANZA.value),) if same == policy.signature_limit else ()


def stopped(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    if record.due is not None and record.due.kind in (DueKind.RETRY, DueKind.START):
        return record, ()  # the stop that belongs to a start
    # A replaced worker stops its sessions and the pool starts them in the next one. Wait for that.
    connect = Due(DueKind.CONNECT, now_ms + policy.connect_timeout_ms)
    return move(record, State.RECONNECTING, R.CLIENT_STOPPED, now_ms, linked=False, due=connect), ()
