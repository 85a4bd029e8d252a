"""``/api/deliveries``: deliveries to webhooks and dead letters; handlers, views and routes."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from bot_service import keys
from bot_service.access.principals import Principal, Scope
from bot_service.api.server.access import principal
from bot_service.api.server.request import iso_time, page_limit
from bot_service.api.server.route import LIMIT, TEXT, Parameter, Response, Route
from bot_service.webhooks.deliveries import STATES, Delivery
from shared.clock import from_ms, iso
from shared.web import body
from shared.web.body import json_response

DeliveryState = Literal["pending", "delivered", "dead"]


class ReplayDeliveries(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Without ``events`` every dead letter of the webhook."""

    webhook: Annotated[str, Meta(max_length=32)]
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


class DeliveryWithBody(DeliveryView, frozen=True, rename="camel", kw_only=True):
    """``body`` is what is sent."""

    body: msgspec.Raw


class DeliveryPage(msgspec.Struct, frozen=True):
    """``next`` is the ``before`` of the page that follows."""

    deliveries: list[DeliveryView]
    next: str | None


class Replayed(msgspec.Struct, frozen=True):
    """How many dead letters are tried again."""

    replayed: int


async def index(request: web.Request) -> web.Response:
    """The newest first; ``next`` is the ``before`` of the page that follows."""
    query, limit = request.query, page_limit(request)
    rows = await request.app[keys.WEBHOOKS].deliveries.page(
        principal(request),
        state=query.get("state", "dead"),
        limit=limit,
        webhook=query.get("webhook"),
        before=query.get("before"),
    )
    following = rows[-1].event if len(rows) == limit else None
    return json_response(DeliveryPage([_view(row, principal(request)) for row in rows], following))


async def read(request: web.Request) -> web.Response:
    match = request.match_info
    found = await request.app[keys.WEBHOOKS].deliveries.get(principal(request), match["webhookId"], match["eventId"])
    return json_response(
        DeliveryWithBody(**msgspec.structs.asdict(_view(found, principal(request))), body=msgspec.Raw(found.body))
    )


async def replay(request: web.Request) -> web.Response:
    wanted = await body.read(request, ReplayDeliveries)
    count = await request.app[keys.WEBHOOKS].deliveries.replay(principal(request), wanted.webhook, wanted.events)
    return json_response(Replayed(count), status=202)


def _view(row: Delivery, who: Principal) -> DeliveryView:
    return DeliveryView(
        webhook=row.webhook,
        event=row.event,
        type=row.type,
        session=who.known_id(row.lane) or None,
        state=msgspec.convert("pending" if row.state == "aside" else row.state, DeliveryState),
        created_at=iso(from_ms(row.created_ms)),
        attempts=row.attempts,
        next_attempt_at=iso_time(row.next_ms) if row.finished_ms is None else None,
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
            Parameter("before", "The `next` of the page before.", TEXT),
            LIMIT,
        ),
    ),
    Route(
        "POST", "/api/deliveries/replay", replay, Scope.SESSION,
        "Events", "Send dead letters again", "All of a webhook, or those named.",
        {202: Response("They are tried again.", Replayed, example={"replayed": 3})},
        body=ReplayDeliveries, problems=(404,), example={"webhook": "wh-0123456789abcdef"},
    ),
    Route(
        "GET", "/api/deliveries/{webhookId}/{eventId}", read, Scope.READ,
        "Events", "Look at a delivery", "With the body that is sent.",
        {200: Response("The delivery.", DeliveryWithBody)},
    ),
]  # fmt: skip
