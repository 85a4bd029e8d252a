"""Truth tables of what becomes of a waiting notice, the reminders' schedule and the delivery's waits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from watchdog.domain import notices
from watchdog.domain.alert import (
    AlertContext,
    AlertDecision,
    AlertPolicy,
    Why,
    decide,
    needs_fallback,
    reminder_due,
    retry_in_ms,
)
from watchdog.domain.states import Incident, IncidentKind, Notice, NoticeKind

POLICY = AlertPolicy()
MINUTE = 60_000
OPEN = Incident("i1", "bot", IncidentKind.DOWN, 1000, 5000, "timeout")
OVER = replace(OPEN, closed_at_ms=60_000, close_reason="recovered")
ACKNOWLEDGED = replace(OPEN, acknowledged_at_ms=6000, acknowledged_by="ann")


def _notice(kind: NoticeKind) -> Notice:
    return Notice(f"i1:{kind}", "bot", kind, 5000, "title", "text", incident_id="i1")


@pytest.mark.parametrize(
    ("kind", "context", "verdict", "why"),
    [
        ("down", AlertContext(OPEN), "send", "news"),
        ("down", AlertContext(OVER, in_maintenance=True), "send", "news"),
        ("down", AlertContext(OVER, closer="waiting"), "merge", "both_waited"),
        ("down", AlertContext(OVER, closer="done"), "send", "news"),
        ("up", AlertContext(OVER, opener="done"), "send", "news"),
        ("up", AlertContext(OVER, opener=None), "merge", "opener_never_meant"),
        ("up", AlertContext(OVER, opener="waiting"), "merge", "both_waited"),
        ("up", AlertContext(OVER, opener="leased"), "hold", "opener_in_flight"),
        ("up", AlertContext(OVER, opener="muted"), "mute", "opener_muted"),
        ("up", AlertContext(OVER, opener="expired"), "mute", "opener_muted"),
        ("up", AlertContext(OVER, opener="done", in_maintenance=True), "send", "news"),
        ("degraded_over", AlertContext(OVER, opener="waiting"), "hold", "opener_still_waits"),
        ("reminder", AlertContext(OPEN, opener="done"), "send", "news"),
        ("reminder", AlertContext(OVER, opener="done"), "mute", "incident_over"),
        ("reminder", AlertContext(None), "mute", "incident_over"),
        ("reminder", AlertContext(ACKNOWLEDGED, opener="done"), "mute", "acknowledged"),
        ("reminder", AlertContext(OPEN, opener="done", in_maintenance=True), "mute", "maintenance"),
        ("reminder", AlertContext(OPEN, opener="done", newer_reminder=True), "mute", "superseded"),
        ("reminder", AlertContext(OPEN, opener="waiting"), "mute", "opener_still_waits"),
        ("degraded", AlertContext(OPEN), "send", "news"),
        ("degraded", AlertContext(OPEN, open_kinds=frozenset({IncidentKind.DOWN})), "hold", "inhibited_by_down"),
        ("degraded", AlertContext(OVER, open_kinds=frozenset({IncidentKind.DOWN})), "mute", "incident_over"),
        ("degraded", AlertContext(OPEN, open_kinds=frozenset({IncidentKind.BLIND})), "hold", "inhibited_by_blind"),
        ("degraded", AlertContext(OPEN, in_maintenance=True), "hold", "maintenance"),
        ("refused", AlertContext(OPEN, open_kinds=frozenset({IncidentKind.DOWN})), "hold", "inhibited_by_down"),
        ("refused", AlertContext(OPEN, open_kinds=frozenset({IncidentKind.FLAPPING})), "send", "news"),
        ("blind", AlertContext(OPEN, open_kinds=frozenset({IncidentKind.DOWN})), "send", "news"),
        ("flapping", AlertContext(OPEN), "send", "news"),
        ("restarted", AlertContext(), "send", "news"),
        ("restarted", AlertContext(restarts=3), "mute", "too_many_restarts"),
        ("restarted", AlertContext(in_maintenance=True), "mute", "maintenance"),
        ("restarted", AlertContext(open_kinds=frozenset({IncidentKind.DOWN})), "mute", "inhibited_by_down"),
        ("channel_failing", AlertContext(), "send", "news"),
        ("channel_failing", AlertContext(channel_works=True), "mute", "channel_works_again"),
        ("test", AlertContext(in_maintenance=True), "send", "news"),
        ("repair_budget_spent", AlertContext(OPEN, in_maintenance=True), "send", "news"),
    ],
)
def test_every_case_has_its_verdict_and_its_reason(kind: str, context: AlertContext, verdict: str, why: str) -> None:
    judged = decide(_notice(NoticeKind(kind)), context, POLICY)
    assert (judged.decision, judged.why) == (verdict, why)


_SURROUNDINGS = st.builds(
    AlertContext,
    incident=st.sampled_from([None, OPEN, OVER, ACKNOWLEDGED]),
    closer=st.sampled_from([None, "waiting", "leased", "done"]),
    opener=st.sampled_from([None, "waiting", "leased", "done", "merged", "muted", "expired"]),
    open_kinds=st.frozensets(st.sampled_from(IncidentKind)),
    in_maintenance=st.booleans(),
    newer_reminder=st.booleans(),
    restarts=st.integers(0, 10),
    channel_works=st.booleans(),
)


@given(st.sampled_from(NoticeKind), _SURROUNDINGS)
def test_down_is_always_told_and_up_is_never_silent_after_it(kind: NoticeKind, context: AlertContext) -> None:
    judged = decide(_notice(kind), context, POLICY)
    assert isinstance(judged.why, Why)
    if kind in (NoticeKind.DOWN, NoticeKind.WAS_DOWN):
        assert judged.decision in (AlertDecision.SEND, AlertDecision.MERGE)
    if kind is NoticeKind.UP and context.opener in ("done", "waiting", "leased", None):
        assert judged.decision is not AlertDecision.MUTE


def test_every_kind_of_incident_has_a_beginning_and_an_end_that_say_since_when() -> None:
    for kind in IncidentKind:
        incident = Incident(f"bot-{kind}", "bot", kind, 1_767_225_600_000, 1_767_225_604_000, "because")
        begins = notices.opened(incident, failures=3)
        ends = notices.closed(replace(incident, closed_at_ms=1_767_225_700_000, close_reason="x"))
        assert begins.id != ends.id
        for notice in (begins, ends):
            assert "2026-01-01 00:00:00 UTC" in notice.text
            assert notice.incident_id == incident.id
        assert notices.OPENER_OF[ends.kind] is begins.kind


def test_the_end_of_what_is_still_open_cannot_be_told() -> None:
    with pytest.raises(ValueError, match="still open"):
        notices.closed(OPEN)


@pytest.mark.parametrize(
    ("reminders", "since_last_ms", "due"),
    [
        (0, 15 * MINUTE - 1, False),
        (0, 15 * MINUTE, True),
        (1, 45 * MINUTE - 1, False),
        (1, 45 * MINUTE, True),
        (2, 240 * MINUTE - 1, False),
        (2, 240 * MINUTE, True),
        (50, 240 * MINUTE, True),
    ],
)
def test_reminders_are_due_at_a_quarter_an_hour_and_then_every_four(
    reminders: int, since_last_ms: int, due: bool
) -> None:
    incident = replace(OPEN, reminders=reminders, last_notice_at_ms=10_000)
    assert reminder_due(incident, 10_000 + since_last_ms, POLICY) is due
    assert not reminder_due(replace(incident, closed_at_ms=1), 10_000 + since_last_ms, POLICY)
    assert not reminder_due(replace(incident, acknowledged_at_ms=1), 10_000 + since_last_ms, POLICY)


@given(st.integers(0, 10**6), st.one_of(st.none(), st.floats(0, 1e9)), st.floats(0, 1))
def test_a_wait_is_never_shorter_than_asked_and_never_longer_than_the_caps(
    tries: int, asked_s: float | None, pick: float
) -> None:
    wait = retry_in_ms(tries, asked_s, POLICY, pick)
    asked_ms = 0 if asked_s is None else min(int(asked_s * 1000), POLICY.retry_after_cap_ms)
    assert asked_ms <= wait <= asked_ms + POLICY.backoff_cap_ms


def test_the_fallback_is_needed_after_three_tries_or_thirty_seconds() -> None:
    assert not needs_fallback(2, 29_999, POLICY)
    assert needs_fallback(3, 0, POLICY)
    assert needs_fallback(0, 30_000, POLICY)


@pytest.mark.parametrize(
    ("duration_ms", "text"),
    [
        (0, "0 s"),
        (42_000, "42 s"),
        (60_000, "1 min"),
        (185_000, "3 min 5 s"),
        (7_800_000, "2 h 10 min"),
        (273_600_000, "3 d 4 h"),
    ],
)
def test_durations_are_written_as_people_say_them(duration_ms: int, text: str) -> None:
    assert notices.length(duration_ms) == text
