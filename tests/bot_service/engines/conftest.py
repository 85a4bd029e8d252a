"""A pool over real worker processes, and everything it signal."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bot_service.domain.message import InboundMessage, Receipt
from bot_service.domain.session_record import Signal
from bot_service.engines import procfs
from bot_service.engines.pool.policy import PoolPolicy
from bot_service.engines.pool.pool import WorkerPool
from bot_service.engines.pool.worker_process import WorkerProcess
from bot_service.engines.wire import worker_records
from bot_service.engines.wire.journal_file import journal_files, read_journal
from shared.clock import SystemClock
from tests.support.waiting import PATIENCE_S, eventually

FAST = {"connect_ms": "10", "reconnect_ms": "50", "delivered_ms": "5", "read_ms": "10", "frame_ms": "200"}


@dataclass(frozen=True)
class Reported:
    """One signal that the pool reported."""

    session: str
    incarnation: int
    signal: Signal

    @property
    def kind(self) -> str:
        return self.signal.kind

    @property
    def data(self) -> dict[str, Any]:
        return self.signal.data


class Bench:
    """One pool at work. ``policy`` may be changed before :meth:`open`; :meth:`reopen` is the next API process."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.policy = PoolPolicy(
            engine="simulator",
            data_dir=data_dir,
            options=dict(FAST),
            pulse_s=0.2,
            look_every_s=0.1,
            wedge_after_s=15.0,  # a worker that waits for a busy machine is not one that hangs
            restart_base_s=0.05,
            restart_cap_s=0.5,
            recycle_min_age_s=0.0,
            orphan_grace_s=20.0,
        )
        self.reported: list[Reported] = []
        self.journals: dict[str, int] = {}
        self.pool = self._make()
        self._left: list[WorkerProcess] = []

    def _make(self) -> WorkerPool:
        pool = WorkerPool(self.policy, SystemClock())
        pool.signals.subscribe(lambda *signal: self.reported.append(Reported(*signal)))
        pool.journals.subscribe(lambda name, end: self.journals.update({name: max(end, self.journals.get(name, 0))}))
        return pool

    async def open(self, **changes: Any) -> WorkerPool:
        self.policy = msgspec.structs.replace(self.policy, **changes)
        self.pool = self._make()
        await self.pool.open()
        return self.pool

    async def reopen(self, **changes: Any) -> WorkerPool:
        """The API process is gone, and another one starts: workers stay."""
        await self.leave_workers()
        self.reported.clear()
        self.journals.clear()
        return await self.open(**changes)

    async def leave_workers(self) -> None:
        """The API process is gone, its workers go on."""
        self._left += [worker.process for worker in self.pool.fleet.workers.values() if worker.process is not None]
        await self.pool.close(leave_workers=True)

    def kinds(self, session: str) -> list[str]:
        return [signal.kind for signal in self.reported if signal.session == session]

    def data(self, session: str, kind: str) -> dict[str, Any]:
        return next(
            signal.data for signal in reversed(self.reported) if signal.session == session and signal.kind == kind
        )

    async def until(self, condition: Callable[[], bool], what: str, *, within_s: float = PATIENCE_S) -> None:
        await eventually(condition, within_s=within_s, every_s=0.01, what=what)

    async def until_reported(self, session: str, kind: str, *, times: int = 1, within_s: float = PATIENCE_S) -> None:
        await self.until(
            lambda: self.kinds(session).count(kind) >= times, f"{kind} of {session} x{times}", within_s=within_s
        )

    async def pair(self, session: str, number: str | None = None) -> str:
        """Start, scan, and wait until online; returns the JID."""
        await self.pool.start_session(session, jid=None, proxy=None)
        await self.until_reported(session, "qr")
        found = await self.pool.simulate(session, "scan", {"phone": number} if number else {})
        await self.until_reported(session, "offline_sync_completed")
        return str(found["jid"])

    def messages(self) -> list[InboundMessage]:
        return [item.message for item in self._records() if item.message is not None]

    def receipts(self) -> list[Receipt]:
        return [item.receipt for item in self._records() if item.receipt is not None]

    def _records(self) -> list[Any]:
        records = []
        for name, _ in journal_files(self.data_dir / "journal"):
            offset = 0
            while (part := read_journal(self.data_dir / "journal" / name, offset)).records:
                records += [item for _, item in part.records]
                offset = part.end
        return records

    def workers(self) -> dict[str, int]:
        """Process ids of the workers that run, by id."""
        return {
            record.id: record.pid
            for record in worker_records.read_all(self.data_dir / "run")
            if procfs.alive(record.pid, record.start_ticks)
        }

    async def close(self) -> None:
        for record in worker_records.read_all(self.data_dir / "run"):
            if procfs.alive(record.pid, record.start_ticks):
                with suppress(ProcessLookupError):
                    os.kill(record.pid, signal.SIGCONT)
        await self.pool.close()
        await asyncio.sleep(0)
        for pid in self.workers().values():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self._left:
            await process.ended()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    await made.close()
