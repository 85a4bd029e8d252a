"""``GET /``: the sessions, a page of them at a time, searched on the server; the watchdog's word above them, the client version below."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from aiohttp import web

from bot_service import keys
from bot_service.access.principals import Principal
from bot_service.dashboard import view_models, wording
from bot_service.dashboard.context import DESK
from bot_service.dashboard.login import Login
from bot_service.dashboard.page_context import base_context
from bot_service.dashboard.watchdog_strip import strip
from bot_service.domain.session_record import SessionRecord
from bot_service.domain.states import LINKED, State
from bot_service.sessions.registry import Search
from shared.web.ui.words import Words

PAGE = 50


@dataclass(frozen=True, slots=True)
class Choice:
    value: str
    label: str


async def sessions(request: web.Request, login: Login) -> web.StreamResponse:
    t = request.app[DESK].pages.words(request)
    search, number = _search(request, login.principal), _number(request)
    records, total = _page(request, search, number)
    here = _address(request, number)
    return request.app[DESK].pages.render(
        request,
        "sessions.html",
        **base_context(request, login),
        summary=view_models.summary(_by_state(request, login.principal), t),
        watchdog=strip(request.app[keys.OPERATIONS].watchdog_reports.view(), t),
        client=view_models.client_version(request.app[keys.SESSIONS].client_version.facts(), t),
        rows=[view_models.row(record, last_frame_ms(request, record), t) for record in records],
        shown=_shown(number, len(records), total, t),
        search=request.query.get("search", ""),
        state=search.state.value if search.state else "",
        states=[Choice(state.value, t(words)) for state, words in wording.STATE.items()],
        searching=search.text is not None or search.state is not None,
        newer=_address(request, number - 1) if number > 0 else "",
        older=_address(request, number + 1) if (number + 1) * PAGE < total else "",
        here=here,
    )


def last_frame_ms(request: web.Request, record: SessionRecord) -> int | None:
    """When the last frame of a linked session came, in ms since the epoch."""
    if record.state not in LINKED:
        return None
    return request.app[keys.SESSIONS].supervisor.now_ms() - request.app[keys.SESSIONS].readiness_check.frame_age_ms(
        record
    )


def _search(request: web.Request, who: Principal) -> Search:
    text = request.query.get("search", "").strip().lower()[:100]
    state = request.query.get("state", "").upper()
    return Search(owner=who.owner, state=State(state) if state in State.__members__ else None, text=text or None)


def _number(request: web.Request) -> int:
    given = request.query.get("page", "1")
    return max(0, int(given) - 1) if given.isascii() and given.isdigit() and len(given) < 7 else 0


def _page(request: web.Request, search: Search, number: int) -> tuple[list[SessionRecord], int]:
    fitting = [record for record in request.app[keys.SESSIONS].registry if search.fits(record)]
    return fitting[number * PAGE : (number + 1) * PAGE], len(fitting)


def _by_state(request: web.Request, who: Principal) -> dict[State, int]:
    if who.owner is None:
        return request.app[keys.SESSIONS].registry.by_state
    counts = dict.fromkeys(State, 0)
    for record in request.app[keys.SESSIONS].registry:
        counts[record.state] += record.owner == who.owner
    return counts


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
