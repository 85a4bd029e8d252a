"""Accepts messages to send: stored before the call returns, once per Idempotency-Key.

A message has the same id here and on WhatsApp, so a retry after a crash is the same message there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import msgspec
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.domain.message import OutgoingMessage
from bot_service.domain.refused import Refused, not_found
from bot_service.domain.session_record import SessionRecord
from bot_service.events.ids import EventIds, reply_message_id
from bot_service.messages.inbound import ReplyTo
from bot_service.messages.rate_limits import FROZEN, frozen
from bot_service.sessions.commands import anywhere
from bot_service.store import messages, send_queue
from bot_service.store.database import Database
from bot_service.store.messages import NewMessage, StoredMessage
from bot_service.store.send_queue import QueueEntry
from shared import logs
from shared.clock import Clock, from_ms, iso, to_ms

log = logs.get(__name__)

_ENCODER = msgspec.json.Encoder()
LONGEST_TEXT = 65_536


@dataclass(frozen=True, slots=True)
class Accepted:
    """``repeated``: an earlier call with the same key made this message."""

    message: StoredMessage
    repeated: bool


def fingerprint(message: OutgoingMessage, content: bytes = b"") -> str:
    """A hash that equal calls share: of everything but the id, with ``content``, a file's bytes."""
    plain = {**msgspec.to_builtins(message), "id": ""}
    if isinstance(plain.get("media"), dict):
        plain["media"] = {key: value for key, value in plain["media"].items() if key not in ("path", "dataBase64")}
    return hashlib.sha256(msgspec.json.encode(plain, order="deterministic") + content).hexdigest()


class Outbox:
    """``record_of(session)`` is the session as it is now; ``wake(session)`` starts the sender."""

    def __init__(
        self,
        clock: Clock,
        database: Database,
        ids: EventIds,
        *,
        record_of: Callable[[str], SessionRecord | None],
        wake: Callable[[str], None],
        queue_limit: int,
        require_here: Callable[[str], None] = anywhere,
    ) -> None:
        self._require_here = require_here
        self._clock, self._database, self._ids = clock, database, ids
        self._record_of, self._wake, self._queue_limit = record_of, wake, queue_limit

    async def earlier(self, session: str, key: str, digest: str) -> StoredMessage | None:
        """The message of an earlier call with ``key``. Refused: ``idempotency_key_reused``."""
        async with self._database.read() as connection:
            return await self._earlier(connection, session, key, digest)

    async def accept(
        self,
        session: str,
        message: OutgoingMessage,
        *,
        key: str | None,
        digest: str | None,
        creation: str | None = None,
    ) -> Accepted:
        """Queue ``message``; with ``creation`` only while the session is that one.

        Refused, and nothing stored: ``not_found``, ``sending_frozen``, ``idempotency_key_reused``, ``queue_full``.
        """
        try:
            return await self._accept(session, message, key, digest, creation)
        except IntegrityError:
            if key is None:
                raise
            # PostgreSQL: another call with this key committed first. Now its message is found.
            return await self._accept(session, message, key, digest, creation)

    async def _accept(
        self, session: str, message: OutgoingMessage, key: str | None, digest: str | None, creation: str | None
    ) -> Accepted:
        self._require_here(session)
        async with self._database.write() as connection:
            record = self._record_of(session)
            if creation is not None and (record is None or record.creation != creation):
                raise not_found("this session")  # deleted since the request began
            if key is not None:
                found = await self._earlier(connection, session, key, digest or "")
                if found is not None:
                    return Accepted(found, True)
                if record is not None:  # an earlier owner may have used it
                    await messages.release_key(connection, session, key, record.owned_from_ms)
            history = await messages.chat_history(connection, session, message.to)
            self._refuse_frozen(session, known_chat=history[1])
            if await send_queue.depth(connection, session) >= self._queue_limit:
                raise Refused("queue_full", f"{self._queue_limit} messages wait already")
            await self._queue(connection, session, message, history, key=key, digest=digest)
            stored = await messages.get(connection, session, message.id)
        if stored is None:
            raise RuntimeError("a row that was just written is not there")
        return Accepted(stored, False)

    async def reply(self, connection: AsyncConnection, reply_to: bytes, text: str) -> None:
        """Queue the reply to a message in the caller's transaction, at most once per message."""
        to = msgspec.json.decode(reply_to, type=ReplyTo)
        message = OutgoingMessage(
            id=reply_message_id(to.session, to.chat, to.id), to=to.chat, type="text", text=text[:LONGEST_TEXT]
        )
        record = self._record_of(to.session)
        if record is None or to.creation != record.creation or (to.owner is not None and to.owner != record.owner):
            return  # the session was deleted, was made again, or has another owner by now
        if await messages.get(connection, to.session, message.id) is not None:
            return
        if frozen(record, to_ms(self._clock.now()), known_chat=True) is not None:
            log.warning(
                "An answer was not sent: the session may not send", event_name="reply.frozen", session=to.session
            )
            return
        history = await messages.chat_history(connection, to.session, to.chat)
        await self._queue(connection, to.session, message, history)

    async def _earlier(self, connection: AsyncConnection, session: str, key: str, digest: str) -> StoredMessage | None:
        found = await messages.by_idempotency_key(connection, session, key)
        record = self._record_of(session)
        if found is not None and record is not None and found.stored_ms < record.owned_from_ms:
            return None
        if found is not None and found.fingerprint != digest:
            raise Refused("idempotency_key_reused", "this Idempotency-Key was used for another message")
        return found

    def _refuse_frozen(self, session: str, *, known_chat: bool) -> None:
        record = self._record_of(session)
        freeze = frozen(record, to_ms(self._clock.now()), known_chat=known_chat) if record is not None else None
        if record is not None and freeze is not None:
            until = iso(from_ms(freeze.until_ms)) if freeze.until_ms is not None else None
            reason, state = freeze.reason.value, record.state.value
            raise Refused("sending_frozen", FROZEN[freeze.reason], reason=reason, until=until, state=state)

    async def _queue(
        self,
        connection: AsyncConnection,
        session: str,
        message: OutgoingMessage,
        history: tuple[bool, bool],
        *,
        key: str | None = None,
        digest: str | None = None,
    ) -> None:
        now_ms = to_ms(self._clock.now())
        row = NewMessage(
            session=session,
            chat=message.to,
            message_id=message.id,
            direction="out",
            type=message.type,
            at_ms=now_ms,
            stored_ms=now_ms,
            state="queued",
            state_ms=now_ms,
            idempotency_key=key,
            fingerprint=digest,
            body=_ENCODER.encode(message),
            from_me=True,
        )
        await messages.insert(connection, [row])
        entry = QueueEntry(
            position=self._ids.next(),
            session=session,
            chat=message.to,
            message_id=message.id,
            queued_ms=now_ms,
            attempts=0,
            next_ms=now_ms,
            new_chat=not history[0],
            known_chat=history[1],
        )
        await send_queue.insert(connection, entry)
        self._database.after_commit(partial(self._wake, session))
