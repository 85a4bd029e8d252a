"""Imports an exported pairing: files and rows first, one commit, and only then the first login."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from bot_service.access.names import check_name
from bot_service.access.principals import Principal
from bot_service.domain.inputs import Owner, SessionId
from bot_service.domain.message import without_place
from bot_service.domain.ports import CommandPool
from bot_service.domain.reasons import Reason
from bot_service.domain.refused import Refused, invalid
from bot_service.domain.session_record import Command, CommandKind, SessionRecord
from bot_service.domain.session_rules import refusal
from bot_service.engines import session_files
from bot_service.engines.session_files import Placement, UnfitFiles
from bot_service.events.ids import EventIds
from bot_service.events.subscriptions import Subscriptions
from bot_service.messages.media import MediaStore
from bot_service.messages.sender import Sender
from bot_service.sessions import proxies
from bot_service.sessions.commands import SessionCommands
from bot_service.sessions.registry import SessionRegistry
from bot_service.sessions.supervisor import Creation, Supervisor
from bot_service.store import deliveries, transfers
from bot_service.store.database import Database
from bot_service.store.deliveries import Webhook
from bot_service.store.messages import NewMessage
from bot_service.store.send_queue import QueueEntry
from bot_service.store.sessions import SessionStore
from bot_service.transfers import content, sealed
from bot_service.transfers.content import DEVICES_ARE_SHARED, CarriedMessage, Pairing
from bot_service.webhooks.commands import WebhookCommands
from shared import logs
from shared.tasks import spawn

log = logs.get(__name__)

# A file that was not imported soon may have been imported elsewhere before: its Signal sessions may be old.
FRESH_MS = 3_600_000
_ENCODER = msgspec.json.Encoder()


class ImportSession(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """``file`` is the exported file in base64, ``id`` and ``owner`` replace those in it. ``start`` connects at
    once; without ``webhooks`` those of the session are left out."""

    file: bytes
    passphrase: Annotated[str, Meta(min_length=1, max_length=sealed.LONGEST)]
    id: SessionId | None = None
    owner: Owner | None = None
    start: bool = True
    webhooks: bool = True


class Imports:
    def __init__(
        self,
        commands: SessionCommands,
        supervisor: Supervisor,
        registry: SessionRegistry,
        store: SessionStore,
        pool: CommandPool,
        sender: Sender,
        database: Database,
        media: MediaStore,
        ids: EventIds,
        subscriptions: Subscriptions,
        webhooks: WebhookCommands,
        *,
        engine: str,
        data_dir: Path,
        shares_devices: bool = False,
    ) -> None:
        self._commands, self._supervisor, self._registry = commands, supervisor, registry
        self._store, self._pool, self._sender, self._database = store, pool, sender, database
        self._media, self._ids, self._subscriptions, self._webhooks = media, ids, subscriptions, webhooks
        self._engine, self._data_dir = engine, data_dir
        self._shares_devices = shares_devices
        self._arriving: set[str] = set()

    def clean_up(self) -> None:
        """After the sessions are known, before one starts: deletes what an import that was killed left."""
        for session in session_files.left_by_kills(self._data_dir):
            if session not in self._registry:
                session_files.remove(self._engine, self._data_dir, session)
                log.info("Files of an import that was not finished are deleted", event_name="session.import_undone")
        session_files.remove_left_folders(self._data_dir)

    async def run(self, who: Principal, wanted: ImportSession) -> SessionRecord:
        """A session with the pairing of the file, stored, and started unless ``start`` is false.

        Refused, and nothing changed: ``invalid`` with the field (``file``, ``passphrase``, ``webhooks``,
        ``proxy``), ``forbidden``, ``exists`` for the id, ``already_paired`` when this service has the pairing.
        """
        who.require_owner(wanted.owner, "imports sessions for another owner")
        if self._shares_devices:
            raise Refused("files_unusable", DEVICES_ARE_SHARED)
        raw = await asyncio.to_thread(sealed.unseal, wanted.file, wanted.passphrase)
        pairing = await asyncio.to_thread(content.decode, raw)
        if pairing.engine != self._engine:
            raise invalid("file", f"holds a session of the engine {pairing.engine}; this service runs {self._engine}")
        # Its end must not depend on who waits for it: a commit without a start would be half of it.
        return await asyncio.shield(spawn(self._admit(who, wanted, pairing), name="session.import"))

    async def _admit(self, who: Principal, wanted: ImportSession, pairing: Pairing) -> SessionRecord:
        with self._only_one(pairing.jid):
            record = self._record(who, wanted, pairing)
            webhooks = self._carried_webhooks(record, pairing) if wanted.webhooks else []
            with self._commands.reserved(record.id, record.owner):
                if not await self._commands.claim(record.id):
                    raise Refused("exists", "a session with this id was made a moment ago", field="id")
                await self._pool.forget_left_files(record.id)
                return await self._store_and_start(record, wanted, pairing, webhooks)

    def _record(self, who: Principal, wanted: ImportSession, pairing: Pairing) -> SessionRecord:
        owner = wanted.owner or who.owner or pairing.owner
        check_name(pairing.name, "name")
        try:
            session = self._commands.new_id(who, owner, wanted.id or pairing.session)
        except Refused as refused:
            raise Refused(refused.code, refused.detail, field="id") from None
        now_ms = self._supervisor.now_ms()
        return SessionRecord(
            id=session, owner=owner, name=pairing.name, metadata=pairing.metadata,
            proxy=proxies.read(who, pairing.proxy),
            created_ms=now_ms, since_ms=now_ms, active_ms=now_ms, aged_from_ms=now_ms,
            creation=secrets.token_hex(4), reason=Reason.IMPORTED.value, jid=pairing.jid, lid=pairing.lid,
            push_name=pairing.push_name, banned_until_ms=pairing.banned_until_ms, ban_tries=pairing.ban_tries,
            timelocked_until_ms=pairing.timelocked_until_ms,
        )  # fmt: skip

    @contextmanager
    def _only_one(self, jid: str) -> Iterator[None]:
        """No session of this service has this number with this device, and no other import brings it."""
        for record in self._registry:
            if record.jid == jid:
                todo = "take it back there" if record.exported_ms is not None else "it must not run twice"
                detail = (
                    f"the session {record.id} of this service has this pairing (the same number and device): {todo}"
                )
                raise Refused("already_paired", detail, field="file")
        if jid in self._arriving:
            raise Refused("already_paired", "this pairing is imported by another request now", field="file")
        self._arriving.add(jid)
        try:
            yield
        finally:
            self._arriving.discard(jid)

    def _carried_webhooks(self, record: SessionRecord, pairing: Pairing) -> list[Webhook]:
        now_ms, found = self._supervisor.now_ms(), []
        for each in pairing.webhooks:
            try:
                self._webhooks.check(each.url, each.events)
            except Refused as refused:
                detail = f"{each.url}: {refused.detail}; or import without webhooks"
                raise Refused(refused.code, detail, field="webhooks") from None
            found.append(
                Webhook(
                    f"wh-{secrets.token_hex(8)}", record.owner, record.id, each.url, each.secret, each.events,
                    each.active, now_ms, now_ms, each.dialect, each.options,
                )
            )  # fmt: skip
        return found

    async def _store_and_start(
        self, record: SessionRecord, wanted: ImportSession, pairing: Pairing, webhooks: list[Webhook]
    ) -> SessionRecord:
        starts = wanted.start and refusal(record, CommandKind.START, self._supervisor.now_ms()) is None
        creation = self._supervisor.begin(record, Command(CommandKind.START, Reason.IMPORTED) if starts else None)
        age_ms = abs(self._supervisor.now_ms() - pairing.exported_ms)
        try:
            placement = Placement(self._engine, self._data_dir, record.id, pairing.files, forget=age_ms > FRESH_MS)
            await asyncio.to_thread(placement.put)
        except UnfitFiles as error:
            raise invalid("file", str(error)) from None
        except OSError as error:
            raise Refused("no_space", f"the device store cannot be written: {error.strerror}") from None
        try:
            await self._commit(creation, pairing, webhooks)
        except BaseException:
            await asyncio.to_thread(placement.undo)
            await self._media.forget_session(record.id)
            raise
        self._supervisor.admit(creation)
        for webhook in webhooks:
            self._subscriptions.put(webhook)
        self._sender.wake(record.id)
        await asyncio.to_thread(placement.close)
        log.info("A session was imported", event_name="session.imported", session=record.id)
        return creation.after

    async def _commit(self, creation: Creation, pairing: Pairing, webhooks: list[Webhook]) -> None:
        record = creation.after
        queued = [await self._queued(record, each) for each in pairing.waiting]
        async with self._database.write() as connection:
            await self._store.insert(connection, record, creation.change)
            for webhook in webhooks:
                await deliveries.save_webhook(connection, webhook)
            await transfers.insert(connection, record.id, pairing.lids, queued)

    async def _queued(self, record: SessionRecord, carried: CarriedMessage) -> tuple[NewMessage, QueueEntry]:
        now_ms, message = self._supervisor.now_ms(), carried.message
        if message.media is not None:
            media = without_place(message.media)
            if carried.file is not None:
                media = await self._media.from_bytes(record.id, message.id, media, carried.file)
            message = msgspec.structs.replace(message, media=media)
        row = NewMessage(
            session=record.id, chat=carried.chat, message_id=message.id, direction="out", type=message.type,
            at_ms=carried.at_ms, stored_ms=now_ms, state="queued", state_ms=now_ms, body=_ENCODER.encode(message),
            idempotency_key=carried.idempotency_key, fingerprint=carried.fingerprint, from_me=True,
        )  # fmt: skip
        entry = QueueEntry(
            position=self._ids.next(), session=record.id, chat=carried.chat, message_id=message.id, queued_ms=now_ms,
            attempts=0, next_ms=now_ms, new_chat=False, known_chat=carried.known_chat,
        )  # fmt: skip
        return row, entry
