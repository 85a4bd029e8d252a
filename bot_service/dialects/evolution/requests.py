"""Bodies of Evolution's operations. Fields that are not named here are ignored, as Evolution does."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from bot_service.webhooks.custom_headers import HeaderName, HeaderValue

Text = Annotated[str, Meta(max_length=65_536)]
# Clients send numbers as text and as numbers.
Number = Annotated[str, Meta(min_length=1, max_length=128)] | int
Host = Annotated[str, Meta(max_length=200)]
# Clients send ports as text and as numbers.
Port = Annotated[str, Meta(max_length=5)] | Annotated[int, Meta(ge=0, le=65_535)]
Protocol = Annotated[str, Meta(max_length=10)]
Credential = Annotated[str, Meta(max_length=100)]
Pause = Annotated[int, Meta(ge=0, le=60_000)]


class Settings(msgspec.Struct, kw_only=True):
    rejectCall: bool = False
    msgCall: str | None = None
    groupsIgnore: bool = False
    alwaysOnline: bool = False
    readMessages: bool = False
    readStatus: bool = False
    syncFullHistory: bool = False


class WebhookFields(msgspec.Struct):
    """Both spellings are in use. Without ``events``: all of them."""

    enabled: bool = True
    url: Annotated[str, Meta(max_length=2000)] = ""
    byEvents: bool = False
    webhookByEvents: bool = False
    base64: bool = False
    webhookBase64: bool = False
    events: Annotated[list[str], Meta(max_length=50)] = []
    headers: Annotated[dict[HeaderName, HeaderValue], Meta(max_length=20)] | None = None


class SetWebhook(WebhookFields):
    """Both forms are in use: the fields themselves, and in ``webhook``."""

    webhook: WebhookFields | None = None


class SetProxy(msgspec.Struct):
    """When it is not ``enabled``, the other fields say nothing."""

    enabled: bool
    host: Host = ""
    port: Port = ""
    protocol: Protocol = "http"
    username: Credential | None = None
    password: Credential | None = None


class NewInstance(Settings, kw_only=True):
    """The fields without a type are refused by name when they are set."""

    instanceName: str = ""
    integration: str = "WHATSAPP-BAILEYS"
    qrcode: bool = False
    number: Number | None = None
    token: Any = None
    webhook: WebhookFields | None = None
    proxyHost: Host = ""
    proxyPort: Port = ""
    proxyProtocol: Protocol = "http"
    proxyUsername: Credential | None = None
    proxyPassword: Credential | None = None
    rabbitmq: Any = None
    sqs: Any = None
    chatwootAccountId: Any = None


class Key(msgspec.Struct):
    """Of a message. ``fromMe`` and ``participant`` are known here."""

    id: str
    remoteJid: str | None = None


class ChatKey(Key):
    remoteJid: str
    fromMe: bool = False


class Quoted(msgspec.Struct):
    key: Key


class Options(msgspec.Struct, kw_only=True):
    """``delay``: milliseconds in which the chat sees typing before the message is sent.

    ``linkPreview`` changes nothing: no message has a preview.
    """

    number: Number
    delay: Pause = 0
    quoted: Quoted | None = None
    linkPreview: bool | None = None
    mentionsEveryOne: bool = False
    mentioned: list[str] = []


class SendText(Options, kw_only=True):
    text: Text


class SendMedia(Options, kw_only=True):
    """``media``: an address, or the file in base64."""

    media: str
    mediatype: Literal["image", "video", "document", "audio"]
    mimetype: str | None = None
    caption: Text | None = None
    fileName: str | None = None


class SendAudio(Options, kw_only=True):
    audio: str


class SendSticker(Options, kw_only=True):
    sticker: str


class SendLocation(Options, kw_only=True):
    latitude: float
    longitude: float
    name: str | None = None
    address: str | None = None


class Card(msgspec.Struct):
    fullName: str
    phoneNumber: Number | None = None
    wuid: str | None = None
    organization: str | None = None
    email: str | None = None
    url: str | None = None


class SendContact(Options, kw_only=True):
    contact: Annotated[list[Card], Meta(min_length=1, max_length=10)]


class SendPoll(Options, kw_only=True):
    name: str
    values: list[str]
    selectableCount: int = 1


class SendStatus(msgspec.Struct):
    """``content``: the text, the address of a file, or the file in base64."""

    type: Literal["text", "image", "video", "audio"]
    content: str
    caption: Text | None = None
    backgroundColor: str | None = None
    font: float | None = None
    allContacts: bool = False
    statusJidList: list[str] = []


class SendReaction(msgspec.Struct):
    """Without a ``reaction`` the earlier one is taken back."""

    key: ChatKey
    reaction: str


class CheckNumbers(msgspec.Struct):
    numbers: list[Number]


class ReadMessages(msgspec.Struct):
    readMessages: Annotated[list[ChatKey], Meta(min_length=1, max_length=100)]


class PresenceOptions(msgspec.Struct):
    presence: str
    delay: Pause = 0


class Presence(msgspec.Struct):
    """Both forms are in use: the fields beside ``number``, and in ``options``."""

    number: Number
    presence: str | None = None
    delay: Pause = 0
    options: PresenceOptions | None = None


class DeleteMessage(msgspec.Struct):
    id: str


class UpdateMessage(msgspec.Struct):
    key: Key
    text: Text


class ChatNumber(msgspec.Struct):
    number: Number


class MediaMessage(msgspec.Struct):
    message: Quoted


class MessageKeyFilter(msgspec.Struct, forbid_unknown_fields=True):
    remoteJid: str | None = None
    id: str | None = None


class MessageFilter(msgspec.Struct, forbid_unknown_fields=True):
    """A filter that is not here would be a wrong answer, so it is refused."""

    key: MessageKeyFilter | None = None


class Page(msgspec.Struct):
    """``offset`` is how many rows a page has."""

    page: Annotated[int, Meta(ge=1)] = 1
    offset: Annotated[int, Meta(ge=0, le=500)] = 50

    @property
    def size(self) -> int:
        return self.offset or 50

    @property
    def skip(self) -> int:
        return (self.page - 1) * self.size


class FindMessages(Page):
    where: MessageFilter | None = None


class ChatFilter(msgspec.Struct):
    remoteJid: str | None = None


class FindChats(Page):
    where: ChatFilter | None = None


class NewGroup(msgspec.Struct):
    subject: str
    participants: list[str]
    description: str | None = None


class GroupSubject(msgspec.Struct):
    subject: str


class GroupDescription(msgspec.Struct):
    description: str


class GroupMembers(msgspec.Struct):
    action: str
    participants: list[str]


class GroupSetting(msgspec.Struct):
    action: Literal["announcement", "not_announcement", "locked", "unlocked"]


class GroupPicture(msgspec.Struct):
    """``image``: a JPEG in base64."""

    image: str


class GroupInvite(msgspec.Struct):
    groupJid: str
    numbers: Annotated[list[Number], Meta(min_length=1, max_length=50)]
    description: Text = ""


class OwnPresence(msgspec.Struct):
    presence: Literal["available", "unavailable"]


class ContactFilter(msgspec.Struct, forbid_unknown_fields=True):
    id: str | None = None
    remoteJid: str | None = None


class FindContacts(msgspec.Struct):
    where: ContactFilter | None = None


class ProfileName(msgspec.Struct):
    name: str


class ProfileStatus(msgspec.Struct):
    status: str


class ProfilePicture(msgspec.Struct):
    picture: str


class BlockStatus(msgspec.Struct):
    number: Number
    status: Literal["block", "unblock"]
