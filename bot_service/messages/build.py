"""Builds the parts that receive and send messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot_service.domain.session_record import SessionRecord, Transition
from bot_service.domain.states import LINKED
from bot_service.events.build import Events
from bot_service.messages.asking import Asking
from bot_service.messages.changes import MessageChanges
from bot_service.messages.channels import Channels
from bot_service.messages.commands import MessageCommands
from bot_service.messages.directory import ChatDirectory
from bot_service.messages.inbound import Batch
from bot_service.messages.journal_losses import JournalAlerts
from bot_service.messages.journal_reader import JournalReader
from bot_service.messages.local_media import LocalMedia
from bot_service.messages.media import MediaStore
from bot_service.messages.media_fetch import MediaFetcher
from bot_service.messages.outbox import Outbox
from bot_service.messages.people import People
from bot_service.messages.rate_limits import Rate
from bot_service.messages.sender import Sender, SenderPolicy
from bot_service.sessions.build import Sessions
from bot_service.settings import DAY_MS, BotSettings
from bot_service.store import journal_rows, sent_messages
from bot_service.store.database import Database
from shared.clock import Clock
from shared.tasks import Loop

if TYPE_CHECKING:
    from bot_service.messages.journal_rows import JournalRows
    from bot_service.replicas.lease import ReplicaLease


@dataclass(frozen=True, slots=True)
class Messages:
    """``commands`` are the use cases, ``journal`` receives, ``outbox`` and ``sender`` send.

    ``media`` keeps files. ``rows`` receives too where devices are in PostgreSQL.
    """

    commands: MessageCommands
    changes: MessageChanges
    directory: ChatDirectory
    people: People
    channels: Channels
    journal: JournalReader
    media: MediaStore
    outbox: Outbox
    sender: Sender
    journal_alerts: JournalAlerts
    rows: JournalRows | None

    def loops(self) -> Iterator[Loop]:
        """The background loops by name."""
        yield "journal", self.journal.run
        yield "journal-alerts", self.journal_alerts.run
        yield "sends", self.sender.run
        yield from self.media.loops()
        if self.rows is not None:
            yield "journal-rows", self.rows.run


def build_media(settings: BotSettings, clock: Clock, database: Database) -> MediaStore:
    """Replicas share the files of messages; without replicas they are in DATA_DIR."""
    if settings.replica_url is None:
        return MediaStore(LocalMedia(settings.data_dir / "media"), limit_bytes=settings.media_max_bytes)
    from bot_service.messages.shared_media import SharedMedia  # most services never need it

    objects = None
    if settings.media_url is not None:
        from bot_service.messages.object_store import S3Objects

        objects = S3Objects(settings.media_url.reveal())
    keeps_ms = settings.message_retention_ms + settings.send_expire_ms + DAY_MS
    shared = SharedMedia(database, clock, settings.data_dir, keeps_ms=keeps_ms, objects=objects)
    return MediaStore(shared, limit_bytes=settings.media_max_bytes)


def build(
    settings: BotSettings,
    clock: Clock,
    database: Database,
    sessions: Sessions,
    events: Events,
    media: MediaStore,
    *,
    ended: Callable[[str], None],
    lease: ReplicaLease | None = None,
) -> Messages:
    """``ended`` gets the final state, ``sent`` or ``failed``, of each message to send.

    ``lease``: that of this replica, when what arrives is journaled in PostgreSQL.
    """
    shared = settings.replica_url is not None
    registry, pool, activity = sessions.registry, sessions.pool, sessions.supervisor.activity
    sender = Sender(
        clock,
        database,
        events.publisher,
        pool,
        SenderPolicy(
            all_messages=Rate(settings.send_per_minute / 60, settings.send_burst),
            new_chats=Rate(settings.send_new_chats_per_hour / 3600, settings.send_new_chats_burst),
            expire_ms=settings.send_expire_ms,
        ),
        record_of=registry.get,
        on_sent=activity.sent,
        runs_here=sessions.lanes.owns,
        shared=shared,
        with_file=media.sendable,
    )
    outbox = Outbox(
        clock,
        database,
        events.ids,
        record_of=registry.get,
        wake=sender.wake,
        queue_limit=settings.send_queue_limit,
        shared=shared,
        elsewhere=lambda session: session in registry and not sessions.lanes.owns(session),
    )
    journal = JournalReader(
        settings.data_dir / "journal",
        clock,
        database,
        events.publisher,
        in_use=pool.journals_in_use,
        session_of=registry.get,
    )

    rows = _journal_rows(settings, clock, database, sessions, events, journal, lease) if lease is not None else None

    def committed(batch: Batch) -> None:
        for message in batch.messages:
            activity.inbound(message.session, sent_ms=message.at_ms)
        for call in batch.calls:
            activity.touch(call.session)
        for receipt in batch.receipts:
            activity.receipt(receipt.session)
        for session in batch.probed:
            activity.probe_arrived(session)

    def changed(record: SessionRecord, _change: Transition) -> None:
        if record.state in LINKED:
            sender.session_changed(record.id)

    sessions.store.delete_sinks += [journal_rows.forget_session, sent_messages.forget_session]
    sender.ended.subscribe(lambda _session, _message_id, state: ended(state))
    journal_alerts = JournalAlerts(clock, events.service_alerts)
    journal.lost.subscribe(journal_alerts.add)
    journal.committed.subscribe(committed)
    pool.journals.subscribe(journal.notice)
    sessions.supervisor.transitioned.subscribe(changed)
    events.session_events.deleted.subscribe(sender.forget)
    fetcher = MediaFetcher(allow_private=settings.webhook_allow_private, limit_bytes=settings.media_max_bytes)
    now_ms, touch = sessions.supervisor.now_ms, activity.touch
    require_here = sessions.commands.require_here
    commands = MessageCommands(
        database, outbox, media, fetcher, pool, now_ms=now_ms, touch=touch, require_here=require_here
    )
    sender.ended.subscribe(commands.ended)
    changes = MessageChanges(outbox, media, now_ms=now_ms, touch=touch)
    asking = Asking(pool, touch=touch, require_here=require_here)
    directory, people, channels = ChatDirectory(asking), People(asking, now_ms=now_ms), Channels(asking)
    return Messages(
        commands, changes, directory, people, channels, journal, media, outbox, sender, journal_alerts, rows
    )


def _journal_rows(
    settings: BotSettings,
    clock: Clock,
    database: Database,
    sessions: Sessions,
    events: Events,
    journal: JournalReader,
    lease: ReplicaLease,
) -> JournalRows:
    from bot_service.messages.journal_rows import JournalRows  # only with replicas

    rows = JournalRows(
        settings.data_dir / "journal",
        clock,
        database,
        events.publisher,
        fence=lease.fence,
        is_own=lambda session: lease.owns(session) and sessions.registry.runs_here(session),
        session_of=sessions.registry.get,
        committed=journal.committed,
        lost=journal.lost,
    )
    sessions.pool.journal_rows.subscribe(rows.wake)
    return rows
