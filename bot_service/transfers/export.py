"""Exports the pairing of a session: fenced first, then read, so that it never runs twice."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import defaultdict
from pathlib import Path

import msgspec

from bot_service.domain.message import OutgoingMessage, without_place
from bot_service.domain.ports import CommandPool
from bot_service.domain.refused import Refused, RunsElsewhere, not_found
from bot_service.domain.session_ids import shown
from bot_service.domain.session_record import Command, CommandKind, SessionRecord
from bot_service.domain.session_rules import refusal
from bot_service.engines import session_files
from bot_service.events.subscriptions import Subscriptions
from bot_service.messages.media import MediaStore
from bot_service.messages.sender import Sender
from bot_service.sessions.commands import ENGINE_TIMEOUT_S, engine_call
from bot_service.sessions.registry import SessionRegistry
from bot_service.sessions.supervisor import Supervisor
from bot_service.store import transfers
from bot_service.store.database import Database
from bot_service.store.messages import StoredMessage
from bot_service.store.sessions import SessionStore
from bot_service.transfers import content, sealed
from bot_service.transfers.content import DEVICES_ARE_SHARED, CarriedMessage, CarriedWebhook, Pairing
from shared import logs
from shared.version import VERSION

log = logs.get(__name__)

# With base64 it still fits into the body of the request that imports it.
LONGEST_FILE = 23 * 1024 * 1024
_DECODER = msgspec.json.Decoder(OutgoingMessage)


class Exports:
    """Every method raises :class:`Refused`, and :class:`EngineError` while the client may still run."""

    def __init__(
        self,
        supervisor: Supervisor,
        registry: SessionRegistry,
        store: SessionStore,
        pool: CommandPool,
        sender: Sender,
        database: Database,
        media: MediaStore,
        subscriptions: Subscriptions,
        *,
        engine: str,
        data_dir: Path,
        shares_devices: bool = False,
    ) -> None:
        self._supervisor, self._registry, self._store, self._pool = supervisor, registry, store, pool
        self._sender, self._database, self._media, self._subscriptions = sender, database, media, subscriptions
        self._engine, self._data_dir = engine, data_dir
        self._shares_devices = shares_devices
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def export(self, session: str, passphrase: str) -> bytes:
        """The file of a pairing, for :meth:`Imports.run` of another service. The session is fenced from now on.

        Once more for a session that is exported: the same content, in case the file did not arrive.
        Refused: ``invalid``, ``not_paired``, ``too_large`` (nothing has changed then).
        """
        sealed.check_passphrase(passphrase)
        if self._shares_devices:
            raise Refused("files_unusable", DEVICES_ARE_SHARED)
        async with self._turns[session]:
            self._allowed(session, CommandKind.EXPORT)
            await self._refuse_large(session)
            self._supervisor.apply(session, Command(CommandKind.EXPORT))
            # Before the client stops: killed in between, the next start stops it and starts no other.
            await self._store.flush()
            await self._supervisor.settle(session, ENGINE_TIMEOUT_S)
            async with engine_call():
                await self._pool.end_client(session)
            await self._sender.rest(session)
            pairing = await self._pairing(self._known(session))
            file = await asyncio.to_thread(lambda: sealed.seal(content.encode(pairing), passphrase))
        if len(file) > LONGEST_FILE:
            raise Refused("too_large", f"the file would have {len(file)} bytes, more than {LONGEST_FILE}")
        log.info("A session was exported", event_name="session.exported", session=session, bytes=len(file))
        return file

    async def take_back(self, session: str) -> SessionRecord:
        """A person says that no other service uses the pairing: the session may be started again.

        What was sent elsewhere moved Signal sessions on, so they are forgotten. Refused: ``not_exported``.
        """
        async with self._turns[session]:
            self._allowed(session, CommandKind.TAKE_BACK)
            async with engine_call():
                await self._pool.end_client(session)
            try:
                await asyncio.to_thread(session_files.forget_signal_sessions, self._engine, self._data_dir, session)
            except (OSError, sqlite3.Error) as error:
                raise Refused("files_unusable", f"the device store cannot be changed: {error}") from error
            self._supervisor.apply(session, Command(CommandKind.TAKE_BACK))
            await self._store.flush()
        return self._known(session)

    async def _refuse_large(self, session: str) -> None:
        async with self._database.read() as connection:
            found = await transfers.waiting(connection, session, self._known(session).exported_ms or 0)
        media = [_DECODER.decode(row.body).media for row in found]
        waiting = sum(each.size or 0 for each in media if each is not None)
        if waiting > LONGEST_FILE // 2:
            raise Refused(
                "too_large", f"files of {waiting} bytes wait to be sent: export the session when they are gone"
            )

    async def _pairing(self, record: SessionRecord) -> Pairing:
        try:
            files = await asyncio.to_thread(session_files.read, self._engine, self._data_dir, record.id)
        except (OSError, sqlite3.Error) as error:
            raise Refused("files_unusable", f"the device store cannot be read: {error}") from error
        if record.exported_ms is None or record.jid is None:
            raise Refused("not_paired", "the phone was unlinked while the session was exported")
        async with self._database.write() as connection:
            waiting = await transfers.waiting(connection, record.id, record.exported_ms)
            await transfers.give_up(connection, record.id, self._supervisor.now_ms())
            known = await transfers.known_chats(connection, record.id)
            pairs = await transfers.lids_of(connection, record.id)
        self._sender.session_changed(record.id)
        return Pairing(
            veilleur=VERSION,
            engine=self._engine,
            exported_ms=record.exported_ms,
            session=shown(record.id),
            name=record.name,
            owner=record.owner,
            metadata=record.metadata,
            proxy=record.proxy.url if record.proxy is not None else None,
            jid=record.jid,
            lid=record.lid,
            push_name=record.push_name,
            banned_until_ms=record.banned_until_ms,
            ban_tries=record.ban_tries,
            timelocked_until_ms=record.timelocked_until_ms,
            files=files,
            lids=pairs,
            webhooks=[
                CarriedWebhook(each.url, each.secret, each.events, each.active, each.dialect, each.options)
                for each in self._subscriptions.all()
                if each.session == record.id
            ],
            waiting=[await self._carried(row, known_chat=row.chat in known) for row in waiting],
        )

    async def _carried(self, row: StoredMessage, *, known_chat: bool) -> CarriedMessage:
        message = _DECODER.decode(row.body)
        file = await self._file(message)
        if message.media is not None:
            message = msgspec.structs.replace(message, media=without_place(message.media))
        return CarriedMessage(message, row.chat, row.at_ms, known_chat, row.idempotency_key, row.fingerprint, file)

    async def _file(self, message: OutgoingMessage) -> bytes | None:
        return await self._media.content(message.media) if message.media is not None else None

    def _allowed(self, session: str, kind: CommandKind) -> None:
        record = self._known(session)
        refused = refusal(record, kind, self._supervisor.now_ms())
        if refused is not None:
            raise Refused(refused.code, refused.detail, state=record.state.value)

    def _known(self, session: str) -> SessionRecord:
        record = self._registry.get(session)
        if record is None:
            raise not_found("this session")
        if not self._supervisor.supervises(session):
            raise RunsElsewhere(session)
        return record
