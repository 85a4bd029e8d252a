"""The typed keys under which ``app.py`` keeps the parts that handlers use; handlers use nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from bot_service.access.build import Access
from bot_service.events.build import Events
from bot_service.messages.build import Messages
from bot_service.operations.build import Operations
from bot_service.operations.metrics import BotMetrics
from bot_service.operations.run_history import RunHistory
from bot_service.replicas.build import Replicas
from bot_service.sessions.build import Sessions
from bot_service.settings import BotSettings
from bot_service.store.database import Database
from bot_service.transfers.build import Transfers
from bot_service.webhooks.build import Webhooks
from shared.boot import Boot
from shared.contract.identity import Identity
from shared.loop_guard import LoopGuard
from shared.service_clock import ServiceClock
from shared.tasks import TaskGroupOfLoops


@dataclass(frozen=True, slots=True)
class Run:
    """This run of the program: its boot, the guard of its event loop and its background loops.

    ``identity`` proves to the watchdog that this is the bot; ``history`` is how earlier runs ended.
    """

    boot: Boot
    identity: Identity
    history: RunHistory
    guard: LoopGuard
    loops: TaskGroupOfLoops


# Known before the application starts
SETTINGS: web.AppKey[BotSettings] = web.AppKey("settings", BotSettings)
CLOCK: web.AppKey[ServiceClock] = web.AppKey("clock", ServiceClock)
RUN: web.AppKey[Run] = web.AppKey("run", Run)
METRICS: web.AppKey[BotMetrics] = web.AppKey("metrics", BotMetrics)
ACCESS: web.AppKey[Access] = web.AppKey("access", Access)

# Built at the start, in this order
DATABASE: web.AppKey[Database] = web.AppKey("database", Database)
SESSIONS: web.AppKey[Sessions] = web.AppKey("sessions", Sessions)
EVENTS: web.AppKey[Events] = web.AppKey("events", Events)
MESSAGES: web.AppKey[Messages] = web.AppKey("messages", Messages)
WEBHOOKS: web.AppKey[Webhooks] = web.AppKey("webhooks", Webhooks)
TRANSFERS: web.AppKey[Transfers] = web.AppKey("transfers", Transfers)
OPERATIONS: web.AppKey[Operations] = web.AppKey("operations", Operations)

# Only with REPLICA_URL
REPLICAS: web.AppKey[Replicas] = web.AppKey("replicas", Replicas)
