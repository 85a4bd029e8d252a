"""Access to the status: public or with a token to read, WATCHDOG_TOKEN to see operators' details and to write."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass

from aiohttp import web

from shared.clock import Clock
from shared.settings import Secret
from shared.web import auth, errors
from shared.web.browser import cookie

COOKIE = "veilleur_status"
LOGIN_LASTS_S = 12 * 3600
_LOGINS_KEPT = 1000


@dataclass(frozen=True, slots=True)
class StatusLogin:
    """``operator``: made with WATCHDOG_TOKEN. ``author`` stands beside what this person does."""

    ends_at: float
    operator: bool
    author: str
    secret: bytes

    def form_token(self) -> str:
        """What every form carries that changes something, out of the reach of other sites.

        Another text each time, so that the length of a packed page says nothing of it (decision 0170).
        """
        mask = secrets.token_bytes(len(self.secret))
        return base64.urlsafe_b64encode(mask + _mixed(mask, self.secret)).decode()

    def made(self, given: str) -> bool:
        """Whether a form with the token ``given`` comes from a page of this login."""
        try:
            raw = base64.urlsafe_b64decode(given)
        except ValueError:
            return False
        mask, masked = raw[: len(self.secret)], raw[len(self.secret) :]
        return len(masked) == len(self.secret) and hmac.compare_digest(_mixed(mask, masked), self.secret)


class StatusLogins:
    """Logins of browsers, by random names in cookies; only hashes are kept, in memory.

    Browsers send cookies to every port of a host, so a cookie must not be the token itself.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[bytes, StatusLogin] = {}

    def begin(self, *, operator: bool = False, author: str = "") -> str:
        """A new cookie's value, good for :data:`LOGIN_LASTS_S`. The oldest one ends when too many are open."""
        now = self._clock.monotonic()
        self._open = {name: login for name, login in self._open.items() if login.ends_at > now}
        while len(self._open) >= _LOGINS_KEPT:
            self._open.pop(next(iter(self._open)))
        value = secrets.token_urlsafe(32)
        self._open[_hash(value)] = StatusLogin(now + LOGIN_LASTS_S, operator, author, secrets.token_bytes(24))
        return value

    def find(self, value: str) -> StatusLogin | None:
        """The login with this cookie; None when there is none or it has ended."""
        found = self._open.get(_hash(value))
        return found if found is not None and found.ends_at > self._clock.monotonic() else None

    def end(self, value: str) -> None:
        """Idempotent."""
        self._open.pop(_hash(value), None)


class Access:
    """``public``: no token needed to read. Browsers hold a login in the cookie :data:`COOKIE`."""

    def __init__(self, public: bool, reader: Secret | None, writer: Secret, clock: Clock) -> None:
        self.public, self._reader, self._writer = public, reader, writer
        self.logins = StatusLogins(clock)

    def login(self, request: web.Request) -> StatusLogin | None:
        """The login of the browser that asks."""
        given = cookie(request, COOKIE)
        found = self.logins.find(given) if given is not None else None
        if found is not None:
            auth.identified(request)
        return found

    def may_read(self, request: web.Request) -> bool:
        if self.public:
            return True
        given = auth.bearer(request)
        if given is None:
            return self.login(request) is not None
        good = self.is_reader(given)
        if good:
            auth.identified(request)
        return good

    def sees_details(self, request: web.Request) -> bool:
        """Whether an operator asks: with WATCHDOG_TOKEN, or signed in with it."""
        given = auth.bearer(request)
        if given is not None:
            return self.is_writer(given)
        found = self.login(request)
        return found is not None and found.operator

    def is_reader(self, given: str) -> bool:
        """Whether ``given`` is a token that lets its bearer read."""
        return self.is_writer(given) or (self._reader is not None and auth.same(given, self._reader))

    def is_writer(self, given: str) -> bool:
        """Whether ``given`` is WATCHDOG_TOKEN."""
        return auth.same(given, self._writer)

    def require_reader(self, request: web.Request) -> None:
        """401 without a token, 403 with another one."""
        if not self.may_read(request):
            raise errors.unauthorized() if auth.bearer(request) is None else errors.wrong_key()

    def require_writer(self, request: web.Request) -> None:
        """401 without a token, 403 with another one. A cookie is not enough for the API."""
        auth.require(request, self._writer)


ACCESS: web.AppKey[Access] = web.AppKey("access", Access)


def _mixed(one: bytes, other: bytes) -> bytes:
    return bytes(left ^ right for left, right in zip(one, other, strict=True))


def _hash(value: str) -> bytes:
    return hashlib.sha256(value.encode("utf-8", "surrogateescape")).digest()
