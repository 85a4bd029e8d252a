"""Ports of the watchdog: pinger, notifier, remediator."""

from __future__ import annotations

from typing import Protocol

import msgspec

from watchdog.domain.outcome import Cause, ProbeResult
from watchdog.domain.states import Incident, Notice


class Pinger(Protocol):
    """Pings one target once; a dead target is a result, never an exception."""

    async def ping(self, cause: Cause) -> ProbeResult: ...


class Delivered(msgspec.Struct, frozen=True):
    """The result of one delivery; ``retry_after_s`` as the receiver asked."""

    ok: bool
    reason: str
    retry_after_s: float | None = None


class Notifier(Protocol):
    """One channel. ``channel`` is a digest of its URL, ``label`` its scheme and host."""

    channel: str
    label: str

    async def send(self, notice: Notice) -> Delivered:
        """Never raises for a fault of the receiver or the network."""
        ...


class Repaired(msgspec.Struct, frozen=True):
    """How a repair ended; ``result`` is done, failed or dry_run."""

    result: str
    detail: str = ""


class Remediator(Protocol):
    name: str

    async def run(self, action: str, incident: Incident) -> Repaired:
        """Never raises for a fault of the other side."""
        ...
