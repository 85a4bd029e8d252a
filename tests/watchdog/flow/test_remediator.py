"""The repair loop on a fake clock: written down first, one at a time, within the budget, remembered over restarts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from shared.tasks import TaskGroupOfLoops
from tests.support.fake_clock import FakeClock
from tests.support.fake_remediator import FakeRemediator
from tests.support.memory_ledger import open_in_memory
from watchdog.domain.remediation import Refusal, RepairFacts
from watchdog.domain.states import Incident, IncidentKind
from watchdog.flow.remediator import RepairLoop
from watchdog.flow.steady_time import SteadyTime
from watchdog.ledger import incidents, repairs
from watchdog.ledger.outbox import Channels
from watchdog.ledger.sqlite import Ledger
from watchdog.metrics.repairs import RepairMetrics


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


class Stage:
    """One or more targets with facts that the test sets, and the loop that repairs them."""

    def __init__(
        self, clock: FakeClock, ledger: Ledger, views: dict[str, RepairFacts], *remediators: Any, **how: Any
    ) -> None:
        self._steady_time = SteadyTime(clock)
        self.clock, self.ledger, self.views, self.notified = clock, ledger, views, 0
        self.registry = CollectorRegistry()
        self.loop = RepairLoop(
            ledger=ledger,
            clock=clock,
            steady_ms=self.steady_ms,
            facts=self._look,
            remediators={target: list(remediators) for target in views},
            channels=Channels(("aaaa",)),
            metrics=RepairMetrics(self.registry),
            on_notice=self._report,
            **how,
        )

    def steady_ms(self) -> int:
        return self._steady_time.now().steady_ms

    async def _look(self, target: str) -> RepairFacts:
        return self.views[target]

    def _report(self) -> None:
        self.notified += 1

    def down(self, name: str = "i1", target: str = "bot", **what: Any) -> Incident:
        now = self.clock.now_ms
        incident = Incident(name, target, IncidentKind.DOWN, now, now, "timeout")
        self.views[target] = RepairFacts(incident=incident, known_since_ms=self.steady_ms(), **what)
        return incident

    def healthy(self, target: str = "bot") -> None:
        self.views[target] = RepairFacts(healthy_since_ms=self.steady_ms())

    async def rows(self) -> list[tuple[str, str]]:
        return [(row.action, row.result) for row in await self.ledger.read(lambda c: repairs.newest(c, 100))][::-1]


@asynccontextmanager
async def stage(
    clock: FakeClock, *remediators: Any, ledger: Ledger | None = None, targets: tuple[str, ...] = ("bot",), **how: Any
) -> AsyncIterator[Stage]:
    held = ledger or open_in_memory()
    made = Stage(clock, held, {target: RepairFacts() for target in targets}, *remediators, **how)
    await made.loop.load()
    loops = TaskGroupOfLoops(clock)
    loops.start("repairs", made.loop.run)
    try:
        yield made
        assert loops.dead() == {}
    finally:
        await loops.stop()
        if ledger is None:
            held.close()


@pytest.mark.usefixtures("unhurried")
async def test_repairs_are_spaced_stop_at_the_budget_and_go_on_once_an_hour(clock: FakeClock) -> None:
    docker = FakeRemediator(clock)
    async with stage(clock, docker) as at:
        began = clock.monotonic()
        at.down()
        await clock.advance(4 * 3600)
        minutes = [round((when - began) / 60, 1) for when, _ in docker.runs]
        # Three by the half hour's budget, three more when it has passed: the day's six. Then one an hour.
        assert minutes == [0.2, 1.2, 2.2, 30.2, 32.8, 37.8, 97.8, 157.8, 217.8]


@pytest.mark.usefixtures("unhurried")
async def test_a_spent_budget_pages_a_person_once_per_incident(clock: FakeClock) -> None:
    docker = FakeRemediator(clock)
    async with stage(clock, docker) as at:
        incident = at.down()
        await at.ledger.write(lambda c: incidents.open_incident(c, incident))
        await clock.advance(8 * 3600)
        assert at.notified == 1
        waiting = await at.ledger.read(
            lambda c: [row["notice_id"] for row in c.execute("SELECT notice_id FROM outbox")]
        )
        assert waiting == [f"{incident.id}:repair_budget_spent"]


async def test_a_repair_is_written_down_before_it_is_done(clock: FakeClock) -> None:
    docker = FakeRemediator(clock, takes_s=30)
    async with stage(clock, docker) as at:
        at.down()
        await clock.advance(11)
        assert await at.rows() == [("restart_container", "running")]
        await clock.advance(30)
        assert await at.rows() == [("restart_container", "done")]


async def test_one_action_is_in_flight_over_all_targets(clock: FakeClock) -> None:
    docker = FakeRemediator(clock, takes_s=25)
    async with stage(clock, docker, targets=("bot", "bot-2", "bot-3")) as at:
        for target in ("bot", "bot-2", "bot-3"):
            at.down(f"i-{target}", target)
        await clock.advance(300)
        assert len(docker.runs) >= 3
        assert docker.most_in_flight == 1


async def test_a_dry_run_does_nothing_but_says_and_counts_it(clock: FakeClock) -> None:
    docker = FakeRemediator(clock)
    async with stage(clock, docker, dry_run=True) as at:
        at.down()
        await clock.advance(60)
        assert docker.runs == []
        assert await at.rows() == [("restart_container", "dry_run")]
        assert at.loop.budget("bot") == 2


@pytest.mark.parametrize(("what", "detail"), [({"hang": True}, "timeout"), ({"broken": True}, "crash_RuntimeError")])
async def test_a_remediator_that_hangs_or_breaks_is_a_failed_repair(
    clock: FakeClock, what: dict[str, bool], detail: str
) -> None:
    docker = FakeRemediator(clock, **what)  # type: ignore[arg-type]
    async with stage(clock, docker) as at:
        at.down()
        await clock.advance(131)
        newest = (await at.ledger.read(lambda c: repairs.newest(c, 1)))[0]
        assert (newest.result, newest.detail) == ("failed", detail)


async def test_what_was_in_flight_at_a_crash_counts_in_the_next_run(clock: FakeClock) -> None:
    ledger = open_in_memory()
    hangs = FakeRemediator(clock, hang=True)
    async with stage(clock, hangs, ledger=ledger) as at:
        at.down()
        await clock.advance(20)
        assert await at.rows() == [("restart_container", "running")]
    works = FakeRemediator(clock)
    async with stage(clock, works, ledger=ledger) as at:
        assert await at.rows() == [("restart_container", "abandoned")]
        assert at.loop.budget("bot") == 2
        at.down()
        await clock.advance(30)
        assert works.runs == []
        assert (at.loop.refusal("bot") or [None])[0] is Refusal.BOOT_GRACE
    ledger.close()


async def test_the_budget_is_kept_over_restarts_of_the_watchdog(clock: FakeClock) -> None:
    ledger = open_in_memory()
    docker = FakeRemediator(clock)
    for _ in range(12):
        async with stage(clock, docker, ledger=ledger) as at:
            at.down()
            await clock.advance(100)
    assert len(docker.runs) == 3
    ledger.close()


@pytest.mark.parametrize("step_s", [7200, -7200])
async def test_a_step_of_the_wall_clock_frees_no_budget(clock: FakeClock, step_s: int) -> None:
    docker = FakeRemediator(clock)
    async with stage(clock, docker) as at:
        at.down()
        await clock.advance(300)
        assert len(docker.runs) == 3
        clock.step(step_s)
        await clock.advance(600)
        assert len(docker.runs) == 3


@pytest.mark.usefixtures("unhurried")
async def test_a_wall_clock_set_back_between_two_runs_does_not_block_repairs_for_ever(clock: FakeClock) -> None:
    ledger = open_in_memory()
    docker = FakeRemediator(clock)
    async with stage(clock, docker, ledger=ledger) as at:
        at.down()
        await clock.advance(300)
    clock.step(-86_400 * 30)
    async with stage(clock, docker, ledger=ledger) as at:
        at.down()
        await clock.advance(2 * 3600)
        assert len(docker.runs) > 3
    ledger.close()


async def test_ten_minutes_of_health_make_waits_short_again_also_for_the_next_run(clock: FakeClock) -> None:
    ledger = open_in_memory()
    docker = FakeRemediator(clock, result="skipped")
    async with stage(clock, docker, ledger=ledger) as at:
        at.down()
        await clock.advance(700)
        assert len(docker.runs) >= 6
        at.healthy()
        await clock.advance(700)
    docker.runs.clear()
    async with stage(clock, docker, ledger=ledger) as at:
        at.down("i2")
        await clock.advance(11)
        assert len(docker.runs) == 1
    ledger.close()


async def test_a_person_can_read_why_nothing_is_done(clock: FakeClock) -> None:
    async with stage(clock, FakeRemediator(clock)) as at:
        at.down(blind=True)
        await clock.advance(60)
        assert (at.loop.refusal("bot") or [None])[0] is Refusal.BLIND
        assert at.registry.get_sample_value("veilleur_watchdog_repairs_refused_total", {"reason": "blind"}) == 1


async def test_a_budget_that_a_person_gives_back_is_whole_also_for_the_next_run(clock: FakeClock) -> None:
    ledger = open_in_memory()
    docker = FakeRemediator(clock)
    async with stage(clock, docker, ledger=ledger) as at:
        at.down()
        await clock.advance(300)
        assert at.loop.budget("bot") == 0
        assert await at.loop.restore_budget("bot") == 3
        await clock.advance(11)
        assert len(docker.runs) == 4
    async with stage(clock, docker, ledger=ledger) as at:
        assert at.loop.budget("bot") == 2
    ledger.close()
