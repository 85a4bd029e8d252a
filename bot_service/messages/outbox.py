"""Accepts messages to send: stored before the caller hears of it, once per Idempotency-Key, under an id of ours.

The id is the message's id on WhatsApp too, so that sending it again after a crash is the same message there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.domain.message import OutgoingMessage
from bot_service.domain.session_record import SessionRecord
from bot_service.events.ids import EventIds, reply_message_id
from bot_service.messages.inbound import ReplyTo
from bot_service.messages.rate_limits import Frozen, frozen
from bot_service.store import messages, send_queue
from bot_service.store.database import Database
from bot_service.store.messages import StoredMessage
from shared import logs
from shared.clock import Clock, to_ms

log = logs.get(__name__)

_ENCODER = msgspec.json.Encoder()


class SendRefused(Exception):
    """The message was not accepted, and nothing was stored."""


class SendFrozen(SendRefused):
    """The session may not send now."""

    def __init__(self, frozen: Frozen) -> None:
        super().__init__(frozen.reason.value)
        self.frozen = frozen


class KeyReused(SendRefused):
    """The same Idempotency-Key came with another message."""


class QueueFull(SendRefused):
    """So many messages of this session wait already."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """``repeated``: the same call came before, and this is the message it made."""

    message: StoredMessage
    repeated: bool


def fingerprint(message: OutgoingMessage, content: bytes = b"") -> str:
    """What makes two calls the same; the id does not, ``content`` (the bytes of a file) does."""
    plain = {**msgspec.to_builtins(message), "id": ""}
    if isinstance(plain.get("media"), dict):
        plain["media"] = {key: value for key, value in plain["media"].items() if key not in ("path", "dataBase64")}
    return hashlib.sha256(msgspec.json.encode(plain, order="deterministic") + content).hexdigest()


class Outbox:
    """``record_of(session)`` gives the session as it is now; ``wake(session)`` tells the sender of new work."""

    def __init__(
        self,
        clock: Clock,
        database: Database,
        ids: EventIds,
        *,
        record_of: Callable[[str], SessionRecord | None],
        wake: Callable[[str], None],
        queue_limit: int,
    ) -> None:
        self._clock, self._database, self._ids = clock, database, ids
        self._record_of, self._wake, self._queue_limit = record_of, wake, queue_limit

    async def earlier(self, session: str, key: str, print_: str) -> StoredMessage | None:
        """The message that an earlier call with ``key`` made. Raises :class:`KeyReused`."""
        async with self._database.read() as connection:
            return await self._earlier(connection, session, key, print_)

    async def accept(self, session: str, message: OutgoingMessage, *, key: str | None, print_: str | None) -> Accepted:
        """Queue ``message``. Raises :class:`SendRefused`."""
        async with self._database.write() as connection:
            if key is not None:
                found = await self._earlier(connection, session, key, print_ or "")
                if found is not None:
                    return Accepted(found, True)
            _, known_chat = await messages.chat_history(connection, session, message.to)
            self._refuse_frozen(session, known_chat)
            if await send_queue.depth(connection, session) >= self._queue_limit:
                raise QueueFull(f"{self._queue_limit} messages wait already")
            await self._queue(connection, session, message, key=key, print_=print_)
            stored = await messages.get(connection, session, message.id)
        if stored is None:
            raise RuntimeError("a row that was just written is not there")
        return Accepted(stored, False)

    async def reply(self, connection: AsyncConnection, reply_to: bytes, text: str) -> None:
        """Queue the answer to a message, once per message however often it is asked for, in the caller's transaction."""
        to = msgspec.json.decode(reply_to, type=ReplyTo)
        message = OutgoingMessage(
            id=reply_message_id(to.session, to.chat, to.id), to=to.chat, type="text", text=text[:4096]
        )
        record = self._record_of(to.session)
        if record is None or (to.owner is not None and to.owner != record.owner):
            return  # the session is gone, or belongs to somebody else by now
        if await messages.get(connection, to.session, message.id) is not None:
            return
        if frozen(record, to_ms(self._clock.now()), known_chat=True) is not None:
            log.info("An answer was not sent: the session may not send", event_name="reply.frozen", session=to.session)
            return
        await self._queue(connection, to.session, message, key=None, print_=None)

    async def _earlier(self, connection: AsyncConnection, session: str, key: str, print_: str) -> StoredMessage | None:
        found = await messages.by_idempotency_key(connection, session, key)
        if found is not None and found.fingerprint != print_:
            raise KeyReused("this Idempotency-Key was used for another message")
        return found

    def _refuse_frozen(self, session: str, known_chat: bool) -> None:
        record = self._record_of(session)
        stop = frozen(record, to_ms(self._clock.now()), known_chat=known_chat) if record is not None else None
        if stop is not None:
            raise SendFrozen(stop)

    async def _queue(
        self,
        connection: AsyncConnection,
        session: str,
        message: OutgoingMessage,
        *,
        key: str | None,
        print_: str | None,
    ) -> None:
        any_before, known_chat = await messages.chat_history(connection, session, message.to)
        now_ms = to_ms(self._clock.now())
        body = _ENCODER.encode(message)
        await messages.insert(
            connection,
            [
                {
                    "session": session,
                    "chat": message.to,
                    "message_id": message.id,
                    "direction": "out",
                    "type": message.type,
                    "at_ms": now_ms,
                    "stored_ms": now_ms,
                    "state": "queued",
                    "state_ms": now_ms,
                    "duplicates": 0,
                    "idempotency_key": key,
                    "fingerprint": print_,
                    "body": body,
                }
            ],
        )
        await send_queue.insert(
            connection,
            [
                {
                    "position": self._ids.next(),
                    "session": session,
                    "chat": message.to,
                    "message_id": message.id,
                    "queued_ms": now_ms,
                    "attempts": 0,
                    "next_ms": now_ms,
                    "new_chat": not any_before,
                    "known_chat": known_chat,
                }
            ],
        )
        self._database.after_commit(lambda: self._wake(session))
