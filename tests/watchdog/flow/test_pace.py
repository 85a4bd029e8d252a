"""When pings start: the first one as asked for, the regular ones an interval apart on a clock that does not drift."""

from __future__ import annotations

from watchdog.domain.outcome import Cause
from watchdog.domain.policy import Now, Policy
from watchdog.domain.states import State
from watchdog.domain.target import TargetState
from watchdog.flow.pace import Pace

POLICY = Policy(interval_ms=1000)
UP = TargetState("bot", state=State.UP, reach=State.UP)


def starts(pace: Pace, policy: Policy, count: int) -> list[float]:
    """When the next ``count`` pings start; each is answered at once."""
    begun: list[float] = []
    now_ms = 0.0
    while len(begun) < count:
        due_ms, cause = pace.due(UP, policy, Now(int(now_ms), int(now_ms)))
        assert cause is Cause.SCHEDULE
        now_ms = max(now_ms, due_ms)
        pace.ended(pace.started(cause, policy, now_ms), None, UP)
        begun.append(now_ms)
    return begun


def test_the_first_ping_is_on_time_and_the_others_an_interval_apart() -> None:
    assert starts(Pace(5_700), POLICY, 4) == [5_700, 6_700, 7_700, 8_700]


def test_turns_that_were_missed_are_not_made_up_for() -> None:
    pace = Pace(5_700)
    pace.ended(pace.started(Cause.SCHEDULE, POLICY, 9_300), None, UP)
    assert pace.due(UP, POLICY, Now(9_300, 9_300))[0] == 9_700
