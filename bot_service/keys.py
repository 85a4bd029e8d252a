"""The typed keys under which ``app.py`` keeps what handlers use; handlers reach for nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client import CollectorRegistry

from bot_service.access.keyring import KeyRing
from bot_service.boot import Boot
from bot_service.domain.ports import EnginePool
from bot_service.operations.metrics import BotMetrics
from bot_service.sessions.cleanup import Cleanup
from bot_service.sessions.client_version import ClientVersion
from bot_service.sessions.client_version_recovery import ClientVersionRecovery
from bot_service.sessions.commands import SessionCommands
from bot_service.sessions.leases import FolderLease
from bot_service.sessions.notifications import EventBus
from bot_service.sessions.readiness_check import ReadinessCheck
from bot_service.sessions.receive_probe import ReceiveProbe
from bot_service.sessions.registry import SessionRegistry
from bot_service.sessions.restore import Restore
from bot_service.sessions.silence_patterns import SilencePatterns
from bot_service.sessions.supervisor import Supervisor
from bot_service.settings import BotSettings
from bot_service.store.database import Database
from bot_service.store.sessions import SessionStore
from shared.clock import Clock
from shared.loop_guard import LoopGuard
from shared.tasks import TaskGroupOfLoops

if TYPE_CHECKING:
    from bot_service.api.health.statistics import Rates
    from bot_service.api.watchdog.heartbeat import HeartbeatPublisher
    from bot_service.app_delivery import Delivery

# The program
SETTINGS: web.AppKey[BotSettings] = web.AppKey("settings", BotSettings)
CLOCK: web.AppKey[Clock] = web.AppKey("clock")
BOOT: web.AppKey[Boot] = web.AppKey("boot", Boot)
GUARD: web.AppKey[LoopGuard] = web.AppKey("guard", LoopGuard)
LOOPS: web.AppKey[TaskGroupOfLoops] = web.AppKey("loops", TaskGroupOfLoops)
METRICS: web.AppKey[CollectorRegistry] = web.AppKey("metrics", CollectorRegistry)
DATABASE: web.AppKey[Database] = web.AppKey("database", Database)

# Sessions
BUS: web.AppKey[EventBus] = web.AppKey("bus", EventBus)
STORE: web.AppKey[SessionStore] = web.AppKey("store", SessionStore)
POOL: web.AppKey[EnginePool] = web.AppKey("pool")
REGISTRY: web.AppKey[SessionRegistry] = web.AppKey("registry", SessionRegistry)
SUPERVISOR: web.AppKey[Supervisor] = web.AppKey("supervisor", Supervisor)
SESSIONS: web.AppKey[SessionCommands] = web.AppKey("sessions", SessionCommands)
SWEEP: web.AppKey[ReadinessCheck] = web.AppKey("sweep", ReadinessCheck)
PATTERNS: web.AppKey[SilencePatterns] = web.AppKey("patterns", SilencePatterns)
PROBE: web.AppKey[ReceiveProbe] = web.AppKey("probe", ReceiveProbe)
CLEANUP: web.AppKey[Cleanup] = web.AppKey("cleanup", Cleanup)
RESTORE: web.AppKey[Restore] = web.AppKey("restore", Restore)
PULSE: web.AppKey[HeartbeatPublisher] = web.AppKey("pulse")
VERSION_RECOVERY: web.AppKey[ClientVersionRecovery] = web.AppKey("version-recovery", ClientVersionRecovery)
CLIENT_VERSION: web.AppKey[ClientVersion] = web.AppKey("client-version", ClientVersion)
LEASE: web.AppKey[FolderLease] = web.AppKey("lease", FolderLease)
OUTAGE: web.AppKey[Callable[[], bool]] = web.AppKey("outage")

# Messages
FIGURES: web.AppKey[BotMetrics] = web.AppKey("figures", BotMetrics)
KEYRING: web.AppKey[KeyRing] = web.AppKey("keyring", KeyRing)
DELIVERY: web.AppKey[Delivery] = web.AppKey("delivery")
DELIVERY_LOOPS: web.AppKey[TaskGroupOfLoops] = web.AppKey("delivery-loops", TaskGroupOfLoops)
RATES: web.AppKey[Rates] = web.AppKey("rates")
