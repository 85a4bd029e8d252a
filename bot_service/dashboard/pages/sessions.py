"""``GET /``: the sessions with search, filters and orders, commands for several, the watchdog's report."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from aiohttp import web

from bot_service import keys
from bot_service.access.principals import Scope
from bot_service.dashboard import session_list, view_models, wording
from bot_service.dashboard.context import DASHBOARD, render, words
from bot_service.dashboard.flash import FlashMessage
from bot_service.dashboard.guard import Form, back
from bot_service.dashboard.login import Login
from bot_service.dashboard.view_models import Choice
from bot_service.dashboard.watchdog_strip import strip
from bot_service.domain.refused import invalid
from bot_service.domain.session_record import CommandKind
from bot_service.domain.states import State
from bot_service.sessions.queries import Order
from bot_service.sessions.registry import Search
from shared.web.other_program import reached
from shared.web.ui.sessions_ready import sessions_ready
from shared.web.ui.words import Words

SIZES = (50, 25, 100, 200)
BULK = {kind.value: kind for kind in (CommandKind.START, CommandKind.STOP, CommandKind.RESTART)}


@dataclass(frozen=True, slots=True)
class ListAddress:
    """What the address of a list says, within bounds; ``number`` counts from 0."""

    search: str
    state: State | None
    order: Order
    size: int
    number: int

    @classmethod
    def of(cls, request: web.Request) -> ListAddress:
        query, state = request.query, request.query.get("state", "").upper()
        sort, size, number = query.get("sort", ""), query.get("size", ""), query.get("page", "")
        whole = number.isascii() and number.isdigit() and len(number) < 7
        return cls(
            search=query.get("search", "")[:100],
            state=State(state) if state in State.__members__ else None,
            order=Order(sort) if sort in set(Order) else Order.PROBLEMS,
            size=int(size) if size in {str(each) for each in SIZES} else SIZES[0],
            number=max(0, int(number) - 1) if whole else 0,
        )

    def href(self, *, state: str | None = None, number: int = 0) -> str:
        """This list on another page or with another state; ``state`` empty is every state."""
        shown_state = (self.state.value if self.state else "") if state is None else state
        wanted = {
            "search": self.search,
            "state": shown_state,
            "sort": "" if self.order is Order.PROBLEMS else self.order.value,
            "size": "" if self.size == SIZES[0] else str(self.size),
            "page": str(number + 1) if number else "",
        }
        return f"/?{urlencode({name: value for name, value in wanted.items() if value})}".rstrip("?")


async def show(request: web.Request, login: Login) -> web.StreamResponse:
    t, who, sessions = words(request), login.principal, request.app[keys.SESSIONS]
    at, report = ListAddress.of(request), request.app[keys.OPERATIONS].watchdog_reports.view()
    page = reached(request, report.watchdog_page)
    search = Search(state=at.state, text=at.search.strip().lower() or None)
    records, fitting = sessions.queries.numbered_page(who, search, at.order, at.number, at.size)
    running, ready, total = sessions.queries.shares(who)
    return render(
        request,
        login,
        "sessions.html",
        summary=sessions_ready(t, ready=ready, running=running, total=total),
        counts=session_list.state_counts(sessions.queries.by_state(who), at.state, t),
        total=t.number(total),
        watchdog=strip(report, t),
        watchdog_page=f"{page}/operator" if page and who.may(Scope.ADMIN) else page,
        needs=session_list.needs(request.app[keys.OPERATIONS].attention.of_owner(who.owner), t),
        client=view_models.client_version(sessions.client_version.facts(), t),
        rows=[session_list.session_row(record, sessions.queries.last_frame_ms(record), t) for record in records],
        shown=_shown(at, len(records), fitting, t),
        at=at,
        states=[Choice(state.value, t(label)) for state, label in wording.STATE.items()],
        orders=[Choice(order.value, t(label)) for order, label in session_list.ORDER.items()],
        sizes=[Choice(str(size), t("{n} per page", n=size)) for size in sorted(SIZES)],
        searching=search != Search(),
        newer=at.href(number=at.number - 1) if at.number > 0 else "",
        older=at.href(number=at.number + 1) if (at.number + 1) * at.size < fitting else "",
        here=at.href(number=at.number),
        may_command=who.may(Scope.SESSION),
    )


def _shown(at: ListAddress, count: int, total: int, t: Words) -> str:
    if not count:
        return ""
    first = at.number * at.size + 1
    return t(
        "{first} to {last} of {total}", first=t.number(first), last=t.number(first + count - 1), total=t.number(total)
    )


async def command(request: web.Request, login: Login, form: Form) -> str:
    """The chosen command for every ticked session."""
    t, sessions = words(request), request.app[keys.SESSIONS]
    kind = BULK.get(str(form.get("command", "")))
    if kind is None:
        raise invalid("command", f"must be one of {', '.join(BULK)}")
    chosen = [
        sessions.queries.find(login.principal, str(name)).id for name in dict.fromkeys(form.getall("session", []))
    ]
    refused = await sessions.commands.command_each(chosen, kind)
    text = t(wording.BULK_DONE[kind.value], n=t.number(len(chosen) - len(refused)))
    if not chosen:
        text = t("No session was chosen: tick some in the list first.")
    elif refused:
        text += " " + t("Refused for: {names}.", names=", ".join(refused))
    message = FlashMessage("good" if chosen and not refused else "bad", text)
    return request.app[DASHBOARD].flash.add(login, back(request, form), message)
