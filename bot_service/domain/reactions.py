"""The reaction table: every signal of an engine, one row each: new state, who must act, how it goes on.

A row holds for a session that is wanted and not at an end; :func:`bot_service.domain.session_rules.advance` sees to the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from bot_service.domain.reconnect import backoff_ms, between_ms
from bot_service.domain.session_record import (
    MINUTE_MS,
    Due,
    DueKind,
    Effect,
    EffectKind,
    Seen,
    SessionPolicy,
    SessionRecord,
    Signal,
    Step,
)
from bot_service.domain.signals import SignalKind as K
from bot_service.domain.states import LINKED, Actor, State, Wanted

Reaction = Callable[[SessionRecord, Signal, SessionPolicy, int], Step]
replace = msgspec.structs.replace
START, STOP = Effect(EffectKind.START), Effect(EffectKind.STOP)


@dataclass(frozen=True, slots=True)
class Row:
    """``retry`` and ``acts`` are for people who read the table; ``then`` is what happens."""

    then: Reaction
    retry: str
    acts: Actor = Actor.NOBODY


# --- the moves that rows share ---


def move(record: SessionRecord, state: State, reason: str, now_ms: int, **changes: object) -> SessionRecord:
    """``record`` in ``state``; nobody must act and nothing is due unless ``changes`` says so."""
    fields: dict[str, object] = {"actor": Actor.NOBODY, "due": None, "detail": None} | changes
    fields |= {"state": state, "reason": reason}
    if state is not record.state:
        fields["since_ms"] = now_ms
    return replace(record, **fields)


def due(kind: DueKind, at_ms: int) -> Due:
    return Due(kind, at_ms)


def unlinked(record: SessionRecord, policy: SessionPolicy, now_ms: int) -> dict[str, object]:
    """The link is down. A link that had been stable begins the backoff anew."""
    stable = record.linked and record.linked_ms is not None and now_ms - record.linked_ms >= policy.stable_ms
    return {"linked": False, "attempt": 0 if stable else record.attempt}


def retry_soon(
    record: SessionRecord, reason: str, policy: SessionPolicy, now_ms: int, *, detail: str | None = None
) -> SessionRecord:
    """RECONNECTING, with our own start after a random wait under a growing ceiling."""
    changes = unlinked(record, policy, now_ms)
    attempt = int(str(changes["attempt"]))
    wait_ms = backoff_ms(record.id, attempt, now_ms, first_ms=policy.first_delay_ms, max_ms=policy.max_delay_ms)
    changes |= {"attempt": attempt + 1, "detail": detail, "due": due(DueKind.RETRY, now_ms + wait_ms)}
    return move(record, State.RECONNECTING, reason, now_ms, **changes)


def end(record: SessionRecord, state: State, reason: str, actor: Actor, now_ms: int, **changes: object) -> Step:
    """An end: the client is stopped and people are told."""
    fields = {"linked": False, "engaged": False, "actor": actor} | changes
    return move(record, state, reason, now_ms, **fields), (STOP, Effect(EffectKind.ATTENTION, reason))


def _detail(signal: Signal) -> str | None:
    for name in ("reason", "signature"):
        if signal.data.get(name) is not None:
            return str(signal.data[name])[:200]
    # A code that is text is one to pair with (QR or typed): a secret, which must not be kept in the story of a session.
    code = next((signal.data[name] for name in ("code", "exitCode") if isinstance(signal.data.get(name), int)), None)
    return None if code is None else str(code)


def _stay(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Step:
    return record, ()


def _alive(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Step:
    return replace(record, active_ms=max(record.active_ms, now_ms)), ()


def _backoff(reason: str) -> Reaction:
    def then(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Step:
        return retry_soon(record, reason, policy, now_ms, detail=_detail(signal)), ()

    return then


def _worker_lost(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Step:
    # The pool starts a new worker with the sessions of the lost one; when nothing comes of it, we start it ourselves.
    changes = unlinked(record, policy, now_ms) | {"detail": _detail(signal)}
    changes["due"] = due(DueKind.CONNECT, now_ms + policy.connect_timeout_ms)
    return move(record, State.RECONNECTING, "worker_lost", now_ms, **changes), ()


def _engine_dials(reason: str) -> Reaction:
    """The engine reconnects by itself; we take over when it does not succeed."""

    def then(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Step:
        if record.due is not None and record.due.kind in (DueKind.RETRY, DueKind.PAIRED):
            return record, ()  # our own start is on its way already, or the reconnect after pairing is expected
        waiting = record.due is not None and record.due.kind is DueKind.TAKE_OVER
        changes = unlinked(record, policy, now_ms) | {
            "detail": _detail(signal),
            "due": record.due if waiting else due(DueKind.TAKE_OVER, now_ms + policy.take_over_ms),
        }
        return move(record, State.RECONNECTING, reason, now_ms, **changes), ()

    return then


def _end_at(state: State, reason: str, actor: Actor, *, unpair: bool) -> Reaction:
    def then(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Step:
        gone: dict[str, object] = {"jid": None, "lid": None} if unpair else {}
        return end(record, state, reason, actor, now_ms, detail=_detail(signal), **gone)

    return then


# --- pairing ---


def _has_phone(record: SessionRecord) -> bool:
    """Paired, or logged in though nobody told of the pairing: either way no code is to be scanned."""
    return record.jid is not None or record.state in LINKED


def _pairing(reason: str) -> Reaction:
    def then(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Step:
        if _has_phone(record):
            return record, ()  # a code for a phone that is paired already is not shown
        valid = signal.data.get("expiresInMs")
        until = now_ms + (valid if isinstance(valid, int) else 5 * MINUTE_MS) + policy.codes_margin_ms
        fields: dict[str, object] = {"actor": Actor.USER, "linked": False, "due": due(DueKind.CODES, until)}
        return move(record, State.PAIRING, reason, now_ms, detail=_detail(signal), **fields), ()

    return then


def codes_ran_out(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Step:
    """A round of codes ended without a scan: a few rounds, then it waits for a person; never for ever."""
    if _has_phone(record) or (record.due is not None and record.due.kind is DueKind.RETRY):
        return record, ()
    rounds = record.qr_rounds + 1
    if rounds >= policy.qr_rounds:
        return end(record, State.FAILED, "pairing_timed_out", Actor.USER, now_ms, qr_rounds=rounds)
    again = due(DueKind.RETRY, now_ms + between_ms(record.id, now_ms, 1000, 3000))
    return move(record, State.PAIRING, "qr_exhausted", now_ms, actor=Actor.USER, qr_rounds=rounds, due=again), ()


def _pair_error(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Step:
    if _has_phone(record):
        return record, ()
    rounds = record.qr_rounds + 1
    if rounds >= policy.qr_rounds:
        return end(record, State.FAILED, "pair_error", Actor.USER, now_ms, qr_rounds=rounds, detail=_detail(signal))
    again = due(DueKind.RETRY, now_ms + between_ms(record.id, now_ms, 1000, 3000))
    changes = {"actor": Actor.USER, "qr_rounds": rounds, "due": again, "detail": _detail(signal)}
    return move(record, State.PAIRING, "pair_error", now_ms, **changes), ()


def paired_fields(record: SessionRecord, signal: Signal, now_ms: int) -> dict[str, object]:
    """Who was paired; kept whatever else holds, because the phone shows the link from now on."""
    return {
        "jid": signal.data.get("jid") or record.jid,
        "lid": signal.data.get("lid") or record.lid,
        "push_name": signal.data.get("pushName") or record.push_name,
        "qr_rounds": 0,
        "active_ms": now_ms,
    }


def _paired(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Step:
    fields = paired_fields(record, signal, now_ms)
    if record.state in LINKED:
        return replace(record, **fields), ()
    fields["due"] = due(DueKind.PAIRED, now_ms + policy.paired_timeout_ms)
    return move(record, State.CONNECTING, "paired", now_ms, **fields), ()


def _pair_restart(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Step:
    if record.state in LINKED:
        return record, ()
    again = due(DueKind.PAIRED, now_ms + policy.paired_timeout_ms)
    return move(record, State.CONNECTING, "pair_restart", now_ms, due=again), ()


# --- link ---


def _dialling(reason: str) -> Reaction:
    def then(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Step:
        if record.linked:
            # A client that was linked dials anew: its worker was replaced, and its place taken by another start.
            after = move(record, State.RECONNECTING, f"client_{reason}", now_ms, **unlinked(record, policy, now_ms))
            return replace(after, due=due(DueKind.CONNECT, now_ms + policy.connect_timeout_ms)), ()
        if record.state is State.PAIRING:
            return record, ()
        if record.due is not None and record.due.kind in (DueKind.RETRY, DueKind.TAKE_OVER, DueKind.PAIRED):
            return record, ()
        again = due(DueKind.CONNECT, now_ms + policy.connect_timeout_ms)
        if record.state is State.RECONNECTING:
            return replace(record, due=again), ()
        return move(record, State.CONNECTING, reason, now_ms, due=again, detail=_detail(signal)), ()

    return then


def _connected(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Step:
    if record.linked and record.reason not in ("keepalive_timeout", "frames_stale"):
        return record, ()
    again = due(DueKind.SYNC, now_ms + policy.sync_timeout_ms)
    after = move(
        record, State.SYNCING, "connected", now_ms, linked=True, linked_ms=now_ms, due=again, careful=0, suspicion=None
    )
    return after, ()


def _sync_announced(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Step:
    announced = signal.data.get("messages")
    return replace(record, missed=announced if isinstance(announced, int) else record.missed), ()


def _synced(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Step:
    if record.state is not State.SYNCING:
        return record, ()
    return move(record, State.READY, "synced", now_ms, ban_tries=0), ()


def _disconnected(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Step:
    if record.jid is None and record.state is State.PAIRING:
        # The server hangs up when the codes have run out, or in the middle of pairing: a new round shows new codes.
        return codes_ran_out(record, signal, policy, now_ms)
    return _engine_dials("disconnected")(record, signal, policy, now_ms)


def _keepalive_missed(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Step:
    if record.state not in LINKED or record.reason == "keepalive_timeout":
        return record, ()
    again = due(DueKind.LINK, now_ms + policy.link_timeout_ms)
    return move(record, State.DEGRADED, "keepalive_timeout", now_ms, due=again), ()


def _keepalive_restored(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Step:
    if record.state is State.DEGRADED and record.reason in ("keepalive_timeout", "frames_stale"):
        return move(record, State.READY, "keepalive_restored", now_ms), ()
    return record, ()


def _stream_error(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Step:
    signature = str(signal.data.get("signature") or "unknown")[:100]
    recent = [seen for seen in record.errors if now_ms - seen.at_ms < policy.signature_window_ms][-19:]
    recent.append(Seen(signature, now_ms))
    after = retry_soon(replace(record, errors=tuple(recent)), "stream_error", policy, now_ms, detail=signature)
    same = sum(seen.signature == signature for seen in recent)
    if same < policy.signature_limit:
        return after, ()
    # The same error again and again is a stanza that the client cannot digest: an upgrade cures it, a new pairing never.
    after = replace(after, reason="poison_stanza", actor=Actor.OPERATOR)
    return after, (Effect(EffectKind.ATTENTION, "poison_stanza"),) if same == policy.signature_limit else ()


# --- ends ---


def _temp_banned(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Step:
    length = signal.data.get("expiresInMs")
    until = now_ms + (length if isinstance(length, int) else policy.timelock_default_ms)
    fields: dict[str, object] = {"banned_until_ms": until, "detail": _detail(signal)}
    if record.ban_tries > 0:
        return end(record, State.TEMP_BANNED, "temp_banned_again", Actor.OWNER, now_ms, **fields)
    fields["due"] = due(DueKind.BAN_OVER, until + policy.ban_margin_ms)
    return end(record, State.TEMP_BANNED, "temp_banned", Actor.NOBODY, now_ms, **fields)


CLIENT_REFUSED = "client_refused"


def _outdated(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Step:
    if signal.others_accepted:
        return _carefully(CLIENT_REFUSED)(record, signal, policy, now_ms)
    asks = not policy.fleet_outdated or policy.canary in (None, record.id)
    again = due(DueKind.FLEET_PROBE, now_ms + policy.fleet_probe_ms) if asks else None
    after = move(
        record,
        State.OUTDATED,
        "client_outdated",
        now_ms,
        linked=False,
        engaged=False,
        actor=Actor.OPERATOR,
        due=again,
        detail=_detail(signal),
    )
    # One alert for the whole fleet, raised by the effect; not one a session.
    return after, (STOP,) if policy.fleet_outdated else (STOP, Effect(EffectKind.FLEET_OUTDATED, "client_outdated"))


def _carefully(reason: str) -> Reaction:
    """A few late retries, then a person: the server refuses this session, and asking often would make it worse."""

    def then(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Step:
        if record.careful >= len(policy.careful_ms):
            return end(record, State.FAILED, reason, Actor.OPERATOR, now_ms, detail=_detail(signal))
        again = due(DueKind.RETRY, now_ms + policy.careful_ms[record.careful])
        fields: dict[str, object] = {"linked": False, "careful": record.careful + 1, "due": again}
        fields["detail"] = _detail(signal)
        return move(record, State.RECONNECTING, reason, now_ms, **fields), (STOP,)

    return then


def _replaced(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Step:
    if not signal.lease_ours:
        return end(record, State.FENCED, "replaced_by_owner", Actor.NOBODY, now_ms, replaced_ms=now_ms)
    last = record.replaced_ms
    if last is not None and now_ms - last < policy.replaced_window_ms:
        return end(record, State.FENCED, "replaced_twice", Actor.OWNER, now_ms, replaced_ms=now_ms)
    again = due(DueKind.RETRY, now_ms + between_ms(record.id, now_ms, *policy.replaced_ms))
    return move(record, State.RECONNECTING, "replaced", now_ms, linked=False, replaced_ms=now_ms, due=again), (STOP,)


def _timelocked(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Step:
    until = signal.data.get("untilMs")
    until = until if isinstance(until, int) else now_ms + policy.timelock_default_ms
    known = (record.timelocked_until_ms or 0) > now_ms
    after = replace(record, timelocked_until_ms=until)
    return after, () if known else (Effect(EffectKind.ATTENTION, "timelocked"),)


def _own_logout(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Step:
    after = move(
        record, State.LOGGED_OUT, "user_logout", now_ms, linked=False, engaged=False, jid=None, lid=None,
        actor=Actor.USER, wanted=Wanted.STOP,
    )  # fmt: skip
    return after, (STOP,)


def _stopped(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Step:
    if record.due is not None and record.due.kind in (DueKind.RETRY, DueKind.START):
        return record, ()  # the stop that belongs to our own start
    # A recycled worker lets its sessions go and starts them in the next one: wait for that, then start it ourselves.
    again = due(DueKind.CONNECT, now_ms + policy.connect_timeout_ms)
    return move(record, State.RECONNECTING, "client_stopped", now_ms, linked=False, due=again), ()


REACTIONS: dict[K, Row] = {
    K.QR: Row(_pairing("qr_shown"), "no: a person scans", Actor.USER),
    K.QR_EXHAUSTED: Row(codes_ran_out, "a new round, three in all, then FAILED", Actor.USER),
    K.PAIRING_CODE: Row(_pairing("pairing_code_shown"), "no: a person types", Actor.USER),
    K.PAIRED: Row(_paired, "the engine connects; we do after 60 s"),
    K.PAIR_ERROR: Row(_pair_error, "a new code, three rounds in all", Actor.USER),
    K.PAIR_RESTART: Row(_pair_restart, "expected; we connect after 60 s"),
    K.PASSKEY_REQUIRED: Row(_pairing("passkey_required"), "no: a person confirms", Actor.USER),
    K.MULTIDEVICE_OFF: Row(_pairing("multidevice_off"), "no: the same code stays valid", Actor.USER),
    K.CONNECTING: Row(_dialling("connecting"), "ours, when it takes too long"),
    K.CONNECTED: Row(_connected, "none"),
    K.OFFLINE_SYNC_PREVIEW: Row(_sync_announced, "none"),
    K.OFFLINE_SYNC_COMPLETED: Row(_synced, "none"),
    K.DISCONNECTED: Row(_disconnected, "the engine's; ours after 5 min"),
    K.CONNECT_ERROR: Row(_backoff("connect_error"), "backoff"),
    K.KEEPALIVE_TIMEOUT: Row(_keepalive_missed, "ours after 75 s"),
    K.KEEPALIVE_RESTORED: Row(_keepalive_restored, "none"),
    K.SERVER_UNAVAILABLE: Row(_engine_dials("server_unavailable"), "the engine's; ours after 5 min"),
    K.STREAM_ERROR: Row(_stream_error, "backoff; the same three times in 2 h is told", Actor.OPERATOR),
    K.LOGGED_OUT: Row(_end_at(State.LOGGED_OUT, "logged_out", Actor.USER, unpair=True), "never", Actor.USER),
    K.PRIMARY_GONE: Row(_end_at(State.LOGGED_OUT, "primary_gone", Actor.USER, unpair=True), "never", Actor.USER),
    K.BANNED: Row(_end_at(State.BANNED, "banned", Actor.OWNER, unpair=True), "never", Actor.OWNER),
    K.TEMP_BANNED: Row(_temp_banned, "one, after the ban and a margin", Actor.OWNER),
    K.OUTDATED: Row(_outdated, "one session, the canary, for all; with another version first", Actor.OPERATOR),
    K.CONNECT_REFUSED: Row(_carefully("connect_refused"), "after 5, 15 and 60 min, then FAILED", Actor.OPERATOR),
    K.REPLACED: Row(_replaced, "once after 30-60 s when the lease is ours", Actor.OWNER),
    K.TIMELOCK: Row(_timelocked, "none: still connected, new chats wait", Actor.OWNER),
    K.UNDECRYPTABLE: Row(_stay, "none: counted, the sender is asked again"),
    K.MESSAGE_LOST: Row(_stay, "none: named in the log and counted"),
    K.STARTED: Row(_dialling("started"), "ours, when no connection follows"),
    K.STOPPED: Row(_stopped, "ours, when nobody starts it again"),
    K.UNLINKED: Row(_own_logout, "never", Actor.USER),
    K.PUMP_DIED: Row(_backoff("pump_died"), "backoff"),
    K.WORKER_LOST: Row(_worker_lost, "the pool's, in a new worker; ours after 60 s"),
    K.START_TIMEOUT: Row(_backoff("start_timeout"), "backoff"),
    K.RECEIPT: Row(_alive, "none"),
    K.PRESENCE: Row(_alive, "none"),
}
