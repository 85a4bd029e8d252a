"""What runs inside an engine worker process: socket, journal, commands, pulse and end."""

from __future__ import annotations

import asyncio
import os
import threading

import msgspec

from bot_service.engines import procfs
from bot_service.engines.arrived_files import ArrivedFiles, FolderFiles
from bot_service.engines.registry import client_library, load, use_copy
from bot_service.engines.wire import clock_file, worker_records
from bot_service.engines.wire.frames import FrameDecoder
from bot_service.engines.wire.journal_file import JournalWriter
from bot_service.engines.wire.link import Link, listening_socket
from bot_service.engines.wire.protocol import (
    PROTOCOL_VERSION,
    CommandFrame,
    Down,
    Hello,
    JournalAdvanced,
    JournalRows,
    LeaseFrame,
    Reply,
    SignalFrame,
    Snapshot,
    WorkerPulse,
)
from bot_service.engines.wire.worker_options import WorkerOptions
from bot_service.engines.worker import error_output
from bot_service.engines.worker.commands import Commands
from bot_service.engines.worker.log_lines import LogForwarder
from bot_service.engines.worker.sink import WorkerSink
from shared import logs
from shared.service_clock import ServiceClock
from shared.stop_signals import stop_signals
from shared.tasks import spawn

log = logs.get(__name__)

TIME_EVERY_S = 5.0
# The exit code of a worker after its replica could not renew the lease.
LEASE_IS_OVER = 75


class Worker:
    """One worker process; :meth:`run` returns when it is to end."""

    def __init__(self, options: WorkerOptions, clock: ServiceClock) -> None:
        self._options, self._clock = options, clock
        self._errors = worker_records.stderr_path(options.run_dir, options.id)
        self._read_time()
        self._link: Link[Down] | None = None
        self._last_frame_at = clock.monotonic()
        self._lag_ms = 0
        self._grown: dict[str, int] = {}
        self._grown_lock = threading.Lock()
        self._ending = asyncio.Event()
        self._lease_end: asyncio.TimerHandle | None = None
        self._unrecorded = False
        self._loop = asyncio.get_running_loop()
        self._journal = JournalWriter(
            options.journal_dir, options.id, clock, grew=self._journal_grew, rotate_bytes=options.journal_rotate_bytes
        )
        self._sink = WorkerSink(self._journal, clock, self._report, self._rows_written)
        self._client_build = self._prepare_library()
        given = dict(options.options)
        if self._client_build:
            given["client_build"] = str(self._client_build)
        more = {"device_store": options.device_store} if options.device_store is not None else {}
        self._files = _files(options)
        self._engine = load(options.engine)(
            self._sink, data_dir=options.data_dir, options=given, clock=clock, files=self._files, **more
        )
        self._commands = Commands(self._engine, self._sink)
        self._log_lines = LogForwarder(self._loop)

    def _prepare_library(self) -> int:
        """The build to announce: the ordered one, or the built-in if its copy does not load."""
        options = self._options
        if options.client_library is None or use_copy(options.engine, options.client_library):
            return options.client_build
        library = client_library(options.engine)
        return library.builtin_build() if library is not None else 0

    async def run(self) -> None:
        self._journal.open()
        for number in stop_signals():
            self._loop.add_signal_handler(number, self._ending.set)
        server = await asyncio.start_unix_server(
            self._serve, sock=listening_socket(worker_records.socket_path(self._options.run_dir, self._options.id))
        )
        self._write_record()
        loops = [
            asyncio.create_task(self._pulses(), name="worker.pulse"),
            asyncio.create_task(self._watch_orphan(), name="worker.orphan"),
            asyncio.create_task(self._share_time(), name="worker.clock"),
        ]
        log.info(
            "Engine worker started", event_name="worker.started", worker=self._options.id, engine=self._options.engine
        )
        await self._ending.wait()
        server.close()
        for loop in loops:
            loop.cancel()
        await self._close()

    def _write_record(self) -> None:
        """On a full disk the worker goes on without its record: it is written as soon as it can be."""
        try:
            self._record()
        except OSError as error:
            if not self._unrecorded:
                log.error(f"The record of the worker cannot be written: {error.strerror}", event_name="worker.record")
            self._unrecorded = True
        else:
            self._unrecorded = False

    def _record(self) -> None:
        worker_records.write(
            self._options.run_dir,
            worker_records.WorkerRecord(
                id=self._options.id,
                pid=os.getpid(),
                start_ticks=procfs.start_ticks(),
                engine=self._options.engine,
                journal_file=self._journal.position[0],
                protocol=PROTOCOL_VERSION,
                pairing=self._options.pairing,
            ),
        )

    async def _close(self) -> None:
        try:
            async with asyncio.timeout(self._options.stop_timeout_s):
                await self._commands.stop_all()
                await self._engine.close()
        except TimeoutError:
            log.warning("Sessions did not stop in time", event_name="worker.stop.timeout", worker=self._options.id)
        self._files.close()
        self._journal.close()
        self._log_lines.close()
        if self._link is not None:
            name, end = self._journal.position
            self._link.offer_latest(name, JournalAdvanced(name, end))
            await self._link.flush(1.0)
            await self._link.close()
        worker_records.remove(self._options.run_dir, self._options.id)
        log.info("Engine worker ended", event_name="worker.ended", worker=self._options.id)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link: Link[Down] = Link(reader, writer, FrameDecoder(Down), limit_bytes=self._options.link_limit_bytes)
        link.open()
        try:
            async for frame in link.frames():
                self._last_frame_at = self._clock.monotonic()
                if isinstance(frame, Hello):
                    older, self._link = self._link, link
                    if older is not None and older is not link:
                        await older.close()
                    link.offer(self._snapshot())
                    link.offer(self._pulse(everything=True))
                    self._log_lines.use(link)
                elif link is not self._link:
                    continue
                elif isinstance(frame, LeaseFrame):
                    self._own_until(frame.until_s)
                else:
                    spawn(self._answer(link, frame), name=f"command.{frame.op}")
        finally:
            self._last_frame_at = self._clock.monotonic()
            if self._link is link:
                self._link = None
                self._log_lines.use(None)
            await link.close()

    def _own_until(self, until_s: float) -> None:
        if self._lease_end is not None:
            self._lease_end.cancel()
        self._lease_end = self._loop.call_at(until_s, self._lease_is_over)

    def _lease_is_over(self) -> None:
        """Another replica may run these sessions from now on: nothing may follow, not even an orderly end.

        The loop runs what was due before the lease ended first, and nothing that is due later. What has
        arrived is in the journal.
        """
        log.error("The lease of this replica is over: its worker ends", event_name="worker.lease_over")
        os._exit(LEASE_IS_OVER)

    def _snapshot(self) -> Snapshot:
        name, end = self._journal.position
        sessions = self._sink.snapshots()
        return Snapshot(
            self._options.id, self._options.engine, os.getpid(), name, end, sessions, client_build=self._client_build
        )

    async def _answer(self, link: Link[Down], command: CommandFrame) -> None:
        if command.op == "shutdown":
            link.offer(Reply(command.id))
            self._ending.set()
        elif command.op == "snapshot":
            link.offer(Reply(command.id, msgspec.to_builtins(self._snapshot())))
        else:
            link.offer(await self._commands.run(command))

    def _report(self, frame: SignalFrame) -> None:
        if self._link is not None:
            self._link.offer(frame)

    def _journal_grew(self, name: str, end: int) -> None:
        # On the engine's threads; the loop is woken once for all that came until its next turn.
        with self._grown_lock:
            first = not self._grown
            self._grown[name] = max(end, self._grown.get(name, 0))
        if first:
            self._loop.call_soon_threadsafe(self._report_journal)

    def _report_journal(self) -> None:
        with self._grown_lock:
            grown, self._grown = self._grown, {}
        if self._link is not None:
            for name, end in grown.items():
                self._link.offer_latest(name, JournalAdvanced(name, end))

    def _rows_written(self) -> None:
        if self._link is not None:
            self._link.offer_latest("rows", JournalRows())

    async def _pulses(self) -> None:
        while True:
            due = self._loop.time() + self._options.pulse_s
            await asyncio.sleep(self._options.pulse_s)
            self._lag_ms = max(0, int((self._loop.time() - due) * 1000))
            if self._link is not None:
                self._link.offer_latest("pulse", self._pulse(everything=False))
            if error_output.shorten(self._errors):
                log.warning("Standard error was cut to its newest part", event_name="worker.stderr_cut")

    def _pulse(self, *, everything: bool) -> WorkerPulse:
        self._journal.try_again()
        if self._unrecorded:
            self._write_record()
        return WorkerPulse(
            rss_bytes=procfs.rss_bytes(),
            descriptors=procfs.descriptors(),
            threads=procfs.threads(),
            loop_lag_ms=self._lag_ms,
            sessions=len(self._sink.sessions()),
            frames=self._sink.ages_ms(everything=everything),
            journal_failing=self._journal.failing,
        )

    async def _share_time(self) -> None:
        """The API process decides which time it is: it watches the wall clock and moves the store."""
        while True:
            await asyncio.sleep(TIME_EVERY_S)
            self._read_time()

    def _read_time(self) -> None:
        saved = clock_file.read(self._options.run_dir, self._clock.machine)
        if saved is not None:
            self._clock.resume(saved)

    async def _watch_orphan(self) -> None:
        grace = self._options.orphan_grace_s
        while True:
            await asyncio.sleep(min(1.0, grace / 4))
            if self._link is None and self._clock.monotonic() - self._last_frame_at > grace:
                log.warning(
                    "No API process for too long, ending", event_name="worker.orphaned", worker=self._options.id
                )
                self._ending.set()
                return


def _files(options: WorkerOptions) -> ArrivedFiles:
    if options.shared_files is None:
        return FolderFiles(options.data_dir / "media")
    from bot_service.engines.worker.shared_files import SharedFiles  # loads its driver

    return SharedFiles(options.shared_files.server, options.shared_files.limit_bytes)
