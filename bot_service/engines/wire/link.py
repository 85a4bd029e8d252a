"""One connection between the API process and a worker: frames both ways, with a bounded queue.

A sender that cannot wait (signals) uses :meth:`Link.offer`: a full queue closes the link, and the
other side gets the state of every session from the snapshot of its next connection. A sender that
can wait uses :meth:`Link.send`. :meth:`Link.offer_latest` keeps only the newest frame of a key.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections import deque
from collections.abc import AsyncIterator, Hashable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

from bot_service.engines.wire.frames import FrameDecoder, FrameError, encode
from bot_service.engines.wire.protocol import Frame
from shared.cooperative import CooperativeLoop

F = TypeVar("F")

READ_BYTES = 64 * 1024
# Several links may run in the same turn of the loop.
TURN_S = 0.001
BATCH_BYTES = 256 * 1024
MAX_SOCKET_PATH_BYTES = 100


class LinkClosed(Exception):
    """Nothing more can be written or read."""


class Link(Generic[F]):
    """Call :meth:`open` once, read :meth:`frames`, and :meth:`close` it. ``F``: incoming frames."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        decoder: FrameDecoder[F],
        *,
        limit_bytes: int = 8 * 1024 * 1024,
    ) -> None:
        self._reader, self._writer, self._decoder = reader, writer, decoder
        self._limit_bytes = limit_bytes
        self._queue: deque[bytes] = deque()
        self._latest: dict[Hashable, Frame] = {}
        self._waiting_bytes = 0
        self._closed = False
        self._something = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        self._task = asyncio.create_task(self._write(), name="link.write")

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait to be written."""
        return self._waiting_bytes

    def offer(self, frame: Frame) -> bool:
        """Queues ``frame`` at once. False when the link is closed; a full queue closes it."""
        if self._closed:
            return False
        self._put(encode(frame))
        if self._waiting_bytes > self._limit_bytes:
            self.abort()
            return False
        return True

    def offer_latest(self, key: Hashable, frame: Frame) -> None:
        """Queues ``frame`` in place of an unwritten one of the same ``key``."""
        if not self._closed:
            self._latest[key] = frame
            self._idle.clear()
            self._something.set()

    async def send(self, frame: Frame) -> None:
        """Queues ``frame`` once there is room. Raises :class:`LinkClosed`."""
        data = encode(frame)
        while not self._closed and self._waiting_bytes > self._limit_bytes // 2:
            self._room.clear()
            await self._room.wait()
        if self._closed:
            raise LinkClosed
        self._put(data)

    async def frames(self) -> AsyncIterator[F]:
        """What the other side sends, until it closes or sends an invalid frame."""
        while not self._closed:
            try:
                data = await self._reader.read(READ_BYTES)
                frames = self._decoder.feed(data)
            except (OSError, FrameError):
                break
            if not data:
                break
            # A burst of frames must leave the event loop its turns.
            slices = CooperativeLoop(TURN_S)
            for frame in frames:
                yield frame
                if slices.spent:
                    await slices.take()
        self.abort()

    async def flush(self, timeout_s: float) -> None:
        """Waits until the kernel has everything that is queued, at most ``timeout_s`` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()

    def abort(self) -> None:
        """Closes at once; drops what is queued."""
        if self._closed:
            return
        self._closed = True
        self._queue.clear()
        self._latest.clear()
        self._waiting_bytes = 0
        self._room.set()
        self._idle.set()
        self._something.set()
        self._writer.transport.abort()

    async def close(self) -> None:
        """:meth:`abort`, and wait for the end of the writing task."""
        self.abort()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _put(self, data: bytes) -> None:
        self._queue.append(data)
        self._waiting_bytes += len(data)
        self._idle.clear()
        self._something.set()

    async def _write(self) -> None:
        try:
            while not self._closed:
                await self._something.wait()
                self._something.clear()
                while (self._queue or self._latest) and not self._closed:
                    await self._write_batch()
                self._idle.set()
        except (OSError, FrameError):
            self.abort()

    async def _write_batch(self) -> None:
        batch: list[bytes] = []
        size = 0
        while self._queue and size < BATCH_BYTES:
            data = self._queue.popleft()
            batch.append(data)
            size += len(data)
        if not self._queue and self._latest:
            batch += [encode(frame) for frame in self._latest.values()]
            self._latest.clear()
        self._writer.write(b"".join(batch))
        await self._writer.drain()
        if not self._closed:
            # Counted until the kernel took them, so that a reader that hangs is noticed.
            self._waiting_bytes -= size
        if self._waiting_bytes <= self._limit_bytes // 2:
            self._room.set()


@contextlib.contextmanager
def _short_path(path: Path) -> Iterator[str]:
    # A Unix socket's address holds about 107 bytes; a long path goes through a descriptor.
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def listening_socket(path: Path) -> socket.socket:
    """A Unix socket bound to ``path``, readable by this user only. Raises ``OSError``."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        before = os.umask(0o077)
        try:
            with _short_path(path) as address:
                made.bind(address)
        finally:
            os.umask(before)
        made.setblocking(False)
    except BaseException:
        made.close()
        raise
    return made


async def connect(path: Path, decoder: FrameDecoder[F], *, timeout_s: float) -> Link[F]:
    """A link to the listener on ``path``. Raises ``OSError`` (``TimeoutError`` is one)."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.setblocking(False)
    try:
        with _short_path(path) as address:
            async with asyncio.timeout(timeout_s):
                await asyncio.get_running_loop().sock_connect(made, address)
        reader, writer = await asyncio.open_unix_connection(sock=made)
    except BaseException:
        made.close()
        raise
    link = Link(reader, writer, decoder)
    link.open()
    return link
