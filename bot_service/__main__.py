"""``python -m bot_service``. Exit codes: 0 stopped, 1 cannot run, 2 wrong settings.

``--check-settings`` only reads the settings: 0 when all can be used, else 2.
"""

from __future__ import annotations

import gc

if __name__ == "__main__":
    # Nothing becomes garbage while modules are imported and the service is built; ``gc_tuning.settle`` enables it.
    gc.disable()

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator

from aiohttp import web

from bot_service import keys
from bot_service.app import announce_stop, build_app
from bot_service.dashboard.context import DASHBOARD
from bot_service.dashboard.welcome import welcome
from bot_service.dialects.waha.paths import PREFIX as WAHA
from bot_service.engines.arrived_files import LARGEST_BYTES, LARGEST_IN_POSTGRESQL
from bot_service.engines.pool.policy import DEFAULT_COMMAND, PoolPolicy
from bot_service.engines.pool.pool import WorkerPool
from bot_service.engines.pool.worker_environment import worker_environment
from bot_service.engines.wire import device_store
from bot_service.engines.wire.device_store import DeviceStoreAddress
from bot_service.engines.wire.worker_options import SharedFilesAddress
from bot_service.operations.collectors import WorkerMemory
from bot_service.sessions.leases import FolderTaken
from bot_service.settings import BotSettings
from bot_service.store.database import StoreRefused
from shared import gc_tuning, logs, private_folders
from shared.log_writer import unblock_standard_streams
from shared.loop_metrics import LoopMeter, LoopTurnCollector
from shared.service_clock import system_service_clock
from shared.service_manager import ServiceManager
from shared.settings import SettingsError, environment, exit_for, load_or_exit
from shared.settings_spelling import log_misspelt
from shared.web.livez import StallResponder
from shared.web.ports import bind_or_exit
from shared.web.server import serve


def _built(settings: BotSettings, turns: LoopMeter) -> web.Application:
    """The service, not started. Slow steps that need no event loop are done before one runs."""
    clock = system_service_clock()
    pool = WorkerPool(_pool_policy(settings), clock)
    app = build_app(settings, pool=pool, clock=clock)
    app[keys.METRICS].registry.register(
        WorkerMemory(lambda: [worker.rss_bytes for worker in pool.fleet.workers.values()])
    )
    app[keys.METRICS].registry.register(LoopTurnCollector(turns, "veilleur_bot_loop_turn_seconds"))
    pool.fleet.worker_replaced.subscribe(app[keys.METRICS].worker_restarted)
    app.cleanup_ctx.append(_settled)
    app[DASHBOARD].pages.warm()
    gc_tuning.settle()
    return app


async def _run(app: web.Application, sockets: list[socket.socket], prefixes: dict[int, str]) -> None:
    settings, manager = app[keys.SETTINGS], ServiceManager()
    address = settings.reached_at or f"http://localhost:{sockets[0].getsockname()[1]}"
    app[keys.RUN].guard.turned.subscribe(manager.alive)
    guard = StallResponder(app[keys.RUN].guard, sockets)
    guard.start()
    try:
        await serve(
            app,
            sockets,
            before_stop=lambda: announce_stop(app),
            prefixes=prefixes,
            manager=manager,
            started=lambda: welcome(app, address),
        )
    finally:
        guard.stop()
        manager.close()


async def _settled(app: web.Application) -> AsyncIterator[None]:
    # Last before the first request: what was read from the store is long-lived too.
    gc_tuning.settle()
    yield


def _shared_store(settings: BotSettings) -> DeviceStoreAddress | None:
    """Where workers of replicas find what all of them share; without replicas it is in files."""
    if settings.replica_url is None:
        return None
    pooler = settings.device_store_url.reveal() if settings.device_store_url is not None else None
    return device_store.prepare(settings.store_url, pooler, settings.data_dir / "run")


def _shared_files(settings: BotSettings, store: DeviceStoreAddress | None) -> SharedFilesAddress | None:
    largest = LARGEST_BYTES if settings.media_url is not None else LARGEST_IN_POSTGRESQL
    return None if store is None else SharedFilesAddress(store.server, largest)


def _pool_policy(settings: BotSettings) -> PoolPolicy:
    store = _shared_store(settings)
    return PoolPolicy(
        engine=settings.engine,
        data_dir=settings.data_dir,
        sessions_per_worker=settings.engine_sessions_per_worker,
        command=settings.engine_worker_command or DEFAULT_COMMAND,
        options=(settings.simulator_options or {}) if settings.engine == "simulator" else {},
        environment=worker_environment(environment()),
        device_store=store if settings.shares_devices else None,
        shared_files=_shared_files(settings, store),
        adopts=settings.replica_url is None,
        orphan_grace_s=settings.worker_orphan_grace_ms / 1000,
        max_rss_mb=settings.worker_max_rss_mb,
        max_descriptors=settings.worker_max_descriptors,
        log_format=settings.log_format,  # auto: a worker has the same standard output
        log_level=settings.log_level,
    )


def main() -> int:
    # Threads switch sooner than by default (5 ms): the event loop must not wait for a thread
    # that reads a journal.
    sys.setswitchinterval(0.001)
    os.umask(0o077)  # keys, pairings and messages are readable by this user only
    unblock_standard_streams()
    settings = load_or_exit(BotSettings)
    if sys.argv[1:] == ["--check-settings"]:
        return 0
    logs.configure(settings.log_format, settings.log_level, program="bot")
    log_misspelt(BotSettings, environment())
    sockets = bind_or_exit(settings.host, settings.port)
    prefixes = {}
    if settings.waha_port is not None:
        sockets += bind_or_exit(settings.host, settings.waha_port, "WAHA_PORT")
        prefixes[settings.waha_port] = WAHA
    try:
        private_folders.close(settings)
        turns = LoopMeter()
        app = _built(settings, turns)
        with asyncio.Runner(loop_factory=turns.new_loop) as runner:
            runner.run(_run(app, sockets, prefixes))
    except SettingsError as error:
        exit_for(error.faults)
    except (StoreRefused, FolderTaken, OSError) as error:
        print(f"The bot service cannot start: {error}", file=sys.stderr)  # noqa: T201
        return 1
    finally:
        for sock in sockets:
            sock.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
