"""Updates the conditions of a target by one fact; :mod:`watchdog.domain.health` concludes."""

from __future__ import annotations

from msgspec.structs import replace

from watchdog.domain import flapping
from watchdog.domain.facts import BeatSeen, BeatsLost, Fact, PersonNeeded, StopAnnounced, WatchdogStarted
from watchdog.domain.joint import PeerHeard, heard
from watchdog.domain.outcome import Outcome, ProbeResult
from watchdog.domain.policy import Now, Policy
from watchdog.domain.states import IncidentKind, State
from watchdog.domain.target import Event, EventKind, TargetState

Observed = tuple[TargetState, tuple[Event, ...]]
REMEMBERED_BOOTS = 8  # replicas behind one address answer in turn
# As in the heartbeat link, with some time for the link to find out first.
FRESH_INTERVALS = 2.5
FRESH_MORE_MS = 2000
# No connection was made: while the heartbeat goes on, the fault is most likely on our side.
UNREACHED = frozenset({"dns_unavailable", "dns_no_such_name", "no_route", "unreachable", "connect_refused"})


def observe(state: TargetState, fact: Fact, policy: Policy, now: Now) -> Observed:
    """The conditions after ``fact``, and the events in it."""
    if isinstance(fact, ProbeResult):
        state, events = _boot(state, fact.boot_id, fact.orderly_stops, policy, now)
        if fact.proved and fact.boot_id is not None and fact.boot_id not in state.proved_boots:
            state = replace(state, proved_boots=(*state.proved_boots, fact.boot_id)[-REMEMBERED_BOOTS:])
        return _pinged(state, fact, policy, now), events
    if isinstance(fact, BeatSeen):
        state, events = _boot(state, fact.boot_id, fact.orderly_stops, policy, now)
        return _shares(_beat(state, fact, policy, now), fact, policy, now), events
    if isinstance(fact, PeerHeard):
        return heard(state, fact), ()
    if isinstance(fact, BeatsLost):
        return replace(state, beats_until_steady=None), ()
    if isinstance(fact, StopAnnounced):
        return _stop_announced(state, fact, policy, now)
    if isinstance(fact, PersonNeeded):
        return replace(state, needs_person=fact.sessions), ()
    if isinstance(fact, WatchdogStarted):
        return _restored(state, fact, policy, now)
    return state, ()


def _boot(
    state: TargetState, boot_id: str | None, orderly_stops: tuple[str, ...], policy: Policy, now: Now
) -> Observed:
    if not boot_id or boot_id in state.boots:
        return state, ()
    # The bot knows of a stop that was asked for while the watchdog was away.
    asked_for = any(boot in orderly_stops for boot in state.boots)
    first = not state.boots
    state = replace(state, boots=(*state.boots, boot_id)[-REMEMBERED_BOOTS:])
    if first:
        return state, ()
    planned = asked_for or state.planned(now.steady_ms)
    paused = policy.paused(state.target, now) is not None
    since = state.failing_since_ms if state.failures else now.wall_ms
    # The failures belong to the old boot; the answers of the new one count from zero.
    failures = state.failures if state.reach is State.DOWN else 0
    state = replace(flapping.without_last_run(state), planned_until_steady=None, failures=failures, failed_run=0)
    if state.reach is not State.DOWN and not planned and not paused:
        state = flapping.with_restart(state, now)
    quiet = planned or paused or state.flapping or state.incident_of(IncidentKind.DOWN) is not None
    event = Event(state.target, EventKind.RESTARTED, now.wall_ms, boot_id, planned, quiet, since)
    return state, (event,)


def _stop_announced(state: TargetState, fact: StopAnnounced, policy: Policy, now: Now) -> Observed:
    """Once for each boot, and for a limited time: a bot that dies in that time must not stay unnoticed."""
    if fact.boot_id in state.announced_boots or (state.boots and fact.boot_id not in state.boots):
        return state, ()
    state = replace(
        state,
        planned_until_steady=now.steady_ms + min(max(fact.deadline_ms, 0), policy.longest_stop_ms),
        planned_boot=fact.boot_id,
        announced_boots=(*state.announced_boots, fact.boot_id)[-REMEMBERED_BOOTS:],
    )
    return state, (Event(state.target, EventKind.STOP_ANNOUNCED, now.wall_ms, fact.reason),)


def _beat(state: TargetState, beat: BeatSeen, policy: Policy, now: Now) -> TargetState:
    if beat.draining:
        # The announcement itself may have been missed.
        state, _ = _stop_announced(state, StopAnnounced(beat.boot_id, policy.longest_stop_ms), policy, now)
    if beat.starting and beat.boot_id != state.starting_boot:
        until = now.steady_ms + policy.longest_start_ms
        state = replace(state, starting_boot=beat.boot_id, starting_until_steady=until)
    fresh_ms = int(FRESH_INTERVALS * min(beat.interval_ms, 60_000)) + FRESH_MORE_MS
    state = replace(state, beats_until_steady=now.steady_ms + fresh_ms)
    # Pings that failed before this beat prove nothing about the bot.
    return replace(state, failures=0) if state.reach is State.SUSPECT and not state.unwell else state


def _pinged(state: TargetState, result: ProbeResult, policy: Policy, now: Now) -> TargetState:
    started = now.steady_ms - result.duration_ms
    if result.refused is not None:
        run = state.refused_run + 1
        since = state.refused_since_ms if run > 1 else result.started_at_ms
        state = _sees(replace(state, refused_run=run, refused_since_ms=since, refused_reason=result.reason))
        if run >= policy.threshold:
            state = _not_suspect(replace(state, refused=True))
        return state
    if result.outcome is Outcome.OK:
        return _answered(state, result, started, policy, now)
    if result.outcome is Outcome.TARGET_FAIL:
        if started <= state.self_fail_steady:
            # It ran while the watchdog was blind: it proves nothing about the target.
            return state
        if started < state.last_ok_start_steady:
            # Pings may overlap: a later one was answered before this one gave up.
            return flapping.with_ping(state, True, policy, now)
        return _failed(_sees(state), result, policy, now)
    run = state.blind_run + 1
    since = state.blind_since_ms if run > 1 else result.started_at_ms
    state = replace(state, blind_run=run, blind_since_ms=since, blind_reason=result.reason, successes=0)
    if result.outcome is Outcome.SELF_FAIL:
        state = replace(state, self_fail_steady=now.steady_ms)
    if run >= policy.threshold and not state.blind:
        # Failures from before BLIND prove nothing afterwards: the count starts at zero.
        state = _not_suspect(replace(state, blind=True))
    return state


def _sees(state: TargetState) -> TargetState:
    return replace(state, blind=False, blind_run=0)


def _not_suspect(state: TargetState) -> TargetState:
    return replace(state, failures=0, reach=State.UP if state.reach is State.SUSPECT else state.reach)


def _answered(state: TargetState, result: ProbeResult, started: int, policy: Policy, now: Now) -> TargetState:
    successes = state.successes + 1
    if result.needs_person is not None:
        # Also without the token, with which the bot says which sessions these are.
        state = replace(state, needs_person=result.needs_person)
    state = replace(
        _sees(state),
        failures=0,
        failed_run=0,
        grace_until_steady=0,
        unwell=False,
        unanswered=state.unanswered and successes < policy.recovery,
        successes=successes,
        ok_since_ms=result.at_ms if successes == 1 else state.ok_since_ms,
        last_ok_start_steady=max(started, state.last_ok_start_steady),
        refused=False,
        refused_run=0,
        last_reason="ok",
    )
    if state.reach is not State.DOWN:
        return replace(flapping.with_ping(state, False, policy, now), reach=State.UP)
    if successes < policy.recovery:
        return state
    state = replace(state, reach=State.UP, recent=())
    return state if policy.paused(state.target, now) else flapping.with_change(state, now)


def _failed(state: TargetState, result: ProbeResult, policy: Policy, now: Now) -> TargetState:
    failures, run = state.failures + 1, state.failed_run + 1
    since = min(result.since_ms or result.started_at_ms, result.started_at_ms)
    state = replace(
        state,
        failures=failures,
        failed_run=run,
        failed_run_since_ms=result.started_at_ms if run == 1 else state.failed_run_since_ms,
        failed_run_since_steady=now.steady_ms if run == 1 else state.failed_run_since_steady,
        unwell=result.by_bot,
        successes=0,
        failing_since_ms=since if failures == 1 and state.reach is not State.DOWN else state.failing_since_ms,
        last_reason=result.reason,
    )
    if state.reach is State.DOWN:
        return state
    state = replace(state, reach=State.SUSPECT)
    if state.planned(now.steady_ms) or policy.paused(state.target, now):
        return state
    if state.alive(now.steady_ms) and (state.unanswered or result.reason in UNREACHED):
        return state
    return flapping.with_ping(state, True, policy, now)


def _shares(state: TargetState, beat: BeatSeen, policy: Policy, now: Now) -> TargetState:
    """DEGRADED begins and ends after the share stayed beyond the limit for a while."""
    # Sessions that wait for a person (logged out, pairing) concern their owner, not the operator.
    expected = max(0, beat.wanted - beat.needs_person)
    not_ready = max(0, expected - beat.ready)
    starting = beat.starting and now.steady_ms < state.starting_until_steady
    excused = starting or (beat.draining and state.planned(now.steady_ms))
    beyond = bool(expected) and not_ready / expected > policy.degraded_share and not excused
    state = replace(state, not_ready=not_ready, total=beat.total, wanted=beat.wanted, ready=beat.ready)
    if beyond == state.degraded:
        return replace(state, degraded_pending_steady=None)
    if state.degraded_pending_steady is None:
        since = now.wall_ms if beyond else state.degraded_since_ms
        return replace(state, degraded_pending_steady=now.steady_ms, degraded_since_ms=since)
    patience = policy.degraded_after_ms if beyond else policy.degraded_recovery_ms
    if now.steady_ms - state.degraded_pending_steady < patience:
        return state
    return replace(state, degraded=beyond, degraded_pending_steady=None)


def _restored(state: TargetState, fact: WatchdogStarted, policy: Policy, now: Now) -> Observed:
    """Open incidents stay; runs of failures and successes start at zero after the gap."""
    limit = now.steady_ms

    def past(steady: int) -> int:
        # The wall clock may have been set back: no kept time lies in the future.
        return min(steady, limit)

    state = replace(
        state,
        reach=State.DOWN if state.reach is State.DOWN else State.UNKNOWN,
        failures=0,
        failed_run=0,
        beats_until_steady=None,
        grace_until_steady=limit + policy.start_grace_ms if fact.in_order else 0,
        starting_until_steady=past(state.starting_until_steady - policy.longest_start_ms) + policy.longest_start_ms,
        successes=0,
        blind_run=0,
        refused_run=0,
        recent=(),
        changes=tuple(past(at) for at in state.changes),
        unstable_steady=past(state.unstable_steady),
        down_steady=past(state.down_steady),
        self_fail_steady=0,
        last_ok_start_steady=0,
        votes=(),
        disputed_steady=None,
        degraded_pending_steady=None,
        planned_until_steady=min(state.planned_until_steady, limit + policy.longest_stop_ms)
        if state.planned_until_steady
        else None,
    )
    if fact.last_seen_ms is None:
        return state, ()
    gap = max(0, now.wall_ms - fact.last_seen_ms)
    event = Event(state.target, EventKind.WATCHDOG_GAP, now.wall_ms, f"{gap} ms", since_ms=fact.last_seen_ms)
    return state, (event,)
