"""Publishes events of sessions: state changes in their own transaction, others soon after."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.domain.recovery import SUSPECTED
from bot_service.domain.session_record import SessionRecord, Transition
from bot_service.events.publisher import Draft, EventPublisher
from bot_service.events.service_alerts import CLIENT_OUTDATED, NOT_RECEIVING, ServiceAlerts
from bot_service.sessions.notifications import Event
from bot_service.store import chats, deliveries, events, lids, messages, send_queue, silence_patterns
from bot_service.store.batch_writer import BatchWriter
from shared.clock import Clock, from_ms, iso
from shared.hooks import Hook


class SessionEvents:
    """``on_event`` listens to the bus, ``on_transitions`` and ``on_delete`` to the session store.

    ``deleted`` notifies of the id of a deleted session, after the commit.
    """

    def __init__(
        self,
        clock: Clock,
        publisher: EventPublisher,
        alerts: ServiceAlerts,
        *,
        record_of: Callable[[str], SessionRecord | None],
        forget_files: Callable[[str], Awaitable[None]],
        after_commit: Callable[[Callable[[], None]], None],
    ) -> None:
        self._clock, self._publisher, self._alerts = clock, publisher, alerts
        self._record_of, self._forget_files = record_of, forget_files
        self._after_commit = after_commit
        self.deleted: Hook[[str]] = Hook()
        self.writer: BatchWriter[Draft | Event] = BatchWriter("session-events", clock, self._write, waiting=0)

    def on_event(self, event: Event) -> None:
        """Publish or alert soon. State changes arrive by :meth:`on_transitions` instead."""
        if event.kind in ("session.qr", "session.attention"):
            self.writer.add(Draft(event.kind, event.session, event.owner, event.at, event.data))
        if event.kind in ("fleet.outdated", "fleet.exhausted", "fleet.recovered", "session.cured") or (
            event.kind == "session.attention" and event.data["attention"] == SUSPECTED
        ):
            self.writer.add(event)

    async def on_transitions(
        self, connection: AsyncConnection, changes: list[Transition], stored: Callable[[str], SessionRecord | None]
    ) -> None:
        """Stage the changes. ``stored(session)`` is the record that is written with its change."""
        drafts = [self._draft(change, stored(change.session) or self._record_of(change.session)) for change in changes]
        await self._publisher.stage(connection, drafts)

    async def on_delete(self, connection: AsyncConnection, session: str) -> None:
        """Delete all rows and files of a session and publish its deletion."""
        record = self._record_of(session)
        await messages.forget_session(connection, session)
        await chats.forget_session(connection, session)
        await lids.forget_session(connection, session)
        await send_queue.forget_session(connection, session)
        await deliveries.forget_session(connection, session)
        await events.forget_session(connection, session)
        await silence_patterns.forget(connection, [session])
        owner = record.owner if record is not None else None
        data: dict[str, object] = {"session": session, "name": record.name if record is not None else session}
        await self._publisher.stage(connection, [Draft("session.deleted", session, owner, self._clock.now(), data)])
        await self._forget_files(session)
        self._after_commit(partial(self.deleted, session))

    async def _write(self, items: list[Draft | Event]) -> None:
        drafts = [item for item in items if isinstance(item, Draft)]
        if drafts:
            await self._publisher.publish(drafts)
        for item in items:
            if isinstance(item, Event):
                await self._alert(item)

    async def _alert(self, event: Event) -> None:
        """Raise or resolve an alert for ALERT_URLS."""
        match event.kind:
            case "fleet.outdated":
                await self._alerts.raise_(CLIENT_OUTDATED, event.data["text"])
            case "fleet.exhausted":
                await self._alerts.raise_(CLIENT_OUTDATED, event.data["text"], again=True)
            case "fleet.recovered":
                await self._alerts.resolve(CLIENT_OUTDATED, event.data["text"])
            case "session.attention":
                text = f"Session {event.session} is connected and receives nothing; nothing that may be tried helped"
                await self._alerts.raise_(NOT_RECEIVING, text, about=event.session)
            case _:
                text = f"Session {event.session} does not wait for a person any more"
                await self._alerts.resolve(NOT_RECEIVING, text, about=event.session)

    def _draft(self, change: Transition, record: SessionRecord | None) -> Draft:
        at = from_ms(change.at_ms)
        data = {
            "session": change.session,
            "name": record.name if record is not None else change.session,
            "state": change.to_state.value,
            "previous": change.from_state.value,
            "wanted": record.wanted.value if record is not None else None,
            "reason": change.reason,
            "detail": change.detail,
            "acts": change.actor.value,
            "since": iso(at),
        }
        return Draft("session.state", change.session, record.owner if record is not None else None, at, data)
