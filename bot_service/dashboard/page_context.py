"""What every page of the dashboard prints: who is signed in, the form token, and how the last command ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiohttp import web

from bot_service.access.principals import Scope
from bot_service.dashboard import wording
from bot_service.dashboard.context import DESK
from bot_service.dashboard.login import Login
from shared.web.ui.words import Words


@dataclass(frozen=True, slots=True)
class Notice:
    kind: str
    text: str


def base_context(request: web.Request, login: Login) -> dict[str, Any]:
    t = request.app[DESK].pages.words(request)
    return {
        "form_token": login.form_token,
        "signed_in": login.principal.name if login.principal.owner is not None else t("administrator"),
        "administrator": login.principal.may(Scope.ADMIN),
        "notice": notice(request, t),
        "once": request.app[DESK].once.take(login, request.query.get("once", "")),
    }


def notice(request: web.Request, t: Words) -> Notice | None:
    """Words of ours for a code in the address: nobody can make a page say something by sending a link."""
    problem, done = request.query.get("problem"), request.query.get("done")
    if problem in wording.PROBLEM:
        return Notice("bad", t(wording.PROBLEM[problem]))
    if done in wording.DONE:
        return Notice("good", t(wording.DONE[done]))
    return None
