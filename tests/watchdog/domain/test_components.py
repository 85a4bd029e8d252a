"""What customers read of a group of sessions follows from its counts and from the state of the whole."""

from __future__ import annotations

import pytest

from watchdog.domain.components import Component, ComponentState, state_of
from watchdog.domain.states import State


@pytest.mark.parametrize(
    ("wanted", "ready", "target", "heard", "expected"),
    [
        (3, 3, State.UP, True, ComponentState.UP),
        (3, 1, State.UP, True, ComponentState.PARTLY),
        (3, 0, State.DEGRADED, True, ComponentState.DOWN),
        (0, 0, State.UP, True, ComponentState.IDLE),
        (3, 3, State.SUSPECT, False, ComponentState.UNKNOWN),
        (3, 3, State.BLIND, True, ComponentState.UNKNOWN),
        (3, 3, State.DOWN, False, ComponentState.DOWN),
        (3, 0, State.PAUSED, True, ComponentState.MAINTENANCE),
    ],
)
def test_the_state_of_a_component(
    wanted: int, ready: int, target: State, heard: bool, expected: ComponentState
) -> None:
    assert state_of(Component("Lyon", wanted, ready), target, heard=heard) is expected
