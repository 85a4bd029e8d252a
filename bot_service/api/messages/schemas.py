"""What the API of messages, webhooks and keys takes, in camelCase. Unknown fields of a body are refused by name."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from bot_service.api.sessions.schemas import Name, Owner, Phone, SessionId

Chat = Annotated[str, Meta(min_length=5, max_length=128)]
MessageId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:-]{1,128}(?!\n)$")]
Text = Annotated[str, Meta(min_length=1, max_length=65_536)]
Url = Annotated[str, Meta(pattern=r"^https?://[^\s]+(?!\n)$", max_length=2000)]
EventPattern = Annotated[str, Meta(pattern=r"^[a-z.*]{1,40}(?!\n)$")]
KeyScope = Literal["admin", "session", "read", "send"]
SendType = Literal["text", "image", "document", "audio", "video", "location", "contact", "reaction"]


class SendMedia(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A file, its bytes in base64. In a multipart form the bytes are the part ``file`` instead."""

    mime_type: Annotated[str, Meta(pattern=r"^[\w.+-]+/[\w.+-]+(?!\n)$", max_length=100)]
    data: str
    file_name: Annotated[str, Meta(max_length=200)] | None = None
    seconds: Annotated[int, Meta(ge=0, le=86_400)] | None = None
    voice: bool = False


class SendMessage(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """``to``: a number with country code, or a JID. ``text`` is the caption of a file and the emoji of a reaction."""

    to: Chat
    type: SendType = "text"
    text: Annotated[str, Meta(max_length=65_536)] | None = None
    media: SendMedia | None = None
    latitude: Annotated[float, Meta(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Meta(ge=-180, le=180)] | None = None
    name: Name | None = None
    contact_phone: Phone | None = None
    reaction_to: MessageId | None = None
    reply_to: MessageId | None = None


class MarkRead(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """``sender`` is who wrote the messages; it may be left out outside of groups."""

    chat: Chat
    message_ids: Annotated[list[MessageId], Meta(min_length=1, max_length=100)]
    sender: Chat | None = None


class ShowTyping(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    chat: Chat
    state: Literal["composing", "recording", "paused"] = "composing"


class CreateWebhook(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """``events`` are names or patterns (``session.*``, ``*``). Without ``session`` it hears of all sessions of its owner;
    made by an administrator without ``owner``, of all sessions there are."""

    url: Url
    events: Annotated[list[EventPattern], Meta(min_length=1, max_length=20)] = msgspec.field(
        default_factory=lambda: ["*"]
    )
    session: SessionId | None = None
    owner: Owner | None = None
    secret: Annotated[str, Meta(max_length=200)] | None = None
    active: bool = True


class ChangeWebhook(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    url: Url | None = None
    events: Annotated[list[EventPattern], Meta(min_length=1, max_length=20)] | None = None
    active: bool | None = None


class ReplayDeliveries(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Without ``events`` every dead letter of the webhook."""

    webhook: Annotated[str, Meta(max_length=32)]
    events: Annotated[list[Annotated[str, Meta(max_length=18)]], Meta(min_length=1, max_length=500)] | None = None


class CreateKey(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """``expiresIn`` in milliseconds. A key with the scope ``admin`` sees every owner's sessions."""

    name: Name
    owner: Owner
    scopes: Annotated[list[KeyScope], Meta(min_length=1, max_length=4)]
    expires_in: Annotated[int, Meta(ge=1000, le=315_360_000_000)] | None = None
