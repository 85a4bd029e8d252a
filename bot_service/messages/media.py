"""Files of messages by key: limited in size, kept where all replicas find them, deleted with their message."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

import msgspec

from bot_service.access.downloads import KeptFile
from bot_service.domain.message import Media, OutgoingMessage
from bot_service.domain.refused import Refused, invalid
from bot_service.engines.port import EngineError
from bot_service.store.batch_writer import STORE_ERRORS
from bot_service.store.errors import why
from shared.tasks import Loop


class MediaFiles(Protocol):
    """Where files are kept. Keys are ``<session>/<name>``; a key has one content for ever.

    Every method may raise errors of the store.
    """

    async def put(self, key: str, data: bytes) -> None:
        """Raises ``OSError`` when a disk refuses it."""
        ...

    async def copy(self, file: KeptFile, key: str) -> None: ...

    async def find(self, key: str) -> KeptFile | None: ...

    def local(self, file: KeptFile) -> AbstractAsyncContextManager[Path]:
        """A file on this machine with its content, while the block runs."""
        ...

    async def delete(self, key: str) -> None: ...

    async def forget_session(self, session: str) -> None: ...

    def loops(self) -> Iterable[Loop]:
        """What it does in the background, by name."""
        ...


class MediaStore:
    """``limit_bytes`` is the limit of one file to send."""

    def __init__(self, files: MediaFiles, *, limit_bytes: int) -> None:
        self._files, self.limit_bytes = files, limit_bytes

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
        """Store ``data`` as a file. Returns ``media`` with its key.

        Refused: ``too_large``, ``invalid``, ``no_space``.
        """
        if not data:
            raise invalid("media.data", "the file is empty")
        if len(data) > self.limit_bytes:
            raise self._too_large()
        key = _new_key(session, message_id)
        try:
            await self._files.put(key, data)
        except OSError as error:
            raise _not_stored(error) from None
        return msgspec.structs.replace(media, key=key, path=None, size=len(data), data_base64=None)

    async def copy(self, session: str, message_id: str, media: Media | None) -> Media | None:
        """The file of ``media`` once more, for another message; None when it is not kept.

        Refused: ``no_space``.
        """
        source = await self.find(media) if media is not None else None
        if media is None or source is None:
            return None
        key = _new_key(session, message_id)
        try:
            await self._files.copy(source, key)
        except OSError as error:
            raise _not_stored(error) from None
        return msgspec.structs.replace(media, key=key, path=None)

    def _too_large(self) -> Refused:
        return Refused("too_large", f"the body may hold at most {self.limit_bytes} bytes")

    async def find(self, media: Media) -> KeptFile | None:
        """The file of ``media``, if it is kept."""
        key = media.file_key
        return await self._files.find(key) if key is not None else None

    async def content(self, media: Media) -> bytes | None:
        """All of a file that is kept."""
        file = await self.find(media)
        return await file.content() if file is not None else None

    @asynccontextmanager
    async def sendable(self, message: OutgoingMessage) -> AsyncIterator[OutgoingMessage]:
        """``message`` with its file on this machine, where a worker finds it. Raises :class:`EngineError`."""
        if message.media is None or message.media.file_key is None:
            yield message
            return
        try:
            file = await self.find(message.media)
            if file is None:
                raise EngineError("invalid", "the file of this message is not kept any more")
            local = self._files.local(file)
            path = await local.__aenter__()
        except STORE_ERRORS as error:
            raise EngineError("no_file", f"the file cannot be read now: {why(error)}", retryable=True) from error
        try:
            yield msgspec.structs.replace(message, media=msgspec.structs.replace(message.media, path=str(path)))
        finally:
            await local.__aexit__(None, None, None)

    async def delete(self, media: Media) -> None:
        if media.file_key is not None:
            await self._files.delete(media.file_key)

    async def forget_session(self, session: str) -> None:
        """Delete every file of a deleted session."""
        await self._files.forget_session(session)

    def loops(self) -> Iterable[Loop]:
        """The background loops by name."""
        return self._files.loops()


def _new_key(session: str, message_id: str) -> str:
    return f"{session}/{message_id}-{secrets.token_hex(4)}"


def _not_stored(error: OSError) -> Refused:
    return Refused("no_space", f"the file cannot be stored: {error.strerror or type(error).__name__}")
