"""``GET /deliveries``: what is on its way to webhooks, what arrived, and dead letters, which can be sent again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from aiohttp import web

from bot_service import keys
from bot_service.api.webhooks.handlers import seen
from bot_service.dashboard.context import DESK, Form, done
from bot_service.dashboard.login import Login
from bot_service.dashboard.page_context import base_context
from bot_service.dashboard.pages.sessions import Choice
from bot_service.dashboard.view_models import moment
from bot_service.store import deliveries
from bot_service.store.deliveries import Delivery
from shared.clock import to_ms
from shared.web import errors
from shared.web.ui.words import Words

LATEST = 100
STATES = ("dead", "pending", "delivered")


@dataclass(frozen=True, slots=True)
class Row:
    id: str
    type: str
    at: datetime | None
    session: str
    to: str
    tries: int
    kind: str
    result: str
    replay: bool


async def show(request: web.Request, login: Login) -> web.StreamResponse:
    t = request.app[DESK].pages.words(request)
    state = request.query.get("state", "dead")
    if state not in STATES:
        raise errors.not_found("this state")
    hosts = {webhook.id: urlsplit(webhook.url).netloc for webhook in seen(request)}
    if login.principal.owner is None:
        hosts |= dict.fromkeys(request.app[keys.EVENTS].subscriptions.fixed_ids(), "ALERT_URLS")
    async with request.app[keys.DATABASE].read() as connection:
        rows = await deliveries.page(connection, list(hosts), state=state, limit=LATEST, before=None)
    tabs = [("dead", t("Dead letters")), ("pending", t("On their way")), ("delivered", t("Delivered"))]
    return request.app[DESK].pages.render(
        request,
        "deliveries.html",
        **base_context(request, login),
        state=state,
        tabs=[Choice(value, label) for value, label in tabs],
        rows=[_row(each, hosts.get(each.webhook, each.webhook), t) for each in rows],
    )


def _row(delivery: Delivery, host: str, t: Words) -> Row:
    kind = {"dead": "bad", "delivered": "good"}.get(delivery.state, "warn" if delivery.attempts else "calm")
    return Row(
        id=f"{delivery.webhook}/{delivery.event}",
        type=delivery.type,
        at=moment(delivery.created_ms),
        session=delivery.lane or "–",
        to=host,
        tries=delivery.attempts,
        kind=kind,
        result=_result(delivery, t),
        replay=delivery.state == "dead",
    )


def _result(delivery: Delivery, t: Words) -> str:
    if delivery.last_status is not None:
        return t("answered {status}", status=delivery.last_status)
    if delivery.last_error:
        return t("no answer")
    return t("waiting")


async def replay(request: web.Request, _login: Login, form: Form) -> str:
    """One dead letter, or with no ``delivery`` all that this login may see."""
    app, allowed = request.app, {webhook.id for webhook in seen(request)}
    webhook, _, event = str(form.get("delivery", "")).partition("/")
    if webhook and webhook not in allowed:
        raise errors.not_found("this webhook")
    now_ms = to_ms(app[keys.CLOCK].now())
    chosen = [webhook] if webhook else sorted(allowed)
    async with app[keys.DATABASE].write() as connection:
        for each in chosen:
            await deliveries.replay(connection, each, [event] if event else None, now_ms)
    for each in chosen:
        app[keys.WEBHOOKS].dispatcher.retry_asides(each)
    return done("/deliveries", "replay")
