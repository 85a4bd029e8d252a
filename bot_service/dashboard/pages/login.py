"""``/login``: signing in by key or one-time link, and signing out."""

from __future__ import annotations

import asyncio

from aiohttp import web

from bot_service import keys
from bot_service.dashboard.context import DASHBOARD, words
from bot_service.dashboard.login import COOKIE, LOGIN_LASTS_S, inside
from shared.web import errors
from shared.web.body import LOGIN_BYTES, read_form
from shared.web.browser import is_same_origin, set_login_cookie
from shared.web.wrong_keys import WRONG_KEYS


async def show(request: web.Request) -> web.StreamResponse:
    chosen = request.app[DASHBOARD].pages.choice(request)
    if chosen is not None:
        return chosen
    # Opening the link does not use it up: mail filters and browsers open links before people do.
    return _page(request, code=request.query.get("code", "")[:100], next_page=inside(request.query.get("next", "/")))


def _page(request: web.Request, *, code: str, next_page: str, problem: str = "", status: int = 200) -> web.Response:
    return request.app[DASHBOARD].pages.render(
        request, "login.html", status=status, code=code, next=next_page, problem=problem
    )


async def sign_in(request: web.Request) -> web.StreamResponse:
    if not is_same_origin(request):
        raise errors.forbidden("this login did not come from the login page")
    access, dashboard = request.app[keys.ACCESS], request.app[DASHBOARD]
    form = await read_form(request, limit=LOGIN_BYTES)
    t, next_page = words(request), inside(str(form.get("next", "/")))
    code = str(form.get("code", ""))
    if code:
        try:
            key_id = await access.login_links.take(code)
        except KeyError:
            await request.app[WRONG_KEYS].refuse(request)
            problem = t("This link was used already or is too old. Ask for a new one, or sign in with a key.")
            return _page(request, code="", next_page=next_page, problem=problem, status=403)
    else:
        holder = await access.keyring.by_token(str(form.get("key", "")))
        if holder is None:
            await request.app[WRONG_KEYS].refuse(request)
            return _page(request, code="", next_page=next_page, problem=t("This key is not known."), status=403)
        key_id = holder.key_id
    await asyncio.to_thread(dashboard.signed_in_once.touch)
    response = web.Response(status=303, headers={"Location": next_page})
    set_login_cookie(request, response, COOKIE, dashboard.logins.cookie(key_id), lasts_s=LOGIN_LASTS_S)
    return response


async def sign_out(request: web.Request) -> web.StreamResponse:
    """Idempotent; needs no token, because a foreign page could only cause a new login."""
    if not is_same_origin(request):
        raise errors.forbidden("this command did not come from a page of this service")
    await request.app[DASHBOARD].logins.end(request)
    response = web.Response(status=303, headers={"Location": "/login"})
    response.del_cookie(COOKIE, path="/")
    return response
