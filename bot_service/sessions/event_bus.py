"""Tells every listener in this process what happened, in order; a listener that raises is logged and harms nobody."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared import logs

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Event:
    """``kind`` is a dotted noun (``session.state``, ``session.qr``, ``session.attention``, ``message.in`` …).

    ``data`` is JSON-ready, in camelCase. ``owner`` and ``session`` say who may see it.
    """

    kind: str
    session: str
    owner: str
    at: datetime
    data: dict[str, Any] = field(default_factory=dict)


Listener = Callable[[Event], None]


class EventBus:
    """Listeners are called at once and must not block: one that has work to do keeps its own queue."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Returns what ends the subscription."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def publish(self, event: Event) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(event)
            except Exception:
                log.exception("A listener of events failed", event_name="bus.listener_failed", kind=event.kind)
