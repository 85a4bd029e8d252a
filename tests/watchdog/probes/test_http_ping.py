"""One ping against a real server: what each kind of answer and silence is called, and how often it is tried."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator

import pytest

from shared.clock import SystemClock
from tests.support.fake_bot import FakeBot
from tests.support.processes import free_port
from tests.support.waiting import eventually
from watchdog.domain.outcome import Attempt, Cause, Outcome
from watchdog.probes.http_ping import HttpPinger
from watchdog.probes.self_check import SelfCheck


@pytest.fixture
async def bot() -> AsyncIterator[FakeBot]:
    async with FakeBot() as fake:
        yield fake


def pinger(
    url: str,
    *,
    timeout_s: float = 2.0,
    stall_s: float = 0.0,
    counted: list[Attempt] | None = None,
) -> HttpPinger:
    check = SelfCheck(near=True, canaries=(), own_port=None, worst_stall_s=lambda _since: stall_s)
    return HttpPinger(
        target="bot",
        url=url + "/health",
        timeout_s=timeout_s,
        retry_s=0.2,
        clock=SystemClock(),
        self_check=check,
        on_attempt=(counted if counted is not None else []).append,
    )


async def test_an_answer_is_ok_at_the_first_attempt_and_names_the_boot(bot: FakeBot) -> None:
    result = await pinger(bot.url).ping(Cause.SCHEDULE)
    assert (result.outcome, result.reason, len(result.attempts)) == (Outcome.OK, "ok", 1)
    assert result.boot_id == bot.boot_id
    assert result.latency_ms is not None


async def test_a_server_error_is_tried_three_times_and_every_attempt_is_kept(bot: FakeBot) -> None:
    bot.health = "503"
    counted: list[Attempt] = []
    result = await pinger(bot.url, counted=counted).ping(Cause.SCHEDULE)
    assert (result.outcome, result.reason) == (Outcome.TARGET_FAIL, "http_503")
    assert [attempt.number for attempt in result.attempts] == [1, 2, 3]
    assert counted == list(result.attempts)
    assert bot.pings == 3


async def test_one_error_between_is_put_right_by_the_next_attempt(bot: FakeBot) -> None:
    bot.script = ["500", "drop", "ok"]
    result = await pinger(bot.url).ping(Cause.SCHEDULE)
    assert result.outcome is Outcome.OK
    assert [attempt.outcome for attempt in result.attempts] == [Outcome.TARGET_FAIL, Outcome.TARGET_FAIL, Outcome.OK]


@pytest.mark.parametrize("status", [401, 403, 404, 429])
async def test_a_refusal_is_no_failure_and_is_not_tried_again(bot: FakeBot, status: int) -> None:
    bot.health = str(status)
    result = await pinger(bot.url).ping(Cause.SCHEDULE)
    assert (result.outcome, result.refused, result.reason) == (Outcome.UNKNOWN, status, f"refused_{status}")
    assert bot.pings == 1


async def test_nobody_listening_is_refused_thrice_and_quickly() -> None:
    result = await pinger(f"http://127.0.0.1:{free_port()}", timeout_s=60.0).ping(Cause.CONFIRM)
    assert (result.outcome, result.reason, len(result.attempts)) == (Outcome.TARGET_FAIL, "connect_refused", 3)
    assert result.duration_ms < 20_000, "much sooner than any time limit"


async def test_a_hang_ends_at_the_time_limit_for_all_attempts_together(bot: FakeBot) -> None:
    bot.health = "hang"
    began = time.monotonic()
    result = await pinger(bot.url, timeout_s=0.3).ping(Cause.SCHEDULE)
    assert (result.outcome, result.reason) == (Outcome.TARGET_FAIL, "timeout")
    assert time.monotonic() - began > 0.25
    assert len(result.attempts) == 1, "the first attempt had all of the time, and no other was begun"
    assert bot.pings <= 1


@pytest.mark.parametrize("host", ["bot", "bot.internal", "bot.example"])
async def test_a_name_that_is_not_resolved_in_time_is_a_fault_of_the_resolver(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: over.wait(30) and [])
    try:
        result = await pinger(f"http://{host}:3000", timeout_s=0.5).ping(Cause.SCHEDULE)
    finally:
        over.set()
        await eventually(lambda: len(asyncio.all_tasks()) == 1, what="the end of the look-ups")
    assert {attempt.reason for attempt in result.attempts} == {"dns_unavailable"}
    assert result.reason == "dns_unavailable"


async def test_a_time_out_during_a_stall_of_our_own_is_our_own_fault(bot: FakeBot) -> None:
    bot.health = "hang"
    result = await pinger(bot.url, timeout_s=0.2, stall_s=0.15).ping(Cause.SCHEDULE)
    assert (result.outcome, result.reason) == (Outcome.SELF_FAIL, "loop_stall")


async def test_an_error_answered_during_a_stall_of_our_own_is_still_the_bots(bot: FakeBot) -> None:
    bot.health = "500"
    result = await pinger(bot.url, stall_s=10).ping(Cause.SCHEDULE)
    assert (result.outcome, result.reason) == (Outcome.TARGET_FAIL, "http_500")


async def test_every_attempt_has_a_connection_of_its_own(bot: FakeBot) -> None:
    one = pinger(bot.url)
    await one.ping(Cause.SCHEDULE)
    await bot.restart()
    result = await one.ping(Cause.SCHEDULE)
    assert (result.outcome, len(result.attempts)) == (Outcome.OK, 1), "no dead connection was taken from a pool"
