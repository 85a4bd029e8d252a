"""Files of sent messages: limited in size, in DATA_DIR/media, deleted with their message."""

from __future__ import annotations

import asyncio
import base64
import os
import secrets
import shutil
from pathlib import Path

import msgspec

from bot_service.domain.message import Media
from bot_service.domain.refused import Refused, invalid


class MediaStore:
    """``limit_bytes`` is the limit of one file."""

    def __init__(self, folder: Path, *, limit_bytes: int) -> None:
        self._folder, self.limit_bytes = folder, limit_bytes

    async def from_base64(self, session: str, message_id: str, media: Media) -> Media:
        """Store ``data_base64`` as a file; like :meth:`from_bytes`."""
        encoded = media.data_base64 or ""
        if len(encoded) > self.limit_bytes * 4 // 3 + 8:
            raise self._too_large()
        try:
            data = await asyncio.to_thread(base64.b64decode, encoded, validate=True)
        except ValueError:  # binascii's error is one; text beyond ASCII is another
            raise invalid("media.data", "the data is not base64") from None
        return await self.from_bytes(session, message_id, media, data)

    async def from_bytes(self, session: str, message_id: str, media: Media, data: bytes) -> Media:
        """Store ``data`` as a file. Returns ``media`` with its path.

        Refused: ``too_large``, ``invalid``, ``no_space``.
        """
        if not data:
            raise invalid("media.data", "the file is empty")
        if len(data) > self.limit_bytes:
            raise self._too_large()
        path = self._new_path(session, message_id)
        try:
            await asyncio.to_thread(_write, path, data)
        except OSError as error:
            raise Refused("no_space", f"the file cannot be stored: {error.strerror}") from None
        return msgspec.structs.replace(media, path=str(path), size=len(data), data_base64=None)

    async def copy(self, session: str, message_id: str, media: Media | None) -> Media | None:
        """The file of ``media`` once more, for another message; None when it is not kept.

        Refused: ``no_space``.
        """
        source = self.readable(media) if media is not None else None
        if media is None or source is None:
            return None
        path = self._new_path(session, message_id)
        try:
            await asyncio.to_thread(_copy, source, path)
        except OSError as error:
            raise Refused("no_space", f"the file cannot be stored: {error.strerror}") from None
        return msgspec.structs.replace(media, path=str(path))

    def _new_path(self, session: str, message_id: str) -> Path:
        return self._folder / session / f"{message_id}-{secrets.token_hex(4)}"

    def _too_large(self) -> Refused:
        return Refused("too_large", f"the body may hold at most {self.limit_bytes} bytes")

    def readable(self, media: Media) -> Path | None:
        """The file of ``media`` if it exists and is inside the folder of this store."""
        if media.path is None:
            return None
        path = Path(media.path).resolve()
        return path if path.is_relative_to(self._folder.resolve()) and path.is_file() else None

    async def delete(self, media: Media) -> None:
        path = self.readable(media)
        if path is not None:
            await asyncio.to_thread(path.unlink, missing_ok=True)

    async def forget_session(self, session: str) -> None:
        """Delete every file of a deleted session."""
        await asyncio.to_thread(shutil.rmtree, self._folder / session, True)


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
