"""Access to the status: public or with a token to read, WATCHDOG_TOKEN to write."""

from __future__ import annotations

import hashlib
import secrets

from aiohttp import web

from shared.clock import Clock
from shared.settings import Secret
from shared.web import auth, errors
from shared.web.browser import cookie

COOKIE = "veilleur_status"
LOGIN_LASTS_S = 12 * 3600
_LOGINS_KEPT = 1000


class StatusLogins:
    """Logins of browsers, by random names in cookies; only hashes are kept, in memory.

    Browsers send cookies to every port of a host, so a cookie must not be the token itself.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ends_at: dict[bytes, float] = {}

    def begin(self) -> str:
        """A new cookie's value, good for :data:`LOGIN_LASTS_S`. The oldest one ends when too many are open."""
        now = self._clock.monotonic()
        self._ends_at = {login: at for login, at in self._ends_at.items() if at > now}
        while len(self._ends_at) >= _LOGINS_KEPT:
            self._ends_at.pop(next(iter(self._ends_at)))
        value = secrets.token_urlsafe(32)
        self._ends_at[_hash(value)] = now + LOGIN_LASTS_S
        return value

    def includes(self, value: str) -> bool:
        return self._ends_at.get(_hash(value), 0.0) > self._clock.monotonic()

    def end(self, value: str) -> None:
        """Idempotent."""
        self._ends_at.pop(_hash(value), None)


class Access:
    """``public``: no token needed to read. Browsers hold a login in the cookie :data:`COOKIE`."""

    def __init__(self, public: bool, reader: Secret | None, writer: Secret, clock: Clock) -> None:
        self.public, self._reader, self._writer = public, reader, writer
        self.logins = StatusLogins(clock)

    def may_read(self, request: web.Request) -> bool:
        if self.public:
            return True
        given, login = auth.bearer(request), cookie(request, COOKIE)
        good = self.is_reader(given) if given is not None else login is not None and self.logins.includes(login)
        if good:
            auth.identified(request)
        return good

    def is_reader(self, given: str) -> bool:
        """Whether ``given`` is a token that lets its bearer read."""
        return auth.same(given, self._writer) or (self._reader is not None and auth.same(given, self._reader))

    def require_reader(self, request: web.Request) -> None:
        """401 without a token, 403 with another one."""
        if not self.may_read(request):
            raise errors.unauthorized() if auth.bearer(request) is None else errors.wrong_key()

    def require_writer(self, request: web.Request) -> None:
        """401 without a token, 403 with another one. A cookie never writes."""
        auth.require(request, self._writer)


def _hash(value: str) -> bytes:
    return hashlib.sha256(value.encode("utf-8", "surrogateescape")).digest()
