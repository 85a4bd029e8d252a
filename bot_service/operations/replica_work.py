"""Divides the work among replicas: each works for its own sessions, one of them for all others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any

from bot_service.events.build import Events
from bot_service.messages.build import Messages
from bot_service.operations.watchdog_reports import WatchdogReports
from bot_service.replicas.build import Replicas
from bot_service.replicas.lease import ReplicaLease
from bot_service.sessions.build import Sessions
from bot_service.store.deliveries import CHANNEL as WEBHOOKS
from bot_service.store.ended_logins import CHANNEL as ACCESS
from bot_service.store.events import CHANNEL as EVENTS
from bot_service.store.send_queue import CHANNEL as SENDS
from bot_service.webhooks.build import Webhooks
from shared.tasks import TaskSet


def divide(
    built: Replicas,
    lease: ReplicaLease,
    sessions: Sessions,
    events: Events,
    messages: Messages,
    webhooks: Webhooks,
    reports: WatchdogReports,
    helpers: TaskSet,
    *,
    refresh_access: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    """Connect what starts and ends with a lease, and what other replicas notify of."""
    sender, dispatcher, rows = messages.sender, webhooks.dispatcher, messages.rows

    def taken(taken_over: Collection[str]) -> None:
        if rows is not None:
            rows.wake()  # what the last owner did not store
        built.sends.wake()
        built.lanes.wake()
        helpers.start(dispatcher.look(taken_over), name="replica.webhooks")

    async def leaving(leases: Collection[str]) -> None:
        await asyncio.gather(sender.leave(leases), dispatcher.leave(leases))

    def lost(leases: Collection[str]) -> None:
        helpers.start(dispatcher.abandon(leases), name="replica.lost-lanes")

    def deleted(session: str) -> None:
        if not sessions.lanes.leads():
            lost([session])

    def starts(call: Callable[[], Awaitable[None]], name: str) -> Callable[[], None]:
        async def run() -> None:
            await call()

        return lambda: helpers.start(run(), name=name)

    built.ownership.taken.subscribe(taken)
    built.ownership.lost.subscribe(lost)
    built.ownership.leaving = leaving
    events.session_events.deleted.subscribe(deleted)
    sender.results.fence = webhooks.results.fence = lease.fence
    built.listener.looks += [built.lanes.wake, starts(reports.refresh, "replica.reports")]
    built.listener.channels |= {
        SENDS: built.sends.wake,
        ACCESS: starts(refresh_access, "replica.access"),
        EVENTS: lambda: events.stream.wake(None),
        WEBHOOKS: starts(events.see_webhooks, "replica.subscriptions"),
    }
