"""Detects flapping: too many changes, or too many failed pings without enough of them in a row."""

from __future__ import annotations

from msgspec.structs import replace

from watchdog.domain.policy import Now, Policy
from watchdog.domain.states import State
from watchdog.domain.target import TargetState


def with_change(state: TargetState, now: Now) -> TargetState:
    """The target went down or came up."""
    return replace(state, changes=(*state.changes, now.steady_ms)[-32:], unstable_steady=now.steady_ms)


def with_restart(state: TargetState, now: Now) -> TargetState:
    """The target restarted unannounced: it went down and came up, too fast for pings."""
    return with_change(with_change(state, now), now)


def with_ping(state: TargetState, failed: bool, policy: Policy, now: Now) -> TargetState:
    """One more ping of a target that counts as up."""
    recent = (*state.recent, (now.steady_ms, failed))[-policy.window_pings :]
    return replace(state, recent=recent, unstable_steady=now.steady_ms if failed else state.unstable_steady)


def without_last_run(state: TargetState) -> TargetState:
    """Drop the trailing failures: they belong to a restart, which is counted already."""
    kept = list(state.recent)
    while kept and kept[-1][1]:
        kept.pop()
    return replace(state, recent=tuple(kept))


def update(state: TargetState, policy: Policy, now: Now) -> TargetState:
    """Begin or end FLAPPING. It ends when nothing moved for ``flap_stable_ms``, up or down."""
    changes, recent = state.changes, state.recent
    if changes and now.steady_ms - changes[0] > policy.flap_window_ms:
        changes = tuple(at for at in changes if now.steady_ms - at <= policy.flap_window_ms)
        state = replace(state, changes=changes)
    if recent and now.steady_ms - recent[0][0] > policy.window_ms:
        recent = tuple(ping for ping in recent if now.steady_ms - ping[0] <= policy.window_ms)
        state = replace(state, recent=recent)
    if state.flapping:
        if now.steady_ms - state.unstable_steady < policy.flap_stable_ms or state.reach is State.SUSPECT:
            return state
        return replace(state, flapping=False, flapping_reason="", changes=(), recent=())
    if len(changes) >= policy.flap_changes:
        return replace(state, flapping=True, flapping_reason=f"{len(changes)}_changes")
    failed = sum(1 for _, bad in recent if bad)
    # A run of failures that goes on is left to the threshold.
    if failed >= policy.window_failures and state.reach is State.UP:
        return replace(state, flapping=True, flapping_reason=f"{failed}_of_{len(recent)}_pings_failed")
    return state
