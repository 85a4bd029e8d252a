"""Hook: listeners that one event notifies, in order of subscription."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, ParamSpec

from shared import logs

log = logs.get(__name__)
P = ParamSpec("P")


class Hook(Generic[P]):
    """A listener that raises is logged and harms no other."""

    def __init__(self) -> None:
        self._listeners: tuple[Callable[P, None], ...] = ()

    def subscribe(self, listener: Callable[P, None]) -> Callable[[], None]:
        """Returns the function that unsubscribes ``listener``."""
        self._listeners = (*self._listeners, listener)

        def unsubscribe() -> None:
            self._listeners = tuple(known for known in self._listeners if known is not listener)

        return unsubscribe

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Notify every listener."""
        for listener in self._listeners:
            try:
                listener(*args, **kwargs)
            except Exception:
                log.exception("A listener failed", event_name="hook.failed")
