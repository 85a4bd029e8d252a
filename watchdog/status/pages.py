"""``GET /``: the status page. It needs nothing from the bot service."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from shared.clock import Clock
from shared.web import auth, errors
from shared.web.body import LOGIN_BYTES, read_form
from shared.web.browser import cookie, is_same_origin, set_login_cookie
from shared.web.ui.pages import Pages
from shared.web.wrong_keys import WRONG_KEYS
from watchdog.status import page_model
from watchdog.status.access import COOKIE, LOGIN_LASTS_S, Access
from watchdog.status.snapshot import SNAPSHOT


def add_routes(app: web.Application, access: Access, clock: Clock) -> None:
    """``/``, the login of a page that is not public, and the style sheets and scripts of both."""
    pages = Pages(Path(__file__).parent, clock)

    async def status(request: web.Request) -> web.StreamResponse:
        chosen = pages.choice(request)
        if chosen is not None:
            return chosen
        if not access.may_read(request):
            if auth.bearer(request) is not None:
                await app[WRONG_KEYS].refuse(request)
            return pages.render(request, "status_login.html", status=401, problem="")
        view = await app[SNAPSHOT].status()
        return pages.render(
            request, "status.html", page=page_model.page(view, pages.words(request)), signed_in=not access.public
        )

    async def login(request: web.Request) -> web.StreamResponse:
        if not is_same_origin(request):
            raise errors.forbidden("this login did not come from the status page")
        given = str((await read_form(request, limit=LOGIN_BYTES)).get("token", ""))
        if not access.is_reader(given):
            await app[WRONG_KEYS].refuse(request)
            problem = pages.words(request)("This token is not the right one.")
            return pages.render(request, "status_login.html", status=403, problem=problem)
        response = web.Response(status=303, headers={"Location": "/"})
        set_login_cookie(request, response, COOKIE, access.logins.begin(), lasts_s=LOGIN_LASTS_S)
        return response

    async def logout(request: web.Request) -> web.StreamResponse:
        """Idempotent."""
        if not is_same_origin(request):
            raise errors.forbidden("this command did not come from the status page")
        access.logins.end(cookie(request, COOKIE) or "")
        response = web.Response(status=303, headers={"Location": "/"})
        response.del_cookie(COOKIE, path="/")
        return response

    app.router.add_get("/", status)
    app.router.add_post("/login", login)
    app.router.add_post("/logout", logout)
    app.router.add_get("/static/{digest}/{name}", pages.assets.serve)
