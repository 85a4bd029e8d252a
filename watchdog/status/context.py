"""What the handlers of the API and of the status page use: ``request.app[CONTEXT]``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from shared.clock import Clock
from watchdog.flow.dispatcher import Dispatcher
from watchdog.flow.pipeline import Pipeline
from watchdog.flow.remediator import RepairLoop
from watchdog.flow.schedule import Schedule
from watchdog.ledger.sqlite import Ledger
from watchdog.settings import WatchdogSettings
from watchdog.status.snapshot import StatusSnapshot


@dataclass(frozen=True, slots=True)
class StatusContext:
    """``schedules`` by target."""

    settings: WatchdogSettings
    clock: Clock
    ledger: Ledger
    pipeline: Pipeline
    dispatcher: Dispatcher
    repairs: RepairLoop
    schedules: Mapping[str, Schedule]
    snapshot: StatusSnapshot


CONTEXT: web.AppKey[StatusContext] = web.AppKey("context", StatusContext)
