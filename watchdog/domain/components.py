"""The state of a component of the status page: a group of sessions of one bot service."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from watchdog.domain.states import State


class ComponentState(StrEnum):
    UP = "up"
    PARTLY = "partly"  # some of its sessions are not ready
    DOWN = "down"
    MAINTENANCE = "maintenance"
    IDLE = "idle"  # none of its sessions should run
    UNKNOWN = "unknown"


class Component(msgspec.Struct, frozen=True):
    """As the bot counts it: ``wanted`` sessions should run, ``ready`` of them are READY."""

    name: str
    wanted: int
    ready: int


# Longer names would break the page, and more components than a bot may have are not its own.
LONGEST_NAME, MOST = 60, 20


def state_of(component: Component, target: State, *, heard: bool) -> ComponentState:
    """``heard``: the heartbeat goes on, so the counts are of now."""
    if target is State.PAUSED:
        return ComponentState.MAINTENANCE
    if target is State.DOWN:
        return ComponentState.DOWN
    if not heard or target in (State.UNKNOWN, State.BLIND):
        return ComponentState.UNKNOWN
    if component.wanted == 0:
        return ComponentState.IDLE
    if component.ready >= component.wanted:
        return ComponentState.UP
    return ComponentState.PARTLY if component.ready else ComponentState.DOWN
