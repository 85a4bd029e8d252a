"""Every loop of the watchdog, made to crash again and again: people get a notice, and another one when it runs again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from shared.clock import SystemClock
from shared.tasks import TaskGroupOfLoops
from tests.support.fake_bot import FakeBot
from tests.support.receiver import Receiver
from tests.support.waiting import eventually
from tests.support.watchdog_app import RunningWatchdog, running_watchdog
from watchdog.flow import loop_watch
from watchdog.flow.pipeline import Pipeline
from watchdog.parts import PARTS

Loop = Callable[[], Awaitable[None]]


def of_loop(kind: str, loop: str) -> Callable[[Any], bool]:
    return lambda body: bool(body["data"]["kind"] == kind and body["data"]["loop"] == loop)


class Breaker:
    """Lets each loop run, and raises in it while its event is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.broken: dict[str, asyncio.Event] = {}
        begin, start = TaskGroupOfLoops.__init__, TaskGroupOfLoops.start

        def quick(loops: TaskGroupOfLoops, clock: Any, **_: Any) -> None:
            begin(loops, clock, restart_delay_s=0.02)

        def wrapped(loops: TaskGroupOfLoops, name: str, loop: Loop) -> None:
            self.broken[name] = asyncio.Event()
            start(loops, name, lambda: self._run(name, loop))

        monkeypatch.setattr(TaskGroupOfLoops, "__init__", quick)
        monkeypatch.setattr(TaskGroupOfLoops, "start", wrapped)

    async def _run(self, name: str, loop: Loop) -> None:
        work = asyncio.ensure_future(loop())
        breaks = asyncio.ensure_future(self.broken[name].wait())
        try:
            await asyncio.wait([work, breaks], return_when=asyncio.FIRST_COMPLETED)
            if breaks.done():
                raise RuntimeError(f"{name} is broken on purpose")
            await work
        finally:
            for task in (work, breaks):
                task.cancel()
            await asyncio.gather(work, breaks, return_exceptions=True)


async def health(watchdog: RunningWatchdog) -> tuple[int, Any]:
    return await watchdog.call("GET", "/health", token=None)


async def test_a_crash_of_any_loop_that_repeats_reaches_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_watch, "CALM_S", 0.5)
    breaker = Breaker(monkeypatch)
    async with (
        FakeBot() as bot,
        Receiver() as hook,
        running_watchdog(
            tmp_path,
            bot.url,
            ALERT_URLS=hook.url,
            DEADMAN_URL=hook.url + "/deadman",
            REMEDIATION="docker",
            REMEDIATION_DRY_RUN="true",
            KEEP_ALIVE_INTERVAL="300",
        ) as watchdog,
    ):
        await eventually(lambda: watchdog.app[PARTS].pipeline.state("bot").state == "UP", what="UP")
        hook.answer = lambda _request: (200, None, {})
        assert {"pings.bot", "heartbeat.bot", "push.bot", "deliver-1", "deliver-2", "outbox-keeper"} < set(
            breaker.broken
        )
        assert {"deadman", "repairs", "upkeep", "ledger"} < set(breaker.broken)
        for name, broken in breaker.broken.items():
            broken.set()
            await wait_for_notice(hook, of_loop("loop_failing", name))
            status, found = await health(watchdog)
            assert status == 503
            assert f"loop:{name}:RuntimeError" in found["reasons"]
            _, metrics = await watchdog.call("GET", "/metrics", token=None)
            assert f'veilleur_watchdog_loop_crashes_total{{loop="{name}"}}' in metrics
            broken.clear()
            await wait_for_notice(hook, of_loop("loop_over", name))
            said = [body["data"]["id"] for body in notices(hook) if body["data"].get("loop") == name]
            assert len(set(said)) == 2, f"{name}: {said}"

        async def well() -> bool:
            return (await health(watchdog))[0] == 200

        await eventually(well, what="a healthy watchdog")


def notices(hook: Receiver) -> list[Any]:
    return [got.json for got in list(hook.requests) if got.raw]


async def wait_for_notice(hook: Receiver, wanted: Callable[[Any], bool]) -> None:
    await eventually(lambda: any(wanted(body) for body in notices(hook)), what="the notice")


async def test_one_crash_is_no_news(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    breaker = Breaker(monkeypatch)
    async with (
        FakeBot() as bot,
        Receiver() as hook,
        running_watchdog(tmp_path, bot.url, ALERT_URLS=hook.url, KEEP_ALIVE_INTERVAL="300") as watchdog,
    ):
        loops = watchdog.app[PARTS].loops
        breaker.broken["upkeep"].set()
        await eventually(lambda: "upkeep" in loops.dead(), what="the crash")
        breaker.broken["upkeep"].clear()
        await eventually(lambda: not loops.dead(), what="the loop running again")
        assert hook.requests == []


async def test_a_ping_that_cannot_be_decided_is_a_crash_of_its_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Breaker(monkeypatch)
    async with (
        FakeBot(beats="absent") as bot,
        Receiver() as hook,
        running_watchdog(tmp_path, bot.url, ALERT_URLS=hook.url, KEEP_ALIVE_INTERVAL="100") as watchdog,
    ):
        await eventually(lambda: watchdog.app[PARTS].pipeline.state("bot").state == "UP", what="UP")

        async def defect(*_: Any) -> None:
            raise KeyError("a defect of a decision")

        monkeypatch.setattr(Pipeline, "process", defect)
        await wait_for_notice(hook, of_loop("loop_failing", "pings.bot"))


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE notice SET payload = '{\"tit'",
        "UPDATE notice SET payload = '{}'",
        "UPDATE notice SET kind = 'of another version'",
    ],
)
async def test_a_notice_that_cannot_be_read_does_not_stop_its_channel(tmp_path: Path, damage: str) -> None:
    async with (
        FakeBot() as bot,
        Receiver() as hook,
        running_watchdog(tmp_path, bot.url, ALERT_URLS=hook.url, KEEP_ALIVE_INTERVAL="300") as watchdog,
    ):
        parts = watchdog.app[PARTS]
        hook.answer = lambda _request: (503, None, {})
        assert (await watchdog.call("POST", "/api/test-alert"))[0] == 202
        await eventually(lambda: hook.requests, what="the first try")
        await parts.base.ledger.write(lambda c: c.execute(damage))
        hook.answer = None
        _, second = await watchdog.call("POST", "/api/test-alert")
        await hook.wait_for(lambda body: body["data"]["id"] == second["id"])
        assert parts.loops.dead() == {}


async def test_a_vital_loop_that_crashes_for_ten_minutes_ends_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_watch, "END_AFTER_S", 0.2)
    ended: list[int] = []
    loops = TaskGroupOfLoops(SystemClock(), restart_delay_s=0.02)

    class Anything:
        channels = None

        async def write(self, _fn: Any) -> None: ...
        def wake(self) -> None: ...
        async def send_past_dead_loops(self, *_: Any) -> None: ...

    anything: Any = Anything()
    loop_watch.LoopWatch(loops=loops, ledger=anything, dispatcher=anything, clock=SystemClock(), end=ended.append)

    async def crash() -> None:
        raise OSError("again")

    loops.start("push.bot", crash)
    loops.start("pings.bot", crash)
    await eventually(lambda: ended, what="the end")
    await loops.stop()
    assert ended[0] == loop_watch.EXIT_CODE
