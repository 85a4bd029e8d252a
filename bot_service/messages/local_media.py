"""Files of messages in a folder of this machine: the store of a service without replicas."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bot_service.access.downloads import KeptFile
from shared.tasks import Loop


@dataclass(frozen=True, slots=True)
class LocalFile:
    """Implements :class:`KeptFile`."""

    key: str
    size: int
    path: Path

    async def content(self) -> bytes:
        return await asyncio.to_thread(self.path.read_bytes)

    async def parts(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """The bytes from ``start`` to ``stop``."""
        yield (await self.content())[start:stop]


class LocalMedia:
    """Implements :class:`bot_service.messages.media.MediaFiles`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, key: str, data: bytes) -> None:
        await asyncio.to_thread(_write, self._folder / key, data)

    async def copy(self, file: KeptFile, key: str) -> None:
        source = self._path(file.key)
        if source is None:
            raise FileNotFoundError(2, "the file is gone")
        await asyncio.to_thread(_copy, source, self._folder / key)

    async def find(self, key: str) -> KeptFile | None:
        path = self._path(key)
        return LocalFile(key, path.stat().st_size, path) if path is not None else None

    def _path(self, key: str) -> Path | None:
        """The file if it exists and is inside the folder."""
        path = (self._folder / key).resolve()
        return path if path.is_relative_to(self._folder.resolve()) and path.is_file() else None

    @asynccontextmanager
    async def local(self, file: KeptFile) -> AsyncIterator[Path]:
        yield self._folder.absolute() / file.key

    async def delete(self, key: str) -> None:
        path = self._path(key)
        if path is not None:
            await asyncio.to_thread(path.unlink, missing_ok=True)

    async def forget_session(self, session: str) -> None:
        await asyncio.to_thread(shutil.rmtree, self._folder / session, True)

    def loops(self) -> Iterable[Loop]:
        return ()


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _copy(source: Path, path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Files of messages never change, so a second name is a copy that costs nothing.
    try:
        os.link(source, path)
    except OSError:  # a file system without second names
        shutil.copyfile(source, path)
        path.chmod(0o600)
