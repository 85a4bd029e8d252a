"""Commands, time and the ladder: what a session becomes when nobody's engine speaks."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from bot_service.domain.reasons import Reason
from bot_service.domain.recovery import gave_up, reset_recovery
from bot_service.domain.session_record import (
    ClientAccepted,
    ClientOutdated,
    Command,
    CommandKind,
    Decision,
    Due,
    DueKind,
    EffectKind,
    LinkCheck,
    SessionPolicy,
    SessionRecord,
    TimerFired,
)
from bot_service.domain.session_rules import advance, refusal
from bot_service.domain.signals import SignalKind
from bot_service.domain.states import ENDS, FINAL, LIVE, Actor, State, Wanted
from tests.bot_service.domain.sessions import NOW, POLICY, due_in, kinds, on, session

MINUTE = 60_000


def do(record: SessionRecord, kind: CommandKind, reason: Reason | None = None) -> Decision:
    return advance(record, Command(kind, reason), POLICY, NOW)


def fire(record: SessionRecord, policy: SessionPolicy = POLICY, now: int | None = None) -> Decision:
    assert record.due is not None
    return advance(record, TimerFired(record.due.kind), policy, record.due.at_ms if now is None else now)


def look(record: SessionRecord, age: int = 0, suspicion: str | None = None, now: int = NOW) -> Decision:
    return advance(record, LinkCheck(age, suspicion), POLICY, now)


@pytest.mark.parametrize("state", sorted(LIVE))
def test_a_start_of_a_session_that_runs_changes_nothing(state: State) -> None:
    after, effects = do(session(state), CommandKind.START)
    assert (after.state, effects) == (state, ())


@pytest.mark.parametrize("state", sorted(ENDS | {State.STOPPED}))
def test_a_start_of_one_that_does_not_run_begins_anew(state: State) -> None:
    before = session(state, wanted=Wanted.STOP, attempt=9, careful=3, qr_rounds=2, engaged=False)
    step = do(before, CommandKind.START)
    assert (step[0].state, step[0].wanted, step[0].attempt, step[0].careful) == (State.STARTING, Wanted.RUN, 0, 0)
    assert kinds(step) == [EffectKind.START]
    assert due_in(step[0], DueKind.START) == MINUTE


@pytest.mark.parametrize("state", sorted(LIVE))
def test_a_stop_ends_what_runs_and_waits_for_nothing(state: State) -> None:
    step = do(session(state, due=Due(DueKind.RETRY, NOW + 1)), CommandKind.STOP)
    assert (step[0].state, step[0].wanted, step[0].due, step[0].linked) == (State.STOPPED, Wanted.STOP, None, False)
    assert kinds(step) == [EffectKind.STOP]
    again = do(step[0], CommandKind.STOP)
    assert again == (step[0], ())


@pytest.mark.parametrize("state", [State.LOGGED_OUT, State.BANNED, State.CLOSED])
def test_a_stop_of_an_end_keeps_what_is_known(state: State) -> None:
    after, effects = do(session(state, engaged=False), CommandKind.STOP)
    assert (after.state, after.wanted, effects) == (state, Wanted.STOP, ())


def test_a_restart_begins_a_fresh_connection_of_a_ready_session() -> None:
    step = do(session(State.READY), CommandKind.RESTART)
    assert (step[0].state, step[0].linked, kinds(step)) == (State.STARTING, False, [EffectKind.START])


def test_a_start_during_a_temporary_ban_is_refused() -> None:
    banned = session(State.TEMP_BANNED, banned_until_ms=NOW + 1)
    refused = refusal(banned, CommandKind.START, NOW)
    assert refused is not None
    assert refused.code == "temporarily_banned"
    assert refusal(banned, CommandKind.START, NOW + 1) is None
    stopped, _ = do(banned, CommandKind.STOP)
    assert refusal(stopped, CommandKind.START, NOW) is not None


def test_a_close_keeps_the_pairing_and_a_start_brings_it_back_with_a_new_age() -> None:
    step = do(session(State.READY), CommandKind.CLOSE, Reason.INACTIVE)
    closed = step[0]
    assert (closed.state, closed.reason, closed.wanted) == (State.CLOSED, "inactive", Wanted.STOP)
    assert closed.jid is not None
    assert kinds(step) == [EffectKind.STOP, EffectKind.ATTENTION]
    back, _ = do(closed, CommandKind.START)
    assert (back.state, back.aged_from_ms, back.active_ms) == (State.STARTING, NOW, NOW)


def test_a_recycle_keeps_the_pairing_and_counts_the_age_anew() -> None:
    after, _ = do(session(State.READY), CommandKind.RECYCLE, Reason.RECYCLE_MAX_AGE)
    assert (after.state, after.aged_from_ms, after.reason) == (State.RECONNECTING, NOW, "recycle_max_age")
    assert due_in(after, DueKind.RETRY) == 0
    assert kinds(fire(after)) == [EffectKind.START]


# --- time ---


@pytest.mark.parametrize("kind", [DueKind.START, DueKind.CONNECT, DueKind.PAIRED, DueKind.TAKE_OVER])
def test_what_takes_too_long_is_started_again_after_a_random_wait(kind: DueKind) -> None:
    after, effects = fire(session(State.CONNECTING, due=Due(kind, NOW)))
    assert (after.state, after.attempt, effects) == (State.RECONNECTING, 1, ())
    assert due_in(after, DueKind.RETRY) < 2000


def test_a_retry_starts_the_client_and_waits_for_its_answer() -> None:
    step = fire(session(State.RECONNECTING, due=Due(DueKind.RETRY, NOW)))
    assert (step[0].state, kinds(step)) == (State.RECONNECTING, [EffectKind.START])
    assert due_in(step[0], DueKind.START) == MINUTE


def test_a_wait_that_is_over_for_another_reason_does_nothing() -> None:
    before = session(State.READY)
    assert advance(before, TimerFired(DueKind.RETRY), POLICY, NOW) == (before, ())
    stopped = session(State.STOPPED, wanted=Wanted.STOP, due=Due(DueKind.RETRY, NOW))
    assert advance(stopped, TimerFired(DueKind.RETRY), POLICY, NOW) == (stopped, ())


def test_syncing_that_never_ends_is_ready_after_its_time() -> None:
    syncing, _ = on(session(State.CONNECTING), SignalKind.CONNECTED)
    after, _ = fire(syncing)
    assert (after.state, after.reason) == (State.READY, "sync_timed_out")


def test_a_code_that_nobody_hears_of_again_counts_as_a_round() -> None:
    shown, _ = on(session(State.PAIRING), SignalKind.QR, code="x", expiresInMs=20_000)
    after, _ = fire(shown)
    assert (after.state, after.qr_rounds) == (State.PAIRING, 1)


def test_the_one_try_after_a_temporary_ban() -> None:
    banned, _ = on(session(State.READY), SignalKind.TEMP_BANNED, expiresInMs=MINUTE)
    step = fire(banned)
    assert (step[0].state, step[0].ban_tries, kinds(step)) == (State.STARTING, 1, [EffectKind.START])


def test_keepalive_that_stays_away_renews_the_connection() -> None:
    degraded, _ = on(session(State.READY), SignalKind.KEEPALIVE_TIMEOUT)
    after, _ = fire(degraded)
    assert (after.state, after.reason) == (State.RECONNECTING, "keepalive_timeout_reconnect")


# --- the fleet ---


def test_no_session_but_the_canary_retries_while_the_client_is_outdated() -> None:
    outdated = SessionPolicy(client_outdated=True, canary="other")
    step = fire(session(State.RECONNECTING, due=Due(DueKind.RETRY, NOW)), outdated)
    assert (step[0].state, step[0].due, kinds(step)) == (State.OUTDATED, None, [EffectKind.STOP])
    canary = SessionPolicy(client_outdated=True, canary="s1")
    asking = fire(session(State.OUTDATED, due=Due(DueKind.CANARY_LOGIN, NOW)), canary)
    assert (asking[0].state, kinds(asking)) == (State.STARTING, [EffectKind.START])
    former = fire(session(State.OUTDATED, due=Due(DueKind.CANARY_LOGIN, NOW)), outdated)
    assert (former[0].state, former[0].due, kinds(former)) == (State.OUTDATED, None, [])


def test_the_canary_tries_when_it_is_asked_to() -> None:
    asked, _ = advance(session(State.OUTDATED), Command(CommandKind.TRY_AS_CANARY, at_ms=NOW), POLICY, NOW)
    assert due_in(asked, DueKind.CANARY_LOGIN) == 0
    later, _ = advance(session(State.OUTDATED), Command(CommandKind.TRY_AS_CANARY), POLICY, NOW)
    assert due_in(later, DueKind.CANARY_LOGIN) == 30 * MINUTE


@pytest.mark.parametrize("state", [State.STARTING, State.CONNECTING, State.RECONNECTING])
def test_a_session_that_is_not_connected_waits_while_the_fleet_is_outdated(state: State) -> None:
    held, effects = advance(session(state, linked=False, engaged=True), ClientOutdated(), POLICY, NOW)
    assert (held.state, held.reason, held.due, held.engaged) == (State.OUTDATED, "fleet_outdated", None, False)
    assert [effect.kind for effect in effects] == [EffectKind.STOP]


@pytest.mark.parametrize(
    "state", [State.READY, State.SYNCING, State.DEGRADED, State.PAIRING, State.BANNED, State.STOPPED]
)
def test_an_outdated_fleet_leaves_connected_and_ended_sessions_alone(state: State) -> None:
    record = session(state, linked=True)
    assert advance(record, ClientOutdated(), POLICY, NOW) == (record, ())


def test_all_sessions_return_at_once_and_only_the_herd_limit_spreads_them() -> None:
    after, _ = advance(session(State.OUTDATED), ClientAccepted(), POLICY, NOW)
    assert after.state is State.RECONNECTING
    assert due_in(after, DueKind.RETRY) == 0
    alone, _ = advance(session(State.RECONNECTING, reason="client_refused", careful=1), ClientAccepted(), POLICY, NOW)
    assert (alone.reason, alone.careful, due_in(alone, DueKind.RETRY)) == ("fleet_recovered", 0, 0)
    stopped = session(State.OUTDATED, wanted=Wanted.STOP)
    assert advance(stopped, ClientAccepted(), POLICY, NOW) == (stopped, ())
    given_up, _ = advance(session(State.FAILED, reason="client_refused"), ClientAccepted(), POLICY, NOW)
    assert (given_up.state, due_in(given_up, DueKind.RETRY)) == (State.RECONNECTING, 0)
    failed = session(State.FAILED, reason="connect_refused")
    assert advance(failed, ClientAccepted(), POLICY, NOW) == (failed, ())


@pytest.mark.parametrize("state", [State.STOPPED, State.BANNED, State.LOGGED_OUT, State.FAILED])
def test_a_reconnect_concerns_only_what_is_to_be_connected(state: State) -> None:
    record = session(state)
    assert advance(record, Command(CommandKind.RECONNECT), POLICY, NOW) == (record, ())
    stopping = session(State.RECONNECTING, wanted=Wanted.STOP)
    assert advance(stopping, Command(CommandKind.RECONNECT), POLICY, NOW) == (stopping, ())


def test_a_restored_session_is_started_though_the_fleet_is_outdated() -> None:
    outdated = SessionPolicy(client_outdated=True, canary="other")
    restored = session(State.STARTING, reason="restored", due=Due(DueKind.RETRY, NOW))
    assert kinds(fire(restored, outdated)) == [EffectKind.START]


# --- boot ---


def test_boot_starts_what_ran_and_leaves_alone_what_did_not() -> None:
    for state in LIVE:
        after, effects = advance(session(state), Command(CommandKind.RESTORE, at_ms=NOW + 500), POLICY, NOW)
        assert (after.state, after.reason, effects) == (State.STARTING, "restored", ())
        assert due_in(after, DueKind.RETRY) == 500
    for state in FINAL | {State.STOPPED}:
        before = session(state, wanted=Wanted.STOP)
        assert do(before, CommandKind.RESTORE) == (before, ())
    for state in FINAL:
        before = session(state)
        assert do(before, CommandKind.RESTORE) == (before, ())


def test_boot_keeps_the_end_of_a_ban_and_the_wait_of_a_careful_try() -> None:
    banned = session(State.TEMP_BANNED, due=Due(DueKind.BAN_OVER, NOW + MINUTE))
    after, _ = do(banned, CommandKind.RESTORE)
    assert (after.state, after.due) == (State.TEMP_BANNED, banned.due)
    careful = session(State.RECONNECTING, careful=2, due=Due(DueKind.RETRY, NOW + MINUTE))
    after, _ = do(careful, CommandKind.RESTORE)
    assert (after.state, after.due) == (State.RECONNECTING, careful.due)


# --- looks and the ladder ---


def test_a_link_without_frames_is_degraded_and_renewed_unless_they_come_back() -> None:
    stale, _ = look(session(State.READY), age=60_000)
    assert (stale.state, stale.reason) == (State.DEGRADED, "frames_stale")
    assert look(stale, age=0)[0].state is State.READY
    renewed, _ = fire(stale)
    assert (renewed.state, renewed.reason) == (State.RECONNECTING, "frames_stale_reconnect")


def test_suspicion_degrades_first_and_is_taken_back_when_something_arrives() -> None:
    doubted, effects = look(session(State.READY), suspicion="silence_pattern")
    assert (doubted.state, doubted.reason, doubted.detail, effects) == (
        State.DEGRADED,
        "receive_suspected",
        "silence_pattern",
        (),
    )
    assert due_in(doubted, DueKind.RECOVERY) == 5000
    after, _ = look(doubted)
    assert (after.state, after.suspicion, after.due) == (State.READY, None, None)


def doubt_again(record: SessionRecord, now: int) -> SessionRecord:
    linked = on(record, SignalKind.CONNECTED, now=now)[0]
    ready = on(linked, SignalKind.OFFLINE_SYNC_COMPLETED, now=now)[0]
    assert ready.state is State.READY
    return look(ready, suspicion="probe_not_returned", now=now)[0]


def test_the_ladder_climbs_reconnect_rebuild_recycle_and_a_person() -> None:
    record = look(session(State.READY), suspicion="probe_not_returned")[0]
    taken = []
    for number in range(3):
        climbed = fire(record)
        if climbed[0].due is not None and climbed[0].due.kind is DueKind.RETRY:
            climbed = fire(climbed[0])
        taken.append([effect.kind for effect in climbed[1]])
        assert climbed[0].state is State.RECONNECTING
        record = doubt_again(climbed[0], NOW + (number + 1) * 3 * MINUTE)
    assert taken == [[EffectKind.START], [EffectKind.REBUILD], [EffectKind.RECYCLE_WORKER]]
    step = fire(record)
    assert (step[0].state, step[0].actor, kinds(step)) == (State.DEGRADED, Actor.OPERATOR, [EffectKind.ATTENTION])
    assert due_in(step[0], DueKind.RECOVERY, record.due.at_ms if record.due else 0) == 60 * MINUTE
    assert gave_up(step[0])


def doubted(step: int) -> SessionRecord:
    """A session in doubt on recovery step ``step``; the next one is due."""
    record = session(
        State.DEGRADED,
        reason="receive_suspected",
        suspicion="probe_not_returned",
        recovery_step=step,
        recovery_step_ms=NOW,
    )
    return replace(record, due=Due(DueKind.RECOVERY, NOW))


def given_up() -> SessionRecord:
    """A session for which nothing helped and a person was notified."""
    return fire(doubted(3))[0]


def test_after_a_person_was_notified_nothing_is_restarted_and_no_second_notice_follows() -> None:
    record = given_up()
    for _ in range(48):
        record, effects = fire(record)
        assert (record.state, record.actor, record.recovery_step, effects) == (State.DEGRADED, Actor.OPERATOR, 4, ())


def test_a_link_that_was_renewed_and_is_doubted_again_is_notified_again_only_after_a_rest() -> None:
    for minutes, effects in ((10, []), (61, [EffectKind.ATTENTION])):
        step = fire(doubt_again(on(given_up(), SignalKind.DISCONNECTED)[0], NOW + minutes * MINUTE))
        assert (step[0].state, step[0].actor, kinds(step)) == (State.DEGRADED, Actor.OPERATOR, effects)


def test_a_worker_whose_budget_is_spent_is_not_recycled_and_a_person_is_notified() -> None:
    step = advance(doubted(2), TimerFired(DueKind.RECOVERY, may_recycle=False), POLICY, NOW)
    assert (step[0].state, step[0].recovery_step, kinds(step)) == (State.DEGRADED, 4, [EffectKind.ATTENTION])


def test_no_worker_is_replaced_for_a_stanza_that_cannot_be_digested() -> None:
    record = session(
        State.DEGRADED,
        reason="receive_suspected",
        suspicion="repeated_stream_errors",
        recovery_step=2,
        recovery_step_ms=NOW,
    )
    step = fire(replace(record, due=Due(DueKind.RECOVERY, NOW)))
    assert (step[0].state, step[0].recovery_step, kinds(step)) == (State.DEGRADED, 4, [EffectKind.ATTENTION])


def test_time_alone_does_not_lead_back_to_the_foot_of_the_ladder() -> None:
    record = session(
        State.DEGRADED, reason="receive_suspected", suspicion="silence_pattern", recovery_step=1, recovery_step_ms=0
    )
    after, _ = fire(replace(record, due=Due(DueKind.RECOVERY, NOW)))
    assert (after.reason, after.recovery_step) == ("rebuild", 2)


def test_what_is_heard_or_what_a_person_starts_is_the_end_of_giving_up() -> None:
    assert not gave_up(look(given_up())[0])
    assert not gave_up(do(given_up(), CommandKind.RESTART)[0])
    assert not gave_up(do(given_up(), CommandKind.STOP)[0])
    assert not gave_up(reset_recovery(given_up()))


def test_a_proof_of_receiving_sets_the_ladder_to_its_foot() -> None:
    climbed = session(State.READY, recovery_step=2, recovery_step_ms=NOW)
    assert reset_recovery(climbed).recovery_step == 0
    fresh = session(State.READY)
    assert reset_recovery(fresh) is fresh


@pytest.mark.parametrize("state", sorted(set(State) - {State.READY, State.DEGRADED}))
def test_only_a_linked_session_is_looked_at(state: State) -> None:
    before = session(state)
    assert look(before, age=10**9, suspicion="silence_pattern") == (before, ())


@pytest.mark.parametrize("kind", [SignalKind.QR, SignalKind.PAIRING_CODE])
def test_a_code_that_opens_the_account_is_not_kept_in_the_record(kind: SignalKind) -> None:
    before = session(State.CONNECTING, jid=None)
    after, _ = on(before, kind, code="2@a-code-that-opens-the-account", expiresInMs=20_000)
    assert after.state is State.PAIRING
    assert "2@a-code" not in repr(after)
