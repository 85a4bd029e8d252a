"""Files of messages that go out: taken with a limit on their size, kept under DATA_DIR/media, deleted with their message."""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
import secrets
import shutil
from pathlib import Path

from bot_service.domain.message import Media


class MediaRefused(Exception):
    """``code`` is stable: ``too_large``, ``invalid`` or ``no_space``."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


class MediaStore:
    """``limit_bytes`` holds for one file."""

    def __init__(self, folder: Path, *, limit_bytes: int) -> None:
        self._folder, self.limit_bytes = folder, limit_bytes

    async def from_base64(self, session: str, message_id: str, media: Media) -> Media:
        """``media`` with its bytes in a file instead of in ``data_base64``. Raises :class:`MediaRefused`."""
        encoded = media.data_base64 or ""
        if len(encoded) > self.limit_bytes * 4 // 3 + 8:
            raise MediaRefused("too_large", f"a file may have at most {self.limit_bytes} bytes")
        try:
            data = await asyncio.to_thread(base64.b64decode, encoded, validate=True)
        except binascii.Error:
            raise MediaRefused("invalid", "the data is not base64") from None
        return await self.from_bytes(session, message_id, media, data)

    async def from_bytes(self, session: str, message_id: str, media: Media, data: bytes) -> Media:
        """``media`` with ``data`` in a file. Raises :class:`MediaRefused`."""
        if not data:
            raise MediaRefused("invalid", "the file is empty")
        if len(data) > self.limit_bytes:
            raise MediaRefused("too_large", f"a file may have at most {self.limit_bytes} bytes")
        path = self._folder / session / f"{message_id}-{secrets.token_hex(4)}"
        try:
            await asyncio.to_thread(_write, path, data)
        except OSError as error:
            raise MediaRefused("no_space", f"the file cannot be stored: {error.strerror}") from None
        return Media(
            mime_type=media.mime_type,
            file_name=media.file_name,
            path=str(path),
            size=len(data),
            seconds=media.seconds,
            voice=media.voice,
        )

    def readable(self, media: Media) -> Path | None:
        """The file of ``media`` when it is there and is one of ours."""
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
