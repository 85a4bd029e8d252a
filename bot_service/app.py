"""Builds the bot service: the only place that constructs, in dependency order, and takes down in the reverse."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from bot_service import keys
from bot_service.api import routes
from bot_service.api.access import KeyLookup, Scope, Tokens, gate
from bot_service.boot import Boot
from bot_service.domain.ports import EnginePool
from bot_service.sessions.bus import EventBus
from bot_service.settings import BotSettings
from bot_service.store.database import open_database
from shared.clock import Clock, SystemClock
from shared.loop_guard import LoopGuard
from shared.secret_files import read_or_create
from shared.tasks import TaskGroupOfLoops
from shared.web import middleware
from shared.web.metrics import http_measure, new_registry

MAX_BODY_BYTES = 32 * 1024 * 1024


def build_app(
    settings: BotSettings,
    *,
    clock: Clock | None = None,
    pool: EnginePool | None = None,
    guard: LoopGuard | None = None,
) -> web.Application:
    """The whole service, not started. Tests hand in a ``clock`` and a ``pool`` of their own."""
    clock = clock or SystemClock()
    registry = new_registry()
    tokens = _tokens(settings)
    key_lookup: KeyLookup | None = None
    scope_of: dict[tuple[str, str], Scope] = {}
    app = web.Application(
        middlewares=[
            middleware.problems(clock, http_measure(registry, "veilleur_bot")),
            gate(scope_of, tokens, key_lookup),
        ],
        client_max_size=MAX_BODY_BYTES,
    )
    app[keys.SETTINGS], app[keys.CLOCK], app[keys.METRICS] = settings, clock, registry
    app[keys.BOOT] = Boot(clock.monotonic())
    app[keys.GUARD] = guard or LoopGuard(dump_s=settings.stall_dump_ms / 1000, kill_s=settings.stall_exit_ms / 1000)
    app[keys.LOOPS] = TaskGroupOfLoops(clock)
    app[keys.BUS] = EventBus()
    app.cleanup_ctx.extend([_loop_guard, _database])
    page = routes.table(app)
    scope_of.update(routes.scopes(page))
    routes.mount(app, page)
    return app


def _tokens(settings: BotSettings) -> Tokens:
    folder = settings.secrets_path
    return Tokens(
        administrator=settings.bot_api_key or read_or_create(folder, "bot-api-key"),
        watchdog=settings.watchdog_token or read_or_create(folder, "watchdog-token"),
        metrics=settings.metrics_token,
        public_stats=settings.public_stats,
    )


async def _loop_guard(app: web.Application) -> AsyncIterator[None]:
    app[keys.GUARD].start()
    yield
    app[keys.GUARD].stop()


async def _database(app: web.Application) -> AsyncIterator[None]:
    app[keys.DATABASE] = await open_database(app[keys.SETTINGS].store_url)
    yield
    await app[keys.DATABASE].close()
