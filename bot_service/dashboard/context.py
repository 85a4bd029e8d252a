"""What the dashboard keeps between requests, and what every page shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from bot_service.access.principals import Scope
from bot_service.dashboard import wording
from bot_service.dashboard.flash import FlashMessages
from bot_service.dashboard.login import Login, Logins
from bot_service.sessions.pairing_codes import PairingCode
from shared.clock import Clock
from shared.settings import Secret
from shared.sse import EventStream
from shared.web.ui.pages import Pages
from shared.web.ui.words import Words


@dataclass(slots=True)
class DashboardContext:
    """``signed_in_once``: a file that exists since the first login. ``pairing_codes``: those that
    were asked for here, because the engine goes on showing QR codes."""

    pages: Pages
    logins: Logins
    signed_in_once: Path
    flash: FlashMessages
    pairing_codes: dict[str, PairingCode] = field(default_factory=dict)
    streams: set[EventStream] = field(default_factory=set)

    def forget_session(self, session: str) -> None:
        """The session was deleted."""
        self.pairing_codes.pop(session, None)


DASHBOARD: web.AppKey[DashboardContext] = web.AppKey("dashboard", DashboardContext)


def new_dashboard(administrator: Secret, clock: Clock, data_dir: Path) -> DashboardContext:
    pages = Pages(Path(__file__).parent, clock)
    return DashboardContext(pages, Logins(administrator, clock), data_dir / "signed-in", FlashMessages(clock))


def words(request: web.Request) -> Words:
    """Texts in the reader's language."""
    return request.app[DASHBOARD].pages.words(request)


@dataclass(frozen=True, slots=True)
class Notice:
    """One line above a page; ``kind`` is ``good`` or ``bad``."""

    kind: str
    text: str


def render(request: web.Request, login: Login, template: str, *, status: int = 200, **values: Any) -> web.Response:
    """A page: its ``values``, who is signed in, the form token, and how the last command ended."""
    dashboard, t, who = request.app[DASHBOARD], words(request), login.principal
    return dashboard.pages.render(
        request,
        template,
        status=status,
        form_token=login.form_token,
        signed_in=who.name if who.owner is not None else t("administrator"),
        administrator=who.may(Scope.ADMIN),
        notice=_notice(request, t),
        flash=dashboard.flash.take(login, request.query.get("once", "")),
        **values,
    )


def _notice(request: web.Request, t: Words) -> Notice | None:
    """A known text for a code in the address: a link cannot make a page show anything else."""
    problem, done = request.query.get("problem"), request.query.get("done")
    if problem in wording.PROBLEM:
        return Notice("bad", t(wording.PROBLEM[problem]))
    if done in wording.DONE:
        return Notice("good", t(wording.DONE[done]))
    return None
