"""The typed keys under which ``app.py`` keeps what handlers use; handlers reach for nothing else."""

from __future__ import annotations

from aiohttp import web
from prometheus_client import CollectorRegistry

from bot_service.boot import Boot
from bot_service.domain.ports import EnginePool
from bot_service.sessions.bus import EventBus
from bot_service.settings import BotSettings
from bot_service.store.database import Database
from shared.clock import Clock
from shared.loop_guard import LoopGuard
from shared.tasks import TaskGroupOfLoops

SETTINGS: web.AppKey[BotSettings] = web.AppKey("settings", BotSettings)
CLOCK: web.AppKey[Clock] = web.AppKey("clock")
BOOT: web.AppKey[Boot] = web.AppKey("boot")
GUARD: web.AppKey[LoopGuard] = web.AppKey("guard", LoopGuard)
LOOPS: web.AppKey[TaskGroupOfLoops] = web.AppKey("loops", TaskGroupOfLoops)
METRICS: web.AppKey[CollectorRegistry] = web.AppKey("metrics", CollectorRegistry)
DATABASE: web.AppKey[Database] = web.AppKey("database", Database)
BUS: web.AppKey[EventBus] = web.AppKey("bus", EventBus)
POOL: web.AppKey[EnginePool] = web.AppKey("pool")
