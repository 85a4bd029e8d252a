"""Notifies systemd, or what else sets NOTIFY_SOCKET: ready, alive, stopping. Without that variable nothing is sent.

The protocol is sd_notify(3): one datagram to a Unix socket. systemd kills and restarts a program that
has sent no WATCHDOG=1 for WatchdogSec.
"""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass

from shared.settings import integer, load_or_exit, setting, text


@dataclass(frozen=True, kw_only=True)
class NotifySettings:
    """What systemd sets for a service with Type=notify and WatchdogSec."""

    address: str | None = setting(
        "NOTIFY_SOCKET", text(r"[/@].+", "a path, or @ and an abstract name"), default=None, about="Socket of systemd"
    )
    watchdog_us: int | None = setting(
        "WATCHDOG_USEC", integer(1, 2**63), default=None, about="WatchdogSec in microseconds; systemd sets it"
    )
    watchdog_pid: int | None = setting(
        "WATCHDOG_PID", integer(1, 2**31), default=None, about="Process that WatchdogSec is for; systemd sets it"
    )


class ServiceManager:
    """Never raises and never waits: a service manager that is away must not harm the program."""

    def __init__(self, settings: NotifySettings | None = None) -> None:
        given = settings or load_or_exit(NotifySettings)
        self._address = given.address and (f"\0{given.address[1:]}" if given.address[0] == "@" else given.address)
        own = given.watchdog_pid in (None, os.getpid())
        # Three signs of life in each period: one may be lost or late.
        self._every_s = given.watchdog_us / 3e6 if given.watchdog_us and own else None
        self._due = 0.0
        self._socket: socket.socket | None = None
        if self._address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | getattr(socket, "SOCK_CLOEXEC", 0))
            self._socket.setblocking(False)

    def ready(self, status: str) -> None:
        """The program listens. ``status`` is shown by ``systemctl status``."""
        self._send(f"READY=1\nSTATUS={status}")

    def alive(self) -> None:
        """Call it from the event loop, often: it sends as often as WatchdogSec needs."""
        if self._every_s is not None and time.monotonic() >= self._due:
            self._due = time.monotonic() + self._every_s
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """An orderly stop has begun."""
        self._send("STOPPING=1\nSTATUS=Stopping")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, text: str) -> None:
        if self._socket is not None and self._address:
            try:
                self._socket.sendto(text.encode(), self._address)
            except OSError:
                pass
