"""The status view is of one moment: nothing older than a change is served after it, nothing newer than the ledger is claimed."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

from tests.support.fake_bot import FakeBot
from tests.support.waiting import eventually
from tests.support.watchdog_app import RunningWatchdog, running_watchdog
from watchdog.ledger.sqlite import Ledger
from watchdog.parts import PARTS
from watchdog.status.schema import StatusView
from watchdog.status.snapshot import StatusSnapshot

T = TypeVar("T")


class SlowReads:
    """The ledger, but an answer is handed over only when ``gate`` is open; ``reads`` counts the snapshots taken."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.gate = asyncio.Event()
        self.reads = 0
        self.gap = None

    async def read(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        value = await self._ledger.read(fn)
        self.reads += 1
        await self.gate.wait()
        return value


def snapshot_of(watchdog: RunningWatchdog) -> tuple[StatusSnapshot, SlowReads]:
    parts = watchdog.app[PARTS]
    slow = SlowReads(parts.base.ledger)
    snapshot = StatusSnapshot(replace(parts, base=replace(parts.base, ledger=cast(Any, slow))))
    return snapshot, slow


@asynccontextmanager
async def unpinged(tmp_path: Path) -> AsyncIterator[RunningWatchdog]:
    async with (
        FakeBot(beats="absent") as bot,
        running_watchdog(tmp_path, bot.url, KEEP_ALIVE_START_DELAY="600000") as run,
    ):
        yield run


async def first_ping(watchdog: RunningWatchdog) -> None:
    assert (await watchdog.call("POST", "/api/ping"))[0] == 202
    await eventually(lambda: watchdog.app[PARTS].pipeline.state("bot").state == "UP", what="UP")


async def pinged_while_read(watchdog: RunningWatchdog) -> tuple[StatusSnapshot, SlowReads, asyncio.Task[StatusView]]:
    """A view that is being made, and a ping that came after its read of the ledger."""
    snapshot, slow = snapshot_of(watchdog)
    asked = asyncio.create_task(snapshot.status())
    await eventually(lambda: slow.reads == 1, what="the read of the ledger")
    await first_ping(watchdog)
    return snapshot, slow, asked


async def test_a_view_that_was_being_gathered_when_something_changed_is_served_to_no_reader(tmp_path: Path) -> None:
    async with unpinged(tmp_path) as watchdog:
        snapshot, slow, asked = await pinged_while_read(watchdog)
        snapshot.invalidate()
        slow.gate.set()
        assert (await asked).targets[0].state == "UP"
        assert (await snapshot.status()).targets[0].state == "UP"
        assert slow.reads == 2


async def test_a_view_never_claims_what_its_snapshot_of_the_ledger_does_not_hold(tmp_path: Path) -> None:
    async with unpinged(tmp_path) as watchdog:
        _, slow, asked = await pinged_while_read(watchdog)
        slow.gate.set()
        target = (await asked).targets[0]
        assert (target.state, target.last_ping, target.latency["24h"].pings) == ("UNKNOWN", None, 0)


async def test_changes_without_end_are_answered_all_the_same(tmp_path: Path) -> None:
    async with unpinged(tmp_path) as watchdog:
        snapshot, slow = snapshot_of(watchdog)
        slow.gate.set()
        restless = asyncio.create_task(_change_for_ever(snapshot))
        assert (await snapshot.status()).targets[0].name == "bot"
        restless.cancel()
        await asyncio.gather(restless, return_exceptions=True)


async def _change_for_ever(snapshot: StatusSnapshot) -> None:
    while True:
        snapshot.invalidate()
        await asyncio.sleep(0)
