"""Which sessions need a person, and how long: the table and the function that follows it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot_service.domain.attention import ADVICE, Severity, follow, needed, open_need, settled, severity, spoken
from bot_service.domain.need import Need, NeedCode, Voice
from bot_service.domain.reasons import Reason
from bot_service.domain.recovery import LAST_STEP
from bot_service.domain.session_record import Command, CommandKind, SessionRecord
from bot_service.domain.session_rules import advance
from bot_service.domain.states import ENDS, LIVE, Actor, State, Wanted
from tests.bot_service.domain.sessions import NOW, POLICY, session

NEEDS: list[tuple[State, str, NeedCode]] = [
    (State.BANNED, "banned", NeedCode.BANNED),
    (State.TEMP_BANNED, "temp_banned", NeedCode.TEMP_BANNED),
    (State.TEMP_BANNED, "temp_banned_again", NeedCode.TEMP_BANNED_AGAIN),
    (State.LOGGED_OUT, "logged_out", NeedCode.LOGGED_OUT),
    (State.LOGGED_OUT, "primary_gone", NeedCode.PRIMARY_GONE),
    (State.FENCED, "replaced_twice", NeedCode.FENCED),
    (State.FENCED, "replaced_by_owner", NeedCode.FENCED),
    (State.FAILED, "pairing_timed_out", NeedCode.NOT_PAIRED),
    (State.FAILED, "pair_error", NeedCode.NOT_PAIRED),
    (State.FAILED, "connect_refused", NeedCode.REFUSED),
    (State.FAILED, "client_refused", NeedCode.REFUSED),
    (State.OUTDATED, "client_outdated", NeedCode.OUTDATED),
    (State.OUTDATED, "fleet_outdated", NeedCode.OUTDATED),
    (State.CLOSED, "inactive", NeedCode.CLOSED),
    (State.CLOSED, "max_age", NeedCode.CLOSED),
]


def at(state: State, reason: str, **fields: Any) -> SessionRecord:
    wanted = Wanted.STOP if state is State.CLOSED else Wanted.RUN
    return session(state, **({"reason": reason, "wanted": wanted} | fields))


@pytest.mark.parametrize(("state", "reason", "code"), NEEDS)
def test_every_end_needs_a_person_until_the_session_is_ready_again(state: State, reason: str, code: NeedCode) -> None:
    reported = follow(at(state, reason), NOW)
    assert reported.need == Need(code, NOW)
    reported = spoken(reported, Voice.BOT)
    # The person starts it: while it is on its way, the need lasts.
    started, _ = advance(reported, Command(CommandKind.START), POLICY, NOW + 1)
    assert follow(started, NOW + 1).need == Need(code, NOW, Voice.BOT)
    ready = follow(msgspec.structs.replace(started, state=State.READY), NOW + 2)
    assert ready.need == Need(code, NOW, Voice.BOT, over_ms=NOW + 2)
    assert open_need(ready) is None
    assert settled(ready).need is None


@pytest.mark.parametrize("state", sorted(LIVE - {State.DEGRADED}))
def test_a_session_on_its_way_needs_nobody(state: State) -> None:
    assert needed(session(state, reason="qr_shown", actor=Actor.USER)) is None


def test_a_session_that_receives_nothing_needs_a_person_until_receiving_is_proven() -> None:
    deaf = session(State.DEGRADED, recovery_step=LAST_STEP, actor=Actor.OPERATOR, reason=Reason.RECEIVE_SUSPECTED)
    reported = follow(deaf, NOW)
    assert reported.need == Need(NeedCode.NOT_RECEIVING, NOW)
    # READY alone proves nothing: the same link was READY before.
    assert follow(msgspec.structs.replace(reported, state=State.READY), NOW + 1).need == reported.need
    proven = msgspec.structs.replace(reported, state=State.READY, recovery_step=0)
    assert follow(proven, NOW + 2).need == Need(NeedCode.NOT_RECEIVING, NOW, over_ms=NOW + 2)


@pytest.mark.parametrize(("state", "reason", "code"), NEEDS)
def test_what_a_person_does_himself_is_never_told(state: State, reason: str, code: NeedCode) -> None:
    reported = spoken(follow(at(state, reason), NOW), Voice.WATCHDOG)
    stopped, _ = advance(reported, Command(CommandKind.STOP), POLICY, NOW + 1)
    after = follow(stopped, NOW + 1)
    assert after.need is None, "a stop ends it without a word"
    assert follow(after, NOW + 2).need is None
    assert severity(after) is None
    assert code in ADVICE


@pytest.mark.parametrize("kind", [CommandKind.STOP, CommandKind.LOGGED_OUT])
@pytest.mark.parametrize("state", sorted(LIVE))
def test_a_command_of_a_person_makes_no_need(kind: CommandKind, state: State) -> None:
    after, _ = advance(session(state), Command(kind), POLICY, NOW)
    assert follow(after, NOW).need is None


def test_another_reason_is_another_need_and_the_same_one_is_told_once() -> None:
    reported = spoken(follow(at(State.TEMP_BANNED, "temp_banned"), NOW), Voice.BOT)
    assert follow(reported, NOW + 5) is reported
    again = follow(msgspec.structs.replace(reported, reason="temp_banned_again"), NOW + 9)
    assert again.need == Need(NeedCode.TEMP_BANNED_AGAIN, NOW + 9)
    banned = follow(msgspec.structs.replace(again, state=State.BANNED, reason="banned"), NOW + 10)
    assert banned.need == Need(NeedCode.BANNED, NOW + 10)


def test_every_code_has_advice_and_no_end_is_forgotten() -> None:
    assert set(ADVICE) == set(NeedCode)
    for state in ENDS - {State.CLOSED}:
        assert needed(session(state, reason="anything")) is not None, state
    assert all(each.what.endswith(".") and each.todo.endswith(".") for each in ADVICE.values())


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (at(State.BANNED, "banned"), Severity.CRITICAL),
        (at(State.LOGGED_OUT, "logged_out"), Severity.CRITICAL),
        (at(State.TEMP_BANNED, "temp_banned"), Severity.WARNING),
        (session(State.DEGRADED), Severity.WARNING),
        (session(State.RECONNECTING, reason="disconnected"), Severity.WARNING),
        (session(State.RECONNECTING, reason="recycle_max_age"), None),
        (session(State.LOGGED_OUT, reason="user_logout", wanted=Wanted.STOP), None),
        (session(State.READY), None),
        (session(State.PAIRING), None),
    ],
)
def test_the_severity_fits_what_happened(record: SessionRecord, expected: Severity | None) -> None:
    assert severity(record) is expected


def test_a_need_survives_the_store_and_an_old_record_has_none() -> None:
    reported = spoken(follow(at(State.BANNED, "banned"), NOW), Voice.BOT)
    assert msgspec.json.decode(msgspec.json.encode(reported), type=SessionRecord) == reported
    old = msgspec.to_builtins(session(State.BANNED))
    del old["need"]
    assert msgspec.convert(old, SessionRecord).need is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from(State),
            st.sampled_from(["banned", "inactive", "user_stop", "temp_banned_again", "synced", "pairing_timed_out"]),
            st.sampled_from(Wanted),
            st.booleans(),
        ),
        max_size=12,
    )
)
def test_whatever_happens_a_need_lasts_exactly_while_it_is_true_or_on_its_way(
    steps: list[tuple[State, str, Wanted, bool]],
) -> None:
    record = session()
    for number, (state, reason, wanted, tell) in enumerate(steps):
        moved = msgspec.structs.replace(record, state=state, reason=reason, wanted=wanted)
        record = follow(moved, NOW + number)
        assert follow(record, NOW + number + 1) == record, "the same state changes nothing"
        code, need = needed(record), open_need(record)
        assert (code is None) or (need is not None and need.code is code)
        if state is State.READY or (wanted is Wanted.STOP and state is not State.CLOSED):
            assert need is None
        if tell:
            record = spoken(record, Voice.BOT)
