"""The login: a key or a one-time link becomes a signed cookie; forms come from own pages only."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web
from itsdangerous import BadData, Signer, URLSafeSerializer

from bot_service import keys
from bot_service.access.principals import ADMINISTRATOR, Principal
from shared.clock import Clock
from shared.settings import Secret
from shared.web.browser import cookie

COOKIE = "veilleur"
LOGIN_LASTS_S = 14 * 86_400
CLOCK_SLACK_S = 3600


@dataclass(frozen=True, slots=True)
class Login:
    """One signed-in browser. ``form_token`` must come back with every command of this login."""

    id: str
    principal: Principal
    form_token: str


@dataclass(frozen=True, slots=True)
class _Cookie:
    """``until_s`` since the epoch; ``key_id`` None is the administrator."""

    key_id: str | None
    until_s: int
    id: str


class Logins:
    """Makes and reads cookies. They stay good over a restart; only sign-outs are stored.

    The administrator's key signs them, so that a new one ends every login. A revoked key ends its
    logins at once, because it is looked up at every request.
    """

    def __init__(self, administrator: Secret, clock: Clock) -> None:
        self._clock = clock
        key, options = administrator.reveal(), {"digest_method": hashlib.sha256, "key_derivation": "hmac"}
        self._cookies = URLSafeSerializer(key, salt="dashboard login", signer_kwargs=options)
        self._forms = Signer(key, salt="dashboard form", digest_method=hashlib.sha256, key_derivation="hmac")

    def cookie(self, key_id: str | None) -> str:
        """The cookie's value for the holder of ``key_id``; None is the administrator."""
        until_s = int(self._clock.now().timestamp()) + LOGIN_LASTS_S
        return str(self._cookies.dumps([key_id, until_s, secrets.token_hex(8)]))

    async def read(self, request: web.Request) -> Login | None:
        """The login of this request's cookie, or None."""
        found, access = self._signed(request), request.app[keys.ACCESS]
        if found is None or access.ended_logins.includes(found.id, found.until_s):
            return None
        who = ADMINISTRATOR if found.key_id is None else await access.keyring.by_id(found.key_id)
        # Asked again: the login may have ended during the look-up.
        if who is None or access.ended_logins.includes(found.id, found.until_s):
            return None
        return Login(found.id, who, self._forms.get_signature(cookie(request, COOKIE) or "").decode())

    async def end(self, request: web.Request) -> None:
        """Sign out: this request's cookie is good for nothing any more, here and after a restart."""
        found = self._signed(request)
        if found is not None:
            await request.app[keys.ACCESS].ended_logins.end(found.id, found.until_s)

    def _signed(self, request: web.Request) -> _Cookie | None:
        """What the cookie says, if it was made here and is not over."""
        try:
            found = _Cookie(*self._cookies.loads(cookie(request, COOKIE) or ""))
        except (BadData, ValueError, TypeError):
            return None
        # One that lasts longer was made while the clock was ahead.
        left_s = found.until_s - self._clock.now().timestamp()
        return found if 0 < left_s <= LOGIN_LASTS_S + CLOCK_SLACK_S else None


def same_token(given: str, login: Login) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), login.form_token.encode())


def inside(target: str) -> str:
    """``target`` if it is a path of this service, else ``/``: a login leads to no other host."""
    try:
        parts = urlsplit(target)
    except ValueError:
        return "/"
    plain = target.startswith("/") and not target.startswith("//") and "\\" not in target
    return target if plain and not parts.netloc and not parts.scheme and target.isprintable() else "/"
