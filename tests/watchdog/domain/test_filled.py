"""Gaps are filled from the records of other watchdogs, and no millisecond counts twice."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from watchdog.domain.bars import daily
from watchdog.domain.filled import PeerSpan, fill, taken
from watchdog.domain.target import Stretch
from watchdog.domain.uptime import DAY_MS, Span, measure

KINDS = st.sampled_from(list(Stretch))
END = 60


def test_only_what_this_watchdog_does_not_know_is_filled() -> None:
    own = [Span(Stretch.UP, 0, 10), Span(Stretch.UNKNOWN, 10, 40), Span(Stretch.DOWN, 40, None)]
    said = [Span(Stretch.DOWN, 5, 20), Span(Stretch.UNKNOWN, 20, 30), Span(Stretch.UP, 30, None)]
    peers = taken(said, own[1], [], "frankfurt")
    assert peers == [PeerSpan(Stretch.DOWN, 10, 20, "frankfurt"), PeerSpan(Stretch.UP, 30, 40, "frankfurt")]
    assert fill(own, peers) == [
        Span(Stretch.UP, 0, 10),
        PeerSpan(Stretch.DOWN, 10, 20, "frankfurt"),
        Span(Stretch.UNKNOWN, 20, 30),
        PeerSpan(Stretch.UP, 30, 40, "frankfurt"),
        Span(Stretch.DOWN, 40, None),
    ]


def test_a_second_peer_fills_what_the_first_did_not_know() -> None:
    gap = Span(Stretch.UNKNOWN, 10, 40)
    first = taken([Span(Stretch.UP, 0, 25)], gap, [], "frankfurt")
    second = taken([Span(Stretch.DOWN, 20, 90)], gap, first, "oslo")
    assert second == [PeerSpan(Stretch.DOWN, 25, 40, "oslo")]


def test_a_hole_in_the_own_record_is_filled_too() -> None:
    own = [Span(Stretch.UP, 0, 10), Span(Stretch.UP, 40, None)]
    peers = [PeerSpan(Stretch.DOWN, 5, 30, "frankfurt")]
    assert measure(fill(own, peers), 0, 50).down_ms == 20
    assert measure(fill(own, peers), 0, 50).unknown_ms == 10


def test_a_day_names_whose_record_it_holds() -> None:
    hour = DAY_MS // 24
    gap = Span(Stretch.UNKNOWN, DAY_MS - hour, DAY_MS + hour)
    own = [Span(Stretch.UP, 0, gap.from_ms), gap, Span(Stretch.UP, DAY_MS + hour, None)]
    days = daily(fill(own, taken([Span(Stretch.DOWN, 0, None)], gap, [], "oslo")), 2 * DAY_MS - 1, 2)
    assert [(day.filled, day.uptime.down_ms) for day in days] == [({"oslo": hour}, hour), ({"oslo": hour}, hour)]


@st.composite
def records(draw: st.DrawFn, *, goes_on: bool = True) -> list[Span]:
    """A record without overlaps, as a ledger holds it, perhaps with holes."""
    edges = sorted(draw(st.sets(st.integers(0, END), min_size=2, max_size=10)))
    found = [Span(draw(KINDS), begin, end) for begin, end in itertools.pairwise(edges) if draw(st.integers(0, 4))]
    if found and goes_on and draw(st.booleans()):
        found[-1] = Span(found[-1].kind, found[-1].from_ms, None)
    return found


def at(spans: list[Span], moment: int) -> list[Span]:
    return [span for span in spans if span.from_ms <= moment and (span.until_ms is None or moment < span.until_ms)]


@given(records(), st.lists(records(), max_size=3))
def test_any_records_known_time_stays_and_each_moment_counts_once(own: list[Span], said: list[list[Span]]) -> None:
    peers: list[PeerSpan] = []
    gaps = [span for span in own if span.kind is Stretch.UNKNOWN and span.until_ms is not None]
    for number, record in enumerate(said):
        for gap in gaps:
            peers += taken(record, gap, sorted(peers, key=lambda span: span.from_ms), f"peer-{number}")
    filled = fill(own, sorted(peers, key=lambda span: span.from_ms))
    for moment in range(END + 1):
        mine, shown = at(own, moment), at(filled, moment)
        assert len(shown) == len(mine), moment
        if not mine:
            continue
        in_gap = mine[0] in gaps
        known = [kind for record in said for span in at(record, moment) if (kind := span.kind) is not Stretch.UNKNOWN]
        assert shown[0].kind is (known[0] if in_gap and known else mine[0].kind)
        assert isinstance(shown[0], PeerSpan) is bool(in_gap and known)
