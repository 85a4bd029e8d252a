"""Builds the bot service: the only place that constructs, in dependency order, and takes down in the reverse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from bot_service import keys
from bot_service.access.keyring import KeyRing
from bot_service.access.principals import Scope, Tokens, gate
from bot_service.api.health.statistics import Rates
from bot_service.api.server import document, routes
from bot_service.api.server.problems import store_errors
from bot_service.api.watchdog.heartbeat import HeartbeatPublisher
from bot_service.app_delivery import delivery, delivery_loops, end_events
from bot_service.boot import Boot
from bot_service.dashboard import routes as dashboard
from bot_service.dashboard.context import DESK, new_desk
from bot_service.dashboard.stream import end_streams
from bot_service.domain.expiry import ExpiryAction, ExpiryPolicy
from bot_service.domain.ports import EnginePool
from bot_service.domain.readiness import DoubtPolicy
from bot_service.domain.reconnect import HerdLimit
from bot_service.domain.recovery import gave_up
from bot_service.domain.session_record import SessionPolicy
from bot_service.engines.registry import client_library
from bot_service.engines.version_page import VersionPage
from bot_service.events.service_alerts import CLIENT_OUTDATED, NOT_RECEIVING
from bot_service.operations.metrics import BotMetrics, ClientVersionFigures
from bot_service.sessions.cleanup import Cleanup
from bot_service.sessions.client_version import FOLDER, ClientVersion
from bot_service.sessions.client_version_recovery import ClientVersionRecovery
from bot_service.sessions.commands import SessionCommands
from bot_service.sessions.effects import StartLimits
from bot_service.sessions.leases import FolderLease
from bot_service.sessions.notifications import EventBus, SessionNotifications
from bot_service.sessions.readiness_check import ReadinessCheck
from bot_service.sessions.receive_probe import ProbePolicy, ReceiveProbe
from bot_service.sessions.registry import SessionRegistry
from bot_service.sessions.restore import Restore
from bot_service.sessions.silence_patterns import SilencePatterns
from bot_service.sessions.supervisor import Supervisor
from bot_service.settings import BotSettings
from bot_service.store.database import open_database
from bot_service.store.sessions import SessionStore, StoreUnavailable
from bot_service.store.write_check import StoreWriteCheck
from shared import logs
from shared.clock import Clock, SystemClock
from shared.gc_tuning import GcTuning
from shared.loop_guard import LoopGuard
from shared.secret_files import read_or_create
from shared.tasks import TaskGroupOfLoops
from shared.web import middleware
from shared.web.metrics import http_measure, new_registry

log = logs.get(__name__)

MAX_BODY_BYTES = 32 * 1024 * 1024


def build_app(
    settings: BotSettings,
    *,
    pool: EnginePool,
    clock: Clock | None = None,
    guard: LoopGuard | None = None,
) -> web.Application:
    """The whole service, not started. Tests hand in a ``clock`` and a ``pool`` of their own."""
    clock = clock or SystemClock()
    registry = new_registry()
    scope_of: dict[tuple[str, str], Scope] = {}
    # The store is opened when the application starts, the gate is built now.
    keyring = KeyRing(clock, lambda: app[keys.DATABASE])
    tokens = _tokens(settings)
    app = web.Application(
        middlewares=[
            middleware.problems(clock, http_measure(registry, "veilleur_bot")),
            store_errors,
            gate(scope_of, tokens, keyring),
        ],
        client_max_size=MAX_BODY_BYTES,
    )
    app[keys.SETTINGS], app[keys.CLOCK], app[keys.METRICS], app[keys.POOL] = settings, clock, registry, pool
    app[keys.BOOT] = Boot(clock.monotonic())
    app[keys.GUARD] = guard or LoopGuard(dump_s=settings.stall_dump_ms / 1000, kill_s=settings.stall_exit_ms / 1000)
    app[keys.LOOPS] = TaskGroupOfLoops(clock)
    app[keys.FIGURES] = BotMetrics(registry, app[keys.BOOT].version)
    app[keys.RATES] = Rates()
    app[keys.KEYRING] = keyring
    app[keys.BUS] = EventBus()
    app[keys.REGISTRY] = SessionRegistry()
    app[keys.PULSE] = HeartbeatPublisher(app, interval_ms=settings.heartbeat_interval_ms)
    app[keys.OUTAGE] = app[keys.REGISTRY].upstream_outage
    # Started from the first to the last, taken down from the last to the first.
    app.cleanup_ctx.extend(
        [_loop_guard, _lease, _database, _sessions, delivery, _engines, _loops, _restore, delivery_loops]
    )
    app[DESK] = new_desk(tokens.administrator, clock, settings.data_dir)
    app.on_shutdown.append(end_streams)
    app.on_shutdown.append(end_events)
    description = document.handler(scope_of, lambda: app[keys.BOOT].version)
    page = [
        *routes.table(app),
        *dashboard.table(app),
        routes.Route("GET", "/api/openapi.json", description, Scope.PUBLIC),
    ]
    scope_of.update(routes.scopes(page))
    routes.mount(app, page)
    return app


async def say_goodbye(app: web.Application) -> None:
    """Before connections are closed: the watchdog learns that this stop is planned."""
    app[keys.PULSE].say_goodbye()


def _tokens(settings: BotSettings) -> Tokens:
    folder = settings.secrets_path
    return Tokens(
        administrator=settings.bot_api_key or read_or_create(folder, "bot-api-key"),
        watchdog=settings.watchdog_token or read_or_create(folder, "watchdog-token"),
        metrics=settings.metrics_token,
        public_stats=settings.public_stats,
    )


def _policy(settings: BotSettings) -> SessionPolicy:
    return SessionPolicy(
        start_timeout_ms=settings.session_start_timeout_ms,
        connect_timeout_ms=settings.session_start_timeout_ms,
        paired_timeout_ms=settings.session_start_timeout_ms,
        take_over_ms=settings.reconnect_take_over_ms,
        first_delay_ms=settings.reconnect_first_delay_ms,
        max_delay_ms=settings.reconnect_max_delay_ms,
        frame_fresh_ms=settings.frame_fresh_ms,
    )


async def _loop_guard(app: web.Application) -> AsyncIterator[None]:
    app[keys.GUARD].start()
    yield
    app[keys.GUARD].stop()


async def _lease(app: web.Application) -> AsyncIterator[None]:
    app[keys.LEASE] = FolderLease(app[keys.SETTINGS].data_dir)
    app[keys.LEASE].take()
    yield
    app[keys.LEASE].release()


async def _database(app: web.Application) -> AsyncIterator[None]:
    app[keys.DATABASE] = await open_database(app[keys.SETTINGS].store_url)
    yield
    await app[keys.DATABASE].close()


async def _sessions(app: web.Application) -> AsyncIterator[None]:
    settings, clock, pool, registry = app[keys.SETTINGS], app[keys.CLOCK], app[keys.POOL], app[keys.REGISTRY]
    store = SessionStore(app[keys.DATABASE], clock, transitions_kept=settings.session_transitions_kept)
    notifications = SessionNotifications(app[keys.BUS], clock)
    supervisor = Supervisor(
        registry,
        store,
        pool,
        notifications,
        app[keys.LEASE],
        clock,
        _policy(settings),
        starts=StartLimits(
            settings.boot_concurrency, settings.session_start_timeout_ms / 1000, settings.whatsapp_proxy
        ),
        herd=HerdLimit(settings.reconnect_per_minute),
    )
    expiry = ExpiryPolicy(
        settings.session_inactive_timeout_ms, settings.session_max_age_ms, ExpiryAction(settings.session_expiry_action)
    )
    app[keys.STORE], app[keys.SUPERVISOR] = store, supervisor
    app[keys.SESSIONS] = SessionCommands(supervisor, registry, store, pool)
    app[keys.SWEEP] = ReadinessCheck(supervisor, registry, pool, clock, DoubtPolicy())
    app[keys.PROBE] = ReceiveProbe(
        supervisor,
        registry,
        pool,
        clock,
        ProbePolicy(settings.receive_probe, settings.receive_probe_interval_ms, settings.receive_probe_timeout_ms),
        round_trip=app[keys.FIGURES].probe_round_trip.observe,
    )
    app[keys.CLEANUP] = Cleanup(supervisor, registry, clock, expiry, interval_ms=settings.session_cleanup_interval_ms)
    app[keys.RESTORE] = Restore(supervisor, registry, stagger_ms=settings.boot_stagger_ms)
    app[keys.PATTERNS] = SilencePatterns(supervisor, app[keys.DATABASE], clock)
    app[keys.CLIENT_VERSION] = ClientVersion(
        settings.whatsapp_version,
        client_library(settings.engine),
        VersionPage(settings.whatsapp_version_url, settings.whatsapp_proxy),
        supervisor.refusals,
        pool,
        app[keys.DATABASE],
        clock,
        folder=settings.data_dir / FOLDER,
        checked=app[keys.FIGURES].client_version_checked,
    )
    app[keys.FIGURES].registry.register(ClientVersionFigures(app[keys.CLIENT_VERSION].facts))
    app[keys.VERSION_RECOVERY] = ClientVersionRecovery(app[keys.CLIENT_VERSION], supervisor, notifications, clock)
    await app[keys.CLIENT_VERSION].load()
    pool.signals.subscribe(supervisor.on_signal)
    yield
    await supervisor.effects.close()
    try:
        await store.flush()
        await app[keys.PATTERNS].save(pause_s=0)
    except StoreUnavailable as error:
        log.error(f"The last changes could not be stored: {error}", event_name="store.lost_at_stop")


async def _engines(app: web.Application) -> AsyncIterator[None]:
    """Workers are adopted after everybody listens and before sessions are started again."""
    await app[keys.POOL].open()
    yield
    await app[keys.POOL].close()


async def _loops(app: web.Application) -> AsyncIterator[None]:
    loops = app[keys.LOOPS]
    loops.start("store", app[keys.STORE].run)
    loops.start("store-watch", StoreWriteCheck(app[keys.DATABASE], app[keys.CLOCK]).run)
    loops.start("timers", app[keys.SUPERVISOR].timers.run)
    loops.start("sweep", app[keys.SWEEP].run)
    loops.start("probe", app[keys.PROBE].run)
    loops.start("cleanup", app[keys.CLEANUP].run)
    loops.start("heartbeat", app[keys.PULSE].run)
    loops.start("heap", GcTuning(app[keys.CLOCK]).run)
    loops.start("patterns", app[keys.PATTERNS].run)
    loops.start("client-version", app[keys.VERSION_RECOVERY].run)
    yield
    await loops.stop()


async def _restore(app: web.Application) -> AsyncIterator[None]:
    restore, pool, clock = app[keys.RESTORE], app[keys.POOL], app[keys.CLOCK]
    await restore.begin(await app[keys.STORE].load())
    await app[keys.PATTERNS].restore()
    canary = app[keys.SUPERVISOR].refusals.canary()
    if canary is not None:
        app[keys.DELIVERY].alerts.reopen(CLIENT_OUTDATED, canary.since_ms)
    for record in app[keys.REGISTRY]:
        if gave_up(record):
            app[keys.DELIVERY].alerts.reopen(NOT_RECEIVING, record.recovery_step_ms, about=record.id)

    async def end_strays() -> None:
        """What workers kept running and nobody wants any more ends once every wanted session was claimed."""
        while not restore.done:
            await clock.sleep(1.0)
        await pool.stop_unclaimed()

    strays = asyncio.create_task(end_strays(), name="boot.strays")
    yield
    strays.cancel()
    await asyncio.gather(strays, return_exceptions=True)
