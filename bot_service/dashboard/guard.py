"""Lets signed-in people to pages and forms, and shows the refusals of use cases in words."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

from aiohttp import web
from multidict import MultiDictProxy

from bot_service import keys
from bot_service.access.principals import Scope
from bot_service.access.shown_ids import answer_with_own_ids
from bot_service.dashboard import wording
from bot_service.dashboard.context import DASHBOARD, render, words
from bot_service.dashboard.flash import FlashMessage
from bot_service.dashboard.login import COOKIE, Login, inside, same_token
from bot_service.dashboard.refusals import REFUSALS
from bot_service.domain.refused import Refused
from bot_service.engines.port import EngineError
from shared.web import auth, errors
from shared.web.body import read_form
from shared.web.browser import cookie, is_same_origin
from shared.web.middleware import Handler
from shared.web.ui.words import Words

_NOT_TYPED = ("token", "next", "idempotency")
_FOR_PROGRAMS = ("/api", "/waha", "/evolution")
Form = MultiDictProxy[str]
Page = Callable[[web.Request, Login], Awaitable[web.StreamResponse]]
# Returns the address of the page that follows.
Submit = Callable[[web.Request, Login, Form], Awaitable[str]]


def page(scope: Scope, handler: Page) -> Handler:
    """A page for people who are signed in and hold ``scope``; others are sent to the login."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        dashboard = request.app[DASHBOARD]
        chosen = dashboard.pages.choice(request)
        if chosen is not None:
            return chosen
        login = await dashboard.logins.read(request)
        if login is None:
            return _to_login(request)
        auth.identified(request)
        try:
            login.principal.require(scope)
            await dashboard.flash.fetch(login, request.query.get("once", ""))
            return await _with_own_ids(request, login, handler(request, login))
        except (errors.Problem, Refused) as problem:
            return _problem_page(request, problem.code, login)

    return guarded


@web.middleware
async def unknown_pages(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A page instead of a problem document for browsers that ask for an address without a page."""
    unknown = request.match_info.route.resource is None and not request.path.startswith(_FOR_PROGRAMS)
    if unknown and request.method in ("GET", "HEAD") and "text/html" in request.headers.get("Accept", ""):
        return _problem_page(request, "not_found", await request.app[DASHBOARD].logins.read(request))
    return await handler(request)


def form(scope: Scope, handler: Submit) -> Handler:
    """A form of a page of this service. A refusal leads back to that page, which words it."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        login = await request.app[DASHBOARD].logins.read(request)
        if login is None:
            return _to_login(request)
        auth.identified(request)
        fields = await read_form(request)
        if not is_same_origin(request) or not same_token(str(fields.get("token", "")), login):
            return _problem_page(request, "forbidden", login)
        return await _with_own_ids(request, login, redirect(request, login, fields))

    async def redirect(request: web.Request, login: Login, fields: Form) -> web.StreamResponse:
        try:
            login.principal.require(scope)
            target = await handler(request, login, fields)
        except (errors.Problem, Refused, EngineError) as problem:
            refused = _refused_form(problem, fields, words(request))
            target = request.app[DASHBOARD].flash.add(login, back(request, fields), refused)
        await request.app[DASHBOARD].flash.share()
        return web.Response(status=303, headers={"Location": target})

    return guarded


async def _with_own_ids(
    request: web.Request, login: Login, answer: Awaitable[web.StreamResponse]
) -> web.StreamResponse:
    return await answer_with_own_ids(login.principal, request.app[keys.SESSIONS].registry.marked, answer)


def back(request: web.Request, fields: Form) -> str:
    """The page that the form stood on: always a path of this service."""
    given = str(fields.get("next", ""))
    if given:
        return inside(given)
    session = request.match_info.get("id")
    return f"/sessions/{quote(session, safe='')}" if session else "/"


def done(target: str, what: str) -> str:
    """``target`` with the notice ``what`` of :data:`wording.DONE`."""
    path, _, query = target.partition("?")
    kept = [part for part in query.split("&") if part and part.partition("=")[0] not in ("done", "once")]
    return f"{path}?{'&'.join([*kept, f'done={what}'])}"


def _refused_form(problem: errors.Problem | Refused | EngineError, fields: Form, t: Words) -> FlashMessage:
    """What the page says of a refused form: the reason, beside its field where there is one, and what was typed."""
    known = wording.PROBLEM.get(problem.code)
    text = t(known or wording.PROBLEM["engine" if isinstance(problem, EngineError) else "other"])
    wrong = problem.fields if isinstance(problem, errors.Problem) else {}
    if not isinstance(problem, errors.Problem) and problem.field is not None:
        wrong = {problem.field: problem.detail}
    if not wrong and problem.code not in ("not_found", "forbidden"):
        text += f" ({REFUSALS.words(problem.detail, t)})"
    typed = {name: [str(value) for value in fields.getall(name)] for name in fields if name not in _NOT_TYPED}
    # ``scopes[0]`` is one of the boxes named ``scopes``.
    by_field = {re.split(r"[.\[]", name, maxsplit=1)[0]: REFUSALS.words(why, t) for name, why in wrong.items()}
    return FlashMessage("bad", text, errors=by_field, typed=typed)


def _to_login(request: web.Request) -> web.Response:
    here = inside(request.path_qs) if request.method == "GET" else "/"
    response = web.Response(status=303, headers={"Location": f"/login?next={quote(here, safe='/')}"})
    if cookie(request, COOKIE) is not None:
        response.del_cookie(COOKIE, path="/")
    return response


def _problem_page(request: web.Request, code: str, login: Login | None) -> web.Response:
    """With the navigation for readers who are signed in."""
    t, missing = words(request), code == "not_found"
    status = 404 if missing else 403 if code == "forbidden" else 422
    values: dict[str, Any] = {
        "title": t("Not found") if missing else t("Something went wrong"),
        "text": t("This page does not exist.") if missing else t(wording.PROBLEM.get(code, wording.PROBLEM["other"])),
        "base": "layout.html" if login is None else "dashboard.html",
    }
    if login is not None:
        return render(request, login, "problem.html", status=status, **values)
    return request.app[DASHBOARD].pages.render(request, "problem.html", status=status, **values)
