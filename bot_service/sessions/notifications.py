"""Publishes session changes to the event bus and the log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bot_service.domain import attention
from bot_service.domain.attention import Severity
from bot_service.domain.client_version import version
from bot_service.domain.recovery import gave_up
from bot_service.domain.session_record import SessionRecord
from bot_service.domain.states import LIVE, State
from bot_service.sessions.pairing_codes import PairingCode
from shared import logs
from shared.clock import Clock, from_ms, iso
from shared.hooks import Hook

log = logs.get(__name__)

_CALM = LIVE - {State.DEGRADED, State.RECONNECTING} | {State.STOPPED}


@dataclass(frozen=True, slots=True)
class Event:
    """``kind`` is dotted, as ``session.state``; ``data`` is JSON-ready, in camelCase.

    ``owner`` and ``session`` say who may see it.
    """

    kind: str
    session: str
    owner: str
    at: datetime
    data: dict[str, Any] = field(default_factory=dict)


class EventBus(Hook[[Event]]):
    """Listeners must not block: one that has work to do keeps its own queue."""


class SessionNotifications:
    """No telephone number and no code is published."""

    def __init__(self, bus: EventBus, clock: Clock) -> None:
        self._bus, self._clock = bus, clock

    def changed(self, before: SessionRecord, after: SessionRecord) -> None:
        """The session is in another state, or in the same one for another reason."""
        self._publish(after, "session.state", {"state": after.state.value, "reason": after.reason})
        _at_level(after)(
            f"Session {after.state.value}: {after.reason}",
            event_name="session.state",
            session=after.id,
            was=before.state.value,
            state=after.state.value,
            reason=after.reason,
            detail=after.detail,
            acts=after.actor.value,
        )

    def code_shown(self, record: SessionRecord, shown: PairingCode) -> None:
        """A code for pairing can be fetched."""
        self._publish(record, "session.qr", {"kind": shown.kind, "expiresAt": iso(from_ms(shown.expires_ms))})

    def attention(self, record: SessionRecord, reason: str) -> None:
        """A person has to look at this session."""
        self._publish(record, "session.attention", _state_data(record) | {"attention": reason})
        write = log.error if attention.severity(record) is Severity.CRITICAL else log.warning
        write(
            f"Session needs attention: {reason}",
            event_name="session.attention",
            session=record.id,
            reason=reason,
            acts=record.actor.value,
        )

    def end_alert(self, before: SessionRecord, after: SessionRecord | None) -> None:
        """Resolves the alert about a session that did not receive, if this change ends it.

        It ends when receiving is proven, a person starts the session, or it is deleted (None).
        """
        if gave_up(before) and (after is None or not gave_up(after)):
            self._publish(before if after is None else after, "session.cured", {"session": before.id})

    def client_outdated(self, canary: SessionRecord, build: int | None) -> None:
        """WhatsApp refuses this client version; only ``canary`` still logs in."""
        text = f"WhatsApp refuses {_named(build)}: all logins wait until another version is accepted"
        log.critical(text, event_name="fleet.outdated", session=canary.id, build=build)
        self._publish(canary, "fleet.outdated", {"canary": canary.id, "text": text})

    def person_needed(self, canary: SessionRecord, tried: list[int], advice: str) -> None:
        """Every client version that could be tried was refused."""
        names = ", ".join(version(build) for build in tried) or "its only client version"
        text = f"WhatsApp refuses every client version that Veilleur can announce (tried: {names}). {advice}"
        log.critical(text, event_name="fleet.exhausted", session=canary.id, tried=tried)
        self._publish(canary, "fleet.exhausted", {"canary": canary.id, "text": text})

    def client_accepted(self, canary: SessionRecord | None, build: int | None) -> None:
        """WhatsApp accepts a version again. None: no session waits for that any more."""
        text = f"WhatsApp accepts {_named(build)}: all sessions log in again"
        if canary is None:
            text = "No session waits for another client version any more"
        log.info(text, event_name="fleet.recovered", build=build)
        self._publish(canary, "fleet.recovered", {"text": text})

    def _publish(self, record: SessionRecord | None, kind: str, data: dict[str, object]) -> None:
        session, owner = ("", "") if record is None else (record.id, record.owner)
        self._bus(Event(kind, session, owner, self._clock.now(), data))


def _at_level(record: SessionRecord) -> Callable[..., object]:
    if record.state in _CALM:
        return log.info
    match attention.severity(record):
        case Severity.CRITICAL:
            return log.error
        case Severity.WARNING:
            return log.warning
    return log.info


def _state_data(record: SessionRecord) -> dict[str, object]:
    return {
        "session": record.id,
        "name": record.name,
        "state": record.state.value,
        "previous": record.state.value,
        "wanted": record.wanted.value,
        "reason": record.reason,
        "detail": record.detail,
        "acts": record.actor.value,
        "since": iso(from_ms(record.since_ms)),
    }


def _named(build: int | None) -> str:
    return "this version of the client" if build is None else f"client version {version(build)}"
