"""The list of sessions in the reader's words: rows, counts that filter it, and its orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bot_service.dashboard import wording
from bot_service.dashboard.view_models import account, moment, next_try, reason
from bot_service.domain.attention import ADVICE, open_need
from bot_service.domain.session_record import SessionRecord
from bot_service.domain.states import LIVE, State
from bot_service.sessions.queries import TROUBLE, Order
from shared.translation import N_
from shared.web.ui.words import Words

_MOST_NEEDS = 5

ORDER = {
    Order.PROBLEMS: N_("Problems first"),
    Order.NAME: N_("By name"),
    Order.NEWEST: N_("Newest first"),
    Order.CHANGED: N_("Last changed first"),
}


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One line of the list; ``verb`` is the command that is most likely wanted."""

    id: str
    name: str
    owner: str
    account: str
    state: str
    kind: str
    reason: str
    next_try: datetime | None
    last_frame: datetime | None
    verb: str
    verb_label: str


def session_row(record: SessionRecord, last_frame_ms: int | None, t: Words) -> SessionRow:
    verb = "stop" if record.state in LIVE else "start"
    return SessionRow(
        id=record.id,
        name=record.name,
        owner=record.owner,
        account=account(record),
        state=t(wording.STATE[record.state]),
        kind=wording.KIND[record.state],
        reason=reason(record, t),
        next_try=next_try(record),
        last_frame=moment(last_frame_ms),
        verb=verb,
        verb_label=t("Stop") if verb == "stop" else t("Start"),
    )


@dataclass(frozen=True, slots=True)
class StateCount:
    """How many sessions are in ``state``; a filter of the list."""

    state: str
    label: str
    kind: str
    count: str


def state_counts(by_state: Mapping[State, int], chosen: State | None, t: Words) -> list[StateCount]:
    """The states that some session is in, and the chosen one; those with trouble first."""
    shown = sorted((state for state in State if by_state.get(state) or state is chosen), key=TROUBLE.index)
    return [
        StateCount(state.value, t(wording.STATE[state]), wording.KIND[state], t.number(by_state.get(state, 0)))
        for state in shown
    ]


@dataclass(frozen=True, slots=True)
class NeedRow:
    """A session that needs a person: what happened and what to do."""

    id: str
    name: str
    what: str
    todo: str


@dataclass(frozen=True, slots=True)
class Needs:
    """The first sessions that need a person, and how many there are in sentences."""

    sentence: str
    rows: list[NeedRow]
    more: str


def needs(found: Sequence[tuple[SessionRecord, str]], t: Words) -> Needs:
    """``found`` are sessions with an open need, and the addresses of their pages."""
    rows = []
    for record, _ in found[:_MOST_NEEDS]:
        need = open_need(record)
        if need is not None:
            advice = ADVICE[need.code]
            rows.append(NeedRow(record.id, record.name, t(advice.what), t(advice.todo)))
    left = len(found) - _MOST_NEEDS
    more = t.many(left, "and {n} more", "and {n} more") if left > 0 else ""
    return Needs(t.many(len(found), "{n} session needs a person", "{n} sessions need a person"), rows, more)
