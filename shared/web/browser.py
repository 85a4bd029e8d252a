"""Guards forms and login cookies of pages: same origin only, and Secure wherever HTTPS is used."""

from __future__ import annotations

from urllib.parse import urlsplit

from aiohttp import web


def is_same_origin(request: web.Request) -> bool:
    """Whether a page of this service sent the form: by ``Sec-Fetch-Site``, else by ``Origin``."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("Origin")
    try:
        return origin is not None and urlsplit(origin).netloc == request.host
    except ValueError:
        return False


def set_login_cookie(
    request: web.Request, response: web.StreamResponse, name: str, value: str, *, lasts_s: int
) -> None:
    """HttpOnly and Strict; Secure when the browser uses HTTPS, also through a proxy that ends it."""
    by_https = request.secure or request.headers.get("X-Forwarded-Proto", "").split(",")[0].strip() == "https"
    response.set_cookie(name, value, max_age=lasts_s, httponly=True, samesite="Strict", secure=by_https, path="/")
