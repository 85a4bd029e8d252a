"""Who has had its time, and what raises doubt about receiving."""

from __future__ import annotations

from array import array

import pytest

from bot_service.domain.expiry import ExpiryAction, ExpiryDecision, ExpiryPolicy, decide_expiry
from bot_service.domain.readiness import DoubtPolicy, Evidence, Pattern, Suspicion, doubt, parts
from bot_service.domain.reconnect import HerdLimit
from bot_service.domain.session_record import HOUR_MS, SessionRecord, StreamError
from bot_service.domain.states import State, Wanted
from tests.bot_service.domain.sessions import NOW, session

DAY_MS = 24 * HOUR_MS
MINUTE = 60_000


def verdict(
    action: ExpiryAction, *, idle_ms: int = 0, age_ms: int = HOUR_MS, paired: bool = True
) -> ExpiryDecision | None:
    record = session(
        State.READY if paired else State.PAIRING,
        active_ms=NOW - idle_ms,
        aged_from_ms=NOW - age_ms,
        created_ms=NOW - max(age_ms, idle_ms),
    )
    return decide_expiry(record, ExpiryPolicy(DAY_MS, 7 * DAY_MS, action), NOW)


@pytest.mark.parametrize(
    ("action", "paired", "inactive", "old"),
    [
        (ExpiryAction.AUTO, True, ExpiryDecision.CLOSE_INACTIVE, ExpiryDecision.RECYCLE_OLD),
        (ExpiryAction.AUTO, False, ExpiryDecision.CLOSE_INACTIVE, ExpiryDecision.CLOSE_OLD),
        (ExpiryAction.CLOSE, True, ExpiryDecision.CLOSE_INACTIVE, ExpiryDecision.CLOSE_OLD),
        (ExpiryAction.CLOSE, False, ExpiryDecision.CLOSE_INACTIVE, ExpiryDecision.CLOSE_OLD),
        (ExpiryAction.RECYCLE, True, ExpiryDecision.RECYCLE_INACTIVE, ExpiryDecision.RECYCLE_OLD),
        (ExpiryAction.RECYCLE, False, ExpiryDecision.CLOSE_INACTIVE, ExpiryDecision.CLOSE_OLD),
    ],
)
def test_what_expiry_does(action: ExpiryAction, paired: bool, inactive: ExpiryDecision, old: ExpiryDecision) -> None:
    assert verdict(action, paired=paired) is None
    assert verdict(action, idle_ms=DAY_MS - 1, age_ms=DAY_MS, paired=paired) is None
    assert verdict(action, idle_ms=DAY_MS, age_ms=2 * DAY_MS, paired=paired) is inactive
    assert verdict(action, age_ms=7 * DAY_MS, paired=paired) is old


@pytest.mark.parametrize("state", [State.STOPPED, State.CLOSED, State.LOGGED_OUT, State.BANNED, State.FAILED])
def test_what_does_not_run_cannot_expire(state: State) -> None:
    wanted = Wanted.STOP if state in (State.STOPPED, State.CLOSED) else Wanted.RUN
    record = session(state, wanted=wanted, active_ms=0, aged_from_ms=1, created_ms=0)
    assert decide_expiry(record, ExpiryPolicy(DAY_MS, 7 * DAY_MS), NOW) is None


def linked(**fields: object) -> SessionRecord:
    return session(State.READY, linked_ms=NOW - 2 * HOUR_MS, **fields)


def busy(messages: int = 120, until_ms: int = NOW) -> Evidence:
    """A session that heard a message every thirty seconds for an hour."""
    evidence = Evidence()
    for number in range(messages):
        evidence.inbound(until_ms - (messages - number) * 30_000)
    return evidence


def test_silence_is_suspected_by_the_own_pattern_within_five_minutes() -> None:
    last = NOW - 30_000
    assert doubt(linked(inbound_ms=last), busy(), DoubtPolicy(), NOW) is None
    noticed = next(
        minutes
        for minutes in range(1, 30)
        if doubt(linked(inbound_ms=last), busy(), DoubtPolicy(), last + minutes * MINUTE) is Suspicion.SILENCE
    )
    assert noticed <= 5


def test_silence_of_a_quiet_session_is_no_reason_to_doubt() -> None:
    evidence = Evidence()
    for number in range(60):
        evidence.inbound(NOW - (60 - number) * 6 * HOUR_MS)
    record = linked(inbound_ms=NOW - 6 * HOUR_MS)
    assert doubt(record, evidence, DoubtPolicy(), NOW) is None


def test_an_hour_is_learned_by_the_time_that_was_listened() -> None:
    pattern = Pattern()
    begun = NOW + 40 * MINUTE  # the service starts in the middle of an hour
    for minute in range(40, 60):
        pattern.count(begun + (minute - 40) * MINUTE)
    pattern.count(NOW + HOUR_MS)
    assert pattern.expected(NOW + DAY_MS, NOW + DAY_MS + HOUR_MS) == pytest.approx(60, rel=0.01)


def test_what_waited_at_the_server_is_not_learned_as_usual_for_the_hour_in_which_it_came() -> None:
    evidence = Evidence()
    for number in range(500):
        evidence.inbound(NOW + number, sent_ms=NOW - HOUR_MS)
    assert evidence.pattern.learned == 0
    evidence.inbound(NOW + 1000, sent_ms=NOW)
    assert evidence.pattern.learned == 1


def test_hours_without_a_message_are_forgotten_slowly() -> None:
    pattern = Pattern(array("f", [10.0]) * 24)
    pattern.count(NOW)
    pattern.count(NOW + 6 * HOUR_MS)
    night = pattern.expected(NOW + DAY_MS + HOUR_MS, NOW + DAY_MS + 6 * HOUR_MS)
    assert night == pytest.approx(5 * 7.0, rel=0.01)


def test_silence_alone_is_asked_twice_and_then_believed_but_a_probe_is_not() -> None:
    later = NOW + 10 * MINUTE
    for step, wanted in ((0, Suspicion.SILENCE), (1, Suspicion.SILENCE), (2, None)):
        assert doubt(linked(inbound_ms=NOW, recovery_step=step), busy(), DoubtPolicy(), later) is wanted
    evidence = busy()
    evidence.probe_failed_ms = NOW
    assert doubt(linked(inbound_ms=NOW, recovery_step=2), evidence, DoubtPolicy(), later) is Suspicion.PROBE


def test_sends_to_three_chats_without_a_receipt_raise_doubt_until_one_comes() -> None:
    evidence = Evidence()
    for chat in ("a", "b", "c"):
        evidence.sent(chat, NOW - 150_000)
    assert doubt(linked(), evidence, DoubtPolicy(), NOW - 1) is None
    assert doubt(linked(), evidence, DoubtPolicy(), NOW) is Suspicion.NO_RECEIPTS
    evidence.proven()
    assert doubt(linked(), evidence, DoubtPolicy(), NOW) is None


def test_a_probe_that_did_not_return_raises_doubt_until_a_new_link() -> None:
    evidence = Evidence(probe_failed_ms=NOW)
    assert doubt(linked(), evidence, DoubtPolicy(), NOW) is Suspicion.PROBE
    evidence.linked()
    assert doubt(linked(), evidence, DoubtPolicy(), NOW) is None


def test_one_signature_again_and_again_raises_doubt_until_something_is_heard() -> None:
    errors = tuple(StreamError("ack", NOW - minutes * MINUTE) for minutes in (60, 30, 1))
    assert doubt(linked(errors=errors), Evidence(), DoubtPolicy(), NOW) is Suspicion.SIGNATURE
    assert doubt(linked(errors=errors, inbound_ms=NOW), Evidence(), DoubtPolicy(), NOW) is None
    assert doubt(linked(errors=errors[:2]), Evidence(), DoubtPolicy(), NOW) is None


def test_old_stream_errors_are_no_reason_to_doubt_a_link_that_has_just_come_up() -> None:
    errors = tuple(StreamError("ack", NOW - minutes * MINUTE) for minutes in (60, 30, 1))
    fresh = session(State.READY, linked_ms=NOW, errors=errors)
    assert doubt(fresh, Evidence(), DoubtPolicy(), NOW + 119_000) is None
    assert doubt(fresh, Evidence(), DoubtPolicy(), NOW + 120_000) is Suspicion.SIGNATURE


def test_every_part_of_readiness_has_its_age() -> None:
    seen = parts(linked(inbound_ms=NOW - 5000), Evidence(), None, 1200, 60_000, NOW)
    assert {name: (part.ok, part.age_ms) for name, part in seen.items()} == {
        "connected": (True, 2 * HOUR_MS),
        "authenticated": (True, 2 * HOUR_MS),
        "frames": (True, 1200),
        "receiving": (True, 5000),
    }
    stale = parts(linked(), Evidence(), Suspicion.PROBE, 60_000, 60_000, NOW)
    assert not stale["frames"].ok
    assert (stale["receiving"].ok, stale["receiving"].detail) == (False, "probe_not_returned")


def test_five_hundred_reconnects_are_spread_over_a_minute_and_one_alone_never_waits() -> None:
    herd = HerdLimit(500)
    waits = [herd.wait_ms(NOW) for _ in range(500)]
    assert waits[:8] == [0] * 8
    assert waits == sorted(waits)
    assert 58_000 <= waits[-1] <= 60_000
    assert herd.wait_ms(NOW + 120_000) == 0
    # Three replicas reconnect as many in a minute as one did, all together.
    herd.divide(3)
    assert sum(herd.wait_ms(NOW + 240_000) < 60_000 for _ in range(500)) == pytest.approx(500 / 3, abs=10)
