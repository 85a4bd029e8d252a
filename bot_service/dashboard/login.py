"""Who may see the dashboard: a key or a one-time link becomes a signed cookie; every command is refused from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from bot_service.access import key_holders
from bot_service.access.principals import ADMINISTRATOR, Principal
from shared.clock import Clock
from shared.settings import Secret

COOKIE = "veilleur"
LOGIN_LASTS_S = 14 * 86_400
LINK_LASTS_S = 3600
LINKS_KEPT = 20


class _Ticket(msgspec.Struct, frozen=True):
    """What the cookie says: whose login (None for the administrator) and until when, in seconds since the epoch."""

    key: str | None
    until: int
    nonce: str


@dataclass(frozen=True, slots=True)
class Login:
    """One signed-in browser. ``form_token`` must come back with every command of this login."""

    principal: Principal
    form_token: str


class Logins:
    """Makes and reads cookies. Nothing is kept: a restart of the service, or another replica, knows them all.

    The administrator's key signs, so that a new key ends every login. A key that was revoked ends its logins at once,
    because it is looked up again at every request.
    """

    def __init__(self, administrator: Secret, clock: Clock) -> None:
        self.administrator = administrator
        self._secret = hmac.digest(administrator.reveal().encode(), b"dashboard login, version 1", "sha256")
        self._clock = clock

    def cookie(self, key_id: str | None) -> str:
        """The cookie's value for the holder of ``key_id``; None is the administrator."""
        until = int(self._clock.now().timestamp()) + LOGIN_LASTS_S
        body = msgspec.json.encode(_Ticket(key_id, until, secrets.token_hex(8)))
        return f"{_text(body)}.{_text(self._sign(body))}"

    async def read(self, request: web.Request) -> Login | None:
        """The login of this request's cookie, or None."""
        value = request.cookies.get(COOKIE, "")
        ticket = self._ticket(value)
        if ticket is None:
            return None
        who = ADMINISTRATOR if ticket.key is None else await key_holders.by_id(request, ticket.key)
        if who is None:
            return None
        return Login(who, _text(self._sign(b"form " + value.encode())))

    def _ticket(self, value: str) -> _Ticket | None:
        body, _, signature = value.partition(".")
        try:
            raw = _raw(body)
            if not hmac.compare_digest(_raw(signature), self._sign(raw)):
                return None
            ticket = msgspec.json.decode(raw, type=_Ticket)
        except (ValueError, msgspec.DecodeError):
            return None
        return ticket if ticket.until > self._clock.now().timestamp() else None

    def _sign(self, body: bytes) -> bytes:
        return hmac.digest(self._secret, body, "sha256")


class LoginLinks:
    """One-time codes for the administrator, each good for one login within an hour. Only their hashes are kept."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[bytes, float] = {}

    def make(self) -> str:
        """A new code."""
        self._forget_old()
        while len(self._open) >= LINKS_KEPT:
            self._open.pop(next(iter(self._open)))
        code = secrets.token_urlsafe(24)
        self._open[_hash(code)] = self._clock.monotonic() + LINK_LASTS_S
        return code

    def take(self, code: str) -> bool:
        """Whether ``code`` was good; from now on it is not."""
        self._forget_old()
        return self._open.pop(_hash(code), None) is not None

    def _forget_old(self) -> None:
        now = self._clock.monotonic()
        self._open = {code: until for code, until in self._open.items() if until > now}


def set_cookie(request: web.Request, response: web.StreamResponse, value: str) -> None:
    """HttpOnly and Strict; Secure wherever the browser came by HTTPS, also when a proxy in front ended it."""
    by_https = request.secure or request.headers.get("X-Forwarded-Proto", "").split(",")[0].strip() == "https"
    response.set_cookie(
        COOKIE, value, max_age=LOGIN_LASTS_S, httponly=True, samesite="Strict", secure=by_https, path="/"
    )


def from_here(request: web.Request) -> bool:
    """Whether a form was sent from a page of ours: by ``Sec-Fetch-Site``, or by ``Origin`` where a browser lacks that."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("Origin")
    return origin is not None and urlsplit(origin).netloc == request.host


def same_token(given: str, login: Login) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), login.form_token.encode())


def inside(target: str) -> str:
    """``target`` when it is a path of this service, else ``/``: a login must not lead to another host."""
    parts = urlsplit(target)
    plain = target.startswith("/") and not target.startswith("//") and "\\" not in target
    return target if plain and not parts.netloc and not parts.scheme and target.isprintable() else "/"


def _hash(code: str) -> bytes:
    return hashlib.sha256(code.encode("utf-8", "surrogateescape")).digest()


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _raw(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
