"""Group commit: who shares a transaction, who gets which answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from bot_service.store.grouped import Grouped


class Store:
    """Notes the groups. ``gate`` holds the transaction that runs; odd numbers are refused."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.gate = asyncio.Event()
        self.fails = False
        self.grouped: Grouped[int, int] = Grouped("test", self._work, size=4)

    async def _work(self, items: Sequence[int]) -> Sequence[int | Exception]:
        self.groups.append(list(items))
        await self.gate.wait()
        if self.fails:
            raise OSError("the disk is full")
        return [ValueError(str(item)) if item % 2 else item * 10 for item in items]


async def test_a_single_call_waits_for_no_other_and_those_that_come_meanwhile_share_the_next_groups() -> None:
    store = Store()
    calls = [asyncio.create_task(store.grouped.ask(0))]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert store.groups == [[0]]
    calls += [asyncio.create_task(store.grouped.ask(number)) for number in range(1, 8)]
    await asyncio.sleep(0)
    store.gate.set()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert store.groups == [[0], [1, 2, 3, 4], [5, 6, 7]]
    # Each has its own answer, refused or not.
    assert [each if isinstance(each, int) else str(each) for each in answers] == [0, "1", 20, "3", 40, "5", 60, "7"]


async def test_a_group_that_fails_does_not_stop_the_next_one() -> None:
    store = Store()
    store.fails = True
    store.gate.set()
    assert [
        type(each) for each in await asyncio.gather(*map(store.grouped.ask, (0, 2, 4)), return_exceptions=True)
    ] == [OSError] * 3
    store.fails = False
    assert await store.grouped.ask(6) == 60


async def test_a_caller_that_goes_away_changes_nothing_for_the_others() -> None:
    store = Store()
    calls = [asyncio.create_task(store.grouped.ask(number)) for number in (0, 2, 4)]
    await asyncio.sleep(0)
    calls[0].cancel()
    await asyncio.sleep(0)
    store.gate.set()
    assert await asyncio.gather(*calls[1:]) == [20, 40]
    with pytest.raises(asyncio.CancelledError):
        await calls[0]
