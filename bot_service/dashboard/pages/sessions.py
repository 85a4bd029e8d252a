"""``GET /``: the list of sessions with a search, the watchdog's report, the client version."""

from __future__ import annotations

from urllib.parse import urlencode

from aiohttp import web

from bot_service import keys
from bot_service.dashboard import view_models, wording
from bot_service.dashboard.context import render, words
from bot_service.dashboard.login import Login
from bot_service.dashboard.watchdog_strip import strip
from bot_service.domain.states import State
from bot_service.sessions.registry import Search
from shared.web.ui.words import Words

PAGE = 50


async def show(request: web.Request, login: Login) -> web.StreamResponse:
    t, who, sessions = words(request), login.principal, request.app[keys.SESSIONS]
    search, number = _search(request), _number(request)
    records, total = sessions.queries.numbered_page(who, search, number, PAGE)
    return render(
        request,
        login,
        "sessions.html",
        summary=view_models.summary(sessions.queries.by_state(who), t),
        watchdog=strip(request.app[keys.OPERATIONS].watchdog_reports.view(), t),
        needs=view_models.needs(request.app[keys.OPERATIONS].attention.of_owner(who.owner), t),
        client=view_models.client_version(sessions.client_version.facts(), t),
        rows=[view_models.session_row(record, sessions.queries.last_frame_ms(record), t) for record in records],
        shown=_shown(number, len(records), total, t),
        search=request.query.get("search", ""),
        state=search.state.value if search.state else "",
        states=[view_models.Choice(state.value, t(label)) for state, label in wording.STATE.items()],
        searching=search.text is not None or search.state is not None,
        newer=_address(request, number - 1) if number > 0 else "",
        older=_address(request, number + 1) if (number + 1) * PAGE < total else "",
        here=_address(request, number),
    )


def _search(request: web.Request) -> Search:
    text = request.query.get("search", "").strip().lower()[:100]
    state = request.query.get("state", "").upper()
    return Search(state=State(state) if state in State.__members__ else None, text=text or None)


def _number(request: web.Request) -> int:
    given = request.query.get("page", "1")
    return max(0, int(given) - 1) if given.isascii() and given.isdigit() and len(given) < 7 else 0


def _address(request: web.Request, number: int) -> str:
    wanted = [(name, request.query[name]) for name in ("search", "state") if request.query.get(name)]
    if number > 0:
        wanted.append(("page", str(number + 1)))
    return f"/?{urlencode(wanted)}" if wanted else "/"


def _shown(number: int, count: int, total: int, t: Words) -> str:
    if not count:
        return ""
    first = number * PAGE + 1
    return t(
        "{first} to {last} of {total}", first=t.number(first), last=t.number(first + count - 1), total=t.number(total)
    )
