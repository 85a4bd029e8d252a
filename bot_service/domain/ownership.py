"""Which replica owns which session, and until when: pure rules of the leases.

A replica renews one lease, its own. Its sessions name it as their holder, so that ten thousand of them
cost one small write a renewal. The database decides by its own clock when a lease is over. A replica
counts from the moment before it asked, by a clock that never jumps, so it always stops first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bot_service.domain.session_record import SessionRecord
from bot_service.domain.states import State

NEVER_S = -math.inf
# The lease of what belongs to no session and must run once: the replica that holds it leads. No session can have this id.
SERVICE = "~service"


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """A lease lasts ``ttl_s`` seconds from each renewal by the clock of the database."""

    ttl_s: float

    @property
    def renew_s(self) -> float:
        """Between two renewals: three of them may fail."""
        return self.ttl_s / 4

    @property
    def stop_s(self) -> float:
        """How long before the end of the lease a replica lets go of everything."""
        return self.ttl_s / 5

    @property
    def end_s(self) -> float:
        """How long before the end a worker process ends, whatever the API process does."""
        return self.ttl_s / 10


@dataclass(frozen=True, slots=True)
class Lease:
    """What a replica knows of its own lease. ``until_s``: no other replica is owner before, monotonic."""

    times: LeaseTimes
    until_s: float = NEVER_S

    def renewed(self, asked_s: float) -> Lease:
        """The database took a renewal that was sent at ``asked_s``."""
        return Lease(self.times, max(self.until_s, asked_s + self.times.ttl_s))

    @property
    def stops_s(self) -> float:
        """From here on this replica does nothing with any session."""
        return self.until_s - self.times.stop_s

    @property
    def workers_end_s(self) -> float:
        return self.until_s - self.times.end_s

    @property
    def renew_s(self) -> float:
        """When the next renewal is due."""
        return self.until_s - self.times.ttl_s + self.times.renew_s

    def holds(self, now_s: float) -> bool:
        return now_s < self.stops_s


@dataclass(frozen=True, slots=True)
class Shift:
    """How many sessions of one kind a replica takes now, or gives back."""

    take: int = 0
    give: int = 0


def shift(me: str, owned: Mapping[str, int], elsewhere: int, free: int) -> Shift:
    """What ``me`` does for fair shares: in the end any two replicas differ by one session at most.

    ``owned`` counts the sessions of each replica that lives and goes on, ``elsewhere`` those of
    replicas that end, ``free`` those of none.
    """
    total, replicas = sum(owned.values()) + elsewhere + free, len(owned)
    share, more = divmod(total, replicas)
    # Those that have most keep one more: nothing moves without need.
    first = sorted(owned, key=lambda replica: (-owned[replica], replica))[:more]
    due = share + (me in first)
    return Shift(take=min(free, max(0, due - owned[me])), give=max(0, owned[me] - due))


_RANK = {State.RECONNECTING: 0, State.STARTING: 0, State.CONNECTING: 0, State.DEGRADED: 1, State.SYNCING: 2}


def to_give(records: Iterable[SessionRecord], count: int) -> list[SessionRecord]:
    """``count`` sessions at most, those first that lose least. One that shows a code is kept: a person scans it."""
    movable = [record for record in records if record.state is not State.PAIRING]
    return sorted(movable, key=lambda record: (_RANK.get(record.state, 3), record.id))[:count]
