"""Tells everybody what became of a session: an event on the bus, and a sentence in the log where a person may look for it."""

from __future__ import annotations

from bot_service.domain.ladder import gave_up
from bot_service.domain.record import Record
from bot_service.sessions.bus import Event, EventBus
from bot_service.sessions.codes import Shown
from shared import logs
from shared.clock import Clock, from_ms, iso

log = logs.get(__name__)


class News:
    """No telephone number and no code is told."""

    def __init__(self, bus: EventBus, clock: Clock) -> None:
        self._bus, self._clock = bus, clock

    def moved(self, before: Record, after: Record) -> None:
        """The session is in another state, or in the same one for another reason."""
        self._tell(after, "session.state", _state_data(before, after))
        log.info(
            f"Session {after.state.value}: {after.reason}",
            event_name="session.state",
            session=after.id,
            was=before.state.value,
            state=after.state.value,
            reason=after.reason,
            detail=after.detail,
            acts=after.actor.value,
        )

    def code_shown(self, record: Record, shown: Shown) -> None:
        """A code for pairing is there to be fetched."""
        self._tell(record, "session.qr", {"kind": shown.kind, "expiresAt": iso(from_ms(shown.expires_ms))})

    def attention(self, record: Record, reason: str) -> None:
        """A person has to look at this session."""
        self._tell(record, "session.attention", _state_data(record, record) | {"attention": reason})
        log.warning(
            f"Session needs attention: {reason}",
            event_name="session.attention",
            session=record.id,
            reason=reason,
            acts=record.actor.value,
        )

    def perhaps_cured(self, before: Record, after: Record | None) -> None:
        """Tells, if it is so, that what a person was told of is over: receiving is proven, a person has taken it in hand, or
        the session is gone (None)."""
        if gave_up(before) and (after is None or not gave_up(after)):
            self._tell(before if after is None else after, "session.cured", {"session": before.id})

    def fleet_outdated(self, canary: Record) -> None:
        """WhatsApp refuses this version of the client; only ``canary`` still asks."""
        log.critical(
            "WhatsApp refuses this version of the client: all reconnects have stopped, upgrade the engine",
            event_name="fleet.outdated",
            session=canary.id,
        )
        self._tell(canary, "fleet.outdated", {"canary": canary.id})

    def fleet_recovered(self, canary: Record | None) -> None:
        """WhatsApp takes this version again. None: the session that asked is gone."""
        log.info("WhatsApp takes this version of the client again", event_name="fleet.recovered")
        if canary is not None:
            self._tell(canary, "fleet.recovered", {})

    def _tell(self, record: Record, kind: str, data: dict[str, object]) -> None:
        self._bus.publish(Event(kind, record.id, record.owner, self._clock.now(), data))


def _state_data(before: Record, after: Record) -> dict[str, object]:
    return {
        "session": after.id,
        "name": after.name,
        "state": after.state.value,
        "previous": before.state.value,
        "wanted": after.wanted.value,
        "reason": after.reason,
        "detail": after.detail,
        "acts": after.actor.value,
        "since": iso(from_ms(after.since_ms)),
    }
