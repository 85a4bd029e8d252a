"""Parts of the watchdog that exist before the event loop runs."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from shared.boot import Boot
from shared.clock import Clock
from shared.loop_guard import LoopGuard
from shared.settings import Secret
from watchdog.ledger.sqlite import Ledger
from watchdog.own_address import OwnAddress
from watchdog.settings import WatchdogSettings


@dataclass(frozen=True, slots=True)
class Base:
    """``token`` is WATCHDOG_TOKEN; ``own_port`` is None before the program listens."""

    settings: WatchdogSettings
    ledger: Ledger
    clock: Clock
    boot: Boot
    guard: LoopGuard
    token: Secret
    registry: CollectorRegistry
    own_port: int | None
    own_address: OwnAddress
