"""Accepts messages to send: stored before the call returns, once per Idempotency-Key.

A message has the same id here and on WhatsApp, so a retry after a crash is the same message there.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.domain.message import OutgoingMessage
from bot_service.domain.refused import Refused, not_found
from bot_service.domain.session_record import SessionRecord
from bot_service.events.ids import EventIds, reply_message_id
from bot_service.messages.inbound import ReplyTo
from bot_service.messages.rate_limits import FROZEN, frozen
from bot_service.messages.rendering import PLACES
from bot_service.store import leases, messages, send_queue
from bot_service.store.database import Database
from bot_service.store.errors import is_unfit
from bot_service.store.grouped import Grouped
from bot_service.store.messages import StoredMessage
from bot_service.store.send_queue import QueuedMessage, Standing
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


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One call of :meth:`Outbox.accept`."""

    session: str
    message: OutgoingMessage
    key: str | None
    digest: str | None
    creation: str | None


@dataclass(slots=True)
class _Group:
    """What one transaction queues: later calls of a group see the earlier ones."""

    rows: list[StoredMessage] = field(default_factory=list)
    entries: list[QueuedMessage] = field(default_factory=list)
    met: set[tuple[str, str]] = field(default_factory=set)
    waiting: Counter[str] = field(default_factory=Counter)
    by_key: dict[tuple[str, str], StoredMessage] = field(default_factory=dict)
    elsewhere: dict[str, SessionRecord] = field(default_factory=dict)


def fingerprint(message: OutgoingMessage, content: bytes = b"") -> str:
    """A hash that equal calls share: of everything but the id, with ``content``, a file's bytes."""
    plain = {**msgspec.to_builtins(message), "id": ""}
    if isinstance(plain.get("media"), dict):
        plain["media"] = {name: value for name, value in plain["media"].items() if name not in PLACES}
    return hashlib.sha256(msgspec.json.encode(plain, order="deterministic") + content).hexdigest()


class Outbox:
    """``record_of(session)`` is the session as it is now; ``wake(session, message)`` gives it to the sender.

    Messages that arrive during a transaction share the next one (decision 0136). ``elsewhere(session)``: another
    replica sends it, or none does at the moment.
    """

    def __init__(
        self,
        clock: Clock,
        database: Database,
        ids: EventIds,
        *,
        record_of: Callable[[str], SessionRecord | None],
        wake: Callable[[str, QueuedMessage], None],
        queue_limit: int,
        shared: bool = False,
        elsewhere: Callable[[str], bool] = lambda _session: False,
    ) -> None:
        self._shared, self._elsewhere = shared, elsewhere
        self._clock, self._database, self._ids = clock, database, ids
        self._record_of, self._wake, self._queue_limit = record_of, wake, queue_limit
        self._grouped = Grouped("outbox.accept", self._accept_all)

    async def earlier(self, session: str, key: str, digest: str) -> StoredMessage | None:
        """The message of an earlier call with ``key``. Refused: ``idempotency_key_reused``."""
        async with self._database.read() as connection:
            return await self._earlier(connection, session, key, digest, self._record_of(session))

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
        return await self._grouped.ask(_Wanted(session, message, key, digest, creation))

    async def _accept_all(self, wanted: Sequence[_Wanted]) -> Sequence[Accepted | Exception]:
        try:
            return await self._transaction(wanted)
        except (SQLAlchemyError, OverflowError) as error:
            taken = isinstance(error, IntegrityError)
            if len(wanted) > 1 and (taken or is_unfit(error)):
                # The values of one must not refuse the others.
                return [await self._alone(each) for each in wanted]
            if not taken or wanted[0].key is None:
                raise
            # PostgreSQL: a call in another transaction used this key first. Now its message is found.
            return await self._transaction(wanted)

    async def _alone(self, wanted: _Wanted) -> Accepted | Exception:
        try:
            [answer] = await self._accept_all([wanted])
        except (SQLAlchemyError, OverflowError) as error:
            return error
        return answer

    async def _transaction(self, wanted: Sequence[_Wanted]) -> list[Accepted | Exception]:
        async with self._database.write() as connection:
            found = await send_queue.standings(
                connection, [(each.session, each.message.to, each.key) for each in wanted]
            )
            group = _Group()
            if self._shared:
                # In the order in which callers asked one replica after another, whatever their clocks say.
                self._ids.follow(await send_queue.newest(connection))
            answers: list[Accepted | Exception] = []
            for each, standing in zip(wanted, found, strict=True):
                try:
                    answers.append(await self._one(connection, group, each, standing))
                except Refused as refused:
                    answers.append(refused)
            await self._store(connection, group)
        return answers

    async def _one(self, connection: AsyncConnection, group: _Group, wanted: _Wanted, standing: Standing) -> Accepted:
        session, message, key = wanted.session, wanted.message, wanted.key
        record = await self._record(connection, group, session)
        if wanted.creation is not None and (record is None or record.creation != wanted.creation):
            raise not_found("this session")  # deleted since the request began
        if key is not None:
            earlier = group.by_key.get((session, key))
            if earlier is None and standing.earlier is not None:
                earlier = await self._earlier(connection, session, key, wanted.digest or "", record)
                if earlier is None and record is not None:  # an earlier owner may have used it
                    await messages.release_key(connection, session, key, record.owned_from_ms)
            if earlier is not None:
                return Accepted(_same(earlier, wanted.digest or ""), True)
        self._refuse_frozen(record, known_chat=standing.wrote)
        if standing.waiting + group.waiting[session] >= self._queue_limit:
            raise Refused("queue_full", f"{self._queue_limit} messages wait already")
        return Accepted(self._queue(group, session, message, standing, key=key, digest=wanted.digest), False)

    async def _record(self, connection: AsyncConnection, group: _Group, session: str) -> SessionRecord | None:
        if not self._elsewhere(session):
            return self._record_of(session)
        if session not in group.elsewhere:
            record = await leases.kept(connection, session)
            if record is None:
                raise not_found("this session")
            group.elsewhere[session] = record
        return group.elsewhere[session]

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
        group = _Group()
        [standing] = await send_queue.standings(connection, [(to.session, to.chat, None)])
        self._queue(group, to.session, message, standing)
        await self._store(connection, group)

    async def _earlier(
        self, connection: AsyncConnection, session: str, key: str, digest: str, record: SessionRecord | None
    ) -> StoredMessage | None:
        found = await messages.by_idempotency_key(connection, session, key)
        if found is not None and record is not None and found.stored_ms < record.owned_from_ms:
            return None
        return None if found is None else _same(found, digest)

    def _refuse_frozen(self, record: SessionRecord | None, *, known_chat: bool) -> None:
        freeze = frozen(record, to_ms(self._clock.now()), known_chat=known_chat) if record is not None else None
        if record is not None and freeze is not None:
            until = iso(from_ms(freeze.until_ms)) if freeze.until_ms is not None else None
            reason, state = freeze.reason.value, record.state.value
            raise Refused("sending_frozen", FROZEN[freeze.reason], reason=reason, until=until, state=state)

    def _queue(
        self,
        group: _Group,
        session: str,
        message: OutgoingMessage,
        standing: Standing,
        *,
        key: str | None = None,
        digest: str | None = None,
    ) -> StoredMessage:
        now_ms, chat = to_ms(self._clock.now()), (session, message.to)
        row = StoredMessage(
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
        entry = QueuedMessage(
            position=self._ids.next(),
            session=session,
            chat=message.to,
            message_id=message.id,
            queued_ms=now_ms,
            attempts=0,
            next_ms=now_ms,
            new_chat=not standing.met and chat not in group.met,
            known_chat=standing.wrote,
            body=row.body,
        )
        group.rows.append(row)
        group.entries.append(entry)
        group.met.add(chat)
        group.waiting[session] += 1
        if key is not None:
            group.by_key[session, key] = row
        return row

    async def _store(self, connection: AsyncConnection, group: _Group) -> None:
        await messages.insert(connection, group.rows)
        await send_queue.insert(connection, group.entries)
        if any(self._elsewhere(entry.session) for entry in group.entries):
            await send_queue.notify(connection)
        for entry in group.entries:
            self._database.after_commit(partial(self._wake, entry.session, entry))


def _same(found: StoredMessage, digest: str) -> StoredMessage:
    """The message that an earlier call with this key made. Refused: ``idempotency_key_reused``."""
    if found.fingerprint != digest:
        raise Refused("idempotency_key_reused", "this Idempotency-Key was used for another message")
    return found
