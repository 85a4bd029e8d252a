"""Builds the bot service: the only place that constructs, in dependency order, and takes down in the reverse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from aiohttp import web

from bot_service import keys
from bot_service.access.build import build as build_access
from bot_service.access.principals import Scope
from bot_service.api.server import routes
from bot_service.api.server.access import Tokens, gate
from bot_service.api.server.forwarding import forwarding
from bot_service.api.server.problems import refusals
from bot_service.dashboard import routes as dashboard
from bot_service.dashboard.context import DASHBOARD, new_dashboard
from bot_service.dashboard.guard import unknown_pages
from bot_service.dashboard.stream import end_streams
from bot_service.dialects.edge import Edges
from bot_service.dialects.evolution import routes as evolution
from bot_service.dialects.mcp import routes as mcp
from bot_service.dialects.waha import routes as waha
from bot_service.dialects.webhooks import webhook_dialects
from bot_service.domain.ownership import LeaseTimes
from bot_service.domain.ports import EnginePool
from bot_service.domain.recovery import gave_up
from bot_service.events.build import build as build_events
from bot_service.events.service_alerts import CLIENT_OUTDATED, NOT_RECEIVING
from bot_service.messages.build import build as build_messages
from bot_service.messages.build import build_media
from bot_service.operations import clock_watch
from bot_service.operations.build import build as build_operations
from bot_service.operations.metrics import BotMetrics
from bot_service.operations.replica_work import divide
from bot_service.operations.run_history import RunHistory
from bot_service.replicas import device_store
from bot_service.replicas.build import build as build_replicas
from bot_service.replicas.build import connections_name
from bot_service.replicas.lease import ReplicaLease
from bot_service.sessions.build import build as build_sessions
from bot_service.sessions.leases import FolderLease, Leases
from bot_service.settings import BotSettings
from bot_service.store.batch_writer import UNAVAILABLE
from bot_service.store.database import open_database
from bot_service.store.errors import is_unfit
from bot_service.transfers.build import build as build_transfers
from bot_service.webhooks.build import build as build_webhooks
from shared.boot import Boot
from shared.clock import Clock
from shared.contract.identity import Identity
from shared.loop_guard import LoopGuard
from shared.secret_files import read_or_create
from shared.service_clock import ServiceClock, system_service_clock
from shared.tasks import TaskGroupOfLoops
from shared.web import log_lines, middleware
from shared.web.body import KEEPS_BODIES
from shared.web.metrics import http_measure, new_registry
from shared.web.own_hosts import OWN_HOSTS, OwnHosts
from shared.web.wrong_keys import WRONG_KEYS, WrongKeys

# The other APIs that this service speaks, and what gives their refusals their shape.
DIALECTS = {"waha": waha.mount, "evolution": evolution.mount, "mcp": mcp.mount}
EDGES = {"waha": waha.EDGE, "evolution": evolution.EDGE}
MAX_BODY_BYTES = 32 * 1024 * 1024
# A container has ten seconds to end.
DRAIN_S = 6.0


def build_app(
    settings: BotSettings,
    *,
    pool: EnginePool,
    clock: Clock | None = None,
    guard: LoopGuard | None = None,
) -> web.Application:
    """The whole service, not started. Tests pass a ``clock`` and a ``pool`` of their own."""
    clock = _service_clock(clock, settings.clock_steady_after_ms / 1000)
    registry = new_registry()
    scopes = dict(routes.SCOPES)
    tokens = _tokens(settings)
    # The store is opened when the application starts, the gate is built now.
    own_hosts, pages_of = OwnHosts(urls=[settings.reached_at], names=[settings.own_hosts]), set[str]()
    replicated = settings.replica_url is not None
    access = build_access(clock, lambda: app[keys.DATABASE], tokens.administrator, replicated=replicated)
    edges = Edges(*(edge for name, edge in EDGES.items() if name in settings.dialects))
    app = web.Application(
        middlewares=[
            middleware.problems(clock, http_measure(registry, "veilleur_bot"), edges.shape_of),
            edges.tokens,
            own_hosts.only(lambda request: _is_page(request, pages_of)),
            refusals(UNAVAILABLE, lambda: app[keys.DATABASE].damaged is not None, is_unfit),
            forwarding(lambda: replicas.forwarding if (replicas := app.get(keys.REPLICAS)) is not None else None),
            unknown_pages,
            gate(scopes, tokens, access.keyring.by_token),
        ],
        client_max_size=MAX_BODY_BYTES,
    )
    lease = FolderLease(settings.data_dir)
    times = LeaseTimes(settings.replica_lease_ms / 1000)
    replica = ReplicaLease(clock, times) if settings.replica_url is not None else None
    boot = Boot.of(clock)
    guard = guard or LoopGuard(dump_s=settings.stall_dump_ms / 1000, kill_s=settings.stall_exit_ms / 1000)
    app[keys.SETTINGS], app[keys.CLOCK], app[keys.ACCESS] = settings, clock, access
    app[keys.RUN] = keys.Run(
        boot, Identity(tokens.watchdog), RunHistory(settings.data_dir, boot.boot_id), guard, TaskGroupOfLoops(clock)
    )
    app[keys.METRICS] = BotMetrics(registry, boot.version)
    app[OWN_HOSTS] = own_hosts
    if replica is not None:
        app[KEEPS_BODIES] = True
    app[WRONG_KEYS] = WrongKeys(clock, registry, "veilleur_bot")
    # Started from the first to the last, taken down from the last to the first.
    app.cleanup_ctx.extend(
        [
            _loop_guard,
            _lease(lease),
            _history,
            _database,
            _parts(pool, lease, replica),
            *([] if replica is None else [_replicas(replica)]),
            _engines,
            _restore,
            _loops,
        ]
    )
    app[DASHBOARD] = new_dashboard(
        tokens.administrator, clock, settings.data_dir, settings.installation or "", access.once
    )
    app.on_response_prepare.append(middleware.add_headers)
    app.on_shutdown.append(end_streams)
    app.on_shutdown.append(end_events)
    log_lines.prepare(app)
    routes.mount(app)
    for name, mount in DIALECTS.items():
        if name in settings.dialects:
            mount(app, scopes)
    pages = dashboard.table(app)
    app.router.add_routes(pages)
    # Each page checks the cookie itself.
    pages_of.update(page.path for page in pages)
    scopes.update({(page.method, page.path): Scope.PUBLIC for page in pages})
    return app


def _is_page(request: web.Request, pages: set[str]) -> bool:
    resource = request.match_info.route.resource
    return resource is not None and resource.canonical in pages


def _service_clock(clock: Clock | None, follow_after_s: float) -> ServiceClock:
    if clock is None:
        clock = system_service_clock(follow_after_s)
    elif not isinstance(clock, ServiceClock):
        clock = ServiceClock(clock)
    clock.follow_after_s = follow_after_s
    return clock


async def announce_stop(app: web.Application) -> None:
    """Before connections are closed: the watchdog learns that this stop is planned."""
    app[keys.OPERATIONS].heartbeat.announce_stop()
    if (replicas := app.get(keys.REPLICAS)) is not None:
        await replicas.ownership.drain(DRAIN_S)
    await asyncio.to_thread(app[keys.RUN].history.end)


async def end_events(app: web.Application) -> None:
    """Open event streams end at once, so that the stop does not wait for them."""
    await app[keys.EVENTS].stream.close()


def _tokens(settings: BotSettings) -> Tokens:
    folder = settings.secrets_path
    return Tokens(
        administrator=settings.bot_api_key or read_or_create(folder, "bot-api-key"),
        watchdog=settings.watchdog_token or read_or_create(folder, "watchdog-token"),
        metrics=settings.metrics_token,
        public_stats=settings.public_stats,
    )


async def _loop_guard(app: web.Application) -> AsyncIterator[None]:
    app[keys.RUN].guard.start()
    yield
    app[keys.RUN].guard.stop()


def _lease(lease: FolderLease) -> Callable[[web.Application], AsyncIterator[None]]:
    async def hold(app: web.Application) -> AsyncIterator[None]:
        lease.take()
        kept = asyncio.create_task(lease.keep(app[keys.CLOCK]), name="folder-lock")
        yield
        kept.cancel()
        await asyncio.gather(kept, return_exceptions=True)
        lease.release()

    return hold


async def _history(app: web.Application) -> AsyncIterator[None]:
    # Under the lease: a second service on this folder, which is refused, records nothing.
    await asyncio.to_thread(app[keys.RUN].history.begin)
    yield


async def _database(app: web.Application) -> AsyncIterator[None]:
    settings, boot_id = app[keys.SETTINGS], app[keys.RUN].boot.boot_id
    name = connections_name(boot_id) if settings.replica_url is not None else None
    app[keys.DATABASE] = await open_database(settings.store_url, name=name)
    # Before anything reads a stored moment.
    await clock_watch.resume(app[keys.CLOCK], app[keys.DATABASE], app[keys.SETTINGS].data_dir / "run")
    await app[keys.ACCESS].ended_logins.load()
    yield
    await app[keys.DATABASE].close()


def _parts(
    pool: EnginePool, folder: Leases, replica: ReplicaLease | None
) -> Callable[[web.Application], AsyncIterator[None]]:
    """Sessions, events, messages, webhooks, operations: all of them listen before an engine is opened."""

    async def parts(app: web.Application) -> AsyncIterator[None]:
        settings, clock, run, metrics = app[keys.SETTINGS], app[keys.CLOCK], app[keys.RUN], app[keys.METRICS]
        database = app[keys.DATABASE]
        media = build_media(settings, clock, database)
        async with build_sessions(
            settings,
            clock,
            database,
            pool,
            replica or folder,
            round_trip=metrics.probe_round_trip.observe,
            version_checked=metrics.client_version_checked,
        ) as sessions:
            events = await build_events(
                settings,
                clock,
                database,
                sessions,
                forget_files=media.forget_session,
                dialects=webhook_dialects(settings, sessions),
            )
            messages = build_messages(
                settings,
                clock,
                database,
                sessions,
                events,
                media,
                ended=metrics.message_ended,
                lease=replica if settings.shares_devices else None,
            )
            async with build_webhooks(
                settings,
                clock,
                database,
                events,
                messages.outbox,
                find_session=sessions.queries.find,
                attempted=metrics.webhook_attempted,
                lanes=sessions.lanes,
            ) as webhooks:
                # A session with the same id is another one: it shows no code of this one.
                events.session_events.deleted.subscribe(app[DASHBOARD].forget_session)
                app[keys.SESSIONS], app[keys.EVENTS], app[keys.MESSAGES] = sessions, events, messages
                app[keys.WEBHOOKS] = webhooks
                app[keys.TRANSFERS] = build_transfers(settings, database, sessions, events, messages, webhooks)
                app[keys.OPERATIONS] = await build_operations(
                    settings,
                    clock,
                    run.boot,
                    run.history,
                    run.guard,
                    metrics,
                    database,
                    sessions,
                    events,
                    messages,
                    webhooks,
                )
                yield
                # The loops have ended: what lanes still know is stored once.
                await app[keys.OPERATIONS].clock_watch.close()
                await messages.sender.close()
                await webhooks.dispatcher.close()
                await events.session_events.writer.flush()
                # Connections that were just closed need a turn of the loop to be gone.
                await asyncio.sleep(0)

    return parts


def _replicas(lease: ReplicaLease) -> Callable[[web.Application], AsyncIterator[None]]:
    """Makes this service one of several."""

    async def replicas(app: web.Application) -> AsyncIterator[None]:
        settings, boot, sessions = app[keys.SETTINGS], app[keys.RUN].boot, app[keys.SESSIONS]
        events, messages, webhooks = app[keys.EVENTS], app[keys.MESSAGES], app[keys.WEBHOOKS]
        if settings.shares_devices:
            pooler = settings.device_store_url.reveal() if settings.device_store_url is not None else None
            accepted = settings.device_store_async == "accept"
            await device_store.check(app[keys.DATABASE], pooler, asynchronous=accepted)
        async with build_replicas(
            app[keys.CLOCK],
            app[keys.DATABASE],
            sessions,
            lease,
            url=settings.replica_url or "",
            store_url=settings.store_url,
            boot_id=boot.boot_id,
            version=boot.version,
            secret=_tokens(settings).administrator,
            watchdog_token=_tokens(settings).watchdog,
            look_for_sends=messages.sender.look,
            look_for_lanes=webhooks.dispatcher.look_without_session,
        ) as built:
            app[keys.REPLICAS] = built
            divide(
                built,
                lease,
                sessions,
                events,
                messages,
                webhooks,
                app[keys.OPERATIONS].watchdog_reports,
                app[keys.RUN].loops.helpers,
                refresh_access=app[keys.ACCESS].refresh,
            )
            yield

    return replicas


async def _engines(app: web.Application) -> AsyncIterator[None]:
    """Workers are adopted after every listener is connected and before sessions are started again."""
    await app[keys.SESSIONS].pool.open()
    yield
    await app[keys.SESSIONS].pool.close()


async def _restore(app: web.Application) -> AsyncIterator[None]:
    sessions, alerts, clock = app[keys.SESSIONS], app[keys.EVENTS].service_alerts, app[keys.CLOCK]
    if (replicas := app.get(keys.REPLICAS)) is not None:
        await replicas.ownership.start()  # those of them that this one gets start later
    else:
        await sessions.restore.begin(await sessions.store.load())
    await asyncio.to_thread(app[keys.TRANSFERS].imports.clean_up)
    await sessions.silence_patterns.restore()
    canary = sessions.supervisor.refusals.canary()
    if canary is not None:
        alerts.reopen(CLIENT_OUTDATED, canary.since_ms)
    for record in sessions.registry.here():
        if gave_up(record):
            alerts.reopen(NOT_RECEIVING, record.recovery_step_ms, about=record.id)

    async def end_strays() -> None:
        """Clients that workers kept running end when each wanted session has claimed its own."""
        while not sessions.restore.done:
            await clock.sleep(1.0)
        await sessions.pool.stop_unclaimed()

    strays = asyncio.create_task(end_strays(), name="boot.strays")
    yield
    strays.cancel()
    await asyncio.gather(strays, return_exceptions=True)


async def _loops(app: web.Application) -> AsyncIterator[None]:
    """Last: a loop may ask whether a session exists, so all of them must be in memory."""
    loops = app[keys.RUN].loops
    groups = (keys.SESSIONS, keys.EVENTS, keys.MESSAGES, keys.WEBHOOKS, keys.OPERATIONS)
    if (replicas := app.get(keys.REPLICAS)) is not None:
        for name, run in replicas.loops():
            loops.start(name, run)
    for name, run in (loop for group in groups for loop in app[group].loops()):
        loops.start(name, run)
    loops.start("keys", app[keys.ACCESS].keyring.run)
    yield
    await loops.stop()
