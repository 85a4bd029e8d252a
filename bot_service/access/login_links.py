"""One-time codes that sign the administrator in to the dashboard."""

from __future__ import annotations

import hashlib
import secrets

from shared.clock import Clock

LINK_LASTS_S = 3600
_LINKS_KEPT = 20


class LoginLinks:
    """Each code is good for one login within an hour. Only hashes are kept, in memory."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[bytes, float] = {}

    def make(self) -> str:
        """A new code. The oldest one ends when too many are open."""
        self._drop_expired()
        while len(self._open) >= _LINKS_KEPT:
            self._open.pop(next(iter(self._open)))
        code = secrets.token_urlsafe(24)
        self._open[_hash(code)] = self._clock.monotonic() + LINK_LASTS_S
        return code

    def take(self, code: str) -> bool:
        """Use ``code`` up; whether it was good."""
        self._drop_expired()
        return self._open.pop(_hash(code), None) is not None

    def _drop_expired(self) -> None:
        now = self._clock.monotonic()
        self._open = {code: until for code, until in self._open.items() if until > now}


def _hash(code: str) -> bytes:
    return hashlib.sha256(code.encode("utf-8", "surrogateescape")).digest()
