"""``/api/deliveries``: deliveries to webhooks and dead letters; handlers, views and routes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from bot_service import keys
from bot_service.access.principals import Principal, Scope
from bot_service.api.server.access import principal
from bot_service.api.server.request import iso_time, page_limit, time_ms
from bot_service.api.server.route import LIMIT, TEXT, Parameter, Response, Route
from bot_service.webhooks.deliveries import STATES, Delivery, DeliverySearch
from bot_service.webhooks.tries import tries_of
from shared.clock import from_ms, iso, to_ms
from shared.web import body
from shared.web.body import json_response

DeliveryState = Literal["pending", "delivered", "dead"]


class ReplayDeliveries(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Without ``events`` the dead letters of the webhook, without ``webhook`` those of all; with ``since`` only
    events from then on. Those named in ``events`` are sent again also when they arrived, and tried
    now when they wait."""

    webhook: Annotated[str, Meta(max_length=32)] | None = None
    since: Annotated[datetime, Meta(tz=True)] | None = None
    events: Annotated[list[Annotated[str, Meta(max_length=18)]], Meta(min_length=1, max_length=500)] | None = None


class DeliveryView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """One event on its way to one webhook."""

    webhook: str
    event: str
    type: str
    session: str | None
    state: DeliveryState
    created_at: str
    attempts: int
    next_attempt_at: str | None
    last_status: int | None
    last_error: str | None
    finished_at: str | None


class RequestView(msgspec.Struct, frozen=True):
    """The request by the webhook as it is now. ``***`` stands for what may be a secret; no ``url`` for ALERT_URLS."""

    method: Literal["POST"]
    url: str | None
    headers: dict[str, str]


class AttemptView(msgspec.Struct, frozen=True, rename="camel"):
    """One attempt. ``error`` is None when the receiver took it; ``answer`` is the beginning of what came back."""

    at: str
    duration_ms: int
    status: int | None
    error: str | None
    answer: str | None


class DeliveryWithBody(DeliveryView, frozen=True, rename="camel", kw_only=True):
    """``body`` is what is sent. ``attempts`` counts since the last replay; ``history`` has the last ten, oldest first."""

    request: RequestView
    history: list[AttemptView]
    body: msgspec.Raw


class DeliveryPage(msgspec.Struct, frozen=True):
    """``next`` is the ``before`` of the page that follows."""

    deliveries: list[DeliveryView]
    next: str | None


class Replayed(msgspec.Struct, frozen=True):
    """How many deliveries are tried again."""

    replayed: int


async def index(request: web.Request) -> web.Response:
    """The newest first; ``next`` is the ``before`` of the page that follows."""
    query, limit = request.query, page_limit(request)
    search = DeliverySearch(
        state=query.get("state", "dead"),
        webhook=query.get("webhook"),
        type=query.get("type"),
        session=query.get("session"),
        since_ms=time_ms("since", query["since"]) if "since" in query else None,
        before=query.get("before"),
    )
    who, commands = principal(request), request.app[keys.WEBHOOKS].deliveries
    rows, following = await commands.page(who, search, limit=limit)
    return json_response(DeliveryPage([_view(row, who, commands.next_try_ms(row)) for row in rows], following))


async def read(request: web.Request) -> web.Response:
    match = request.match_info
    commands = request.app[keys.WEBHOOKS].deliveries
    found = await commands.get(principal(request), match["webhookId"], match["eventId"])
    sent = commands.request_of(found)
    view = DeliveryWithBody(
        **msgspec.structs.asdict(_view(found, principal(request), commands.next_try_ms(found))),
        request=RequestView("POST", sent.url, sent.headers),
        history=[
            AttemptView(iso(from_ms(each.at_ms)), each.duration_ms, each.status, each.error, each.answer)
            for each in tries_of(found)
        ],
        body=msgspec.Raw(found.body),
    )
    return json_response(view)


async def replay(request: web.Request) -> web.Response:
    wanted = await body.read(request, ReplayDeliveries)
    count = await request.app[keys.WEBHOOKS].deliveries.replay(
        principal(request),
        wanted.webhook,
        events=wanted.events,
        since_ms=None if wanted.since is None else to_ms(wanted.since),
    )
    return json_response(Replayed(count), status=202)


def _view(row: Delivery, who: Principal, next_ms: int | None) -> DeliveryView:
    return DeliveryView(
        webhook=row.webhook,
        event=row.event,
        type=row.type,
        session=who.known_id(row.lane) or None,
        state=msgspec.convert("pending" if row.state == "aside" else row.state, DeliveryState),
        created_at=iso(from_ms(row.created_ms)),
        attempts=row.attempts,
        next_attempt_at=iso_time(next_ms),
        last_status=row.last_status,
        last_error=row.last_error,
        finished_at=iso_time(row.finished_ms),
    )


ROUTES = [
    Route(
        "GET", "/api/deliveries", index, Scope.READ,
        "Events", "List deliveries", "Newest first; dead letters when no state is given.",
        {200: Response("A page of deliveries.", DeliveryPage)},
        parameters=(
            Parameter("state", "Only those.", {"type": "string", "enum": list(STATES)}),
            Parameter("webhook", "Only those to one webhook.", TEXT),
            Parameter("type", "Only events of this type.", TEXT),
            Parameter("session", "Only events of this session.", TEXT),
            Parameter("since", "Only events from this time on.", {"type": "string", "format": "date-time"}),
            Parameter("before", "The `next` of the page before.", TEXT),
            LIMIT,
        ),
    ),
    Route(
        "POST", "/api/deliveries/replay", replay, Scope.SESSION,
        "Events", "Send deliveries again",
        "Dead letters: all, those of a webhook, those since a time. Or the deliveries named, also when they arrived.",
        {202: Response("They are tried again.", Replayed, example={"replayed": 3})},
        body=ReplayDeliveries, problems=(404,), example={"webhook": "wh-0123456789abcdef"},
    ),
    Route(
        "GET", "/api/deliveries/{webhookId}/{eventId}", read, Scope.READ,
        "Events", "Get a delivery", "With the request that is sent, the attempts and their answers.",
        {200: Response("The delivery.", DeliveryWithBody)},
    ),
]  # fmt: skip
