"""The time between two pings: the regular interval once all is decided, else the retry interval."""

from __future__ import annotations

from watchdog.domain.policy import Now, Policy
from watchdog.domain.states import State
from watchdog.domain.target import Joint, TargetState


def undecided(state: TargetState, policy: Policy) -> bool:
    """Whether more pings are needed soon to decide."""
    if state.reach is State.DOWN:
        return 0 < state.successes < policy.recovery
    if state.unanswered:
        return 0 < state.successes < policy.recovery
    if state.reach is State.SUSPECT:
        return True
    waiting_to_see = 0 < state.blind_run < policy.threshold and not state.blind
    waiting_for_entry = 0 < state.refused_run < policy.threshold and not state.refused
    return waiting_to_see or waiting_for_entry


def next_ping_ms(state: TargetState, policy: Policy, now: Now) -> int:
    """Milliseconds between the starts of two pings in this state."""
    if undecided(state, policy):
        if state.planned(now.steady_ms):
            return min(policy.interval_ms, max(policy.retry_ms, 1000))
        return min(policy.interval_ms, policy.retry_ms)
    trouble = state.reach is State.DOWN or state.blind or state.refused or state.unanswered
    # A peer sees it down: what was true minutes ago is no vote against that.
    trouble = trouble or state.joint in (Joint.PARTIAL, Joint.UNSTABLE, Joint.DOWN)
    if trouble:
        return min(policy.interval_ms, max(policy.retry_ms, policy.down_interval_ms))
    return policy.interval_ms


def waits_for_time(state: TargetState, policy: Policy) -> bool:
    """Whether time alone may change the state: a pause, a deadline, a stability window."""
    return state.state is not State.UP or bool(state.incidents or policy.pauses)
