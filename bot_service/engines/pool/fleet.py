"""The worker processes of this service: started, adopted after a restart, watched, replaced."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from collections import Counter
from collections.abc import Callable

from bot_service.engines.pool.policy import ClientChoice, PoolPolicy
from bot_service.engines.pool.worker_handle import WorkerHandle, WorkerListener
from bot_service.engines.pool.worker_process import WorkerProcess, last_output
from bot_service.engines.wire import login_gate, worker_records
from bot_service.engines.wire.journal_file import journal_files, started_ms
from bot_service.engines.wire.protocol import PROTOCOL_VERSION
from shared import logs
from shared.clock import Clock
from shared.hooks import Hook

log = logs.get(__name__)

ADOPT_TIMEOUT_S = 10.0
# Why an idle worker ends: new workers announce another client build.
SUPERSEDED = "superseded"
# Why all of them end: the lease of this replica is over.
UNLEASED = "lease"


class Fleet:
    """All workers by id. ``recycle(worker, reason)`` is called for a worker above its limits.

    Listeners of ``worker_replaced`` get the reason: crash, wedged, memory, descriptors, asked, stop
    failed.
    """

    def __init__(
        self,
        policy: PoolPolicy,
        clock: Clock,
        listener: WorkerListener,
        journals: Hook[[str, int]],
        *,
        recycle: Callable[[WorkerHandle, str], None],
        chance: random.Random,
    ) -> None:
        self._policy, self._clock, self._listener, self._journals = policy, clock, listener, journals
        self._recycle = recycle
        self._chance = chance
        self._boot_id = secrets.token_hex(4)
        self._made = 0
        self._spawning = asyncio.Semaphore(policy.spawns_at_once)
        self._last_check = self._next_spare = clock.monotonic()
        self.workers: dict[str, WorkerHandle] = {}
        self.replaced: Counter[str] = Counter()
        """Workers replaced since the start of this process, by reason."""
        self.worker_replaced: Hook[[str]] = Hook()
        self.client: ClientChoice | None = None
        """What new workers announce to WhatsApp; None for an engine without a version to choose."""
        self.refused: frozenset[int] = frozenset()
        """Client builds with which no session but the canary starts."""
        self.lease_until_s: float | None = None
        """With replicas: when workers end unless the lease is renewed, by the monotonic clock."""

    def with_room(self, *, avoid: str | None = None, canary: bool = False) -> WorkerHandle:
        """A worker other than ``avoid`` with room for one more session, or a new one.

        A running worker may announce an older client build, but no refused one; the canary needs
        one that announces the build to try.
        """
        wanted = self.client.build if self.client is not None else 0
        for worker in self.workers.values():
            # A worker that could not load its copy counts as ordered: another one would fail too.
            ordered = worker.client_build == wanted or not worker.announces_as_ordered
            fits = ordered or not (canary or worker.client_build in self.refused)
            if fits and worker.room > 0 and not worker.pairing and worker.id != avoid:
                return worker
        return self.make()

    def make(self, *, capacity: int | None = None, pairing: bool = False, crashes: int = 0) -> WorkerHandle:
        """A new worker, still starting when this returns. After crashes it starts after a delay."""
        self._made += 1
        client = self.client
        worker = self._handle(
            f"w{self._boot_id}{self._made}", capacity, pairing=pairing, build=client.build if client is not None else 0
        )
        worker.crashes = crashes

        async def spawn() -> WorkerProcess:
            if crashes:
                await self._clock.sleep(self._policy.restart_delay_s(crashes, self._chance))
            async with self._spawning:
                if worker.leaving is not None:
                    raise OSError("given up before it was started")
                return await WorkerProcess.spawn(self._policy, worker.id, pairing=pairing, client=client)

        worker.open(spawn)
        return worker

    async def adopt(self) -> list[WorkerHandle]:
        """Takes over the workers of an earlier process; ends those that do not fit."""
        self._policy.run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._policy.journal_dir.mkdir(parents=True, exist_ok=True)
        if not self._policy.adopts:
            await asyncio.gather(*map(self._end_left, worker_records.read_all(self._policy.run_dir)))
            return []
        adopted = await asyncio.gather(*map(self._adopt, worker_records.read_all(self._policy.run_dir)))
        return [worker for worker in adopted if worker is not None]

    async def _adopt(self, record: worker_records.WorkerRecord) -> WorkerHandle | None:
        process = WorkerProcess(record.pid, record.start_ticks)
        if not process.running():
            worker_records.remove(self._policy.run_dir, record.id)
            return None
        if record.engine != self._policy.engine or record.protocol != PROTOCOL_VERSION:
            log.warning("A worker of another version is ended", event_name="worker.foreign", worker=record.id)
            # Its sessions must be off before the same accounts start again.
            await self._end_process(process)
            worker_records.remove(self._policy.run_dir, record.id)
            return None
        worker = self._handle(record.id, None, pairing=record.pairing)

        async def running() -> WorkerProcess:
            return process

        worker.open(running)
        if await worker.greeted_within(ADOPT_TIMEOUT_S):
            log.info("Engine worker adopted", event_name="worker.adopted", worker=worker.id)
            return worker
        log.error("A left worker does not answer, killing it", event_name="worker.wedged", worker=worker.id)
        worker.kill()
        await worker.gone(ADOPT_TIMEOUT_S)
        return None

    async def _end_left(self, record: worker_records.WorkerRecord) -> None:
        process = WorkerProcess(record.pid, record.start_ticks)
        process.kill()
        await process.ended()
        worker_records.remove(self._policy.run_dir, record.id)

    async def _end_process(self, process: WorkerProcess) -> None:
        process.terminate()
        try:
            await asyncio.wait_for(process.ended(), self._policy.stop_timeout_s + 2.0)
        except TimeoutError:
            process.kill()

    def _handle(self, worker_id: str, capacity: int | None, *, pairing: bool, build: int = 0) -> WorkerHandle:
        worker = self.workers[worker_id] = WorkerHandle(
            worker_id,
            self._policy,
            self._clock,
            self._listener,
            self._journals,
            boot_id=self._boot_id,
            capacity=1 if pairing else capacity or self._policy.sessions_per_worker,
            pairing=pairing,
            client_build=build,
        )
        if self.lease_until_s is not None:
            worker.own_until(self.lease_until_s)
        return worker

    def own_until(self, until_s: float) -> None:
        """The lease of this replica was renewed."""
        began = not self.may_start
        self.lease_until_s = until_s
        if began:
            # All workers have ended: the first sessions shall not wait for the start of a process.
            self._keep_spare(self._clock.monotonic(), soon=True)
        for worker in self.workers.values():
            worker.own_until(until_s)

    @property
    def may_start(self) -> bool:
        """False when the lease of this replica is over."""
        return self.lease_until_s is None or self._clock.monotonic() < self.lease_until_s

    async def abandon(self) -> None:
        """Ends every worker at once, and starts none before the next lease; what arrived is in the journals."""
        self.lease_until_s = self._clock.monotonic()
        workers = list(self.workers.values())
        for worker in workers:
            worker.leaving = UNLEASED
            worker.kill()
        await asyncio.gather(*(worker.gone(5.0) for worker in workers))

    async def watch(self) -> None:
        """Checks every worker periodically, for ever."""
        while True:
            await self._clock.sleep(self._policy.look_every_s)
            self.check()
            if self.refused:
                # Again, in case its file was removed.
                with contextlib.suppress(OSError):
                    login_gate.close_for(self._policy.run_dir, self.refused)

    def check(self) -> None:
        """Kills silent workers; recycles those above their limits."""
        now = self._clock.monotonic()
        gap, self._last_check = now - self._last_check, now
        if gap > self._policy.wedge_after_s / 2:
            # This process stood still: what the workers sent is still in the sockets.
            for worker in self.workers.values():
                worker.last_frame_at = now
            return
        for worker in list(self.workers.values()):
            self._check(worker, now)
        self._keep_spare(now)

    def _keep_spare(self, now: float, *, soon: bool = False) -> None:
        """With replicas: sessions that are taken over do not wait for the start of a process."""
        if self.lease_until_s is None or not self.may_start or (now < self._next_spare and not soon):
            return
        usable = [
            worker for worker in self.workers.values() if not (worker.pairing or worker.leaving or worker.is_lost)
        ]
        if all(worker.sessions for worker in usable):
            self._next_spare = now + self._policy.spare_every_s
            self.make()

    def _check(self, worker: WorkerHandle, now: float) -> None:
        if worker.process is None or worker.is_lost:
            return
        patience_s = self._policy.wedge_after_s if worker.ready else self._policy.spawn_timeout_s
        if now - worker.last_frame_at > patience_s:
            log.error(
                f"Engine worker says nothing for {now - worker.last_frame_at:.0f} s, killing it",
                event_name="worker.wedged",
                worker=worker.id,
                sessions=len(worker.sessions),
            )
            worker.leaving = worker.leaving or "wedged"
            worker.kill()
        elif worker.leaving is None and self._is_superseded(worker):
            self._recycle(worker, SUPERSEDED)
        elif worker.leaving is None and now - worker.started_at > self._policy.recycle_min_age_s:
            reason = self._outgrown(worker)
            if reason is not None:
                self._recycle(worker, reason)

    def _is_superseded(self, worker: WorkerHandle) -> bool:
        """Idle, and it announces another client build than a new worker."""
        idle = worker.ready and not worker.sessions and not worker.pairing
        return idle and self.client is not None and worker.ordered_build != self.client.build

    def _outgrown(self, worker: WorkerHandle) -> str | None:
        if worker.pulse is None:
            return None
        if worker.pulse.rss_bytes > self._policy.max_rss_mb * 2**20:
            return "memory"
        return "descriptors" if worker.pulse.descriptors > self._policy.max_descriptors else None

    def remove(self, worker: WorkerHandle) -> str:
        """Removes a worker that has ended. Returns the reason."""
        self.workers.pop(worker.id, None)
        code = worker.process.exit_code if worker.process is not None else None
        reason = worker.leaving or ("crash" if self.may_start else UNLEASED)
        output = last_output(worker_records.stderr_path(self._policy.run_dir, worker.id))
        worker_records.remove(self._policy.run_dir, worker.id)
        if reason in ("crash", "wedged"):
            log.error(
                "Engine worker died",
                event_name="worker.lost",
                worker=worker.id,
                reason=reason,
                exit_code=code,
                sessions=len(worker.sessions),
                last_words=output[-1000:],
            )
        if reason not in ("stopped", "paired", SUPERSEDED, UNLEASED):
            self.replaced[reason] += 1
            self.worker_replaced(reason)
        return reason

    def journals(self, worker_id: str | None = None) -> list[tuple[str, int]]:
        """Journal files on disk with their sizes, oldest first; of one worker or of all."""
        return [
            (name, size)
            for name, size in journal_files(self._policy.journal_dir)
            if worker_id is None or name.startswith(f"{worker_id}-")
        ]

    def journals_in_use(self) -> set[str]:
        """Journals that a living worker may append to, also one that it has not reported yet."""
        used = set()
        for name, _ in self.journals():
            worker = self.workers.get(name.rpartition("-")[0])
            if worker is not None and (
                worker.journal_file is None or started_ms(name) >= started_ms(worker.journal_file)
            ):
                used.add(name)
        return used

    async def end(self, worker: WorkerHandle, timeout_s: float) -> None:
        """Lets the worker close its sessions and end; kills it after ``timeout_s``."""
        worker.leaving = worker.leaving or "stopped"
        worker.terminate()
        if not await worker.gone(timeout_s):
            worker.kill()
            await worker.gone(5.0)

    async def close(self, *, leave_workers: bool) -> None:
        """Ends every worker, or leaves them running for the next process to adopt."""
        workers = list(self.workers.values())
        self.workers.clear()
        if not leave_workers:
            await asyncio.gather(*(self.end(worker, self._policy.stop_timeout_s + 1.0) for worker in workers))
        await asyncio.gather(*(worker.detach() for worker in workers))
