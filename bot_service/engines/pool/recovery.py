"""Brings sessions into another worker: after the death of theirs, or before its end when it has outgrown its limits."""

from __future__ import annotations

import asyncio
from typing import Any

from bot_service.domain.signals import SignalKind
from bot_service.engines.pool.fleet import Fleet
from bot_service.engines.pool.listeners import Listeners
from bot_service.engines.pool.placement import Placement
from bot_service.engines.pool.policy import PoolPolicy
from bot_service.engines.pool.session_entries import SessionEntry
from bot_service.engines.pool.worker_handle import WorkerHandle
from bot_service.engines.port import EngineError
from shared import logs
from shared.clock import Clock
from shared.cooperative import CooperativeLoop
from shared.tasks import spawn

log = logs.get(__name__)

# Why a worker is replaced that neither died nor outgrew its limits.
ASKED = "asked"


class SessionRecovery:
    """``restore`` after a death, ``move`` before an end. Nothing here raises."""

    def __init__(
        self, policy: PoolPolicy, clock: Clock, fleet: Fleet, placement: Placement, listeners: Listeners
    ) -> None:
        self._policy, self._clock = policy, clock
        self._fleet, self._placement, self._listeners = fleet, placement, listeners

    async def after_death(self, entries: list[SessionEntry], old: WorkerHandle, *, crashes: int) -> None:
        """Tell WORKER_LOST, then start ``entries`` again.

        After several crashes in a row the sessions are split over two workers, and again, until the one that kills its
        worker is alone with it.
        """
        exit_code = old.process.exit_code if old.process is not None else None
        breath = CooperativeLoop()
        for entry in entries:
            # Thousands of sessions must not take the event loop for themselves.
            if breath.spent:
                await breath.take()
            if not entry.moving and entry.wanted and entry.worker is None:
                self._listeners.signal(entry, SignalKind.WORKER_LOST, {"exitCode": exit_code})
        groups = [entries]
        if crashes >= self._policy.split_after_crashes and len(entries) > 1:
            middle = len(entries) // 2
            groups = [entries[:middle], entries[middle:]]
        isolated = len(groups) > 1 or old.capacity < self._policy.sessions_per_worker
        for group in groups:
            worker = None
            if crashes and not old.pairing:
                worker = self._fleet.make(capacity=len(group) if isolated else None, crashes=crashes)
            await self._start_all(group, worker)

    async def after_reconnect(self, entries: list[SessionEntry], worker: WorkerHandle) -> None:
        """Start again, in the same living worker, what should run there and does not."""
        try:
            snapshot: dict[str, Any] = await worker.command("snapshot")
        except EngineError:
            return
        there = {told["session"] for told in snapshot["sessions"]}
        for entry in entries:
            async with entry.lock:
                if entry.worker is worker and entry.wanted and entry.session not in there and not entry.moving:
                    await self._start(entry, worker)

    async def _start_all(self, entries: list[SessionEntry], worker: WorkerHandle | None) -> None:
        breath = CooperativeLoop()
        for entry in entries:
            if breath.spent:
                await breath.take()
            spawn(self._start_one(entry, worker), name="engines.restore.session")

    async def _start_one(self, entry: SessionEntry, worker: WorkerHandle | None) -> None:
        async with entry.lock:
            # Stopped or started by somebody else meanwhile.
            if not entry.wanted or entry.worker is not None or self._placement.closing:
                return
            entry.moving = False
            apart = self._placement.pairs_apart(entry)
            target = worker if worker is not None and worker.room > 0 and not apart else None
            await self._start(entry, target)

    async def _start(self, entry: SessionEntry, worker: WorkerHandle | None) -> None:
        try:
            await self._placement.start(entry, worker or self._placement.choose(entry))
        except EngineError as error:
            self._listeners.signal(entry, SignalKind.START_TIMEOUT, {"reason": error.code})

    async def recycle(self, worker: WorkerHandle, reason: str) -> None:
        """Replace a living worker: each session is stopped, drained, and started in another one; nothing is lost."""
        if worker.leaving is not None or self._placement.closing:
            return
        log.info(
            f"Engine worker is replaced ({reason})",
            event_name="worker.recycle",
            worker=worker.id,
            sessions=len(worker.sessions),
        )
        if reason == ASKED:
            for entry in self._placement.entries_in(worker):
                entry.recycled_at = self._clock.monotonic()
        await self.move_all(worker, reason)

    def may_recycle(self, worker: WorkerHandle) -> bool:
        """Whether the budget allows a recycle that was asked for: one bad session must not take its neighbours down again
        and again, in whatever worker they are by then."""
        if worker.leaving is not None:
            return True  # it is being replaced already: whoever asks gets that
        since = self._clock.monotonic() - self._policy.recycle_asked_every_s
        return all(
            entry.recycled_at is None or entry.recycled_at <= since for entry in self._placement.entries_in(worker)
        )

    async def move_all(self, old: WorkerHandle, reason: str) -> None:
        """Move every session of ``old`` and end it."""
        old.leaving = old.leaving or reason
        gate = asyncio.Semaphore(self._policy.row.start_concurrency)
        # Who asks wants a new process, not a place in an old one that has room.
        fresh = self._fleet.make() if reason == ASKED and old.sessions else None

        async def move(entry: SessionEntry) -> None:
            async with gate, entry.lock:
                await self._move_one(entry, old, fresh)

        await asyncio.gather(*(move(entry) for entry in self._placement.entries_in(old)))
        await self._fleet.end(old, self._policy.stop_timeout_s + 2.0)

    async def _move_one(self, entry: SessionEntry, old: WorkerHandle, fresh: WorkerHandle | None) -> None:
        if entry.worker is not old or not entry.wanted:
            return
        entry.moving = True
        try:
            await old.command("stop", entry.session)
        except EngineError:
            # It goes with its worker and comes back as after a crash; until then it stays marked as moving.
            return
        entry.moving = False
        if entry.finished or entry.unclaimed is not None:
            self._placement.remove(entry)
        else:
            await self._start(entry, fresh if fresh is not None and fresh.room > 0 else None)
