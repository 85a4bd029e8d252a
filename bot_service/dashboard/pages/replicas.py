"""``/replicas``: the bot services that share the sessions, and which sessions each of them owns. For administrators."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from aiohttp import web

from bot_service import keys
from bot_service.dashboard import wording
from bot_service.dashboard.context import render, words
from bot_service.dashboard.login import Login
from bot_service.dashboard.view_models import moment
from bot_service.replicas.overview import ReplicaRow, overview, sessions_of
from shared.web.ui.words import Words

# Sessions that are listed below each replica.
SHOWN = 50


@dataclass(frozen=True, slots=True)
class SessionLink:
    id: str
    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class ReplicaSection:
    """``url`` is empty for sessions without an owner; ``more`` says how many sessions are not listed."""

    url: str
    version: str
    started: datetime | None
    kind: str
    state: str
    shares: str
    here: bool
    sessions: list[SessionLink]
    more: str


async def show(request: web.Request, login: Login) -> web.StreamResponse:
    app, t = request.app, words(request)
    replicas, registry, boot = app.get(keys.REPLICAS), app[keys.SESSIONS].registry, app[keys.RUN].boot
    rows = overview(replicas, registry, boot)
    sections = []
    for row in rows:
        found = [] if row.id is None else islice(sessions_of(replicas, registry, boot, row.id), SHOWN)
        links = [SessionLink(each.id, each.name, wording.KIND[each.state]) for each in found]
        sections.append(_section(row, links, t))
    return render(request, login, "replicas.html", sections=sections, alone=replicas is None)


def _section(row: ReplicaRow, links: list[SessionLink], t: Words) -> ReplicaSection:
    kind, state, more = "good", t("running"), row.sessions - len(links) if row.id is not None else 0
    if row.id is None:
        kind, state = "warn", t("no owner at the moment")
    elif row.draining:
        kind, state = "idle", t("gives its sessions back")
    elif row.lease_left_ms == 0:
        kind, state = "bad", t("not heard of")
    return ReplicaSection(
        url=row.url or "",
        version=row.version,
        started=moment(row.started_ms) if row.id is not None else None,
        kind=kind,
        state=state,
        shares=t("{ready} of {wanted} ready, {total} in all", ready=row.ready, wanted=row.wanted, total=row.sessions),
        here=row.here,
        sessions=links,
        more=t.many(more, "and {n} more", "and {n} more") if more > 0 else "",
    )
