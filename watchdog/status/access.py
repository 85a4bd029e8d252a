"""Access to the status: public or with a token to read, WATCHDOG_TOKEN to write."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from shared.settings import Secret
from shared.web import auth, errors
from shared.web.browser import cookie

COOKIE = "veilleur_status"


@dataclass(frozen=True, slots=True)
class Access:
    """``public``: no token needed to read. Browsers hold it in the cookie :data:`COOKIE`."""

    public: bool
    reader: Secret | None
    writer: Secret

    def may_read(self, request: web.Request) -> bool:
        if self.public:
            return True
        given = auth.bearer(request) or cookie(request, COOKIE)
        if given is None or not self.is_reader(given):
            return False
        auth.identified(request)
        return True

    def is_reader(self, given: str) -> bool:
        """Whether ``given`` is a token that lets its bearer read."""
        return auth.same(given, self.writer) or (self.reader is not None and auth.same(given, self.reader))

    def require_reader(self, request: web.Request) -> None:
        """401 without a token, 403 with another one."""
        if not self.may_read(request):
            raise errors.unauthorized() if auth.bearer(request) is None else errors.forbidden()

    def require_writer(self, request: web.Request) -> None:
        """401 without a token, 403 with another one. A cookie never writes."""
        auth.require(request, self.writer)
