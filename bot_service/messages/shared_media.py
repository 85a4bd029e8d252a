"""Files of messages that all replicas have: in PostgreSQL, or from there moved to an object store.

What arrives is in PostgreSQL before its receipt leaves, so it outlives the machine that received it. An object
store that is away therefore holds nothing up: files wait in PostgreSQL.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bot_service.access.downloads import KeptFile
from bot_service.store import media
from bot_service.store.batch_writer import STORE_ERRORS
from bot_service.store.database import Database
from bot_service.store.errors import why
from bot_service.store.media import PART_BYTES, Claimed, Place
from shared import logs
from shared.clock import Clock
from shared.service_clock import ago_ms, steady
from shared.tasks import Loop
from shared.temporary_folders import remove_left, temporary_folder

log = logs.get(__name__)

# Files to send are on this machine for a moment.
SENDING = ".sending-"
LOOK_EVERY_S, SWEEP_EVERY_S = 2.0, 3600.0
# Of one upload or deletion; then another replica tries.
MOVE_S = 120.0
# What was stored just now may belong to a session or a message that is stored next.
NEW_MS = 3_600_000


class ObjectStore(Protocol):
    """Every method raises ``OSError``, ``FileNotFoundError`` where there is no such object."""

    async def put(self, key: str, parts: AsyncIterator[bytes]) -> None: ...

    async def read(self, key: str, start: int, stop: int) -> bytes: ...

    async def delete(self, key: str) -> None:
        """Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class SharedFile:
    """Implements :class:`KeptFile`."""

    key: str
    size: int
    _part: Callable[[str, int, int], AsyncIterator[bytes]]
    path: Path | None = None

    async def content(self) -> bytes:
        return b"".join([part async for part in self.parts(0, self.size)])

    def parts(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """The bytes from ``start`` to ``stop``."""
        return self._part(self.key, start, min(stop, self.size))


class SharedMedia:
    """Implements :class:`bot_service.messages.media.MediaFiles`. Messages are kept for ``keeps_ms`` at most."""

    def __init__(
        self, database: Database, clock: Clock, folder: Path, *, keeps_ms: int, objects: ObjectStore | None = None
    ) -> None:
        self._database, self._clock, self._folder, self._objects = database, clock, folder, objects
        self._keeps_ms = keeps_ms
        self._failing = False

    # --- MediaFiles ---

    async def put(self, key: str, data: bytes) -> None:
        parts = [data[start : start + PART_BYTES] for start in range(0, len(data), PART_BYTES)]
        async with self._database.write() as connection:
            await media.begin(connection, key, len(data))
            await media.add_parts(connection, key, 0, parts)
            await media.complete(connection, key)

    async def copy(self, file: KeptFile, key: str) -> None:
        async with self._database.write() as connection:
            await media.begin(connection, key, file.size)
        number = 0
        # Each part in a transaction of its own: none waits for an object store.
        async for part in file.parts(0, file.size):
            async with self._database.write() as connection:
                await media.add_parts(connection, key, number, [part])
            number += 1
        async with self._database.write() as connection:
            await media.complete(connection, key)

    async def find(self, key: str) -> KeptFile | None:
        async with self._database.read() as connection:
            found = await media.find(connection, key)
        return SharedFile(key, found.size, self._parts) if found is not None else None

    async def _parts(self, key: str, start: int, stop: int) -> AsyncIterator[bytes]:
        at = start
        while at < stop:
            number, skipped = divmod(at, PART_BYTES)
            async with self._database.read() as connection:
                part = await media.part(connection, key, number)
            if part is not None:
                part = part[skipped : skipped + stop - at]
            else:  # moved, perhaps just now
                part = await self._moved(key, at, min(stop, (number + 1) * PART_BYTES))
            if not part:
                raise FileNotFoundError(2, "the file is gone")
            yield part
            at += len(part)

    async def _moved(self, key: str, start: int, stop: int) -> bytes:
        if self._objects is None:
            raise FileNotFoundError(2, "the file is gone, or was moved by a replica with MEDIA_URL")
        return await self._objects.read(key, start, stop)

    @asynccontextmanager
    async def local(self, file: KeptFile) -> AsyncIterator[Path]:
        with temporary_folder(self._folder, SENDING) as made:
            path = made / "file"
            with await asyncio.to_thread(path.open, "wb") as stream:
                async for part in file.parts(0, file.size):
                    await asyncio.to_thread(stream.write, part)
            yield path

    async def delete(self, key: str) -> None:
        async with self._database.write() as connection:
            await (media.delete if self._objects is None else media.retire)(connection, key=key)

    async def forget_session(self, session: str) -> None:
        async with self._database.write() as connection:
            await (media.delete if self._objects is None else media.retire)(connection, session=session)

    def loops(self) -> Iterable[Loop]:
        return (("media", self.run),)

    # --- the loop ---

    async def run(self) -> None:
        """The loop: moves files to the object store, and deletes what no message has."""
        await asyncio.to_thread(remove_left, self._folder, SENDING)
        swept_s: float | None = None
        while True:
            try:
                while self._objects is not None and await self.move_one(self._objects):
                    pass
                if swept_s is None or self._clock.monotonic() - swept_s >= SWEEP_EVERY_S:
                    await self.sweep()
                    swept_s = self._clock.monotonic()
                self._well()
            except (*STORE_ERRORS, TimeoutError) as error:
                self._fails(error)
            await self._clock.sleep(LOOK_EVERY_S)

    async def move_one(self, objects: ObjectStore) -> bool:
        """Move or delete one file; False when there is none. A file that was moved twice is the same file."""
        async with self._database.write() as connection:
            claimed = await media.claim(connection, int(MOVE_S * 1000))
        if claimed is None:
            return False
        async with asyncio.timeout(MOVE_S):
            await (self._remove if claimed.place == Place.GONE else self._move)(objects, claimed)
        return True

    async def _move(self, objects: ObjectStore, claimed: Claimed) -> None:
        await objects.put(claimed.key, self._parts(claimed.key, 0, claimed.size))
        async with self._database.write() as connection:
            kept = await media.moved(connection, claimed.key)
        if not kept:  # its message was deleted during the upload
            await objects.delete(claimed.key)

    async def _remove(self, objects: ObjectStore, claimed: Claimed) -> None:
        await objects.delete(claimed.key)
        async with self._database.write() as connection:
            await media.forget(connection, claimed.key)

    async def sweep(self) -> int:
        """Delete what no message has: of uploads that were cut off, of deleted sessions, older than all messages."""
        if not steady(self._clock):
            return 0
        old_ms, new_ms = ago_ms(self._clock, self._keeps_ms), ago_ms(self._clock, NEW_MS)
        async with self._database.read() as connection:
            found = await media.orphans(connection, old_ms=old_ms, new_ms=new_ms)
        for key in found:
            await self.delete(key)
        return len(found)

    def _fails(self, error: BaseException) -> None:
        if not self._failing:
            self._failing = True
            log.warning(f"Files of messages cannot be moved: {why(error)}", event_name="media.failing")

    def _well(self) -> None:
        if self._failing:
            self._failing = False
            log.info("Files of messages are moved again", event_name="media.moved")
