"""What callers may know of sessions, answered from memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from bot_service.access.principals import Principal
from bot_service.domain.attention import open_need
from bot_service.domain.readiness import Evidence, Part, doubt, parts
from bot_service.domain.refused import RunsElsewhere, not_found
from bot_service.domain.session_record import SessionRecord, Transition
from bot_service.domain.states import LINKED, State, Wanted
from bot_service.sessions.readiness_check import ReadinessCheck
from bot_service.sessions.registry import Search, SessionRegistry
from bot_service.sessions.supervisor import Supervisor
from bot_service.store.sessions import SessionStore


class Order(StrEnum):
    """How a list of sessions is sorted. PROBLEMS: what needs a person first, what is stopped last."""

    PROBLEMS = "problems"
    NAME = "name"
    NEWEST = "newest"
    CHANGED = "changed"


# From the most to the least trouble.
TROUBLE = (
    State.BANNED,
    State.LOGGED_OUT,
    State.FENCED,
    State.FAILED,
    State.OUTDATED,
    State.TEMP_BANNED,
    State.DEGRADED,
    State.RECONNECTING,
    State.PAIRING,
    State.STARTING,
    State.CONNECTING,
    State.SYNCING,
    State.READY,
    State.CLOSED,
    State.STOPPED,
)
_RANK = {state: rank for rank, state in enumerate(TROUBLE)}


def _trouble(record: SessionRecord) -> tuple[bool, int, str]:
    rank = _RANK[State.STOPPED] if record.wanted is Wanted.STOP else _RANK[record.state]
    if record.suspicion is not None:
        rank = min(rank, _RANK[State.DEGRADED])
    return open_need(record) is None, rank, record.name.lower()


_KEYS: dict[Order, Callable[[SessionRecord], Any]] = {
    Order.PROBLEMS: _trouble,
    Order.NAME: lambda record: (record.name.lower(), record.id),
    Order.NEWEST: lambda record: -record.created_ms,
    Order.CHANGED: lambda record: -record.since_ms,
}


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

    def get(self, who: Principal, session: str) -> SessionRecord | None:
        """The session that ``who`` knows by this id; None also for a session of another owner."""
        return self._registry.get(session) if who.owner is None else self._registry.of_owner(who.owner, session)

    def find(self, who: Principal, session: str) -> SessionRecord:
        """Refused: ``not_found``, also for a session of another owner."""
        record = self.get(who, session)
        if record is None:
            raise not_found("this session")
        return record

    def page(
        self, who: Principal, search: Search, *, after: str | None, limit: int
    ) -> tuple[list[SessionRecord], str | None, int]:
        """Sessions after the id ``after``, the id to go on from (None at the end), and how many fit in all."""
        if after is not None and (last := self.get(who, after)) is not None:
            after = last.id
        return self._registry.page(_narrowed(search, who), after=after, limit=limit)

    def numbered_page(
        self, who: Principal, search: Search, order: Order, number: int, size: int
    ) -> tuple[list[SessionRecord], int]:
        """Page ``number`` (from 0) of ``size`` sessions, and how many fit in all."""
        search = _narrowed(search, who)
        fitting = sorted((record for record in self._registry if search.fits(record)), key=_KEYS[order])
        return fitting[number * size : (number + 1) * size], len(fitting)

    def shares(self, who: Principal) -> tuple[int, int, int]:
        """How many sessions should run, how many of those are READY, and how many there are."""
        if who.owner is None:
            return self._registry.wanted, self._registry.wanted_ready, len(self._registry)
        own = [record for record in self._registry if record.owner == who.owner]
        wanted = [record for record in own if record.wanted is Wanted.RUN]
        return len(wanted), sum(record.state is State.READY for record in wanted), len(own)

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
        """Without a call to the engine or to the outside. Raises :class:`RunsElsewhere`: its owner knows."""
        if not self._registry.runs_here(record.id):
            raise RunsElsewhere(record.id)
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
    return search if who.owner is None else replace(search, owner=who.owner, by_owner=True)
