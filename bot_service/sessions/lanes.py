"""Which lanes of work this service works: those of its own sessions, and all others while it leads."""

from __future__ import annotations

from dataclasses import dataclass

from bot_service.domain.ownership import SERVICE
from bot_service.sessions.leases import Leases
from bot_service.sessions.registry import SessionRegistry


@dataclass(frozen=True, slots=True)
class Lanes:
    """``replica`` None: the only service works everything."""

    registry: SessionRegistry
    replica: Leases | None = None

    def lease_of(self, lane: str) -> str:
        """Who holds this lease works ``lane``: that of the session, or of the service when there is no such session."""
        return lane if lane in self.registry else SERVICE

    def owns(self, session: str) -> bool:
        """Whether the session runs here, and stays here."""
        return self.registry.runs_here(session) and (self.replica is None or self.replica.owns(session))

    def here(self, lane: str) -> bool:
        """Whether this service works ``lane`` now."""
        return self.replica is None or self.owns(self.lease_of(lane))

    def leads(self) -> bool:
        """Whether what must run once runs here."""
        return self.owns(SERVICE)
