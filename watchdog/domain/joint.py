"""The joint verdict of several watchdogs about one target: "down" or "down from here". Pure.

Each watchdog that can see the target has one vote. A majority of the votes is DOWN, so two
watchdogs have to agree; fewer votes are PARTIAL, which is never reported as DOWN. One that cannot
see joins in when most of all watchdogs say DOWN. A watchdog that is
absent or blind keeps its last vote for ``policy.peer_grace_ms`` and then has none. Without peers
the verdict is what this watchdog sees.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from watchdog.domain.policy import Now, Policy
from watchdog.domain.states import IncidentKind, State
from watchdog.domain.target import Joint, PeerVote, TargetState, View


class TargetVerdict(msgspec.Struct, frozen=True, rename="camel"):
    """What one watchdog says about one target to its peers; times are wall ms of the one that says it.

    ``since_ms``: when the trouble began. ``opened_at_ms``: when the open incident DOWN began, None
    without one. ``age_ms`` since its last sign of the target.
    """

    view: View
    since_ms: int = 0
    reason: str = ""
    opened_at_ms: int | None = None
    age_ms: int | None = None


class Verdicts(msgspec.Struct, frozen=True, rename="camel"):
    """The answer of ``GET /api/verdicts``."""

    name: str
    boot_id: str
    version: str
    targets: dict[str, TargetVerdict]


class PeerHeard(msgspec.Struct, frozen=True):
    """A fact: ``peer`` (its name) said this; it is as old as ``asked_steady``."""

    peer: str
    verdict: TargetVerdict
    asked_steady: int


def view_of(state: TargetState, policy: Policy, now: Now) -> View:
    """What this watchdog alone sees."""
    unsure = state.blind or state.refused or (state.blind_run > 0 and not state.alive(now.steady_ms))
    if unsure or state.reach is State.UNKNOWN:
        return View.BLIND
    if state.reach is State.DOWN and state.failures < policy.threshold and state.joint is not Joint.DOWN:
        # It answered, or this watchdog was blind since: only as many new failures say DOWN again. Before any answer it cannot
        # say either that the outage which it knows of is over.
        known = state.incident_of(IncidentKind.DOWN) is not None
        return View.BLIND if known and not state.successes else View.SUSPECT
    if state.reach is State.DOWN and (not state.flapping or now.steady_ms - state.down_steady >= policy.flap_down_ms):
        return View.DOWN
    if state.flapping:
        return View.FLAPPING
    return View.SUSPECT if state.reach is State.SUSPECT else View.UP


def verdict_of(state: TargetState, policy: Policy, now: Now) -> TargetVerdict:
    """What this watchdog says to its peers; their votes are no part of its view."""
    view, opened = view_of(state, policy, now), None
    if state.joint is Joint.DOWN and state.incident_of(IncidentKind.DOWN) is not None:
        opened = state.joint_since_ms
    since = state.failing_since_ms if view in (View.DOWN, View.FLAPPING, View.SUSPECT) else state.since_ms
    return TargetVerdict(view, since, state.last_reason, opened)


def heard(state: TargetState, fact: PeerHeard) -> TargetState:
    """The state with the newest vote of a peer; one that cannot see leaves its last vote."""
    before = next((vote for vote in state.votes if vote.peer == fact.peer), None)
    said = fact.verdict
    if said.view is View.BLIND:
        if before is None:
            return state
        vote = replace(before, blind=True)
    else:
        vote = PeerVote(fact.peer, said.view, fact.asked_steady, said.since_ms, said.reason, said.opened_at_ms)
    others = tuple(one for one in state.votes if one.peer != fact.peer)
    return replace(state, votes=tuple(sorted((*others, vote), key=lambda one: one.peer)))


def counted(state: TargetState, policy: Policy, now: Now) -> tuple[PeerVote, ...]:
    """The votes that count now, the own one included."""
    votes = tuple(vote for vote in state.votes if now.steady_ms - vote.seen_steady < policy.peer_grace_ms)
    own = view_of(state, policy, now)
    if own is View.BLIND:
        return votes
    opened = state.joint_since_ms if state.incident_of(IncidentKind.DOWN) is not None else None
    return (PeerVote(policy.name, own, now.steady_ms, state.failing_since_ms, state.last_reason, opened), *votes)


def update(state: TargetState, policy: Policy, now: Now) -> TargetState:
    """The state with the joint verdict; unchanged without peers."""
    if not policy.peers:
        # The variable may have been removed since the last run.
        return state if state.joint is Joint.ALONE else replace(state, joint=Joint.ALONE, votes=())
    votes = counted(state, policy, now)
    down = [vote for vote in votes if vote.view is View.DOWN]
    bad = [vote for vote in votes if vote.view in (View.DOWN, View.FLAPPING)]
    verdict = _verdict(state, votes, down, bad, policy, now)
    if verdict is Joint.DOWN and state.joint is not Joint.DOWN:
        state = replace(state, joint_since_ms=_begin(votes, down, now), joint_reason=down[0].reason)
    elif verdict is Joint.PARTIAL:
        if state.joint is not Joint.PARTIAL:
            since = min((vote.since_ms for vote in bad if vote.since_ms), default=now.wall_ms)
            state = replace(state, joint_since_ms=min(since, now.wall_ms), partial_steady=now.steady_ms)
        state = replace(state, joint_reason=_who(votes))
    disputed = None
    if verdict is Joint.DOWN and 2 * len(down) <= len(votes):
        disputed = state.disputed_steady if state.disputed_steady is not None else now.steady_ms
    return replace(state, joint=verdict, disputed_steady=disputed)


def undecided(state: TargetState, policy: Policy, now: Now) -> bool:
    """Whether the next words of the peers may change the verdict at once."""
    apart = state.joint is Joint.PARTIAL and now.steady_ms - state.partial_steady < policy.peer_grace_ms
    return apart or state.reach is State.SUSPECT or state.disputed_steady is not None


def _verdict(
    state: TargetState,
    votes: tuple[PeerVote, ...],
    down: list[PeerVote],
    bad: list[PeerVote],
    policy: Policy,
    now: Now,
) -> Joint:
    if not votes:
        return Joint.UNKNOWN
    # One that cannot see may have lost the others too: the first to be heard again is no majority.
    sees = any(vote.peer == policy.name for vote in votes)
    if 2 * len(down) > (len(votes) if sees else policy.peers + 1):
        return Joint.DOWN
    if state.joint is Joint.DOWN and down:
        # Not all watchdogs see the recovery in the same moment: they end the incident together.
        since = state.disputed_steady if state.disputed_steady is not None else now.steady_ms
        if now.steady_ms - since < policy.peer_grace_ms or not sees:
            return Joint.DOWN
    if down and not sees:
        return Joint.UNKNOWN
    if 2 * len(bad) > len(votes):
        return Joint.UNSTABLE
    return Joint.PARTIAL if bad else Joint.UP


def _begin(votes: tuple[PeerVote, ...], down: list[PeerVote], now: Now) -> int:
    """When the majority saw it down. Every watchdog computes the same time from the same votes."""
    known = [vote.opened_at_ms for vote in down if vote.opened_at_ms is not None]
    if known:
        return min(*known, now.wall_ms)
    since = sorted(vote.since_ms or now.wall_ms for vote in down)
    return min(since[len(votes) // 2], now.wall_ms)


def _who(votes: tuple[PeerVote, ...]) -> str:
    """``down from paris; up from frankfurt``, in one order everywhere."""
    bad = sorted(vote.peer for vote in votes if vote.view in (View.DOWN, View.FLAPPING))
    good = sorted(vote.peer for vote in votes if vote.view not in (View.DOWN, View.FLAPPING))
    return f"down from {', '.join(bad)}; up from {', '.join(good)}"
