"""Keeps the sessions of other replicas in memory as they were stored last, and knows who owns each.

Each look reads what changed since the one before. Tables are the truth: notifications only hasten a look.
"""

from __future__ import annotations

from bot_service.domain.ownership import SERVICE
from bot_service.replicas.lease import ReplicaLease
from bot_service.replicas.members import Members
from bot_service.sessions.registry import SessionRegistry
from bot_service.sessions.supervisor import Supervisor
from bot_service.store import leases
from bot_service.store.database import Database
from bot_service.store.leases import Change
from bot_service.store.sessions import SessionStore
from shared.cooperative import CooperativeLoop


class Mirror:
    """:meth:`look` runs in the loop of the lease only, so that no look is older than a change of owners by it."""

    def __init__(
        self,
        database: Database,
        registry: SessionRegistry,
        supervisor: Supervisor,
        store: SessionStore,
        lease: ReplicaLease,
        members: Members,
    ) -> None:
        self._store = store
        self._database, self._registry, self._supervisor = database, registry, supervisor
        self._lease, self._members = lease, members
        self._since = 0
        self.lost: list[str] = []
        """Sessions that this replica does not own any more; who reads it clears it."""
        self.unknown: dict[str, Change] = {}
        """Such as it owns unknowingly: the answer to a statement that took them was lost with its connection."""

    def forget(self) -> None:
        """The next look reads everything: much may have been removed since the last one."""
        self._since = 0

    async def look(self) -> None:
        """Read what changed."""
        everything, me = self._since == 0, self._lease.id
        async with self._database.read() as connection:
            rows, since = await leases.changes(connection, self._since)
        if self._lease.id != me:
            return  # the lease began or ended during the read
        slices = CooperativeLoop()
        for row in rows:
            self._apply(leases.change_of(row))
            if slices.spent:
                await slices.take()
        if everything:
            self._remove_all_but({row[0] for row in rows if row[1] is not None})
        self._since = since

    def _apply(self, change: Change) -> None:
        session, lease = change.session, self._lease
        if change.epoch <= lease.deleted.get(session, -1):
            return
        own = lease.epochs.get(session)
        if own is not None and (change.epoch < own or (change.epoch == own and change.holder == lease.id)):
            self._members.note(session, lease.id)
            return  # what this replica has in memory is newer
        if own is not None:
            del lease.epochs[session]
            self.lost.append(session)
        self._members.note(session, change.holder)
        if change.record is None:
            if session != SERVICE:
                self._remove(session)
            return
        self._registry.mirror(change.record)
        if change.holder is not None and change.holder == lease.id:
            self.unknown[session] = change

    def _remove(self, session: str) -> None:
        self._store.note_deleted(session)
        self._registry.remove(session)
        self._supervisor.activity.forget(session)

    def _remove_all_but(self, known: set[str]) -> None:
        for record in list(self._registry):
            if record.id not in known and record.id not in self._lease.epochs:
                self._remove(record.id)
