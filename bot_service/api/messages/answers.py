"""What the API of messages, webhooks, deliveries and keys gives, in camelCase: these types are rendered and described alike."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from bot_service.api.sessions.schemas import moment
from bot_service.domain.message import InboundMessage, Media, MessageType
from bot_service.messages import rendering
from bot_service.store.api_keys import StoredKey
from bot_service.store.deliveries import Delivery, Webhook
from bot_service.store.messages import StoredMessage
from bot_service.webhooks.test_call import TestCallResult
from shared.clock import from_ms, iso

MessageState = Literal["queued", "sent", "delivered", "read", "failed", "received", "handled", "unhandled"]
DeliveryState = Literal["pending", "delivered", "dead"]


class FileView(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A file of a message; ``url`` is where to fetch it, when it is kept."""

    mime_type: str
    url: str | None = None
    file_name: str | None = None
    size: int | None = None
    seconds: int | None = None
    voice: bool = False


class WaitsForView(msgspec.Struct, frozen=True):
    """``reason``: a freeze as a send is refused with, ``not_connected``, the last error, or ``its_turn``. ``until`` where known."""

    reason: str
    until: str | None = None


class MessageView(msgspec.Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """A message, in or out. What it does not have is left out."""

    id: str
    session: str
    chat: str
    direction: Literal["in", "out"]
    type: MessageType
    at: str
    state: MessageState
    state_at: str
    error: str | None = None
    waits_for: WaitsForView | None = None
    duplicates: int = 0
    text: str | None = None
    media: FileView | None = None
    sender: str | None = None
    push_name: str | None = None
    from_me: bool = False
    is_group: bool = False
    latitude: float | None = None
    longitude: float | None = None
    name: str | None = None
    contact_phone: str | None = None
    reply_to: str | None = None
    reaction_to: str | None = None


class MessagePage(msgspec.Struct, frozen=True):
    """``next`` is the ``before`` of the page that follows."""

    messages: list[MessageView]
    next: int | None


class WebhookView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """``owner`` None concerns every owner, ``session`` None every session of the owner."""

    id: str
    owner: str | None
    session: str | None
    url: str
    events: tuple[str, ...]
    active: bool
    created_at: str
    updated_at: str


class NewWebhook(WebhookView, frozen=True, rename="camel", kw_only=True):
    """``secret`` signs (Standard Webhooks); it is shown now and never again."""

    secret: str


class WebhookList(msgspec.Struct, frozen=True):
    webhooks: list[WebhookView]


class WebhookTest(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """What came of one call, signed like every other. ``error`` is None when the receiver took it."""

    event: str
    delivered: bool
    status: int | None
    error: str | None
    duration_ms: int


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


class KeyView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A key without the key."""

    id: str
    name: str
    owner: str
    scopes: tuple[Literal["admin", "session", "read", "send"], ...]
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    revoked_at: str | None


class NewKey(KeyView, frozen=True, rename="camel", kw_only=True):
    """``key`` is shown now and never again."""

    key: Annotated[str, msgspec.Meta(min_length=20)]


class KeyList(msgspec.Struct, frozen=True):
    keys: list[KeyView]


def message_view(row: StoredMessage, waits_for: WaitsForView | None = None) -> MessageView:
    """A stored message: no path of ours, no bytes of a file."""
    message = rendering.message_of(row)
    arrived = message if isinstance(message, InboundMessage) else None
    return MessageView(
        id=row.message_id,
        session=row.session,
        chat=row.chat,
        direction="in" if row.direction == "in" else "out",
        type=message.type,
        at=_at(row.at_ms),
        state=msgspec.convert(row.state, MessageState),
        state_at=_at(row.state_ms),
        error=row.error,
        waits_for=waits_for,
        duplicates=row.duplicates,
        text=message.text,
        media=_file_view(row, message.media) if message.media is not None else None,
        sender=arrived.sender if arrived else None,
        push_name=arrived.push_name if arrived else None,
        from_me=arrived.from_me if arrived else False,
        is_group=arrived.is_group if arrived else False,
        latitude=message.latitude,
        longitude=message.longitude,
        name=message.name,
        contact_phone=message.contact_phone,
        reply_to=message.reply_to,
        reaction_to=message.reaction_to,
    )


def _file_view(row: StoredMessage, media: Media) -> FileView:
    url = rendering.media_url(row.session, row.message_id) if media.path is not None else None
    return FileView(media.mime_type, url, media.file_name, media.size, media.seconds, media.voice)


def webhook_view(webhook: Webhook) -> WebhookView:
    return WebhookView(
        id=webhook.id,
        owner=webhook.owner,
        session=webhook.session,
        url=webhook.url,
        events=webhook.events,
        active=webhook.active,
        created_at=_at(webhook.created_ms),
        updated_at=_at(webhook.updated_ms),
    )


def new_webhook(webhook: Webhook) -> NewWebhook:
    """With the secret: for the one answer that shows it."""
    return NewWebhook(**msgspec.structs.asdict(webhook_view(webhook)), secret=webhook.secret)


def webhook_test(trial: TestCallResult) -> WebhookTest:
    return WebhookTest(
        event=trial.event,
        delivered=trial.attempt.error is None,
        status=trial.attempt.status,
        error=trial.attempt.error,
        duration_ms=trial.duration_ms,
    )


def delivery_view(row: Delivery) -> DeliveryView:
    return DeliveryView(
        webhook=row.webhook,
        event=row.event,
        type=row.type,
        session=row.lane or None,
        state=msgspec.convert("pending" if row.state == "aside" else row.state, DeliveryState),
        created_at=_at(row.created_ms),
        attempts=row.attempts,
        next_attempt_at=moment(row.next_ms) if row.finished_ms is None else None,
        last_status=row.last_status,
        last_error=row.last_error,
        finished_at=moment(row.finished_ms),
    )


def delivery_with_body(row: Delivery) -> DeliveryWithBody:
    return DeliveryWithBody(**msgspec.structs.asdict(delivery_view(row)), body=msgspec.Raw(row.body))


def key_view(key: StoredKey) -> KeyView:
    return KeyView(
        id=key.id,
        name=key.name,
        owner=key.owner,
        scopes=msgspec.convert(key.scopes, tuple[Literal["admin", "session", "read", "send"], ...]),
        created_at=_at(key.created_ms),
        expires_at=moment(key.expires_ms),
        last_used_at=moment(key.last_used_ms),
        revoked_at=moment(key.revoked_ms),
    )


def new_key(key: StoredKey, token: str) -> NewKey:
    """With the key itself: for the one answer that shows it."""
    return NewKey(**msgspec.structs.asdict(key_view(key)), key=token)


def _at(at_ms: int) -> str:
    return iso(from_ms(at_ms))
