"""Messages in and out as plain values; the same for every engine."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from bot_service.domain.addresses import STATUS_CHAT
from bot_service.domain.calls import Call
from bot_service.domain.group_changes import GroupChange

MessageType = Literal[
    "text",
    "image",
    "document",
    "audio",
    "video",
    "location",
    "contact",
    "reaction",
    "sticker",
    "poll",
    "poll_vote",
    "choice",
    "album",
    "group_invite",
    "edit",
    "revoke",
    "other",
]


MEDIA_TYPES = frozenset({"image", "document", "audio", "video", "sticker"})
STATUS_TYPES = frozenset({"text", "image", "video", "audio"})
# What WhatsApp numbers so: phones show unknown ones as the first.
STATUS_FONTS = (0, 1, 2, 6, 7, 8, 9, 10)
SENDABLE_TYPES = MEDIA_TYPES | {"text", "location", "contact", "reaction", "poll", "edit", "revoke"}


# Prefix of the ids of receive probes, and their text. Probes prove the receive path; no subscriber
# gets them.
PROBE_ID = "VEILLEURPROBE"
PROBE_TEXT = "·"


class Media(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A sent or received file. ``key`` names it in the store of files, on every replica.

    ``path`` is where a worker left it or finds it; older versions stored that instead of a key.
    ``data_base64`` is for the API only.
    """

    mime_type: str
    file_name: str | None = None
    path: str | None = None
    data_base64: str | None = None
    size: int | None = None
    seconds: int | None = None
    voice: bool = False
    video_note: bool = False
    key: str | None = None

    @property
    def file_key(self) -> str | None:
        """The key of its file; None when no file is kept. A path ends with session and name."""
        return self.key if self.key is not None or self.path is None else "/".join(self.path.split("/")[-2:])


def by_key(media: Media) -> Media:
    """As it is stored: without a path, which means nothing on another machine."""
    return msgspec.structs.replace(media, key=media.file_key, path=None)


def without_place(media: Media) -> Media:
    """For another service, where its file gets another key."""
    return msgspec.structs.replace(media, key=None, path=None)


class Poll(msgspec.Struct, frozen=True, rename="camel"):
    """``selectable``: how many options one person may choose, 0 for any number."""

    question: str
    options: tuple[str, ...]
    selectable: int = 0


class LinkPreview(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a phone shows of the page behind ``url``, which is in the text of the message."""

    url: str
    title: str
    description: str = ""


class OutgoingMessage(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One message to send. A retry with the same ``id`` is the same message.

    ``to`` is a JID (``…@s.whatsapp.net``, ``…@g.us``) or a telephone number in digits.
    ``reply_to_sender`` wrote the message of ``reply_to``, ``reaction_to`` or ``revokes``; None when
    unknown. ``edits`` and ``revokes`` name the changed message; ``text`` is its new text.
    ``refers_to_own``: the session's own account wrote it. ``background`` (``#RRGGBB``) and ``font``,
    one of ``STATUS_FONTS``, are those of a status, which goes to ``STATUS_CHAT``.
    """

    id: str
    to: str
    type: MessageType
    text: str | None = None
    media: Media | None = None
    latitude: float | None = None
    longitude: float | None = None
    name: str | None = None
    contact_phone: str | None = None
    reaction_to: str | None = None
    reply_to: str | None = None
    reply_to_sender: str | None = None
    refers_to_own: bool = False
    mentions: tuple[str, ...] = ()
    poll: Poll | None = None
    edits: str | None = None
    revokes: str | None = None
    forwarded: bool = False
    background: str | None = None
    font: int | None = None
    link_preview: LinkPreview | None = None


def missing_part(message: OutgoingMessage) -> str | None:
    """What ``message`` lacks, as a sentence; None when every engine can send it."""
    kind = message.type
    if message.to == STATUS_CHAT and kind != "revoke" and kind not in STATUS_TYPES:
        return "a status is a text, an image, a video or a voice message"
    if kind == "text" and not message.text:
        return "a text message needs text"
    if kind in MEDIA_TYPES and (message.media is None or message.media.file_key is None):
        return f"a message of type {kind} needs a file"
    if kind == "location" and (message.latitude is None or message.longitude is None):
        return "a location needs latitude and longitude"
    if kind == "contact" and not (message.name and message.contact_phone):
        return "a contact needs a name and a telephone number"
    if kind == "poll" and message.poll is None:
        return "a poll needs a question and options"
    if kind == "edit" and not (message.edits and message.text):
        return "an edit needs the message that it changes and a text"
    if kind == "revoke" and not message.revokes:
        return "a revocation needs the message that it deletes"
    if kind == "reaction" and not message.reaction_to:
        return "a reaction needs the message it belongs to"
    return None if kind in SENDABLE_TYPES else "messages of this type cannot be sent"


class Contact(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A card of a person; ``phones`` are digits in international form as far as the card has it."""

    name: str | None = None
    phones: tuple[str, ...] = ()


class PollVote(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A vote replaces the earlier one of its sender; without options it takes it back.

    ``poll`` is the id of the poll's message. ``hashes`` (SHA-256 of the option, hexadecimal) of
    options without a known text; ``unreadable`` when the vote cannot be decrypted.
    """

    poll: str
    options: tuple[str, ...] = ()
    hashes: tuple[str, ...] = ()
    unreadable: bool = False


class Choice(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A button or a row of a list. ``id`` is the sender's own name for it."""

    text: str | None = None
    id: str | None = None


class Album(msgspec.Struct, frozen=True, rename="camel"):
    """How many files follow. They name the album in ``albumId``."""

    images: int = 0
    videos: int = 0


class GroupInvite(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """``expires_ms`` since the epoch."""

    group: str
    code: str
    name: str | None = None
    expires_ms: int | None = None


class MessageDetails(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """What only some messages have.

    ``edits`` and ``revokes`` name the changed message by id; an edit's other fields are the new
    content. ``choice`` answers the buttons or the list of ``reply_to``; ``choices`` are offered.
    ``refers_to_own``: the session's own account wrote the message of a reaction, or the poll of a vote.
    """

    mentions: tuple[str, ...] = ()
    forwarded: bool = False
    view_once: bool = False
    live: bool = False
    edits: str | None = None
    revokes: str | None = None
    poll: Poll | None = None
    vote: PollVote | None = None
    choice: Choice | None = None
    choices: tuple[Choice, ...] = ()
    contacts: tuple[Contact, ...] = ()
    album: Album | None = None
    album_id: str | None = None
    refers_to_own: bool = False
    invite: GroupInvite | None = None


class InboundMessage(MessageDetails, frozen=True, rename="camel", omit_defaults=True):
    """One received message, unique by (session, chat, id).

    ``at_ms``: the sender's time since the epoch. ``lid``: the hidden address of the chat's person, in
    a group of the sender, when the message names both.
    """

    session: str
    chat: str
    id: str
    sender: str
    at_ms: int
    type: MessageType
    text: str | None = None
    push_name: str | None = None
    from_me: bool = False
    is_group: bool = False
    media: Media | None = None
    reply_to: str | None = None
    reaction_to: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    name: str | None = None
    contact_phone: str | None = None
    lid: str | None = None


def is_probe(message: InboundMessage) -> bool:
    """Whether this is a receive probe.

    The id alone proves nothing, because the sender chooses it.
    """
    return message.id.startswith(PROBE_ID) and message.text == PROBE_TEXT


class Receipt(msgspec.Struct, frozen=True, rename="camel"):
    """A receipt for sent messages. ``type``: server, delivered, read, played or failed."""

    session: str
    chat: str
    message_ids: list[str]
    type: str
    at_ms: int


class Sent(msgspec.Struct, frozen=True, rename="camel"):
    """The server took the message."""

    id: str
    at_ms: int


class JournalRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One record of a worker's journal: a message, a receipt, a call or a change of a group; none
    in a test of the disk.

    ``creation`` is that of the session when its client was started. ``meta["atMs"]`` is when the
    record was written, in ms since the epoch.
    """

    message: InboundMessage | None = None
    receipt: Receipt | None = None
    call: Call | None = None
    meta: dict[str, Any] = {}
    creation: str = ""
    group: GroupChange | None = None

    @property
    def item(self) -> InboundMessage | Receipt | Call | GroupChange | None:
        """What it holds."""
        return self.message or self.receipt or self.call or self.group
