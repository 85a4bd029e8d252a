"""What the API of messages, webhooks, deliveries and keys gives, in camelCase."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

State = Literal["queued", "sent", "delivered", "read", "failed", "received", "handled", "unhandled"]


class FileView(msgspec.Struct, frozen=True, rename="camel"):
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


class MessageView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A message, in or out. What its type does not have is left out."""

    id: str
    session: str
    chat: str
    direction: Literal["in", "out"]
    type: str
    at: str
    state: State
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
    events: list[str]
    active: bool
    created_at: str
    updated_at: str


class NewWebhook(WebhookView, frozen=True, rename="camel", kw_only=True):
    """``secret`` signs (Standard Webhooks); it is shown now and never again."""

    secret: str


class WebhookList(msgspec.Struct, frozen=True):
    webhooks: list[WebhookView]


class DeliveryView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """One event on its way to one webhook."""

    webhook: str
    event: str
    type: str
    session: str | None
    state: Literal["pending", "delivered", "dead"]
    created_at: str
    attempts: int
    next_attempt_at: str | None
    last_status: int | None
    last_error: str | None
    finished_at: str | None


class DeliveryWithBody(DeliveryView, frozen=True, rename="camel", kw_only=True):
    """``body`` is what is sent."""

    body: Any


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
    scopes: list[Literal["admin", "session", "read", "send"]]
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    revoked_at: str | None


class NewKey(KeyView, frozen=True, rename="camel", kw_only=True):
    """``key`` is shown now and never again."""

    key: Annotated[str, msgspec.Meta(min_length=20)]


class KeyList(msgspec.Struct, frozen=True):
    keys: list[KeyView]


class Figures(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Durations in milliseconds, memory in bytes, rates a minute."""

    version: str
    boot_id: str
    uptime: int
    loop_lag_ms: int
    memory: dict[str, int]
    sessions: dict[str, Any]
    messages: dict[str, float]
    webhooks: dict[str, int]
    alerts: list[str]
