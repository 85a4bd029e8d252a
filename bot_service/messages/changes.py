"""The use cases that begin with an existing message: edit it, revoke it, forward it.

Each queues a message of its own, so that it is sent in order, once, and after a restart too.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from bot_service.domain.addresses import STATUS_CHAT, address
from bot_service.domain.message import MEDIA_TYPES, SENDABLE_TYPES, Media, OutgoingMessage
from bot_service.domain.refused import Refused
from bot_service.domain.session_record import SessionRecord
from bot_service.events.ids import new_message_id
from bot_service.messages import rendering
from bot_service.messages.authors import written_by
from bot_service.messages.media import MediaStore
from bot_service.messages.outbox import Accepted, Outbox, fingerprint
from bot_service.messages.requests import EditMessage, ForwardMessage, receiver
from bot_service.store.messages import StoredMessage

# Phones ignore later changes.
EDIT_WITHIN_MS = 15 * 60_000
REVOKE_WITHIN_MS = 60 * 3_600_000
_CAPTIONED = frozenset({"image", "video", "document"})


class MessageChanges:
    """Every method raises :class:`Refused` as :meth:`Outbox.accept` does.

    ``target`` is the existing message, of the session and visible to the caller.
    ``touch(session)`` notes that a person or program uses the session.
    """

    def __init__(
        self,
        outbox: Outbox,
        media: MediaStore,
        *,
        now_ms: Callable[[], int],
        touch: Callable[[str], None],
    ) -> None:
        self._outbox, self._media = outbox, media
        self._now_ms, self._touch = now_ms, touch

    async def edit(
        self, record: SessionRecord, target: StoredMessage, wanted: EditMessage, *, key: str | None = None
    ) -> Accepted:
        """Refused: ``not_editable``, ``too_late``."""
        if not rendering.author_of(target)[1]:
            raise Refused("not_editable", "only messages of the session's own account can be edited")
        if target.chat == STATUS_CHAT:
            raise Refused("not_editable", "a status cannot be edited: revoke it and post another")
        if target.type != "text" and target.type not in _CAPTIONED:
            raise Refused("not_editable", f"a message of type {target.type} has no text that can be edited")
        self._refuse_late(target, EDIT_WITHIN_MS, "edited within 15 minutes")
        media = rendering.media_of(target)
        message = OutgoingMessage(
            new_message_id(),
            target.chat,
            "edit",
            text=wanted.text,
            media=Media(media.mime_type) if media is not None else None,
            mentions=tuple(address(person, "mentions") for person in wanted.mentions),
            edits=target.message_id,
        )
        return await self._accept(record, written_by(record, message, target), key)

    async def revoke(self, record: SessionRecord, target: StoredMessage, *, key: str | None = None) -> Accepted:
        """Delete it for everyone. Refused: ``not_revocable``, ``too_late``."""
        if not (rendering.author_of(target)[1] or target.chat.endswith("@g.us")):
            raise Refused("not_revocable", "only own messages, and in groups those of others, can be revoked")
        self._refuse_late(target, REVOKE_WITHIN_MS, "revoked within 60 hours")
        message = OutgoingMessage(new_message_id(), target.chat, "revoke", revokes=target.message_id)
        return await self._accept(record, written_by(record, message, target), key)

    def is_revocable(self, target: StoredMessage) -> bool:
        """Whether it is a message of this service that the server has and that is not too old."""
        arrived = target.direction == "out" and target.state in ("sent", "delivered", "read")
        is_content = target.type not in ("reaction", "edit", "revoke")
        return arrived and is_content and self._now_ms() - target.at_ms <= REVOKE_WITHIN_MS

    async def forward(
        self, record: SessionRecord, target: StoredMessage, wanted: ForwardMessage, *, key: str | None = None
    ) -> Accepted:
        """Send a copy with the mark of a forward, its file too. Refused: ``not_forwardable``."""
        source = rendering.message_of(target)
        if source.type not in SENDABLE_TYPES or source.type in ("reaction", "edit", "revoke"):
            raise Refused("not_forwardable", f"a message of type {source.type} cannot be forwarded")
        to, copy_id = receiver(wanted.to), new_message_id()
        message = OutgoingMessage(
            copy_id,
            to,
            source.type,
            text=source.text,
            latitude=source.latitude,
            longitude=source.longitude,
            name=source.name,
            contact_phone=source.contact_phone,
            poll=source.poll,
            forwarded=True,
        )
        digest = fingerprint(message, target.message_id.encode())
        if key is not None and (earlier := await self._outbox.earlier(record.id, key, digest)) is not None:
            return Accepted(earlier, repeated=True)
        if source.type in MEDIA_TYPES:
            copy = await self._media.copy(record.id, copy_id, source.media)
            if copy is None:
                raise Refused("not_forwardable", "the file of this message is not kept")
            message = msgspec.structs.replace(message, media=copy)
        try:
            return await self._accept(record, message, key, digest)
        except Refused:
            if message.media is not None:
                await self._media.delete(message.media)
            raise

    def _refuse_late(self, target: StoredMessage, within_ms: int, what: str) -> None:
        if target.state == "failed":
            raise Refused("not_sent", "this message was never sent")
        if self._now_ms() - target.at_ms > within_ms:
            raise Refused("too_late", f"a message can only be {what}")

    async def _accept(
        self, record: SessionRecord, message: OutgoingMessage, key: str | None, digest: str | None = None
    ) -> Accepted:
        digest = digest or (fingerprint(message) if key is not None else None)
        accepted = await self._outbox.accept(record.id, message, key=key, digest=digest, creation=record.creation)
        self._touch(record.id)
        return accepted
