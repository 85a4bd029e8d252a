"""``/deliveries``: events on their way to webhooks, delivered or given up, with filters; and sending them again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from aiohttp import web

from bot_service import keys
from bot_service.access.principals import Principal, Scope
from bot_service.access.public_addresses import shown_receiver
from bot_service.dashboard.context import render, words
from bot_service.dashboard.guard import Form, back, done
from bot_service.dashboard.login import Login
from bot_service.dashboard.view_models import Choice, hours, moment
from bot_service.dashboard.webhook_views import LONGEST_ID, SPANS_MS, cause, offered, session_choices, spans
from bot_service.domain.refused import invalid, not_found
from bot_service.webhooks.deliveries import STATES, Delivery, DeliverySearch
from shared.clock import Clock, to_ms
from shared.web.ui.words import Words

PAGE = 50
ALERTS = "ALERT_URLS"


@dataclass(frozen=True, slots=True)
class Filters:
    """What the address says, within bounds; ``since`` is a key of ``SPANS_MS``. Empty values are no filters."""

    state: str
    webhook: str
    type: str
    session: str
    since: str
    before: str

    @classmethod
    def of(cls, request: web.Request) -> Filters:
        query = request.query
        since = query.get("since", "")
        return cls(
            state=query.get("state", "dead"),
            webhook=query.get("webhook", "")[:LONGEST_ID],
            type=query.get("type", "")[:LONGEST_ID],
            session=query.get("session", "").strip()[:LONGEST_ID],
            since=since if since in SPANS_MS else "",
            before=query.get("before", "")[:LONGEST_ID],
        )

    def href(self, *, state: str | None = None, before: str = "") -> str:
        """This list in another ``state``, or after the delivery ``before``."""
        wanted = {
            "state": self.state if state is None else state,
            "webhook": self.webhook,
            "type": self.type,
            "session": self.session,
            "since": self.since,
            "before": before,
        }
        return "/deliveries?" + urlencode({name: value for name, value in wanted.items() if value})

    def search(self, clock: Clock) -> DeliverySearch:
        return DeliverySearch(
            state=self.state,
            webhook=self.webhook or None,
            type=self.type or None,
            session=self.session or None,
            since_ms=since_ms(self.since, clock),
            before=self.before or None,
        )


def since_ms(span: str, clock: Clock) -> int | None:
    """When ``span`` of ``SPANS_MS`` began, since the epoch; None for no limit. Refused: ``invalid``."""
    if span and span not in SPANS_MS:
        raise invalid("since", "must be one of those offered")
    return to_ms(clock.now()) - SPANS_MS[span] if span else None


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """``verb`` is what its button says; empty without one."""

    id: str
    type: str
    at: datetime | None
    session: str
    to: str
    tries: int
    next_try: datetime | None
    kind: str
    result: str
    verb: str


async def show(request: web.Request, login: Login) -> web.StreamResponse:
    t, webhooks, filters = words(request), request.app[keys.WEBHOOKS], Filters.of(request)
    if filters.state not in STATES:
        raise not_found("this state")
    rows, following = await webhooks.deliveries.page(
        login.principal, filters.search(request.app[keys.CLOCK]), limit=PAGE
    )
    receivers = {webhook.id: shown_receiver(webhook.url) for webhook in webhooks.commands.visible(login.principal)}
    tabs = {"dead": t("Failed deliveries"), "pending": t("Pending"), "delivered": t("Delivered"), "all": t("All")}
    # Resending goes by webhook and time: it is not offered for a list that hides some of what it would send.
    resends = filters.state == "dead" and not filters.type and not filters.session and not filters.before
    return render(
        request,
        login,
        "deliveries.html",
        at=filters,
        may_replay=login.principal.may(Scope.SESSION) and resends,
        retry_hours=hours(request.app[keys.SETTINGS].webhook_retry_for_ms, t),
        tabs=[Choice(value, label) for value, label in tabs.items()],
        receivers=[Choice(webhook, name) for webhook, name in receivers.items()],
        types=list(offered(login)),
        sessions=session_choices(request, login),
        spans=spans(t),
        older=filters.href(before=following) if following is not None else "",
        rows=[
            delivery_row(
                each,
                login.principal,
                receivers.get(each.webhook, ALERTS),
                webhooks.deliveries.next_try_ms(each),
                t,
            )
            for each in rows
        ],
    )


def delivery_row(delivery: Delivery, who: Principal, receiver: str, next_ms: int | None, t: Words) -> DeliveryRow:
    """``receiver`` is the address of its webhook as pages show it, ``next_ms`` when it is tried next."""
    kind = {"dead": "bad", "delivered": "good"}.get(delivery.state, "warn" if delivery.attempts else "calm")
    return DeliveryRow(
        id=f"{delivery.webhook}/{delivery.event}",
        type=delivery.type,
        at=moment(delivery.created_ms),
        session=who.known_id(delivery.lane) or "–",
        to=receiver,
        tries=delivery.attempts,
        next_try=moment(next_ms) if delivery.attempts else None,
        kind=kind,
        result=_result(delivery, t),
        verb=_verb(delivery, t) if who.may(Scope.SESSION) else "",
    )


def _verb(delivery: Delivery, t: Words) -> str:
    return t("Try now") if delivery.finished_ms is None else t("Resend")


def _result(delivery: Delivery, t: Words) -> str:
    if delivery.last_status is not None or delivery.last_error:
        return cause(delivery.last_status, delivery.last_error, t)
    return t("waiting")


async def replay(request: web.Request, login: Login, form: Form) -> str:
    """One delivery; or with no ``delivery`` the failed ones of ``webhook``, ``since`` then, or all of them."""
    webhook, _, event = str(form.get("delivery", "")).partition("/")
    await request.app[keys.WEBHOOKS].deliveries.replay(
        login.principal,
        webhook or str(form.get("webhook", "")) or None,
        events=[event] if event else None,
        since_ms=None if event else since_ms(str(form.get("since", "")), request.app[keys.CLOCK]),
    )
    return done(back(request, form) if form.get("next") else "/deliveries", "replay")
