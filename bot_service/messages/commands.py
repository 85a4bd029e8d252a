"""The use cases of messages: send, list, read, fetch files, mark as read, show typing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from bot_service.access.principals import Principal
from bot_service.domain.addresses import address, telephone_number, without_device
from bot_service.domain.file_labels import LONGEST_TYPE, is_mime_type
from bot_service.domain.inputs import Name, Phone
from bot_service.domain.message import Media, OutgoingMessage
from bot_service.domain.ports import MessageSending
from bot_service.domain.refused import Refused, invalid, not_found
from bot_service.domain.session_record import SessionRecord
from bot_service.domain.states import LINKED
from bot_service.events.ids import new_message_id
from bot_service.messages import rendering
from bot_service.messages.media import MediaStore
from bot_service.messages.outbox import LONGEST_TEXT, Accepted, Outbox, fingerprint
from bot_service.messages.rate_limits import frozen
from bot_service.messages.validation import missing
from bot_service.sessions.commands import engine_call
from bot_service.store import messages, send_queue
from bot_service.store.database import Database
from bot_service.store.messages import StoredMessage as StoredMessage

Chat = Annotated[str, Meta(min_length=1, max_length=128)]
MessageId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:-]{1,128}(?!\n)$")]
SendType = Literal["text", "image", "document", "audio", "video", "location", "contact", "reaction"]
ENGINE_TIMEOUT_S = 30.0


class SendMedia(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A file, its bytes in base64. In a multipart form the bytes are the part ``file`` instead."""

    mime_type: Annotated[str, Meta(min_length=1, max_length=LONGEST_TYPE)]
    data: str
    file_name: Annotated[str, Meta(max_length=200)] | None = None
    seconds: Annotated[int, Meta(ge=0, le=86_400)] | None = None
    voice: bool = False


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


class MarkRead(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """``sender`` is who wrote the messages; it may be left out outside of groups."""

    chat: Chat
    message_ids: Annotated[list[MessageId], Meta(min_length=1, max_length=100)]
    sender: Chat | None = None


class ShowTyping(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    chat: Chat
    state: Literal["composing", "recording", "paused"] = "composing"


@dataclass(frozen=True, slots=True)
class MessageSearch:
    """What a list is narrowed to; ``before`` is the ``seq`` to go on from, 0 for the newest."""

    chat: str | None = None
    direction: str | None = None
    state: str | None = None
    before: int = 0


@dataclass(frozen=True, slots=True)
class WaitsFor:
    """Why a queued message has not gone yet; ``until_ms`` since the epoch, where it is known."""

    reason: str
    until_ms: int | None = None


class MessageCommands:
    """Every method raises :class:`Refused`, those that need the engine :class:`EngineError`.

    ``touch(session)`` notes that a person or program uses the session.
    """

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        media: MediaStore,
        pool: MessageSending,
        *,
        now_ms: Callable[[], int],
        touch: Callable[[str], None],
    ) -> None:
        self._database, self._outbox, self._media, self._pool = database, outbox, media, pool
        self._now_ms, self._touch = now_ms, touch
        self.media_limit_bytes = media.limit_bytes

    async def send(
        self, record: SessionRecord, wanted: SendMessage, *, content: bytes | None = None, key: str | None = None
    ) -> Accepted:
        """Queue a message, once per ``key``. ``content``: the bytes of a file not in ``wanted``.

        Refused: ``invalid``, ``too_large``, ``no_space`` and as :meth:`Outbox.accept` is.
        """
        message, digest = _composed(wanted), None
        if key is not None:
            digest = fingerprint(message, content or (wanted.media.data.encode() if wanted.media else b""))
            earlier = await self._outbox.earlier(record.id, key, digest)
            if earlier is not None:
                return Accepted(earlier, repeated=True)
        if wanted.media is not None and message.media is not None:
            message = msgspec.structs.replace(
                message, media=await self._stored(record.id, message.id, message.media, wanted.media, content)
            )
        try:
            message = await self._with_author(record, message)
            accepted = await self._outbox.accept(record.id, message, key=key, digest=digest, creation=record.creation)
        except Refused:
            await self._delete_file(message)
            raise
        if accepted.repeated:
            await self._delete_file(message)
        self._touch(record.id)
        return accepted

    async def _delete_file(self, message: OutgoingMessage) -> None:
        if message.media is not None:
            await self._media.delete(message.media)

    async def _stored(
        self, session: str, message_id: str, media: Media, wanted: SendMedia, content: bytes | None
    ) -> Media:
        if content is not None:
            return await self._media.from_bytes(session, message_id, media, content)
        whole = msgspec.structs.replace(media, data_base64=wanted.data)
        return await self._media.from_base64(session, message_id, whole)

    async def _with_author(self, record: SessionRecord, message: OutgoingMessage) -> OutgoingMessage:
        """A reply or a reaction names who wrote its message, where the store knows."""
        target = message.reply_to or message.reaction_to
        if target is None:
            return message
        async with self._database.read() as connection:
            # The chat of one person may be known by two addresses.
            found = await messages.get(connection, record.id, target, chat=message.to) or await messages.get(
                connection, record.id, target
            )
        if found is None:
            return message
        sender, own = rendering.author_of(found)
        if own:
            sender = without_device(record.jid) if record.jid else None
        return msgspec.structs.replace(message, reply_to_sender=sender, refers_to_own=own)

    async def page(
        self, who: Principal, record: SessionRecord, search: MessageSearch, *, limit: int
    ) -> list[StoredMessage]:
        """The newest first. Refused: ``invalid``."""
        if search.direction not in (None, "in", "out"):
            raise invalid("direction", "must be in or out")
        chat = None if search.chat is None else address(search.chat, "chat")
        async with self._database.read() as connection:
            return await messages.page(
                connection,
                record.id,
                limit=limit,
                from_ms=_visible_from_ms(who, record),
                before=search.before or None,
                chat=chat,
                direction=search.direction,
                state=search.state,
            )

    async def get(self, who: Principal, record: SessionRecord, message_id: str) -> StoredMessage:
        """Refused: ``not_found``."""
        async with self._database.read() as connection:
            found = await messages.get(connection, record.id, message_id, from_ms=_visible_from_ms(who, record))
        if found is None:
            raise not_found("this message")
        return found

    async def waits_for(self, record: SessionRecord, message: StoredMessage) -> WaitsFor | None:
        """A freeze, the connection, the last error, or its turn; None when it does not wait."""
        if message.state != "queued":
            return None
        async with self._database.read() as connection:
            standing = await send_queue.standing(connection, record.id, message.message_id)
        if standing is None:
            return None
        known_chat, last_error = standing
        stop = frozen(record, self._now_ms(), known_chat=known_chat)
        if stop is not None:
            return WaitsFor(stop.reason.value, stop.until_ms)
        return WaitsFor((last_error or "its_turn") if record.state in LINKED else "not_connected")

    async def file(self, who: Principal, record: SessionRecord, message_id: str) -> tuple[Media, Path]:
        """The file of a message and where it is. Refused: ``not_found``."""
        media = rendering.media_of(await self.get(who, record, message_id))
        path = self._media.readable(media) if media is not None else None
        if media is None or path is None:
            raise not_found("a file of this message")
        return media, path

    async def mark_read(self, record: SessionRecord, wanted: MarkRead) -> None:
        """The other side sees the messages as read. Refused: ``invalid``."""
        chat = address(wanted.chat, "chat")
        sender = address(wanted.sender, "sender") if wanted.sender is not None else chat
        async with engine_call(ENGINE_TIMEOUT_S):
            await self._pool.mark_read(record.id, chat, sender, wanted.message_ids)
        self._touch(record.id)

    async def show_typing(self, record: SessionRecord, wanted: ShowTyping) -> None:
        """Refused: ``invalid``."""
        chat = address(wanted.chat, "chat")
        async with engine_call(ENGINE_TIMEOUT_S):
            await self._pool.typing(record.id, chat, wanted.state)
        self._touch(record.id)


def _visible_from_ms(who: Principal, record: SessionRecord) -> int:
    """What came for an earlier owner of the session is visible to administrators only."""
    return 0 if who.owner is None else record.owned_from_ms


def _composed(wanted: SendMessage) -> OutgoingMessage:
    lacking = missing(wanted.type, msgspec.to_builtins(wanted))
    if lacking is not None:
        raise invalid(lacking, f"is needed for a message of type {wanted.type}")
    media = wanted.media
    if media is not None and not is_mime_type(media.mime_type):
        raise invalid("media.mimeType", "must be a MIME type, for example image/png or audio/ogg; codecs=opus")
    return OutgoingMessage(
        id=new_message_id(),
        to=address(wanted.to, "to"),
        type=wanted.type,
        text=wanted.text,
        media=Media(media.mime_type, media.file_name, seconds=media.seconds, voice=media.voice) if media else None,
        latitude=wanted.latitude,
        longitude=wanted.longitude,
        name=wanted.name,
        contact_phone=telephone_number(wanted.contact_phone, "contactPhone") if wanted.contact_phone else None,
        reaction_to=wanted.reaction_to,
        reply_to=wanted.reply_to,
        mentions=tuple(address(person, "mentions") for person in wanted.mentions),
    )
