"""Files of inbound messages: stored before the message is journaled, so that its file exists."""

from __future__ import annotations

import mimetypes
import os
from pathlib import Path

import msgspec

from bot_service.domain.message import Media
from bot_service.engines.registry import safe_name

MAX_FETCHED_BYTES = 100 * 1024 * 1024


def worth_fetching(media: Media) -> bool:
    """Whether the file is small enough."""
    return (media.size or 0) <= MAX_FETCHED_BYTES


def keep(folder: Path, message_id: str, media: Media, data: bytes) -> Media:
    """Writes the file whole or not at all; returns the media with its path. Raises ``OSError``."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    kind = media.mime_type.partition(";")[0].strip()
    path = folder / f"{safe_name(message_id)}{mimetypes.guess_extension(kind) or '.bin'}"
    part = path.with_suffix(".part")
    part.write_bytes(data)
    part.chmod(0o600)
    os.replace(part, path)
    return msgspec.structs.replace(media, path=str(path), size=len(data))
