"""Tells what the pool learns to whoever listens; a listener that fails harms nobody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bot_service.domain.ports import EngineSignal
from bot_service.engines.pool.session_entries import SessionEntry
from shared import logs
from shared.clock import Clock, to_ms

log = logs.get(__name__)


class Listeners:
    """Calls listeners at once, in the order they were added."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.signals: list[Callable[[EngineSignal], None]] = []
        self.journals: list[Callable[[str, int], None]] = []
        self.muted = False
        """Set while the service stops: what its own end does to sessions is no news of them."""

    def signal(
        self, entry: SessionEntry, kind: str, data: dict[str, Any] | None = None, *, at_ms: int | None = None
    ) -> None:
        """Tell ``kind`` of the session's present incarnation; ``at_ms`` is now when it is not given."""
        if self.muted:
            return
        when = at_ms if at_ms is not None else to_ms(self._clock.now())
        told = EngineSignal(entry.session, entry.incarnation, str(kind), when, data or {})
        for listener in self.signals:
            try:
                listener(told)
            except Exception:
                log.exception("A listener failed on a signal", event_name="engines.listener.failed", kind=str(kind))

    def journal(self, name: str, end: int) -> None:
        for listener in self.journals:
            try:
                listener(name, end)
            except Exception:
                log.exception("A listener failed on a journal", event_name="engines.listener.failed")
