"""Builds the parts that publish events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bot_service.events.dialects import WebhookDialect
from bot_service.events.ids import EventIds
from bot_service.events.presence import PresenceEvents
from bot_service.events.publisher import EventPublisher
from bot_service.events.service_alerts import ServiceAlerts, targets
from bot_service.events.session_events import SessionEvents
from bot_service.events.stream import EventStream
from bot_service.events.subscriptions import Subscriptions
from bot_service.sessions.build import Sessions
from bot_service.settings import BotSettings
from bot_service.store import deliveries, events, send_queue
from bot_service.store.database import Database
from shared.clock import Clock
from shared.tasks import Loop


@dataclass(frozen=True, slots=True)
class Events:
    """``publisher`` stores events; ``stream`` and the webhooks deliver them after the commit."""

    ids: EventIds
    publisher: EventPublisher
    service_alerts: ServiceAlerts
    session_events: SessionEvents
    presence: PresenceEvents
    stream: EventStream
    subscriptions: Subscriptions
    see_webhooks: Callable[[], Coroutine[Any, Any, None]]
    """Reads the webhooks again: another replica changed some."""

    def loops(self) -> Iterator[Loop]:
        """The background loops by name."""
        yield "events", self.stream.run
        yield "session-events", self.session_events.writer.run
        yield "presence", self.presence.run


async def build(
    settings: BotSettings,
    clock: Clock,
    database: Database,
    sessions: Sessions,
    *,
    forget_files: Callable[[str], Awaitable[None]],
    dialects: Mapping[str, WebhookDialect],
) -> Events:
    """The parts, subscribed to ``sessions``. ``forget_files`` deletes the files of a session.

    ``dialects`` by name: the shapes in which webhooks may get events.
    """
    async with database.read() as connection:
        newest = [await events.newest_id(connection), await send_queue.newest(connection)]
        webhooks = await deliveries.all_webhooks(connection)
    ids = EventIds(clock, after=max((each for each in newest if each is not None), default=None))
    subscriptions = Subscriptions(targets(settings.alert_urls, settings.alert_webhook_secret), dialects)
    subscriptions.load(webhooks)
    shared = settings.replica_url is not None
    publisher = EventPublisher(clock, database, ids, subscriptions, shared=shared)
    service_alerts = ServiceAlerts(clock, publisher, settings.installed)
    session_events = SessionEvents(
        clock,
        publisher,
        service_alerts,
        record_of=sessions.registry.get,
        forget_files=forget_files,
        after_commit=database.after_commit,
    )
    # At the commit, so that nothing is stored for a session between its deletion and its end in memory.
    session_events.deleted.subscribe(sessions.supervisor.remove)
    session_events.deleted.subscribe(subscriptions.forget_session)
    sessions.bus.subscribe(session_events.on_event)
    sessions.store.transition_sinks.append(session_events.on_transitions)
    sessions.store.delete_sinks.append(session_events.on_delete)
    presence = PresenceEvents(clock, publisher, record_of=sessions.registry.get)
    sessions.supervisor.signalled.subscribe(presence.on_signal)
    stream = EventStream(clock, database)
    publisher.committed.subscribe(stream.wake)

    async def see_webhooks() -> None:
        async with database.read() as connection:
            found = await deliveries.all_webhooks(connection)
        subscriptions.see(found)

    return Events(ids, publisher, service_alerts, session_events, presence, stream, subscriptions, see_webhooks)
