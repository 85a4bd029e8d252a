"""Opens and closes incidents according to the conditions, except in maintenance."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec.structs import replace

from watchdog.domain.policy import Now, Policy
from watchdog.domain.states import Incident, IncidentKind, State
from watchdog.domain.target import Joint, OpenRef, TargetState

CLOSE_REASONS = {
    IncidentKind.DOWN: "recovered",
    IncidentKind.FLAPPING: "stable_again",
    IncidentKind.DEGRADED: "sessions_ready",
    IncidentKind.BLIND: "can_see_again",
    IncidentKind.REFUSED: "accepted_again",
    IncidentKind.UNANSWERED: "answered_again",
    IncidentKind.PARTIAL: "seen_alike",
    IncidentKind.SILENT: "answered_again",
}


_NAME_EVERY_MS = 600_000


def common_name(target: str, kind: IncidentKind, opened_at_ms: int) -> str:
    """The name that every watchdog of the same bots gives an incident: target, kind, ten minutes."""
    begin = datetime.fromtimestamp(opened_at_ms // _NAME_EVERY_MS * _NAME_EVERY_MS / 1000, UTC)
    return f"{target}-{kind}-{begin:%Y%m%dT%H%M}"


def reconcile(
    state: TargetState, policy: Policy, now: Now
) -> tuple[TargetState, tuple[Incident, ...], tuple[Incident, ...]]:
    """The state with matching incidents, the incidents opened and those closed.

    During a pause nothing opens or closes; the difference shows after it.
    """
    wrong = state.blind or state.flapping or state.refused or state.degraded or state.unanswered
    calm = not (wrong or state.down or state.joint is Joint.PARTIAL)
    if (calm and not state.incidents) or policy.paused(state.target, now) is not None:
        return state, (), ()
    opened: list[Incident] = []
    closed: list[Incident] = []
    for kind in IncidentKind:
        known = state.incident_of(kind)
        wanted = _wanted(state, kind, policy, now)
        if wanted and known is None:
            incident = _new(state, kind, now)
            opened.append(incident)
            refs = (*state.incidents, OpenRef(kind, incident.id))
            state = replace(state, incidents=refs, incident_count=state.incident_count + 1)
        elif known is not None and _over(state, kind):
            refs = tuple(ref for ref in state.incidents if ref.kind is not kind)
            closed.append(_ended(state, kind, known, now))
            state = replace(state, incidents=refs)
    return state, tuple(opened), tuple(closed)


def _wanted(state: TargetState, kind: IncidentKind, policy: Policy, now: Now) -> bool:
    match kind:
        case IncidentKind.DOWN:
            # A flapping target has a FLAPPING incident, unless it goes down and stays down.
            stays = now.steady_ms - state.down_steady >= policy.flap_down_ms
            return state.down and (stays or not state.flapping or state.joint is Joint.DOWN)
        case IncidentKind.FLAPPING:
            return state.unstable and state.incident_of(IncidentKind.DOWN) is None
        case IncidentKind.BLIND:
            return state.blind
        case IncidentKind.REFUSED:
            return state.refused
        case IncidentKind.UNANSWERED:
            return state.unanswered
        case IncidentKind.DEGRADED:
            return state.degraded and state.reach is State.UP
        case IncidentKind.PARTIAL:
            return state.joint is Joint.PARTIAL and now.steady_ms - state.partial_steady >= policy.partial_after_ms
        case IncidentKind.SILENT:
            return False  # of no target: flow/peers.py


def _over(state: TargetState, kind: IncidentKind) -> bool:
    match kind:
        case IncidentKind.DOWN:
            # A watchdog that sees nothing and hears no other one ends nothing.
            return (
                state.reach is State.UP
                if state.joint is Joint.ALONE
                else state.joint not in (Joint.DOWN, Joint.UNKNOWN)
            )
        case IncidentKind.FLAPPING:
            return not state.unstable
        case IncidentKind.BLIND:
            return not state.blind
        case IncidentKind.REFUSED:
            return not state.refused
        case IncidentKind.UNANSWERED:
            return not state.unanswered
        case IncidentKind.DEGRADED:
            return not state.degraded
        case IncidentKind.PARTIAL:
            return state.joint is not Joint.PARTIAL
        case IncidentKind.SILENT:
            return False


def _new(state: TargetState, kind: IncidentKind, now: Now) -> Incident:
    began = {
        IncidentKind.DOWN: state.failing_since_ms,
        IncidentKind.BLIND: state.blind_since_ms,
        IncidentKind.DEGRADED: state.degraded_since_ms,
        IncidentKind.REFUSED: state.refused_since_ms,
        IncidentKind.UNANSWERED: state.failed_run_since_ms,
        IncidentKind.PARTIAL: state.joint_since_ms,
    }.get(kind, now.wall_ms)
    together = kind is IncidentKind.DOWN and state.joint is Joint.DOWN
    if together:
        began = state.joint_since_ms
    reason = {
        IncidentKind.DOWN: state.joint_reason if together else state.last_reason,
        IncidentKind.FLAPPING: state.flapping_reason,
        IncidentKind.BLIND: state.blind_reason,
        IncidentKind.DEGRADED: "sessions_not_ready",
        IncidentKind.REFUSED: state.refused_reason,
        IncidentKind.UNANSWERED: state.last_reason,
        IncidentKind.PARTIAL: state.joint_reason,
    }[kind]
    # Time and number: unique even after a lost ledger or a wall clock set back.
    stamp = datetime.fromtimestamp(now.wall_ms / 1000, UTC).strftime("%Y%m%dT%H%M%S")
    name = f"{state.target}-{kind}-{stamp}-{state.incident_count + 1}"
    return Incident(name, state.target, kind, min(began, now.wall_ms), now.wall_ms, reason)


def _ended(state: TargetState, kind: IncidentKind, known: str, now: Now) -> Incident:
    """Only the end of the incident; the ledger holds the rest."""
    alone = state.joint is Joint.ALONE
    ended = state.ok_since_ms if kind is IncidentKind.DOWN and state.ok_since_ms and alone else now.wall_ms
    return Incident(
        id=known,
        target=state.target,
        kind=kind,
        opened_at_ms=0,
        decided_at_ms=0,
        reason="",
        closed_at_ms=ended,
        close_reason=CLOSE_REASONS[kind],
    )
