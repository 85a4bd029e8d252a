"""Files of inbound messages: stored before the message is journaled, so that its file exists."""

from __future__ import annotations

import hashlib
import mimetypes
import os
from pathlib import Path
from typing import Protocol

import msgspec

from bot_service.domain.message import Media
from bot_service.engines.registry import safe_name

LARGEST_BYTES = 100 * 1024 * 1024
# Of those that stay in a database.
LARGEST_IN_POSTGRESQL = 16 * 1024 * 1024
_LONGEST_NAME = 100


class ArrivedFiles(Protocol):
    """Keeps files of messages; callable from every thread. Larger ones than ``limit_bytes`` are not kept."""

    @property
    def limit_bytes(self) -> int: ...

    def keep(self, session: str, message_id: str, media: Media, data: bytes) -> Media:
        """Blocks. Stores the file whole or not at all; returns where it is. Raises ``OSError``."""
        ...

    def close(self) -> None: ...


class FolderFiles:
    """In a folder of this machine."""

    limit_bytes = LARGEST_BYTES

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, session: str, message_id: str, media: Media, data: bytes) -> Media:
        path = self._folder / file_key(session, message_id, media, data)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = path.with_suffix(".part")
        part.write_bytes(data)
        part.chmod(0o600)
        os.replace(part, path)
        return msgspec.structs.replace(media, path=str(path), size=len(data))

    def close(self) -> None:
        """A folder needs no end."""


def file_key(session: str, message_id: str, media: Media, data: bytes) -> str:
    """The same for a message that arrives once more, another one for another file.

    Senders choose ids: none of them can replace the file of a message of somebody else.
    """
    name = safe_name(message_id)
    if len(name) > _LONGEST_NAME:
        name = hashlib.sha256(name.encode()).hexdigest()
    kind = media.mime_type.partition(";")[0].strip()
    ending = mimetypes.guess_extension(kind) or ".bin"
    return f"{safe_name(session)}/{name}-{hashlib.sha256(data).hexdigest()[:12]}{ending}"
