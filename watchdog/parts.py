"""The parts of a started watchdog, ``app[PARTS]``."""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp
from aiohttp import web

from shared.tasks import TaskGroupOfLoops
from watchdog.base import Base
from watchdog.flow.cycle import Cycle
from watchdog.flow.dispatcher import Dispatcher
from watchdog.flow.housekeeping import Housekeeping
from watchdog.flow.peers import Peers
from watchdog.flow.pipeline import Pipeline
from watchdog.flow.remediator import RepairLoop
from watchdog.flow.steady_time import SteadyTime
from watchdog.metrics.delivery import DeliveryMetrics
from watchdog.metrics.pings import PingMetrics
from watchdog.remediators.lease import RepairLease
from watchdog.watch import Watch


@dataclass(frozen=True, slots=True)
class Parts:
    """``watches`` by target."""

    base: Base
    http: aiohttp.ClientSession
    loops: TaskGroupOfLoops
    cycle: Cycle
    dispatcher: Dispatcher
    pipeline: Pipeline
    housekeeping: Housekeeping
    watches: dict[str, Watch]
    repairs: RepairLoop
    pings: PingMetrics
    delivery: DeliveryMetrics
    peers: Peers
    steady_time: SteadyTime
    lease: RepairLease | None


PARTS: web.AppKey[Parts] = web.AppKey("parts", Parts)
