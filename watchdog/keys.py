"""The typed keys under which ``app.py`` keeps what handlers use; handlers reach for nothing else."""

from __future__ import annotations

from aiohttp import ClientSession, web
from prometheus_client import CollectorRegistry

from shared.clock import Clock
from shared.loop_guard import LoopGuard
from shared.settings import Secret
from shared.tasks import TaskGroupOfLoops
from watchdog.boot import Boot
from watchdog.flow.cycle import Cycle
from watchdog.flow.dispatcher import Dispatcher
from watchdog.flow.housekeeping import Housekeeping
from watchdog.flow.pipeline import Pipeline
from watchdog.flow.remediator import RepairLoop
from watchdog.flow.steady_time import SteadyTime
from watchdog.flow.watch import Watch
from watchdog.ledger.sqlite import Ledger
from watchdog.metrics.delivery_meter import DeliveryMeter
from watchdog.metrics.meter import Meter
from watchdog.metrics.repair_meter import RepairMeter
from watchdog.settings import WatchdogSettings
from watchdog.status.access import Access
from watchdog.status.snapshot import StatusSnapshot

SETTINGS: web.AppKey[WatchdogSettings] = web.AppKey("settings", WatchdogSettings)
CLOCK: web.AppKey[Clock] = web.AppKey("clock")
MOMENTS: web.AppKey[SteadyTime] = web.AppKey("moments", SteadyTime)
BOOT: web.AppKey[Boot] = web.AppKey("boot", Boot)
GUARD: web.AppKey[LoopGuard] = web.AppKey("guard", LoopGuard)
LOOPS: web.AppKey[TaskGroupOfLoops] = web.AppKey("loops", TaskGroupOfLoops)
REGISTRY: web.AppKey[CollectorRegistry] = web.AppKey("registry", CollectorRegistry)
METER: web.AppKey[Meter] = web.AppKey("meter", Meter)
DELIVERY_METER: web.AppKey[DeliveryMeter] = web.AppKey("delivery_meter", DeliveryMeter)
CYCLE: web.AppKey[Cycle] = web.AppKey("cycle", Cycle)
TOKEN: web.AppKey[Secret] = web.AppKey("token", Secret)
OWN_PORT: web.AppKey[list[int]] = web.AppKey("own_port", list)
LEDGER: web.AppKey[Ledger] = web.AppKey("ledger", Ledger)
PIPELINE: web.AppKey[Pipeline] = web.AppKey("pipeline", Pipeline)
DISPATCHER: web.AppKey[Dispatcher] = web.AppKey("dispatcher", Dispatcher)
UPKEEP: web.AppKey[Housekeeping] = web.AppKey("upkeep", Housekeeping)
WATCHES: web.AppKey[dict[str, Watch]] = web.AppKey("watches", dict)
HTTP: web.AppKey[ClientSession] = web.AppKey("http", ClientSession)
REPAIR_METER: web.AppKey[RepairMeter] = web.AppKey("repair_meter", RepairMeter)
REPAIRS: web.AppKey[RepairLoop] = web.AppKey("repairs", RepairLoop)
ACCESS: web.AppKey[Access] = web.AppKey("access", Access)
GATHER: web.AppKey[StatusSnapshot] = web.AppKey("gather", StatusSnapshot)
