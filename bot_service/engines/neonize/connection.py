"""Reports connection signals in their real order, which is not the library's."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from bot_service.domain.session_record import Signal
from bot_service.domain.signals import SignalKind

# The library reports the end of the offline messages before the connection: these wait for it.
AFTER_CONNECTED = frozenset({SignalKind.OFFLINE_SYNC_PREVIEW, SignalKind.OFFLINE_SYNC_COMPLETED})


class Connection:
    """`is_up` now, `was_online` once at least; `dials` counts the tries to connect."""

    def __init__(self, report: Callable[[SignalKind, dict[str, Any]], None]) -> None:
        self._report = report
        self.is_up = self.was_online = False
        self.dials = 0
        # Everything that waited at the server has come, also receipts for older sent messages.
        self.caught_up = threading.Event()
        self._loss_reported = False
        self._held_back: list[Signal] = []

    def dialing(self) -> None:
        """The library opens a socket."""
        self.dials += 1
        self._held_back.clear()
        self.caught_up.clear()
        if self.is_up:
            # The event of the loss is still in the pump; reported now, the order is right.
            self.is_up, self._loss_reported = False, True
            self._report(SignalKind.DISCONNECTED, {})
        self._report(SignalKind.CONNECTING, {})

    def logged_in(self) -> None:
        """The server accepted the login; the library reports it later."""
        self.was_online = True

    def connected(self) -> None:
        self.is_up = self.was_online = True
        self._report(SignalKind.CONNECTED, {})
        held, self._held_back = self._held_back, []
        for signal in held:
            self._report(signal.kind, signal.data)

    def disconnected(self) -> None:
        self.is_up = False
        if self._loss_reported:
            self._loss_reported = False
        else:
            self._report(SignalKind.DISCONNECTED, {})

    def report(self, signal: Signal) -> None:
        """Reports at once, or after CONNECTED where it belongs there."""
        if signal.kind in AFTER_CONNECTED and not self.is_up:
            self._held_back.append(signal)
        else:
            self._report(signal.kind, signal.data)
        if signal.kind is SignalKind.OFFLINE_SYNC_COMPLETED:
            self.caught_up.set()
