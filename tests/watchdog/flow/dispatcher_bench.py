"""A dispatcher on a fake clock with a ledger in memory, and the steps that alert tests need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client import CollectorRegistry

from shared.tasks import TaskGroupOfLoops
from tests.support.fake_clock import FakeClock
from tests.support.fake_notifier import FakeNotifier
from tests.support.memory_ledger import open_in_memory
from watchdog.domain import notices
from watchdog.domain.alert import AlertPolicy
from watchdog.domain.states import Incident, IncidentKind, Notice
from watchdog.flow.dispatcher import Dispatcher
from watchdog.ledger import incidents, outbox
from watchdog.ledger.sqlite import Ledger
from watchdog.metrics.delivery import DeliveryMetrics


class DispatcherBench:
    """What decides (in place of the pipeline), and the dispatcher that delivers it."""

    def __init__(self, clock: FakeClock, ledger: Ledger, dispatcher: Dispatcher) -> None:
        self.clock, self.ledger, self.dispatcher = clock, ledger, dispatcher
        self._count = 0

    async def open(self, kind: IncidentKind = IncidentKind.DOWN, target: str = "bot") -> Incident:
        """Decide that something is wrong: the incident and its notice in one transaction."""
        self._count += 1
        now = self.clock.now_ms
        incident = Incident(f"{target}-{kind}-{self._count}", target, kind, now - 4000, now, "timeout")

        def decide(connection: Any) -> None:
            incidents.open_incident(connection, incident)
            outbox.enqueue(connection, notices.opened(incident, failures=3), self.dispatcher.channels)

        await self.ledger.write(decide)
        self.dispatcher.wake()
        return incident

    async def close(self, incident: Incident) -> None:
        """Decide that it is over."""
        now = self.clock.now_ms

        def decide(connection: Any) -> None:
            ended = incidents.close_incident(connection, incident.id, now, "recovered")
            assert ended is not None
            outbox.enqueue(connection, notices.closed(ended), self.dispatcher.channels)

        await self.ledger.write(decide)
        self.dispatcher.wake()

    async def enqueue(self, notice: Notice) -> None:
        await self.ledger.write(lambda c: outbox.enqueue(c, notice, self.dispatcher.channels))
        self.dispatcher.wake()

    async def states(self) -> dict[tuple[str, str], tuple[str, str]]:
        """(notice, channel) -> (state, reason) of every outbox row."""
        return await self.ledger.read(
            lambda c: {
                (row["notice_id"], row["channel"]): (row["state"], row["reason"])
                for row in c.execute("SELECT notice_id, channel, state, reason FROM outbox")
            }
        )


def picks() -> Iterator[float]:
    """Random numbers without chance: every wait is its longest."""
    while True:
        yield 1.0


@asynccontextmanager
async def bench(
    clock: FakeClock,
    *primary: FakeNotifier,
    fallback: tuple[FakeNotifier, ...] = (),
    ledger: Ledger | None = None,
    policy: AlertPolicy | None = None,
) -> Any:
    """A running bench; its loops are ended with the block, the ledger stays open when it was given."""
    held = ledger or open_in_memory()
    dispatcher = Dispatcher(
        held,
        list(primary),
        list(fallback),
        clock,
        DeliveryMetrics(CollectorRegistry()),
        policy=policy,
        pick=lambda: 1.0,
    )
    await dispatcher.recover()
    loops = TaskGroupOfLoops(clock)
    dispatcher.start(loops)
    try:
        yield DispatcherBench(clock, held, dispatcher)
        assert loops.dead() == {}
    finally:
        await loops.stop()
        if ledger is None:
            held.close()
