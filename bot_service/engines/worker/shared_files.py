"""Files of inbound messages in the PostgreSQL that replicas share. Loaded only by a worker that gets its address."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from bot_service.domain.message import Media
from bot_service.engines.arrived_files import file_key
from bot_service.engines.neonize.device_store import StoreFailed
from bot_service.engines.neonize.postgresql_link import PostgresqlLink

# The session of the message waits: over a restart of PostgreSQL, and not for ever.
TRY_S, TRIES, PAUSE_S = 10.0, 3, 1.0
# As the service reads them (``store/media.py``).
PART_BYTES = 1024 * 1024

_BEGIN = """
INSERT INTO media_files (key, belongs_to, size, stored_ms, place, claimed_until_ms)
SELECT $1::text, $2::text, $3::bigint, (extract(epoch FROM clock_timestamp()) * 1000)::bigint, 'here', 0
WHERE EXISTS (SELECT 1 FROM sessions WHERE id = $2::text) ON CONFLICT (key) DO NOTHING
"""
_PART = "INSERT INTO media_parts (key, number, data) VALUES ($1, $2, $3)"


class SharedFiles:
    """Implements :class:`ArrivedFiles`."""

    def __init__(self, server: str, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._link = PostgresqlLink(server)

    def keep(self, session: str, message_id: str, media: Media, data: bytes) -> Media:
        key = file_key(session, message_id, media, data)
        for left in reversed(range(TRIES)):
            try:
                self._link.run(lambda connection: _store(connection, key, session, data), TRY_S)
                break
            except StoreFailed as error:
                if not left:
                    raise ConnectionError(f"the file cannot be stored: {error}") from error
                time.sleep(PAUSE_S)
        return msgspec.structs.replace(media, key=key, size=len(data))

    def close(self) -> None:
        self._link.close()


async def _store(connection: Any, key: str, session: str, data: bytes) -> None:
    async with connection.transaction():
        status = await connection.execute(_BEGIN, key, session, len(data))
        if status.endswith(" 0"):
            return  # it is there already, or its session is deleted
        view = memoryview(data)
        for number, start in enumerate(range(0, len(data), PART_BYTES)):
            await connection.execute(_PART, key, number, bytes(view[start : start + PART_BYTES]))
