"""What the dashboard keeps between requests, and what every page shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from bot_service import keys
from bot_service.access.principals import Scope
from bot_service.access.shared_once import SharedOnce
from bot_service.dashboard import wording
from bot_service.dashboard.flash import FlashMessage, FlashMessages
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


def new_dashboard(
    administrator: Secret, clock: Clock, data_dir: Path, installation: str = "", once: SharedOnce | None = None
) -> DashboardContext:
    pages = Pages(Path(__file__).parent, clock, installation)
    return DashboardContext(pages, Logins(administrator, clock), data_dir / "signed-in", FlashMessages(clock, once))


def words(request: web.Request) -> Words:
    """Texts in the reader's language."""
    return request.app[DASHBOARD].pages.words(request)


def render(request: web.Request, login: Login, template: str, *, status: int = 200, **values: Any) -> web.Response:
    """A page: its ``values``, who is signed in, the form token, and how the last command ended.

    A form that was refused shows why, and what was typed.
    """
    dashboard, t, who = request.app[DASHBOARD], words(request), login.principal
    flash = dashboard.flash.take(login, request.query.get("once", ""))
    return dashboard.pages.render(
        request,
        template,
        status=status,
        form_token=login.form_token,
        signed_in=who.name if who.owner is not None else t("administrator"),
        administrator=who.may(Scope.ADMIN),
        replicated=keys.REPLICAS in request.app,
        notice=_notice(request, t),
        flash=flash,
        **_refused(flash),
        **values,
    )


def _refused(flash: FlashMessage | None) -> dict[str, Any]:
    """``wrong`` has the reasons by field, ``typed(field, default)`` and ``ticked(field, another field of the
    form, default)`` what a refused form held."""
    wrong, values = (flash.errors, flash.typed) if flash is not None else ({}, {})

    def typed(name: str, default: str = "") -> str:
        return values[name][0] if name in values else default

    def ticked(name: str, beside: str, default: Sequence[str] | None = None) -> Sequence[str] | None:
        # Boxes that are not ticked are not sent.
        return values.get(name, ()) if beside in values else default

    return {"wrong": wrong, "typed": typed, "ticked": ticked}


def _notice(request: web.Request, t: Words) -> str:
    """A known text for a code in the address: a link cannot make a page show anything else."""
    return t(wording.DONE.get(request.query.get("done", ""), ""))
