"""The use cases of messages: send, list, read, fetch files, mark as read, show typing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from bot_service.access.downloads import KeptFile
from bot_service.access.principals import Principal
from bot_service.domain.addresses import address
from bot_service.domain.message import Media, OutgoingMessage
from bot_service.domain.ports import MessageSending
from bot_service.domain.refused import Refused, invalid, not_found
from bot_service.domain.session_record import SessionRecord
from bot_service.domain.states import LINKED
from bot_service.messages import one_chat, rendering
from bot_service.messages.authors import with_author
from bot_service.messages.media import MediaStore
from bot_service.messages.media_fetch import MediaFetcher
from bot_service.messages.outbox import Accepted, Outbox, fingerprint
from bot_service.messages.rate_limits import frozen
from bot_service.messages.requests import (
    MarkRead,
    PostStatus,
    SendMedia,
    SendMessage,
    ShowTyping,
    composed,
    composed_status,
)
from bot_service.sessions.commands import anywhere, engine_call
from bot_service.store import chats, messages, send_queue
from bot_service.store.chats import StoredChat as StoredChat
from bot_service.store.database import Database
from bot_service.store.messages import StoredMessage as StoredMessage

ENGINE_TIMEOUT_S = 30.0
LONGEST_SEARCH = 200
# A search reads at most so many messages for one page: 50,000.
SEARCH_SLICE, SEARCH_SLICES = 5_000, 10
_LOOK_AGAIN_S, _STORED_SOON_S = 0.5, 0.02


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

    ``touch(session)`` notes that a person or program uses the session; ``require_here(session)``
    raises :class:`RunsElsewhere` for one of another replica.
    """

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        media: MediaStore,
        fetcher: MediaFetcher,
        pool: MessageSending,
        *,
        now_ms: Callable[[], int],
        touch: Callable[[str], None],
        require_here: Callable[[str], None] = anywhere,
    ) -> None:
        self._database, self._outbox, self._media, self._pool = database, outbox, media, pool
        self._require_here = require_here
        self._fetcher = fetcher
        self._now_ms, self._touch = now_ms, touch
        self.media_limit_bytes = media.limit_bytes
        self._awaited: dict[tuple[str, str], asyncio.Event] = {}

    async def send(
        self, record: SessionRecord, wanted: SendMessage, *, content: bytes | None = None, key: str | None = None
    ) -> Accepted:
        """Queue a message, once per ``key``. ``content``: the bytes of a file not in ``wanted``.

        Refused: ``invalid``, ``too_large``, ``media_not_fetched``, ``no_space`` and as :meth:`Outbox.accept` is.
        """
        return await self._send(record, composed(wanted), wanted.media, content, key)

    async def post_status(self, record: SessionRecord, wanted: PostStatus, *, key: str | None = None) -> Accepted:
        """Queue a status, once per ``key``. Refused: as :meth:`send` is."""
        return await self._send(record, composed_status(wanted), wanted.media, None, key)

    async def _send(
        self,
        record: SessionRecord,
        message: OutgoingMessage,
        file: SendMedia | None,
        content: bytes | None,
        key: str | None,
    ) -> Accepted:
        digest = fingerprint(message, content or _given(file)) if key is not None else None
        if key is not None and digest is not None and file is not None:
            # Before its file is stored, which would be for nothing.
            earlier = await self._outbox.earlier(record.id, key, digest)
            if earlier is not None:
                return Accepted(earlier, repeated=True)
        if file is not None and message.media is not None:
            message = msgspec.structs.replace(
                message, media=await self._stored(record.id, message.id, message.media, file, content)
            )
        try:
            if message.to.endswith(one_chat.HIDDEN) or message.reply_to or message.reaction_to:
                async with self._database.read() as connection:
                    to = await one_chat.chat_by_number(connection, record.id, message.to)
                    message = await with_author(connection, record, msgspec.structs.replace(message, to=to))
            accepted = await self._outbox.accept(record.id, message, key=key, digest=digest, creation=record.creation)
        except Refused:
            await self._delete_file(message)
            raise
        if accepted.repeated:
            await self._delete_file(message)
        self._touch(record.id)
        return accepted

    def ended(self, session: str, message_id: str, _state: str) -> None:
        """A message was sent or has failed."""
        if (event := self._awaited.get((session, message_id))) is not None:
            event.set()

    async def until_ended(self, message: StoredMessage, within_s: float) -> StoredMessage:
        """The message as it is once it was sent or has failed, or after ``within_s`` seconds."""
        key = (message.session, message.message_id)
        event = self._awaited.setdefault(key, asyncio.Event())
        try:
            async with asyncio.timeout(within_s):
                while message.state == "queued":
                    # The hook comes a moment before the store has it, and may have come before this call.
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(event.wait(), _LOOK_AGAIN_S)
                    if event.is_set():
                        await asyncio.sleep(_STORED_SOON_S)
                    async with self._database.read() as connection:
                        message = await messages.get(connection, *key) or message
        except TimeoutError:
            pass
        finally:
            self._awaited.pop(key, None)
        return message

    async def _delete_file(self, message: OutgoingMessage) -> None:
        if message.media is not None:
            await self._media.delete(message.media)

    async def _stored(
        self, session: str, message_id: str, media: Media, wanted: SendMedia, content: bytes | None
    ) -> Media:
        if wanted.url is not None:
            found = await self._fetcher.fetch(wanted.url)
            content = found.content
            media = msgspec.structs.replace(
                media, mime_type=media.mime_type or found.mime_type, file_name=media.file_name or found.file_name
            )
        if content is not None:
            return await self._media.from_bytes(session, message_id, media, content)
        whole = msgspec.structs.replace(media, data_base64=wanted.data)
        return await self._media.from_base64(session, message_id, whole)

    async def page(
        self, who: Principal, record: SessionRecord, search: MessageSearch, *, limit: int
    ) -> list[StoredMessage]:
        """The newest first. Refused: ``invalid``."""
        narrowed = await self._narrowed(who, record, search)
        async with self._database.read() as connection:
            return await messages.page(connection, record.id, limit=limit, narrowed=narrowed)

    async def search(
        self, who: Principal, record: SessionRecord, search: MessageSearch, text: str, *, limit: int
    ) -> tuple[list[StoredMessage], int | None]:
        """Those with ``text`` in their text, caption, file name, or name of a place, person or poll, newest first;
        and the ``before`` of the page that follows. Refused: ``invalid``.

        It looks at a bounded number of messages: a page may be short, or empty, and not the last one.
        """
        if not 1 <= len(text) <= LONGEST_SEARCH:
            raise invalid("search", f"must have 1 to {LONGEST_SEARCH} characters")
        narrowed = await self._narrowed(who, record, search)
        found: list[StoredMessage] = []
        # In slices, so that no query takes the thread of its connection for long.
        for _ in range(SEARCH_SLICES):
            async with self._database.read() as connection:
                rows, following = await messages.search(connection, record.id, narrowed, text=text, rows=SEARCH_SLICE)
            found.extend(row for row in rows if rendering.holds(row, text))
            if len(found) >= limit:
                more = following is not None or len(found) > limit
                return found[:limit], found[limit - 1].seq if more else None
            if following is None:
                return found, None
            narrowed = msgspec.structs.replace(narrowed, before=following)
        return found, narrowed.before

    async def _narrowed(self, who: Principal, record: SessionRecord, search: MessageSearch) -> messages.Narrowed:
        if search.direction not in (None, "in", "out"):
            raise invalid("direction", "must be in or out")
        chat = None if search.chat is None else await self._one_chat(record, address(search.chat, "chat"))
        return messages.Narrowed(
            _visible_from_ms(who, record), search.before or None, chat, search.direction, search.state
        )

    async def _one_chat(self, record: SessionRecord, chat: str) -> str:
        async with self._database.read() as connection:
            return await one_chat.chat_by_number(connection, record.id, chat)

    async def chats(
        self, who: Principal, record: SessionRecord, *, before: int, limit: int, chat: str | None = None
    ) -> list[StoredChat]:
        """The chat with the newest message first, or ``chat`` alone; ``before`` is a ``seq`` or 0.

        Refused: ``invalid``.
        """
        from_ms = _visible_from_ms(who, record)
        only = None if chat is None else await self._one_chat(record, address(chat, "chat"))
        async with self._database.read() as connection:
            return await chats.page(
                connection, record.id, limit=limit, from_ms=from_ms, before=before or None, chat=only
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

    async def file(self, who: Principal, record: SessionRecord, message_id: str) -> tuple[Media, KeptFile]:
        """The file of a message. Refused: ``not_found``."""
        media = rendering.media_of(await self.get(who, record, message_id))
        file = await self._media.find(media) if media is not None else None
        if media is None or file is None:
            raise not_found("a file of this message")
        return media, file

    async def mark_read(self, record: SessionRecord, wanted: MarkRead) -> None:
        """The other side sees the messages as read. Refused: ``invalid``."""
        self._require_here(record.id)
        chat = address(wanted.chat, "chat")
        sender = address(wanted.sender, "sender") if wanted.sender is not None else chat
        async with engine_call(ENGINE_TIMEOUT_S):
            await self._pool.mark_read(record.id, chat, sender, wanted.message_ids)
        async with self._database.write() as connection:
            stored_as = await one_chat.chat_by_number(connection, record.id, chat)
            await chats.mark_read(connection, record.id, stored_as, wanted.message_ids)
        self._touch(record.id)

    async def show_typing(self, record: SessionRecord, wanted: ShowTyping) -> None:
        """Refused: ``invalid``."""
        self._require_here(record.id)
        chat = address(wanted.chat, "chat")
        async with engine_call(ENGINE_TIMEOUT_S):
            await self._pool.typing(record.id, chat, wanted.state)
        self._touch(record.id)


def _given(media: SendMedia | None) -> bytes:
    """What stands for the file in the comparison of two calls with the same key."""
    return (media.data or media.url or "").encode() if media is not None else b""


def _visible_from_ms(who: Principal, record: SessionRecord) -> int:
    """What came for an earlier owner of the session is visible to administrators only."""
    return 0 if who.owner is None else record.owned_from_ms
