"""What callers may know of sessions, answered from memory."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bot_service.access.principals import Principal
from bot_service.domain.readiness import Evidence, Part, doubt, parts
from bot_service.domain.refused import not_found
from bot_service.domain.session_record import SessionRecord, Transition
from bot_service.domain.states import LINKED, State
from bot_service.sessions.readiness_check import ReadinessCheck
from bot_service.sessions.registry import Search, SessionRegistry
from bot_service.sessions.supervisor import Supervisor
from bot_service.store.sessions import SessionStore


@dataclass(frozen=True, slots=True)
class SessionHealth:
    """``parts`` of readiness by name, and the ``evidence`` they were judged by, at ``now_ms``."""

    now_ms: int
    parts: dict[str, Part]
    evidence: Evidence


class SessionQueries:
    """A caller sees the sessions of its owner; an administrator sees all."""

    def __init__(
        self, supervisor: Supervisor, registry: SessionRegistry, readiness_check: ReadinessCheck, store: SessionStore
    ) -> None:
        self._supervisor, self._registry, self._readiness_check = supervisor, registry, readiness_check
        self._store = store

    def find(self, who: Principal, session: str) -> SessionRecord:
        """Refused: ``not_found``, also for a session of another owner."""
        record = self._registry.get(session)
        if record is None or not who.sees(record.owner):
            raise not_found("this session")
        return record

    def page(
        self, who: Principal, search: Search, *, after: str | None, limit: int
    ) -> tuple[list[SessionRecord], str | None, int]:
        """Sessions after the id ``after``, the id to go on from (None at the end), and how many fit in all."""
        return self._registry.page(_narrowed(search, who), after=after, limit=limit)

    def numbered_page(self, who: Principal, search: Search, number: int, size: int) -> tuple[list[SessionRecord], int]:
        """Page ``number`` (from 0) of ``size`` sessions, and how many fit in all."""
        search = _narrowed(search, who)
        fitting = [record for record in self._registry if search.fits(record)]
        return fitting[number * size : (number + 1) * size], len(fitting)

    def by_state(self, who: Principal) -> dict[State, int]:
        """How many sessions are in each state."""
        if who.owner is None:
            return self._registry.by_state
        counts = dict.fromkeys(State, 0)
        for record in self._registry:
            counts[record.state] += record.owner == who.owner
        return counts

    def last_frame_ms(self, record: SessionRecord) -> int | None:
        """When the last frame of a linked session came, in ms since the epoch."""
        if record.state not in LINKED:
            return None
        return self._supervisor.now_ms() - self._readiness_check.frame_age_ms(record)

    def health(self, record: SessionRecord) -> SessionHealth:
        """Without a call to the engine or to the outside."""
        now_ms, evidence = self._supervisor.now_ms(), self._supervisor.activity.evidence(record.id)
        suspicion = frame_age = None
        if record.state in LINKED:
            frame_age = self._readiness_check.frame_age_ms(record)
            suspicion = doubt(record, evidence, self._readiness_check.policy, now_ms)
        fresh_ms = self._supervisor.policy.frame_fresh_ms
        return SessionHealth(now_ms, parts(record, evidence, suspicion, frame_age, fresh_ms, now_ms), evidence)

    async def transitions(self, record: SessionRecord) -> list[Transition]:
        """The kept changes of state, newest first."""
        return await self._store.transitions(record.id)


def _narrowed(search: Search, who: Principal) -> Search:
    return search if who.owner is None else replace(search, owner=who.owner)
