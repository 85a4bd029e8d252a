"""Faults of files for the soak: full disks, damaged journals, and a log that no one reads."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import random
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

from tests.support.disks import fill, forbid_growth
from tests.support.processes import Program

DISK_BYTES = 192 * 2**20
_PIPE_BYTES = 4096
_SET_PIPE_SIZE = 1031  # fcntl.F_SETPIPE_SZ


class PipedProgram(Program):
    """A program with a small pipe as its log; what it writes there reaches the file while somebody reads."""

    reading: threading.Event

    @classmethod
    def of(cls, program: Program) -> PipedProgram:
        piped = cls(program.module, program.env, log=program.log, cwd=program.cwd, arguments=program.arguments)
        piped.reading = threading.Event()
        piped.reading.set()
        return piped

    def start(self) -> None:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(self.cwd), **self.env}
        self.process = subprocess.Popen(
            [sys.executable, "-m", self.module, *self.arguments], cwd=self.cwd, env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert self.process.stdout is not None
        with contextlib.suppress(OSError):
            fcntl.fcntl(self.process.stdout, _SET_PIPE_SIZE, _PIPE_BYTES)
        threading.Thread(target=self._copy, args=(self.process.stdout,), daemon=True).start()

    def _copy(self, pipe: IO[bytes]) -> None:
        with pipe, self.log.open("ab") as out:
            while data := os.read(pipe.fileno(), 65536):
                out.write(data)
                out.flush()
                self.reading.wait()


class FileFaults:
    """``disk`` is the folder of both programs' data; ``mounted``: it is a disk of its own."""

    def __init__(self, service: PipedProgram, guard: PipedProgram, disk: Path, *, mounted: bool, chance: random.Random):
        self._service, self._guard, self._disk, self._mounted = service, guard, disk, mounted
        self._chance = chance

    async def disk_full(self) -> None:
        """For less time than must be reported; the programs' own data is all that is there."""
        give_back = fill(self._disk) if self._mounted else forbid_growth(self._service, self._guard)
        try:
            await asyncio.sleep(self._chance.uniform(5, 15))
        finally:
            give_back()

    async def log_blocked(self) -> None:
        """No one reads what both programs and the workers print."""
        for program in (self._service, self._guard):
            program.reading.clear()
        await asyncio.sleep(self._chance.uniform(15, 40))
        for program in (self._service, self._guard):
            program.reading.set()

    def damage_a_journal(self) -> str | None:
        """Harms the newest journal where it is not stored yet; says how, or None when all is stored."""
        data = Path(self._service.env["DATA_DIR"])
        path = max((data / "journal").glob("*.journal"), key=lambda found: found.stat().st_mtime, default=None)
        if path is None:
            return None
        with contextlib.closing(sqlite3.connect(data / "bot.db", timeout=10)) as database:
            row = database.execute("SELECT position FROM journal_positions WHERE file = ?", (path.name,)).fetchone()
        start, size = (row[0] if row is not None else 0), path.stat().st_size
        if size - start < 500:
            return None
        at = self._chance.randrange(start + 20, size - 20)
        kinds: dict[str, Callable[[], None]] = {
            "a bit flipped": lambda: _write(path, at, bytes([path.read_bytes()[at] ^ 8])),
            "bytes zeroed": lambda: _write(path, at, bytes(min(700, size - at))),
            "cut off": lambda: os.truncate(path, at),
            "removed": path.unlink,
            "noise at its end": lambda: _write(path, size, self._chance.randbytes(300)),
        }
        how = self._chance.choice(list(kinds))
        kinds[how]()
        return how

    def named(self) -> tuple[set[str], int]:
        """(ids of lost messages that the log names, how many further records it counts as lost)."""
        events = self._service.events()
        ids = {str(one["message_id"]) for one in events if one.get("event") == "message.lost" and one.get("message_id")}
        counted = sum(int(one["lost"]) for one in events if one.get("event") == "journal.damaged")
        return ids, max(0, counted - len(ids))


def _write(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)
