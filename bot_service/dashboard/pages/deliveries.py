"""``/deliveries``: pending and delivered events, and dead letters, which can be sent again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from bot_service import keys
from bot_service.access.principals import Principal, Scope
from bot_service.access.public_addresses import shown_receiver
from bot_service.dashboard.context import render, words
from bot_service.dashboard.guard import Form, done
from bot_service.dashboard.login import Login
from bot_service.dashboard.view_models import Choice, hours, moment
from bot_service.domain.refused import not_found
from bot_service.webhooks.deliveries import STATES, Delivery
from shared.web.ui.words import Words

LATEST = 100


@dataclass(frozen=True, slots=True)
class DeliveryRow:
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
    t, webhooks, state = words(request), request.app[keys.WEBHOOKS], request.query.get("state", "dead")
    if state not in STATES:
        raise not_found("this state")
    rows = await webhooks.deliveries.page(login.principal, state=state, limit=LATEST)
    receivers = {webhook.id: shown_receiver(webhook.url) for webhook in webhooks.commands.visible(login.principal)}
    tabs = [("dead", t("Failed deliveries")), ("pending", t("Pending")), ("delivered", t("Delivered"))]
    return render(
        request,
        login,
        "deliveries.html",
        state=state,
        may_replay=login.principal.may(Scope.SESSION),
        retry_hours=hours(request.app[keys.SETTINGS].webhook_retry_for_ms, t),
        tabs=[Choice(value, label) for value, label in tabs],
        rows=[_row(each, login.principal, receivers.get(each.webhook, "ALERT_URLS"), t) for each in rows],
    )


def _row(delivery: Delivery, who: Principal, receiver: str, t: Words) -> DeliveryRow:
    kind = {"dead": "bad", "delivered": "good"}.get(delivery.state, "warn" if delivery.attempts else "calm")
    return DeliveryRow(
        id=f"{delivery.webhook}/{delivery.event}",
        type=delivery.type,
        at=moment(delivery.created_ms),
        session=who.known_id(delivery.lane) or "–",
        to=receiver,
        tries=delivery.attempts,
        kind=kind,
        result=_result(delivery, t),
        replay=who.may(Scope.SESSION) and delivery.state == "dead",
    )


def _result(delivery: Delivery, t: Words) -> str:
    if delivery.last_status is not None:
        return t("answered {status}", status=delivery.last_status)
    if delivery.last_error:
        return t("no answer")
    return t("waiting")


async def replay(request: web.Request, login: Login, form: Form) -> str:
    """One dead letter, or with no ``delivery`` all that this login may see."""
    webhook, _, event = str(form.get("delivery", "")).partition("/")
    deliveries = request.app[keys.WEBHOOKS].deliveries
    await deliveries.replay(login.principal, webhook or None, [event] if event else None)
    return done("/deliveries", "replay")
