"""Bodies of WAHA's operations. Fields that this service has no use for are accepted and ignored."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from bot_service.dialects.waha.webhooks import Hook, Ignore
from bot_service.domain.refused import invalid
from bot_service.messages.people import NewPicture
from shared.web import body

Text = Annotated[str, Meta(max_length=65_536)]


class _Body(msgspec.Struct, kw_only=True):
    session: str = "default"


class Proxy(msgspec.Struct):
    """``server`` is an address, or a host and a port."""

    server: Annotated[str, Meta(min_length=1, max_length=300)]
    username: Annotated[str, Meta(max_length=200)] | None = None
    password: Annotated[str, Meta(max_length=200)] | None = None


class Config(msgspec.Struct):
    metadata: dict[str, str] | None = None
    webhooks: Annotated[list[Hook], Meta(max_length=20)] | None = None
    ignore: Ignore | None = None
    proxy: Proxy | None = None


class NewSession(msgspec.Struct):
    name: str | None = None
    start: bool = True
    config: Config | None = None


class ChangedSession(msgspec.Struct):
    config: Config | None = None


class NamedSession(msgspec.Struct):
    """Of the old operations that have the name in the body."""

    name: str = "default"


class Chat(_Body):
    chatId: str


class SendText(Chat):
    text: Text
    reply_to: str | None = None
    mentions: list[str] = []


class Preview(msgspec.Struct):
    url: str
    title: str
    description: str = ""


class SendLink(Chat):
    text: Text
    preview: Preview
    reply_to: str | None = None


class SendBareLink(Chat):
    url: str
    title: str


class File(msgspec.Struct):
    mimetype: str | None = None
    filename: str | None = None
    url: str | None = None
    data: str | None = None


class Picture(msgspec.Struct):
    file: File


def new_picture(wanted: Picture) -> NewPicture:
    """A picture as the API takes it. Refused: ``invalid``."""
    if wanted.file.data is None:
        raise invalid("file.data", "is needed: a picture is not fetched from an address")
    return body.convert({"data": wanted.file.data}, NewPicture)


class SendFile(Chat):
    file: File
    caption: Text | None = None
    reply_to: str | None = None


class SendLocation(Chat):
    latitude: float
    longitude: float
    title: str | None = None
    reply_to: str | None = None


class Card(msgspec.Struct):
    fullName: str | None = None
    phoneNumber: str | None = None
    whatsappId: str | None = None
    vcard: str | None = None


class SendContacts(Chat):
    contacts: Annotated[list[Card], Meta(min_length=1, max_length=10)]
    reply_to: str | None = None


class Poll(msgspec.Struct):
    name: str
    options: list[str]
    multipleAnswers: bool = False


class SendPoll(Chat):
    poll: Poll
    reply_to: str | None = None


class Forward(Chat):
    messageId: str


class Seen(Chat):
    messageId: str | None = None
    messageIds: list[str] | None = None
    participant: str | None = None


class Reaction(_Body):
    messageId: str
    reaction: str


class Edit(msgspec.Struct):
    text: Text


class Status(msgspec.Struct, kw_only=True):
    """Of a status to post or to take back. A new one gets its id here."""

    id: str | None = None
    contacts: list[str] | None = None


class TextStatus(Status, kw_only=True):
    text: Text
    backgroundColor: str
    font: float = 0


class FileStatus(Status, kw_only=True):
    file: File
    caption: Text | None = None
    backgroundColor: str | None = None


class Pagination(msgspec.Struct, frozen=True):
    limit: Annotated[int, Meta(ge=1, le=500)] = 20
    offset: Annotated[int, Meta(ge=0, le=1_000_000)] = 0


class ChatFilter(msgspec.Struct):
    ids: list[str] | None = None


class Overview(msgspec.Struct):
    """Chats of one person under two addresses are one here in any case, so ``merge`` changes nothing."""

    pagination: Pagination = Pagination()
    filter: ChatFilter | None = None


class RequestCode(msgspec.Struct):
    phoneNumber: str
    method: Any = None
