"""What lives for long is left out of collections when there is much more of it, and not before."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from itertools import pairwise

import pytest

from shared.heap import LEAST, HeapCare
from tests.support.fake_clock import FakeClock


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_it_is_done_when_the_number_has_grown_by_a_quarter_and_by_enough() -> None:
    count = 0
    care = HeapCare(FakeClock(), lambda: count)

    def looked(now: int) -> bool:
        nonlocal count
        count = now
        return care.look()

    done = [now for now in range(0, 10_001, 50) if looked(now)]
    assert done[:3] == [LEAST, 2 * LEAST, 3 * LEAST]
    assert all(after - before >= max(LEAST, before // 4) for before, after in pairwise(done))
    assert len(done) < 20


def test_what_was_left_out_is_still_freed_when_nothing_refers_to_it() -> None:
    class Thing:
        alive = 0

        def __init__(self) -> None:
            Thing.alive += 1

        def __del__(self) -> None:
            Thing.alive -= 1

    things = [Thing() for _ in range(LEAST)]
    before = gc.get_freeze_count()
    assert HeapCare(FakeClock(), lambda: len(things)).look()
    assert gc.get_freeze_count() - before >= LEAST
    things.clear()
    assert Thing.alive == 0
