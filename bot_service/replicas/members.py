"""What this replica knows of all replicas and of who owns which session, from the tables."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot_service.store.leases import Replica


@dataclass(slots=True)
class Members:
    """Written by the loop of the ownership, read by requests."""

    replicas: dict[str, Replica] = field(default_factory=dict)
    _holders: dict[str, str] = field(default_factory=dict)

    def see(self, replicas: list[Replica]) -> None:
        self.replicas = {replica.id: replica for replica in replicas}

    def note(self, session: str, holder: str | None) -> None:
        """Who owns ``session``; None: no replica."""
        if holder is None:
            self._holders.pop(session, None)
        else:
            self._holders[session] = holder

    def owner_of(self, session: str) -> Replica | None:
        """The replica that owns ``session``, as far as known; None between two owners."""
        return self.replicas.get(self._holders.get(session, ""))

    def holder_of(self, session: str) -> str | None:
        return self._holders.get(session)
