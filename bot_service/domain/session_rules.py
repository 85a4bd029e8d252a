"""``advance``: the one function that decides what a session becomes and what follows; pure.

A command sets what is wanted and is judged first by :func:`refusal`. A signal never changes what is wanted, with one
exception: our own logout ends the wish to run.
"""

from __future__ import annotations

from dataclasses import dataclass

from bot_service.domain.reactions import (
    CLIENT_REFUSED,
    REACTIONS,
    STOP,
    codes_ran_out,
    due,
    move,
    paired_fields,
    replace,
    retry_soon,
)
from bot_service.domain.recovery import climb, look
from bot_service.domain.session_record import (
    Command,
    CommandKind,
    DueKind,
    Effect,
    EffectKind,
    Fact,
    Fired,
    FleetOutdated,
    FleetRecovered,
    Look,
    SessionPolicy,
    SessionRecord,
    Signal,
    Step,
)
from bot_service.domain.signals import SignalKind
from bot_service.domain.states import ENDS, FINAL, LINKED, LIVE, Actor, State, Wanted


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a command cannot be done in this state. ``code`` is stable."""

    code: str
    detail: str


def refusal(record: SessionRecord, kind: CommandKind, now_ms: int) -> Refusal | None:
    """None when ``kind`` may be done now."""
    if kind in (CommandKind.START, CommandKind.RESTART):
        until = record.banned_until_ms
        if until is not None and until > now_ms:
            return Refusal("temporarily_banned", "WhatsApp has banned this account for a time: wait until it is over")
    if kind is CommandKind.LOGGED_OUT and record.jid is not None and record.state not in LINKED:
        return Refusal("wrong_state", f"the session is {record.state.value}: a phone is unlinked while connected")
    if kind is CommandKind.RECONNECT and (record.wanted is Wanted.STOP or record.state not in LIVE):
        return Refusal("wrong_state", f"the session is {record.state.value}: there is no connection to renew")
    return None


def advance(record: SessionRecord, fact: Fact, policy: SessionPolicy, now_ms: int) -> Step:
    """The new record and the effects, in order. The same record (``is``) when nothing changed."""
    match fact:
        case Command():
            return _command(record, fact, policy, now_ms)
        case Signal():
            return _signal(record, fact, policy, now_ms)
        case Fired():
            return _fired(record, fact, policy, now_ms)
        case Look():
            return look(record, fact, policy, now_ms)
        case FleetOutdated():
            return _hold(record, now_ms)
        case FleetRecovered():
            waits = record.state is State.OUTDATED or record.reason == CLIENT_REFUSED
            if not waits or record.wanted is Wanted.STOP:
                return record, ()
            # The herd limit spreads the starts.
            return move(
                record, State.RECONNECTING, "fleet_recovered", now_ms, careful=0, due=due(DueKind.RETRY, now_ms)
            ), ()


# --- commands ---


def _begin(
    record: SessionRecord, reason: str, policy: SessionPolicy, now_ms: int, effect: EffectKind = EffectKind.START
) -> Step:
    after = move(
        record,
        State.STARTING,
        reason,
        now_ms,
        wanted=Wanted.RUN,
        engaged=True,
        linked=False,
        suspicion=None,
        due=due(DueKind.START, now_ms + policy.start_timeout_ms),
    )
    return after, (Effect(effect, reason),)


def _command(record: SessionRecord, command: Command, policy: SessionPolicy, now_ms: int) -> Step:
    reason = command.reason or command.kind.value
    match command.kind:
        case CommandKind.START if record.wanted is Wanted.RUN and record.state in LIVE:
            return replace(record, active_ms=now_ms), ()
        case CommandKind.START | CommandKind.RESTART:
            fresh = replace(
                record,
                attempt=0,
                careful=0,
                qr_rounds=0,
                ban_tries=0,
                banned_until_ms=None,
                rung=0,
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
            return REACTIONS[SignalKind.UNLINKED].then(record, Signal(SignalKind.UNLINKED), policy, now_ms)
        case CommandKind.CLOSE:
            if record.state not in LIVE:
                return record, ()
            fields: dict[str, object] = {"wanted": Wanted.STOP, "linked": False, "engaged": False, "actor": Actor.USER}
            return move(record, State.CLOSED, reason, now_ms, **fields), (STOP, Effect(EffectKind.ATTENTION, "closed"))
        case CommandKind.RECYCLE:
            aged = replace(record, aged_from_ms=now_ms)
            if record.wanted is Wanted.STOP or record.state not in LIVE:
                return aged, ()
            return _renew(aged, reason, now_ms), ()
        case CommandKind.RECONNECT:
            if record.wanted is Wanted.STOP or record.state not in LIVE:
                return record, ()
            return _renew(record, reason, now_ms), ()
        case CommandKind.ASK_FOR_FLEET:
            if record.state is not State.OUTDATED or record.wanted is Wanted.STOP:
                return record, ()
            return replace(record, due=due(DueKind.FLEET_PROBE, command.at_ms or now_ms + policy.fleet_probe_ms)), ()
        case CommandKind.RESTORE:
            return _restore(record, command, now_ms)


def _renew(record: SessionRecord, reason: str, now_ms: int) -> SessionRecord:
    """A fresh connection, begun as soon as the herd limit lets it."""
    return move(record, State.RECONNECTING, reason, now_ms, linked=False, due=due(DueKind.RETRY, now_ms))


def _stop(record: SessionRecord, reason: str, now_ms: int) -> Step:
    if record.state in (State.STOPPED, State.CLOSED, State.LOGGED_OUT, State.BANNED):
        return (replace(record, wanted=Wanted.STOP) if record.wanted is Wanted.RUN else record), ()
    after = move(record, State.STOPPED, reason, now_ms, wanted=Wanted.STOP, linked=False, engaged=False)
    return after, (STOP,) if record.engaged else ()


def _restore(record: SessionRecord, command: Command, now_ms: int) -> Step:
    """This service begins: what ran before is started again in its turn, what waits goes on waiting."""
    idle = replace(record, linked=False, engaged=False)
    if record.wanted is Wanted.STOP:
        stopped = record.state in LIVE
        return (move(idle, State.STOPPED, "stopped_at_boot", now_ms) if stopped else record), ()
    if record.state in FINAL:
        return record, ()
    if record.state in ENDS or (record.careful > 0 and record.due is not None and record.due.kind is DueKind.RETRY):
        return idle, ()
    idle = replace(idle, attempt=0, suspicion=None)
    return move(idle, State.STARTING, "restored", now_ms, due=due(DueKind.RETRY, command.at_ms or now_ms)), ()


# --- signals ---


def _signal(record: SessionRecord, signal: Signal, policy: SessionPolicy, now_ms: int) -> Step:
    kind = signal.kind
    if record.wanted is Wanted.RUN and record.state in LIVE:
        return REACTIONS[kind].then(record, signal, policy, now_ms)
    # Not wanted, or at an end: only what the phone decided is still believed.
    if kind is SignalKind.PAIRED:
        return replace(record, **paired_fields(record, signal, now_ms)), ()
    if kind in (SignalKind.LOGGED_OUT, SignalKind.PRIMARY_GONE) and record.jid is not None:
        if record.state is State.LOGGED_OUT or record.state is State.BANNED:
            return replace(record, jid=None, lid=None), ()
        return move(record, State.LOGGED_OUT, kind.value, now_ms, jid=None, lid=None, actor=Actor.USER), ()
    if kind is SignalKind.CONNECTED:
        return record, (STOP,)  # nobody wants this connection
    return record, ()


# --- time ---


def _fired(record: SessionRecord, fired: Fired, policy: SessionPolicy, now_ms: int) -> Step:
    kind = fired.kind
    if record.due is None or record.due.kind is not kind or record.wanted is Wanted.STOP:
        return record, ()
    match kind:
        case DueKind.RETRY:
            return _retry(record, policy, now_ms)
        case DueKind.SYNC:
            return move(record, State.READY, "sync_timed_out", now_ms, ban_tries=0), ()
        case DueKind.BAN_OVER:
            tried = replace(record, ban_tries=record.ban_tries + 1)
            return _begin(tried, "ban_over", policy, now_ms)
        case DueKind.FLEET_PROBE:
            if policy.fleet_outdated and policy.canary != record.id:
                return replace(record, due=None), ()  # another session is the canary now
            return _begin(record, "fleet_probe", policy, now_ms)
        case DueKind.START | DueKind.CONNECT | DueKind.PAIRED | DueKind.TAKE_OVER:
            return retry_soon(record, f"{kind.value}_timeout", policy, now_ms, detail=record.detail), ()
        case DueKind.CODES:
            return codes_ran_out(record, Signal(SignalKind.QR_EXHAUSTED), policy, now_ms)
        case DueKind.LADDER:
            return climb(record, policy, now_ms, may_recycle=fired.may_recycle)
        case DueKind.LINK:
            return _renew(record, f"{record.reason}_reconnect", now_ms), ()


def _retry(record: SessionRecord, policy: SessionPolicy, now_ms: int) -> Step:
    # A restored session is started all the same: a worker may have kept it connected. Otherwise its start is held.
    if policy.fleet_outdated and policy.canary != record.id and record.reason != "restored":
        return _hold(record, now_ms)
    begun = due(DueKind.START, now_ms + policy.start_timeout_ms)
    effect = EffectKind.REBUILD if record.reason == "rebuild" else EffectKind.START
    return replace(record, engaged=True, linked=False, due=begun), (Effect(effect, record.reason),)


def _hold(record: SessionRecord, now_ms: int) -> Step:
    """OUTDATED without a login: it waits until the canary has found a client version that is accepted."""
    trying = record.state in (State.STARTING, State.CONNECTING, State.RECONNECTING) and not record.linked
    if record.wanted is Wanted.STOP or not trying:
        return record, ()
    held = move(record, State.OUTDATED, "fleet_outdated", now_ms, actor=Actor.OPERATOR, linked=False, engaged=False)
    return held, (STOP,) if record.engaged else ()
