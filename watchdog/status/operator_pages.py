"""``/operator``: what operators see and do, behind a sign-in with WATCHDOG_TOKEN. It works without script."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import quote, urlencode

from aiohttp import web
from multidict import MultiDictProxy

from shared.clock import epoch_ms, iso
from shared.translation import N_
from shared.web import errors
from shared.web.body import read_form
from shared.web.browser import is_same_origin
from shared.web.other_program import reached
from shared.web.ui.pages import Pages
from shared.web.ui.words import Words
from watchdog.domain.announcements import Severity
from watchdog.ledger import incidents, timeline
from watchdog.parts import PARTS
from watchdog.status import commands, operator_model
from watchdog.status.access import Access, StatusLogin
from watchdog.status.brand import Brand
from watchdog.status.refusals import REFUSALS
from watchdog.status.requests import AnnouncementRequest, PauseRequest
from watchdog.status.schema import IncidentView, incident_view
from watchdog.status.snapshot import SNAPSHOT

Form = MultiDictProxy[str]
Command = Callable[[web.Request, Form, str], Awaitable[str]]

# Minutes of "pause now".
LENGTHS = (15, 30, 60, 120, 240, 480, 1440)
DONE: Mapping[str, str] = {
    "ping": N_("A ping starts now."),
    "test": N_("The test alert is on its way; the table shows what became of it."),
    "paused": N_("Maintenance has begun: no alert and no repair until it ends."),
    "planned": N_("The maintenance is planned. Customers see it on the status page."),
    "ended": N_("The maintenance is ended. What is wrong now is alerted now."),
    "acknowledged": N_("Acknowledged: no more reminders. Its end is reported all the same."),
    "budget": N_("The whole budget of repairs is available again."),
    "announced": N_("The announcement is on the status page."),
    "withdrawn": N_("The announcement is gone from the status page."),
}


class LoginPage(Protocol):
    def __call__(
        self, request: web.Request, problem: str = "", *, status: int, following: str = "/"
    ) -> web.Response: ...


def add_routes(app: web.Application, access: Access, brand: Brand, pages: Pages, login_page: LoginPage) -> None:
    """The page, and a POST for each command of :data:`COMMANDS`."""

    async def render(
        request: web.Request, login: StatusLogin, refused: errors.Problem | None = None, form: Form | None = None
    ) -> web.Response:
        """``refused``: why the ``form`` was not accepted; what was typed stays in it."""
        view, now_ms = await app[SNAPSHOT].status(), epoch_ms(app[PARTS].base.clock)
        wanted, words = request.query.get("incident", ""), pages.words(request)
        return pages.render(
            request,
            "operator.html",
            status=refused.status if refused is not None else 200,
            headers=brand.headers(),
            brand=brand,
            page=operator_model.page(view, words, brand.title, await _chosen(app, wanted, now_ms)),
            wanted=wanted,
            form_token=login.form_token(),
            author=login.author,
            done=words(DONE.get(request.query.get("done", ""), "")),
            problem=_problem(refused, words),
            live=refused is None,
            typed=_typed(request, form),
            wrong=_wrong(request, refused, words),
            lengths=[(minutes, words.span(minutes * 60_000)) for minutes in LENGTHS],
            dashboard=_dashboard(request),
        )

    async def show(request: web.Request) -> web.StreamResponse:
        chosen = pages.choice(request)
        if chosen is not None:
            return chosen
        login = access.login(request)
        if login is None or not login.operator:
            wanted = request.query.get("incident", "")
            following = f"/operator?incident={quote(wanted, safe='')}" if wanted else "/operator"
            t = pages.words(request)
            problem = "" if login is None else t("This page needs WATCHDOG_TOKEN.")
            return login_page(request, problem, status=401 if login is None else 403, following=following)
        return await render(request, login)

    def command(run: Command) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            login = access.login(request)
            if login is None or not login.operator:
                return login_page(request, status=401, following="/operator")
            form = await read_form(request)
            if not (is_same_origin(request) and login.made(str(form.get("token", "")))):
                raise errors.forbidden("this command did not come from the operator's page")
            try:
                done = await run(request, form, login.author or "operator")
            except errors.Problem as problem:
                return await render(request, login, problem, form)
            return web.Response(status=303, headers={"Location": f"/operator?{urlencode({'done': done})}"})

        return handle

    async def back(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=303, headers={"Location": "/operator"})

    app.router.add_get("/operator", show)
    for name, run in COMMANDS.items():
        # A page that shows why a form was refused has the address of the command: for a reload by hand.
        app.router.add_get(f"/operator/{name}", back)
        app.router.add_post(f"/operator/{name}", command(run))


async def _chosen(app: web.Application, wanted: str, now_ms: int) -> IncidentView | None:
    if not wanted:
        return None
    ledger = app[PARTS].base.ledger
    found = await ledger.read(lambda c: incidents.find_incident(c, wanted))
    if found is None:
        return None
    return incident_view(found, now_ms, await ledger.read(lambda c: timeline.timeline(c, found, now_ms)))


def _dashboard(request: web.Request) -> str:
    """The bot's dashboard, where the reader can reach it."""
    found = (watch.attention.dashboard for watch in request.app[PARTS].watches.values())
    return next((page for each in found if each and (page := reached(request, each))), "")


def _typed(request: web.Request, form: Form | None) -> Callable[[str, str], str]:
    """``typed(command, field)``: what a refused form of that command held."""
    here = request.path.rpartition("/")[2]

    def typed(command: str, field: str) -> str:
        return str(form.get(field, "")) if form is not None and here == command else ""

    return typed


def _problem(refused: errors.Problem | None, t: Words) -> str:
    """Why a form was refused, with the names of the fields that are wrong."""
    if refused is None:
        return ""
    wrong = [f"{field}: {REFUSALS.words(why, t)}" for field, why in refused.fields.items()]
    return "; ".join(wrong) or REFUSALS.words(refused.detail, t)


def _wrong(request: web.Request, refused: errors.Problem | None, t: Words) -> Callable[[str, str], str]:
    """``wrong(command, field)``: why the field of the form of that command was refused."""
    here, fields = request.path.rpartition("/")[2], refused.fields if refused is not None else {}
    return lambda command, field: REFUSALS.words(fields.get(field, ""), t) if here == command else ""


# --- commands: each returns a key of DONE ---


async def _ping(request: web.Request, _form: Form, _author: str) -> str:
    commands.ping(request.app)
    return "ping"


async def _test(request: web.Request, form: Form, author: str) -> str:
    await commands.send_test(request.app, author, str(form.get("channel", "")))
    return "test"


async def _pause(request: web.Request, form: Form, author: str) -> str:
    minutes = str(form.get("minutes", ""))
    if minutes not in map(str, LENGTHS):
        raise errors.invalid("minutes", f"must be one of {', '.join(map(str, LENGTHS))}")
    await commands.begin_pause(request.app, _window(form, author, minutes=float(minutes)))
    return "paused"


async def _plan(request: web.Request, form: Form, author: str) -> str:
    begin, end = _moment(form, "from"), _moment(form, "until")
    if begin is None or end is None:
        raise errors.invalid("from" if begin is None else "until", "is needed")
    await commands.begin_pause(request.app, _window(form, author, begin=begin, end=end))
    return "planned"


def _window(
    form: Form, author: str, *, minutes: float | None = None, begin: str | None = None, end: str | None = None
) -> PauseRequest:
    return PauseRequest(
        target=str(form.get("target", "*")),
        from_=begin,
        until=end,
        minutes=minutes,
        author=author,
        reason=str(form.get("reason", "")),
        text=str(form.get("text", "")),
    )


def _moment(form: Form, name: str) -> str | None:
    """The ISO time of a field: as the script gives it, else what was typed, which is UTC then."""
    exact = str(form.get(f"{name}_at", ""))
    if exact:
        return exact
    typed = str(form.get(name, ""))
    if not typed:
        return None
    try:
        return iso(datetime.fromisoformat(typed).replace(tzinfo=UTC))
    except ValueError:
        raise errors.invalid(name, "must be a day and a time, such as 2026-01-31T22:00") from None


async def _end_pause(request: web.Request, form: Form, _author: str) -> str:
    await commands.end_pause(request.app, str(form.get("id", "")))
    return "ended"


async def _acknowledge(request: web.Request, form: Form, author: str) -> str:
    await commands.acknowledge(request.app, str(form.get("id", "")), author)
    return "acknowledged"


async def _restore_budget(request: web.Request, _form: Form, _author: str) -> str:
    await commands.restore_repair_budget(request.app)
    return "budget"


async def _announce(request: web.Request, form: Form, author: str) -> str:
    severity = str(form.get("severity", Severity.INFO))
    if severity not in set(Severity):
        raise errors.invalid("severity", f"must be one of {', '.join(Severity)}")
    title, text = str(form.get("title", "")), str(form.get("text", ""))
    made = AnnouncementRequest(title, text, Severity(severity), _moment(form, "until"), author)
    await commands.announce(request.app, made)
    return "announced"


async def _withdraw(request: web.Request, form: Form, _author: str) -> str:
    await commands.end_announcement(request.app, str(form.get("id", "")))
    return "withdrawn"


COMMANDS: Mapping[str, Command] = {
    "ping": _ping,
    "test": _test,
    "pause": _pause,
    "plan": _plan,
    "end-pause": _end_pause,
    "acknowledge": _acknowledge,
    "restore-budget": _restore_budget,
    "announce": _announce,
    "withdraw": _withdraw,
}
