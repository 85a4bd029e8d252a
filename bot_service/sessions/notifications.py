"""Tells everybody what became of a session: an event on the bus, and a sentence in the log where a person may look for it."""

from __future__ import annotations

from bot_service.domain.client_version import version
from bot_service.domain.recovery import gave_up
from bot_service.domain.session_record import SessionRecord
from bot_service.sessions.event_bus import Event, EventBus
from bot_service.sessions.pairing_codes import Shown
from shared import logs
from shared.clock import Clock, from_ms, iso

log = logs.get(__name__)


class SessionNotifications:
    """No telephone number and no code is told."""

    def __init__(self, bus: EventBus, clock: Clock) -> None:
        self._bus, self._clock = bus, clock

    def moved(self, before: SessionRecord, after: SessionRecord) -> None:
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

    def code_shown(self, record: SessionRecord, shown: Shown) -> None:
        """A code for pairing is there to be fetched."""
        self._tell(record, "session.qr", {"kind": shown.kind, "expiresAt": iso(from_ms(shown.expires_ms))})

    def attention(self, record: SessionRecord, reason: str) -> None:
        """A person has to look at this session."""
        self._tell(record, "session.attention", _state_data(record, record) | {"attention": reason})
        log.warning(
            f"Session needs attention: {reason}",
            event_name="session.attention",
            session=record.id,
            reason=reason,
            acts=record.actor.value,
        )

    def perhaps_cured(self, before: SessionRecord, after: SessionRecord | None) -> None:
        """Tells, if it is so, that what a person was told of is over: receiving is proven, a person has taken it in hand, or
        the session is gone (None)."""
        if gave_up(before) and (after is None or not gave_up(after)):
            self._tell(before if after is None else after, "session.cured", {"session": before.id})

    def fleet_outdated(self, canary: SessionRecord, build: int | None) -> None:
        """WhatsApp refuses this client version; only ``canary`` still logs in."""
        text = f"WhatsApp refuses {_named(build)}: all logins wait until another version is accepted"
        log.critical(text, event_name="fleet.outdated", session=canary.id, build=build)
        self._tell(canary, "fleet.outdated", {"canary": canary.id, "text": text})

    def fleet_needs_person(self, canary: SessionRecord, tried: list[int], advice: str) -> None:
        """Every client version that could be tried was refused."""
        names = ", ".join(version(build) for build in tried) or "its only client version"
        text = f"WhatsApp refuses every client version that Veilleur can announce (tried: {names}). {advice}"
        log.critical(text, event_name="fleet.exhausted", session=canary.id, tried=tried)
        self._tell(canary, "fleet.exhausted", {"canary": canary.id, "text": text})

    def fleet_recovered(self, canary: SessionRecord | None, build: int | None) -> None:
        """WhatsApp accepts a version again. None: no session waits for that any more."""
        text = f"WhatsApp accepts {_named(build)}: all sessions log in again"
        if canary is None:
            text = "No session waits for another client version any more"
        log.info(text, event_name="fleet.recovered", build=build)
        data: dict[str, object] = {"text": text}
        if canary is not None:
            self._tell(canary, "fleet.recovered", data)
        else:
            self._bus.publish(Event("fleet.recovered", "", "", self._clock.now(), data))

    def _tell(self, record: SessionRecord, kind: str, data: dict[str, object]) -> None:
        self._bus.publish(Event(kind, record.id, record.owner, self._clock.now(), data))


def _state_data(before: SessionRecord, after: SessionRecord) -> dict[str, object]:
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


def _named(build: int | None) -> str:
    return "this version of the client" if build is None else f"client version {version(build)}"
