"""The reaction table: for every signal of an engine, the new state and what follows.

A row holds for a session that is wanted and not at an end; the rest is decided by
:func:`bot_service.domain.session_rules.advance`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bot_service.domain.moves import STOP, Changes, attempts, end, move, replace, retry_soon
from bot_service.domain.reasons import Reason as R
from bot_service.domain.reconnect import between_ms
from bot_service.domain.session_record import (
    MINUTE_MS,
    Decision,
    Due,
    DueKind,
    Effect,
    EffectKind,
    SessionPolicy,
    SessionRecord,
    Signal,
    StreamError,
)
from bot_service.domain.signals import SignalKind as K
from bot_service.domain.states import LINKED, Actor, State, Wanted

React = Callable[[SessionRecord, Signal, SessionPolicy, int], Decision]


@dataclass(frozen=True, slots=True)
class Reaction:
    """``retry`` and ``acts`` are for people who read the table; ``react`` is what happens."""

    react: React
    retry: str
    acts: Actor = Actor.NONE


def _detail(signal: Signal) -> str | None:
    for name in ("reason", "signature"):
        if signal.data.get(name) is not None:
            return str(signal.data[name])[:200]
    # A code that is text pairs a phone (QR or typed): a secret, never stored with the transitions.
    code = next((signal.data[name] for name in ("code", "exitCode") if isinstance(signal.data.get(name), int)), None)
    return None if code is None else str(code)


def _stay(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    return record, ()


def _active(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    return replace(record, active_ms=max(record.active_ms, now_ms)), ()


def _backoff(reason: R) -> React:
    def react(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
        return retry_soon(record, reason, policy, now_ms, detail=_detail(signal)), ()

    return react


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


def _worker_lost(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    # The pool starts a new worker with the sessions of the lost one. A start follows when it does
    # not.
    connect = Due(DueKind.CONNECT, now_ms + policy.connect_timeout_ms)
    return _lost(record, R.WORKER_LOST, connect, policy, now_ms, _detail(signal))


def _engine_dials(reason: R) -> React:
    """The engine reconnects by itself; a new start takes over when it does not succeed."""

    def react(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
        if record.due is not None and record.due.kind in (DueKind.RETRY, DueKind.PAIRED):
            return record, ()  # a start follows already, or the reconnect after pairing is expected
        waiting = record.due is not None and record.due.kind is DueKind.TAKE_OVER
        take_over = record.due if waiting else Due(DueKind.TAKE_OVER, now_ms + policy.take_over_ms)
        return _lost(record, reason, take_over, policy, now_ms, _detail(signal))

    return react


def _end_at(state: State, reason: R, actor: Actor) -> React:
    """An end that removes the pairing."""

    def react(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
        return end(record, state, reason, actor, now_ms, detail=_detail(signal), jid=None, lid=None)

    return react


# --- pairing ---


def _has_phone(record: SessionRecord) -> bool:
    """Paired, or logged in without a reported pairing: no code is to be scanned."""
    return record.jid is not None or record.state in LINKED


def _pairing(reason: R) -> React:
    def react(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
        if _has_phone(record):
            return record, ()  # a code for a phone that is paired already is not shown
        valid = signal.data.get("expiresInMs")
        until = now_ms + (valid if isinstance(valid, int) else 5 * MINUTE_MS) + policy.codes_margin_ms
        expiry, detail = Due(DueKind.CODES, until), _detail(signal)
        return move(
            record, State.PAIRING, reason, now_ms, actor=Actor.USER, linked=False, due=expiry, detail=detail
        ), ()

    return react


def codes_ran_out(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    """A round of codes ended without a scan: a few rounds, then the session waits for a person."""
    if _has_phone(record) or (record.due is not None and record.due.kind is DueKind.RETRY):
        return record, ()
    return _next_round(record, R.QR_EXHAUSTED, R.PAIRING_TIMED_OUT, None, policy, now_ms)


def _pair_error(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    if _has_phone(record):
        return record, ()
    return _next_round(record, R.PAIR_ERROR, R.PAIR_ERROR, _detail(signal), policy, now_ms)


def _next_round(
    record: SessionRecord, reason: R, final: R, detail: str | None, policy: SessionPolicy, now_ms: int
) -> Decision:
    rounds = record.qr_rounds + 1
    if rounds >= policy.qr_rounds:
        return end(record, State.FAILED, final, Actor.USER, now_ms, qr_rounds=rounds, detail=detail)
    again = Due(DueKind.RETRY, now_ms + between_ms(record.id, now_ms, 1000, 3000))
    return move(record, State.PAIRING, reason, now_ms, actor=Actor.USER, qr_rounds=rounds, due=again, detail=detail), ()


def paired_fields(record: SessionRecord, signal: Signal, now_ms: int) -> Changes:
    """Who was paired; kept in every state, because the phone shows the link from now on."""
    return {
        "jid": signal.data.get("jid") or record.jid,
        "lid": signal.data.get("lid") or record.lid,
        "push_name": signal.data.get("pushName") or record.push_name,
        "qr_rounds": 0,
        "active_ms": now_ms,
    }


def _paired(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    fields = paired_fields(record, signal, now_ms)
    if record.state in LINKED:
        return replace(record, **fields), ()
    fields["due"] = Due(DueKind.PAIRED, now_ms + policy.paired_timeout_ms)
    return move(record, State.CONNECTING, R.PAIRED, now_ms, **fields), ()


def _pair_restart(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    if record.state in LINKED:
        return record, ()
    again = Due(DueKind.PAIRED, now_ms + policy.paired_timeout_ms)
    return move(record, State.CONNECTING, R.PAIR_RESTART, now_ms, due=again), ()


# --- link ---


def _dialing(reason: R, of_linked: R) -> React:
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
        return move(record, State.CONNECTING, reason, now_ms, due=connect, detail=_detail(signal)), ()

    return react


def _connected(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    if record.linked and record.reason not in (R.KEEPALIVE_TIMEOUT, R.FRAMES_STALE):
        return record, ()
    sync = Due(DueKind.SYNC, now_ms + policy.sync_timeout_ms)
    after = move(
        record, State.SYNCING, R.CONNECTED, now_ms, linked=True, linked_ms=now_ms, due=sync, careful=0, suspicion=None
    )
    return after, ()


def _sync_announced(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    announced = signal.data.get("messages")
    return replace(record, missed=announced if isinstance(announced, int) else record.missed), ()


def _synced(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    if record.state is not State.SYNCING:
        return record, ()
    return move(record, State.READY, R.SYNCED, now_ms, ban_tries=0), ()


def _disconnected(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    if record.jid is None and record.state is State.PAIRING:
        # The server hangs up when the codes have expired, or while pairing: a new round shows new
        # codes.
        return codes_ran_out(record, signal, policy, now_ms)
    return _engine_dials(R.DISCONNECTED)(record, signal, policy, now_ms)


def _keepalive_missed(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    if record.state not in LINKED or record.reason == R.KEEPALIVE_TIMEOUT:
        return record, ()
    reconnect = Due(DueKind.LINK, now_ms + policy.link_timeout_ms)
    return move(record, State.DEGRADED, R.KEEPALIVE_TIMEOUT, now_ms, due=reconnect), ()


def _keepalive_restored(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    if record.state is State.DEGRADED and record.reason in (R.KEEPALIVE_TIMEOUT, R.FRAMES_STALE):
        return move(record, State.READY, R.KEEPALIVE_RESTORED, now_ms), ()
    return record, ()


def _stream_error(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    signature = str(signal.data.get("signature") or "unknown")[:100]
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


# --- ends ---


def _temp_banned(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    length = signal.data.get("expiresInMs")
    until = now_ms + (length if isinstance(length, int) else policy.timelock_default_ms)
    fields: Changes = {"banned_until_ms": until, "detail": _detail(signal)}
    if record.ban_tries > 0:
        return end(record, State.TEMP_BANNED, R.TEMP_BANNED_AGAIN, Actor.OWNER, now_ms, **fields)
    fields["due"] = Due(DueKind.BAN_OVER, until + policy.ban_margin_ms)
    return end(record, State.TEMP_BANNED, R.TEMP_BANNED, Actor.NONE, now_ms, **fields)


def _outdated(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    if signal.others_accepted:
        return _carefully(R.CLIENT_REFUSED)(record, signal, policy, now_ms)
    asks = not policy.client_outdated or policy.canary in (None, record.id)
    after = move(
        record,
        State.OUTDATED,
        R.CLIENT_OUTDATED,
        now_ms,
        linked=False,
        engaged=False,
        actor=Actor.OPERATOR,
        due=Due(DueKind.CANARY_LOGIN, now_ms + policy.canary_login_ms) if asks else None,
        detail=_detail(signal),
    )
    # One alert for all sessions, raised by the effect; not one per session.
    alert = () if policy.client_outdated else (Effect(EffectKind.CLIENT_OUTDATED, R.CLIENT_OUTDATED.value),)
    return after, (STOP, *alert)


def _carefully(reason: R) -> React:
    """A few late retries, then a person: frequent tries of a refused session do harm."""

    def react(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
        tried, detail = record.careful, _detail(signal)
        if tried >= len(policy.careful_ms):
            return end(record, State.FAILED, reason, Actor.OPERATOR, now_ms, detail=detail)
        again = Due(DueKind.RETRY, now_ms + policy.careful_ms[tried])
        after = move(
            record, State.RECONNECTING, reason, now_ms, linked=False, careful=tried + 1, due=again, detail=detail
        )
        return after, (STOP,)

    return react


def _replaced(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    if not signal.lease_held:
        return end(record, State.FENCED, R.REPLACED_BY_OWNER, Actor.NONE, now_ms, replaced_ms=now_ms)
    last = record.replaced_ms
    if last is not None and now_ms - last < policy.replaced_window_ms:
        return end(record, State.FENCED, R.REPLACED_TWICE, Actor.OWNER, now_ms, replaced_ms=now_ms)
    again = Due(DueKind.RETRY, now_ms + between_ms(record.id, now_ms, *policy.replaced_ms))
    return move(record, State.RECONNECTING, R.REPLACED, now_ms, linked=False, replaced_ms=now_ms, due=again), (STOP,)


def _timelocked(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    until = signal.data.get("untilMs")
    until = until if isinstance(until, int) else now_ms + policy.timelock_default_ms
    known = (record.timelocked_until_ms or 0) > now_ms
    after = replace(record, timelocked_until_ms=until)
    return after, () if known else (Effect(EffectKind.ATTENTION, R.TIMELOCKED.value),)


def unlinked(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    """A logout asked for by a user is done."""
    after = move(
        record, State.LOGGED_OUT, R.USER_LOGOUT, now_ms, linked=False, engaged=False, jid=None, lid=None,
        actor=Actor.USER, wanted=Wanted.STOP,
    )  # fmt: skip
    return after, (STOP,)


def _stopped(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    if record.due is not None and record.due.kind in (DueKind.RETRY, DueKind.START):
        return record, ()  # the stop that belongs to a start
    # A replaced worker stops its sessions and the pool starts them in the next one. Wait for that.
    connect = Due(DueKind.CONNECT, now_ms + policy.connect_timeout_ms)
    return move(record, State.RECONNECTING, R.CLIENT_STOPPED, now_ms, linked=False, due=connect), ()


REACTIONS: dict[K, Reaction] = {
    K.QR: Reaction(_pairing(R.QR_SHOWN), "no: a person scans", Actor.USER),
    K.QR_EXHAUSTED: Reaction(codes_ran_out, "a new round, three in all, then FAILED", Actor.USER),
    K.PAIRING_CODE: Reaction(_pairing(R.PAIRING_CODE_SHOWN), "no: a person types", Actor.USER),
    K.PAIRED: Reaction(_paired, "the engine connects; a new start after 60 s"),
    K.PAIR_ERROR: Reaction(_pair_error, "a new code, three rounds in all", Actor.USER),
    K.PAIR_RESTART: Reaction(_pair_restart, "expected; a new start after 60 s"),
    K.PASSKEY_REQUIRED: Reaction(_pairing(R.PASSKEY_REQUIRED), "no: a person confirms", Actor.USER),
    K.MULTIDEVICE_OFF: Reaction(_pairing(R.MULTIDEVICE_OFF), "no: the same code stays valid", Actor.USER),
    K.CONNECTING: Reaction(_dialing(R.CONNECTING, R.CLIENT_CONNECTING), "a new start, when it takes too long"),
    K.CONNECTED: Reaction(_connected, "none"),
    K.OFFLINE_SYNC_PREVIEW: Reaction(_sync_announced, "none"),
    K.OFFLINE_SYNC_COMPLETED: Reaction(_synced, "none"),
    K.DISCONNECTED: Reaction(_disconnected, "the engine's; a new start after 5 min"),
    K.CONNECT_ERROR: Reaction(_backoff(R.CONNECT_ERROR), "backoff"),
    K.KEEPALIVE_TIMEOUT: Reaction(_keepalive_missed, "a new start after 75 s"),
    K.KEEPALIVE_RESTORED: Reaction(_keepalive_restored, "none"),
    K.SERVER_UNAVAILABLE: Reaction(_engine_dials(R.SERVER_UNAVAILABLE), "the engine's; a new start after 5 min"),
    K.STREAM_ERROR: Reaction(_stream_error, "backoff; an alert after the same three times in 2 h", Actor.OPERATOR),
    K.LOGGED_OUT: Reaction(_end_at(State.LOGGED_OUT, R.LOGGED_OUT, Actor.USER), "never", Actor.USER),
    K.PRIMARY_GONE: Reaction(_end_at(State.LOGGED_OUT, R.PRIMARY_GONE, Actor.USER), "never", Actor.USER),
    K.BANNED: Reaction(_end_at(State.BANNED, R.BANNED, Actor.OWNER), "never", Actor.OWNER),
    K.TEMP_BANNED: Reaction(_temp_banned, "one, after the ban and a margin", Actor.OWNER),
    K.OUTDATED: Reaction(_outdated, "the canary, for all sessions; with another version first", Actor.OPERATOR),
    K.CONNECT_REFUSED: Reaction(_carefully(R.CONNECT_REFUSED), "after 5, 15, 60 min, then FAILED", Actor.OPERATOR),
    K.REPLACED: Reaction(_replaced, "once after 30-60 s when this service holds the lease", Actor.OWNER),
    K.TIMELOCK: Reaction(_timelocked, "none: still connected, new chats wait", Actor.OWNER),
    K.UNDECRYPTABLE: Reaction(_stay, "none: counted, the sender is asked again"),
    K.MESSAGE_LOST: Reaction(_stay, "none: named in the log and counted"),
    K.STARTED: Reaction(_dialing(R.STARTED, R.CLIENT_STARTED), "a new start, when no connection follows"),
    K.STOPPED: Reaction(_stopped, "a new start, when the pool starts none"),
    K.UNLINKED: Reaction(unlinked, "never", Actor.USER),
    K.PUMP_DIED: Reaction(_backoff(R.PUMP_DIED), "backoff"),
    K.WORKER_LOST: Reaction(_worker_lost, "the pool's, in a new worker; a new start after 60 s"),
    K.START_TIMEOUT: Reaction(_backoff(R.START_TIMEOUT), "backoff"),
    K.RECEIPT: Reaction(_active, "none"),
    K.PRESENCE: Reaction(_active, "none"),
}
