"""Builds the roads of messages, the second half of ``app.py``: in dependency order, taken down in the reverse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from bot_service import keys
from bot_service.access.keyring import KeyRing
from bot_service.domain.message import InboundMessage
from bot_service.domain.session_record import SessionRecord, Signal, Transition
from bot_service.domain.signals import SignalKind
from bot_service.domain.states import LINKED, State
from bot_service.events.ids import EventIds
from bot_service.events.publisher import EventPublisher
from bot_service.events.service_alerts import ServiceAlerts, WatchdogSilence, targets
from bot_service.events.session_events import SessionEvents
from bot_service.events.stream import EventStream
from bot_service.events.subscriptions import Subscriptions, Target
from bot_service.messages.handlers import InboundHandlers
from bot_service.messages.inbound import Batch
from bot_service.messages.journal_reader import JournalReader
from bot_service.messages.media import MediaStore
from bot_service.messages.outbox import Outbox
from bot_service.messages.rate_limits import Rate, SendPolicy
from bot_service.messages.sender import Sender, SenderPolicy
from bot_service.operations.metrics import AgesOfSessions, QueueWatch
from bot_service.operations.retention import Retention, RetentionPolicy
from bot_service.operations.watchdog_reports import WatchdogReports
from bot_service.settings import BotSettings
from bot_service.store import deliveries, events, send_queue
from bot_service.webhooks import addresses, call
from bot_service.webhooks.call import Attempt
from bot_service.webhooks.dispatcher import WebhookDispatcher
from bot_service.webhooks.policy import WebhookPolicy
from bot_service.webhooks.results import WebhookResults
from bot_service.webhooks.test_call import WebhookTestCall
from shared.tasks import TaskGroupOfLoops


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the handlers of the API use of the roads of messages."""

    announcer: EventPublisher
    directory: Subscriptions
    dispatcher: WebhookDispatcher
    trial: WebhookTestCall
    feed: EventStream
    handlers: InboundHandlers
    journal: JournalReader
    media: MediaStore
    outbox: Outbox
    sender: Sender
    keyring: KeyRing
    pushes: WatchdogReports
    alerts: ServiceAlerts
    queues: QueueWatch
    ages: AgesOfSessions
    results: WebhookResults
    session_events: SessionEvents
    retention: Retention


async def delivery(app: web.Application) -> AsyncIterator[None]:
    """After the sessions are built and before the engines are opened, so that no word of theirs is missed."""
    timeout = aiohttp.ClientTimeout(total=None)
    guarded = addresses.connector(allow_private=app[keys.SETTINGS].webhook_allow_private, limit=0)
    async with (
        aiohttp.ClientSession(connector=guarded, timeout=timeout) as http,
        aiohttp.ClientSession(
            connector=addresses.connector(allow_private=True, limit=0), timeout=timeout
        ) as trusted_http,
    ):
        built = await _build(app, http, trusted_http)
        app[keys.DELIVERY] = built
        app[keys.DELIVERY_LOOPS] = TaskGroupOfLoops(app[keys.CLOCK])
        _connect(app, built)
        yield
        # The loops have ended: what lanes still know is stored once, by hand.
        await built.sender.close()
        await built.dispatcher.close()
        await built.session_events.flush()
        # Connections that were just closed need a turn of the loop to be gone.
        await asyncio.sleep(0)


async def delivery_loops(app: web.Application) -> AsyncIterator[None]:
    """After the sessions are in memory: whose a message is, and whether a session still exists, must be known."""
    loops = app[keys.DELIVERY_LOOPS]
    _start(loops, app, app[keys.DELIVERY])
    yield
    await loops.stop()


async def end_events(app: web.Application) -> None:
    """Open event streams end at once, so that the stop does not wait for them."""
    await app[keys.DELIVERY].feed.close()


async def _build(app: web.Application, http: aiohttp.ClientSession, trusted: aiohttp.ClientSession) -> Delivery:
    settings, clock, database = app[keys.SETTINGS], app[keys.CLOCK], app[keys.DATABASE]
    registry, metrics = app[keys.REGISTRY], app[keys.FIGURES]
    async with database.read() as connection:
        newest = [await events.newest_id(connection), await send_queue.newest(connection)]
        webhooks = await deliveries.all_webhooks(connection)
    ids = EventIds(clock, after=max((each for each in newest if each is not None), default=None))
    directory = Subscriptions(targets(settings.alert_urls, settings.alert_webhook_secret))
    directory.load(webhooks)
    announcer = EventPublisher(clock, database, ids, directory)
    media = MediaStore(settings.data_dir / "media", limit_bytes=settings.media_max_bytes)
    sender = Sender(
        clock,
        database,
        announcer,
        app[keys.POOL],
        SenderPolicy(_rates(settings), settings.send_expire_ms),
        record_of=registry.get,
        on_sent=lambda session, chat: app[keys.SUPERVISOR].activity.sent(session, chat),
        observe=metrics.ended,
    )
    outbox = Outbox(
        clock, database, ids, record_of=registry.get, wake=sender.wake, queue_limit=settings.send_queue_limit
    )
    results = WebhookResults(clock, database, outbox.reply)

    async def one_call(target: Target, event: str, body: bytes) -> Attempt:
        client = trusted if target.trusted else http
        timeout_s = settings.webhook_timeout_ms / 1000
        return await call.attempt(client, target, event, body, now=clock.now(), timeout_s=timeout_s)

    dispatcher = WebhookDispatcher(
        clock,
        database,
        directory,
        WebhookPolicy(retry_for_ms=settings.webhook_retry_for_ms, concurrency=settings.webhook_concurrency),
        call=one_call,
        results=results,
        observe=lambda result: metrics.webhook_deliveries.labels(result).inc(),
    )
    journal = JournalReader(
        settings.data_dir / "journal",
        clock,
        database,
        announcer,
        in_use=app[keys.POOL].journals_in_use,
        owner_of=lambda session: record.owner if (record := registry.get(session)) is not None else None,
    )
    pushes = WatchdogReports(clock, database)
    await pushes.load()
    alerts = ServiceAlerts(clock, announcer)

    def gone(session: str) -> None:
        sender.forget(session)
        directory.forget_session(session)

    retention = RetentionPolicy(
        messages_ms=settings.message_retention_ms,
        events=settings.events_kept,
        retry_for_ms=settings.webhook_retry_for_ms,
    )
    return Delivery(
        announcer=announcer,
        directory=directory,
        dispatcher=dispatcher,
        trial=WebhookTestCall(clock, ids, one_call),
        feed=EventStream(clock, database),
        handlers=InboundHandlers(clock, database),
        journal=journal,
        media=media,
        outbox=outbox,
        sender=sender,
        keyring=app[keys.KEYRING],
        pushes=pushes,
        alerts=alerts,
        queues=QueueWatch(clock, database),
        ages=AgesOfSessions(clock, lambda: _ages_ms(app)),
        results=results,
        session_events=SessionEvents(
            clock,
            announcer,
            alerts,
            record_of=registry.get,
            forget_files=media.forget_session,
            after_commit=database.after_commit,
            gone=gone,
        ),
        retention=Retention(clock, database, media, retention, receivers_down=dispatcher.paused),
    )


def _rates(settings: BotSettings) -> SendPolicy:
    return SendPolicy(
        all_messages=Rate(settings.send_per_minute / 60, settings.send_burst),
        new_chats=Rate(settings.send_new_chats_per_hour / 3600, settings.send_new_chats_burst),
    )


def _connect(app: web.Application, built: Delivery) -> None:
    """Who tells whom."""
    supervisor, metrics, clock = app[keys.SUPERVISOR], app[keys.FIGURES], app[keys.CLOCK]

    async def signs_of_life(batch: Sequence[InboundMessage]) -> None:
        for message in batch:
            supervisor.activity.inbound(message.session, sent_ms=message.at_ms)

    def took_in(batch: Batch) -> None:
        metrics.took_in(batch, clock.now())
        for receipt in batch.receipts:
            supervisor.activity.receipt(receipt.session)
        for session in batch.probed:
            supervisor.activity.probe_arrived(session)
        if batch.messages:
            built.handlers.wake()

    def changed(record: SessionRecord, change: Transition) -> None:
        metrics.transition(change.reason, reconnect=change.to_state is State.RECONNECTING)
        if record.state in LINKED:
            built.sender.poke(record.id)

    def signalled(_session: str, signal: Signal) -> None:
        metrics.signal(signal.kind)
        if signal.kind is SignalKind.MESSAGE_LOST:
            metrics.lost(str(signal.data.get("reason", "")))

    built.announcer.on_commit(built.dispatcher.offer)
    built.announcer.on_commit(built.feed.wake)
    built.handlers.add(signs_of_life)
    built.journal.on_commit(took_in)
    supervisor.transitioned.subscribe(changed)
    supervisor.signalled.subscribe(signalled)
    app[keys.POOL].journals.subscribe(built.journal.notice)
    app[keys.BUS].subscribe(built.session_events.on_event)
    app[keys.STORE].transition_sinks.append(built.session_events.on_transitions)
    app[keys.STORE].delete_sinks.append(built.session_events.on_delete)
    metrics.registry.register(built.ages)


def _ages_ms(app: web.Application) -> Iterator[tuple[int | None, int | None]]:
    registry, pool = app[keys.REGISTRY], app[keys.POOL]
    for session in registry.ids():
        record = registry.get(session)
        if record is not None and record.state in LINKED:
            yield pool.frame_ages_ms(session)


def _start(loops: TaskGroupOfLoops, app: web.Application, built: Delivery) -> None:
    loops.start("journal", built.journal.run)
    loops.start("handlers", built.handlers.run)
    loops.start("webhooks", built.dispatcher.run)
    loops.start("webhook-results", built.results.run)
    loops.start("sends", built.sender.run)
    loops.start("events", built.feed.run)
    loops.start("session-events", built.session_events.run)
    loops.start("queues", built.queues.run)
    loops.start("ages", built.ages.run)
    loops.start("keys", built.keyring.run)
    loops.start("retention", built.retention.run)
    loops.start("watchdog-silence", WatchdogSilence(app[keys.CLOCK], built.pushes, built.alerts).run)
