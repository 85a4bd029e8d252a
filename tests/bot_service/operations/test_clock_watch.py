"""What moves in the store and in memory when the service clock follows a step, and what waits while it is not steady."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from bot_service import keys
from bot_service.dashboard.context import DASHBOARD
from bot_service.dashboard.login import COOKIE, LOGIN_LASTS_S
from bot_service.domain.readiness import Evidence
from bot_service.domain.session_record import DueKind, SessionRecord, Signal, StreamError
from bot_service.domain.signals import SignalKind
from bot_service.sessions.clock_moves import LIMITS, PAST, move_evidence, moved_record
from bot_service.store import clock as clock_store
from bot_service.store.deliveries import webhook_outbox
from bot_service.store.messages import messages
from bot_service.store.send_queue import send_outbox
from shared.service_clock import LONGEST_WAIT_MS, Move, SavedClock
from tests.support.bot_app import Bot, paired, running
from tests.support.fake_clock import FakeClock
from tests.support.receiver import Received, Receiver

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
# What people chose or what identifies something.
NEVER_MOVED: set[str] = set()


@pytest.fixture
def fake() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def bot(tmp_path: Path, fake: FakeClock) -> AsyncIterator[Bot]:
    async with running(tmp_path / "data", clock=fake) as bot:
        yield bot


def now_ms(bot: Bot) -> int:
    return bot.app[keys.CLOCK].now_ms()


async def insert(bot: Bot, table: sa.Table, *rows: dict[str, Any]) -> None:
    async with bot.app[keys.DATABASE].write() as connection:
        await connection.execute(table.insert(), list(rows))


async def rows(bot: Bot, *columns: sa.Column[Any]) -> list[tuple[Any, ...]]:
    async with bot.app[keys.DATABASE].read() as connection:
        return [tuple(row) for row in await connection.execute(sa.select(*columns).order_by(columns[0]))]


def delivery(event: str, state: str, created_ms: int, next_ms: int, finished_ms: int | None = None) -> dict[str, Any]:
    return {
        "webhook": "wh-unknown", "event": event, "lane": "one", "type": "message", "body": b"{}", "state": state,
        "created_ms": created_ms, "next_ms": next_ms, "attempts": 1, "finished_ms": finished_ms,
    }  # fmt: skip


def queued(position: str, queued_ms: int, next_ms: int) -> dict[str, Any]:
    return {
        "position": position, "session": "nobody", "chat": "c", "message_id": position, "queued_ms": queued_ms,
        "attempts": 0, "next_ms": next_ms, "new_chat": False, "known_chat": True,
    }  # fmt: skip


def message(name: str, stored_ms: int) -> dict[str, Any]:
    return {
        "session": "nobody", "chat": "c", "message_id": name, "direction": "in", "type": "text", "at_ms": stored_ms,
        "stored_ms": stored_ms, "state": "received", "state_ms": stored_ms, "duplicates": 0, "body": b"{}",
    }  # fmt: skip


async def follow(bot: Bot, fake: FakeClock, step_s: float) -> None:
    """The wall clock is set and stays so for ten minutes."""
    watch = bot.app[keys.OPERATIONS].clock_watch
    fake.step(step_s)
    await watch.check()
    assert not bot.app[keys.CLOCK].steady
    fake.stall(601)
    before = now_ms(bot)
    await watch.check()
    assert now_ms(bot) - before == pytest.approx(step_s * 1000, abs=5)


@pytest.mark.parametrize("step_s", [-300, 2 * 86_400, 60 * 86_400], ids=lambda step_s: f"{step_s}s")
async def test_what_waits_waits_as_long_and_is_as_old_as_before(bot: Bot, fake: FakeClock, step_s: int) -> None:
    at = now_ms(bot)
    await insert(
        bot,
        webhook_outbox,
        delivery("e1", "pending", at - HOUR_MS, at + MINUTE_MS),
        delivery("e2", "aside", at - 2 * HOUR_MS, at + 2 * MINUTE_MS),
        delivery("e3", "dead", at - HOUR_MS, at, finished_ms=at - HOUR_MS),
    )
    await insert(bot, send_outbox, queued("p1", at - HOUR_MS, at + MINUTE_MS))
    await follow(bot, fake, step_s)
    by = step_s * 1000
    c = webhook_outbox.c
    assert await rows(bot, c.event, c.created_ms, c.next_ms) == [
        ("e1", at - HOUR_MS + by, at + MINUTE_MS + by),
        ("e2", at - 2 * HOUR_MS + by, at + 2 * MINUTE_MS + by),
        ("e3", at - HOUR_MS, at),
    ]
    s = send_outbox.c
    assert await rows(bot, s.position, s.queued_ms, s.next_ms) == [("p1", at - HOUR_MS + by, at + MINUTE_MS + by)]


@pytest.mark.parametrize("step_s", [-300, 60 * 86_400], ids=lambda step_s: f"{step_s}s")
async def test_sessions_keep_their_ages_and_waits_in_memory_and_in_the_store(
    bot: Bot, fake: FakeClock, step_s: int
) -> None:
    await paired(bot, "one")
    supervisor, registry = bot.app[keys.SESSIONS].supervisor, bot.app[keys.SESSIONS].registry
    supervisor.apply("one", Signal(SignalKind.PUMP_DIED))
    before = registry.get("one")
    assert before is not None
    assert before.due is not None
    assert before.due.kind is DueKind.RETRY
    await follow(bot, fake, step_s)
    after, by = registry.get("one"), step_s * 1000
    assert after is not None
    assert after.due is not None
    assert after.due.at_ms == before.due.at_ms + by
    assert (after.created_ms, after.active_ms) == (before.created_ms + by, before.active_ms + by)
    await bot.app[keys.SESSIONS].store.flush()
    (stored,) = await bot.app[keys.SESSIONS].store.load()
    assert stored == after
    # The timer of before is the timer of now.
    supervisor.timers.fire_due(now_ms(bot))
    started = registry.get("one")
    assert started is not None
    assert started.due is not None
    assert started.due.kind is DueKind.START
    closed = await bot.app[keys.SESSIONS].cleanup.once()
    assert (closed.closed, closed.recycled) == (0, 0)


async def test_messages_are_deleted_at_their_real_age_over_a_step_that_was_followed(bot: Bot, fake: FakeClock) -> None:
    sweep = bot.app[keys.OPERATIONS].retention._slice
    await insert(bot, messages, message("old", now_ms(bot) - 29 * DAY_MS))
    await follow(bot, fake, 60 * 86_400)
    assert await sweep() == 0, "a minute of rest"
    fake.stall(61)
    await bot.app[keys.OPERATIONS].clock_watch.check()
    await insert(bot, messages, message("new", now_ms(bot)))
    assert bot.app[keys.CLOCK].steady
    assert await sweep() == 0
    fake.stall(86_400)
    assert await sweep() == 1
    assert await rows(bot, messages.c.message_id) == [("new",)]
    fake.stall(29 * 86_400 + 60)
    assert await sweep() == 1


async def test_at_a_start_far_ahead_nothing_expires_before_the_clock_was_steady(
    tmp_path: Path, fake: FakeClock
) -> None:
    async with running(tmp_path / "data", clock=fake) as bot:
        await paired(bot, "one")
        await insert(bot, messages, message("kept", now_ms(bot)))
    fake.step(60 * 86_400)
    async with running(tmp_path / "data", clock=fake) as bot:
        sessions, retention = bot.app[keys.SESSIONS], bot.app[keys.OPERATIONS].retention
        assert await retention._slice() == 0
        assert (await sessions.cleanup.once()).closed == 0
        # The machine was really off for so long.
        fake.stall(601)
        await bot.app[keys.OPERATIONS].clock_watch.check()
        assert await retention._slice() == 1
        assert (await sessions.cleanup.once()).closed == 1


async def test_what_was_stored_before_a_start_that_was_ahead_stays_and_what_came_after_it_is_cut(
    tmp_path: Path, fake: FakeClock
) -> None:
    async with running(tmp_path / "data", clock=fake) as bot:
        right = now_ms(bot)
    fake.step(60 * 86_400)
    async with running(tmp_path / "data", clock=fake) as bot:
        wrong = now_ms(bot)
        assert wrong - right > 59 * DAY_MS
        await insert(
            bot,
            webhook_outbox,
            delivery("e1", "pending", right - HOUR_MS, right + MINUTE_MS),
            delivery("e2", "pending", wrong, wrong + 5 * MINUTE_MS),
        )
        await follow(bot, fake, -60 * 86_400)
        now, c = now_ms(bot), webhook_outbox.c
        assert await rows(bot, c.event, c.created_ms, c.next_ms) == [
            ("e1", right - HOUR_MS, right + MINUTE_MS),
            ("e2", pytest.approx(now, abs=10), pytest.approx(now + LONGEST_WAIT_MS, abs=10)),
        ]


async def test_a_store_of_a_clock_that_was_ahead_is_cut_at_the_start(tmp_path: Path, fake: FakeClock) -> None:
    """An older version stored these: it had no service clock, and its wall clock was ahead."""
    async with running(tmp_path / "data", clock=fake) as bot:
        await paired(bot, "one")
        at = now_ms(bot)
        record = bot.app[keys.SESSIONS].registry.get("one")
        assert record is not None
        ahead = msgspec.structs.replace(record, active_ms=at + 60 * DAY_MS, inbound_ms=at + 60 * DAY_MS)
        bot.app[keys.SESSIONS].supervisor.change(ahead)
        await insert(bot, webhook_outbox, delivery("e1", "pending", at, at + 60 * DAY_MS))
        await insert(bot, webhook_outbox, delivery("e2", "aside", at, at + MINUTE_MS))
    async with running(tmp_path / "data", clock=fake) as bot:
        record = bot.app[keys.SESSIONS].registry.get("one")
        assert record is not None
        assert max(record.active_ms, record.inbound_ms or 0) <= now_ms(bot)
        c = webhook_outbox.c
        (first, second) = await rows(bot, c.event, c.next_ms)
        assert first[1] <= now_ms(bot)
        assert second[1] == at + MINUTE_MS


@pytest.mark.parametrize("right", ["before the step", "after the step"])
async def test_a_receiver_decides_which_time_a_signature_must_have(
    tmp_path: Path, fake: FakeClock, receiver: Receiver, right: str
) -> None:
    async with running(tmp_path / "data", clock=fake, WEBHOOK_ALLOW_PRIVATE="true") as bot:
        _, made = await bot.call("POST", "/api/webhooks", {"url": receiver.url, "events": ["message"]})
        if right == "before the step":
            wanted = fake.now()
            fake.step(2 * 86_400)
        else:
            fake.step(2 * 86_400)
            wanted = fake.now()

        def answer(got: Received) -> tuple[int, Any, dict[str, str]]:
            at_s = int(got.headers["webhook-timestamp"])
            return (200 if abs(at_s - wanted.timestamp()) < 300 else 401), None, {}

        receiver.answer = answer
        _, result = await bot.call("POST", f"/api/webhooks/{made['id']}/test")
        assert result["status"] == 200, result
        assert len(receiver.requests) == (1 if right == "before the step" else 2)


async def test_a_login_that_was_made_under_a_clock_that_was_ahead_lasts_no_longer(bot: Bot, fake: FakeClock) -> None:
    logins = bot.app[DASHBOARD].logins
    cookie = logins.cookie(None)

    async def status() -> int:
        async with bot.client.get("/", headers={"Cookie": f"{COOKIE}={cookie}"}, allow_redirects=False) as answer:
            return answer.status

    assert await status() == 200
    await follow(bot, fake, -2 * 86_400)
    assert await status() == 303


async def test_a_login_that_was_ended_stays_ended_when_the_clock_goes_ahead_and_back(bot: Bot, fake: FakeClock) -> None:
    logins, ended = bot.app[DASHBOARD].logins, bot.app[keys.ACCESS].ended_logins
    cookie = logins.cookie(None)

    async def status() -> int:
        async with bot.client.get("/", headers={"Cookie": f"{COOKIE}={cookie}"}, allow_redirects=False) as answer:
            return answer.status

    made_s = now_ms(bot) // 1000
    (name,) = [logins._cookies.loads(cookie)[2]]
    await ended.end(name, made_s + LOGIN_LASTS_S)
    assert await status() == 303
    await follow(bot, fake, 60 * 86_400)
    await ended.end("another", now_ms(bot) // 1000 + LOGIN_LASTS_S)
    await follow(bot, fake, -60 * 86_400)
    assert await status() == 303


async def test_the_time_is_stored_and_workers_read_it(bot: Bot, fake: FakeClock, tmp_path: Path) -> None:
    watch = bot.app[keys.OPERATIONS].clock_watch
    await watch.check()
    fake.stall(31)
    await watch.check()
    async with bot.app[keys.DATABASE].read() as connection:
        saved = await clock_store.load(connection)
    assert saved is not None
    assert saved.service_ms == now_ms(bot)
    file = tmp_path / "data" / "run" / "clock.json"
    assert msgspec.json.decode(file.read_bytes(), type=SavedClock) == saved
    assert file.stat().st_mode & 0o077 == 0


async def test_a_step_is_counted_and_shown(bot: Bot, fake: FakeClock) -> None:
    fake.step(-300)
    await bot.app[keys.OPERATIONS].clock_watch.check()
    _, text = await bot.call("GET", "/metrics")
    lines = str(text).splitlines()
    assert "veilleur_bot_clock_steps_total 1.0" in lines
    ahead = next(line for line in lines if line.startswith("veilleur_bot_clock_ahead_seconds "))
    assert float(ahead.split()[1]) == pytest.approx(-300, abs=1)


# --- every moment is decided ---


def test_every_moment_of_a_session_moves() -> None:
    moments = {name for name in SessionRecord.__struct_fields__ if name.endswith("_ms")}
    assert moments == {*PAST, *LIMITS} | NEVER_MOVED
    move = Move(DAY_MS, 0, shifts=True)
    given = dict.fromkeys((*PAST, *LIMITS), 1000)
    record = SessionRecord(id="a", owner="o", name="n", errors=(StreamError("x", 1000),), **given)  # type: ignore[arg-type]
    after = moved_record(record, move)
    assert {getattr(after, name) for name in given} == {1000 + DAY_MS}
    assert after.errors[0].at_ms == 1000 + DAY_MS
    never = SessionRecord(id="a", owner="o", name="n", created_ms=1000)
    assert moved_record(never, move).active_ms == 0, "0 is never"


def test_every_moment_of_the_evidence_moves() -> None:
    evidence = Evidence()
    moments = {name for name in Evidence.__slots__ if name.endswith("_ms")} - {"probe_round_trip_ms"}
    for name in moments:
        setattr(evidence, name, 1000)
    evidence.sent_to = {"chat": 1000}
    move_evidence(evidence, Move(DAY_MS, 0, shifts=True))
    assert {getattr(evidence, name) for name in moments} == {1000 + DAY_MS}
    assert evidence.sent_to == {"chat": 1000 + DAY_MS}
