"""Many long-lived objects are excluded from collections; garbage never is."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from shared.gc_tuning import GcTuning, settle
from tests.support.fake_clock import FakeClock

MANY = 4000


class Thing:
    alive = 0

    def __init__(self) -> None:
        Thing.alive += 1
        self.me: Thing | None = None

    def __del__(self) -> None:
        Thing.alive -= 1


@pytest.fixture(autouse=True)
def settled() -> Iterator[GcTuning]:
    settle()
    yield GcTuning(FakeClock(), many=MANY)
    gc.unfreeze()


def test_much_that_lives_is_left_out_once_and_freed_all_the_same(settled: GcTuning) -> None:
    assert not settled.look()
    things = [Thing() for _ in range(MANY)]
    gc.collect(1)
    before = gc.get_freeze_count()
    assert settled.look()
    assert gc.get_freeze_count() - before >= MANY
    assert not settled.look()
    things.clear()
    assert Thing.alive == 0


def test_garbage_is_collected_and_nothing_is_left_out_for_it(settled: GcTuning) -> None:
    things = [Thing() for _ in range(MANY)]
    for thing in things:
        thing.me = thing
    gc.collect(1)  # it lives still, and so it grows old
    before = gc.get_freeze_count()
    del thing
    things.clear()
    assert Thing.alive == MANY
    assert not settled.look()
    assert (Thing.alive, gc.get_freeze_count()) == (0, before)
