"""What runs inside an engine worker process: its socket, its journal, its commands, its pulse and its end."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import threading
from pathlib import Path

import msgspec

from bot_service.engines import procfs
from bot_service.engines.registry import client_library, load, use_copy
from bot_service.engines.wire import worker_records
from bot_service.engines.wire.frames import down_decoder
from bot_service.engines.wire.journal_file import JournalWriter
from bot_service.engines.wire.link import Link, listening_socket
from bot_service.engines.wire.protocol import (
    PROTOCOL_VERSION,
    Command,
    Down,
    Hello,
    JournalAdvanced,
    Reply,
    Signal,
    Snapshot,
    WorkerPulse,
)
from bot_service.engines.worker.commands import Commands
from bot_service.engines.worker.sink import WorkerSink
from shared import logs
from shared.clock import Clock
from shared.tasks import spawn

log = logs.get(__name__)


class Worker:
    """Everything of one worker process; :meth:`run` returns when it is to end."""

    def __init__(self, args: argparse.Namespace, clock: Clock) -> None:
        self._args, self._clock = args, clock
        self._run_dir: Path = args.run_dir
        self._link: Link[Down] | None = None
        self._last_heard = clock.monotonic()
        self._lag_ms = 0
        self._grown: dict[str, int] = {}
        self._grown_lock = threading.Lock()
        self._ending = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._journal = JournalWriter(
            args.data_dir / "journal", args.id, clock, grew=self._journal_grew, rotate_bytes=args.journal_rotate_bytes
        )
        self._sink = WorkerSink(self._journal, clock, self._tell)
        self._client_build = self._prepare_library()
        options = dict(args.option)
        if self._client_build:
            options["client_build"] = str(self._client_build)
        engine = load(args.engine)(self._sink, data_dir=args.data_dir, options=options)
        self._engine = engine
        self._commands = Commands(engine, self._sink)

    def _prepare_library(self) -> int:
        """The client build that the engine will announce: what was ordered, or the built-in one when its copy cannot be loaded."""
        args = self._args
        if args.client_library is None or use_copy(args.engine, args.client_library):
            return int(args.client_build)
        library = client_library(args.engine)
        return library.builtin_build() if library is not None else 0

    async def run(self) -> None:
        self._journal.open()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._ending.set)
        server = await asyncio.start_unix_server(
            self._serve, sock=listening_socket(worker_records.socket_path(self._run_dir, self._args.id))
        )
        self._write_record()
        loops = [
            asyncio.create_task(self._pulses(), name="worker.pulse"),
            asyncio.create_task(self._watch_orphan(), name="worker.orphan"),
        ]
        log.info("Engine worker started", event_name="worker.started", worker=self._args.id, engine=self._args.engine)
        await self._ending.wait()
        server.close()
        for loop in loops:
            loop.cancel()
        await self._close()

    def _write_record(self) -> None:
        worker_records.write(
            self._run_dir,
            worker_records.WorkerRecord(
                id=self._args.id,
                pid=os.getpid(),
                start_ticks=procfs.start_ticks(),
                engine=self._args.engine,
                journal_file=self._journal.position[0],
                protocol=PROTOCOL_VERSION,
                pairing=self._args.pairing,
            ),
        )

    async def _close(self) -> None:
        try:
            async with asyncio.timeout(self._args.stop_timeout_s):
                await self._commands.stop_all()
                await self._engine.close()
        except TimeoutError:
            log.warning("Sessions did not stop in time", event_name="worker.stop.timeout", worker=self._args.id)
        self._journal.close()
        if self._link is not None:
            name, end = self._journal.position
            self._link.offer_latest(name, JournalAdvanced(name, end))
            await self._link.flush(1.0)
            await self._link.close()
        worker_records.remove(self._run_dir, self._args.id)
        log.info("Engine worker ended", event_name="worker.ended", worker=self._args.id)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link: Link[Down] = Link(reader, writer, down_decoder(), limit_bytes=self._args.link_limit_bytes)
        link.open()
        try:
            async for frame in link.frames():
                self._last_heard = self._clock.monotonic()
                if isinstance(frame, Hello):
                    await self._greet(link)
                elif link is self._link:
                    spawn(self._answer(link, frame), name=f"command.{frame.op}")
        finally:
            self._last_heard = self._clock.monotonic()
            if self._link is link:
                self._link = None
            await link.close()

    async def _greet(self, link: Link[Down]) -> None:
        older, self._link = self._link, link
        if older is not None and older is not link:
            await older.close()
        link.offer(self._snapshot())
        link.offer(self._pulse(everything=True))

    def _snapshot(self) -> Snapshot:
        name, end = self._journal.position
        sessions = self._sink.snapshots()
        return Snapshot(
            self._args.id, self._args.engine, os.getpid(), name, end, sessions, client_build=self._client_build
        )

    async def _answer(self, link: Link[Down], command: Command) -> None:
        if command.op == "shutdown":
            link.offer(Reply(command.id))
            self._ending.set()
        elif command.op == "snapshot":
            link.offer(Reply(command.id, msgspec.to_builtins(self._snapshot())))
        else:
            link.offer(await self._commands.run(command))

    def _tell(self, told: Signal) -> None:
        if self._link is not None:
            self._link.offer(told)

    def _journal_grew(self, name: str, end: int) -> None:
        # Called on the engine's threads; the loop is woken once for all that came until it turns.
        with self._grown_lock:
            first = not self._grown
            self._grown[name] = max(end, self._grown.get(name, 0))
        if first:
            self._loop.call_soon_threadsafe(self._tell_journal)

    def _tell_journal(self) -> None:
        with self._grown_lock:
            grown, self._grown = self._grown, {}
        if self._link is not None:
            for name, end in grown.items():
                self._link.offer_latest(name, JournalAdvanced(name, end))

    async def _pulses(self) -> None:
        while True:
            due = self._loop.time() + self._args.pulse_s
            await asyncio.sleep(self._args.pulse_s)
            self._lag_ms = max(0, int((self._loop.time() - due) * 1000))
            if self._link is not None:
                self._link.offer_latest("pulse", self._pulse(everything=False))

    def _pulse(self, *, everything: bool) -> WorkerPulse:
        self._journal.try_again()
        return WorkerPulse(
            rss_bytes=procfs.rss_bytes(),
            descriptors=procfs.descriptors(),
            threads=procfs.threads(),
            loop_lag_ms=self._lag_ms,
            sessions=len(self._sink.sessions()),
            frames=self._sink.ages_ms(everything=everything),
            journal_failing=self._journal.failing,
        )

    async def _watch_orphan(self) -> None:
        grace = self._args.orphan_grace_s
        while True:
            await asyncio.sleep(min(1.0, grace / 4))
            if self._link is None and self._clock.monotonic() - self._last_heard > grace:
                log.warning("No API process for too long, ending", event_name="worker.orphaned", worker=self._args.id)
                self._ending.set()
                return
