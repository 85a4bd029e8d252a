"""Every turn of a loop is counted with its length, and time spent waiting is not."""

from __future__ import annotations

import asyncio
import time

from prometheus_client import CollectorRegistry, generate_latest

from shared.cooperative import CooperativeLoop, SharedCooperativeLoop
from shared.loop_metrics import BOUNDS_S, LoopMeter, LoopTurnCollector


def longer_than(turns: LoopMeter, bound_s: float) -> int:
    return sum(turns.in_bucket[BOUNDS_S.index(bound_s) + 1 :])


def test_a_stall_is_one_long_turn_and_waiting_is_none() -> None:
    turns = LoopMeter()

    async def work() -> None:
        await asyncio.sleep(2.0)
        time.sleep(0.06)  # noqa: ASYNC251  the stall that is to be seen
        await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=turns.new_loop) as runner:
        runner.run(work())
    assert longer_than(turns, 0.05) >= 1
    # The stall and no sleep: load may make a turn longer, but not the sum as long as the sleep.
    assert 0.06 <= turns.total_s < 2.0


def test_the_histogram_is_cumulative_and_complete() -> None:
    turns = LoopMeter()
    for length_s in (0.0005, 0.015, 9.0):
        turns.add(length_s)
    registry = CollectorRegistry()
    registry.register(LoopTurnCollector(turns, "loop_turn_seconds"))
    text = generate_latest(registry).decode()
    assert 'loop_turn_seconds_bucket{le="0.001"} 1.0' in text
    assert 'loop_turn_seconds_bucket{le="0.02"} 2.0' in text
    assert 'loop_turn_seconds_bucket{le="5.0"} 2.0' in text
    assert "loop_turn_seconds_count 3.0" in text


async def test_a_budget_is_spent_after_its_time_and_whole_after_a_turn_of_others() -> None:
    others = 0

    async def other() -> None:
        nonlocal others
        others += 1

    budget = CooperativeLoop(0.01)
    assert not budget.spent
    time.sleep(0.011)  # noqa: ASYNC251  work
    assert budget.spent
    task = asyncio.create_task(other())
    await budget.take()
    assert (others, budget.spent) == (1, False)
    await task


async def test_many_tasks_at_once_share_turns_and_keep_their_order() -> None:
    budget, done, turns = SharedCooperativeLoop(0.005), [], 0

    async def work(number: int) -> None:
        await budget.turn()
        time.sleep(0.002)  # noqa: ASYNC251  work
        done.append(number)

    tasks = [asyncio.create_task(work(number)) for number in range(12)]
    while len(done) < len(tasks):
        before = len(done)
        await asyncio.sleep(0)
        # At most what fits in the budget, and the piece that began within it.
        assert len(done) - before <= 3
        turns += 1
    assert done == list(range(12))
    assert turns >= 4
