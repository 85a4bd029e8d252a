"""What the dashboard keeps between requests, and the two doors that every page goes through."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from aiohttp import web
from multidict import MultiDictProxy

from bot_service.access.principals import PRINCIPAL, Principal, Scope
from bot_service.dashboard import wording
from bot_service.dashboard.flash import FlashMessages
from bot_service.dashboard.french import FRENCH
from bot_service.dashboard.login import COOKIE, Login, LoginLinks, Logins, from_here, inside, same_token
from bot_service.sessions.event_bus import Event
from bot_service.sessions.pairing_codes import Shown
from shared.clock import Clock
from shared.settings import Secret
from shared.web import errors
from shared.web.middleware import Handler
from shared.web.ui.pages import Pages

FORM_BYTES = 256 * 1024
Form = MultiDictProxy[str]


@dataclass(slots=True)
class DashboardContext:
    """``signed_in_once``: a file that is there once somebody has signed in. ``codes``: pairing codes that were asked for
    here, because the engine goes on showing QR codes meanwhile."""

    pages: Pages
    logins: Logins
    links: LoginLinks
    signed_in_once: Path
    once: FlashMessages
    codes: dict[str, Shown] = field(default_factory=dict)
    streams: set[asyncio.Queue[Event | None]] = field(default_factory=set)


DESK: web.AppKey[DashboardContext] = web.AppKey("dashboard", DashboardContext)


def new_desk(administrator: Secret, clock: Clock, data_dir: Path) -> DashboardContext:
    pages = Pages(Path(__file__).parent, french=FRENCH, clock=clock)
    return DashboardContext(
        pages, Logins(administrator, clock), LoginLinks(clock), data_dir / "signed-in", FlashMessages(clock)
    )


def page(scope: Scope, handler: Callable[[web.Request, Login], Awaitable[web.StreamResponse]]) -> Handler:
    """A page for whoever is signed in and holds ``scope``; others are led to the login."""

    async def entered(request: web.Request) -> web.StreamResponse:
        desk = request.app[DESK]
        chosen = desk.pages.choice(request)
        if chosen is not None:
            return chosen
        login = await desk.logins.read(request)
        if login is None:
            return to_login(request)
        try:
            _allow(request, login.principal, scope)
            return await handler(request, login)
        except errors.Problem as problem:
            return _problem_page(request, problem)

    return entered


def command(scope: Scope, handler: Callable[[web.Request, Login, Form], Awaitable[str]]) -> Handler:
    """A form of ours, sent from a page of ours. ``handler`` returns where to go; a problem leads back with its words."""

    async def entered(request: web.Request) -> web.StreamResponse:
        login = await request.app[DESK].logins.read(request)
        if login is None:
            return to_login(request)
        form = await read_form(request)
        if not from_here(request) or not same_token(str(form.get("token", "")), login):
            return _problem_page(request, errors.forbidden("this command did not come from a page of this service"))
        try:
            _allow(request, login.principal, scope)
            target = await handler(request, login, form)
        except errors.Problem as problem:
            target = _with(back(request, form), "problem", problem_word(problem))
        return web.Response(status=303, headers={"Location": target})

    return entered


async def read_form(request: web.Request) -> Form:
    """The fields of a form; no files. Raises :class:`errors.Problem` 413 and 415."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise errors.Problem(415, "unsupported_media_type", "the body must be a form")
    if (request.content_length or 0) > FORM_BYTES:
        raise errors.too_large(FORM_BYTES)
    fields = await request.post()
    return MultiDictProxy(fields)  # type: ignore[arg-type]


def back(request: web.Request, form: Form) -> str:
    """The page that the form stood on: a path of ours, whatever was sent."""
    given = str(form.get("next", ""))
    if given:
        return inside(given)
    session = request.match_info.get("id")
    return f"/sessions/{quote(session, safe='')}" if session else "/"


def done(target: str, what: str) -> str:
    return _with(target, "done", what)


def _with(target: str, name: str, value: str) -> str:
    path, _, query = target.partition("?")
    kept = [part for part in query.split("&") if part and part.partition("=")[0] not in ("done", "problem")]
    return f"{path}?{'&'.join([*kept, f'{name}={value}'])}"


def problem_word(problem: errors.Problem) -> str:
    """The code of a problem, reduced to those that have words."""
    if problem.code in wording.PROBLEM:
        return problem.code
    by_status = {403: "forbidden", 404: "not_found", 409: "wrong_state", 422: "invalid", 429: "limited"}
    return by_status.get(problem.status, "engine" if problem.status in (502, 504) else "other")


def to_login(request: web.Request) -> web.Response:
    here = inside(request.path_qs) if request.method == "GET" else "/"
    response = web.Response(status=303, headers={"Location": f"/login?next={quote(here, safe='/')}"})
    if COOKIE in request.cookies:
        response.del_cookie(COOKIE, path="/")
    return response


def _allow(request: web.Request, who: Principal, scope: Scope) -> None:
    if not who.may(scope):
        raise errors.forbidden(f"this key lacks the scope {scope.value}")
    request[PRINCIPAL] = who


def _problem_page(request: web.Request, problem: errors.Problem) -> web.Response:
    pages = request.app[DESK].pages
    t = pages.words(request)
    missing = problem.status == 404
    return pages.render(
        request,
        "problem.html",
        status=problem.status,
        title=t("Not found") if missing else t("This did not work"),
        text=t("This page does not exist.") if missing else t(wording.PROBLEM[problem_word(problem)]),
    )
