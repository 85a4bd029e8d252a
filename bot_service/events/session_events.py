"""Events of sessions: changes of state in the very transaction that stores them, the rest soon after they happen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.domain.recovery import SUSPECTED
from bot_service.domain.session_record import SessionRecord, Transition
from bot_service.events.publisher import Draft, EventPublisher
from bot_service.events.service_alerts import CLIENT_OUTDATED, NOT_RECEIVING, ServiceAlerts
from bot_service.sessions.event_bus import Event
from bot_service.store import deliveries, events, messages, silence_patterns
from bot_service.store.batch_writer import BatchWriter
from shared.clock import Clock, from_ms, iso


class SessionEvents:
    """``on_event`` listens to the bus, ``on_transitions`` and ``on_delete`` are sinks of the session store.

    ``deleted`` holds who is called with the id of a deleted session, after the commit.
    """

    def __init__(
        self,
        clock: Clock,
        announcer: EventPublisher,
        alerts: ServiceAlerts,
        *,
        record_of: Callable[[str], SessionRecord | None],
        forget_files: Callable[[str], Awaitable[None]],
        after_commit: Callable[[Callable[[], None]], None],
    ) -> None:
        self._clock, self._announcer, self._alerts = clock, announcer, alerts
        self._record_of, self._forget_files = record_of, forget_files
        self._after_commit = after_commit
        self.deleted: list[Callable[[str], None]] = []
        self._drafts: BatchWriter[Draft | Event] = BatchWriter("session-events", clock, self._write, waiting=0)

    def on_event(self, event: Event) -> None:
        """States are left out here: they come with their transaction."""
        if event.kind in ("session.qr", "session.attention"):
            self._drafts.add(Draft(event.kind, event.session, event.owner, event.at, event.data))
        if event.kind in ("fleet.outdated", "fleet.exhausted", "fleet.recovered", "session.cured") or (
            event.kind == "session.attention" and event.data["attention"] == SUSPECTED
        ):
            self._drafts.add(event)

    async def on_transitions(
        self, connection: AsyncConnection, changes: list[Transition], stored: Callable[[str], SessionRecord | None]
    ) -> None:
        """``stored(session)`` is the record that goes with the change; a session is told of before others know it."""
        drafts = [self._draft(change, stored(change.session) or self._record_of(change.session)) for change in changes]
        await self._announcer.stage(connection, drafts)

    async def on_delete(self, connection: AsyncConnection, session: str) -> None:
        """Whatever is kept of a deleted session goes with it."""
        record = self._record_of(session)
        await messages.forget_session(connection, session)
        await deliveries.forget_session(connection, session)
        await events.forget_session(connection, session)
        await silence_patterns.forget(connection, [session])
        owner = record.owner if record is not None else None
        data: dict[str, object] = {"session": session, "name": record.name if record is not None else session}
        await self._announcer.stage(connection, [Draft("session.deleted", session, owner, self._clock.now(), data)])
        await self._forget_files(session)
        self._after_commit(lambda: self._after_delete(session))

    def _after_delete(self, session: str) -> None:
        for listener in self.deleted:
            listener(session)

    async def run(self) -> None:
        """The loop."""
        await self._drafts.run()

    async def flush(self) -> None:
        """Store what is left, once the loop has ended."""
        await self._drafts.flush()

    async def _write(self, items: list[Draft | Event]) -> None:
        drafts = [item for item in items if isinstance(item, Draft)]
        if drafts:
            await self._announcer.tell(drafts)
        for item in items:
            if isinstance(item, Event):
                await self._alert(item)

    async def _alert(self, event: Event) -> None:
        """What the operator hears of too, on ALERT_URLS."""
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
