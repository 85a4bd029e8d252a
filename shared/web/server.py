"""Runs an aiohttp application until SIGTERM, SIGINT or SIGHUP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from shared import logs
from shared.service_manager import ServiceManager
from shared.stop_signals import stop_signals
from shared.web.acceptor import Acceptor
from shared.web.request_handler import listen
from shared.web.rooted import rooted

log = logs.get(__name__)


async def serve(
    app: web.Application,
    sockets: list[socket.socket],
    *,
    before_stop: Callable[[], Awaitable[None]] | None = None,
    stop: asyncio.Event | None = None,
    shutdown_timeout_s: float = 3.0,
    prefixes: Mapping[int, str] | None = None,
    manager: ServiceManager | None = None,
    started: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGTERM, SIGINT, SIGHUP or ``stop``.

    ``started`` is called once requests are answered, ``before_stop`` while connections are still open.
    ``manager`` is notified of both. ``prefixes`` by port: see :func:`rooted`.
    """
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in stop_signals():
        loop.add_signal_handler(name, stop.set)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=shutdown_timeout_s, handler_cancellation=True)
    await runner.setup()
    if prefixes and runner.server is not None:
        runner.server.request_factory = rooted(runner.server.request_factory, prefixes)
    acceptors: list[Acceptor] = []
    try:
        acceptors = await listen(runner, sockets)
        port = sockets[0].getsockname()[1]
        log.info(f"Server running on port {port}", event_name="server.started")
        if manager is not None:
            manager.ready(f"Listening on port {port}")
        started()
        await stop.wait()
        log.info("Stopping", event_name="server.stopping")
        if manager is not None:
            manager.stopping()
        if before_stop is not None:
            await before_stop()
    finally:
        for acceptor in acceptors:
            acceptor.close()
        await runner.cleanup()
        log.info("Stopped", event_name="server.stopped")
