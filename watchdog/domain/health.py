"""The decision of the watchdog: what a fact makes of a target's state and incidents.

``fold`` is pure. It updates the conditions (:mod:`watchdog.domain.observe`), then threshold,
flapping and incidents, and derives the displayed state last.
"""

from __future__ import annotations

from msgspec.structs import replace

from watchdog.domain import flapping, incidents, joint
from watchdog.domain.facts import Fact, WatchdogStarted
from watchdog.domain.observe import UNREACHED, observe
from watchdog.domain.policy import Now, Policy
from watchdog.domain.states import Flip, IncidentKind, State
from watchdog.domain.target import Joint, Step, Stretch, TargetState


def fold(before: TargetState, fact: Fact, policy: Policy, now: Now) -> Step:
    """The step from ``before`` by ``fact``. Never raises; the same input gives the same step."""
    state, events = observe(before, fact, policy, now)
    state = _threshold(state, policy, now)
    if policy.paused(state.target, now) is None:
        state = flapping.update(state, policy, now)
    else:
        state = replace(state, changes=(), recent=())
    if policy.peers or state.joint is not Joint.ALONE:
        state = joint.update(state, policy, now)
    state, opened, closed = incidents.reconcile(state, policy, now)
    shown, reason, since = _shown(state, policy, now)
    if shown is State.UP and before.state is State.DEGRADED:
        reason = _end_of_degraded(before)
    flip = None
    if shown is not before.state:
        if isinstance(fact, WatchdogStarted):
            reason = "watchdog_started"
        incident = next((i.id for i in (*opened, *closed)), None) or state.incident_of(
            _KIND_OF.get(shown, IncidentKind.DOWN)
        )
        flip = Flip(state.target, now.wall_ms, since, before.state, shown, reason, incident)
        state = replace(state, state=shown, since_ms=since)
    stretch = _stretch(state, policy, now)
    # Time without a running watchdog is a gap, whatever was known before.
    from_ms = now.wall_ms if isinstance(fact, WatchdogStarted) else _stretch_since(state, stretch, since, now)
    return Step(state, flip, opened, closed, events, stretch, from_ms)


def _threshold(state: TargetState, policy: Policy, now: Now) -> TargetState:
    """Enough failures in a row are DOWN, except before the deadline of an announced stop.

    While the heartbeat goes on they are not: the bot lives, and the pings get lost on the way.
    """
    if state.reach is not State.SUSPECT or state.planned(now.steady_ms):
        return state
    if state.alive(now.steady_ms):
        return _unanswered(state, policy, now)
    if state.failures < policy.threshold or now.steady_ms < state.grace_until_steady:
        return state
    state = replace(
        state, reach=State.DOWN, down_steady=now.steady_ms, recent=(), successes=0, planned_until_steady=None
    )
    return state if policy.paused(state.target, now) else flapping.with_change(state, now)


def _unanswered(state: TargetState, policy: Policy, now: Now) -> TargetState:
    lasted = now.steady_ms - state.failed_run_since_steady
    if state.unanswered or state.failed_run < policy.threshold:
        return state
    if state.last_reason in UNREACHED and lasted < policy.degraded_after_ms:
        return state
    return replace(state, unanswered=True, recent=())


_KIND_OF = {
    State.DOWN: IncidentKind.DOWN,
    State.FLAPPING: IncidentKind.FLAPPING,
    State.BLIND: IncidentKind.BLIND,
    State.DEGRADED: IncidentKind.DEGRADED,
    State.PARTIAL: IncidentKind.PARTIAL,
}


def _shown(state: TargetState, policy: Policy, now: Now) -> tuple[State, str, int]:
    """The displayed state, its reason and its begin (wall ms)."""
    pause = policy.paused(state.target, now)
    if pause is not None:
        return State.PAUSED, "maintenance", now.wall_ms
    if state.blind and state.joint in (Joint.ALONE, Joint.UNKNOWN):
        return State.BLIND, f"cannot_see:{state.blind_reason}", state.blind_since_ms
    if state.unstable and state.incident_of(IncidentKind.DOWN) is None:
        return State.FLAPPING, state.flapping_reason, now.wall_ms
    if state.joint is Joint.DOWN:
        return State.DOWN, f"agreed:{state.joint_reason}", state.joint_since_ms
    if state.joint in (Joint.PARTIAL, Joint.UNSTABLE):
        return State.PARTIAL, state.joint_reason, state.joint_since_ms
    if state.down or (state.joint is Joint.UNKNOWN and state.incident_of(IncidentKind.DOWN) is not None):
        return State.DOWN, f"{policy.threshold}_failures:{state.last_reason}", state.failing_since_ms
    if state.unanswered:
        return State.DEGRADED, f"unanswered:{state.last_reason}", state.failed_run_since_ms
    if state.reach is State.SUSPECT:
        return State.SUSPECT, f"ping_failed:{state.last_reason}", state.failing_since_ms
    if state.refused:
        return State.DEGRADED, state.refused_reason, state.refused_since_ms
    if state.reach is State.UNKNOWN and state.joint is not Joint.UP:
        return State.UNKNOWN, "not_seen_yet", now.wall_ms
    if state.degraded:
        return State.DEGRADED, "sessions_not_ready", state.degraded_since_ms
    if state.needs_person:
        return State.DEGRADED, "sessions_need_person", now.wall_ms
    return State.UP, _UP_REASONS.get(state.state, "answered"), _up_since(state, now)


_UP_REASONS = {
    State.UNKNOWN: "first_answer",
    State.SUSPECT: "answered",
    State.DOWN: "recovered",
    State.FLAPPING: "stable_again",
    State.BLIND: "can_see_again",
    State.PAUSED: "maintenance_over",
    State.PARTIAL: "seen_alike",
}


def _end_of_degraded(before: TargetState) -> str:
    """What ended: the cause that was shown last."""
    if before.unanswered:
        return incidents.CLOSE_REASONS[IncidentKind.UNANSWERED]
    if before.refused:
        return incidents.CLOSE_REASONS[IncidentKind.REFUSED]
    return incidents.CLOSE_REASONS[IncidentKind.DEGRADED]


def _up_since(state: TargetState, now: Now) -> int:
    return state.ok_since_ms if state.state is State.DOWN and state.ok_since_ms else now.wall_ms


def _stretch(state: TargetState, policy: Policy, now: Now) -> Stretch:
    """SUSPECT counts as up until the decision, which counts back to the first failure."""
    if policy.paused(state.target, now) is not None:
        return Stretch.MAINTENANCE
    if state.joint is Joint.DOWN:
        return Stretch.DOWN
    if state.joint in (Joint.PARTIAL, Joint.UNSTABLE):
        return Stretch.UP
    sees = state.joint is Joint.UP or not (state.blind or (state.reach is State.UNKNOWN and not state.refused))
    if not sees:
        return Stretch.UNKNOWN
    if state.down:
        return Stretch.DOWN
    if state.reach is State.SUSPECT and state.planned(now.steady_ms):
        return Stretch.MAINTENANCE
    return Stretch.UP


def _stretch_since(state: TargetState, stretch: Stretch, since: int, now: Now) -> int:
    if state.joint is not Joint.ALONE:
        return state.joint_since_ms if stretch is Stretch.DOWN else now.wall_ms
    if stretch is Stretch.DOWN:
        return state.failing_since_ms
    if stretch is Stretch.UNKNOWN and state.blind:
        return state.blind_since_ms
    if stretch is Stretch.UP and state.ok_since_ms:
        return min(max(state.ok_since_ms, since), now.wall_ms) if state.state is State.UP else now.wall_ms
    return now.wall_ms
