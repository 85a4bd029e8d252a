"""Builds the watchdog, starts its parts in order of dependency and stops them in reverse."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import aiohttp
from aiohttp import web

from shared import http_client, logs
from shared.boot import Boot
from shared.clock import Clock, epoch_ms
from shared.loop_guard import LoopGuard
from shared.secret_files import read_or_create
from shared.service_clock import ServiceClock, system_service_clock
from shared.settings import Secret
from shared.tasks import TaskGroupOfLoops, spawn
from shared.web import auth, livez, metrics, middleware
from shared.web.own_hosts import OWN_HOSTS, OwnHosts
from shared.web.wrong_keys import WRONG_KEYS, WrongKeys
from watchdog.base import Base
from watchdog.domain.notices import OPENS
from watchdog.domain.ports import Notifier
from watchdog.domain.states import IncidentKind, Notice
from watchdog.flow import clock_watch
from watchdog.flow.cycle import Cycle
from watchdog.flow.deadman import Deadman
from watchdog.flow.dispatcher import Dispatcher
from watchdog.flow.gap_fill import GapFill
from watchdog.flow.housekeeping import Housekeeping
from watchdog.flow.ledger_watch import LedgerWatch
from watchdog.flow.loop_watch import LoopWatch
from watchdog.flow.peers import Peers
from watchdog.flow.pipeline import Pipeline
from watchdog.flow.remediator import RepairLoop
from watchdog.flow.repair_context import RepairContext
from watchdog.flow.repeater import Repeater, repeating
from watchdog.flow.steady_time import SteadyTime
from watchdog.ledger import outbox, runs
from watchdog.ledger.sqlite import Ledger
from watchdog.metrics.delivery import DeliveryMetrics
from watchdog.metrics.pings import PREFIX, PingMetrics
from watchdog.metrics.repairs import RepairMetrics
from watchdog.notifiers import table
from watchdog.notifiers.log import LogNotifier
from watchdog.own_address import OwnAddress
from watchdog.parts import PARTS, Parts
from watchdog.remediators import table as remediators
from watchdog.remediators.lease import RepairLease
from watchdog.settings import WatchdogSettings
from watchdog.status import api, own_health, pages
from watchdog.status.access import Access
from watchdog.status.brand import Brand
from watchdog.status.snapshot import SNAPSHOT, StatusSnapshot
from watchdog.watch import Watch

log = logs.get(__name__)

OWN_ADDRESS: web.AppKey[OwnAddress] = web.AppKey("own_address", OwnAddress)
GUARD: web.AppKey[LoopGuard] = web.AppKey("guard", LoopGuard)


def build_app(
    settings: WatchdogSettings,
    ledger: Ledger,
    *,
    clock: Clock | None = None,
    guard: LoopGuard | None = None,
    sockets: list[socket.socket] | None = None,
) -> web.Application:
    """The watchdog, not started. It closes ``ledger``; it will listen on ``sockets``.

    ``app[OWN_ADDRESS]`` says when it has to end because it watches itself.
    """
    clock, sockets = clock or system_service_clock(settings.clock_steady_after_ms / 1000), sockets or []
    boot = Boot.of(clock)
    base = Base(
        settings=settings,
        ledger=ledger,
        clock=clock,
        boot=boot,
        guard=guard
        or LoopGuard(
            stamp_s=_stamp_s(settings), dump_s=settings.stall_dump_ms / 1000, kill_s=settings.stall_exit_ms / 1000
        ),
        token=settings.watchdog_token or _kept_token(settings),
        registry=metrics.new_registry(),
        own_port=sockets[0].getsockname()[1] if sockets else None,
        own_address=OwnAddress(settings, boot, clock),
    )
    own_hosts = OwnHosts(urls=[settings.status_page_url], names=[settings.railway_public_domain, settings.own_hosts])
    app = web.Application(
        middlewares=[
            middleware.problems(clock, metrics.http_measure(base.registry, PREFIX)),
            own_hosts.only(_is_for_browsers),
        ],
        client_max_size=1024 * 1024,
    )
    app.on_response_prepare.append(middleware.add_headers)
    app[OWN_ADDRESS], app[GUARD] = base.own_address, base.guard
    app.cleanup_ctx.extend([_guarded(base.guard, sockets), _running(base)])
    app.router.add_get("/health", own_health.handle)
    app.router.add_get("/livez", livez.handler(base.guard))
    app.router.add_get(
        "/metrics", metrics.handler(base.registry, settings.metrics_token, lambda: _update_gauges(app[PARTS]))
    )
    app[OWN_HOSTS] = own_hosts
    app[WRONG_KEYS] = WrongKeys(clock, base.registry, PREFIX)
    access = Access(settings.status_page_public, settings.status_page_token, base.token, clock)
    api.add_routes(app, access)
    pages.add_routes(app, access, Brand.of(settings), clock)
    return app


def _is_for_browsers(request: web.Request) -> bool:
    """Machines ask for the rest, by any name, or send a token, which a foreign page has not."""
    return request.path not in ("/health", "/livez", "/metrics") and auth.bearer(request) is None


def _kept_token(settings: WatchdogSettings) -> Secret:
    try:
        return read_or_create(settings.secrets_path, "watchdog-token")
    except OSError as error:
        # On a full disk it watches and alerts all the same; only the bot does not know this token.
        log.error(
            f"The token of the watchdog cannot be kept ({error.strerror}): the bot refuses its statistics",
            event_name="token.not_kept",
        )
        return Secret(secrets.token_urlsafe(32))


def _stamp_s(settings: WatchdogSettings) -> float:
    """A stall of a fifth of the timeout excuses a ping: two stamps within that are enough."""
    return min(1.0, max(0.5, settings.timeout_ms / 10_000))


def _guarded(guard: LoopGuard, sockets: list[socket.socket]) -> Callable[[web.Application], AsyncIterator[None]]:
    async def run(_app: web.Application) -> AsyncIterator[None]:
        guard.start()
        answerer = livez.StallResponder(guard, sockets) if sockets else None
        if answerer is not None:
            answerer.start()
        yield
        if answerer is not None:
            answerer.stop()
        guard.stop()

    return run


def _running(base: Base) -> Callable[[web.Application], AsyncIterator[None]]:
    async def run(app: web.Application) -> AsyncIterator[None]:
        try:
            async with AsyncExitStack() as stack:
                http = await stack.enter_async_context(http_client.session(http_client.Connector()))
                settings = base.settings
                notifier_of = stack.enter_context(
                    table.builder(
                        http,
                        base.clock,
                        webhook_secret=settings.alert_webhook_secret,
                        name=settings.name,
                        installation=settings.installed,
                    )
                )
                if isinstance(base.clock, ServiceClock):
                    await clock_watch.resume(base.clock, base.ledger)
                app[PARTS] = parts = _build(base, http, notifier_of)
                app[SNAPSHOT] = snapshot = StatusSnapshot(parts)
                parts.pipeline.decided.subscribe(snapshot.on_decided)
                base.ledger.changed.subscribe(snapshot.invalidate)
                await _start(parts)
                look = spawn(base.own_address.look(), name="own-address")
                yield
                look.cancel()
                await asyncio.gather(look, return_exceptions=True)
                await parts.loops.stop()
                await parts.housekeeping.end()
        finally:
            base.ledger.close()

    return run


def _build(base: Base, http: aiohttp.ClientSession, notifier_of: Callable[[Secret], Notifier]) -> Parts:
    settings, clock, ledger, boot = base.settings, base.clock, base.ledger, base.boot
    steady_time, cycle = SteadyTime(clock), Cycle(clock)
    pings = PingMetrics(base.registry, version=boot.version, targets=tuple(settings.targets))
    delivery = DeliveryMetrics(base.registry, PREFIX)
    dispatcher = _dispatcher(base, notifier_of, delivery)
    pipeline = Pipeline(
        ledger=ledger,
        steady_time=steady_time,
        policy=settings.policy,
        channels=dispatcher.channels,
        boot_id=boot.boot_id,
        targets=tuple(settings.targets),
    )
    watches = {
        target: Watch(
            target,
            url,
            base,
            steady_time=steady_time,
            pipeline=pipeline,
            dispatcher=dispatcher,
            cycle=cycle,
            metrics=pings,
        )
        for target, url in settings.targets.items()
    }
    context = RepairContext(
        ledger=ledger,
        pipeline=pipeline,
        steady_time=steady_time,
        heartbeats={target: watch.heartbeat for target, watch in watches.items()},
    )
    lease = None
    if settings.remediation_lock is not None and settings.repairs_by:
        lease = RepairLease(settings.remediation_lock, f"{settings.name} {boot.boot_id}", clock)
    repairs = RepairLoop(
        ledger=ledger,
        clock=clock,
        steady_ms=lambda: steady_time.now().steady_ms,
        facts=context.facts,
        remediators={
            target: remediators.build(settings, target, url, http, base.token)
            for target, url in settings.targets.items()
        },
        channels=dispatcher.channels,
        metrics=RepairMetrics(base.registry, PREFIX),
        on_notice=dispatcher.wake,
        dry_run=settings.remediation_dry_run,
        lease=lease,
    )
    peers = Peers(
        settings.peers,
        base.token,
        name=settings.name,
        boot_id=boot.boot_id,
        ledger=ledger,
        clock=clock,
        pipeline=pipeline,
        steady_time=steady_time,
        channels=dispatcher.channels,
        on_notice=dispatcher.wake,
    )
    pipeline.decided.subscribe(peers.on_decided)
    pipeline.decided.subscribe(pings.count)
    pipeline.decided.subscribe(lambda decided: dispatcher.wake() if decided.notices else None)
    pipeline.decided.subscribe(lambda decided: repairs.wake() if decided.opened or decided.closed else None)
    pipeline.decided.subscribe(cycle.end)
    cycle.ended.subscribe(lambda: pings.last_cycle.set(clock.now().timestamp()))
    housekeeping = Housekeeping(
        ledger=ledger, pipeline=pipeline, clock=clock, steady_time=steady_time, boot_id=boot.boot_id
    )
    loops = TaskGroupOfLoops(clock)
    return Parts(
        base,
        http,
        loops,
        cycle,
        dispatcher,
        pipeline,
        housekeeping,
        watches,
        repairs,
        pings,
        delivery,
        peers,
        steady_time,
        lease,
    )


def _dispatcher(base: Base, notifier_of: Callable[[Secret], Notifier], delivery: DeliveryMetrics) -> Dispatcher:
    settings = base.settings
    # Fallback channels without a primary one are primary: nothing would ever use them otherwise.
    primary = [notifier_of(url) for url in settings.alert_urls or settings.alert_fallback_urls]
    fallback = [notifier_of(url) for url in settings.alert_fallback_urls]
    return Dispatcher(base.ledger, [LogNotifier(), *primary], fallback, base.clock, delivery)


async def _start(parts: Parts) -> None:
    base = parts.base
    settings, boot, loops, now_ms = base.settings, base.boot, parts.loops, epoch_ms(base.clock)
    LoopWatch(loops=loops, ledger=base.ledger, dispatcher=parts.dispatcher, clock=base.clock)
    loops.crashed.subscribe(lambda name, _error: parts.pings.loop_crashed(name))
    in_order = await base.ledger.read(lambda c: runs.stopped_in_order(c, now_ms))
    last_seen_ms = await base.ledger.write(
        lambda c: runs.begin_run(c, boot.boot_id, boot.version, tuple(settings.targets), now_ms)
    )
    for target, watch in parts.watches.items():
        watch.counts.earlier = await base.ledger.read(lambda c, name=target: runs.totals(c, name))  # type: ignore[misc]
    await parts.pipeline.start(last_seen_ms, in_order=in_order)
    await parts.dispatcher.recover()
    parts.dispatcher.start(loops)
    for number, notifier in enumerate(repeating(parts.dispatcher.notifiers), 1):
        loops.start(f"repeat-{number}", Repeater(notifier, base.ledger, base.clock, _undisputed(parts)).run)
    await parts.peers.start(loops)
    if settings.peers:
        loops.start("gaps", GapFill(parts.peers, base.token, base.ledger, base.clock, tuple(settings.targets)).run)
    if settings.deadman_url is not None:
        _start_deadman(parts, settings.deadman_url)
    if settings.repairs_by:
        await parts.repairs.load()
        loops.start("repairs", parts.repairs.run)
        if parts.lease is not None:
            loops.start("repair-lease", parts.lease.run)
    loops.start("ledger", _ledger_watch(parts).run)
    loops.start("upkeep", parts.housekeeping.run)
    loops.start("ledger-lock", lambda: base.ledger.keep_locked(base.clock))
    if isinstance(base.clock, ServiceClock):
        loops.start("clock", clock_watch.ClockWatch(base.clock, base.ledger, parts.pipeline).run)
    for watch in parts.watches.values():
        watch.start(loops, pings=settings.enabled)
        _log_start(settings, watch.health_url)


def _undisputed(parts: Parts) -> Callable[[Notice], bool]:
    """Whether no peer says the opposite of a notice right now."""

    def check(notice: Notice) -> bool:
        kind = IncidentKind(notice.fields["incidentKind"])
        return parts.peers.agreed(notice.target, kind, is_open=notice.kind in OPENS.values())

    return check


def _ledger_watch(parts: Parts) -> LedgerWatch:
    base = parts.base
    knew_history = base.ledger.history_known

    async def resumed() -> None:
        await parts.pipeline.load_pauses()
        if base.settings.repairs_by and base.ledger.history_known and not knew_history:
            await parts.repairs.load()

    return LedgerWatch(
        ledger=base.ledger,
        channels=parts.dispatcher.channels,
        clock=base.clock,
        on_notice=parts.dispatcher.wake,
        on_resumed=resumed,
    )


def _start_deadman(parts: Parts, url: Secret) -> None:
    base = parts.base

    async def depth() -> outbox.Depth:
        return await base.ledger.read(lambda c: outbox.depth(c, epoch_ms(base.clock)))

    deadman = Deadman(url, parts.http, base.clock, depth, parts.delivery)
    parts.cycle.ended.subscribe(deadman.cycle_ended)
    parts.loops.start("deadman", deadman.run)


def _log_start(settings: WatchdogSettings, health_url: str) -> None:
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


def _update_gauges(parts: Parts) -> None:
    base = parts.base
    parts.pings.update_gauges(
        states=parts.pipeline.states,
        beat_ages_s={name: watch.link.age_s for name, watch in parts.watches.items()},
        links_up={name: watch.link.up for name, watch in parts.watches.items()},
        lag_s=base.guard.take_worst_lag_s(),
        ledger_ok=base.ledger.gap is None,
        dead_loops=len(parts.loops.dead()),
        peers_up={peer.host: not peer.absent for peer in parts.peers.others},
    )
