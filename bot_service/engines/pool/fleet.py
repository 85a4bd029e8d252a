"""The worker processes of this service: started, found again after a restart, watched, replaced. Knows no session's fate."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections import Counter
from collections.abc import Callable

from bot_service.engines.pool.policy import ClientChoice, PoolPolicy
from bot_service.engines.pool.worker_handle import WorkerHandle, WorkerListener
from bot_service.engines.pool.worker_process import WorkerProcess, last_words
from bot_service.engines.wire import worker_records
from bot_service.engines.wire.journal_file import journal_files, started_ms
from bot_service.engines.wire.protocol import PROTOCOL_VERSION
from shared import logs
from shared.clock import Clock

log = logs.get(__name__)

ADOPT_TIMEOUT_S = 10.0
# Why an idle worker ends whose client build is not the one that new workers announce.
SUPERSEDED = "superseded"


class Fleet:
    """All workers by id. ``recycle(worker, reason)`` is called when a worker has outgrown its limits."""

    def __init__(
        self,
        policy: PoolPolicy,
        clock: Clock,
        listener: WorkerListener,
        *,
        recycle: Callable[[WorkerHandle, str], None],
        chance: random.Random,
    ) -> None:
        self._policy, self._clock, self._listener = policy, clock, listener
        self._recycle = recycle
        self._chance = chance
        self._boot_id = secrets.token_hex(4)
        self._made = 0
        self._spawning = asyncio.Semaphore(policy.spawns_at_once)
        self._last_look = clock.monotonic()
        self.workers: dict[str, WorkerHandle] = {}
        self.replaced: Counter[str] = Counter()
        """Workers replaced since the start of this process, by reason."""
        self.on_replaced: list[Callable[[str], None]] = []
        self.client: ClientChoice | None = None
        """What new workers announce to WhatsApp; None when the engine announces no version that can be chosen."""
        self.refused: frozenset[int] = frozenset()
        """Client builds with which no session is started, unless it is the canary's turn to try one."""

    def with_room(self, *, avoid: str | None = None, canary: bool = False) -> WorkerHandle:
        """A worker other than ``avoid`` that takes one more session; a new one when all are full. A running worker may
        announce an older client build, but no refused one; the canary's is the one that is to be tried."""
        wanted = self.client.build if self.client is not None else 0
        for worker in self.workers.values():
            # A worker whose copy could not be loaded counts as what it was ordered to be: another one would do no better.
            ordered = worker.client_build == wanted or not worker.announces_as_ordered
            fits = ordered or not (canary or worker.client_build in self.refused)
            if fits and worker.room > 0 and not worker.pairing and worker.id != avoid:
                return worker
        return self.make()

    def make(self, *, capacity: int | None = None, pairing: bool = False, crashes: int = 0) -> WorkerHandle:
        """A new worker; it is being started when this returns. After crashes it starts after a delay."""
        self._made += 1
        worker = WorkerHandle(
            f"w{self._boot_id}{self._made}",
            self._policy,
            self._clock,
            self._listener,
            boot_id=self._boot_id,
            capacity=1 if pairing else capacity or self._policy.sessions_per_worker,
            pairing=pairing,
            client_build=self.client.build if self.client is not None else 0,
        )
        worker.crashes = crashes
        self.workers[worker.id] = worker
        client = self.client

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
        """Take over the workers an earlier process left; those that do not fit or do not answer are ended."""
        self._policy.run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._policy.journal_dir.mkdir(parents=True, exist_ok=True)
        adopted = await asyncio.gather(*map(self._adopt, worker_records.read_all(self._policy.run_dir)))
        return [worker for worker in adopted if worker is not None]

    async def _adopt(self, record: worker_records.WorkerRecord) -> WorkerHandle | None:
        process = WorkerProcess(record.pid, record.start_ticks)
        if not process.running():
            worker_records.remove(self._policy.run_dir, record.id)
            return None
        if record.engine != self._policy.engine or record.protocol != PROTOCOL_VERSION:
            log.warning("A worker of another version is ended", event_name="worker.foreign", worker=record.id)
            # Waited for: its sessions must be off before the same accounts are started again.
            await self._end_process(process)
            worker_records.remove(self._policy.run_dir, record.id)
            return None
        worker = self._known(record, process)
        if await worker.greeted_within(ADOPT_TIMEOUT_S):
            log.info("Engine worker adopted", event_name="worker.adopted", worker=worker.id)
            return worker
        log.warning("A left worker does not answer, killing it", event_name="worker.wedged", worker=worker.id)
        worker.kill()
        await worker.gone(ADOPT_TIMEOUT_S)
        return None

    async def _end_process(self, process: WorkerProcess) -> None:
        process.terminate()
        try:
            await asyncio.wait_for(process.ended(), self._policy.stop_timeout_s + 2.0)
        except TimeoutError:
            process.kill()

    def _known(self, record: worker_records.WorkerRecord, process: WorkerProcess) -> WorkerHandle:
        capacity = 1 if record.pairing else self._policy.sessions_per_worker
        worker = WorkerHandle(
            record.id,
            self._policy,
            self._clock,
            self._listener,
            boot_id=self._boot_id,
            capacity=capacity,
            pairing=record.pairing,
        )
        self.workers[worker.id] = worker

        async def spawn() -> WorkerProcess:
            return process

        worker.open(spawn)
        return worker

    async def watch(self) -> None:
        """Look at every worker once a second, for ever."""
        while True:
            await self._clock.sleep(self._policy.look_every_s)
            self.look()

    def look(self) -> None:
        """Kill workers that are silent; ask for a recycle of those above their limits."""
        now = self._clock.monotonic()
        gap, self._last_look = now - self._last_look, now
        if gap > self._policy.wedge_after_s / 2:
            # It is this process that stood still: what the workers said is still in the sockets.
            for worker in self.workers.values():
                worker.last_heard = now
            return
        for worker in list(self.workers.values()):
            self._judge(worker, now)

    def _judge(self, worker: WorkerHandle, now: float) -> None:
        if worker.process is None or worker.is_lost:
            return
        patience_s = self._policy.wedge_after_s if worker.ready else self._policy.spawn_timeout_s
        if now - worker.last_heard > patience_s:
            log.error(
                f"Engine worker says nothing for {now - worker.last_heard:.0f} s, killing it",
                event_name="worker.wedged",
                worker=worker.id,
                sessions=len(worker.sessions),
            )
            worker.leaving = worker.leaving or "wedged"
            worker.kill()
        elif worker.leaving is None and self._is_superseded(worker):
            self._recycle(worker, SUPERSEDED)
        elif worker.leaving is None and now - worker.born > self._policy.recycle_min_age_s:
            reason = self._outgrown(worker)
            if reason is not None:
                self._recycle(worker, reason)

    def _is_superseded(self, worker: WorkerHandle) -> bool:
        """Nothing runs in it, and it would start sessions with an older client build than a new worker."""
        idle = worker.ready and not worker.sessions and not worker.pairing
        return idle and self.client is not None and worker.ordered_build != self.client.build

    def _outgrown(self, worker: WorkerHandle) -> str | None:
        if worker.pulse is None:
            return None
        if worker.pulse.rss_bytes > self._policy.max_rss_mb * 2**20:
            return "memory"
        return "descriptors" if worker.pulse.descriptors > self._policy.max_descriptors else None

    def bury(self, worker: WorkerHandle) -> str:
        """Forget a worker that is gone. Returns why it went, for people and metrics."""
        self.workers.pop(worker.id, None)
        code = worker.process.exit_code if worker.process is not None else None
        reason = worker.leaving or "crash"
        words = last_words(worker_records.stderr_path(self._policy.run_dir, worker.id))
        worker_records.remove(self._policy.run_dir, worker.id)
        if reason in ("crash", "wedged"):
            log.error(
                "Engine worker died",
                event_name="worker.lost",
                worker=worker.id,
                reason=reason,
                exit_code=code,
                sessions=len(worker.sessions),
                last_words=words[-1000:],
            )
        if reason not in ("stopped", "paired", SUPERSEDED):
            self.replaced[reason] += 1
            for listener in self.on_replaced:
                listener(reason)
        return reason

    def journals(self, worker_id: str | None = None) -> list[tuple[str, int]]:
        """Journal files on disk with their sizes, oldest first; of one worker or of all."""
        return [
            (name, size)
            for name, size in journal_files(self._policy.journal_dir)
            if worker_id is None or name.startswith(f"{worker_id}-")
        ]

    def journals_in_use(self) -> set[str]:
        """Journals that a living worker may still append to, one that it has not told of yet included."""
        used = set()
        for name, _ in self.journals():
            worker = self.workers.get(name.rpartition("-")[0])
            if worker is not None and (
                worker.journal_file is None or started_ms(name) >= started_ms(worker.journal_file)
            ):
                used.add(name)
        return used

    async def end(self, worker: WorkerHandle, timeout_s: float) -> None:
        """Let the worker close its sessions and end; kill it when it does not within ``timeout_s``."""
        worker.leaving = worker.leaving or "stopped"
        worker.terminate()
        if not await worker.gone(timeout_s):
            worker.kill()
            await worker.gone(5.0)

    async def close(self, *, leave_workers: bool) -> None:
        """End every worker, or let go of them so that the next process adopts them."""
        workers = list(self.workers.values())
        self.workers.clear()
        if not leave_workers:
            await asyncio.gather(*(self.end(worker, self._policy.stop_timeout_s + 1.0) for worker in workers))
        await asyncio.gather(*(worker.detach() for worker in workers))
