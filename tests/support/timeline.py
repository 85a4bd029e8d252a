"""Timelines as in Alertmanager's tests: at t this happens, between t1 and t2 that notice arrives, no other.

The real schedule, pipeline, ledger (in memory) and dispatcher run on a fake clock; only the bot's network is played.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from shared.contract.heartbeat import Beat, SessionShares, Stopping
from shared.tasks import TaskGroupOfLoops
from tests.support.fake_clock import FakeClock
from tests.support.fake_notifier import FakeNotifier
from tests.support.memory_ledger import open_in_memory
from watchdog.domain.outcome import Attempt, Cause, Outcome, ProbeResult
from watchdog.domain.policy import Pause, Policy
from watchdog.domain.states import Notice
from watchdog.domain.uptime import Uptime
from watchdog.flow.dispatcher import Dispatcher
from watchdog.flow.heartbeat_facts import HeartbeatFacts
from watchdog.flow.housekeeping import Housekeeping
from watchdog.flow.pipeline import Pipeline
from watchdog.flow.schedule import Schedule
from watchdog.flow.steady_time import SteadyTime
from watchdog.ledger import history, pauses, runs
from watchdog.metrics.delivery import DeliveryMetrics

BEAT_S = 2.0
TIMEOUT_S = 10.0


@dataclass
class PlayedBot:
    """A bot on the fake clock. ``mode`` is up, dead, hung or a status; ``blind`` is the watchdog's own network fault."""

    clock: FakeClock
    mode: str = "up"
    blind: bool = False
    beats: bool = True
    boot: int = 1
    latency_s: float = 0.02
    sessions: SessionShares = field(default_factory=lambda: SessionShares(0, 0, 0, 0, {}))
    listener: HeartbeatFacts | None = None
    linked: bool = False
    last_beat: float = 0.0
    stalled_until: float = -1.0

    async def ping(self, cause: Cause) -> ProbeResult:
        """What ``HttpPinger`` would make of it."""
        began, began_ms = self.clock.monotonic(), self.clock.now_ms
        outcome, reason = Outcome.OK, "ok"
        while True:
            waited = self.clock.monotonic() - began
            silent = self.mode == "hung" or self.blind
            if silent and waited < TIMEOUT_S - 1e-6:
                await self.clock.sleep(min(0.25, TIMEOUT_S - waited))
                continue
            if silent:
                outcome, reason = (Outcome.SELF_FAIL, "no_canary") if self.blind else (Outcome.TARGET_FAIL, "timeout")
                if self.stalled_until >= began:
                    outcome, reason = Outcome.SELF_FAIL, "loop_stall"
            elif self.mode == "dead":
                outcome, reason = Outcome.TARGET_FAIL, "connect_refused"
                await self.clock.sleep(0.3)
            elif self.mode != "up":
                outcome, reason = Outcome.TARGET_FAIL, f"http_{self.mode}"
                await self.clock.sleep(0.3)
            else:
                await self.clock.sleep(self.latency_s)
            break
        took_ms = (self.clock.monotonic() - began) * 1000
        return ProbeResult(
            target="bot",
            cause=cause,
            started_at_ms=began_ms,
            at_ms=self.clock.now_ms,
            outcome=outcome,
            reason=reason,
            latency_ms=took_ms if outcome is Outcome.OK else None,
            attempts=(Attempt(1, began_ms, took_ms, outcome, reason),),
            boot_id=f"boot-{self.boot}" if outcome is Outcome.OK else None,
            by_bot=self.mode.isdigit(),
            duration_ms=int(took_ms),
        )

    async def run_link(self) -> None:
        """What ``HeartbeatLink`` would report: beats, their end at once, their silence after two and a half intervals."""
        silent_for = 0.0
        while True:
            await self.clock.sleep(0.25 if self.beats or self.linked else 10.0)
            if self.listener is None:
                continue
            hears = self.mode not in ("dead", "hung") and self.beats and not self.blind
            if hears:
                silent_for = 0.0
                if not self.linked:
                    self.linked = True
                    self.last_beat = 0.0
                    self.listener.connected()
                if self.clock.monotonic() - self.last_beat >= BEAT_S:
                    self.last_beat = self.clock.monotonic()
                    self.last_beat_ms = self.clock.now_ms
                    await self.listener.beat(Beat(f"boot-{self.boot}", 1, int(BEAT_S * 1000), 1, 0, self.sessions))
            elif self.linked:
                silent_for += 0.25
                if self.mode == "dead" or silent_for >= 2.5 * BEAT_S:
                    self.linked = False
                    await self.listener.trouble("stream_end", self.last_beat_ms)

    last_beat_ms: int = 0

    async def dies(self) -> None:
        self.mode = "dead"

    async def hangs(self) -> None:
        self.mode = "hung"

    async def wakes(self) -> None:
        self.mode = "up"

    async def starts(self) -> None:
        """Up again, as a new boot."""
        self.boot += 1
        self.mode = "up"

    async def answers(self, status: int) -> None:
        self.mode = str(status)

    async def announces_stop(self, deadline_s: float) -> None:
        assert self.listener is not None
        await self.listener.stopping(Stopping(f"boot-{self.boot}", int(deadline_s * 1000)))


@dataclass
class Expected:
    kind: str
    after_s: float
    before_s: float
    says: str = ""


class Timeline:
    """Build with :meth:`at` and :meth:`notice`, then ``await run(until_s)``."""

    def __init__(self, policy: Policy | None = None, *, start_delay_s: float = 5.0) -> None:
        self.clock = FakeClock()
        self.bot = PlayedBot(self.clock)
        self.policy = policy or Policy()
        self.notifier = FakeNotifier(self.clock)
        self.ledger = open_in_memory()
        self._start_delay_s = start_delay_s
        self._events: list[tuple[float, str, Callable[[], Awaitable[Any]]]] = []
        self._expected: list[Expected] = []
        self._loops: TaskGroupOfLoops | None = None
        self.housekeeping: Housekeeping | None = None
        self.pipeline: Pipeline | None = None
        self._run = 0

    def at(self, when_s: float, what: Callable[..., Awaitable[Any]], *args: Any) -> Timeline:
        """``what`` happens at ``when_s`` seconds."""
        self._events.append((when_s, getattr(what, "__name__", "?"), lambda: what(*args)))
        return self

    def notice(self, kind: str, after_s: float, before_s: float, *, says: str = "") -> Timeline:
        """A notice of ``kind`` is delivered in that time, with ``says`` in its text."""
        self._expected.append(Expected(kind, after_s, before_s, says))
        return self

    async def start_watchdog(self) -> None:
        clock, ledger = self.clock, self.ledger
        self._run += 1
        boot_id = f"w{self._run}"
        steady_time = SteadyTime(clock)
        dispatcher = Dispatcher(
            ledger, [self.notifier], [], clock, DeliveryMetrics(CollectorRegistry()), pick=random.Random(7).random
        )
        pipeline = Pipeline(
            ledger=ledger,
            steady_time=steady_time,
            policy=self.policy,
            channels=dispatcher.channels,
            boot_id=boot_id,
            targets=("bot",),
        )
        pipeline.decided.subscribe(lambda decided: dispatcher.wake() if decided.notices else None)
        self.schedule = Schedule(
            target="bot",
            pinger=self.bot,
            pipeline=pipeline,
            clock=clock,
            steady_time=steady_time,
            start_delay_s=self._start_delay_s,
        )
        self.bot.listener = HeartbeatFacts(target="bot", pipeline=pipeline, schedule=self.schedule)
        self.bot.linked = False
        self.housekeeping = Housekeeping(
            ledger=ledger, pipeline=pipeline, clock=clock, steady_time=steady_time, boot_id=boot_id
        )
        last_seen = await ledger.write(lambda c: runs.begin_run(c, boot_id, "test", ("bot",), clock.now_ms))
        await pipeline.start(last_seen)
        await dispatcher.recover()
        self.pipeline = pipeline
        self._loops = TaskGroupOfLoops(clock)
        dispatcher.start(self._loops)
        self._loops.start("upkeep", self.housekeeping.run)
        self._loops.start("pings", self.schedule.run)
        self._loops.start("link", self.bot.run_link)

    async def stop_watchdog(self, *, cleanly: bool = True) -> None:
        assert self._loops is not None
        assert self.housekeeping is not None
        self.bot.listener = None
        assert self._loops.dead() == {}
        await self._loops.stop()
        self._loops = None
        if cleanly:
            await self.housekeeping.end()

    async def kill_watchdog(self) -> None:
        await self.stop_watchdog(cleanly=False)

    async def pause(self, seconds: float) -> None:
        """A maintenance window from now on."""
        now = self.clock.now_ms
        window = Pause(f"p{now}", "bot", now, now + int(seconds * 1000), "ann", "upgrade")
        await self.ledger.write(lambda c: pauses.begin(c, window))
        assert self.pipeline is not None
        await self.pipeline.load_pauses()

    async def step_clock(self, seconds: float) -> None:
        self.clock.step(seconds)

    async def stall(self, seconds: float) -> None:
        """The watchdog's own event loop does not turn for so long."""
        self.bot.stalled_until = self.clock.monotonic() + seconds
        self.clock.stall(seconds)

    async def plays_out(self, until_s: float) -> None:
        """Play everything, then hold what arrived against what was expected, both ways."""
        await self.start_watchdog()
        zero = self.clock.monotonic()
        try:
            for when_s, _, event in sorted(self._events, key=lambda event: event[0]):
                left_s = when_s - (self.clock.monotonic() - zero)
                if left_s > 0:
                    await self.clock.advance(left_s)
                await event()
            left_s = until_s - (self.clock.monotonic() - zero)
            if left_s > 0:
                await self.clock.advance(left_s)
        finally:
            if self._loops is not None:
                await self.stop_watchdog()
        self._compare([(at - zero, notice) for at, notice in self.notifier.taken])

    def _compare(self, arrived: list[tuple[float, Notice]]) -> None:
        left = list(arrived)
        missing = []
        for expected in self._expected:
            match = next(
                (
                    got
                    for got in left
                    if got[1].kind == expected.kind
                    and expected.after_s <= got[0] <= expected.before_s
                    and expected.says in got[1].text
                ),
                None,
            )
            if match is None:
                missing.append(expected)
            else:
                left.remove(match)
        story = "\n".join(f"  {at:9.2f} s  {notice.kind:<12} {notice.text}" for at, notice in arrived)
        assert not missing, f"did not arrive: {missing}\narrived:\n{story}"
        assert not left, f"not expected: {[(round(at, 2), n.kind) for at, n in left]}\narrived:\n{story}"

    async def uptime(self, window: str = "24h") -> Uptime:
        now = self.clock.now_ms
        return (await self.ledger.read(lambda c: history.uptimes(c, "bot", now)))[window]


def quick(**changes: Any) -> Policy:
    """A policy with a ping every ten seconds, for stories that need many pings."""
    return replace(Policy(interval_ms=10_000), **changes)


async def nothing() -> None:
    await asyncio.sleep(0)
