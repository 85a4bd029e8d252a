"""When a wave of things is reported as one."""

from __future__ import annotations

import itertools

from shared.gathering import Gathering


def test_a_wave_is_over_when_nothing_new_came_for_a_while() -> None:
    gathering = Gathering()
    assert not gathering.due([0.0], 100)
    assert not gathering.due([2.9, 5.0, 14.9], 100)
    assert gathering.due([3.0, 5.0], 100)


def test_a_wave_that_goes_on_is_not_waited_for() -> None:
    assert Gathering().due([0.1, 15.0], 100)
    assert not Gathering().due([0.1, 15.0], 100, patience_s=20)


def test_notices_that_follow_each_other_are_further_and_further_apart_up_to_half_a_minute() -> None:
    gathering, sent = Gathering(), []
    for now_s in range(300):
        if gathering.due([5.0], now_s):
            gathering.sent(now_s)
            sent.append(now_s)
    gaps = [after - before for before, after in itertools.pairwise(sent)]
    assert gaps[:2] == [10, 20]
    assert set(gaps[2:]) == {30}
    assert gathering.due([5.0], 400)
    gathering.sent(400)
    assert not gathering.due([5.0], 409)
    assert gathering.due([5.0], 410), "a wave long afterwards begins with the short gap"
