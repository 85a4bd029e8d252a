"""What a regular look at the link leads to: DEGRADED first, then one step of the recovery ladder after another.

reconnect, start the client in another worker, recycle the worker, tell a person: each once within the window.
"""

from __future__ import annotations

from bot_service.domain.reactions import due, move, replace
from bot_service.domain.record import DueKind, Effect, EffectKind, Look, Policy, Record, Step
from bot_service.domain.states import Actor, State, Wanted

RUNGS = ("reconnect", "rebuild", "recycle_worker", "tell_a_person")
STALE = "frames_stale"
SUSPECTED = "receive_suspected"


def look(record: Record, fact: Look, policy: Policy, now_ms: int) -> Step:
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
            return move(record, State.READY, "receiving_again", now_ms, suspicion=None), ()
        return record, ()
    if record.state is State.DEGRADED:
        return record, ()  # it waits for its next step, or for the keepalive
    again = due(DueKind.LADDER, now_ms + policy.ladder_delay_ms)
    suspected = {"suspicion": fact.suspicion, "detail": fact.suspicion, "due": again}
    return move(record, State.DEGRADED, SUSPECTED, now_ms, **suspected), ()


def climb(record: Record, policy: Policy, now_ms: int) -> Step:
    """The next step for a session whose receiving is suspected."""
    within = now_ms - record.rung_ms < policy.ladder_window_ms
    rung = min(record.rung + 1, len(RUNGS)) if within else 1
    changes: dict[str, object] = {"rung": rung, "rung_ms": now_ms, "detail": record.suspicion}
    step = RUNGS[rung - 1]
    if step == "tell_a_person":
        # Nothing of ours helped: a person looks, and the ladder is tried again when its window has passed.
        again = due(DueKind.LADDER, now_ms + policy.ladder_window_ms)
        after = move(record, State.DEGRADED, SUSPECTED, now_ms, actor=Actor.OPERATOR, due=again, **changes)
        return after, (Effect(EffectKind.ATTENTION, SUSPECTED),)
    if step == "recycle_worker":
        # The worker takes its sessions down and starts them in the next one.
        again = due(DueKind.CONNECT, now_ms + policy.connect_timeout_ms)
        after = move(record, State.RECONNECTING, step, now_ms, linked=False, due=again, **changes)
        return after, (Effect(EffectKind.RECYCLE_WORKER, record.suspicion or SUSPECTED),)
    after = move(record, State.RECONNECTING, step, now_ms, linked=False, due=due(DueKind.RETRY, now_ms), **changes)
    return after, ()


def forget_rung(record: Record) -> Record:
    """Receiving is proven: the ladder begins at its foot next time."""
    return replace(record, rung=0, suspicion=None) if record.rung or record.suspicion else record
