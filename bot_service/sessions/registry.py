"""All sessions of this service in memory, counted as they change, so that reads need no store."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice

from bot_service.domain.addresses import part_of_number
from bot_service.domain.reasons import Reason
from bot_service.domain.session_ids import MARK, shown
from bot_service.domain.session_record import SessionRecord
from bot_service.domain.states import ENDS, Actor, State, Wanted


@dataclass(frozen=True, slots=True)
class Search:
    """Filters of a list; ``text`` is a part of the id, the name or the linked telephone number.

    ``by_owner``: a part of the id without its mark.
    """

    owner: str | None = None
    state: State | None = None
    text: str | None = None
    by_owner: bool = False

    def fits(self, record: SessionRecord) -> bool:
        if self.owner is not None and record.owner != self.owner:
            return False
        if self.state is not None and record.state is not self.state:
            return False
        if self.text is None:
            return True
        session = shown(record.id) if self.by_owner else record.id
        if self.text in session.lower() or self.text in record.name.lower():
            return True
        number = part_of_number(self.text)
        return bool(number and record.jid) and number in (record.jid or "").partition("@")[0].partition(":")[0]


def needs_person(record: SessionRecord) -> bool:
    """Whether a session that should run waits for a person."""
    return record.wanted is Wanted.RUN and (record.actor is not Actor.NONE or record.state in ENDS)


_EVERYTHING = Search()

# An outage of WhatsApp or the network: most sessions are down for one of these reasons.
_OUTAGE_REASONS = frozenset(
    {
        Reason.CONNECT_ERROR,
        Reason.DISCONNECTED,
        Reason.SERVER_UNAVAILABLE,
        Reason.TAKE_OVER_TIMEOUT,
        Reason.CONNECT_TIMEOUT,
    }
)
OUTAGE_SESSIONS, OUTAGE_SHARE = 3, 0.8


class SessionRegistry:
    """Sessions keep the order of their creation. Those of other replicas are here too, as they were stored last."""

    def __init__(self) -> None:
        self._records: dict[str, SessionRecord] = {}
        self._elsewhere: set[str] = set()
        # By owner and the id that the owner knows.
        self._own: dict[tuple[str, str], str] = {}
        self._marked: dict[str, set[str]] = {}
        self._by_state: dict[State, int] = dict.fromkeys(State, 0)
        self._wanted = 0
        self._wanted_ready = 0
        self._needs_person = 0
        self._suspected = 0
        # Sessions with a need, open or not yet settled, and at which revision that changed last.
        self._needs: dict[str, int] = {}
        self._open_needs = 0
        self.needs_revision = 0

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, session: str) -> bool:
        return session in self._records

    def __iter__(self) -> Iterator[SessionRecord]:
        return iter(self._records.values())

    def get(self, session: str) -> SessionRecord | None:
        return self._records.get(session)

    # --- replicas ---

    def runs_here(self, session: str) -> bool:
        """False when another replica owns it, or none does."""
        return session not in self._elsewhere

    def here(self) -> Iterator[SessionRecord]:
        """The sessions that this service runs."""
        if not self._elsewhere:
            return iter(self)
        return (record for record in self._records.values() if record.id not in self._elsewhere)

    def mirror(self, record: SessionRecord) -> None:
        """A session of another replica, as it was stored."""
        self._elsewhere.add(record.id)
        self.put(record)

    def let_go(self, session: str) -> None:
        """From now on this service does not run it."""
        self._elsewhere.add(session)
        self.needs_revision += session in self._needs

    def take(self, session: str) -> None:
        """From now on this service runs it."""
        self._elsewhere.discard(session)
        self.needs_revision += session in self._needs

    # --- changes ---

    def of_owner(self, owner: str, session: str) -> SessionRecord | None:
        """The session that ``owner`` knows as ``session``."""
        return self._records.get(self._own.get((owner, session), ""))

    def marked(self, owner: str) -> Collection[str]:
        """Ids of sessions of ``owner`` that are stored with a mark."""
        return self._marked.get(owner, ())

    def ids(self) -> list[str]:
        """Those of the sessions that this service runs: a copy, to walk in slices while sessions come and go."""
        return [record.id for record in self.here()] if self._elsewhere else list(self._records)

    def put(self, record: SessionRecord) -> None:
        before = self._records.get(record.id)
        if before is not None:
            self._count(before, -1)
        self._records[record.id] = record
        self._count(record, 1)
        if before is None or before.owner != record.owner:
            self._owner_changed(before, record)
        if record.need is not (None if before is None else before.need) or (
            record.need is not None and before is not None and before.name != record.name
        ):
            self._need_changed(record)

    def remove(self, session: str) -> None:
        record = self._records.pop(session, None)
        self._elsewhere.discard(session)
        if record is not None:
            self._count(record, -1)
            self._owner_changed(record, None)
            if self._needs.pop(session, None) is not None:
                self.needs_revision += 1

    def _owner_changed(self, before: SessionRecord | None, after: SessionRecord | None) -> None:
        if before is not None:
            self._own.pop((before.owner, shown(before.id)), None)
            self._marked.get(before.owner, set()).discard(before.id)
        if after is not None:
            self._own[after.owner, shown(after.id)] = after.id
            if MARK in after.id:
                self._marked.setdefault(after.owner, set()).add(after.id)

    def _need_changed(self, record: SessionRecord) -> None:
        self.needs_revision += 1
        if record.need is None:
            self._needs.pop(record.id, None)
        else:
            self._needs[record.id] = self.needs_revision

    def _count(self, record: SessionRecord, by: int) -> None:
        self._by_state[record.state] += by
        self._suspected += by * (record.suspicion is not None)
        self._open_needs += by * (record.need is not None and record.need.lasts)
        if record.wanted is Wanted.RUN:
            self._wanted += by
            self._wanted_ready += by * (record.state is State.READY)
            self._needs_person += by * needs_person(record)

    @property
    def by_state(self) -> dict[State, int]:
        return dict(self._by_state)

    @property
    def wanted(self) -> int:
        """Sessions that should run."""
        return self._wanted

    @property
    def wanted_ready(self) -> int:
        """Those of them that are READY: what every face calls ready."""
        return self._wanted_ready

    @property
    def waiting_for_people(self) -> int:
        return self._needs_person

    @property
    def needing_person(self) -> int:
        """Sessions that people are notified of: none can go on, or receive, without a person."""
        return self._open_needs

    def needs(self) -> list[tuple[SessionRecord, int]]:
        """Sessions with a need that lasts or is not settled yet, and when it changed last.

        That is a value of ``needs_revision``, which grows with every change of any of them.
        """
        return [(self._records[session], revision) for session, revision in self._needs.items()]

    @property
    def suspected(self) -> int:
        """Sessions that are suspected not to receive."""
        return self._suspected

    def upstream_outage(self) -> bool:
        """Whether at least three sessions, and 4/5 of those to run, cannot reach WhatsApp."""
        to_run = self._wanted - self._needs_person
        if to_run < OUTAGE_SESSIONS or self._by_state[State.RECONNECTING] < OUTAGE_SHARE * to_run:
            return False
        down = sum(record.state is State.RECONNECTING and record.reason in _OUTAGE_REASONS for record in self)
        return down >= OUTAGE_SHARE * to_run

    def page(self, search: Search, *, after: str | None, limit: int) -> tuple[list[SessionRecord], str | None, int]:
        """Sessions after the id ``after``, the id to continue from (None at the end), the total."""
        if search == _EVERYTHING:
            return self._page_of_all(after, limit)
        fitting = [record for record in self._records.values() if search.fits(record)]
        begin = 0
        if after is not None:
            begin = next((place + 1 for place, record in enumerate(fitting) if record.id == after), len(fitting))
        chosen = fitting[begin : begin + limit]
        more = begin + limit < len(fitting)
        return chosen, chosen[-1].id if more and chosen else None, len(fitting)

    def _page_of_all(self, after: str | None, limit: int) -> tuple[list[SessionRecord], str | None, int]:
        rest: Iterator[str] = iter(self._records)
        if after is not None:
            # Skips to it; to the end when it was deleted, like a search.
            for session in rest:
                if session == after:
                    break
        chosen = [self._records[session] for session in islice(rest, limit)]
        more = next(rest, None) is not None
        return chosen, chosen[-1].id if more else None, len(self._records)
