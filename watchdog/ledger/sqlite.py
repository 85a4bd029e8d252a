"""The ledger: one writer thread, one reader thread, IMMEDIATE transactions in WAL mode.

When the file cannot be written or read, a ledger in memory stands in at once and the same code goes
on; :meth:`Ledger.resume` copies it into the file later. A damaged file is kept aside. Refused is
only a file in use by another watchdog, of a newer version, or of another program.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from msgspec.structs import replace

from shared import backup_folders, logs
from shared.clock import Clock, SystemClock, epoch_ms, from_ms
from shared.file_lock import FolderLock
from shared.hooks import Hook
from watchdog.ledger import essentials, storage
from watchdog.ledger.catch_up import Gap, catch_up
from watchdog.ledger.essentials import Essentials
from watchdog.ledger.outbox import Channels
from watchdog.ledger.shared_memory import SharedMemory
from watchdog.ledger.stand_in import Moved, StandIn
from watchdog.ledger.storage import Connections, LedgerRefused

__all__ = ["Gap", "Ledger", "LedgerRefused", "open_ledger"]

log = logs.get(__name__)
T = TypeVar("T")
STUCK_S = 5.0
_COPY_EVERY_S = 0.5
_SEED_S = 2.0


class Ledger:
    """``write(fn)`` runs ``fn(connection)`` in one transaction, ``read(fn)`` on a snapshot.

    A write that is not ``durable`` survives a crash of the process, but a power cut may lose it
    until the next durable write. An exception of ``fn`` rolls back and is raised again; a failure
    of the storage is not: ``fn`` runs again on a ledger in memory, and ``gap`` is set.
    """

    gap: Gap | None = None
    # Names of damaged files that were kept aside since the start.
    kept_aside: tuple[str, ...] = ()
    # False when the history of earlier runs could not be read at the start.
    history_known = True

    def __init__(self, path: Path, lock: FolderLock | None, opened: Connections | None, clock: Clock) -> None:
        self._path, self._lock, self._clock = path, lock, clock
        # Notifies when a gap begins and when it ends.
        self.changed: Hook[[]] = Hook()
        self._durable = True
        self._writer_thread = ThreadPoolExecutor(1, "ledger-writer")
        self._reader_thread = ThreadPoolExecutor(1, "ledger-reader")
        self._stand_in: StandIn | None = None
        self._is_damaged = False
        self._failing = asyncio.Lock()
        self._unfinished: set[asyncio.Future[Any]] = set()
        self._began_s = 0.0
        self._latest: Essentials = {}
        self._copied_s: float | None = None
        self._copy: asyncio.TimerHandle | None = None
        self._closed = False
        self._shared = SharedMemory(None)
        if opened is not None:
            self._use(opened)

    def _use(self, opened: Connections) -> None:
        self._writer, self._reader, self._inode, _ = opened
        self._shared = SharedMemory(self._path)
        self._durable = True

    async def write(self, fn: Callable[[sqlite3.Connection], T], *, durable: bool = True) -> T:
        while True:
            if self._stand_in is not None:
                try:
                    return await self._stand_in.write(fn)
                except Moved:
                    await asyncio.sleep(0)
                    continue
            running = asyncio.get_running_loop().run_in_executor(self._writer_thread, self._transact, fn, durable)
            try:
                value = await self._in_time(running)
            except Exception as error:
                if not storage.refuses(error):
                    raise
                await self._fail(error)
            else:
                if durable:
                    self._copy_soon()
                return value

    async def read(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        while True:
            if self._stand_in is not None:
                try:
                    return await self._stand_in.read(fn)
                except Moved:
                    await asyncio.sleep(0)
                    continue
            running = asyncio.get_running_loop().run_in_executor(self._reader_thread, self._snapshot, fn)
            try:
                return await running
            except (sqlite3.DatabaseError, OSError) as error:
                # The plain code is that of a statement that writes, which is a defect of the caller.
                writes = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_READONLY
                if writes or not storage.refuses(error):
                    raise
                await self._fail(error)

    async def _in_time(self, running: asyncio.Future[T]) -> T:
        """The result, unless one call has kept the writer's thread for :data:`STUCK_S`."""
        while not running.done():
            await asyncio.wait({running}, timeout=1.0)
            if not running.done() and self._began_s and time.monotonic() - self._began_s > STUCK_S:
                self._unfinished.add(running)
                running.add_done_callback(self._finished)
                raise TimeoutError
        return running.result()

    def _finished(self, running: asyncio.Future[Any]) -> None:
        self._unfinished.discard(running)
        if not running.cancelled():
            running.exception()  # it is known already that the disk failed

    async def keep_locked(self, clock: Clock) -> None:
        """A loop: holds the lock also when its file is deleted."""
        if self._lock is not None:
            await self._lock.keep(clock)

    def _transact(self, fn: Callable[[sqlite3.Connection], T], durable: bool) -> T:
        self._began_s = time.monotonic()
        try:
            self._shared.check()
            if durable is not self._durable:
                self._writer.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                self._durable = durable
            self._writer.execute("BEGIN IMMEDIATE")
            value = fn(self._writer)
            self._writer.execute("COMMIT")
        except BaseException:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise
        finally:
            self._began_s = 0.0
        return value

    def _snapshot(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        self._shared.check()
        self._reader.execute("BEGIN")
        try:
            return fn(self._reader)
        finally:
            if self._reader.in_transaction:
                self._reader.execute("ROLLBACK")

    # --- the copy of what is open, for the case that the file can no longer be read ---

    def _copy_soon(self) -> None:
        if self._copy is None and not self._closed:
            now_s = time.monotonic()
            wait_s = 0.0 if self._copied_s is None else max(0.0, self._copied_s + _COPY_EVERY_S - now_s)
            self._copy = asyncio.get_running_loop().call_later(wait_s, self._copy_now)

    def _copy_now(self) -> None:
        self._copy, self._copied_s = None, time.monotonic()
        if self._stand_in is None:
            reading = asyncio.get_running_loop().run_in_executor(
                self._reader_thread, self._snapshot, lambda c: essentials.read(c, epoch_ms(self._clock), history=False)
            )
            reading.add_done_callback(self._copied)

    def _copied(self, reading: asyncio.Future[Essentials]) -> None:
        if not reading.cancelled() and reading.exception() is None:
            self._latest = reading.result()

    # --- failure and resumption ---

    async def _fail(self, error: Exception) -> None:
        async with self._failing:
            if self._stand_in is None:
                seed = self._latest if isinstance(error, TimeoutError) else await self._readable()
                self._stand_in_for(error, seed, blank=False)

    async def _readable(self) -> Essentials:
        """What the file still gives, or the last copy."""
        reading = asyncio.get_running_loop().run_in_executor(
            self._reader_thread,
            self._snapshot,
            lambda c: essentials.salvage(c, epoch_ms(self._clock), self._latest),
        )
        await asyncio.wait({reading}, timeout=_SEED_S)
        if reading.done() and reading.exception() is None:
            return reading.result()
        reading.add_done_callback(self._finished)
        return self._latest

    def begin_in_memory(self, error: Exception) -> None:
        """At the start: begin with what can be read of the file."""
        try:
            seed = storage.read_only(self._path, lambda c: essentials.salvage(c, epoch_ms(self._clock), {}))
        except (OSError, sqlite3.Error):
            seed = {}
        self.history_known = "repair" in seed
        self._stand_in_for(error, seed, blank=not seed)

    def _stand_in_for(self, error: Exception, seed: Essentials, *, blank: bool) -> None:
        why = storage.why(error)
        self._is_damaged = storage.is_damage(error)
        self._stand_in = StandIn(seed)
        self.gap = Gap(epoch_ms(self._clock), why, blank)
        log.error(
            f"The ledger cannot be used: {why}. Decisions and alerts go on in memory, the history has a gap",
            event_name="ledger.failed",
            reason=why,
        )
        self.changed()

    async def look(self) -> None:
        """Notice that the file was removed or replaced; call it every few seconds."""
        if self._stand_in is None and not await asyncio.to_thread(self._is_in_place):
            await self._fail(FileNotFoundError(2, "removed"))

    async def look_for_damage(self) -> None:
        """Read the whole file once; call it every hour. Damage is found before a decision meets it."""
        if self._stand_in is None:
            try:
                await asyncio.to_thread(storage.check, self._path)
            except storage.Damaged as error:
                await self._fail(error)
            except (LedgerRefused, sqlite3.Error) as error:
                log.warning(f"The ledger could not be checked: {error}", event_name="ledger.unchecked")

    def _is_in_place(self) -> bool:
        try:
            return self._path.stat().st_ino == self._inode
        except OSError:
            return False

    async def resume(self, channels: Channels) -> bool:
        """Try to use the file again. Whether it holds everything now; False without a gap too."""
        stand_in, gap = self._stand_in, self.gap
        if stand_in is None or gap is None or self._unfinished:
            return False
        loop = asyncio.get_running_loop()
        try:
            opened = await self._in_time(loop.run_in_executor(self._writer_thread, self._open_again))
            try:
                await stand_in.move(lambda memory: self._move(memory, opened, stand_in.seed, channels))
            except BaseException:
                _close(opened)
                raise
        except Exception as error:
            if not storage.refuses(error):
                raise
            self._is_damaged = self._is_damaged or storage.is_damage(error)
            self.gap = replace(gap, why=storage.why(error))
            return False
        self._use(opened)
        self._stand_in = self.gap = None
        self.history_known = self.history_known or not opened.is_new
        stand_in.close()
        self._copy_soon()
        log.info(
            "The ledger works again and holds what was decided since it failed",
            event_name="ledger.resumed",
            failed_since_ms=gap.since_ms,
        )
        self.changed()
        return True

    def _open_again(self) -> Connections:
        self._began_s = time.monotonic()
        try:
            self._shared.check()  # closing touches it too
            self._let_go()
            if self._is_damaged:
                self._keep_aside()
            return storage.open_file(self._path, busy_s=0.2)
        finally:
            self._began_s = 0.0

    def _let_go(self) -> None:
        for name in ("_writer", "_reader"):
            with contextlib.suppress(AttributeError, sqlite3.Error):
                getattr(self, name).close()
        self._shared.close()

    def _keep_aside(self) -> None:
        stamp = from_ms(epoch_ms(self._clock)).strftime("%Y%m%dT%H%M%SZ")
        aside = storage.keep_aside(self._path, stamp)
        self._is_damaged = False
        self.kept_aside = (*self.kept_aside, aside.name)
        log.error(
            f"The ledger was damaged: it is kept as {aside.name} and a new one begins",
            event_name="ledger.kept_aside",
            file=aside.name,
        )

    def _move(self, memory: sqlite3.Connection, opened: Connections, seed: Essentials, channels: Channels) -> None:
        gap = self.gap
        if gap is not None:
            now_ms = epoch_ms(self._clock)
            catch_up(memory, opened.writer, seed, gap, is_new=opened.is_new, channels=channels, now_ms=now_ms)
            opened.writer.execute(f"PRAGMA busy_timeout = {int(storage.BUSY_TIMEOUT_S * 1000)}")

    def close(self) -> None:
        """Finish running calls, checkpoint the write-ahead log, close the file. Blocks."""
        self._closed = True
        if self._copy is not None:
            self._copy.cancel()
        # A disk that does not answer must not keep the process.
        wait = not self._unfinished
        self._writer_thread.shutdown(wait=wait)
        self._reader_thread.shutdown(wait=wait)
        stand_in = self._stand_in
        if stand_in is not None:
            stand_in.close()
            if wait:
                self._keep_at_the_end(stand_in)
        elif wait:
            with contextlib.suppress(PermissionError):
                self._shared.check()
                self._let_go()
        if self._lock is not None:
            self._lock.release()

    def _keep_at_the_end(self, stand_in: StandIn) -> None:
        try:
            opened = self._open_again()
            try:
                stand_in.move_now(lambda memory: self._move(memory, opened, stand_in.seed, Channels(())))
            finally:
                _close(opened)
        except (OSError, sqlite3.Error) as error:
            log.error(
                f"The ledger still cannot be used: {storage.why(error)}. What was decided in memory is lost",
                event_name="ledger.lost",
            )


def _close(opened: Connections) -> None:
    opened.reader.close()
    opened.writer.close()


def open_ledger(path: Path, clock: Clock | None = None) -> Ledger:
    """Open or create the ledger; without a usable file it begins in memory. Blocks.

    Raises :class:`LedgerRefused`.
    """
    clock = clock or SystemClock()
    failed: Exception | None = None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        failed = error
    lock = storage.lock(path)
    opened: Connections | None = None
    try:
        backup_folders.prepare(path.parent)
        storage.check(path)
        opened = storage.open_file(path)
    except (LedgerRefused, backup_folders.HalfRestored):
        if lock is not None:
            lock.release()
        raise
    except (OSError, sqlite3.Error, storage.Damaged) as error:
        failed = failed or error
    ledger = Ledger(path, lock, opened, clock)
    if failed is not None:
        ledger.begin_in_memory(failed)
    return ledger
