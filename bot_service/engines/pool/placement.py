"""Places sessions in workers and removes them; an entry changes only under its lock."""

from __future__ import annotations

from collections.abc import Mapping

from bot_service.engines.pool.fleet import Fleet
from bot_service.engines.pool.policy import PoolPolicy
from bot_service.engines.pool.session_entries import SessionEntry
from bot_service.engines.pool.worker_handle import WorkerHandle
from bot_service.engines.port import EngineError
from shared import logs
from shared.tasks import spawn

log = logs.get(__name__)

PAIRING_END_S = 10.0


class Placement:
    """``first_incarnation`` is higher than those of earlier processes: they grow over restarts."""

    def __init__(self, policy: PoolPolicy, fleet: Fleet, *, first_incarnation: int) -> None:
        self._policy, self._fleet = policy, fleet
        self._incarnation = first_incarnation
        self.entries: dict[str, SessionEntry] = {}
        self.closing = False
        self.epochs: Mapping[str, int] = {}

    def entry(self, session: str) -> SessionEntry:
        """The session's entry, created when there is none."""
        found = self.entries.get(session)
        if found is None:
            found = self.entries[session] = SessionEntry(session)
        return found

    def running(self, session: str) -> SessionEntry:
        """The entry of a session that is to run. Raises :class:`EngineError` ``not_started``."""
        found = self.entries.get(session)
        if found is None or not found.wanted:
            raise EngineError("not_started", "the session is not started", retryable=True)
        return found

    def worker_of(self, session: str) -> WorkerHandle:
        """Where commands for the session go. Raises :class:`EngineError` between two workers."""
        entry = self.running(session)
        if entry.worker is None or entry.is_between:
            raise EngineError("not_connected", "the session is between two workers", retryable=True)
        return entry.worker

    def entries_in(self, worker: WorkerHandle) -> list[SessionEntry]:
        """In the order of their names, so that what follows is reproducible."""
        return [found for name in sorted(worker.sessions) if (found := self.entries.get(name)) is not None]

    def choose(self, entry: SessionEntry, *, canary: bool = False) -> WorkerHandle:
        """The worker for the next start; for the ``canary`` one that announces the build to try."""
        if self.closing:
            raise EngineError("no_worker", "the service is stopping")
        self._require_lease()
        if self.pairs_apart(entry):
            return self._fleet.make(pairing=True)
        avoid, entry.avoid = entry.avoid, None
        return self._fleet.with_room(avoid=avoid, canary=canary)

    def pairs_apart(self, entry: SessionEntry) -> bool:
        return entry.jid is None and self._policy.pairing_apart

    async def start(self, entry: SessionEntry, worker: WorkerHandle, *, canary: bool = False) -> None:
        """Starts it there. Raises :class:`EngineError`, but not for the worker's death."""
        self._require_lease()
        # Placed before the first wait, so that the room is taken and a dying worker finds it here.
        entry.place(worker)
        self.entries[entry.session] = entry
        # One that an earlier process started may be higher, when the clock was set back since then.
        self._incarnation = max(self._incarnation, entry.incarnation) + 1
        entry.incarnation, entry.last_seq = self._incarnation, 0
        entry.wanted, entry.finished, entry.unclaimed = True, False, None
        args = {
            "jid": entry.jid,
            "proxy": entry.proxy,
            "pairing": entry.jid is None,
            "incarnation": entry.incarnation,
            "creation": entry.creation,
        }
        args |= {"canary": True} if canary else {}
        args |= self._lease_of(entry.session)
        try:
            async with worker.starts:
                await worker.command("start", entry.session, args)
        except EngineError as error:
            if error.code == "worker_lost":
                return
            self.remove(entry)
            if error.code == "timeout":
                spawn(self.stop_stray(worker, entry.session), name="engines.stray")
            raise

    def _lease_of(self, session: str) -> dict[str, int]:
        """For a device store that replicas share: it takes nothing that is written under an older lease."""
        if self._policy.device_store is None:
            return {}
        if session not in self.epochs:
            raise EngineError("no_lease", "this replica does not own the session now", retryable=True)
        return {"epoch": self.epochs[session]}

    def _require_lease(self) -> None:
        if not self._fleet.may_start:
            raise EngineError("no_lease", "this replica owns no sessions now", retryable=True)

    async def stop(self, entry: SessionEntry) -> bool:
        """Stops it. False without confirmation: then the worker must be replaced."""
        worker = entry.worker
        stopped = True
        if worker is not None and not worker.is_lost:
            try:
                await worker.command("stop", entry.session)
            except EngineError as error:
                stopped = error.code == "worker_lost"
        self.remove(entry)
        return stopped

    def remove(self, entry: SessionEntry) -> None:
        """It does not run any more; a worker that only paired it ends."""
        worker = entry.worker
        entry.place(None)
        entry.wanted, entry.moving, entry.unclaimed = False, False, None
        if worker is not None and worker.pairing and not worker.sessions:
            spawn(self._fleet.end(worker, PAIRING_END_S), name="engines.pairing.end")

    async def stop_stray(self, worker: WorkerHandle, session: str) -> None:
        """Ends a session in ``worker`` that should not run there: one account, one client."""
        entry = self.entries.get(session)
        if entry is not None and entry.worker is worker:
            return
        try:
            await worker.command("stop", session)
        except EngineError as error:
            if error.code != "worker_lost":
                log.error("A stray session does not stop", event_name="session.stray", worker=worker.id)
                worker.kill()
