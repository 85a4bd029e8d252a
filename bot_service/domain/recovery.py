"""Recovery of a session that may not receive: DEGRADED first, then one recovery step after another.

The steps are: reconnect, start the client in another worker, replace the worker, alert a person.
Each is taken once until receiving is proven.
"""

from __future__ import annotations

from bot_service.domain.moves import move, replace
from bot_service.domain.readiness import Suspicion
from bot_service.domain.reasons import Reason
from bot_service.domain.session_record import (
    Decision,
    Due,
    DueKind,
    Effect,
    EffectKind,
    LinkCheck,
    SessionPolicy,
    SessionRecord,
)
from bot_service.domain.states import LIVE, Actor, State, Wanted

STEPS = (Reason.RECONNECT, Reason.REBUILD, Reason.RECYCLE_WORKER)
# The number of the step that alerts a person.
LAST_STEP = len(STEPS) + 1
SUSPECTED = Reason.RECEIVE_SUSPECTED


def check_link(record: SessionRecord, fact: LinkCheck, policy: SessionPolicy, now_ms: int) -> Decision:
    """Decides for READY and DEGRADED; every other state has its own timer."""
    if record.wanted is Wanted.STOP or record.state not in (State.READY, State.DEGRADED):
        return record, ()
    if fact.frame_age_ms >= policy.frame_fresh_ms:
        if record.state is State.READY:
            reconnect = Due(DueKind.LINK, now_ms + policy.link_timeout_ms)
            detail = f"{fact.frame_age_ms} ms"
            return move(record, State.DEGRADED, Reason.FRAMES_STALE, now_ms, due=reconnect, detail=detail), ()
        return record, ()
    if record.state is State.DEGRADED and record.reason == Reason.FRAMES_STALE:
        return move(record, State.READY, Reason.FRAMES_AGAIN, now_ms), ()
    if fact.suspicion is None:
        if record.state is State.DEGRADED and record.reason == SUSPECTED:
            return move(record, State.READY, Reason.RECEIVING_AGAIN, now_ms, suspicion=None, recovery_step=0), ()
        return record, ()
    if record.state is State.DEGRADED:
        return record, ()  # it waits for its next step, or for the keepalive
    step = Due(DueKind.RECOVERY, now_ms + policy.recovery_delay_ms)
    after = move(record, State.DEGRADED, SUSPECTED, now_ms, suspicion=fact.suspicion, detail=fact.suspicion, due=step)
    return after, ()


def escalate(record: SessionRecord, policy: SessionPolicy, now_ms: int, *, may_recycle: bool = True) -> Decision:
    """The next step for a session that is suspected not to receive.

    The steps begin at the first one again when receiving is proven (:func:`reset_recovery`) or a
    person starts the session, never by time alone: a step that did not help an hour ago restarts
    nothing now.
    """
    if record.recovery_step >= LAST_STEP:
        # A person was alerted. Once more if the link was renewed since, at most once per rest time.
        if record.actor is Actor.OPERATOR or now_ms - record.recovery_step_ms < policy.recovery_rest_ms:
            again = Due(DueKind.RECOVERY, now_ms + policy.recovery_rest_ms)
            return replace(record, actor=Actor.OPERATOR, due=again), ()
        return _alert_person(record, policy, now_ms)
    if record.recovery_step == len(STEPS):
        return _alert_person(record, policy, now_ms)
    step = STEPS[record.recovery_step]
    if step is Reason.RECYCLE_WORKER and (not may_recycle or record.suspicion == Suspicion.SIGNATURE):
        # A stanza that the client cannot parse is not the worker's fault: a new process does not
        # help.
        return _alert_person(record, policy, now_ms)
    taken = replace(record, recovery_step=record.recovery_step + 1, recovery_step_ms=now_ms)
    if step is Reason.RECYCLE_WORKER:
        # The pool stops the sessions of the worker and starts them in the next one.
        connect = Due(DueKind.CONNECT, now_ms + policy.connect_timeout_ms)
        effects: tuple[Effect, ...] = (Effect(EffectKind.RECYCLE_WORKER, record.suspicion or SUSPECTED),)
    else:
        connect, effects = Due(DueKind.RETRY, now_ms), ()
    detail = record.suspicion
    return move(taken, State.RECONNECTING, step, now_ms, linked=False, due=connect, detail=detail), effects


def _alert_person(record: SessionRecord, policy: SessionPolicy, now_ms: int) -> Decision:
    """No automatic step is left. The session stays connected and goes on sending."""
    after = move(
        record,
        State.DEGRADED,
        SUSPECTED,
        now_ms,
        actor=Actor.OPERATOR,
        due=Due(DueKind.RECOVERY, now_ms + policy.recovery_rest_ms),
        detail=record.suspicion,
        recovery_step=LAST_STEP,
        recovery_step_ms=now_ms,
    )
    return after, (Effect(EffectKind.ATTENTION, SUSPECTED),)


def gave_up(record: SessionRecord) -> bool:
    """Whether a person was alerted, and nothing has proven since that the session receives."""
    return record.recovery_step >= LAST_STEP and record.wanted is Wanted.RUN and record.state in LIVE


def reset_recovery(record: SessionRecord) -> SessionRecord:
    """Receiving is proven: the next suspicion begins with the first step."""
    return replace(record, recovery_step=0, suspicion=None) if record.recovery_step or record.suspicion else record
