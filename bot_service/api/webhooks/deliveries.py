"""``/api/deliveries``: what waits, what arrived, what was given up; and trying dead letters again."""

from __future__ import annotations

from aiohttp import web

from bot_service import keys
from bot_service.access.principals import principal
from bot_service.api.messages.answers import DeliveryPage, Replayed, delivery_view, delivery_with_body
from bot_service.api.messages.schemas import ReplayDeliveries
from bot_service.api.sessions.lookup import integer
from bot_service.api.webhooks.handlers import seen
from bot_service.store import deliveries
from shared.clock import to_ms
from shared.web import body, errors
from shared.web.body import json_response

STATES = ("dead", "pending", "delivered")


async def index(request: web.Request) -> web.Response:
    """Newest first. ``?state=dead|pending|delivered&webhook=&limit=&before=``; dead letters when no state is given."""
    query = request.query
    state = query.get("state", "dead")
    if state not in STATES:
        raise errors.invalid("state", "must be one of " + ", ".join(STATES))
    limit = integer(request, "limit", 50, 1, 500)
    ids = _seen_ids(request)
    if "webhook" in query:
        ids = [name for name in ids if name == query["webhook"]]
    async with request.app[keys.DATABASE].read() as connection:
        rows = await deliveries.page(connection, ids, state=state, limit=limit, before=query.get("before"))
    following = rows[-1].event if len(rows) == limit else None
    return json_response(DeliveryPage([delivery_view(row) for row in rows], following))


async def read(request: web.Request) -> web.Response:
    """One delivery with the body that is sent."""
    webhook = request.match_info["webhookId"]
    if webhook not in _seen_ids(request):
        raise errors.not_found("this webhook")
    async with request.app[keys.DATABASE].read() as connection:
        found = await deliveries.get(connection, webhook, request.match_info["eventId"])
    if found is None:
        raise errors.not_found("this delivery")
    return json_response(delivery_with_body(found))


async def replay(request: web.Request) -> web.Response:
    """202 with how many dead letters are tried again."""
    wish, app = await body.read(request, ReplayDeliveries), request.app
    if wish.webhook not in _seen_ids(request):
        raise errors.not_found("this webhook")
    async with app[keys.DATABASE].write() as connection:
        count = await deliveries.replay(connection, wish.webhook, wish.events, to_ms(app[keys.CLOCK].now()))
    app[keys.WEBHOOKS].dispatcher.retry_asides(wish.webhook)
    return json_response(Replayed(count), status=202)


def _seen_ids(request: web.Request) -> list[str]:
    """Webhooks whose deliveries the caller may see; those to ALERT_URLS are the administrators'."""
    ids = [webhook.id for webhook in seen(request)]
    if principal(request).owner is None:
        ids += request.app[keys.EVENTS].subscriptions.fixed_ids()
    return ids
