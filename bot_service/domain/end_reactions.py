"""Reactions to signals that end a session or hold it back: bans, refusals, replacement, logout."""

from __future__ import annotations

from bot_service.domain.moves import STOP, Changes, detail_of, end, move, replace
from bot_service.domain.reasons import Reason as R
from bot_service.domain.reconnect import between_ms
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
)
from bot_service.domain.states import Actor, State, Wanted


def end_at(state: State, reason: R, actor: Actor) -> React:
    """An end that removes the pairing."""

    def react(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
        return end(record, state, reason, actor, now_ms, detail=detail_of(signal), jid=None, lid=None)

    return react


def temp_banned(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    length = signal.data.get("expiresInMs")
    until = now_ms + (length if isinstance(length, int) else policy.timelock_default_ms)
    fields: Changes = {"banned_until_ms": until, "detail": detail_of(signal)}
    if record.ban_tries > 0:
        return end(record, State.TEMP_BANNED, R.TEMP_BANNED_AGAIN, Actor.OWNER, now_ms, **fields)
    fields["due"] = Due(DueKind.BAN_OVER, until + policy.ban_margin_ms)
    return end(record, State.TEMP_BANNED, R.TEMP_BANNED, Actor.NONE, now_ms, **fields)


def outdated(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    if signal.others_accepted:
        return carefully(R.CLIENT_REFUSED)(record, signal, policy, now_ms)
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
        detail=detail_of(signal),
    )
    # One alert for all sessions, raised by the effect; not one per session.
    alert = () if policy.client_outdated else (Effect(EffectKind.CLIENT_OUTDATED, R.CLIENT_OUTDATED.value),)
    return after, (STOP, *alert)


def carefully(reason: R) -> React:
    """A few late retries, then a person: frequent tries of a refused session do harm."""

    def react(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
        tried, detail = record.careful, detail_of(signal)
        if tried >= len(policy.careful_ms):
            return end(record, State.FAILED, reason, Actor.OPERATOR, now_ms, detail=detail)
        again = Due(DueKind.RETRY, now_ms + policy.careful_ms[tried])
        after = move(
            record, State.RECONNECTING, reason, now_ms, linked=False, careful=tried + 1, due=again, detail=detail
        )
        return after, (STOP,)

    return react


def replaced(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    if not signal.lease_held:
        return end(record, State.FENCED, R.REPLACED_BY_OWNER, Actor.NONE, now_ms, replaced_ms=now_ms)
    last = record.replaced_ms
    if last is not None and now_ms - last < policy.replaced_window_ms:
        return end(record, State.FENCED, R.REPLACED_TWICE, Actor.OWNER, now_ms, replaced_ms=now_ms)
    again = Due(DueKind.RETRY, now_ms + between_ms(record.id, now_ms, *policy.replaced_ms))
    return move(record, State.RECONNECTING, R.REPLACED, now_ms, linked=False, replaced_ms=now_ms, due=again), (STOP,)


def timelocked(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
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
