"""The reaction table: one test for every signal, each saying new state, retry, delay and who must act."""

from __future__ import annotations

from bot_service.domain.reactions import REACTIONS
from bot_service.domain.session_record import DueKind, EffectKind, SessionPolicy, Signal, StreamError
from bot_service.domain.session_rules import advance
from bot_service.domain.signals import SignalKind as K
from bot_service.domain.states import Actor, State, Wanted
from tests.bot_service.domain.sessions import JID, NOW, POLICY, due_in, kinds, on, session

MINUTE = 60_000
STOP, ATTENTION = EffectKind.STOP, EffectKind.ATTENTION


def test_every_signal_has_a_row_and_every_row_a_test() -> None:
    assert set(REACTIONS) == set(K)
    names = set(globals())
    missing = [kind.value for kind in K if not any(name.startswith(f"test_{kind.value}_") for name in names)]
    assert missing == []


# --- pairing ---


def test_qr_shows_a_code_and_waits_for_a_person() -> None:
    after, effects = on(session(State.CONNECTING, jid=None), K.QR, code="2@x", expiresInMs=60_000, round=1)
    assert (after.state, after.actor, effects) == (State.PAIRING, Actor.USER, ())
    assert due_in(after, DueKind.CODES) == 2 * MINUTE


def test_qr_of_a_paired_session_is_not_shown() -> None:
    before = session(State.CONNECTING)
    assert on(before, K.QR, code="2@x", expiresInMs=60_000)[0] is before


def test_qr_exhausted_gives_a_new_round_and_after_three_waits_for_a_person() -> None:
    first, effects = on(session(State.PAIRING), K.QR_EXHAUSTED)
    assert (first.state, first.qr_rounds, first.actor, effects) == (State.PAIRING, 1, Actor.USER, ())
    assert 1000 <= due_in(first, DueKind.RETRY) < 3000
    last = on(session(State.PAIRING, qr_rounds=2), K.QR_EXHAUSTED)
    assert (last[0].state, last[0].reason, last[0].actor) == (State.FAILED, "pairing_timed_out", Actor.USER)
    assert last[0].due is None
    assert kinds(last) == [STOP, ATTENTION]


def test_qr_exhausted_is_counted_once_although_the_server_hangs_up_too() -> None:
    once, _ = on(session(State.PAIRING), K.QR_EXHAUSTED)
    again, _ = on(once, K.DISCONNECTED)
    assert again is once


def test_pairing_code_waits_for_a_person() -> None:
    after, _ = on(session(State.CONNECTING, jid=None), K.PAIRING_CODE, code="ABCD-EFGH", expiresInMs=160_000)
    assert (after.state, after.reason, after.actor) == (State.PAIRING, "pairing_code_shown", Actor.USER)


def test_paired_keeps_the_phone_and_connects_ourselves_after_a_minute() -> None:
    after, effects = on(session(State.PAIRING), K.PAIRED, jid=JID, lid="1@lid", pushName="Ann")
    assert (after.state, after.jid, after.lid, after.push_name) == (State.CONNECTING, JID, "1@lid", "Ann")
    assert effects == ()
    assert due_in(after, DueKind.PAIRED) == MINUTE


def test_pair_error_shows_a_new_code_three_times_at_most() -> None:
    after, _ = on(session(State.PAIRING), K.PAIR_ERROR, reason="bad signature")
    assert (after.state, after.reason, after.detail) == (State.PAIRING, "pair_error", "bad signature")
    assert due_in(after, DueKind.RETRY) < 3000
    last, _ = on(session(State.PAIRING, qr_rounds=2), K.PAIR_ERROR)
    assert (last.state, last.due, last.actor) == (State.FAILED, None, Actor.USER)


def test_pair_restart_is_expected_and_no_failure() -> None:
    after, effects = on(session(State.CONNECTING), K.PAIR_RESTART)
    assert (after.state, after.reason, after.actor, effects) == (State.CONNECTING, "pair_restart", Actor.NONE, ())
    assert due_in(after, DueKind.PAIRED) == MINUTE
    assert on(after, K.DISCONNECTED)[0] is after


def test_passkey_required_is_shown_to_the_user() -> None:
    after, _ = on(session(State.PAIRING), K.PASSKEY_REQUIRED)
    assert (after.state, after.reason, after.actor) == (State.PAIRING, "passkey_required", Actor.USER)
    assert after.detail is not None
    assert "remove it on the phone" in after.detail


def test_multidevice_off_is_shown_and_the_same_code_stays_valid() -> None:
    after, effects = on(session(State.PAIRING), K.MULTIDEVICE_OFF)
    assert (after.state, after.reason, after.actor, effects) == (State.PAIRING, "multidevice_off", Actor.USER, ())


# --- link ---


def test_connecting_says_so_and_is_given_its_time() -> None:
    after, _ = on(session(State.STARTING), K.CONNECTING)
    assert after.state is State.CONNECTING
    assert due_in(after, DueKind.CONNECT) == MINUTE


def test_connecting_while_linked_means_that_the_link_is_gone() -> None:
    after, _ = on(session(State.READY), K.CONNECTING)
    assert (after.state, after.linked) == (State.RECONNECTING, False)


def test_connected_is_syncing_and_not_yet_ready() -> None:
    after, effects = on(session(State.CONNECTING, attempt=3, careful=2), K.CONNECTED)
    assert (after.state, after.linked, after.linked_ms, after.careful) == (State.SYNCING, True, NOW, 0)
    assert effects == ()
    assert due_in(after, DueKind.SYNC) == 30_000


def test_connected_does_not_reset_the_backoff_of_a_link_that_flaps() -> None:
    linked, _ = on(session(State.RECONNECTING, attempt=5), K.CONNECTED)
    soon, _ = on(linked, K.STREAM_ERROR, now=NOW + 1000, signature="x")
    assert soon.attempt == 6
    later, _ = on(linked, K.STREAM_ERROR, now=NOW + POLICY.stable_ms, signature="x")
    assert later.attempt == 1


def test_offline_sync_preview_counts_what_is_to_come() -> None:
    after, _ = on(session(State.SYNCING), K.OFFLINE_SYNC_PREVIEW, messages=12)
    assert (after.state, after.missed) == (State.SYNCING, 12)


def test_offline_sync_completed_is_ready() -> None:
    after, effects = on(session(State.SYNCING), K.OFFLINE_SYNC_COMPLETED, count=12)
    assert (after.state, after.due, after.actor, effects) == (State.READY, None, Actor.NONE, ())


def test_disconnected_leaves_the_engine_five_minutes_before_we_take_over() -> None:
    after, effects = on(session(State.READY), K.DISCONNECTED, reason="eof")
    assert (after.state, after.linked, after.actor, effects) == (State.RECONNECTING, False, Actor.NONE, ())
    assert due_in(after, DueKind.TAKE_OVER) == 5 * MINUTE
    again, _ = on(after, K.DISCONNECTED, now=NOW + MINUTE)
    assert due_in(again, DueKind.TAKE_OVER) == 5 * MINUTE


def test_connect_error_backs_off_with_full_jitter_under_a_cap() -> None:
    for attempt, ceiling in [(0, 2000), (1, 4000), (5, 64_000), (20, 300_000)]:
        waits = set()
        for number in range(200):
            before = session(State.CONNECTING, attempt=attempt, linked_ms=None)
            after, _ = on(before, K.CONNECT_ERROR, now=NOW + number * 977, reason="no route")
            waits.add(due_in(after, DueKind.RETRY, NOW + number * 977))
        assert 0 <= min(waits) < ceiling * 0.1
        assert ceiling * 0.9 < max(waits) < ceiling
    assert (after.state, after.reason, after.detail) == (State.RECONNECTING, "connect_error", "no route")


def test_keepalive_timeout_is_degraded_at_the_first_and_renewed_after_75_seconds() -> None:
    after, effects = on(session(State.READY), K.KEEPALIVE_TIMEOUT, errors=1)
    assert (after.state, after.reason, effects) == (State.DEGRADED, "keepalive_timeout", ())
    assert due_in(after, DueKind.LINK) == 75_000
    assert on(after, K.KEEPALIVE_TIMEOUT, now=NOW + 30_000, errors=2)[0] is after


def test_keepalive_restored_is_ready_again() -> None:
    degraded, _ = on(session(State.READY), K.KEEPALIVE_TIMEOUT)
    after, _ = on(degraded, K.KEEPALIVE_RESTORED)
    assert (after.state, after.due) == (State.READY, None)


def test_server_unavailable_waits_for_the_engine_without_anybody_acting() -> None:
    after, effects = on(session(State.READY), K.SERVER_UNAVAILABLE, code=503)
    assert (after.state, after.actor, after.detail, effects) == (State.RECONNECTING, Actor.NONE, "503", ())
    assert due_in(after, DueKind.TAKE_OVER) == 5 * MINUTE


def test_stream_error_reconnects_and_the_same_three_times_in_two_hours_is_told_once() -> None:
    record = session(State.READY)
    told = []
    for number in range(4):
        record, effects = on(record, K.STREAM_ERROR, now=NOW + number * MINUTE, signature="ack")
        told.append([effect.reason for effect in effects])
        assert record.state is State.RECONNECTING
        assert record.jid == JID
        assert record.due is not None
    assert told == [[], [], ["poison_stanza"], []]
    assert (record.reason, record.actor) == ("poison_stanza", Actor.OPERATOR)


def test_stream_error_of_other_signatures_or_long_ago_is_not_counted() -> None:
    old = (
        StreamError("ack", NOW - 3 * 60 * MINUTE),
        StreamError("ack", NOW - 3 * 60 * MINUTE),
        StreamError("ping", NOW - MINUTE),
    )
    _, effects = on(session(State.READY, errors=old), K.STREAM_ERROR, signature="ack")
    assert effects == ()


# --- ends ---


def test_logged_out_is_final_and_needs_the_phone() -> None:
    step = on(session(State.READY), K.LOGGED_OUT, code=401, onConnect=True)
    assert (step[0].state, step[0].jid, step[0].due, step[0].actor) == (State.LOGGED_OUT, None, None, Actor.USER)
    assert step[0].wanted is Wanted.RUN
    assert kinds(step) == [STOP, ATTENTION]


def test_primary_gone_is_final_and_says_to_check_the_phone() -> None:
    step = on(session(State.READY), K.PRIMARY_GONE)
    assert (step[0].state, step[0].reason, step[0].actor) == (State.LOGGED_OUT, "primary_gone", Actor.USER)
    assert (step[0].due, kinds(step)) == (None, [STOP, ATTENTION])


def test_banned_is_final_and_pages_the_owner() -> None:
    step = on(session(State.READY), K.BANNED)
    assert (step[0].state, step[0].due, step[0].actor) == (State.BANNED, None, Actor.OWNER)
    assert kinds(step) == [STOP, ATTENTION]


def test_temp_banned_tries_once_after_the_ban_and_then_never() -> None:
    step = on(session(State.READY), K.TEMP_BANNED, code=101, expiresInMs=60 * MINUTE)
    first = step[0]
    assert (first.state, first.banned_until_ms, first.jid) == (State.TEMP_BANNED, NOW + 60 * MINUTE, JID)
    assert due_in(first, DueKind.BAN_OVER) == 65 * MINUTE
    assert kinds(step) == [STOP, ATTENTION]
    again, _ = on(session(State.CONNECTING, ban_tries=1), K.TEMP_BANNED, code=101, expiresInMs=MINUTE)
    assert (again.state, again.due, again.actor) == (State.TEMP_BANNED, None, Actor.OWNER)


def test_outdated_stops_the_fleet_with_one_alert_and_one_session_asks_slowly() -> None:
    step = on(session(State.CONNECTING), K.OUTDATED, code=405)
    assert (step[0].state, step[0].actor) == (State.OUTDATED, Actor.OPERATOR)
    assert due_in(step[0], DueKind.CANARY_LOGIN) == 30 * MINUTE
    assert kinds(step) == [STOP, EffectKind.CLIENT_OUTDATED]
    other = on(session(State.CONNECTING), K.OUTDATED, SessionPolicy(client_outdated=True, canary="other"), code=405)
    assert (other[0].state, other[0].due, kinds(other)) == (State.OUTDATED, None, [STOP])


def test_a_version_refused_to_one_account_only_is_that_accounts_trouble() -> None:
    record = session(State.CONNECTING)
    for minutes in (5, 15, 60):
        signal = Signal(K.OUTDATED, {"code": 405}, others_accepted=True)
        record, effects = advance(record, signal, POLICY, NOW)
        assert (record.state, record.reason, record.detail) == (State.RECONNECTING, "client_refused", "405")
        assert [effect.kind for effect in effects] == [STOP]
        assert due_in(record, DueKind.RETRY) == minutes * MINUTE
    record, effects = advance(record, Signal(K.OUTDATED, {"code": 405}, others_accepted=True), POLICY, NOW)
    assert (record.state, record.actor) == (State.FAILED, Actor.OPERATOR)
    assert [effect.kind for effect in effects] == [STOP, ATTENTION]


def test_connect_refused_is_tried_after_5_15_and_60_minutes_and_then_fails() -> None:
    record = session(State.CONNECTING)
    for minutes in (5, 15, 60):
        step = on(record, K.CONNECT_REFUSED, code=415)
        record = step[0]
        assert (record.state, record.reason, kinds(step)) == (State.RECONNECTING, "connect_refused", [STOP])
        assert due_in(record, DueKind.RETRY) == minutes * MINUTE
    step = on(record, K.CONNECT_REFUSED, code=415)
    assert (step[0].state, step[0].due, step[0].actor) == (State.FAILED, None, Actor.OPERATOR)
    assert kinds(step) == [STOP, ATTENTION]


def test_replaced_tries_once_after_half_a_minute_and_is_fenced_at_the_second() -> None:
    step = on(session(State.READY), K.REPLACED)
    assert (step[0].state, kinds(step)) == (State.RECONNECTING, [STOP])
    assert 30_000 <= due_in(step[0], DueKind.RETRY) <= 60_000
    linked = session(State.READY, replaced_ms=NOW)
    again = on(linked, K.REPLACED, now=NOW + 9 * MINUTE)
    assert (again[0].state, again[0].due, again[0].actor) == (State.FENCED, None, Actor.OWNER)
    assert kinds(again) == [STOP, ATTENTION]
    later, _ = on(linked, K.REPLACED, now=NOW + 11 * MINUTE)
    assert later.state is State.RECONNECTING


def test_replaced_by_the_owner_of_the_lease_stays_down() -> None:
    after, _ = on(session(State.READY), K.REPLACED, lease_held=False)
    assert (after.state, after.reason, after.due) == (State.FENCED, "replaced_by_owner", None)


def test_timelock_stays_connected_and_is_told_once() -> None:
    step = on(session(State.READY), K.TIMELOCK, untilMs=NOW + 60 * MINUTE)
    assert (step[0].state, step[0].timelocked_until_ms) == (State.READY, NOW + 60 * MINUTE)
    assert kinds(step) == [ATTENTION]
    assert kinds(on(step[0], K.TIMELOCK, untilMs=None)) == []


def test_undecryptable_changes_nothing() -> None:
    before = session(State.READY)
    assert on(before, K.UNDECRYPTABLE, chat="c", messageId="m") == (before, ())


def test_message_lost_changes_nothing() -> None:
    before = session(State.READY)
    assert on(before, K.MESSAGE_LOST, messageId="m", reason="sent_between") == (before, ())


# --- of our own making ---


def test_started_is_connecting() -> None:
    after, _ = on(session(State.STARTING), K.STARTED)
    assert (after.state, after.reason) == (State.CONNECTING, "started")
    assert due_in(after, DueKind.CONNECT) == MINUTE
    renewed, _ = on(session(State.RECONNECTING), K.STARTED)
    assert renewed.state is State.RECONNECTING
    assert due_in(renewed, DueKind.CONNECT) == MINUTE


def test_started_in_another_worker_is_a_reconnect_of_a_linked_session() -> None:
    after, _ = on(session(State.READY), K.STARTED)
    assert (after.state, after.reason, after.linked) == (State.RECONNECTING, "client_started", False)


def test_stopped_by_a_worker_that_leaves_waits_for_the_next_one() -> None:
    after, _ = on(session(State.READY), K.STOPPED)
    assert (after.state, after.reason) == (State.RECONNECTING, "client_stopped")
    assert due_in(after, DueKind.CONNECT) == MINUTE


def test_unlinked_ends_the_wish_to_run() -> None:
    step = on(session(State.READY), K.UNLINKED)
    assert (step[0].state, step[0].wanted, step[0].jid) == (State.LOGGED_OUT, Wanted.STOP, None)
    assert kinds(step) == [STOP]


def test_pump_died_restarts_that_session() -> None:
    after, _ = on(session(State.READY), K.PUMP_DIED, reason="enum")
    assert (after.state, after.reason, after.detail) == (State.RECONNECTING, "pump_died", "enum")
    assert due_in(after, DueKind.RETRY) < 2000


def test_worker_lost_waits_for_the_pool_and_then_starts_itself() -> None:
    after, effects = on(session(State.READY), K.WORKER_LOST, exitCode=-9)
    assert (after.state, after.reason, after.detail, effects) == (State.RECONNECTING, "worker_lost", "-9", ())
    assert due_in(after, DueKind.CONNECT) == MINUTE


def test_start_timeout_backs_off() -> None:
    after, _ = on(session(State.STARTING), K.START_TIMEOUT)
    assert (after.state, after.reason) == (State.RECONNECTING, "start_timeout")
    assert due_in(after, DueKind.RETRY) < 2000


def test_receipt_is_a_sign_of_life() -> None:
    after, _ = on(session(State.READY), K.RECEIPT)
    assert (after.state, after.active_ms) == (State.READY, NOW)


def test_presence_is_a_sign_of_life() -> None:
    after, _ = on(session(State.READY), K.PRESENCE)
    assert (after.state, after.active_ms) == (State.READY, NOW)


def test_a_code_to_pair_with_never_enters_the_story_of_a_session() -> None:
    for kind, code in ((K.QR, "2@abcdefghijklmnopqrstuvwxyz"), (K.PAIRING_CODE, "ABCD-EFGH")):
        after, _ = on(session(State.CONNECTING, jid=None), kind, code=code, expiresInMs=1)
        assert after.state is State.PAIRING
        assert code not in str(after)
