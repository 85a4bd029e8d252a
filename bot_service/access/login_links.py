"""One-time codes that sign in to the dashboard with the key that asked for them."""

from __future__ import annotations

import hashlib
import secrets

from shared.clock import Clock

LINK_LASTS_S = 3600
_LINKS_KEPT = 20


class LoginLinks:
    """Each code is good for one login within an hour, as long as its key. Only hashes are kept, in memory."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[bytes, tuple[float, str | None]] = {}

    def make(self, key_id: str | None) -> str:
        """A new code for the key ``key_id``; None is the administrator. The oldest one ends when too many are open."""
        self._drop_expired()
        while len(self._open) >= _LINKS_KEPT:
            self._open.pop(next(iter(self._open)))
        code = secrets.token_urlsafe(24)
        self._open[_hash(code)] = self._clock.monotonic() + LINK_LASTS_S, key_id
        return code

    def take(self, code: str) -> str | None:
        """Use ``code`` up: the id of its key, None for the administrator. Raises ``KeyError`` when it is not good."""
        self._drop_expired()
        return self._open.pop(_hash(code))[1]

    def forget(self, key_id: str) -> None:
        """End the open codes of a key."""
        self._open = {code: made for code, made in self._open.items() if made[1] != key_id}

    def _drop_expired(self) -> None:
        now = self._clock.monotonic()
        self._open = {code: made for code, made in self._open.items() if made[0] > now}


def _hash(code: str) -> bytes:
    return hashlib.sha256(code.encode("utf-8", "surrogateescape")).digest()
