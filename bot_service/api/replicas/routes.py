"""``/api/replicas``, for administrators; handlers, views and routes."""

from __future__ import annotations

from itertools import islice

import msgspec
from aiohttp import web

from bot_service import keys
from bot_service.access.principals import Scope
from bot_service.api.server.request import iso_time, page_limit
from bot_service.api.server.route import LIMIT, TEXT, Parameter, Response, Route
from bot_service.domain.states import State, Wanted
from bot_service.replicas.overview import ReplicaRow, overview, sessions_of
from shared.version import installed_version
from shared.web.body import json_response


class ReplicaShares(msgspec.Struct, frozen=True):
    """``total`` sessions; ``wanted`` should run, ``ready`` of those are READY."""

    total: int
    wanted: int
    ready: int


class ReplicaView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A running bot service. ``here``: the one that answers. ``leaseLeftMs``: without a renewal others take its
    sessions after that time. ``draining``: it ends and gives its sessions back. A service without replicas has no
    ``url`` and no lease."""

    id: str
    url: str | None
    version: str
    started_at: str | None
    lease_left_ms: int | None
    draining: bool
    here: bool
    sessions: ReplicaShares


class ReplicaList(msgspec.Struct, frozen=True):
    """The oldest first. ``unowned`` sessions have no replica at the moment."""

    replicas: list[ReplicaView]
    unowned: ReplicaShares


class OwnedSession(msgspec.Struct, frozen=True):
    id: str
    name: str
    owner: str
    state: State
    wanted: Wanted


class OwnedPage(msgspec.Struct, frozen=True):
    """``next`` is the ``after`` of the page that follows, None on the last."""

    sessions: list[OwnedSession]
    next: str | None


async def index(request: web.Request) -> web.Response:
    app = request.app
    rows = overview(app.get(keys.REPLICAS), app[keys.SESSIONS].registry, app[keys.RUN].boot)
    unowned = next((_shares(row) for row in rows if row.id is None), ReplicaShares(0, 0, 0))
    return json_response(ReplicaList([_view(row, row.id) for row in rows if row.id is not None], unowned))


def _shares(row: ReplicaRow) -> ReplicaShares:
    return ReplicaShares(row.sessions, row.wanted, row.ready)


def _view(row: ReplicaRow, replica: str) -> ReplicaView:
    return ReplicaView(
        id=replica,
        url=row.url,
        version=row.version,
        started_at=iso_time(row.started_ms),
        lease_left_ms=row.lease_left_ms,
        draining=row.draining,
        here=row.here,
        sessions=_shares(row),
    )


async def sessions(request: web.Request) -> web.Response:
    """The sessions of one replica."""
    app, after, limit = request.app, request.query.get("after"), page_limit(request)
    found = sessions_of(
        app.get(keys.REPLICAS), app[keys.SESSIONS].registry, app[keys.RUN].boot, request.match_info["replicaId"]
    )
    if after is not None:
        for record in found:
            if record.id == after:
                break
    page = list(islice(found, limit + 1))
    shown = [OwnedSession(each.id, each.name, each.owner, each.state, each.wanted) for each in page[:limit]]
    return json_response(OwnedPage(shown, shown[-1].id if len(page) > limit else None))


_EXAMPLE = {
    "replicas": [
        {
            "id": "5f0c2b7a9d1e4c36", "url": "http://bot-1:3000", "version": installed_version(),
            "startedAt": "2026-11-30T09:00:00.000Z", "leaseLeftMs": 4210, "draining": False, "here": True,
            "sessions": {"total": 120, "wanted": 100, "ready": 99},
        }
    ],
    "unowned": {"total": 0, "wanted": 0, "ready": 0},
}  # fmt: skip

ROUTES = [
    Route(
        "GET", "/api/replicas", index, Scope.ADMIN,
        "Service", "Replicas",
        "The bot services that share these sessions, and how many each of them owns. Without replicas: this one.",
        {200: Response("The replicas.", ReplicaList, example=_EXAMPLE)},
    ),
    Route(
        "GET", "/api/replicas/{replicaId}/sessions", sessions, Scope.ADMIN,
        "Service", "Sessions of a replica", "The oldest first.",
        {200: Response("One page.", OwnedPage)},
        parameters=[Parameter("after", "The last session of the page before.", TEXT), LIMIT],
    ),
]  # fmt: skip
