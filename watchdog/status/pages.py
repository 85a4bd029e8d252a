"""``GET /``: the status page, rendered from the status view. It needs nothing from the bot service to answer."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from shared.clock import Clock
from shared.web import errors
from shared.web.ui.pages import Pages
from watchdog import keys
from watchdog.status import page_model
from watchdog.status.access import COOKIE
from watchdog.status.french import FRENCH

LOGIN_LASTS_S = 30 * 86_400


def add_routes(app: web.Application, clock: Clock) -> None:
    """``/``, the login of a page that is not public, and the style sheets and scripts of both."""
    pages = Pages(Path(__file__).parent, french=FRENCH, clock=clock)

    async def status(request: web.Request) -> web.StreamResponse:
        chosen = pages.choice(request)
        if chosen is not None:
            return chosen
        if not app[keys.ACCESS].may_read(request):
            return pages.render(request, "status_login.html", status=401, problem="")
        view = await app[keys.GATHER].status()
        return pages.render(request, "status.html", page=page_model.page(view, pages.words(request)))

    async def login(request: web.Request) -> web.StreamResponse:
        if not _from_here(request):
            raise errors.forbidden("this login did not come from the status page")
        given = str((await request.post()).get("token", ""))
        if not app[keys.ACCESS].is_reader(given):
            problem = pages.words(request)("This token is not the right one.")
            return pages.render(request, "status_login.html", status=403, problem=problem)
        response = web.Response(status=303, headers={"Location": "/"})
        by_https = request.secure or request.headers.get("X-Forwarded-Proto", "").split(",")[0].strip() == "https"
        response.set_cookie(
            COOKIE, given, max_age=LOGIN_LASTS_S, httponly=True, samesite="Strict", secure=by_https, path="/"
        )
        return response

    app.router.add_get("/", status)
    app.router.add_post("/login", login)
    app.router.add_get("/static/{digest}/{name}", pages.assets.serve)


def _from_here(request: web.Request) -> bool:
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("Origin")
    return origin is not None and urlsplit(origin).netloc == request.host
