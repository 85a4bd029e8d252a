"""``advance``: the one function that decides what a session becomes and what follows; pure.

A command sets what is wanted; :func:`refusal` checks it first. A signal never changes what is
wanted, with one exception: a logout asked for by a user sets it to STOP.
"""

from __future__ import annotations

from dataclasses import dataclass

from bot_service.domain.end_reactions import unlinked
from bot_service.domain.moves import STOP, move, replace, retry_soon
from bot_service.domain.pairing_reactions import codes_ran_out, paired_fields
from bot_service.domain.reactions import REACTIONS
from bot_service.domain.reasons import Reason
from bot_service.domain.recovery import check_link, escalate
from bot_service.domain.session_record import (
    ClientAccepted,
    ClientOutdated,
    Command,
    CommandKind,
    Decision,
    Due,
    DueKind,
    Effect,
    EffectKind,
    Fact,
    LinkCheck,
    SessionPolicy,
    SessionRecord,
    Signal,
    TimerFired,
)
from bot_service.domain.signals import SignalKind
from bot_service.domain.states import ENDS, FINAL, LINKED, LIVE, Actor, State, Wanted

_REASONS = {
    CommandKind.START: Reason.USER_START,
    CommandKind.STOP: Reason.USER_STOP,
    CommandKind.RESTART: Reason.USER_RESTART,
    CommandKind.CLOSE: Reason.INACTIVE,
    CommandKind.RECYCLE: Reason.RECYCLE_MAX_AGE,
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a command cannot be done in this state. ``code`` is stable."""

    code: str
    detail: str


def refusal(record: SessionRecord, kind: CommandKind, now_ms: int) -> Refusal | None:
    """None when ``kind`` may be done now."""
    if record.exported_ms is not None and kind in (CommandKind.START, CommandKind.RESTART):
        return Refusal(
            "exported", "the pairing was exported and may run elsewhere: take it back first, or delete it here"
        )
    if record.exported_ms is None and kind is CommandKind.TAKE_BACK:
        return Refusal("not_exported", "the session was not exported: there is nothing to take back")
    if record.jid is None and kind is CommandKind.EXPORT:
        return Refusal("not_paired", "no phone is linked: there is no pairing to export")
    if kind in (CommandKind.START, CommandKind.RESTART):
        until = record.banned_until_ms
        if until is not None and until > now_ms:
            return Refusal("temporarily_banned", "WhatsApp has banned this account for a time: wait until it is over")
    if kind is CommandKind.LOGGED_OUT and record.jid is not None and record.state not in LINKED:
        return Refusal("wrong_state", f"the session is {record.state.value}: a phone is unlinked while connected")
    if kind is CommandKind.RECONNECT and (record.wanted is Wanted.STOP or record.state not in LIVE):
        return Refusal("wrong_state", f"the session is {record.state.value}: there is no connection to renew")
    return None


def advance(record: SessionRecord, fact: Fact, policy: SessionPolicy, now_ms: int) -> Decision:
    """The new record and the effects, in order. The same record (``is``) when nothing changed."""
    match fact:
        case Command():
            return _command(record, fact, policy, now_ms)
        case Signal():
            return _signal(record, fact, policy, now_ms)
        case TimerFired():
            return _fired(record, fact, policy, now_ms)
        case LinkCheck():
            return check_link(record, fact, policy, now_ms)
        case ClientOutdated():
            return _hold(record, now_ms)
        case ClientAccepted():
            waits = record.state is State.OUTDATED or record.reason == Reason.CLIENT_REFUSED
            if not waits or record.wanted is Wanted.STOP:
                return record, ()
            # The herd limit spreads the starts.
            return _reconnect(replace(record, careful=0), Reason.FLEET_RECOVERED, now_ms), ()


# --- commands ---


def _begin(record: SessionRecord, reason: Reason, policy: SessionPolicy, now_ms: int) -> Decision:
    after = move(
        record,
        State.STARTING,
        reason,
        now_ms,
        wanted=Wanted.RUN,
        engaged=True,
        linked=False,
        suspicion=None,
        due=Due(DueKind.START, now_ms + policy.start_timeout_ms),
    )
    return after, (Effect(EffectKind.START, reason),)


def _command(record: SessionRecord, command: Command, policy: SessionPolicy, now_ms: int) -> Decision:
    reason = command.reason or _REASONS.get(command.kind, Reason.RECONNECT)
    runs = record.wanted is Wanted.RUN and record.state in LIVE
    if record.exported_ms is not None and command.kind is not CommandKind.TAKE_BACK:
        return record, ()  # nothing but this ends it: another service may use the pairing
    match command.kind:
        case CommandKind.START if runs:
            return replace(record, active_ms=now_ms), ()
        case CommandKind.START | CommandKind.RESTART:
            fresh = replace(
                record,
                attempt=0,
                careful=0,
                qr_rounds=0,
                ban_tries=0,
                banned_until_ms=None,
                recovery_step=0,
                replaced_ms=None,
                active_ms=now_ms,
                aged_from_ms=now_ms if record.state is State.CLOSED else record.aged_from_ms,
            )
            return _begin(fresh, reason, policy, now_ms)
        case CommandKind.STOP:
            return _stop(record, reason, now_ms)
        case CommandKind.LOGGED_OUT:
            if record.jid is None and record.state not in LIVE:
                return replace(record, wanted=Wanted.STOP, due=None), ()
            return unlinked(record, Signal(SignalKind.UNLINKED), policy, now_ms)
        case CommandKind.CLOSE:
            if record.state not in LIVE:
                return record, ()
            after = move(
                record,
                State.CLOSED,
                reason,
                now_ms,
                wanted=Wanted.STOP,
                linked=False,
                engaged=False,
                actor=Actor.USER,
            )
            return after, (STOP, Effect(EffectKind.ATTENTION, Reason.CLOSED.value))
        case CommandKind.RECYCLE:
            aged = replace(record, aged_from_ms=now_ms)
            return _reconnect(aged, reason, now_ms) if runs else aged, ()
        case CommandKind.RECONNECT:
            return _reconnect(record, reason, now_ms) if runs else record, ()
        case CommandKind.TRY_AS_CANARY:
            if record.state is not State.OUTDATED or record.wanted is Wanted.STOP:
                return record, ()
            at_ms = command.at_ms or now_ms + policy.canary_login_ms
            return replace(record, due=Due(DueKind.CANARY_LOGIN, at_ms)), ()
        case CommandKind.RESTORE:
            return _restore(record, command, now_ms)
        case CommandKind.EXPORT:
            return _export(record, now_ms) if record.jid is not None else (record, ())
        case CommandKind.TAKE_BACK if record.exported_ms is None:
            return record, ()
        case CommandKind.TAKE_BACK:
            return move(record, State.STOPPED, Reason.TAKEN_BACK, now_ms, exported_ms=None), ()


def _reconnect(record: SessionRecord, reason: Reason, now_ms: int) -> SessionRecord:
    """A fresh connection, begun as soon as the herd limit lets it."""
    return move(record, State.RECONNECTING, reason, now_ms, linked=False, due=Due(DueKind.RETRY, now_ms))


def _stop(record: SessionRecord, reason: Reason, now_ms: int) -> Decision:
    if record.state is State.CLOSED and record.reason in (Reason.INACTIVE, Reason.MAX_AGE):
        # It was closed for its age; from now on it is away because a person wants that.
        return replace(record, reason=reason.value, actor=Actor.NONE, detail=None, wanted=Wanted.STOP), ()
    if record.state in (State.STOPPED, State.CLOSED, State.LOGGED_OUT, State.BANNED):
        return (replace(record, wanted=Wanted.STOP) if record.wanted is Wanted.RUN else record), ()
    after = move(record, State.STOPPED, reason, now_ms, wanted=Wanted.STOP, linked=False, engaged=False)
    return after, (STOP,) if record.engaged else ()


def _export(record: SessionRecord, now_ms: int) -> Decision:
    """Fenced: this service must not log in with a pairing that another one may use."""
    after = move(
        record, State.FENCED, Reason.EXPORTED, now_ms, exported_ms=now_ms, wanted=Wanted.STOP, linked=False,
        engaged=False, suspicion=None,
    )  # fmt: skip
    return after, (STOP,)


def _restore(record: SessionRecord, command: Command, now_ms: int) -> Decision:
    """This service starts: what ran before starts again in its turn, what waits goes on waiting."""
    idle = replace(record, linked=False, engaged=False)
    if record.wanted is Wanted.STOP:
        stopped = record.state in LIVE
        return (move(idle, State.STOPPED, Reason.STOPPED_AT_BOOT, now_ms) if stopped else record), ()
    if record.state in FINAL:
        return record, ()
    if record.state in ENDS or (record.careful > 0 and record.due is not None and record.due.kind is DueKind.RETRY):
        return idle, ()
    idle = replace(idle, attempt=0, suspicion=None)
    return move(idle, State.STARTING, Reason.RESTORED, now_ms, due=Due(DueKind.RETRY, command.at_ms or now_ms)), ()


# --- signals ---


def _signal(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Decision:
    kind = signal.kind
    if record.wanted is Wanted.RUN and record.state in LIVE:
        return REACTIONS[kind].react(record, signal, policy, now_ms)
    # Not wanted, or at an end: only what the phone decided still counts.
    if kind is SignalKind.PAIRED:
        return replace(record, **paired_fields(record, signal, now_ms)), ()
    if kind in (SignalKind.LOGGED_OUT, SignalKind.PRIMARY_GONE) and record.jid is not None:
        if record.state is State.LOGGED_OUT or record.state is State.BANNED:
            return replace(record, jid=None, lid=None), ()
        return move(record, State.LOGGED_OUT, Reason(kind), now_ms, jid=None, lid=None, actor=Actor.USER), ()
    if kind is SignalKind.CONNECTED:
        return record, (STOP,)  # this connection is not wanted
    return record, ()


# --- time ---


def _fired(record: SessionRecord, fired: TimerFired, policy: SessionPolicy, now_ms: int) -> Decision:
    kind = fired.kind
    if record.due is None or record.due.kind is not kind or record.wanted is Wanted.STOP:
        return record, ()
    match kind:
        case DueKind.RETRY:
            return _retry(record, policy, now_ms)
        case DueKind.SYNC:
            return move(record, State.READY, Reason.SYNC_TIMED_OUT, now_ms, ban_tries=0), ()
        case DueKind.BAN_OVER:
            tried = replace(record, ban_tries=record.ban_tries + 1)
            return _begin(tried, Reason.BAN_OVER, policy, now_ms)
        case DueKind.CANARY_LOGIN:
            if policy.client_outdated and policy.canary != record.id:
                return replace(record, due=None), ()  # another session is the canary now
            return _begin(record, Reason.FLEET_PROBE, policy, now_ms)
        case DueKind.START | DueKind.CONNECT | DueKind.PAIRED | DueKind.TAKE_OVER:
            return retry_soon(record, Reason(f"{kind.value}_timeout"), policy, now_ms, detail=record.detail), ()
        case DueKind.CODES:
            return codes_ran_out(record, Signal(SignalKind.QR_EXHAUSTED), policy, now_ms)
        case DueKind.RECOVERY:
            return escalate(record, policy, now_ms, may_recycle=fired.may_recycle)
        case DueKind.LINK:
            stale = record.reason == Reason.FRAMES_STALE
            reason = Reason.FRAMES_STALE_RECONNECT if stale else Reason.KEEPALIVE_TIMEOUT_RECONNECT
            return _reconnect(record, reason, now_ms), ()


def _retry(record: SessionRecord, policy: SessionPolicy, now_ms: int) -> Decision:
    # A restored session starts all the same, because a worker may have kept it connected.
    if policy.client_outdated and policy.canary != record.id and record.reason != Reason.RESTORED:
        return _hold(record, now_ms)
    begun = Due(DueKind.START, now_ms + policy.start_timeout_ms)
    effect = EffectKind.REBUILD if record.reason == Reason.REBUILD else EffectKind.START
    return replace(record, engaged=True, linked=False, due=begun), (Effect(effect, record.reason),)


def _hold(record: SessionRecord, now_ms: int) -> Decision:
    """OUTDATED without a login: waits until the canary has found an accepted client version."""
    trying = record.state in (State.STARTING, State.CONNECTING, State.RECONNECTING) and not record.linked
    if record.wanted is Wanted.STOP or not trying:
        return record, ()
    held = move(
        record, State.OUTDATED, Reason.FLEET_OUTDATED, now_ms, actor=Actor.OPERATOR, linked=False, engaged=False
    )
    return held, (STOP,) if record.engaged else ()
