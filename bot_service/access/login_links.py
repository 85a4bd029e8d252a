"""One-time codes that sign in to the dashboard with the key that asked for them. Replicas share them."""

from __future__ import annotations

import hashlib
import secrets

import msgspec

from bot_service.access.shared_once import SharedOnce
from shared.clock import Clock

LINK_LASTS_S = 3600
_LINKS_KEPT = 20
_ENCODE, _DECODER = msgspec.json.encode, msgspec.json.Decoder(str | None)


class LoginLinks:
    """Each code is good for one login within an hour, as long as its key. Only hashes are kept, in memory or ``shared``."""

    def __init__(self, clock: Clock, shared: SharedOnce | None = None) -> None:
        self._clock, self._shared = clock, shared
        self._open: dict[bytes, tuple[float, str | None]] = {}

    async def make_anywhere(self, key_id: str | None) -> str:
        """A new code for the key ``key_id``, good at every replica; None is the administrator."""
        if self._shared is None:
            return self.make(key_id)
        code = secrets.token_urlsafe(24)
        await self._shared.put(code, _ENCODE(key_id), lasts_s=LINK_LASTS_S)
        return code

    def make(self, key_id: str | None) -> str:
        """As :meth:`make_anywhere`, good here alone. The oldest one ends when too many are open."""
        self._drop_expired()
        while len(self._open) >= _LINKS_KEPT:
            self._open.pop(next(iter(self._open)))
        code = secrets.token_urlsafe(24)
        self._open[_hash(code)] = self._clock.monotonic() + LINK_LASTS_S, key_id
        return code

    async def take(self, code: str) -> str | None:
        """Use ``code`` up: the id of its key, None for the administrator. Raises ``KeyError`` when it is not good."""
        self._drop_expired()
        if self._shared is not None and _hash(code) not in self._open:
            found = await self._shared.take(code)
            if found is None:
                raise KeyError(code)
            key_id: str | None = _DECODER.decode(found)
            return key_id
        return self._open.pop(_hash(code))[1]

    def forget(self, key_id: str) -> None:
        """End the open codes of a key. Shared ones sign no one in, because their key does not."""
        self._open = {code: made for code, made in self._open.items() if made[1] != key_id}

    def _drop_expired(self) -> None:
        now = self._clock.monotonic()
        self._open = {code: made for code, made in self._open.items() if made[0] > now}


def _hash(code: str) -> bytes:
    return hashlib.sha256(code.encode("utf-8", "surrogateescape")).digest()
