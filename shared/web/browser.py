"""Guards forms and cookies of pages: same origin only, Secure wherever HTTPS is used, read at little cost."""

from __future__ import annotations

import re
from functools import cache
from typing import Literal

from aiohttp import hdrs, web

from shared.web.own_hosts import OWN_HOSTS


def is_same_origin(request: web.Request) -> bool:
    """Whether a page of this service sent the form: by ``Sec-Fetch-Site``, else by ``Origin``."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("Origin")
    return origin is not None and request.app[OWN_HOSTS].sent(request, origin)


def cookie(request: web.Request, name: str) -> str | None:
    """The value of the cookie ``name``, None without one.

    aiohttp reads all cookies of a request, which takes 10 ms for a header of 8 kB that anybody can send.
    """
    found = _pattern(name).search(";".join(request.headers.getall(hdrs.COOKIE, ())))
    return None if found is None else found[1].strip(' \t"')


@cache
def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?:^|;)[ \t]*{re.escape(name)}=([^;]*)")


def set_login_cookie(
    request: web.Request,
    response: web.StreamResponse,
    name: str,
    value: str,
    *,
    lasts_s: int,
    same_site: Literal["Strict", "Lax"] = "Strict",
) -> None:
    """HttpOnly; Strict unless forms carry a token of their login; Secure when the browser uses HTTPS, also through a proxy that ends it."""
    by_https = request.secure or request.headers.get("X-Forwarded-Proto", "").split(",")[0].strip() == "https"
    response.set_cookie(name, value, max_age=lasts_s, httponly=True, samesite=same_site, secure=by_https, path="/")
