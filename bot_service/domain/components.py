"""Groups of sessions that the status page shows as its components, by owner or by the beginning of the id."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bot_service.domain.session_ids import shown
from bot_service.domain.session_record import SessionRecord
from bot_service.domain.states import State, Wanted

OWNER, SESSIONS = "owner:", "sessions:"


@dataclass(frozen=True, slots=True)
class Component:
    """``name`` is what customers read. Exactly one of ``owner`` and ``prefix`` is set."""

    name: str
    owner: str = ""
    prefix: str = ""

    def holds(self, record: SessionRecord) -> bool:
        return record.owner == self.owner if self.owner else shown(record.id).startswith(self.prefix)


@dataclass(slots=True)
class Count:
    """``wanted`` sessions should run, ``ready`` of them are READY."""

    wanted: int = 0
    ready: int = 0


def counted(components: Sequence[Component], records: Iterable[SessionRecord]) -> list[Count]:
    """The sessions of each component, in one pass; a session may belong to several."""
    counts = [Count() for _ in components]
    for record in records:
        if record.wanted is Wanted.RUN:
            for component, count in zip(components, counts, strict=True):
                if component.holds(record):
                    count.wanted += 1
                    count.ready += record.state is State.READY
    return counts
