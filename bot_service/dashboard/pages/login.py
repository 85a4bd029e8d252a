"""The login page: by key, or by a one-time link; signing out; and making such a link with the administrator's key."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from aiohttp import web

from bot_service import keys
from bot_service.access.key_holders import by_token
from bot_service.api.sessions.schemas import LoginLink
from bot_service.dashboard.context import DESK, read_form
from bot_service.dashboard.login import COOKIE, LINK_LASTS_S, from_here, inside, set_cookie
from shared.clock import iso
from shared.web import errors
from shared.web.body import json_response


async def show(request: web.Request) -> web.StreamResponse:
    desk = request.app[DESK]
    chosen = desk.pages.choice(request)
    if chosen is not None:
        return chosen
    # Opening the link does not use it up: whatever looks at links ahead of people would sign in for them.
    return _page(request, code=request.query.get("code", "")[:100], next_page=inside(request.query.get("next", "/")))


def _page(request: web.Request, *, code: str, next_page: str, problem: str = "", status: int = 200) -> web.Response:
    return request.app[DESK].pages.render(
        request, "login.html", status=status, code=code, next=next_page, problem=problem
    )


async def sign_in(request: web.Request) -> web.StreamResponse:
    desk = request.app[DESK]
    form = await read_form(request)
    t, next_page = desk.pages.words(request), inside(str(form.get("next", "/")))
    if not from_here(request):
        raise errors.forbidden("this login did not come from the login page")
    code = str(form.get("code", ""))
    if code:
        if not desk.links.take(code):
            problem = t("This link was used already or is too old. Ask for a new one, or sign in with a key.")
            return _page(request, code="", next_page=next_page, problem=problem, status=403)
        key_id: str | None = None
    else:
        found = await by_token(request, str(form.get("key", "")), desk.logins.administrator)
        if found is None:
            return _page(request, code="", next_page=next_page, problem=t("This key is not known."), status=403)
        key_id = found[1]
    await asyncio.to_thread(desk.signed_in_once.touch)
    response = web.Response(status=303, headers={"Location": next_page})
    set_cookie(request, response, desk.logins.cookie(key_id))
    return response


async def sign_out(request: web.Request) -> web.StreamResponse:
    """Idempotent; needs no token, because the worst that a foreign page could do with it is a new login."""
    if not from_here(request):
        raise errors.forbidden("this command did not come from a page of this service")
    response = web.Response(status=303, headers={"Location": "/login"})
    response.del_cookie(COOKIE, path="/")
    return response


async def make_link(request: web.Request) -> web.Response:
    """``POST /api/login-links``: an address that signs the administrator in once."""
    code = request.app[DESK].links.make()
    until = request.app[keys.CLOCK].now() + timedelta(seconds=LINK_LASTS_S)
    # Asked from inside a container, the request's own address is not the one that people open.
    base = request.app[keys.SETTINGS].public_url or f"{request.scheme}://{request.host}"
    return json_response(LoginLink(f"{base}/login?code={code}", iso(until)), status=201)
