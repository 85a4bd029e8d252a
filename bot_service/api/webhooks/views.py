"""What the webhook API answers with, in camelCase."""

from __future__ import annotations

from typing import Literal

import msgspec

from bot_service.api.server.request import iso_time
from bot_service.webhooks.commands import Webhook
from bot_service.webhooks.custom_headers import hidden
from bot_service.webhooks.health import Health
from bot_service.webhooks.test_call import TestCallResult
from shared.clock import from_ms, iso


class WebhookHealthView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """``state``: ``failing`` when the last attempt failed, ``down`` when five failed in a row.

    ``waiting`` and ``failed`` count deliveries: those that are tried again and those that were given up.
    """

    state: Literal["new", "ok", "failing", "down", "paused"]
    last_success_at: str | None
    last_failure_at: str | None
    last_failure_status: int | None
    last_failure_error: str | None
    waiting: int
    failed: int
    next_attempt_at: str | None


class WebhookView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """``owner`` None concerns every owner, ``session`` None every session of the owner.

    ``dialect`` names the API in which shape it gets events, such as ``waha``; None for this one.
    ``headers`` go along with every request; their values are shown as ``***``. Until
    ``oldSecretUntil`` the secret before the last rotation signs too.
    """

    id: str
    owner: str | None
    session: str | None
    url: str
    events: tuple[str, ...]
    active: bool
    dialect: str | None
    headers: dict[str, str]
    old_secret_until: str | None
    created_at: str
    updated_at: str
    health: WebhookHealthView


class NewWebhook(WebhookView, frozen=True, rename="camel", kw_only=True):
    """``secret`` signs (Standard Webhooks); it is shown now and never again."""

    secret: str


class WebhookList(msgspec.Struct, frozen=True):
    webhooks: list[WebhookView]


class WebhookTest(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The result of one call, signed like every other. ``error`` is None when the receiver took it.

    ``answer`` is the beginning of the body that came back.
    """

    event: str
    delivered: bool
    status: int | None
    error: str | None
    duration_ms: int
    answer: str | None


def webhook_view(webhook: Webhook, health: Health) -> WebhookView:
    return WebhookView(
        id=webhook.id,
        owner=webhook.owner,
        session=webhook.session,
        url=webhook.url,
        events=webhook.events,
        active=webhook.active,
        dialect=webhook.dialect,
        headers=hidden(webhook.headers),
        old_secret_until=iso_time(webhook.old_secret_until_ms),
        created_at=iso(from_ms(webhook.created_ms)),
        updated_at=iso(from_ms(webhook.updated_ms)),
        health=WebhookHealthView(
            state=health.state.value,
            last_success_at=iso_time(health.last.succeeded_ms),
            last_failure_at=iso_time(health.last.failed_ms),
            last_failure_status=health.last.failed_status,
            last_failure_error=health.last.failed_error,
            waiting=health.waiting,
            failed=health.dead,
            next_attempt_at=iso_time(health.next_ms),
        ),
    )


def new_webhook(webhook: Webhook, health: Health) -> NewWebhook:
    """With the secret: for the one answer that shows it."""
    return NewWebhook(**msgspec.structs.asdict(webhook_view(webhook, health)), secret=webhook.secret)


def webhook_test(result: TestCallResult) -> WebhookTest:
    return WebhookTest(
        event=result.event,
        delivered=result.attempt.error is None,
        status=result.attempt.status,
        error=result.attempt.error,
        duration_ms=result.duration_ms,
        answer=result.attempt.answer,
    )
