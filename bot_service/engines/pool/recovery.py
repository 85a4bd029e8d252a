"""Moves sessions to another worker: after the death of theirs, or before it is replaced."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from bot_service.domain.signals import SignalKind
from bot_service.engines.pool.fleet import Fleet
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

# The reason of a replacement on request.
ASKED = "asked"


class SessionRecovery:
    """``emit(entry, kind, data)`` reports a signal. Nothing here raises."""

    def __init__(
        self,
        policy: PoolPolicy,
        clock: Clock,
        fleet: Fleet,
        placement: Placement,
        emit: Callable[[SessionEntry, str, dict[str, Any]], None],
    ) -> None:
        self._policy, self._clock = policy, clock
        self._fleet, self._placement, self._emit = fleet, placement, emit

    async def after_death(self, entries: list[SessionEntry], old: WorkerHandle, *, crashes: int) -> None:
        """Reports WORKER_LOST, then starts ``entries`` again.

        After several crashes in a row the sessions are split over two workers, again and again,
        until the session that kills its worker is alone.
        """
        exit_code = old.process.exit_code if old.process is not None else None
        slices = CooperativeLoop()
        for entry in entries:
            if slices.spent:
                await slices.take()
            if not entry.moving and entry.wanted and entry.worker is None:
                self._emit(entry, SignalKind.WORKER_LOST, {"exitCode": exit_code})
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
        """Starts, in the same living worker, what should run there and does not."""
        try:
            snapshot: dict[str, Any] = await worker.command("snapshot")
        except EngineError:
            return
        there = {session["session"] for session in snapshot["sessions"]}
        for entry in entries:
            async with entry.lock:
                if entry.worker is worker and entry.wanted and entry.session not in there and not entry.moving:
                    await self._start(entry, worker)

    async def _start_all(self, entries: list[SessionEntry], worker: WorkerHandle | None) -> None:
        slices = CooperativeLoop()
        for entry in entries:
            if slices.spent:
                await slices.take()
            spawn(self._start_one(entry, worker), name="engines.restore.session")

    async def _start_one(self, entry: SessionEntry, worker: WorkerHandle | None) -> None:
        async with entry.lock:
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
            self._emit(entry, SignalKind.START_TIMEOUT, {"reason": error.code})

    async def recycle(self, worker: WorkerHandle, reason: str) -> None:
        """Replaces a living worker: stops and drains each session and starts it in another one."""
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
        """Whether a replacement on request is allowed now.

        A bad session must not stop its neighbors again and again, in any worker.
        """
        if worker.leaving is not None:
            return True  # it is being replaced already
        since = self._clock.monotonic() - self._policy.recycle_asked_every_s
        return all(
            entry.recycled_at is None or entry.recycled_at <= since for entry in self._placement.entries_in(worker)
        )

    async def move_all(self, old: WorkerHandle, reason: str) -> None:
        """Moves every session of ``old`` and ends it."""
        old.leaving = old.leaving or reason
        gate = asyncio.Semaphore(self._policy.row.start_concurrency)
        # A request wants a new process, not room in another old one.
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
            # It ends with its worker and comes back as after a crash; until then it counts as
            # moving.
            return
        entry.moving = False
        if entry.finished or entry.unclaimed is not None:
            self._placement.remove(entry)
        else:
            await self._start(entry, fresh if fresh is not None and fresh.room > 0 else None)
