"""Tells of a client's connection in the order in which things happened; the library itself tells some of them too late or too early."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from bot_service.domain.signals import SignalKind
from bot_service.engines.neonize.stanza_signals import Sign

# The library tells of the end of the offline messages before it says that it is connected: these wait for that.
AFTER_CONNECTED = frozenset({SignalKind.OFFLINE_SYNC_PREVIEW, SignalKind.OFFLINE_SYNC_COMPLETED})


class Connection:
    """`is_up` now, `was_online` once at least; `dials` counts the tries to connect."""

    def __init__(self, tell: Callable[[SignalKind, dict[str, Any]], None]) -> None:
        self._tell = tell
        self.is_up = self.was_online = False
        self.dials = 0
        # Everything that waited at the server has come: a mark on an older message of ours would have been seen.
        self.caught_up = threading.Event()
        self._loss_told = False
        self._held_back: list[Sign] = []

    def dialing(self) -> None:
        """The library opens a socket."""
        self.dials += 1
        self._held_back.clear()
        self.caught_up.clear()
        if self.is_up:
            # The event of the loss is still on its way through the pump; told now, the order is right.
            self.is_up, self._loss_told = False, True
            self._tell(SignalKind.DISCONNECTED, {})
        self._tell(SignalKind.CONNECTING, {})

    def logged_in(self) -> None:
        """The server has taken the login; the library says so later."""
        self.was_online = True

    def connected(self) -> None:
        self.is_up = self.was_online = True
        self._tell(SignalKind.CONNECTED, {})
        held, self._held_back = self._held_back, []
        for sign in held:
            self._tell(*sign)

    def disconnected(self) -> None:
        self.is_up = False
        if self._loss_told:
            self._loss_told = False
        else:
            self._tell(SignalKind.DISCONNECTED, {})

    def sign(self, sign: Sign) -> None:
        """Tells it at once, or after CONNECTED when it belongs there."""
        if sign[0] in AFTER_CONNECTED and not self.is_up:
            self._held_back.append(sign)
        else:
            self._tell(*sign)
        if sign[0] is SignalKind.OFFLINE_SYNC_COMPLETED:
            self.caught_up.set()
