"""Whatever happens in whatever order: no illegal transition, no try after an end, what is wanted is honoured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot_service.domain.recovery import gave_up
from bot_service.domain.session_record import (
    ClientAccepted,
    Command,
    CommandKind,
    DueKind,
    EffectKind,
    Fact,
    LinkCheck,
    SessionPolicy,
    SessionRecord,
    Signal,
    TimerFired,
)
from bot_service.domain.session_rules import advance, refusal
from bot_service.domain.signals import SignalKind
from bot_service.domain.states import FINAL, LEGAL, LINKED, LIVE, State, Wanted
from tests.support.examples import examples

START = 1_800_000_000_000
STARTS = {EffectKind.START, EffectKind.REBUILD, EffectKind.RECYCLE_WORKER}
BEGINNINGS = {CommandKind.START, CommandKind.RESTART}

DATA: dict[str, Any] = {
    "jid": "me@s.whatsapp.net",
    "code": 402,
    "expiresInMs": 600_000,
    "signature": "ack",
    "reason": "any",
    "messages": 3,
}
signals = st.builds(lambda kind, ours: Signal(kind, DATA, lease_held=ours), st.sampled_from(SignalKind), st.booleans())
commands = st.builds(Command, st.sampled_from(CommandKind))
looks = st.builds(LinkCheck, st.sampled_from([0, 30_000, 90_000]), st.sampled_from([None, "silence_pattern"]))
facts = st.one_of(
    signals,
    signals,
    commands,
    looks,
    st.sampled_from(["due", "due, worker spent"]),
    st.just("due"),
    st.just(ClientAccepted()),
)
steps = st.lists(st.tuples(facts, st.sampled_from([0, 1000, 60_000, 400_000, 4_000_000])), max_size=60)
fleets = st.sampled_from(
    [SessionPolicy(), SessionPolicy(client_outdated=True, canary="s"), SessionPolicy(client_outdated=True, canary="x")]
)


def fact_of(item: Any, record: SessionRecord, now_ms: int) -> Fact | None:
    """``due`` is the record's own wait once its time has come; a command is one that would not be refused."""
    if isinstance(item, str):
        waits = record.due is None or record.due.at_ms > now_ms
        return None if waits or record.due is None else TimerFired(record.due.kind, may_recycle=item == "due")
    if isinstance(item, Command) and refusal(record, item.kind, now_ms) is not None:
        return None
    return item  # type: ignore[no-any-return]


def seen(*items: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A sequence that broke a promise once."""
    return example([(item, 0) for item in items], SessionPolicy())


@settings(max_examples=examples(100))
@given(steps, fleets)
@seen(Command(CommandKind.START), Signal(SignalKind.TEMP_BANNED, DATA), Command(CommandKind.LOGGED_OUT))
@seen(
    Command(CommandKind.START),
    Signal(SignalKind.PAIRED, DATA),
    Command(CommandKind.EXPORT),
    Command(CommandKind.STOP),
    Command(CommandKind.RESTORE),
    Command(CommandKind.START),
    Signal(SignalKind.LOGGED_OUT, DATA),
    Command(CommandKind.TAKE_BACK),
    Command(CommandKind.START),
)
@seen(Command(CommandKind.START), Signal(SignalKind.CONNECTED, DATA), Signal(SignalKind.QR, DATA))
@seen(Command(CommandKind.START), Signal(SignalKind.CONNECTED, DATA), Signal(SignalKind.PAIR_ERROR, DATA))
@seen(Command(CommandKind.START), Signal(SignalKind.CONNECTED, DATA), Signal(SignalKind.QR_EXHAUSTED, DATA))
def test_any_sequence_of_facts_keeps_the_promises(sequence: list[tuple[Any, int]], policy: SessionPolicy) -> None:
    now_ms = START
    record = SessionRecord(id="s", owner="o", name="s", created_ms=now_ms, since_ms=now_ms, active_ms=now_ms)
    wanted = Wanted.STOP
    for item, passed_ms in sequence:
        now_ms += passed_ms
        fact = fact_of(item, record, now_ms)
        if fact is None:
            continue
        before, (record, effects) = record, advance(record, fact, policy, now_ms)
        kinds = {effect.kind for effect in effects}
        begins = isinstance(fact, Command) and fact.kind in BEGINNINGS

        # No illegal transition.
        assert record.state is before.state or record.state in LEGAL[before.state], (before.state, record.state, fact)

        # No try after an end, unless a person asks for it.
        if before.state in FINAL and not begins:
            assert not kinds & STARTS, (before.state, fact)
            assert record.state not in LIVE, (before.state, fact)
        if record.state in FINAL:
            assert record.due is None

        # A ladder that ended with a person restarts nothing by itself, and no worker is replaced over its budget.
        if isinstance(fact, TimerFired) and fact.kind is DueKind.RECOVERY:
            assert not (gave_up(before) and kinds & STARTS)
            assert fact.may_recycle or EffectKind.RECYCLE_WORKER not in kinds

        # What is wanted changes by command only, our own logout aside, and is honoured.
        wanted = _wish(wanted, before, fact)
        assert record.wanted is wanted, fact
        if record.wanted is Wanted.STOP:
            assert record.state not in LIVE
            assert not kinds & STARTS
            assert record.due is None
        elif record.state in LIVE and record.state is not State.READY:
            assert record.due is not None, f"{record.state} by {record.reason} would wait for ever"

        # An exported pairing stays where it is until a person takes it back.
        if before.exported_ms is not None and not (isinstance(fact, Command) and fact.kind is CommandKind.TAKE_BACK):
            assert not kinds & STARTS, fact
            assert (record.exported_ms, record.wanted) == (before.exported_ms, Wanted.STOP), fact

        # The parts agree with the whole.
        assert record.linked == (record.state in LINKED), (record.state, fact)
        assert record.id == before.id
        assert (record.created_ms, record.owner) == (before.created_ms, before.owner)


def _wish(wanted: Wanted, before: SessionRecord, fact: Fact) -> Wanted:
    if isinstance(fact, Command):
        if fact.kind in BEGINNINGS:
            return Wanted.RUN
        if fact.kind in (CommandKind.STOP, CommandKind.LOGGED_OUT):
            return Wanted.STOP
        if fact.kind is CommandKind.EXPORT and before.jid is not None:
            return Wanted.STOP
        if fact.kind is CommandKind.CLOSE and before.state in LIVE:
            return Wanted.STOP
    own_logout = isinstance(fact, Signal) and fact.kind is SignalKind.UNLINKED
    return Wanted.STOP if own_logout and before.state in LIVE else wanted


@given(st.sampled_from(sorted(FINAL)), st.lists(signals, max_size=30))
def test_no_signal_leads_out_of_a_final_state(state: State, sequence: list[Signal]) -> None:
    record = SessionRecord(id="s", owner="o", name="s", created_ms=START, wanted=Wanted.RUN, state=state, jid="me@x")
    for signal in sequence:
        record, effects = advance(record, signal, replace(SessionPolicy()), START)
        assert record.state in (state, State.LOGGED_OUT)
        assert not {effect.kind for effect in effects} & STARTS
