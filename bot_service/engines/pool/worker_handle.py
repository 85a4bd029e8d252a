"""The API process's end of one worker: its process, connection, pending commands and resources."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any, Protocol

from bot_service.engines.pool.policy import PoolPolicy
from bot_service.engines.pool.worker_process import WorkerProcess
from bot_service.engines.port import EngineError
from bot_service.engines.wire import worker_records
from bot_service.engines.wire.journal_file import started_ms
from bot_service.engines.wire.link import Link, LinkClosed, connect
from bot_service.engines.wire.protocol import (
    DEFAULT_LIMIT_S,
    TIME_LIMITS_S,
    CommandFrame,
    Hello,
    JournalAdvanced,
    JournalRows,
    LeaseFrame,
    LogLines,
    Reply,
    SignalFrame,
    Snapshot,
    Up,
    WorkerPulse,
)
from shared import logs
from shared.clock import Clock
from shared.hooks import Hook
from shared.recent_log import RECENT, LogLine

log = logs.get(__name__)

ANSWER_MARGIN_S = 5.0
RECONNECT_S = 0.05


class WorkerListener(Protocol):
    """The pool. Every call is short and does not wait."""

    def signalled(self, worker: WorkerHandle, frame: SignalFrame) -> None: ...

    def greeted(self, worker: WorkerHandle, snapshot: Snapshot, *, first: bool) -> None: ...

    def pulsed(self, worker: WorkerHandle, pulse: WorkerPulse) -> None: ...

    def wrote_rows(self) -> None: ...

    def lost(self, worker: WorkerHandle) -> None: ...


class WorkerHandle:
    """One worker. :meth:`open` begins with ``spawn()``, which gives its ``process``.

    ``journals(file name, end byte)`` is called whenever its journal grew.
    """

    def __init__(
        self,
        worker_id: str,
        policy: PoolPolicy,
        clock: Clock,
        listener: WorkerListener,
        journals: Hook[[str, int]],
        *,
        boot_id: str,
        capacity: int,
        pairing: bool = False,
        client_build: int = 0,
    ) -> None:
        self.id, self.capacity, self.pairing = worker_id, capacity, pairing
        self.client_build = client_build
        """What its engine announces: as ordered, then as the worker reports. 0 when unknown."""
        self.ordered_build = client_build
        self.sessions: set[str] = set()
        self.crashes = 0
        self.leaving: str | None = None
        """Why no session is placed here any more; None while sessions may be."""
        self.pulse: WorkerPulse | None = None
        self.journal_file: str | None = None
        self.process: WorkerProcess | None = None
        self.is_lost = False
        self.starts = asyncio.Semaphore(policy.row.start_concurrency)
        self._policy, self._clock, self._boot_id = policy, clock, boot_id
        self._listener, self._journals = listener, journals
        self.started_at = self.last_frame_at = clock.monotonic()
        self._link: Link[Up] | None = None
        self._ids = itertools.count(1)
        self._lease_until_s: float | None = None
        self._waiting: dict[int, tuple[Link[Up], asyncio.Future[Reply]]] = {}
        self._ready = asyncio.Event()
        self._greeted = False
        self._gone = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def open(self, spawn: Callable[[], Any]) -> None:
        self._task = asyncio.create_task(self._run(spawn), name=f"worker.{self.id}")

    @property
    def ready(self) -> bool:
        return self._link is not None and self._greeted and not self.is_lost

    @property
    def rss_bytes(self) -> int:
        """Resident memory by its last pulse; 0 before the first one."""
        return self.pulse.rss_bytes if self.pulse is not None else 0

    @property
    def announces_as_ordered(self) -> bool:
        """False when the worker could not load its copy of the native library."""
        return self.ordered_build in (0, self.client_build)

    @property
    def room(self) -> int:
        """Sessions that may still be placed here."""
        return 0 if self.leaving or self.is_lost else self.capacity - len(self.sessions)

    async def command(self, op: str, session: str | None = None, args: dict[str, Any] | None = None) -> Any:
        """Raises :class:`EngineError`; ``worker_lost`` when the outcome is unknown."""
        limit = TIME_LIMITS_S.get(op, DEFAULT_LIMIT_S) + ANSWER_MARGIN_S
        number = next(self._ids)
        try:
            async with asyncio.timeout(self._policy.spawn_timeout_s + limit if not self._greeted else limit):
                link = await self._usable_link()
                answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
                self._waiting[number] = link, answer
                await link.send(CommandFrame(number, op, session, args or {}))
                reply = await answer
        except LinkClosed:
            raise EngineError("worker_lost", "the connection to the worker ended", retryable=True) from None
        except TimeoutError:
            raise EngineError("timeout", f"the worker did not answer {op}", retryable=True) from None
        finally:
            self._waiting.pop(number, None)
        if reply.error is not None:
            raise EngineError(reply.error, reply.detail, retryable=reply.retryable, field=reply.field)
        return reply.value

    def own_until(self, until_s: float) -> None:
        """The worker ends at ``until_s`` of the monotonic clock unless it gets a later one."""
        self._lease_until_s = until_s
        if self._link is not None:
            self._link.offer_latest("lease", LeaseFrame(until_s))

    async def greeted_within(self, timeout_s: float) -> bool:
        """Whether its snapshot came within ``timeout_s``."""
        return await _came(self._ready, timeout_s) and not self.is_lost

    async def gone(self, timeout_s: float) -> bool:
        """Whether the process ended, and its last frames were read, within ``timeout_s``."""
        return await _came(self._gone, timeout_s)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()

    def terminate(self) -> None:
        if self.process is not None:
            self.process.terminate()

    async def detach(self) -> None:
        """Disconnects from the worker without ending it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _usable_link(self) -> Link[Up]:
        while True:
            await self._ready.wait()
            if self.is_lost:
                raise EngineError("worker_lost", "the worker is gone", retryable=True)
            if self._link is not None:
                return self._link
            self._ready.clear()

    async def _run(self, spawn: Callable[[], Any]) -> None:
        try:
            self.process = await spawn()
            self.started_at = self.last_frame_at = self._clock.monotonic()
            if self.leaving is not None:
                # It was given up while it started.
                self.process.terminate()
            await self._read_until_it_ends(self.process)
        except OSError as error:
            log.error("An engine worker cannot be started", event_name="worker.spawn.failed", reason=str(error))
        except Exception:
            # A worker without a reader must not run on.
            log.exception("Listening to an engine worker failed", event_name="worker.listen.failed", worker=self.id)
            self.kill()
        finally:
            if self._link is not None:
                await self._link.close()
        self.is_lost = True
        self._ready.set()
        self._listener.lost(self)
        self._gone.set()

    async def _read_until_it_ends(self, process: WorkerProcess) -> None:
        ended = asyncio.create_task(process.ended(), name=f"worker.{self.id}.ended")
        try:
            while not ended.done():
                try:
                    path = worker_records.socket_path(self._policy.run_dir, self.id)
                    link = await connect(path, timeout_s=2.0)
                except OSError:
                    await asyncio.wait({ended}, timeout=RECONNECT_S)
                    continue
                try:
                    await self._read(link)
                finally:
                    await link.close()
                    if self._link is link:
                        self._link = None
                    for used, answer in self._waiting.values():
                        if used is link and not answer.done():
                            answer.set_exception(LinkClosed())
                await asyncio.wait({ended}, timeout=RECONNECT_S)
        finally:
            ended.cancel()

    async def _read(self, link: Link[Up]) -> None:
        link.offer(Hello(self._boot_id))
        async for frame in link.frames():
            self.last_frame_at = self._clock.monotonic()
            if isinstance(frame, Reply):
                _, answer = self._waiting.get(frame.id, (link, None))
                if answer is not None and not answer.done():
                    answer.set_result(frame)
            elif isinstance(frame, SignalFrame):
                self._listener.signalled(self, frame)
            elif isinstance(frame, JournalAdvanced):
                self._note_journal(frame.file)
                self._journals(frame.file, frame.end)
            elif isinstance(frame, JournalRows):
                self._listener.wrote_rows()
            elif isinstance(frame, WorkerPulse):
                self.pulse = frame
                self._listener.pulsed(self, frame)
            elif isinstance(frame, LogLines):
                for line in frame.lines:
                    RECENT.add(LogLine(*line))
            else:
                self._take_snapshot(link, frame)

    def _take_snapshot(self, link: Link[Up], snapshot: Snapshot) -> None:
        first, self._greeted = not self._greeted, True
        self._link = link
        if self._lease_until_s is not None:
            self.own_until(self._lease_until_s)
        self.client_build = snapshot.client_build
        self._note_journal(snapshot.journal_file)
        self._listener.greeted(self, snapshot, first=first)
        self._journals(snapshot.journal_file, snapshot.journal_end)
        self._ready.set()

    def _note_journal(self, name: str) -> None:
        if self.journal_file is None or started_ms(name) >= started_ms(self.journal_file):
            self.journal_file = name


async def _came(event: asyncio.Event, timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            return await event.wait()
    except TimeoutError:
        return False
