"""The lease of this replica, and the sessions that it owns by it: what is asked before anything is done.

Answers come from memory and from a clock that never jumps: a replica that cannot reach the database
stops before another one may begin.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.domain.ownership import Lease, LeaseTimes
from bot_service.store import leases
from shared.clock import Clock


class ReplicaLease:
    """Implements :class:`bot_service.sessions.leases.Leases`. ``id`` names the present lease, None without one."""

    def __init__(self, clock: Clock, times: LeaseTimes) -> None:
        self._clock = clock
        self.times, self.state = times, Lease(times)
        self.id: str | None = None
        # The epochs of the sessions that it owns.
        self.epochs: dict[str, int] = {}
        # Those of sessions that it owned and deleted: an older answer of the database says nothing about them.
        self.deleted: dict[str, int] = {}

    @property
    def holds(self) -> bool:
        """Whether this replica may do anything with its sessions now."""
        return self.id is not None and self.state.holds(self._clock.monotonic())

    def renewed(self, asked_s: float) -> None:
        self.state = self.state.renewed(asked_s)

    def begin(self, replica: str, asked_s: float) -> None:
        """A new lease; nothing is owned by it yet."""
        self.id, self.state = replica, Lease(self.times).renewed(asked_s)

    def end(self) -> list[str]:
        """The lease is over, or given up. Returns what was owned by it."""
        lost = list(self.epochs)
        self.id, self.state = None, Lease(self.times)
        self.epochs.clear()
        self.deleted.clear()
        return lost

    def forget(self, session: str) -> None:
        """It was deleted."""
        if (epoch := self.epochs.pop(session, None)) is not None:
            self.deleted[session] = epoch

    # --- Leases ---

    def owns(self, session: str) -> bool:
        return session in self.epochs and self.holds

    def supervises(self, session: str) -> bool:
        return self.owns(session)

    async def hold(self, session: str) -> bool:
        return self.owns(session)

    # --- the store ---

    async def fence(self, connection: AsyncConnection, sessions: Collection[str]) -> set[str]:
        """Those of ``sessions`` that stay owned until the transaction of ``connection`` ends."""
        if self.id is None:
            return set()
        return await leases.still_own(connection, self.id, sessions)
