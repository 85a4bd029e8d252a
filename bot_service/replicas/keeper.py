"""Keeps the lease of this replica: registers it, renews it, and lets go of everything in time.

Nothing else waits in these loops, and the renewals have a connection of their own: work on sessions,
however slow, cannot cost the lease.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection

from bot_service.domain.ports import LeasedPool
from bot_service.replicas.lease import ReplicaLease
from bot_service.sessions.supervisor import Supervisor
from bot_service.store import leases
from bot_service.store.batch_writer import STORE_ERRORS
from bot_service.store.database import Database
from bot_service.store.errors import why
from shared import logs
from shared.clock import Clock
from shared.hooks import Hook
from shared.wake import Wake

log = logs.get(__name__)

RETRY_S = 0.2


class LeaseKeeper:
    """``began`` notifies of every new lease, ``renewed`` of every renewal, ``lost`` of what ended with one."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        lease: ReplicaLease,
        pool: LeasedPool,
        supervisor: Supervisor,
        *,
        url: str,
        version: str,
        connections: str,
        secrets: str | None = None,
    ) -> None:
        self._secrets = secrets
        self._database, self._clock, self._lease = database, clock, lease
        self._pool, self._supervisor = pool, supervisor
        self._url, self._version, self._connections = url, version, connections
        self._wake = Wake(clock)
        self._ending = asyncio.Lock()
        self._failing = False
        self.draining = False
        self.began: Hook[[]] = Hook()
        self.renewed: Hook[[]] = Hook()
        self.lost: Hook[[Collection[str]]] = Hook()

    async def run(self) -> None:
        """The loop; it registers this replica first, and again after a lease was over."""
        while True:
            try:
                if self._lease.id is not None:
                    await self.renew(self._lease.id)
                elif not self.draining:
                    await self._register()
                pause_s = self._lease.times.renew_s
                self._well()
            except (*STORE_ERRORS, TimeoutError) as error:
                self._fails(error)
                pause_s = RETRY_S
            await self._wake.wait(pause_s)

    async def start(self) -> None:
        """Before the loops: a service that answers can make sessions. Without the database the loop tries on."""
        try:
            await self._register()
        except (*STORE_ERRORS, TimeoutError) as error:
            self._fails(error)

    async def guard(self) -> None:
        """The loop that lets go in time, whatever the database does."""
        while True:
            left_s = self._lease.state.stops_s - self._clock.monotonic()
            if self._lease.id is None:
                left_s = self._lease.times.renew_s
            elif left_s <= 0:
                await self._let_go("it could not be renewed in time")
                continue
            await self._clock.sleep(max(0.01, left_s))

    async def _register(self) -> None:
        async with self._ending:
            pass  # what ran by the last lease has ended
        replica, asked_s = secrets.token_hex(8), self._clock.monotonic()
        async with self._in_time(), self._database.write() as connection:
            await leases.register(
                connection,
                replica,
                url=self._url,
                version=self._version,
                connections=self._connections,
                ttl_ms=self._ttl_ms,
                secrets=self._secrets,
            )
            others = await leases.with_other_secrets(connection, self._secrets) if self._secrets is not None else []
        if others:
            log.warning(
                "Replicas have other secrets: BOT_API_KEY and WATCHDOG_TOKEN have to be the same for all",
                event_name="replica.other_secrets",
                replicas=others,
            )
        self._lease.begin(replica, asked_s)
        self._pool.own_until(self._lease.state.workers_end_s)
        log.info("This replica has a lease", event_name="replica.registered", replica=replica, url=self._url)
        self.began()

    async def renew(self, me: str) -> None:
        """Renew the lease ``me``. Raises errors of the store and ``TimeoutError``."""
        asked_s = self._clock.monotonic()
        async with self._in_time(), self._database.write() as connection:
            renewed = await leases.renew(connection, me, ttl_ms=self._ttl_ms, draining=self.draining)
        if self._lease.id != me:
            return
        if not renewed:
            await self._let_go("it was over when it was to be renewed")
            self._wake.set()
            return
        self._lease.renewed(asked_s)
        self._pool.own_until(self._lease.state.workers_end_s)
        self.renewed()

    async def resign(self, me: str) -> None:
        """End the lease in order, when nothing is owned by it any more."""
        async with self._in_time(), self._database.write() as connection:
            await leases.resign(connection, me)
        self._lease.end()

    async def _let_go(self, reason: str) -> None:
        """The lease is over: nothing of this service may touch a session before it has another one."""
        lost = self._lease.end()
        for session in lost:
            self._supervisor.let_go(session)
        log.error(
            f"The lease of this replica is over ({reason}): its sessions stop here",
            event_name="replica.lease_over",
            sessions=len(lost),
        )
        async with self._ending:
            await asyncio.gather(self._pool.abandon(), self._supervisor.effects.close())
        self.lost(lost)

    @property
    def _ttl_ms(self) -> int:
        return int(self._lease.times.ttl_s * 1000)

    def _in_time(self) -> asyncio.Timeout:
        # A database that does not answer must not hold up the next try.
        return asyncio.timeout(self._lease.times.ttl_s / 2)

    def _fails(self, error: BaseException) -> None:
        if not self._failing:
            self._failing = True
            log.warning(
                f"The lease of this replica cannot be renewed: {why(error)}",
                event_name="replica.not_renewed",
                error=type(error).__name__,
            )

    def _well(self) -> None:
        if self._failing:
            self._failing = False
            log.info("The lease of this replica is renewed again", event_name="replica.renewed")
