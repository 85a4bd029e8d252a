"""The state of one target between two facts; stored as JSON in the ledger."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from watchdog.domain.states import Flip, Incident, IncidentKind, State


class OpenRef(msgspec.Struct, frozen=True):
    """An incident that is open now."""

    kind: IncidentKind
    id: str


class View(StrEnum):
    """How one watchdog sees a target. BLIND: it cannot tell, so it has no vote."""

    UP = "up"
    SUSPECT = "suspect"
    FLAPPING = "flapping"
    DOWN = "down"
    BLIND = "blind"


class Joint(StrEnum):
    """What all watchdogs see together (:mod:`watchdog.domain.joint`)."""

    ALONE = ""  # no peers: what this watchdog sees
    UP = "up"
    PARTIAL = "partial"  # down or unstable for a minority
    UNSTABLE = "unstable"  # down or flapping for a majority, down for a minority
    DOWN = "down"
    UNKNOWN = "unknown"  # none can see


class PeerVote(msgspec.Struct, frozen=True):
    """The last vote of a peer that could see; ``blind``: it cannot any more.

    ``since_ms`` and ``opened_at_ms`` are wall ms of the peer, ``seen_steady`` is of this watchdog.
    """

    peer: str
    view: View
    seen_steady: int
    since_ms: int = 0
    reason: str = ""
    opened_at_ms: int | None = None
    blind: bool = False


class TargetState(msgspec.Struct, frozen=True):
    """``state`` is displayed; the other fields are the conditions that it is derived from.

    ``_steady`` fields are steady ms, ``_ms`` fields wall ms. ``reach`` is UNKNOWN, UP, SUSPECT or
    DOWN.
    """

    target: str
    state: State = State.UNKNOWN
    since_ms: int = 0
    reach: State = State.UNKNOWN
    failures: int = 0
    successes: int = 0
    failing_since_ms: int = 0
    ok_since_ms: int = 0
    last_reason: str = ""
    # failed pings in a row, whether or not the heartbeat went on
    failed_run: int = 0
    failed_run_since_ms: int = 0
    failed_run_since_steady: int = 0
    # the bot itself said that it is not well
    unwell: bool = False
    # pings fail while the heartbeat goes on
    unanswered: bool = False
    beats_until_steady: int | None = None
    down_steady: int = 0  # when the threshold was reached last
    last_ok_start_steady: int = 0
    # (when, whether it failed) of the last pings while the target counted as up
    recent: tuple[tuple[int, bool], ...] = ()
    # when the target went down, came up or restarted
    changes: tuple[int, ...] = ()
    unstable_steady: int = 0
    flapping: bool = False
    flapping_reason: str = ""
    blind: bool = False
    blind_run: int = 0
    blind_since_ms: int = 0
    blind_reason: str = ""
    self_fail_steady: int = 0
    refused: bool = False
    refused_run: int = 0
    refused_since_ms: int = 0
    refused_reason: str = ""
    degraded: bool = False
    degraded_pending_steady: int | None = None
    degraded_since_ms: int = 0
    not_ready: int = 0  # of those that wait for no person
    total: int = 0
    wanted: int = 0
    ready: int = 0
    needs_person: int = 0
    boots: tuple[str, ...] = ()
    # those of them that proved to be the bot
    proved_boots: tuple[str, ...] = ()
    planned_until_steady: int | None = None
    planned_boot: str = ""
    grace_until_steady: int = 0  # both programs may have been restarted together
    announced_boots: tuple[str, ...] = ()
    starting_boot: str = ""
    starting_until_steady: int = 0
    # what the peers say, and the verdict of all
    votes: tuple[PeerVote, ...] = ()
    joint: Joint = Joint.ALONE
    joint_since_ms: int = 0
    joint_reason: str = ""
    partial_steady: int = 0
    disputed_steady: int | None = None  # DOWN, without a majority since then
    incidents: tuple[OpenRef, ...] = ()
    incident_count: int = 0

    @property
    def boot_id(self) -> str | None:
        return self.boots[-1] if self.boots else None

    def incident_of(self, kind: IncidentKind) -> str | None:
        """The id of the open incident of that kind."""
        return next((ref.id for ref in self.incidents if ref.kind is kind), None)

    @property
    def down(self) -> bool:
        """Whether it counts as down: for all watchdogs, or for this one when it is alone."""
        return self.reach is State.DOWN if self.joint is Joint.ALONE else self.joint is Joint.DOWN

    @property
    def unstable(self) -> bool:
        """Whether it counts as flapping."""
        return self.flapping and self.joint in (Joint.ALONE, Joint.UNSTABLE, Joint.DOWN)

    def planned(self, steady_ms: int) -> bool:
        """Whether an announced stop still excuses the target."""
        return self.planned_until_steady is not None and steady_ms < self.planned_until_steady

    def alive(self, steady_ms: int) -> bool:
        """Whether fresh beats say that the bot lives, and it has not said that it is unwell."""
        fresh = self.beats_until_steady is not None and steady_ms < self.beats_until_steady
        return fresh and not self.unwell


class EventKind(StrEnum):
    """Entries of the history that are no change of state."""

    RESTARTED = "restarted"
    STOP_ANNOUNCED = "stop_announced"
    WATCHDOG_GAP = "watchdog_gap"


class Event(msgspec.Struct, frozen=True):
    """``planned``: an announced restart. ``quiet``: needs no notice, an incident covers it."""

    target: str
    kind: EventKind
    at_ms: int
    detail: str = ""
    planned: bool = False
    quiet: bool = False
    since_ms: int = 0


class Stretch(StrEnum):
    """What a stretch of time counts as."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"
    MAINTENANCE = "maintenance"


class Step(msgspec.Struct, frozen=True):
    """The result of one fact. The time since ``stretch_since_ms`` counts as ``stretch``."""

    state: TargetState
    flip: Flip | None = None
    opened: tuple[Incident, ...] = ()
    closed: tuple[Incident, ...] = ()
    events: tuple[Event, ...] = ()
    stretch: Stretch = Stretch.UNKNOWN
    stretch_since_ms: int = 0
