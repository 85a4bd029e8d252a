"""Builds the watchdog: the only place that constructs, in dependency order, and takes down in the reverse."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable

import aiohttp
from aiohttp import web

from shared import logs
from shared.clock import Clock, SystemClock
from shared.loop_guard import LoopGuard
from shared.secret_files import read_or_create
from shared.settings import Secret
from shared.tasks import TaskGroupOfLoops
from shared.web import livez, metrics, middleware
from watchdog import keys, wiring
from watchdog.boot import Boot
from watchdog.domain.ports import Notifier
from watchdog.flow.cycle import Cycle
from watchdog.flow.deadman import Deadman
from watchdog.flow.dispatcher import Dispatcher
from watchdog.flow.housekeeping import Housekeeping
from watchdog.flow.pipeline import Pipeline
from watchdog.flow.remediator import RepairLoop
from watchdog.flow.repair_context import RepairContext
from watchdog.flow.steady_time import SteadyTime
from watchdog.ledger import outbox, runs
from watchdog.ledger.sqlite import Ledger
from watchdog.metrics.delivery_meter import DeliveryMeter
from watchdog.metrics.meter import PREFIX, Meter
from watchdog.metrics.repair_meter import RepairMeter
from watchdog.notifiers import table
from watchdog.notifiers.log import LogNotifier
from watchdog.remediators import table as remediators
from watchdog.settings import WatchdogSettings
from watchdog.status import api, own_health, pages
from watchdog.status.access import Access
from watchdog.status.snapshot import StatusSnapshot

log = logs.get(__name__)


def build_app(
    settings: WatchdogSettings,
    ledger: Ledger,
    *,
    clock: Clock | None = None,
    guard: LoopGuard | None = None,
    sockets: list[socket.socket] | None = None,
) -> web.Application:
    """The whole watchdog, not started. ``ledger`` is open; the app closes it. ``sockets`` are where it will listen."""
    clock = clock or SystemClock()
    registry = metrics.new_registry()
    app = web.Application(
        middlewares=[middleware.problems(clock, metrics.http_measure(registry, PREFIX))], client_max_size=1024 * 1024
    )
    app[keys.SETTINGS], app[keys.CLOCK], app[keys.LEDGER], app[keys.REGISTRY] = settings, clock, ledger, registry
    app[keys.MOMENTS] = SteadyTime(clock)
    app[keys.BOOT] = boot = Boot(clock.monotonic(), clock.now())
    app[keys.GUARD] = guard or LoopGuard(
        stamp_s=_stamp_s(settings), dump_s=settings.stall_dump_ms / 1000, kill_s=settings.stall_exit_ms / 1000
    )
    app[keys.LOOPS] = TaskGroupOfLoops(clock)
    app[keys.TOKEN] = settings.watchdog_token or read_or_create(settings.secrets_path, "watchdog-token")
    app[keys.METER] = Meter(registry, version=boot.version, targets=tuple(settings.targets))
    app[keys.DELIVERY_METER] = DeliveryMeter(registry, PREFIX)
    app[keys.REPAIR_METER] = RepairMeter(registry, PREFIX)
    app[keys.CYCLE] = Cycle(clock)
    app[keys.OWN_PORT] = [sock.getsockname()[1] for sock in (sockets or [])][:1]
    app[keys.ACCESS] = Access(settings.status_page_public, settings.status_page_token, app[keys.TOKEN])
    app.cleanup_ctx.extend([_guarding(sockets or []), _ledger, _delivery, _deciding, _repairing, _showing, _watching])
    app.router.add_get("/health", own_health.handler(lambda: _health(app)))
    app.router.add_get("/livez", livez.handler(app[keys.GUARD]))
    app.router.add_get("/metrics", metrics.handler(registry, settings.metrics_token, lambda: _look(app)))
    api.add_routes(app)
    pages.add_routes(app, clock)
    return app


def _stamp_s(settings: WatchdogSettings) -> float:
    """A stall excuses a ping that timed out when it is a fifth of the time-out: no need to look more than twice in that."""
    return min(1.0, max(0.5, settings.timeout_ms / 10_000))


def _guarding(sockets: list[socket.socket]) -> Callable[[web.Application], AsyncIterator[None]]:
    async def run(app: web.Application) -> AsyncIterator[None]:
        guard = app[keys.GUARD]
        guard.start()
        answerer = livez.StallAnswerer(guard, sockets) if sockets else None
        if answerer is not None:
            answerer.start()
        yield
        if answerer is not None:
            answerer.stop()
        guard.stop()

    return run


async def _ledger(app: web.Application) -> AsyncIterator[None]:
    yield
    app[keys.LEDGER].close()


async def _delivery(app: web.Application) -> AsyncIterator[None]:
    settings, clock = app[keys.SETTINGS], app[keys.CLOCK]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(use_dns_cache=False)) as http:
        app[keys.HTTP] = http

        def notifiers(urls: tuple[Secret, ...]) -> list[Notifier]:
            return [table.build(url, http, clock, webhook_secret=settings.alert_webhook_secret) for url in urls]

        # Fallback channels without any first one are first ones: nothing would ever make them needed.
        first = settings.alert_urls or settings.alert_fallback_urls
        app[keys.DISPATCHER] = Dispatcher(
            app[keys.LEDGER],
            [LogNotifier(), *notifiers(first)],
            notifiers(settings.alert_fallback_urls),
            clock,
            app[keys.DELIVERY_METER],
        )
        yield


async def _deciding(app: web.Application) -> AsyncIterator[None]:
    settings, clock, boot, ledger = app[keys.SETTINGS], app[keys.CLOCK], app[keys.BOOT], app[keys.LEDGER]
    targets = tuple(settings.targets)
    app[keys.PIPELINE] = pipeline = Pipeline(
        ledger=ledger,
        moments=app[keys.MOMENTS],
        policy=wiring.policy(settings),
        channels=app[keys.DISPATCHER].channels,
        boot_id=boot.boot_id,
        targets=targets,
    )
    pipeline.tell(app[keys.METER].take)
    app[keys.UPKEEP] = Housekeeping(
        ledger=ledger, pipeline=pipeline, clock=clock, moments=app[keys.MOMENTS], boot_id=boot.boot_id
    )
    app[keys.WATCHES] = {target: wiring.watch(app, target, url) for target, url in settings.targets.items()}
    dispatcher = app[keys.DISPATCHER]
    pipeline.tell(lambda decided: dispatcher.kick() if decided.told else None)
    pipeline.tell(app[keys.CYCLE].take)
    app[keys.CYCLE].on_end.append(lambda: app[keys.METER].cycle(clock.now().timestamp()))
    yield


async def _repairing(app: web.Application) -> AsyncIterator[None]:
    settings, clock, moments = app[keys.SETTINGS], app[keys.CLOCK], app[keys.MOMENTS]
    watches, pipeline = app[keys.WATCHES], app[keys.PIPELINE]
    view = RepairContext(ledger=app[keys.LEDGER], pipeline=pipeline, moments=moments, watches=watches)
    app[keys.REPAIRS] = repairs = RepairLoop(
        ledger=app[keys.LEDGER],
        clock=clock,
        steady_ms=lambda: moments.now().steady_ms,
        look=view.look,
        remediators={
            target: remediators.build(settings, target, watch.url, app[keys.HTTP], app[keys.TOKEN])
            for target, watch in watches.items()
        },
        channels=app[keys.DISPATCHER].channels,
        meter=app[keys.REPAIR_METER],
        told=app[keys.DISPATCHER].kick,
        dry_run=settings.remediation_dry_run,
    )
    pipeline.tell(lambda decided: repairs.kick() if decided.opened or decided.closed else None)
    yield


async def _showing(app: web.Application) -> AsyncIterator[None]:
    watches = app[keys.WATCHES]
    app[keys.GATHER] = StatusSnapshot(
        settings=app[keys.SETTINGS],
        clock=app[keys.CLOCK],
        boot=app[keys.BOOT],
        ledger=app[keys.LEDGER],
        pipeline=app[keys.PIPELINE],
        dispatcher=app[keys.DISPATCHER],
        repair_loop=app[keys.REPAIRS],
        watches=watches,
        cycle=app[keys.CYCLE],
        guard=app[keys.GUARD],
    )
    gather = app[keys.GATHER]
    app[keys.PIPELINE].tell(lambda decided: gather.forget() if decided.step.flip or decided.closed else None)
    yield


async def _watching(app: web.Application) -> AsyncIterator[None]:
    settings, loops, clock, boot = app[keys.SETTINGS], app[keys.LOOPS], app[keys.CLOCK], app[keys.BOOT]
    now_ms = int(clock.now().timestamp() * 1000)
    last_seen_ms = await app[keys.LEDGER].write(
        lambda c: runs.begin_run(c, boot.boot_id, boot.version, tuple(settings.targets), now_ms)
    )
    await app[keys.PIPELINE].start(last_seen_ms)
    await app[keys.DISPATCHER].mend()
    app[keys.DISPATCHER].start(loops)
    if settings.deadman_url is not None:
        _start_deadman(app, settings.deadman_url)
    if set(settings.remediation) - {"none"}:
        await app[keys.REPAIRS].load()
        loops.start("repairs", app[keys.REPAIRS].run)
    loops.start("upkeep", app[keys.UPKEEP].run)
    for watch in app[keys.WATCHES].values():
        watch.start(loops, pings=settings.enabled)
        _say_started(settings, watch.health_url)
    yield
    await loops.stop()
    await app[keys.UPKEEP].end()


def _start_deadman(app: web.Application, url: Secret) -> None:
    clock, ledger = app[keys.CLOCK], app[keys.LEDGER]

    async def depth() -> outbox.Depth:
        return await ledger.read(lambda c: outbox.depth(c, int(clock.now().timestamp() * 1000)))

    deadman = Deadman(url, app[keys.HTTP], clock, depth, app[keys.DELIVERY_METER])
    app[keys.CYCLE].on_end.append(deadman.cycle_ended)
    app[keys.LOOPS].start("deadman", deadman.run)


def _say_started(settings: WatchdogSettings, health_url: str) -> None:
    if not settings.enabled:
        log.warning("Keep-alive service is disabled (KEEP_ALIVE_ENABLED=false)", event_name="keepalive.disabled")
        return
    log.info(
        "Keep-alive service started",
        event_name="keepalive.started",
        health_url=health_url,
        interval_ms=settings.interval_ms,
        failure_threshold=settings.failure_threshold,
    )


def _health(app: web.Application) -> own_health.Health:
    settings, boot = app[keys.SETTINGS], app[keys.BOOT]
    uptime_ms, age_ms = boot.age_ms(app[keys.CLOCK]), app[keys.CYCLE].age_ms
    allowed_ms = own_health.CYCLES_LATE * (settings.interval_ms + settings.timeout_ms) + settings.start_delay_ms
    found = own_health.reasons(
        dead_loops=app[keys.LOOPS].dead(),
        ledger_fault=app[keys.PIPELINE].fault,
        enabled=settings.enabled,
        cycle_age_ms=age_ms,
        uptime_ms=uptime_ms,
        allowed_ms=allowed_ms,
    )
    status = "unhealthy" if found else "ok" if settings.enabled else "disabled"
    return own_health.Health(status, uptime_ms, boot.version, boot.boot_id, settings.enabled, age_ms, found)


def _look(app: web.Application) -> None:
    watches, pipeline = app[keys.WATCHES], app[keys.PIPELINE]
    app[keys.METER].look(
        states=pipeline.states,
        beat_ages_s={name: watch.link.age_s for name, watch in watches.items()},
        links_up={name: watch.link.up for name, watch in watches.items()},
        lag_s=app[keys.GUARD].take_worst_lag_s(),
        ledger_ok=pipeline.fault is None,
    )
