"""Publishes ``presence.update``: who comes online, goes offline or types. The newest state counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bot_service.domain.session_record import SessionRecord, Signal
from bot_service.domain.signals import SignalKind
from bot_service.events.publisher import Draft, EventPublisher
from bot_service.store.batch_writer import retried_on_store_errors
from shared.clock import Clock, from_ms, iso
from shared.wake import Wake

# While the store does not answer, no more than so many people wait for it.
MOST_WAITING = 10_000
PER_TURN = 200


class PresenceEvents:
    """``record_of(id)`` is None for a deleted session. A state that another one follows before it is
    stored is not published: it says nothing any more."""

    def __init__(
        self, clock: Clock, publisher: EventPublisher, *, record_of: Callable[[str], SessionRecord | None]
    ) -> None:
        self._clock, self._publisher, self._record_of = clock, publisher, record_of
        self._waiting: dict[tuple[str, str, str], Draft] = {}
        # With the session's creation and owner: another one with the same id hears nothing of it.
        self._last: dict[tuple[str, str, str], tuple[str, str | None, dict[str, Any]]] = {}
        self._wake = Wake(clock)

    def on_signal(self, session: str, signal: Signal) -> None:
        """Subscribed to the signals of sessions."""
        record = self._record_of(session)
        if signal.kind is not SignalKind.PRESENCE or record is None or not signal.data.get("from"):
            return
        chat, who = str(signal.data.get("chat")), str(signal.data["from"])
        key = (session, chat, who)
        self._waiting.pop(key, None)
        while len(self._waiting) >= MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
        now, last_seen_ms = self._clock.now(), signal.data.get("lastSeenMs")
        data: dict[str, Any] = {
            "session": session,
            "chat": chat,
            "from": who,
            "state": signal.data.get("state"),
            "lastSeen": iso(from_ms(last_seen_ms)) if last_seen_ms else None,
            "at": iso(now),
        }
        self._last.pop(key, None)
        while len(self._last) >= MOST_WAITING:
            del self._last[next(iter(self._last))]
        self._last[key] = (record.creation, record.owner, data)
        self._waiting[key] = Draft("presence.update", session, record.owner, now, data)
        self._wake.set()

    def known(self, record: SessionRecord) -> list[dict[str, Any]]:
        """What was heard last of each person since the start of the service, as in the events."""
        return [
            data
            for (session, _, _), (creation, owner, data) in self._last.items()
            if session == record.id and (creation, owner) == (record.creation, record.owner)
        ]

    async def run(self) -> None:
        """The loop."""
        while True:
            if not self._waiting:
                await self._wake.wait(None)
                continue
            keys = list(self._waiting)[:PER_TURN]
            drafts = [self._waiting.pop(key) for key in keys]
            await retried_on_store_errors("presence", self._clock, lambda: self._publisher.publish(drafts))  # noqa: B023
