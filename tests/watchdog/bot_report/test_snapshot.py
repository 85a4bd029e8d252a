"""What one push says, from real counts and a real ledger, and when the ledger is read again."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace

from shared.boot import Boot
from shared.contract.keepalive import Push
from shared.settings import load
from tests.support.fake_clock import FakeClock
from tests.support.memory_ledger import open_in_memory
from tests.support.processes import WATCHDOG_TOKEN
from watchdog.base import Base
from watchdog.bot_report.snapshot import ReportBuilder
from watchdog.domain.outcome import Attempt, Cause, Outcome, ProbeResult
from watchdog.domain.states import Incident, IncidentKind, State
from watchdog.domain.target import OpenRef, TargetState
from watchdog.flow.counts import Counts
from watchdog.ledger import decisions, incidents, runs
from watchdog.ledger.sqlite import Ledger
from watchdog.settings import WatchdogSettings

INTERVAL_S = 30.0


@dataclass
class Report:
    """The parts of a push; ``pinged`` is a ping that the ledger and the counts know."""

    ledger: Ledger
    clock: FakeClock = field(default_factory=FakeClock)
    counts: Counts = field(default_factory=Counts)
    state: TargetState = field(default_factory=lambda: TargetState("bot"))

    async def start(self, boot_id: str = "w1") -> None:
        now_ms = self.clock.now_ms
        await self.ledger.write(lambda c: runs.begin_run(c, boot_id, "0", ("bot",), now_ms))
        self.counts.earlier = await self.ledger.read(lambda c: runs.totals(c, "bot"))
        settings = load(
            WatchdogSettings,
            {
                "BOT_URL": "http://bot",
                "WATCHDOG_TOKEN": WATCHDOG_TOKEN,
                "KEEP_ALIVE_PUSH_INTERVAL": str(int(INTERVAL_S * 1000)),
            },
        )
        base = SimpleNamespace(
            settings=settings,
            boot=Boot(self.clock.monotonic(), self.clock.now(), boot_id),
            clock=self.clock,
            ledger=self.ledger,
            guard=SimpleNamespace(lag_s=0.25),
            own_port=3001,
        )
        self.build = ReportBuilder(
            target="bot",
            health_url="http://bot/health",
            base=cast(Base, base),
            counts=self.counts,
            cycle=cast(Any, SimpleNamespace(number=7)),
            pipeline=cast(Any, SimpleNamespace(state=lambda _target: self.state)),
            dispatcher=cast(Any, SimpleNamespace(depth=SimpleNamespace(rows=2, oldest_ms=900))),
            attention=cast(Any, SimpleNamespace(channels=2, known="b1-3", taken="b1-2")),
        ).build
        self._boot_id = boot_id

    async def pinged(self, outcome: Outcome = Outcome.OK) -> None:
        at_ms = self.clock.now_ms
        result = ProbeResult(
            "bot", Cause.SCHEDULE, at_ms, at_ms, outcome, "x", 5.0, (Attempt(1, at_ms, 5.0, outcome, "x"),)
        )
        await self.ledger.write(lambda c: decisions.insert_result(c, result, self._boot_id))
        self.counts.pings += 1
        self.counts.failed += outcome is not Outcome.OK

    async def lifetime(self, sequence: int = 1) -> tuple[int, int, str]:
        push: Push = await self.build(sequence)
        assert push.lifetime is not None
        return push.lifetime.ping_count, push.lifetime.failed_pings, push.lifetime.success_rate


@pytest.fixture
async def report() -> Report:
    made = Report(open_in_memory())
    await made.start()
    return made


async def test_a_push_holds_the_figures_of_every_part(report: Report) -> None:
    await report.pinged()
    await report.clock.advance(12)
    push = await report.build(41)
    assert (push.boot_id, push.sequence, push.uptime) == ("w1", 41, 12_000)
    assert (push.ping_count, push.failed_pings, push.health_url) == (1, 0, "http://bot/health")
    assert (push.cycle, push.outbox_depth, push.outbox_oldest_ms, push.loop_lag_ms) == (7, 2, 900, 250)
    assert (push.push_interval, push.is_running, push.state) == (30_000, True, "UNKNOWN")
    assert push.open_incident is None
    assert set(push.uptime_ratio) >= {"24h"}


async def test_totals_go_on_over_a_restart_of_the_watchdog(report: Report) -> None:
    await report.pinged()
    await report.pinged(Outcome.TARGET_FAIL)
    assert await report.lifetime() == (2, 1, "50.0")
    report.counts = Counts()
    await report.start("w2")
    await report.pinged()
    push = await report.build(1)
    assert (push.boot_id, push.ping_count, push.failed_pings) == ("w2", 1, 0)
    assert await report.lifetime() == (3, 1, "66.7")


async def test_pings_between_two_readings_of_the_ledger_are_in_the_totals(report: Report) -> None:
    await report.pinged()
    assert await report.lifetime() == (1, 0, "100.0")
    reads = _count_reads(report)
    await report.pinged()
    await report.pinged(Outcome.TARGET_FAIL)
    assert await report.lifetime() == (3, 1, "66.7")
    assert reads == []
    await report.clock.advance(INTERVAL_S)
    assert await report.lifetime() == (3, 1, "66.7")
    assert len(reads) == 1


async def test_an_incident_is_in_the_next_push_and_gone_after_its_end(report: Report) -> None:
    assert (await report.build(1)).open_incident is None
    at_ms = report.clock.now_ms
    incident = Incident("i1", "bot", IncidentKind.DOWN, at_ms - 5000, at_ms, "timeout")
    await report.ledger.write(lambda c: incidents.open_incident(c, incident))
    report.state = replace(report.state, state=State.DOWN, incidents=(OpenRef(IncidentKind.DOWN, "i1"),))
    push = await report.build(2)
    assert push.state == "DOWN"
    assert push.open_incident is not None
    assert (push.open_incident.id, push.open_incident.state, push.open_incident.reason) == ("i1", "down", "timeout")
    assert int(push.open_incident.since.timestamp() * 1000) == at_ms - 5000
    await report.ledger.write(lambda c: incidents.close_incident(c, "i1", at_ms, "answered_again"))
    report.state = TargetState("bot", state=State.UP)
    assert (await report.build(3)).open_incident is None


def _count_reads(report: Report) -> list[None]:
    reads: list[None] = []
    read = report.ledger.read

    async def counted(work: Any) -> Any:
        reads.append(None)
        return await read(work)

    setattr(report.ledger, "read", counted)  # noqa: B010
    return reads
