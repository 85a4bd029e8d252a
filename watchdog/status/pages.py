"""``GET /``: the status page for customers, its feed and its small form for other sites.

It needs nothing from the bot service.
"""

from __future__ import annotations

import re
from pathlib import Path

from aiohttp import web

from shared.clock import Clock, epoch_ms
from shared.web import auth, errors
from shared.web.body import LOGIN_BYTES, read_form
from shared.web.browser import cookie, is_same_origin, set_login_cookie
from shared.web.ui.pages import Pages
from shared.web.wrong_keys import WRONG_KEYS
from watchdog.parts import PARTS
from watchdog.status import feed, operator_pages, page_model, requests
from watchdog.status.access import COOKIE, LOGIN_LASTS_S, Access
from watchdog.status.brand import STYLE, Brand
from watchdog.status.snapshot import SNAPSHOT

# Where a login may lead: pages of this program only.
_NEXT = re.compile(r"/(operator(\?incident=[A-Za-z0-9_.~%-]+)?)?")
_EMBEDDED = {"Cross-Origin-Resource-Policy": "cross-origin"}


def add_routes(app: web.Application, access: Access, brand: Brand, clock: Clock) -> None:
    """``/``, ``/operator``, their login, the feed, the page for other sites, style sheets and scripts."""
    pages = Pages(Path(__file__).parent, clock, brand.title)

    def login_page(request: web.Request, problem: str = "", *, status: int, following: str = "/") -> web.Response:
        return pages.render(
            request,
            "status_login.html",
            status=status,
            headers=brand.headers(),
            brand=brand,
            problem=problem,
            following=following,
        )

    async def status(request: web.Request) -> web.StreamResponse:
        chosen = pages.choice(request)
        if chosen is not None:
            return chosen
        if not access.may_read(request):
            if auth.bearer(request) is not None:
                await app[WRONG_KEYS].refuse(request)
            return login_page(request, status=401)
        view = await app[SNAPSHOT].status()
        return pages.render(
            request,
            "status.html",
            headers=brand.headers(),
            brand=brand,
            address=brand.address(request),
            page=page_model.page(view, pages.words(request), brand.title),
            login=access.login(request),
            public=access.public,
        )

    async def embedded(request: web.Request) -> web.StreamResponse:
        """One state for another site's page; it holds no form, so nothing can be clicked away in it."""
        access.require_reader(request)
        view = page_model.page(await app[SNAPSHOT].status(), pages.words(request), brand.title)
        headers = {**brand.headers(frames="*"), **_EMBEDDED}
        return pages.render(
            request, "embed.html", headers=headers, brand=brand, page=view, address=brand.address(request)
        )

    async def atom(request: web.Request) -> web.StreamResponse:
        """In the language of ``?lang=``, which a feed reader keeps in the address, else as for a page."""
        access.require_reader(request)
        now_ms, wanted = epoch_ms(clock), request.query.get("lang")
        words = pages.words(request, wanted)
        entries = await app[PARTS].base.ledger.read(lambda c: feed.read(c, now_ms, words))
        query = f"?lang={words.lang}" if wanted == words.lang else ""
        text = feed.atom(
            entries, title=brand.title, address=brand.address(request), made_ms=now_ms, lang=words.lang, query=query
        )
        headers = {
            "Cache-Control": "no-cache, max-age=60",
            "Content-Language": words.lang,
            "Vary": "Accept-Language, Cookie",
        }
        return web.Response(text=text, content_type="application/atom+xml", charset="utf-8", headers=headers)

    async def login(request: web.Request) -> web.StreamResponse:
        if not is_same_origin(request):
            raise errors.forbidden("this login did not come from the status page")
        form = await read_form(request, limit=LOGIN_BYTES)
        given, following = str(form.get("token", "")), str(form.get("next", "/"))
        following = following if _NEXT.fullmatch(following) else "/"
        t = pages.words(request)
        if not access.is_reader(given):
            await app[WRONG_KEYS].refuse(request)
            return login_page(request, t("This token is not the right one."), status=403, following=following)
        if following != "/" and not access.is_writer(given):
            return login_page(request, t("This page needs WATCHDOG_TOKEN."), status=403, following=following)
        author = requests.plain(str(form.get("author", "")), "author")
        response = web.Response(status=303, headers={"Location": following})
        value = access.logins.begin(operator=access.is_writer(given), author=author)
        # Lax: a link in an alert leads to the page and not to its login. No link changes anything, and
        # every form carries the token of its login.
        set_login_cookie(request, response, COOKIE, value, lasts_s=LOGIN_LASTS_S, same_site="Lax")
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
    app.router.add_get("/embed", embedded)
    app.router.add_get("/feed.atom", atom)
    app.router.add_post("/login", login)
    app.router.add_post("/logout", logout)
    app.router.add_get(STYLE, brand.serve)
    app.router.add_get("/static/{digest}/{name}", pages.assets.serve)
    operator_pages.add_routes(app, access, brand, pages, login_page)
