"""Delivery loses nothing and repeats little: stories on a fake clock."""

from __future__ import annotations

import pytest

from tests.support.fake_clock import FakeClock
from tests.support.fake_notifier import FAILS, OK, FakeNotifier
from tests.support.memory_ledger import open_in_memory
from tests.watchdog.flow.dispatcher_bench import bench
from watchdog.domain import notices
from watchdog.domain.ports import Delivered
from watchdog.domain.states import IncidentKind, Notice
from watchdog.ledger import settling


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def test_a_notice_is_sent_at_once_and_only_once(clock: FakeClock) -> None:
    channel = FakeNotifier(clock)
    async with bench(clock, channel) as at:
        incident = await at.open()
        await clock.advance(0)
        assert channel.ids == [f"{incident.id}:down"]
        await clock.advance(600)
        assert len(channel.tried) == 1


@pytest.mark.usefixtures("unhurried")
async def test_a_notifier_down_for_an_hour_gets_down_and_up_as_one_message(clock: FakeClock) -> None:
    channel = FakeNotifier(clock, answer=lambda _: FAILS)
    async with bench(clock, channel) as at:
        incident = await at.open()
        await clock.advance(1800)
        await at.close(incident)
        await clock.advance(1800)
        assert channel.taken == []
        channel.answer = None
        await clock.advance(301)
        assert channel.ids == [f"{incident.id}:was_down"]
        text = channel.taken[0][1].text
        assert "was down from 2025-12-31 23:59:56 UTC to 2026-01-01 00:30:00 UTC (30 min 4 s)" in text
        states = await at.states()
        assert states[f"{incident.id}:down", "aaaa"] == ("merged", "both_waited")
        assert states[f"{incident.id}:up", "aaaa"] == ("merged", "both_waited")


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize(
    "trouble",
    [
        Delivered(False, "http_500"),
        Delivered(False, "http_429", 30.0),
        Delivered(False, "http_503", 1e9),
        Delivered(False, "dns"),
        Delivered(False, "connect_failed"),
        None,
    ],
    ids=["500", "429", "503 until for ever", "DNS", "closed port", "hang"],
)
async def test_an_hour_of_any_trouble_loses_neither_end(clock: FakeClock, trouble: Delivered | None) -> None:
    channel = FakeNotifier(clock)
    async with bench(clock, channel) as at:
        first = await at.open()
        await clock.advance(1)
        channel.hang, channel.answer = trouble is None, (lambda _: trouble) if trouble else None
        await clock.advance(600)
        await at.close(first)
        await clock.advance(600)
        second = await at.open(target="bot-2")
        await clock.advance(600)
        await at.close(second)
        await clock.advance(1800)
        channel.hang, channel.answer = False, None
        await clock.advance(3600)
        ends = [name for name in channel.ids if "reminder" not in name]
        assert ends[0] == f"{first.id}:down"
        assert sorted(ends[1:]) == sorted([f"{first.id}:up", f"{second.id}:was_down"])


@pytest.mark.usefixtures("unhurried")
async def test_a_down_that_was_told_is_followed_by_its_up(clock: FakeClock) -> None:
    channel = FakeNotifier(clock)
    async with bench(clock, channel) as at:
        incident = await at.open()
        await clock.advance(60)
        channel.answer = lambda _: FAILS
        await at.close(incident)
        await clock.advance(3600)
        channel.answer = None
        await clock.advance(301)
        assert channel.ids == [f"{incident.id}:down", f"{incident.id}:up"]


@pytest.mark.usefixtures("unhurried")
async def test_failures_are_retried_with_growing_waits_up_to_five_minutes(clock: FakeClock) -> None:
    channel = FakeNotifier(clock, answer=lambda _: FAILS)
    async with bench(clock, channel) as at:
        await at.open()
        await clock.advance(3600)
    gaps = [round(b - a) for (a, _), (b, _) in zip(channel.tried, channel.tried[1:], strict=False)]
    assert gaps[:9] == [1, 2, 4, 8, 16, 32, 64, 128, 256]
    assert set(gaps[9:]) <= {300, 301}
    assert len(channel.tried) >= 18


async def test_retry_after_is_obeyed_for_the_whole_channel(clock: FakeClock) -> None:
    channel = FakeNotifier(clock, answer=lambda _: Delivered(False, "http_429", 120.0))
    async with bench(clock, channel) as at:
        await at.open()
        await clock.advance(30)
        await at.open(target="bot-2")
        await clock.advance(89)
        assert len(channel.tried) == 1
        channel.answer = None
        await clock.advance(40)
        assert sorted(channel.ids) == ["bot-2-down-2:down", "bot-down-1:down"]


async def test_a_hanging_channel_is_given_up_and_delays_no_other(clock: FakeClock) -> None:
    hangs, works = FakeNotifier(clock, "aaaa", hang=True), FakeNotifier(clock, "bbbb")
    async with bench(clock, hangs, works) as at:
        await at.open()
        await clock.advance(0)
        assert works.kinds == ["down"]
        await clock.advance(15)
        states = await at.states()
        assert states["bot-down-1:down", "aaaa"] == ("waiting", "timeout")
        hangs.hang = False
        await clock.advance(10)
        assert hangs.kinds == ["down"]


async def test_a_notifier_that_raises_loses_nothing(clock: FakeClock) -> None:
    def breaks(_: Notice) -> Delivered:
        raise RuntimeError("a defect")

    channel = FakeNotifier(clock, answer=breaks)
    async with bench(clock, channel) as at:
        await at.open()
        await clock.advance(5)
        assert (await at.states())["bot-down-1:down", "aaaa"] == ("waiting", "crash_RuntimeError")
        channel.answer = None
        await clock.advance(10)
        assert channel.kinds == ["down"]


async def test_the_fallback_is_told_after_three_failures(clock: FakeClock) -> None:
    first, second = FakeNotifier(clock, "aaaa", answer=lambda _: FAILS), FakeNotifier(clock, "ffff")
    async with bench(clock, first, fallback=(second,)) as at:
        incident = await at.open()
        await clock.advance(2.9)
        assert (len(first.tried), second.kinds) == (2, [])
        await clock.advance(0.2)
        assert (len(first.tried), second.ids) == (3, [f"{incident.id}:down"])


async def test_the_fallback_is_told_after_thirty_seconds_of_hanging(clock: FakeClock) -> None:
    first, second = FakeNotifier(clock, "aaaa", hang=True), FakeNotifier(clock, "ffff")
    async with bench(clock, first, fallback=(second,)) as at:
        await at.open()
        await clock.advance(29)
        assert second.kinds == []
        await clock.advance(3)
        assert second.kinds == ["down"]


async def test_a_fallback_that_was_told_of_the_incident_is_told_of_its_end_at_once(clock: FakeClock) -> None:
    first, second = FakeNotifier(clock, "aaaa", answer=lambda _: FAILS), FakeNotifier(clock, "ffff")
    async with bench(clock, first, fallback=(second,)) as at:
        incident = await at.open()
        await clock.advance(60)
        first.answer = None
        await clock.advance(300)
        assert first.kinds == ["down"]
        await at.close(incident)
        await clock.advance(0)
        assert second.ids == [f"{incident.id}:down", second.ids[1], f"{incident.id}:up"]
        assert second.kinds[1] == "channel_failing"
        assert first.kinds == ["down", "up"]


async def test_a_fallback_needed_only_at_the_end_is_told_the_whole_story(clock: FakeClock) -> None:
    first, second = FakeNotifier(clock, "aaaa"), FakeNotifier(clock, "ffff")
    async with bench(clock, first, fallback=(second,)) as at:
        incident = await at.open()
        await clock.advance(60)
        first.answer = lambda _: FAILS
        await at.close(incident)
        await clock.advance(10)
        assert second.ids == [f"{incident.id}:was_down"]
        first.answer = None
        await clock.advance(300)
        assert first.kinds == ["down", "up"]


@pytest.mark.parametrize("failed_s", [10, 15, 60])
async def test_a_fallback_that_got_begin_and_end_does_not_get_both_as_one_notice_too(
    clock: FakeClock, failed_s: int
) -> None:
    first, second = FakeNotifier(clock, "aaaa", answer=lambda _: FAILS), FakeNotifier(clock, "ffff")
    async with bench(clock, first, fallback=(second,)) as at:
        incident = await at.open()
        await clock.advance(failed_s)
        await at.close(incident)
        await clock.advance(600)
        assert [kind for kind in second.kinds if kind != "channel_failing"] == ["down", "up"]
        first.answer = None
        await clock.advance(3600)
        assert first.kinds == ["was_down"], "what waited for it is one notice"


async def test_an_idle_outbox_is_left_alone(clock: FakeClock) -> None:
    channel = FakeNotifier(clock)
    async with bench(clock, channel) as at:
        incident = await at.open()
        await at.close(incident)
        await clock.advance(120)
        statements: list[str] = []
        at.ledger._writer.set_trace_callback(statements.append)
        await clock.advance(600)
        begun = sum(statement.startswith("BEGIN") for statement in statements)
        assert begun <= 11, "one look of the channel's loop a minute, none of them for nothing more often"


@pytest.mark.usefixtures("unhurried")
async def test_a_channel_that_keeps_failing_is_reported_once_on_the_others(clock: FakeClock) -> None:
    bad, good = FakeNotifier(clock, "aaaa", answer=lambda _: FAILS), FakeNotifier(clock, "bbbb")
    async with bench(clock, bad, good) as at:
        await at.open()
        await clock.advance(3600)
        assert good.kinds.count("channel_failing") == 1
        report = next(notice for _, notice in good.taken if notice.kind == "channel_failing")
        assert "fake aaaa have failed 5 times" in report.text
        assert "http_500" in report.text


async def test_a_new_run_of_failures_is_reported_anew_with_another_id(clock: FakeClock) -> None:
    bad, good = FakeNotifier(clock, "aaaa", answer=lambda _: FAILS), FakeNotifier(clock, "bbbb")
    async with bench(clock, bad, good) as at:
        for number in range(2):
            bad.answer = lambda _: FAILS
            await at.open(target=f"bot-{number}")
            await clock.advance(120)
            bad.answer = None
            await clock.advance(400)
        reports = [notice.id for _, notice in good.taken if notice.kind == "channel_failing"]
        assert len(reports) == len(set(reports)) == 2


async def test_news_is_tried_at_once_on_a_failing_channel_while_its_backlog_waits(clock: FakeClock) -> None:
    channel = FakeNotifier(clock, answer=lambda _: FAILS)
    async with bench(clock, channel) as at:
        await at.open()
        await clock.advance(700)
        channel.tried.clear()
        channel.answer = None
        await at.open(target="bot-2")
        await clock.advance(0)
        assert channel.ids == ["bot-2-down-2:down", "bot-down-1:down"]


async def test_a_message_that_the_receiver_refuses_does_not_hold_up_the_others(clock: FakeClock) -> None:
    def refuse_one(notice: Notice) -> Delivered:
        return Delivered(False, "http_400") if notice.target == "bot" else OK

    channel = FakeNotifier(clock, answer=refuse_one)
    async with bench(clock, channel) as at:
        await at.open()
        await clock.advance(100)
        for number in range(2, 12):
            await at.open(target=f"bot-{number}")
        await clock.advance(1)
        assert len(channel.taken) == 10


@pytest.mark.usefixtures("unhurried")
async def test_reminders_come_at_fifteen_minutes_one_hour_and_then_every_four_hours(clock: FakeClock) -> None:
    channel = FakeNotifier(clock)
    async with bench(clock, channel) as at:
        await at.open()
        began = clock.monotonic()
        await clock.advance(14 * 3600)
        minutes = [round((when - began) / 60) for when, notice in channel.taken if notice.kind == "reminder"]
        assert minutes == [15, 60, 300, 540, 780]
        assert [i for i in channel.ids if "reminder" in i][:2] == ["bot-down-1:reminder:1", "bot-down-1:reminder:2"]


@pytest.mark.usefixtures("unhurried")
async def test_an_acknowledged_incident_is_not_repeated_but_its_end_is_told(clock: FakeClock) -> None:
    channel = FakeNotifier(clock)
    async with bench(clock, channel) as at:
        incident = await at.open()
        await clock.advance(60)
        await at.ledger.write(
            lambda c: c.execute(
                "UPDATE incident SET acknowledged_at = ?, acknowledged_by = 'ann' WHERE id = ?",
                (clock.now_ms, incident.id),
            )
        )
        await clock.advance(7200)
        await at.close(incident)
        await clock.advance(1)
        assert channel.kinds == ["down", "up"]


@pytest.mark.usefixtures("unhurried")
async def test_reminders_that_waited_are_told_as_one(clock: FakeClock) -> None:
    channel = FakeNotifier(clock)
    async with bench(clock, channel) as at:
        await at.open()
        await clock.advance(60)
        channel.answer = lambda _: FAILS
        await clock.advance(3 * 3600)
        channel.answer = None
        await clock.advance(400)
        assert channel.ids == ["bot-down-1:down", "bot-down-1:reminder:2"]
        assert (await at.states())["bot-down-1:reminder:1", "aaaa"] == ("muted", "superseded")


async def test_degraded_is_held_while_the_bot_is_down_and_told_if_it_lasts_longer(clock: FakeClock) -> None:
    channel = FakeNotifier(clock)
    async with bench(clock, channel) as at:
        down = await at.open()
        await clock.advance(0)
        degraded = await at.open(IncidentKind.DEGRADED)
        await clock.advance(60)
        assert channel.kinds == ["down"]
        await at.close(down)
        await clock.advance(10)
        assert channel.kinds == ["down", "up", "degraded"]
        await at.close(degraded)
        await clock.advance(10)
        assert channel.kinds == ["down", "up", "degraded", "degraded_over"]


async def test_degraded_that_ends_before_the_outage_it_belongs_to_is_never_told(clock: FakeClock) -> None:
    channel = FakeNotifier(clock)
    async with bench(clock, channel) as at:
        down = await at.open()
        await clock.advance(0)
        degraded = await at.open(IncidentKind.DEGRADED)
        await clock.advance(20)
        await at.close(degraded)
        await clock.advance(20)
        await at.close(down)
        await clock.advance(60)
        assert channel.kinds == ["down", "up"]
        assert (await at.states())[f"{degraded.id}:degraded", "aaaa"] == ("muted", "incident_over")
        assert (await at.states())[f"{degraded.id}:degraded_over", "aaaa"] == ("muted", "opener_muted")


async def test_held_rows_do_not_count_as_waiting(clock: FakeClock) -> None:
    channel = FakeNotifier(clock)
    async with bench(clock, channel) as at:
        await at.open()
        await at.open(IncidentKind.DEGRADED)
        await clock.advance(90)
        assert at.dispatcher.depth.rows == 0


async def test_a_storm_of_restarts_is_told_three_times_in_a_quarter_of_an_hour(clock: FakeClock) -> None:
    channel = FakeNotifier(clock)
    async with bench(clock, channel) as at:
        for boot in range(10):
            await at.enqueue(notices.restarted("bot", clock.now_ms, boot_id=f"b{boot}", old_boot_id=None, gone_ms=900))
            await clock.advance(30)
        assert channel.kinds == ["restarted"] * 3
        await clock.advance(900)
        await at.enqueue(notices.restarted("bot", clock.now_ms, boot_id="later", old_boot_id=None))
        await clock.advance(1)
        assert len(channel.taken) == 4


@pytest.mark.parametrize("step_s", [3600, -3600])
async def test_a_step_of_the_wall_clock_neither_hurries_nor_delays_delivery(clock: FakeClock, step_s: int) -> None:
    channel = FakeNotifier(clock, answer=lambda _: FAILS)
    async with bench(clock, channel) as at:
        await at.open()
        await clock.advance(130)
        clock.step(step_s)
        await clock.advance(2)
        tries = len(channel.tried)
        assert tries <= 9
        channel.answer = None
        await clock.advance(300)
        assert channel.kinds == ["down"]
        reminders = [kind for kind in channel.kinds if kind == "reminder"]
        assert reminders == []


async def test_a_restart_sends_what_was_leased_and_tells_nothing_twice(clock: FakeClock) -> None:
    ledger = open_in_memory()
    first = FakeNotifier(clock, hang=True)
    async with bench(clock, first, ledger=ledger) as at:
        await at.open()
        await clock.advance(1)
        assert (await at.states())["bot-down-1:down", "aaaa"][0] == "leased"
    second = FakeNotifier(clock)
    async with bench(clock, second, ledger=ledger):
        await clock.advance(0)
        assert second.ids == ["bot-down-1:down"]
    third = FakeNotifier(clock)
    async with bench(clock, third, ledger=ledger):
        await clock.advance(60)
        assert third.tried == []
    ledger.close()


async def test_what_waited_for_a_removed_channel_goes_to_the_new_one(clock: FakeClock) -> None:
    ledger = open_in_memory()
    old = FakeNotifier(clock, "aaaa", answer=lambda _: FAILS)
    async with bench(clock, old, ledger=ledger) as at:
        await at.open()
        await clock.advance(10)
    new = FakeNotifier(clock, "cccc")
    async with bench(clock, new, ledger=ledger) as at:
        await clock.advance(0)
        assert new.ids == ["bot-down-1:down"]
        assert (await at.states())["bot-down-1:down", "aaaa"] == ("expired", "channel_removed")
    ledger.close()


async def test_a_channel_that_got_begin_and_end_does_not_get_what_a_removed_one_had_joined(clock: FakeClock) -> None:
    ledger = open_in_memory()
    old, kept = FakeNotifier(clock, "aaaa", answer=lambda _: FAILS), FakeNotifier(clock, "cccc")
    async with bench(clock, old, kept, ledger=ledger) as at:
        incident = await at.open()
        await clock.advance(10)
        await at.close(incident)
        await clock.advance(60)
        assert ("bot-down-1:was_down", "aaaa") in await at.states()
    async with bench(clock, kept, ledger=ledger):
        await clock.advance(600)
    assert [kind for kind in kept.kinds if kind != "channel_failing"] == ["down", "up"]
    ledger.close()


async def test_a_wall_clock_set_back_while_the_watchdog_was_off_does_not_bury_what_waits(clock: FakeClock) -> None:
    ledger = open_in_memory()
    async with bench(clock, FakeNotifier(clock, answer=lambda _: FAILS), ledger=ledger) as at:
        await at.open()
        await clock.advance(100)
    clock.step(-86_400)
    channel = FakeNotifier(clock)
    async with bench(clock, channel, ledger=ledger):
        await clock.advance(3900)
        assert channel.kinds[0] == "down"
    ledger.close()


async def test_every_channel_and_its_state_can_be_listed(clock: FakeClock) -> None:
    bad, good = FakeNotifier(clock, "aaaa", answer=lambda _: FAILS), FakeNotifier(clock, "bbbb")
    async with bench(clock, bad, fallback=(good,)) as at:
        await at.open()
        await clock.advance(10)
        states = await at.ledger.read(
            lambda c: settling.channel_states(c, at.dispatcher.channels, at.dispatcher.labels)
        )
        assert [(s.name[-4:], s.role, s.waiting, s.last_reason) for s in states] == [
            ("aaaa", "primary", 1, "http_500"),
            ("bbbb", "fallback", 0, "ok"),
        ]
        assert states[0].failures == 4
        assert states[0].failing_since_ms is not None
