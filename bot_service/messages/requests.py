"""What callers ask of messages, and the message that a request to send becomes."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from bot_service.domain.addresses import STATUS_CHAT, address, telephone_number
from bot_service.domain.file_labels import LONGEST_TYPE, is_mime_type
from bot_service.domain.inputs import Name, Phone
from bot_service.domain.message import LinkPreview, Media, OutgoingMessage, Poll
from bot_service.domain.refused import invalid
from bot_service.events.ids import new_message_id
from bot_service.messages.outbox import LONGEST_TEXT
from bot_service.messages.validation import missing

Chat = Annotated[str, Meta(min_length=1, max_length=128, description="a phone number with country code, or a JID")]
MessageId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:-]{1,128}(?!\n)$", description="the id of a message")]
SendType = Literal["text", "image", "document", "audio", "video", "location", "contact", "reaction", "sticker", "poll"]


class SendMedia(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A file: its bytes in base64 with their type, or ``url``, where to fetch it. Then type and name
    are those of the server unless they are given. In a multipart form the bytes are the part
    ``file`` instead."""

    mime_type: Annotated[str, Meta(min_length=1, max_length=LONGEST_TYPE)] | None = None
    data: str | None = None
    url: Annotated[str, Meta(min_length=1, max_length=2000)] | None = None
    file_name: Annotated[str, Meta(max_length=200)] | None = None
    seconds: Annotated[int, Meta(ge=0, le=86_400)] | None = None
    voice: bool = False


class SendPoll(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """``selectable``: how many options one person may choose, 0 for any number."""

    question: Annotated[str, Meta(min_length=1, max_length=255)]
    options: Annotated[list[Annotated[str, Meta(min_length=1, max_length=100)]], Meta(min_length=2, max_length=12)]
    selectable: Annotated[int, Meta(ge=0, le=12)] = 1


class SendLinkPreview(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What phones show of the page behind ``url``, which must be in ``text``. This service does not fetch the page."""

    url: Annotated[str, Meta(min_length=1, max_length=2000)]
    title: Annotated[str, Meta(min_length=1, max_length=300)]
    description: Annotated[str, Meta(max_length=1000)] = ""


class SendMessage(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """``to``: a number with country code, or a JID. ``text`` is the caption of a file and the emoji
    of a reaction. ``mentions``: the people that ``text`` names as ``@33612345678``."""

    to: Chat
    type: SendType = "text"
    text: Annotated[str, Meta(max_length=LONGEST_TEXT)] | None = None
    media: SendMedia | None = None
    latitude: Annotated[float, Meta(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Meta(ge=-180, le=180)] | None = None
    name: Name | None = None
    contact_phone: Phone | None = None
    reaction_to: MessageId | None = None
    reply_to: MessageId | None = None
    mentions: Annotated[list[Chat], Meta(max_length=1024)] = []
    poll: SendPoll | None = None
    link_preview: SendLinkPreview | None = None


class PostStatus(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """``text`` is the caption of a picture or a video. ``backgroundColor``, of a text or a voice
    message, is ``#RRGGBB``. Who gets it is set on the phone."""

    type: Literal["text", "image", "video", "audio"] = "text"
    text: Annotated[str, Meta(max_length=LONGEST_TEXT)] | None = None
    media: SendMedia | None = None
    background_color: Annotated[str, Meta(pattern=r"^#[0-9A-Fa-f]{6}(?!\n)$", description="`#RRGGBB`")] | None = None
    font: Literal[0, 1, 2, 6, 7, 8, 9, 10] | None = None


class EditMessage(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The new text, or the new caption of a file."""

    text: Annotated[str, Meta(min_length=1, max_length=LONGEST_TEXT)]
    mentions: Annotated[list[Chat], Meta(max_length=1024)] = []


class ForwardMessage(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """``to``: a number with country code, or a JID."""

    to: Chat


class MarkRead(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """``sender`` is who wrote the messages; it may be left out outside of groups."""

    chat: Chat
    message_ids: Annotated[list[MessageId], Meta(min_length=1, max_length=100)]
    sender: Chat | None = None


class ShowTyping(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    chat: Chat
    state: Literal["composing", "recording", "paused"] = "composing"


def receiver(to: str) -> str:
    """The chat that a message is sent to. Refused: ``invalid``."""
    chat = address(to, "to")
    if chat == STATUS_CHAT:
        raise invalid("to", "must be a person or a group; a status is posted with POST /api/sessions/{id}/status")
    return chat


def composed_status(wanted: PostStatus) -> OutgoingMessage:
    """The status that a request asks for, without its file. Refused: ``invalid``."""
    if wanted.background_color is not None and wanted.type not in ("text", "audio"):
        raise invalid("backgroundColor", "is for a text or a voice message")
    if wanted.font is not None and wanted.type != "text":
        raise invalid("font", "is for a text")
    if wanted.text and wanted.type == "audio":
        raise invalid("text", "is for a text, an image or a video")
    return OutgoingMessage(
        id=new_message_id(),
        to=STATUS_CHAT,
        type=wanted.type,
        text=wanted.text,
        media=_described(wanted, voice=wanted.type == "audio"),
        background=wanted.background_color,
        font=wanted.font,
    )


def composed(wanted: SendMessage) -> OutgoingMessage:
    """The message that a request asks for, without its file. Refused: ``invalid``."""
    return OutgoingMessage(
        id=new_message_id(),
        to=receiver(wanted.to),
        type=wanted.type,
        text=wanted.text,
        media=_described(wanted),
        latitude=wanted.latitude,
        longitude=wanted.longitude,
        name=wanted.name,
        contact_phone=telephone_number(wanted.contact_phone, "contactPhone") if wanted.contact_phone else None,
        reaction_to=wanted.reaction_to,
        reply_to=wanted.reply_to,
        poll=_poll(wanted.poll) if wanted.poll is not None else None,
        mentions=tuple(address(person, "mentions") for person in wanted.mentions),
        link_preview=_preview(wanted),
    )


def _preview(wanted: SendMessage) -> LinkPreview | None:
    preview = wanted.link_preview
    if preview is None:
        return None
    if wanted.type != "text":
        raise invalid("linkPreview", "is for a message of type text")
    if preview.url not in (wanted.text or ""):
        raise invalid("linkPreview.url", "must be in the text, as it is there")
    return LinkPreview(preview.url, preview.title, preview.description)


def _described(wanted: SendMessage | PostStatus, *, voice: bool = False) -> Media | None:
    """The file of a request, without its content. Refused: ``invalid``, also when a part is missing."""
    lacking = missing(wanted.type, msgspec.to_builtins(wanted))
    if lacking is not None:
        raise invalid(lacking, f"is needed for a message of type {wanted.type}")
    media = wanted.media
    if media is None:
        return None
    if (media.data is None) is (media.url is None):
        raise invalid("media", "needs either data or url")
    named = media.mime_type is not None or media.url is None
    if named and (media.mime_type is None or not is_mime_type(media.mime_type)):
        raise invalid("media.mimeType", "must be a MIME type, for example image/png or audio/ogg; codecs=opus")
    return Media(media.mime_type or "", media.file_name, seconds=media.seconds, voice=media.voice or voice)


def _poll(wanted: SendPoll) -> Poll:
    options = tuple(option.strip() for option in wanted.options)
    if len(set(options)) < len(options) or "" in options:
        # Votes name an option by the hash of its text.
        raise invalid("poll.options", "must be different texts")
    if wanted.selectable > len(options):
        raise invalid("poll.selectable", f"must be at most {len(options)}, the number of options")
    return Poll(wanted.question.strip(), options, wanted.selectable)
