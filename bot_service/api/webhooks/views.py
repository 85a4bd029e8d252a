"""What the webhook API answers with, in camelCase."""

from __future__ import annotations

import msgspec

from bot_service.webhooks.commands import Webhook
from bot_service.webhooks.test_call import TestCallResult
from shared.clock import from_ms, iso


class WebhookView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """``owner`` None concerns every owner, ``session`` None every session of the owner.

    ``dialect`` names the API in which shape it gets events, such as ``waha``; None for this one.
    """

    id: str
    owner: str | None
    session: str | None
    url: str
    events: tuple[str, ...]
    active: bool
    dialect: str | None
    created_at: str
    updated_at: str


class NewWebhook(WebhookView, frozen=True, rename="camel", kw_only=True):
    """``secret`` signs (Standard Webhooks); it is shown now and never again."""

    secret: str


class WebhookList(msgspec.Struct, frozen=True):
    webhooks: list[WebhookView]


class WebhookTest(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The result of one call, signed like every other. ``error`` is None when the receiver took it."""

    event: str
    delivered: bool
    status: int | None
    error: str | None
    duration_ms: int


def webhook_view(webhook: Webhook) -> WebhookView:
    return WebhookView(
        id=webhook.id,
        owner=webhook.owner,
        session=webhook.session,
        url=webhook.url,
        events=webhook.events,
        active=webhook.active,
        dialect=webhook.dialect,
        created_at=iso(from_ms(webhook.created_ms)),
        updated_at=iso(from_ms(webhook.updated_ms)),
    )


def new_webhook(webhook: Webhook) -> NewWebhook:
    """With the secret: for the one answer that shows it."""
    return NewWebhook(**msgspec.structs.asdict(webhook_view(webhook)), secret=webhook.secret)


def webhook_test(result: TestCallResult) -> WebhookTest:
    return WebhookTest(
        event=result.event,
        delivered=result.attempt.error is None,
        status=result.attempt.status,
        error=result.attempt.error,
        duration_ms=result.duration_ms,
    )
