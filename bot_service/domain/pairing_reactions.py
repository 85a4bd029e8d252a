"""Reactions to signals about pairing: codes, their expiry, the scan."""

from __future__ import annotations

from bot_service.domain.moves import Changes, detail_of, end, move, replace
from bot_service.domain.reasons import Reason as R
from bot_service.domain.reconnect import between_ms
from bot_service.domain.session_record import (
    MINUTE_MS,
    Decision,
    Due,
    DueKind,
    React,
    SessionPolicy,
    SessionRecord,
    Signal,
)
from bot_service.domain.states import LINKED, Actor, State


def _has_phone(record: SessionRecord) -> bool:
    """Paired, or logged in without a reported pairing: no code is to be scanned."""
    return record.jid is not None or record.state in LINKED


# The library has no call for it.
PASSKEY_ADVICE = (
    "this service cannot answer a passkey: remove it on the phone (Settings, Account, Passkeys), then scan a new code"
)


def shown(reason: R, detail: str | None = None) -> React:
    """A code, or what the phone wants instead, is shown to the user."""

    def react(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
        if _has_phone(record):
            return record, ()  # a code for a phone that is paired already is not shown
        valid = signal.data.get("expiresInMs")
        until = now_ms + (valid if isinstance(valid, int) else 5 * MINUTE_MS) + policy.codes_margin_ms
        expiry, words = Due(DueKind.CODES, until), detail or detail_of(signal)
        return move(record, State.PAIRING, reason, now_ms, actor=Actor.USER, linked=False, due=expiry, detail=words), ()

    return react


def codes_ran_out(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    """A round of codes ended without a scan: a few rounds, then the session waits for a person."""
    if _has_phone(record) or (record.due is not None and record.due.kind is DueKind.RETRY):
        return record, ()
    return _next_round(record, R.QR_EXHAUSTED, R.PAIRING_TIMED_OUT, None, policy, now_ms)


def pair_error(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    if _has_phone(record):
        return record, ()
    return _next_round(record, R.PAIR_ERROR, R.PAIR_ERROR, detail_of(signal), policy, now_ms)


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


def paired(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    fields = paired_fields(record, signal, now_ms)
    if record.state in LINKED:
        return replace(record, **fields), ()
    fields["due"] = Due(DueKind.PAIRED, now_ms + policy.paired_timeout_ms)
    return move(record, State.CONNECTING, R.PAIRED, now_ms, **fields), ()


def pair_restart(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    if record.state in LINKED:
        return record, ()
    again = Due(DueKind.PAIRED, now_ms + policy.paired_timeout_ms)
    return move(record, State.CONNECTING, R.PAIR_RESTART, now_ms, due=again), ()
