"""Takes sessions without an owner and gives back what is too much, so that all replicas have fair shares.

Each round asks the tables. A notification of PostgreSQL begins a round early, so that a session that was
given back is offline for less than a second; without notifications the next round finds it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence

from bot_service.domain.ownership import SERVICE, shift, to_give
from bot_service.domain.ports import CommandPool
from bot_service.domain.session_record import EffectKind, SessionRecord
from bot_service.domain.states import Wanted
from bot_service.engines.port import EngineError
from bot_service.replicas.keeper import LeaseKeeper
from bot_service.replicas.lease import ReplicaLease
from bot_service.replicas.members import Members
from bot_service.replicas.mirror import Mirror
from bot_service.sessions.registry import SessionRegistry
from bot_service.sessions.restore import Restore
from bot_service.sessions.supervisor import Supervisor
from bot_service.store import leases
from bot_service.store.batch_writer import STORE_ERRORS
from bot_service.store.database import Database
from bot_service.store.errors import why
from bot_service.store.sessions import SessionStore, StoreUnavailable
from shared import logs
from shared.clock import Clock
from shared.hooks import Hook
from shared.wake import Wake

log = logs.get(__name__)

# Rounds begin no sooner one after another: notifications of this time share one.
GATHER_S = 0.1
RETRY_S = 0.2
# Shares are counted again after so many rounds in which nothing seemed to change.
COUNT_EVERY = 10
# Sessions that move at one time, for fair shares and at the end.
GIVE_AT_ONCE = 25
STOP_WITHIN_S = 35.0


async def _at_once(_sessions: Collection[str]) -> None:
    pass


class SessionOwnership:
    """``taken`` notifies of sessions that run here from now on, ``lost`` of those that do not any more."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        lease: ReplicaLease,
        keeper: LeaseKeeper,
        pool: CommandPool,
        members: Members,
        mirror: Mirror,
        registry: SessionRegistry,
        supervisor: Supervisor,
        store: SessionStore,
        restore: Restore,
        *,
        connections: str,
    ) -> None:
        self._database, self._clock, self._lease, self._keeper = database, clock, lease, keeper
        self._pool = pool
        self._members, self._mirror, self._registry = members, mirror, registry
        self._supervisor, self._store, self._restore = supervisor, store, restore
        self._connections = connections
        self._wake = Wake(clock)
        self._turn = asyncio.Lock()
        self._may_take = self._uneven = self._failing = False
        registry.let_go(SERVICE)
        self._leaving: set[str] = set()
        self._rounds = 0
        self._membership: frozenset[tuple[str, bool]] = frozenset()
        self.taken: Hook[[Collection[str]]] = Hook()
        self.lost: Hook[[Collection[str]]] = Hook()
        self.leaving: Callable[[Collection[str]], Awaitable[None]] = _at_once
        """Ends the work on lanes of sessions before they are given back."""

    # --- the loop ---

    def wake(self) -> None:
        """Something changed: look now."""
        self._wake.set()

    def lease_began(self) -> None:
        """Look at everything. Nothing is taken before the first renewal: others may come back at this moment too."""
        self._may_take = False
        self._mirror.forget()
        self._wake.set()

    def lease_renewed(self) -> None:
        if not self._may_take:
            self._may_take = True
            self._wake.set()

    async def run(self) -> None:
        """The loop."""
        while True:
            began_s = self._clock.monotonic()
            try:
                async with self._turn:
                    pause_s = await self._round()
                self._well()
            except (*STORE_ERRORS, StoreUnavailable, TimeoutError) as error:
                self._fails(error)
                pause_s = RETRY_S
            await self._wake.wait(pause_s)
            await self._clock.sleep(max(0.0, began_s + GATHER_S - self._clock.monotonic()))

    async def _round(self) -> float:
        """Returns the seconds until the next one."""
        me, pause_s = self._lease.id, self._lease.times.renew_s
        if me is None:
            return pause_s
        left_s = await self._see_members(me)
        async with self._in_time():
            await self._mirror.look()
        await self._reconcile(me)
        if self._leaving:
            await self._give(me, list(self._leaving))
        if self._lease.id == me and self._may_take and not self._keeper.draining:
            await self._lead(me)
            await self._even_out(me)
        return min(pause_s, left_s + 0.02)

    async def _lead(self, me: str) -> None:
        """Take what must run once when no replica has it."""
        if SERVICE in self._lease.epochs or self._members.holder_of(SERVICE) not in (None, me):
            return
        if self._lease.holds and await self.claim(SERVICE):
            self._registry.take(SERVICE)
            log.info("This replica leads", event_name="replica.leads", replica=me)
            self.taken([SERVICE])

    async def _reconcile(self, me: str) -> None:
        """What the tables say and this replica does not know yet."""
        lost, self._mirror.lost = self._mirror.lost, []
        unknown, self._mirror.unknown = self._mirror.unknown, {}
        if lost:
            log.error("Sessions have another owner", event_name="replica.lost", sessions=len(lost))
            await self._stop(lost)
            self._forget(lost)
        found = [each for each in unknown.values() if each.holder == me and each.session not in self._lease.epochs]
        records = [each.record for each in found if each.record is not None]
        await self._begin(me, records, {each.session: each.epoch for each in found})

    async def start(self) -> None:
        """Before the loop: all sessions are in memory when the service begins to answer."""
        await self._mirror.look()
        await self._store.find_leftovers()
        await self._keeper.start()

    async def _see_members(self, me: str) -> float:
        """Returns the seconds until the lease of another replica may end: its sessions shall not wait for longer."""
        async with self._in_time(), self._database.read() as connection:
            living = await leases.living(connection)
        if any(replica.left_ms <= 0 for replica in living):
            async with self._in_time(), self._database.write() as connection:
                ended = await leases.bury(connection, self._connections)
            if ended:
                log.warning("The lease of another replica is over", event_name="replica.ended", replicas=ended)
            living = [replica for replica in living if replica.id not in ended]
        if self._lease.id == me:
            self._members.see(living)
        return min((replica.left_ms / 1000 for replica in living if replica.id != me), default=self._lease.times.ttl_s)

    async def _even_out(self, me: str) -> None:
        replicas = self._members.replicas.values()
        membership = frozenset((replica.id, replica.draining) for replica in replicas)
        changed, self._membership = membership != self._membership, membership
        self._rounds += 1
        async with self._in_time(), self._database.read() as connection:
            if not (changed or self._uneven or self._rounds % COUNT_EVERY == 0 or await leases.any_free(connection)):
                return
            counted = await leases.counts(connection)
        going_on = {replica.id for replica in replicas if not replica.draining} | {me}
        uneven, was_uneven = False, self._uneven
        for runs in (True, False):
            found = [each for each in counted if each.runs is runs]
            owned = dict.fromkeys(going_on, 0)
            owned.update({each.holder: each.count for each in found if each.holder in owned})
            free = sum(each.count for each in found if each.holder is None)
            elsewhere = sum(each.count for each in found) - sum(owned.values()) - free
            due = shift(me, owned, elsewhere, free)
            if due.take:
                await self._take(me, runs=runs, count=due.take)
                # Others take at the same moment: what is left then may be due here.
                self.wake()
            # Twice in a row: replicas that come and go for a moment move nothing.
            elif due.give and was_uneven:
                await self._give(me, self._surplus(runs=runs, count=min(due.give, GIVE_AT_ONCE)))
            uneven = uneven or due.give > 0
        self._uneven = uneven

    # --- taking ---

    async def _take(self, me: str, *, runs: bool, count: int) -> None:
        async with self._in_time(), self._database.write() as connection:
            epochs = await leases.take(connection, me, runs=runs, count=count)
            # After their rows are locked: the last owner can write nothing more.
            records = await leases.records(connection, list(epochs))
        await self._begin(me, records, epochs)

    async def _begin(self, me: str, records: Sequence[SessionRecord], epochs: dict[str, int]) -> None:
        """These sessions run here from now on."""
        if self._lease.id != me or not epochs:
            return
        self._lease.epochs.update(epochs)
        for session in epochs:
            self._members.note(session, me)
            self._registry.take(session)
        log.info("Sessions run here now", event_name="replica.taken", sessions=len(epochs))
        await self._restore.begin(list(records))
        self.taken(list(epochs))

    async def claim(self, session: str) -> bool:
        """Own a session that is about to be made; false when another replica has one with this id.

        Raises :class:`StoreUnavailable`, also without a lease.
        """
        me = self._lease.id
        if me is None or not self._lease.holds or self._keeper.draining:
            raise StoreUnavailable("this replica owns no sessions at the moment")
        try:
            async with self._in_time(), self._database.write() as connection:
                epoch = await leases.claim(connection, me, session)
        except (*STORE_ERRORS, TimeoutError) as error:
            raise StoreUnavailable(why(error)) from error
        if epoch is None or self._lease.id != me:
            self.wake()
            return False
        self._lease.epochs[session] = epoch
        self._members.note(session, me)
        return True

    # --- giving back, and losing ---

    def _surplus(self, *, runs: bool, count: int) -> list[str]:
        own = [
            record
            for record in self._registry.here()
            if (record.wanted is Wanted.RUN) is runs and record.id in self._lease.epochs
        ]
        return [record.id for record in to_give(own, count)]

    async def _give(self, me: str, sessions: list[str]) -> None:
        """Stop them, store what is known of them, and free them: another replica begins at once.

        One that does not stop is kept until it has: no account has two clients.
        """
        self._leaving.update(sessions)
        await asyncio.gather(self._stop(sessions), self._lanes_end(sessions))
        ended = await asyncio.gather(*(self._client_ended(session) for session in sessions))
        epochs = self._lease.epochs
        given = {name: epochs[name] for name, over in zip(sessions, ended, strict=True) if over and name in epochs}
        await self._store.flush()
        async with self._in_time(), self._database.write() as connection:
            await leases.give(connection, me, given)
        sessions = list(given)
        self._leaving.difference_update(sessions)
        for session in sessions:
            self._lease.epochs.pop(session, None)
            self._members.note(session, None)
        log.info("Sessions were given back", event_name="replica.gave", sessions=len(sessions))
        self._forget(sessions)

    async def _lanes_end(self, sessions: Collection[str]) -> None:
        for session in sessions:
            self._registry.let_go(session)
        await self.leaving(sessions)

    async def _client_ended(self, session: str) -> bool:
        """Whether its worker says so, or is gone."""
        if self._supervisor.effects.busy(session):
            return False
        try:
            async with asyncio.timeout(STOP_WITHIN_S):
                await self._pool.end_client(session)
        except (EngineError, TimeoutError):
            return False
        return True

    async def _stop(self, sessions: Iterable[str]) -> None:
        """End their clients. From the first step on nothing that they report has any effect."""
        sessions = [session for session in sessions if session != SERVICE]
        for session in sessions:
            self._supervisor.let_go(session)
            self._supervisor.effects.run(session, EffectKind.STOP)
        await asyncio.gather(*(self._supervisor.settle(session, STOP_WITHIN_S) for session in sessions))

    def _forget(self, sessions: Collection[str]) -> None:
        if SERVICE in sessions:
            self._registry.let_go(SERVICE)
        self._leaving.difference_update(sessions)
        self._restore.forget(sessions)
        self.lost(sessions)

    def all_lost(self, sessions: Collection[str]) -> None:
        """The lease was over; their clients have ended."""
        self._forget(sessions)
        self.wake()

    async def fenced(self, sessions: Collection[str]) -> None:
        """The store refused to write these: they have another owner, or none."""
        lost = [session for session in sessions if self._lease.epochs.pop(session, None) is not None]
        if lost:
            log.error("Sessions have another owner", event_name="replica.fenced", sessions=len(lost))
            await self._stop(lost)
            self._forget(lost)

    async def drain(self, within_s: float) -> None:
        """The service ends: give everything back, each session offline for a moment only."""
        self._keeper.draining = True
        me = self._lease.id
        if me is None:
            return
        try:
            async with asyncio.timeout(within_s), self._turn:
                await self._keeper.renew(me)  # others see it as one that goes
                while self._lease.id == me and (own := [each for each in self._lease.epochs if each != SERVICE]):
                    await self._give(me, own[:GIVE_AT_ONCE])
                if self._lease.id == me:
                    await self._lanes_end([SERVICE])
                    await self._keeper.resign(me)
        except (*STORE_ERRORS, StoreUnavailable, TimeoutError) as error:
            log.error(
                "Not every session could be given back: others take them when the lease is over",
                event_name="replica.drain_failed",
                error=type(error).__name__,
            )

    # --- the database ---

    def _in_time(self) -> asyncio.Timeout:
        return asyncio.timeout(self._lease.times.ttl_s)

    def _fails(self, error: BaseException) -> None:
        if not self._failing:
            self._failing = True
            log.warning(
                f"Who owns which session cannot be read or changed: {why(error)}",
                event_name="replica.store_failing",
                error=type(error).__name__,
            )

    def _well(self) -> None:
        if self._failing:
            self._failing = False
            log.info("Who owns which session can be read again", event_name="replica.store_back")
