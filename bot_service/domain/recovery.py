"""What a regular look at the link leads to: DEGRADED first, then one step of the recovery ladder after another.

reconnect, start the client in another worker, recycle the worker, tell a person: each once until receiving is proven.
"""

from __future__ import annotations

from bot_service.domain.reactions import due, move, replace
from bot_service.domain.readiness import Suspicion
from bot_service.domain.session_record import DueKind, Effect, EffectKind, Look, SessionPolicy, SessionRecord, Step
from bot_service.domain.states import LIVE, Actor, State, Wanted

RUNGS = ("reconnect", "rebuild", "recycle_worker", "tell_a_person")
TOP = len(RUNGS)
STALE = "frames_stale"
SUSPECTED = "receive_suspected"


def look(record: SessionRecord, fact: Look, policy: SessionPolicy, now_ms: int) -> Step:
    """Judges a session that is READY or DEGRADED; every other state has its own clock."""
    if record.wanted is Wanted.STOP or record.state not in (State.READY, State.DEGRADED):
        return record, ()
    if fact.frame_age_ms >= policy.frame_fresh_ms:
        if record.state is State.READY:
            again = due(DueKind.LINK, now_ms + policy.link_timeout_ms)
            return move(record, State.DEGRADED, STALE, now_ms, due=again, detail=f"{fact.frame_age_ms} ms"), ()
        return record, ()
    if record.state is State.DEGRADED and record.reason == STALE:
        return move(record, State.READY, "frames_again", now_ms), ()
    if fact.suspicion is None:
        if record.state is State.DEGRADED and record.reason == SUSPECTED:
            return move(record, State.READY, "receiving_again", now_ms, suspicion=None, rung=0), ()
        return record, ()
    if record.state is State.DEGRADED:
        return record, ()  # it waits for its next step, or for the keepalive
    again = due(DueKind.LADDER, now_ms + policy.ladder_delay_ms)
    suspected = {"suspicion": fact.suspicion, "detail": fact.suspicion, "due": again}
    return move(record, State.DEGRADED, SUSPECTED, now_ms, **suspected), ()


def climb(record: SessionRecord, policy: SessionPolicy, now_ms: int, *, may_recycle: bool = True) -> Step:
    """The next step for a session whose receiving is suspected.

    Every step is taken once. The foot of the ladder is reached again when receiving is proven (:func:`forget_rung`) or a
    person starts the session anew, never by time alone: what did not help an hour ago restarts nothing now.
    """
    if record.rung >= TOP:
        # A person was told. Once more when the link was renewed since, at most once in the time of rest.
        again = due(DueKind.LADDER, now_ms + policy.ladder_rest_ms)
        if record.actor is Actor.OPERATOR or now_ms - record.rung_ms < policy.ladder_rest_ms:
            return replace(record, actor=Actor.OPERATOR, due=again), ()
        return _tell(record, policy, now_ms)
    step = RUNGS[record.rung]
    if step == "recycle_worker" and (not may_recycle or record.suspicion == Suspicion.SIGNATURE):
        # A stanza that cannot be digested is none the worker's fault: an upgrade cures it, not a new process.
        step = "tell_a_person"
    if step == "tell_a_person":
        return _tell(record, policy, now_ms)
    changes: dict[str, object] = {"rung": RUNGS.index(step) + 1, "rung_ms": now_ms, "detail": record.suspicion}
    if step == "recycle_worker":
        # The worker takes its sessions down and starts them in the next one.
        again = due(DueKind.CONNECT, now_ms + policy.connect_timeout_ms)
        after = move(record, State.RECONNECTING, step, now_ms, linked=False, due=again, **changes)
        return after, (Effect(EffectKind.RECYCLE_WORKER, record.suspicion or SUSPECTED),)
    after = move(record, State.RECONNECTING, step, now_ms, linked=False, due=due(DueKind.RETRY, now_ms), **changes)
    return after, ()


def _tell(record: SessionRecord, policy: SessionPolicy, now_ms: int) -> Step:
    """Nothing of ours helped, or may be done: a person looks. The session stays connected and goes on sending."""
    changes: dict[str, object] = {"rung": TOP, "rung_ms": now_ms, "detail": record.suspicion, "actor": Actor.OPERATOR}
    again = due(DueKind.LADDER, now_ms + policy.ladder_rest_ms)
    after = move(record, State.DEGRADED, SUSPECTED, now_ms, due=again, **changes)
    return after, (Effect(EffectKind.ATTENTION, SUSPECTED),)


def gave_up(record: SessionRecord) -> bool:
    """Whether the ladder ended with a person being told, and nothing has proven since that the session receives."""
    return record.rung >= TOP and record.wanted is Wanted.RUN and record.state in LIVE


def forget_rung(record: SessionRecord) -> SessionRecord:
    """Receiving is proven: the ladder begins at its foot next time."""
    return replace(record, rung=0, suspicion=None) if record.rung or record.suspicion else record
