"""Builds what makes this service one of several replicas."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.replicas import forwarding, same_secrets
from bot_service.replicas.forwarding import Forwarding
from bot_service.replicas.keeper import LeaseKeeper
from bot_service.replicas.lease import ReplicaLease
from bot_service.replicas.looks import Looks
from bot_service.replicas.members import Members
from bot_service.replicas.mirror import Mirror
from bot_service.replicas.ownership import SessionOwnership
from bot_service.sessions.build import Sessions
from bot_service.store import devices, leases
from bot_service.store.database import Database, lease_database, notifications
from shared import logs
from shared.clock import Clock
from shared.settings import Secret
from shared.tasks import Loop, TaskSet

log = logs.get(__name__)

LISTEN_AGAIN_S = 1.0
LOOK_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class Replicas:
    """``members`` is who owns what, ``forwarding`` passes requests on, ``ownership`` takes and gives back."""

    lease: ReplicaLease
    members: Members
    forwarding: Forwarding
    keeper: LeaseKeeper
    ownership: SessionOwnership
    listener: Listener
    sends: Looks
    lanes: Looks

    def loops(self) -> Iterator[Loop]:
        """The background loops by name."""
        yield "replica-guard", self.keeper.guard
        yield "replica-lease", self.keeper.run
        yield "replica-sessions", self.ownership.run
        yield "replica-news", self.listener.run
        yield "replica-looks", self.listener.look
        yield "replica-sends", self.sends.run
        yield "replica-lanes", self.lanes.run


class Listener:
    """Calls what belongs to a channel when PostgreSQL notifies of a change, and now and then without that."""

    def __init__(self, url: str, name: str, clock: Clock) -> None:
        self._url, self._name, self._clock = url, name, clock
        self.channels: dict[str, Callable[[], object]] = {}
        # What is called now and then only.
        self.looks: list[Callable[[], object]] = []

    async def look(self) -> None:
        """A loop: a notification may be lost, and tables are the truth."""
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            for notified in (*self.channels.values(), *self.looks):
                notified()

    async def run(self) -> None:
        """The loop. Without a connection sessions are found by the rounds, a second later."""
        while True:
            try:
                await notifications(self._url, self._name, self.channels)
            except OSError as error:
                log.debug("No notifications of PostgreSQL", event_name="replica.no_news", error=str(error))
            await self._clock.sleep(LISTEN_AGAIN_S)


def connections_name(boot_id: str) -> str:
    """By which PostgreSQL knows all connections of this run: others end them when its lease is over."""
    return f"veilleur {boot_id}"


@asynccontextmanager
async def build(
    clock: Clock,
    database: Database,
    sessions: Sessions,
    lease: ReplicaLease,
    *,
    url: str,
    store_url: str,
    boot_id: str,
    version: str,
    secret: Secret,
    watchdog_token: Secret,
    look_for_sends: Callable[[], Awaitable[None]],
    look_for_lanes: Callable[[], Awaitable[None]],
) -> AsyncIterator[Replicas]:
    """The parts, wired to ``sessions``; ``url`` is where other replicas reach this one."""
    name, members, tasks = connections_name(boot_id), Members(), TaskSet()
    renewals = lease_database(store_url, name)
    supervisor, registry, store = sessions.supervisor, sessions.registry, sessions.store
    mirror = Mirror(database, registry, supervisor, store, lease, members)
    digest = await asyncio.to_thread(same_secrets.digest, secret, watchdog_token)
    keeper = LeaseKeeper(
        renewals, clock, lease, sessions.pool, supervisor, url=url, version=version, connections=name, secrets=digest
    )
    ownership = SessionOwnership(
        database, clock, lease, keeper, sessions.pool, members, mirror, registry, supervisor, store, sessions.restore,
        connections=name,
    )  # fmt: skip
    sessions.pool.use_epochs(lease.epochs)
    keeper.began.subscribe(ownership.lease_began)
    keeper.renewed.subscribe(ownership.lease_renewed)
    keeper.lost.subscribe(ownership.all_lost)
    # Each of them may have lost its connections at the same moment.
    keeper.renewed.subscribe(lambda: supervisor.timers.herd.divide(max(1, len(members.replicas))))

    def fenced(lost: set[str]) -> None:
        tasks.start(ownership.fenced(lost), name="replica.fenced")

    async def deleted(connection: AsyncConnection, session: str) -> None:
        await leases.leave(connection, session)
        await devices.forget(connection, session)
        database.after_commit(partial(lease.forget, session))

    listener = Listener(store_url, name, clock)
    listener.channels[leases.CHANNEL] = ownership.wake
    store.fence = lease.fence
    store.fenced.subscribe(fenced)
    store.delete_sinks.insert(0, deleted)  # no client can write anything more of what is deleted next
    sessions.commands.claim = ownership.claim
    try:
        async with forwarding.client() as http:
            to_owner = Forwarding(http, members, secret)
            sessions.commands.ask_owner = to_owner.command
            yield Replicas(
                lease,
                members,
                to_owner,
                keeper,
                ownership,
                listener,
                Looks(clock, look_for_sends),
                Looks(clock, look_for_lanes),
            )
            # Connections that were just closed need a turn of the loop to be gone.
            await asyncio.sleep(0)
    finally:
        await tasks.close()
        await renewals.close()
